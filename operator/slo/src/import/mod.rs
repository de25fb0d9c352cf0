//! SLOs of other tools as this one's: Sloth, Pyrra and OpenSLO specs become what goes under `slos:`, and
//! what has no equivalent is said.

mod openslo;
mod pyrra;
mod query;
mod sloth;

use serde_json::Value;

use crate::problem::Refusal;
use crate::spec;

/// What one document means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    pub slos: Vec<spec::Slo>,
    /// What was not imported, or must be reviewed; each begins with where it was.
    pub remarks: Vec<String>,
}

impl Imported {
    fn remark(&mut self, place: &str, remark: impl AsRef<str>) {
        self.remarks.push(format!("{place}: {}", remark.as_ref()));
    }

    fn push(&mut self, place: &str, draft: Draft, indicator: Result<query::Found, Refusal>) {
        match indicator {
            Ok(found) => {
                for remark in found.remarks {
                    self.remark(place, remark);
                }
                let name = name(&draft.name);
                if name != draft.name {
                    self.remark(place, format!("is named {name:?} here"));
                }
                self.slos.push(spec::Slo {
                    name,
                    description: draft.description,
                    objective: draft.objective,
                    window: draft.window,
                    indicator: found.indicator,
                    alerting: draft.alerting,
                });
            }
            Err(refusal) => self.remark(place, format!("left out: {refusal}")),
        }
    }
}

/// All of an SLO but what it counts.
#[derive(Debug, Default)]
struct Draft {
    name: String,
    description: String,
    objective: String,
    window: Option<String>,
    alerting: spec::Alerting,
}

/// Reads one YAML document, whichever of the three it is.
pub fn import(document: &Value) -> Result<Imported, Refusal> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api, kind, version) = (text("apiVersion"), text("kind"), text("version"));
    if version.starts_with("prometheus/v1")
        || (api.starts_with("sloth.slok.dev/") && kind == "PrometheusServiceLevel")
    {
        Ok(sloth::import(document))
    } else if api.starts_with("pyrra.dev/") && kind == "ServiceLevelObjective" {
        Ok(pyrra::import(document))
    } else if api.starts_with("openslo/") && kind == "SLO" {
        Ok(openslo::import(document))
    } else {
        Err(Refusal::new(
            format!("is none that is known (apiVersion {api:?}, kind {kind:?}, version {version:?})"),
            "give a Sloth spec or PrometheusServiceLevel, a Pyrra ServiceLevelObjective, or an OpenSLO SLO",
        ))
    }
}

/// A name that an SLO may have.
fn name(text: &str) -> String {
    let mapped: String = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    mapped.trim_matches('-').to_owned()
}

fn text(value: &Value, path: &[&str]) -> Option<String> {
    match at(value, path)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// The first of several spellings: Sloth's files say `error_query`, its resource `errorQuery`.
fn either<'v>(value: &'v Value, keys: [&str; 2]) -> Option<&'v Value> {
    keys.iter().find_map(|key| value.get(key))
}

fn items<'v>(value: &'v Value, path: &[&str]) -> &'v [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn labels(value: Option<&Value>) -> spec::Labels {
    let map = value.and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// `0.999` as `99.9`: in digits, because 0.999 × 100 is 99.9 only on paper.
fn percent(ratio: &str) -> String {
    let (whole, fraction) = ratio.split_once('.').unwrap_or((ratio, ""));
    let digits = format!("{whole}{fraction:0<2}");
    let point = whole.len() + 2;
    let (whole, fraction) = digits.split_at(point.min(digits.len()));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_become_percent_in_digits() {
        for (ratio, expected) in [
            ("0.999", "99.9"),
            ("0.99", "99"),
            ("0.9", "90"),
            ("0.99999", "99.999"),
            ("0.005", "0.5"),
            ("1", "100"),
        ] {
            assert_eq!(percent(ratio), expected);
        }
    }

    #[test]
    fn names_are_made_to_fit() {
        assert_eq!(name("Requests_Availability"), "requests-availability");
        assert_eq!(name("http errors!"), "http-errors");
    }
}
