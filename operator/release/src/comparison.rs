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

/// STUB
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    pub slos: Vec<SloComparison>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SloComparison {
    pub name: String,
    pub new: Counts,
    pub old: Counts,
    pub bad: bool,
}

pub fn compare(slos: &[SloCounts]) -> Comparison {
    let slos = slos
        .iter()
        .map(|slo| {
            let sum = |of: fn(&Interval) -> Counts| {
                slo.intervals
                    .iter()
                    .map(of)
                    .fold(Counts::default(), |a, b| Counts {
                        events: a.events + b.events,
                        failures: a.failures + b.failures,
                    })
            };
            let (new, old) = (sum(|i| i.new), sum(|i| i.old));
            let share = |c: Counts| {
                if c.events > 0.0 {
                    c.failures / c.events
                } else {
                    0.0
                }
            };
            SloComparison {
                name: slo.name.clone(),
                new,
                old,
                bad: new.failures >= 20.0 && share(new) > slo.budget.max(3.0 * share(old)),
            }
        })
        .collect();
    Comparison { slos }
}

impl Comparison {
    pub fn bad(&self) -> Option<&SloComparison> {
        self.slos.iter().find(|slo| slo.bad)
    }

    pub fn worst(&self) -> Option<&SloComparison> {
        self.slos.first()
    }

    pub fn requests_seen(&self) -> f64 {
        self.slos.iter().map(|slo| slo.new.events).fold(0.0, f64::max)
    }
}
