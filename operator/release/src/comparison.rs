//! Whether a new release fails more than the old one, told at any time.

/// Events of one objective within some span, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub events: f64,
    pub failures: f64,
}

/// What the pods of the new and of the old release counted in the same span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    pub new: Counts,
    pub old: Counts,
}

/// One objective's counts since the new release began to serve, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct SloCounts {
    pub name: String,
    /// The share of events that may fail: 0.001 of an objective of 99.9 %.
    pub budget: f64,
    pub intervals: Vec<Interval>,
}
