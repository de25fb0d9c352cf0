//! What the longer of the commands do.

pub mod test;
pub mod up;
