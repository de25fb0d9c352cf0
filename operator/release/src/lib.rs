//! Releases of an app: whether a new one fails more than the one before, and what should run next. All of it is pure:
//! counts, records and the time are given.

pub mod comparison;
