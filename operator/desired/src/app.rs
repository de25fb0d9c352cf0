//! An app whose spec was checked.

use observedapp_api::{AppRef, BuiltinCache, ObservedAppSpec, SecretKey};

use crate::{Objectives, Observed, Problem, Settings};

/// A validated `ObservedApp`, with what was observed of the cluster and the operator's settings. Only
/// [`crate::validate`] makes one; every default is filled in and every text that has a grammar is parsed.
#[derive(Clone, Debug)]
pub struct ValidApp {
    pub id: AppRef,
    /// Absent where there is no cluster (`observedapp render`): then objects carry no owner.
    pub uid: Option<String>,
    /// The spec, for the fields that are passed on as they are.
    pub spec: ObservedAppSpec,
    pub database: Option<Database>,
    /// What is measured, promised and alerted on.
    pub objectives: Objectives,
    pub observed: Observed,
    pub settings: Settings,
    /// What its author should know of; nothing is wrong.
    pub notes: Vec<Problem>,
}

impl ValidApp {
    pub(crate) fn builtin_cache(&self) -> Option<&BuiltinCache> {
        self.spec.cache.as_ref()?.builtin.as_ref()
    }
}

/// Which database the app has.
#[derive(Clone, Debug)]
pub enum Database {
    Builtin(observedapp_api::BuiltinDatabase),
    CloudNativePg(observedapp_api::CloudNativePgDatabase),
    External(SecretKey),
}
