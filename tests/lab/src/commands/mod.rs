//! The longer commands.

pub mod test;
pub mod up;
