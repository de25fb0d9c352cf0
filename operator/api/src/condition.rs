//! The types of conditions, and what each means.

macro_rules! conditions {
    ($( $(#[doc = $meaning:literal])+ $type:ident, )*) => {
        /// The types of conditions, in the order in which they are shown.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ConditionType { $( $(#[doc = $meaning])+ $type, )* }

        impl ConditionType {
            pub const ALL: &[Self] = &[ $( Self::$type, )* ];

            pub fn as_str(self) -> &'static str {
                match self { $( Self::$type => stringify!($type), )* }
            }

            /// What it means that it is True.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$type => concat!($( $meaning ),+).trim_start(), )* }
            }
        }
    };
}

conditions! {
    /// The app serves: `Valid`, `Applied`, `Available` and, where they apply, `DatabaseReady`, `CacheReady` and `Exposed`
    /// are True. What is only observed never lowers it.
    Ready,
    /// The spec makes sense beyond what admission can check; else the reason names the field.
    Valid,
    /// Every object is as wanted; else the first that is not, and why.
    Applied,
    /// The wanted pods of the release that should run now answer; else what the pods say, with the remedy.
    Available,
    /// The database accepts connections; of an external one the Secret has the key, and no more is known.
    DatabaseReady,
    /// The cache accepts connections; of an external one the Secret has the key, and no more is known.
    CacheReady,
    /// The host is the app's, the Ingress has its class, the HTTPRoute is accepted by its Gateways, the load balancer has its
    /// address.
    Exposed,
    /// Prometheus has this app's targets and scrapes them; else why not.
    Monitored,
    /// Prometheus has loaded these very rules and evaluates them.
    RulesLoaded,
    /// Prometheus keeps data for as long as the longest window; else both figures and the setting.
    HistoryKept,
    /// The dashboard is delivered.
    DashboardsReady,
    /// No SLO has spent its budget; without any data it is Unknown.
    SLOsMet,
    /// With autoscaling: the autoscaler has its metrics and is not held at its maximum.
    Scaled,
    /// The newest release runs everywhere; else how far it has come, or why it was taken back. It never lowers `Ready`.
    Released,
    /// A change is under way; absent otherwise. For tools that follow kstatus.
    Reconciling,
    /// Only a change of the spec can help; absent otherwise. For tools that follow kstatus.
    Stalled,
}
