// The running statistics, which the batch does not change.
@group(0) @binding(7) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> running_var: array<f32>;

struct Statistics { mean: Pair, variance: f32 }

fn collect(place: Place, lane: u32) -> Statistics {
    let channel = min(place.channel, params.all_channels - 1u);
    return Statistics(Pair(running_mean[channel], 0.0), running_var[channel]);
}
