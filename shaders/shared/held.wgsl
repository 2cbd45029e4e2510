// A lane stays with its channels, so it gets what it needs of them once and keeps it.
alias Held = Channel;
alias PlaneItem = Channel;
fn at(h: Held, cursor: Cursor) -> Vector { return spread(h); }
