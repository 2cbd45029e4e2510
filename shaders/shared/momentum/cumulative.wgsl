// The mean over all batches so far: batch number b weighs 1/b (PyTorch's momentum = None).
struct Share { keep: f32, take: f32 }
fn share_of(batches_before: u32) -> Share {
    let before = f32(batches_before);
    return Share(before / (before + 1.0), 1.0 / (before + 1.0));
}
