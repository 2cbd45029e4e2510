// Reads back what store() of monoid/store_grad_sums.wgsl has written.
fn load(record: u32, channel: u32) -> GradSums {
    return GradSums(load_pair(record, 0u, channel), load_pair(record, 2u, channel));
}
