// dx of one load, by the formula of the slot dx/; dresidual on the way.
fn apply_load(loaded: Loaded, a: Affine, means: Means) {
    let here = loaded.here;
    let seen = seen_at(here, true);
    let back = take_back(loaded, a);
    let gradient = input_gradient(back.dy, back.centered, a.scale, means, here);
    write_dresidual(here, show(back.dy, seen));
    write(here, show(gradient_of_input(gradient, loaded.x), seen));
}
