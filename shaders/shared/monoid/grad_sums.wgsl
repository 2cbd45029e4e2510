// GradSums {Σdy, Σdy·x̂} over some positions.
struct GradSums { dy: Pair, dy_x_hat: Pair }
alias Record = GradSums;
const FIELDS = 4u;

fn identity() -> GradSums { return GradSums(pair_of(Channel(0.0)), pair_of(Channel(0.0))); }

fn combine(a: GradSums, b: GradSums) -> GradSums {
    return GradSums(add_pairs(a.dy, b.dy), add_pairs(a.dy_x_hat, b.dy_x_hat));
}
