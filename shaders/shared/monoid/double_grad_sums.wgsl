// DoubleGradSums {Σdy, Σdy·x̂, Σddx, Σddx·x̂, Σdy·ddx} over some positions.
struct DoubleGradSums { dy: Pair, dy_x_hat: Pair, ddx: Pair, ddx_x_hat: Pair, dy_ddx: Pair }
alias Record = DoubleGradSums;
const FIELDS = 10u;

fn identity() -> DoubleGradSums {
    let zero = pair_of(Channel(0.0));
    return DoubleGradSums(zero, zero, zero, zero, zero);
}

fn combine(a: DoubleGradSums, b: DoubleGradSums) -> DoubleGradSums {
    return DoubleGradSums(
        add_pairs(a.dy, b.dy),
        add_pairs(a.dy_x_hat, b.dy_x_hat),
        add_pairs(a.ddx, b.ddx),
        add_pairs(a.ddx_x_hat, b.ddx_x_hat),
        add_pairs(a.dy_ddx, b.dy_ddx),
    );
}

fn store(record: u32, channel: u32, sums: DoubleGradSums) {
    store_pair(record, 0u, channel, sums.dy);
    store_pair(record, 2u, channel, sums.dy_x_hat);
    store_pair(record, 4u, channel, sums.ddx);
    store_pair(record, 6u, channel, sums.ddx_x_hat);
    store_pair(record, 8u, channel, sums.dy_ddx);
}
