// Softmax and cross-entropy of ten classes: loss = −ln p[label] with p = exp(z)/Σexp(z), and the gradient of its mean
// over the rows, (p − 1 at the label)/rows. Grid: an invocation for each row.

const CLASSES = 10u;

struct Sizes { rows: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
// Of each row the loss, and 1 if the class with the largest p is the label's.
@group(0) @binding(4) var<storage, read_write> results: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= sizes.rows { return; }
    let first = id.x * CLASSES;
    let label = labels[id.x];
    var best = 0u;
    for (var c = 1u; c < CLASSES; c++) {
        if logits[first + c] > logits[first + best] { best = c; }
    }
    let largest = logits[first + best];
    var sum = 0.0;
    for (var c = 0u; c < CLASSES; c++) { sum += exp(logits[first + c] - largest); }
    for (var c = 0u; c < CLASSES; c++) {
        let p = exp(logits[first + c] - largest) / sum;
        gradient[first + c] = (p - select(0.0, 1.0, c == label)) / f32(sizes.rows);
    }
    let loss = log(sum) + largest - logits[first + label];
    results[id.x] = vec2(loss, select(0.0, 1.0, best == label));
}
