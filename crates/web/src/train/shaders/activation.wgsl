// y = f(x) and its gradient, for the network without batch normalization; with it, the library's kernels do this.
// Grid: an invocation for each element.

struct Settings { elements: u32, function: u32 }

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
// dy on the way in, dx on the way out.
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;

fn logistic(v: f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }

// The functions in the order of `Activation` in settings.rs; NaN stays NaN, and tanh overflows nowhere in this form.
fn value(v: f32) -> f32 {
    switch settings.function {
        case 0u: { return select(v, 0.0, v <= 0.0); }
        case 1u: { return v * logistic(v); }
        case 2u: { return logistic(v); }
        default: { return 2.0 * logistic(2.0 * v) - 1.0; }
    }
}

fn slope(v: f32) -> f32 {
    let s = logistic(v);
    switch settings.function {
        case 0u: { return select(0.0, 1.0, v > 0.0); }
        case 1u: { return s * (1.0 + v * (1.0 - s)); }
        case 2u: { return s * (1.0 - s); }
        default: { let t = value(v); return 1.0 - t * t; }
    }
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < settings.elements { y[id.x] = value(x[id.x]); }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < settings.elements { gradient[id.x] *= slope(x[id.x]); }
}
