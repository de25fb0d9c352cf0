//! How far a reconcile came.

use observedapp_desired::{Desired, Problems};

use crate::apply::Outcome;
use crate::error::Error;

#[derive(Debug)]
pub enum Progress {
    /// The cluster could not be observed.
    Unobserved(Error),
    /// The spec makes no sense.
    Invalid(Problems),
    /// Nothing is written while the app is paused.
    Paused(Desired),
    /// Everything was tried.
    Applied { desired: Desired, outcome: Outcome },
}

impl Progress {
    pub fn desired(&self) -> Option<&Desired> {
        match self {
            Self::Unobserved(_) | Self::Invalid(_) => None,
            Self::Paused(desired) | Self::Applied { desired, .. } => Some(desired),
        }
    }

    /// The first error of the reconcile.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Unobserved(error) => Some(error),
            Self::Applied { outcome, .. } => outcome.errors.first(),
            Self::Invalid(_) | Self::Paused(_) => None,
        }
    }
}

#[cfg(test)]
impl Progress {
    pub fn applied(desired: Desired) -> Self {
        Self::Applied {
            desired,
            outcome: Outcome::default(),
        }
    }
}
