//! What can go wrong while an app is brought to what it should be, and how soon it is worth trying again.

use std::time::Duration;

use observedapp_api::Reason;
use observedapp_desired::Kind;
use rand::RngExt;

/// Why something could not be done for an app.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{verb} {kind} {name}: {message}")]
    Api {
        verb: &'static str,
        kind: &'static str,
        name: String,
        class: Class,
        message: String,
        /// How long the API server asked to wait.
        retry_after: Option<Duration>,
    },
    #[error("the {} {name} exists already and is left alone: {holder}: rename the app, or delete or move that object", kind.as_str())]
    Foreign {
        kind: Kind,
        name: String,
        holder: String,
    },
    #[error("the {} {name} of an earlier life is being deleted; it is made again when it is gone", kind.as_str())]
    Terminating { kind: Kind, name: String },
    #[error("what was read has changed meanwhile; it is read again")]
    Stale,
    #[error("the lease was lost, so nothing is written any more")]
    NotLeader,
}

/// Kinds of failure that call for different patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The API server asks for patience.
    Throttled,
    /// The API server does not answer, or fails.
    Unavailable,
    /// Somebody else was faster.
    Conflict,
    /// The operator's token is not accepted.
    Unauthorized,
    /// The operator lacks a right.
    Forbidden,
    /// The API server has stored a CustomResourceDefinition and does not know its kind everywhere yet.
    NotYetServed,
    /// A ResourceQuota has no room for the object.
    Quota,
    /// A LimitRange does not allow the object's size.
    LimitRange,
    /// The claim's StorageClass does not let it grow.
    CannotGrow,
    /// The API server does not accept the object.
    Invalid,
    /// The object is there, and a field of it would have to change that cannot.
    Immutable,
    /// An admission webhook or policy refused the object.
    Refused,
    /// An admission webhook does not answer.
    WebhookDown,
    /// An admission plugin of the API server refused the object.
    Admission,
    /// The cluster does not serve this API.
    ApiMissing,
    /// The namespace is being deleted.
    Terminating,
}

impl Class {
    fn reason(self) -> Reason {
        match self {
            Self::Throttled => Reason::Throttled,
            Self::Unavailable => Reason::ApiServerUnavailable,
            Self::Conflict => Reason::Conflict,
            Self::Unauthorized => Reason::Unauthorized,
            Self::Forbidden => Reason::Forbidden,
            Self::NotYetServed => Reason::ApiNotReady,
            Self::Quota => Reason::QuotaExceeded,
            Self::LimitRange => Reason::OutsideLimitRange,
            Self::CannotGrow => Reason::ClaimCannotGrow,
            Self::Invalid => Reason::Rejected,
            Self::Immutable => Reason::Immutable,
            Self::Refused => Reason::RefusedByWebhook,
            Self::WebhookDown => Reason::WebhookUnavailable,
            Self::Admission => Reason::RefusedByAdmission,
            Self::ApiMissing => Reason::ApiMissing,
            Self::Terminating => Reason::NamespaceTerminating,
        }
    }

    fn of(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Unavailable;
        };
        let message = status.message.as_str();
        match status.code {
            _ if status.reason == "NamespaceTerminating"
                || message.contains("because it is being terminated") =>
            {
                Self::Terminating
            }
            404 if message.starts_with("namespaces ") => Self::Terminating,
            _ if message.starts_with("admission webhook")
                || message.contains("ValidatingAdmissionPolicy") =>
            {
                Self::Refused
            }
            _ if message.contains("failed calling webhook") => Self::WebhookDown,
            401 => Self::Unauthorized,
            403 => Self::of_forbidden(message),
            404 | 405 => Self::ApiMissing,
            409 => Self::Conflict,
            422 if message.contains("immutable") || message.contains("updates to statefulset spec") => {
                Self::Immutable
            }
            400 | 413 | 415 | 422 => Self::Invalid,
            429 => Self::Throttled,
            _ => Self::Unavailable,
        }
    }

    /// The authorizer and every admission plugin answer 403: only the message distinguishes them.
    fn of_forbidden(message: &str) -> Self {
        let has = |words: &str| message.contains(words);
        if has("cannot find RESTMapping") {
            Self::NotYetServed
        } else if (has(" cannot ") && has(" resource \"")) || has("can't set finalizers on") {
            Self::Forbidden
        } else if has("status unknown for quota") {
            // The quota was made a moment ago and is not counted yet.
            Self::Throttled
        } else if has("exceeded quota") || has("failed quota") {
            Self::Quota
        } else if has(" usage per ") || has(" max limit to request ratio per ") {
            Self::LimitRange
        } else if has("pvc can be resized") || has("persistent volume claims can be expanded") {
            Self::CannotGrow
        } else {
            Self::Admission
        }
    }
}

impl Error {
    pub fn api(verb: &'static str, kind: &'static str, name: &str, error: &kube::Error) -> Self {
        let retry_after = match error {
            kube::Error::Api(status) => status
                .details
                .as_ref()
                .map(|details| details.retry_after_seconds)
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Duration::from_secs(u64::from(seconds))),
            _ => None,
        };
        let message = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        Self::Api {
            verb,
            kind,
            name: name.to_owned(),
            class: Class::of(error),
            message,
            retry_after,
        }
    }

    /// The error of a write that was bound to the version that was read: a conflict means that there is a newer one.
    pub fn or_stale(self) -> Self {
        match self {
            Self::Api {
                class: Class::Conflict,
                ..
            } => Self::Stale,
            error => error,
        }
    }

    pub fn timeout(verb: &'static str, kind: &'static str, name: &str) -> Self {
        Self::Api {
            verb,
            kind,
            name: name.to_owned(),
            class: Class::Unavailable,
            message: "the API server did not answer in time".to_owned(),
            retry_after: None,
        }
    }

    /// The reason in a condition, and the label of `observedapp_errors_total`.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Api { class, .. } => class.reason(),
            Self::Foreign { .. } => Reason::ForeignObject,
            Self::Terminating { .. } => Reason::BeingDeleted,
            Self::Stale => Reason::Stale,
            Self::NotLeader => Reason::NotLeader,
        }
    }

    /// Whether there is no sense in going on with the app's other objects.
    pub fn stops_all(&self) -> bool {
        match self {
            Self::Api { class, .. } => {
                // Each of the app's objects names the app as its owner, so what fails for one kind of these fails for all.
                matches!(
                    class,
                    Class::Throttled
                        | Class::Unavailable
                        | Class::Unauthorized
                        | Class::NotYetServed
                        | Class::Terminating
                )
            }
            Self::Stale | Self::NotLeader => true,
            Self::Foreign { .. } | Self::Terminating { .. } => false,
        }
    }

    /// Whether it is about the object of this name.
    pub fn concerns(&self, object: &str) -> bool {
        match self {
            Self::Api { name, .. } | Self::Foreign { name, .. } | Self::Terminating { name, .. } => {
                name == object
            }
            Self::Stale | Self::NotLeader => false,
        }
    }

    /// What is wrong and what to do about it.
    pub fn sentence(&self) -> String {
        match self.remedy() {
            Some(remedy) => format!("{self}: {remedy}"),
            None => self.to_string(),
        }
    }

    /// What to do about it, if a person has to.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Api { class, kind, .. } => match class {
                Class::Forbidden => {
                    Some("give the operator's ServiceAccount this right (the chart's rbac.create does)")
                }
                Class::Unauthorized => {
                    Some("check that the operator's ServiceAccount exists, then restart the operator's pod")
                }
                Class::Quota => Some("raise the quota or lower what the app asks for"),
                Class::LimitRange => Some("widen the LimitRange, or ask for a size within it"),
                Class::CannotGrow => Some(
                    "give spec.database.builtin.storage.size its former value back, or set allowVolumeExpansion in the claim's StorageClass if its driver can do it",
                ),
                Class::Invalid => Some("correct the field that the message names"),
                // Whoever deletes a claim loses what it holds.
                Class::Immutable if *kind == Kind::PersistentVolumeClaim.as_str() => Some(
                    "nothing of a claim can change but its size, which can grow once it is bound; its data stays: give the spec the claim's own value back, or move the data to an app of another name",
                ),
                Class::Immutable => Some(
                    "this cannot be changed in place: delete the object, and the operator makes it anew at once; claims and their data stay",
                ),
                Class::Refused => Some("meet what the policy asks for, or exempt the object from it"),
                Class::WebhookDown => Some(
                    "mend the webhook that does not answer, or delete its configuration if what it belonged to is gone",
                ),
                Class::Admission => {
                    Some("meet what the message asks for, or have the cluster's policy allow it")
                }
                Class::ApiMissing => Some(
                    "install the API's CustomResourceDefinition; one that was installed just now needs a moment",
                ),
                _ => None,
            },
            _ => None,
        }
    }

    /// How long to wait after so many failures in a row. Where a watch shows that the cause is gone, the app is
    /// reconciled at once.
    pub fn backoff(&self, failures: u32) -> Duration {
        let growing = |first: u64, last: u64| {
            Duration::from_millis(first.saturating_mul(1 << failures.min(16)).min(last))
        };
        let wait = match self {
            Self::Api {
                retry_after: Some(wait),
                ..
            } => *wait,
            Self::Api { class, .. } => match class {
                Class::Conflict => growing(50, 10_000),
                Class::Throttled | Class::Unavailable => growing(250, 60_000),
                Class::NotYetServed => growing(500, 10_000),
                Class::Quota
                | Class::LimitRange
                | Class::CannotGrow
                | Class::Refused
                | Class::WebhookDown
                | Class::Admission
                | Class::ApiMissing
                | Class::Unauthorized
                | Class::Terminating => growing(2_000, 60_000),
                Class::Forbidden | Class::Invalid | Class::Immutable => growing(5_000, 300_000),
            },
            Self::Stale => growing(20, 5_000),
            Self::Terminating { .. } => growing(500, 30_000),
            Self::Foreign { .. } | Self::NotLeader => growing(5_000, 300_000),
        };
        jittered(wait)
    }
}

/// Between three quarters and five quarters of a wait, so that a thousand apps do not come back at once.
pub fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.75..1.25))
}

#[cfg(test)]
mod tests;
