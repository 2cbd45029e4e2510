// Four elements of half a word each, loaded as one of 64 bits.
alias Stored = u64;
fn stored_at(i: u32) -> u32 { return i; }
fn unpack(s: Stored, i: u32) -> Vector { return vec4<f32>(unpack_pair(u32(s)), unpack_pair(u32(s >> 32u))); }
fn pack(v: Vector) -> Stored { return u64(pack_pair(v.xy)) | (u64(pack_pair(v.zw)) << 32u); }
