// v/2·(1 + tanh(u)) with u = √(2/π)·(v + 0.044715·v³) (Hendrycks and Gimpel 2016). (1 + tanh(u))/2 is
// l = 1/(1 + exp(−2u)), which loses no digits where tanh is near −1. Derivative: l + v·l·(1 − l)·2·du/dv.
const ROOT_8_OVER_PI = 1.5957691216057308;

fn twice_u(v: Vector) -> Vector { return ROOT_8_OVER_PI * (v + 0.044715 * v * v * v); }
fn activate(v: Vector) -> Vector { return v * logistic(twice_u(v)); }
fn activation_gradient(dy: Vector, v: Vector) -> Vector {
    let l = logistic_pair(twice_u(v));
    // Where v² overflows, l·(1 − l) is 0, and 0 · ∞ would be NaN.
    let slope = ROOT_8_OVER_PI * (1.0 + 3.0 * 0.044715 * min(v * v, Vector(1e30)));
    return dy * (l.value + v * (l.value * l.rest) * slope);
}
