// A load brings two words, which are four elements.
alias Stored = vec2<u32>;
fn stored_at(i: u32) -> u32 { return i; }
fn unpack(s: Stored, i: u32) -> Vector { return vec4<f32>(unpack_pair(s.x), unpack_pair(s.y)); }
fn pack(v: Vector) -> Stored { return vec2<u32>(pack_pair(v.xy), pack_pair(v.zw)); }
