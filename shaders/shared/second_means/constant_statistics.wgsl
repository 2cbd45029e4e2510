// Mean and variance are constants: of all sums only Σdy·ddx takes part.
fn second_means(sums: DoubleGradSums, count: f32) -> SecondMeans {
    return SecondMeans(0.0, 0.0, 0.0, value_of(sums.dy_ddx) + count * (value_of(sums.dy) * value_of(sums.ddx)));
}
