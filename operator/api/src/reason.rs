//! Every reason that a condition can have: what it means, and what to do about it.

use std::fmt;

use crate::ConditionType;

/// What to do where a condition is not True.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing is wrong.
    None,
    /// The operator tries again by itself.
    Wait,
    /// Another condition says more.
    See(ConditionType),
    /// The message ends with it, after its last `: `.
    InMessage,
    /// The same for every app, whose namespace and name stand for `NAMESPACE` and `NAME`.
    Do(&'static str),
}

macro_rules! reasons {
    ($( $(#[doc = $meaning:literal])+ $name:ident => $remedy:expr, )*) => {
        /// Why a condition is as it is.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $( $(#[doc = $meaning])+ $name, )*
            /// The field of the spec that makes no sense: `InvalidSpecPort`.
            InvalidField(String),
            /// What Kubernetes itself gives as the reason.
            Kubernetes(String),
        }

        impl Reason {
            /// All but those that name a field, or are Kubernetes' own.
            pub const ALL: &[Self] = &[ $( Self::$name, )* ];

            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$name => stringify!($name), )*
                    Self::InvalidField(text) | Self::Kubernetes(text) => text,
                }
            }

            pub fn meaning(&self) -> &'static str {
                match self {
                    $( Self::$name => concat!($( $meaning ),+).trim_start(), )*
                    Self::InvalidField(_) => "A field of the spec makes no sense.",
                    Self::Kubernetes(_) => "Kubernetes' own reason.",
                }
            }

            pub fn remedy(&self) -> Remedy {
                match self {
                    $( Self::$name => $remedy, )*
                    Self::InvalidField(_) => Remedy::Do(CORRECT_THE_SPEC),
                    Self::Kubernetes(_) => Remedy::InMessage,
                }
            }
        }
    };
}

const CORRECT_THE_SPEC: &str =
    "correct the spec; `observedapp check FILE` says the same before it is applied";
const DESCRIBE_PODS: &str =
    "wait; if it does not end: kubectl describe pods -n NAMESPACE -l app.kubernetes.io/instance=NAME";
const CHOOSE_A_CLASS: &str =
    "set spec.ingress.className to a class that exists, or install its ingress controller";
const BOUND_BY_TIME: &str = "nothing, if you know that it suffices; else bound the retention by time";
const RELEASE_ANOTHER: &str = "set the spec to a release that works; or let this one go on: kubectl annotate oapp NAME -n NAMESPACE --overwrite observedapp.dev/release-anyway=WHY";

reasons! {
    // `Ready`, when it is True; else it has the reason of the condition that lowers it.
    /// The app serves.
    Ready => Remedy::None,

    // `Valid`
    /// The spec makes sense.
    Valid => Remedy::None,
    /// The spec makes sense, and its author should know something of it.
    ValidWithNotes => Remedy::None,
    /// The spec makes no sense.
    Invalid => Remedy::See(ConditionType::Valid),
    /// The object cannot be read as an ObservedApp.
    Unreadable => Remedy::InMessage,
    /// The cluster could not be observed, so the spec was not checked against it.
    NotChecked => Remedy::Wait,

    // `Applied`
    /// All objects are as wanted.
    Applied => Remedy::None,
    /// Passwords were generated, and what uses them follows.
    Applying => Remedy::Wait,
    /// `spec.paused` is true.
    Paused => Remedy::Do("set spec.paused to false when changes may be made again"),
    /// The cluster does not serve an API that the app needs.
    ApiMissing => Remedy::InMessage,
    /// An object of the same name is not the app's.
    ForeignObject => Remedy::InMessage,
    /// An object of the same name is being deleted.
    BeingDeleted => Remedy::Wait,
    /// What was read has changed meanwhile.
    Stale => Remedy::Wait,
    /// This replica of the operator is not the leader any more.
    NotLeader => Remedy::Wait,
    /// The API server asks to send less.
    Throttled => Remedy::Wait,
    /// The API server does not answer, or fails.
    ApiServerUnavailable => Remedy::Wait,
    /// Somebody else wrote at the same time.
    Conflict => Remedy::Wait,
    /// The operator's token is not accepted.
    Unauthorized => Remedy::InMessage,
    /// The operator lacks a right.
    Forbidden => Remedy::InMessage,
    /// A CustomResourceDefinition was installed just now and is not served yet.
    ApiNotReady => Remedy::Wait,
    /// A ResourceQuota has no room.
    QuotaExceeded => Remedy::InMessage,
    /// A LimitRange does not allow the size.
    OutsideLimitRange => Remedy::InMessage,
    /// The claim's StorageClass does not let it grow.
    ClaimCannotGrow => Remedy::InMessage,
    /// The API server does not accept an object.
    Rejected => Remedy::InMessage,
    /// A field of an object would have to change that cannot.
    Immutable => Remedy::InMessage,
    /// An admission webhook or policy refused an object.
    RefusedByWebhook => Remedy::InMessage,
    /// An admission webhook does not answer.
    WebhookUnavailable => Remedy::InMessage,
    /// An admission plugin of the API server refused an object.
    RefusedByAdmission => Remedy::InMessage,
    /// The namespace is being deleted.
    NamespaceTerminating => Remedy::Do("nothing: the namespace goes, and the app with it"),

    // `Available`, and what the pods of the database and the cache say
    /// All wanted pods of the newest revision answer.
    AllAnswer => Remedy::None,
    /// No pods are wanted.
    ScaledToZero => Remedy::None,
    /// The object does not exist yet.
    NotCreated => Remedy::See(ConditionType::Applied),
    /// Pods of the newest revision start, or old ones end.
    RollingOut => Remedy::Do(DESCRIBE_PODS),
    /// The pods run and do not answer their readiness check.
    NotAnswering => Remedy::InMessage,
    /// The namespace's Pod Security Standard does not allow the pods.
    RefusedByPodSecurity => Remedy::InMessage,
    /// The API server takes no pod.
    PodsNotCreated => Remedy::Do(
        "kubectl describe replicasets -n NAMESPACE -l app.kubernetes.io/instance=NAME",
    ),
    /// The image cannot be had.
    ImagePullBackOff => Remedy::InMessage,
    /// The image runs as root.
    RunsAsRoot => Remedy::InMessage,
    /// A Secret, a ConfigMap or a key of one is missing.
    MissingConfiguration => Remedy::InMessage,
    /// The container's command cannot be run.
    CannotStart => Remedy::InMessage,
    /// No node has room for a pod, or may have it.
    Unschedulable => Remedy::InMessage,
    /// A node was short of something and ended a pod.
    Evicted => Remedy::InMessage,
    /// A container ends again and again.
    CrashLoopBackOff => Remedy::InMessage,
    /// A container was killed at its memory limit.
    OOMKilled => Remedy::InMessage,
    /// A pod's network or cgroup could not be set up.
    SandboxNotCreated => Remedy::InMessage,
    /// A volume cannot be mounted.
    VolumeNotMounted => Remedy::InMessage,
    /// A pod does not run, for another reason.
    PodsNotRunning => Remedy::InMessage,
    /// Nothing listens on the port.
    NothingListens => Remedy::InMessage,
    /// The readiness path is not the app's.
    WrongReadinessPath => Remedy::InMessage,
    /// The liveness path is not the app's.
    WrongLivenessPath => Remedy::InMessage,
    /// The app itself says that it cannot serve.
    ReadinessFails => Remedy::InMessage,
    /// The app itself says that it is broken.
    LivenessFails => Remedy::InMessage,
    /// The app does not answer a health check in time.
    ProbeTimeout => Remedy::InMessage,
    /// The node finds no route to the pod.
    PodUnreachable => Remedy::InMessage,
    /// What listens on the port does not speak plain HTTP.
    NotHTTP => Remedy::InMessage,
    /// A health check fails, for another reason.
    ProbeFails => Remedy::InMessage,

    // `DatabaseReady` and `CacheReady`
    /// It accepts connections.
    AcceptsConnections => Remedy::None,
    /// Its Secret has the key; no more is known of what runs elsewhere.
    External => Remedy::None,
    /// It does not accept connections yet.
    Starting => Remedy::Do(DESCRIBE_PODS),
    /// CloudNativePG's primary is not ready.
    NotReady => Remedy::InMessage,
    /// The database's data is there and its password is gone.
    SecretLost => Remedy::InMessage,
    /// The Secret does not exist.
    SecretMissing => Remedy::InMessage,
    /// The Secret lacks the key.
    KeyMissing => Remedy::InMessage,

    // `Exposed`
    /// Requests from outside find their way.
    Exposed => Remedy::None,
    /// The load balancer has no address.
    NoAddress => Remedy::Do("install a load balancer's controller, or set spec.service.type to ClusterIP"),
    /// Another app has the host.
    HostTaken => Remedy::InMessage,
    /// The IngressClass does not exist.
    ClassMissing => Remedy::Do(CHOOSE_A_CLASS),
    /// No IngressClass is given, and none is the default.
    NoDefaultClass => Remedy::Do(CHOOSE_A_CLASS),
    /// The operator may not read IngressClasses; that says nothing of the app.
    IngressClassesUnreadable => Remedy::InMessage,

    /// A Gateway that the spec names does not exist.
    GatewayMissing => Remedy::InMessage,
    /// No controller of Gateways has looked at the HTTPRoute.
    RouteNotLookedAt => Remedy::InMessage,
    /// A Gateway does not take the HTTPRoute.
    RouteNotAccepted => Remedy::InMessage,
    /// A Gateway takes the HTTPRoute and does not find the app's Service.
    RouteNotResolved => Remedy::InMessage,

    // `DashboardsReady`
    /// The ConfigMap with the dashboard is there.
    Delivered => Remedy::None,
    /// What the condition needs is not applied yet.
    NotApplied => Remedy::See(ConditionType::Applied),

    // `Scaled`
    /// The autoscaler has its metrics and is not at its maximum.
    Scaled => Remedy::None,
    /// The autoscaler has not said anything yet.
    NotKnown => Remedy::InMessage,
    /// The autoscaler does nothing.
    ScalingInactive => Remedy::InMessage,

    // `Monitored`, and the other conditions where Prometheus cannot be asked
    /// Prometheus scrapes every target.
    Scraped => Remedy::None,
    /// Prometheus has not been asked yet.
    NotAsked => Remedy::Wait,
    /// There is no Prometheus.
    NoPrometheus => Remedy::InMessage,
    /// There is a Prometheus, and none that the operator trusts.
    PrometheusNotTrusted => Remedy::InMessage,
    /// Prometheus does not answer.
    PrometheusUnreachable => Remedy::InMessage,
    /// Prometheus does not select the object.
    NotSelected => Remedy::InMessage,
    /// Prometheus has no target of a job.
    NoTargets => Remedy::InMessage,
    /// A target cannot be scraped.
    TargetDown => Remedy::InMessage,
    /// The operator knows no blackbox exporter.
    NoProber => Remedy::InMessage,
    /// The probe begins once the app has answered.
    NotAnsweredYet => Remedy::See(ConditionType::Available),

    // `RulesLoaded`
    /// Prometheus evaluates these very rules.
    Loaded => Remedy::None,
    /// Prometheus evaluates none of the app's rules.
    NotLoaded => Remedy::InMessage,
    /// Prometheus evaluates earlier rules of the app.
    OldRules => Remedy::InMessage,
    /// Prometheus cannot evaluate a rule.
    RuleFails => Remedy::InMessage,

    // `HistoryKept`
    /// Samples are kept for the longest window.
    Kept => Remedy::None,
    /// Samples are kept for less than the longest window.
    RetentionTooShort => Remedy::InMessage,
    /// Prometheus does not say how long it keeps samples.
    NotSaid => Remedy::Do(BOUND_BY_TIME),
    /// Samples are kept up to a size, so it is not known for how long.
    BoundedBySize => Remedy::Do(BOUND_BY_TIME),

    // `Released`
    /// The newest release runs everywhere and is watched: a fast burn that was not there before takes it back.
    Watching => Remedy::None,
    /// The newest release runs everywhere.
    Stable => Remedy::None,
    /// The newest release runs everywhere; it went on to all pods while the operator was away.
    Unjudged => Remedy::None,
    /// The newest release waits for error budget.
    Held => Remedy::InMessage,
    /// One pod of the newest release serves beside all old ones.
    Baking => Remedy::Wait,
    /// The newest release failed more than the one before, which runs again.
    RolledBack => Remedy::Do(RELEASE_ANOTHER),
    /// No pod of the newest release answered in time; the release before runs again.
    NeverReady => Remedy::Do(RELEASE_ANOTHER),

    // `SLOsMet`
    /// No objective has spent its budget.
    WithinBudget => Remedy::None,
    /// No objective has spent its budget, and one burns faster than is sustainable or has an alert that fires.
    AtRisk => Remedy::None,
    /// The budget of an objective is spent.
    BudgetSpent => Remedy::InMessage,
    /// An objective has events, and which of them failed is not known.
    NotMeasurable => Remedy::InMessage,
    /// Prometheus has recorded nothing lately.
    NotRecorded => Remedy::InMessage,
    /// There is no traffic, or the rules are new.
    NoData => Remedy::Do("send it requests; if it has some, Monitored and RulesLoaded say what is missing"),
}

impl Reason {
    /// The reason that this text is in a condition.
    pub fn read(text: &str) -> Self {
        Self::ALL
            .iter()
            .find(|reason| reason.as_str() == text)
            .cloned()
            .unwrap_or_else(|| match text.strip_prefix("Invalid") {
                Some(_) => Self::InvalidField(text.to_owned()),
                None => Self::Kubernetes(text.to_owned()),
            })
    }

    /// `spec.slos[0].objective` becomes `InvalidSpecSlosObjective`: a reason can have only letters and digits.
    pub fn invalid(field: &str) -> Self {
        let words: String = field
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .map(|word| {
                let (first, rest) = word.split_at(1);
                first.to_ascii_uppercase() + rest
            })
            .collect();
        if words.is_empty() {
            Self::Invalid
        } else {
            Self::InvalidField(format!("Invalid{words}"))
        }
    }

    /// Whether it passes by itself within moments, so that it is no Event.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::NamespaceTerminating
                | Self::ApiNotReady
                | Self::NotCreated
                | Self::RollingOut
                | Self::Starting
                | Self::NotApplied
                | Self::RouteNotLookedAt
                | Self::Applying
                | Self::NotChecked
                | Self::Stale
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_the_field() {
        assert_eq!(
            Reason::invalid("spec.slos[0].objective").as_str(),
            "InvalidSpecSlosObjective"
        );
        assert_eq!(Reason::invalid(""), Reason::Invalid);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let others = [
            Reason::invalid("spec.port"),
            Reason::Kubernetes("TooManyReplicas".to_owned()),
        ];
        for reason in Reason::ALL.iter().chain(&others) {
            assert_eq!(&Reason::read(reason.as_str()), reason);
        }
    }
}
