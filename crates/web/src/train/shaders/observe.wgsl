// What is shown of a step: how the outputs of a layer are distributed, and how large the gradients are.
// Grid: one workgroup for a histogram, one for each layer's norm.

const LANES = 64u;
const BINS = 32u;

struct Histogram { elements: u32, low: f32, high: f32 }

@group(0) @binding(0) var<uniform> histogram_of: Histogram;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> bins: array<f32>;

var<workgroup> counts: array<atomic<u32>, BINS>;

// The share of the values in each bin; the outermost ones have those beyond the range too, and nothing has NaN.
@compute @workgroup_size(LANES)
fn histogram(@builtin(local_invocation_index) lane: u32) {
    if lane < BINS { atomicStore(&counts[lane], 0u); }
    workgroupBarrier();
    let scale = f32(BINS) / (histogram_of.high - histogram_of.low);
    for (var i = lane; i < histogram_of.elements; i += LANES) {
        let value = values[i];
        let bin = clamp((value - histogram_of.low) * scale, 0.0, f32(BINS - 1u));
        if value == value { atomicAdd(&counts[u32(bin)], 1u); }
    }
    workgroupBarrier();
    if lane < BINS { bins[lane] = f32(atomicLoad(&counts[lane])) / f32(histogram_of.elements); }
}

// The first gradient of a layer's weight, and how many there are.
@group(0) @binding(3) var<storage, read> weights: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> gradients: array<f32>;
@group(0) @binding(5) var<storage, read_write> norms: array<f32>;

var<workgroup> sums: array<f32, LANES>;

// √Σg² of each layer's weight.
@compute @workgroup_size(LANES)
fn norm(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) layer: vec3<u32>) {
    let weight = weights[layer.x];
    var sum = 0.0;
    for (var i = lane; i < weight.y; i += LANES) {
        let gradient = gradients[weight.x + i];
        sum += gradient * gradient;
    }
    sums[lane] = sum;
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if lane < reach { sums[lane] += sums[lane + reach]; }
    }
    if lane == 0u { norms[layer.x] = sqrt(sums[0]); }
}
