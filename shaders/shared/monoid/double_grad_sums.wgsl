// DoubleGradSums of some positions: their number, the means of dy and ddx, and the sums of products of what dy and ddx
// are without these means, and of x̂: Σdy'·ddx', Σdy'·x̂, Σddx'·x̂; and Σx̂, which is 0 over all positions only.
// Products of the values themselves would cancel where their means are large.
struct DoubleGradSums { count: u32, dy: Pair, ddx: Pair, dy_ddx: Pair, dy_x_hat: Pair, ddx_x_hat: Pair, x_hat: Channel }
alias Record = DoubleGradSums;
const FIELDS = 12u;

fn identity() -> DoubleGradSums {
    let zero = pair_of(Channel(0.0));
    return DoubleGradSums(0u, zero, zero, zero, zero, zero, Channel(0.0));
}

fn mean_of(a: Pair, delta: Channel, share: f32) -> Pair { return two_sum(a.hi, a.lo + delta * share); }

// As moments.wgsl merges M2; the sums with x̂ take in how far the means move.
fn combine(a: DoubleGradSums, b: DoubleGradSums) -> DoubleGradSums {
    if (b.count == 0u) { return a; }
    if (a.count == 0u) { return b; }
    let count = a.count + b.count;
    let b_share = f32(b.count) / f32(count);
    let a_share = f32(a.count) / f32(count);
    let dy = opaque(b.dy.hi - a.dy.hi) + opaque(b.dy.lo - a.dy.lo);
    let ddx = opaque(b.ddx.hi - a.ddx.hi) + opaque(b.ddx.lo - a.ddx.lo);
    let x_hat = b.x_hat * a_share - a.x_hat * b_share;
    return DoubleGradSums(
        count,
        mean_of(a.dy, dy, b_share),
        mean_of(a.ddx, ddx, b_share),
        add_pairs(add_pairs(a.dy_ddx, b.dy_ddx), pair_of(dy * ddx * (b_share * f32(a.count)))),
        add_pairs(add_pairs(a.dy_x_hat, b.dy_x_hat), pair_of(dy * x_hat)),
        add_pairs(add_pairs(a.ddx_x_hat, b.ddx_x_hat), pair_of(ddx * x_hat)),
        a.x_hat + b.x_hat,
    );
}
