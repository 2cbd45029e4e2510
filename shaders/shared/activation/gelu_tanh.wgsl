// v/2·(1 + tanh(u)) with u = √(2/π)·(v + 0.044715·v³) (Hendrycks and Gimpel 2016). 1 + tanh(u) is
// 2·logistic(2u), which loses no digits where tanh is near −1. Derivative: l + v·l·(1 − l)·2·du/dv.
const ROOT_8_OVER_PI = 1.5957691216057308;

fn twice_u(v: Vector) -> Vector { return ROOT_8_OVER_PI * (v + 0.044715 * v * v * v); }
fn activate(v: Vector) -> Vector { return v * logistic(twice_u(v)); }
fn activation_gradient(dy: Vector, v: Vector) -> Vector {
    let l = logistic(twice_u(v));
    let slope = ROOT_8_OVER_PI * (1.0 + 3.0 * 0.044715 * v * v);
    return dy * (l + v * (l * (1.0 - l)) * slope);
}
