// The mean over all batches so far: batch number b weighs 1/b (PyTorch's momentum = None).
struct Share { keep: Channel, take: Channel }
fn share_of(batches_before: Bits) -> Share {
    let before = Channel(batches_before);
    return Share(before / (before + 1.0), 1.0 / (before + 1.0));
}
