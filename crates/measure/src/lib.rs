//! What programs measure an adapter with: its [clock](timer), and the [copy kernel](copy) whose bandwidth is the limit
//! of every pass. Nothing here blocks, so that it runs in a browser too.

pub mod copy;
pub mod timer;
