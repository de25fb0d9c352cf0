//! A new figure in the schema or the printed columns without a row in the truth table fails here.

/// The figures of one objective.
pub const OBJECTIVE: [&str; 10] = [
    "name",
    "objective",
    "window",
    "windowCoverage",
    "sli",
    "budgetRemaining",
    "burnRate",
    "exhaustsIn",
    "state",
    "observedAt",
];
/// Stat panels without a figure of an objective.
pub const OTHER_PANELS: [&str; 0] = [];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::surfaces::COLUMNS;
    use super::*;

    /// The fields of an alert, which are compared with the firing alerts.
    const ALERT: [&str; 4] = ["name", "slo", "severity", "since"];
    /// Fields of the status that other tests check.
    const OTHER_STATUS: [&str; 9] = [
        "observedGeneration",
        "replicas",
        "readyReplicas",
        "selector",
        "url",
        "binding",
        "applied",
        "release",
        "releases",
    ];
    const STATUS: [&str; 5] = ["firingAlerts", "alerts", "worstSLO", "slos", "conditions"];
    /// Printed columns without a figure of an objective or an alert.
    const OTHER_COLUMNS: [&str; 5] = ["Ready", "Replicas", "Age", "URL", "Image"];

    fn properties(schema: &Value) -> BTreeSet<String> {
        schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys().cloned())
            .collect()
    }

    fn names(lists: &[&[&str]]) -> BTreeSet<String> {
        lists
            .iter()
            .flat_map(|list| list.iter().map(|name| (*name).to_owned()))
            .collect()
    }

    #[test]
    fn every_figure_of_the_status_has_a_row() {
        let definition = serde_json::to_value(observedapp_api::crd()).unwrap();
        let version = &definition["spec"]["versions"][0];
        let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(properties(status), names(&[&STATUS, &OTHER_STATUS]));
        let of = |field: &str| &status["properties"][field];
        assert_eq!(properties(&of("slos")["items"]), names(&[&OBJECTIVE]));
        assert_eq!(properties(of("worstSLO")), names(&[&OBJECTIVE]));
        assert_eq!(properties(&of("alerts")["items"]), names(&[&ALERT]));

        let columns: BTreeSet<String> = version["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|column| Some(column["name"].as_str()?.to_uppercase()))
            .collect();
        let rows: Vec<&str> = COLUMNS.iter().map(|(column, _)| *column).collect();
        let others: Vec<String> = OTHER_COLUMNS.iter().map(|name| name.to_uppercase()).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_eq!(columns, names(&[&rows, &others]));
    }
}
