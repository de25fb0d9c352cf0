//! SLOs as a user writes them under `slos:`: text that is not parsed yet.

use std::collections::BTreeMap;

use serde::Serialize;

pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Percent, in decimals.
    #[serde(serialize_with = "as_number")]
    pub objective: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    pub indicator: Indicator,
    #[serde(skip_serializing_if = "Alerting::is_default")]
    pub alerting: Alerting,
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Indicator {
    Availability {
        #[serde(skip_serializing_if = "String::is_empty")]
        matchers: String,
    },
    Latency {
        threshold: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        matchers: String,
    },
    Ratio {
        errors: String,
        total: String,
    },
    Probe {},
}

impl Indicator {
    /// The texts in it that are parsed as PromQL.
    pub(crate) fn promql(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::Availability { matchers } | Self::Latency { matchers, .. } => [Some(matchers), None],
            Self::Ratio { errors, total } => [Some(errors), Some(total)],
            Self::Probe {} => [None, None],
        };
        texts.into_iter().flatten().map(String::as_str)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alerting {
    #[serde(skip_serializing_if = "Notification::is_default")]
    pub page: Notification,
    #[serde(skip_serializing_if = "Notification::is_default")]
    pub ticket: Notification,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_failures: Option<u32>,
    #[serde(rename = "runbookURL", skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
}

impl Alerting {
    /// Fewer failed events than this never alert.
    pub const DEFAULT_MIN_FAILURES: u32 = 5;

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notification {
    pub enabled: bool,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl Notification {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Notification {
    fn default() -> Self {
        Self {
            enabled: true,
            labels: Labels::new(),
        }
    }
}

/// An alerting rule of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtraAlert {
    pub alert: String,
    pub expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<String>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
}

/// People write `objective: 99.9`, not `"99.9"`.
fn as_number<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => serializer.serialize_f64(number),
        _ => serializer.serialize_str(text),
    }
}
