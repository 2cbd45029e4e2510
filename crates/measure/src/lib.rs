//! What programs measure an adapter with: its [clock](timer), the [copy kernel](copy) whose bandwidth is the limit of
//! every pass, and the [bounds](accuracy) that results must meet before their times mean anything. All run in a browser
//! too, where nothing blocks; elsewhere what waits for the adapter blocks its thread.

pub mod accuracy;
pub mod copy;
pub mod timer;
