// y = x·Wᵀ + b and its gradients. x is [rows, inputs], W [outputs, inputs], y [rows, outputs]; inputs is a multiple of 4,
// so that x, W and their gradients are loaded four values at once. An invocation makes a block of four by four results,
// so that each value that it loads is used four times. Where a block goes beyond the last row or output, it computes
// the last one again and drops it. Grid: an invocation for each block.

struct Sizes { rows: u32, inputs: u32, outputs: u32 }

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dweight: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let vectors = sizes.inputs / 4u;
    let blocks = (sizes.outputs + 3u) / 4u;
    let row = id.x / blocks * 4u;
    let output = id.x % blocks * 4u;
    if row >= sizes.rows { return; }
    let rows = min(vec4(row) + vec4(0u, 1u, 2u, 3u), vec4(sizes.rows - 1u)) * vectors;
    let outputs = min(vec4(output) + vec4(0u, 1u, 2u, 3u), vec4(sizes.outputs - 1u)) * vectors;
    var y0 = vec4(0.0);
    var y1 = vec4(0.0);
    var y2 = vec4(0.0);
    var y3 = vec4(0.0);
    for (var i = 0u; i < vectors; i++) {
        // Columns of four weights, one for each output.
        let w = transpose(mat4x4(
            weight[outputs.x + i], weight[outputs.y + i], weight[outputs.z + i], weight[outputs.w + i],
        ));
        y0 += w * x[rows.x + i];
        y1 += w * x[rows.y + i];
        y2 += w * x[rows.z + i];
        y3 += w * x[rows.w + i];
    }
    store_row(row, output, y0);
    store_row(row + 1u, output, y1);
    store_row(row + 2u, output, y2);
    store_row(row + 3u, output, y3);
}

fn store_row(row: u32, output: u32, values: vec4<f32>) {
    if row >= sizes.rows { return; }
    for (var o = 0u; o < min(4u, sizes.outputs - output); o++) {
        y[row * sizes.outputs + output + o] = bias[output + o] + values[o];
    }
}

// dx = dy·W
@compute @workgroup_size(64)
fn input_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    let vectors = sizes.inputs / 4u;
    let row = id.x / vectors * 4u;
    let input = id.x % vectors;
    if row >= sizes.rows { return; }
    let rows = min(vec4(row) + vec4(0u, 1u, 2u, 3u), vec4(sizes.rows - 1u)) * sizes.outputs;
    var dx0 = vec4(0.0);
    var dx1 = vec4(0.0);
    var dx2 = vec4(0.0);
    var dx3 = vec4(0.0);
    for (var o = 0u; o < sizes.outputs; o++) {
        let w = weight[o * vectors + input];
        dx0 += dy[rows.x + o] * w;
        dx1 += dy[rows.y + o] * w;
        dx2 += dy[rows.z + o] * w;
        dx3 += dy[rows.w + o] * w;
    }
    let first = row * vectors + input;
    dx[first] = dx0;
    if row + 1u < sizes.rows { dx[first + vectors] = dx1; }
    if row + 2u < sizes.rows { dx[first + 2u * vectors] = dx2; }
    if row + 3u < sizes.rows { dx[first + 3u * vectors] = dx3; }
}

// dW = dyᵀ·x, and db = Σdy in the invocations of the first inputs.
@compute @workgroup_size(64)
fn weight_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    let vectors = sizes.inputs / 4u;
    let output = id.x / vectors * 4u;
    let input = id.x % vectors;
    if output >= sizes.outputs { return; }
    let outputs = min(vec4(output) + vec4(0u, 1u, 2u, 3u), vec4(sizes.outputs - 1u));
    var dw0 = vec4(0.0);
    var dw1 = vec4(0.0);
    var dw2 = vec4(0.0);
    var dw3 = vec4(0.0);
    var sums = vec4(0.0);
    for (var n = 0u; n < sizes.rows; n++) {
        let place = outputs + n * sizes.outputs;
        let gradient = vec4(dy[place.x], dy[place.y], dy[place.z], dy[place.w]);
        let values = x[n * vectors + input];
        dw0 += gradient.x * values;
        dw1 += gradient.y * values;
        dw2 += gradient.z * values;
        dw3 += gradient.w * values;
        sums += gradient;
    }
    let first = output * vectors + input;
    dweight[first] = dw0;
    if output + 1u < sizes.outputs { dweight[first + vectors] = dw1; }
    if output + 2u < sizes.outputs { dweight[first + 2u * vectors] = dw2; }
    if output + 3u < sizes.outputs { dweight[first + 3u * vectors] = dw3; }
    if input == 0u {
        for (var o = 0u; o < min(4u, sizes.outputs - output); o++) { dbias[output + o] = sums[o]; }
    }
}
