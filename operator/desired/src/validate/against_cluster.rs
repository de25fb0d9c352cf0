//! What the cluster says to a spec: the app's own past.

use observedapp_api::{Amount, BuiltinDatabase};

use super::Findings;
use crate::{Database, Observed};

pub(super) fn check(name: &str, database: Option<&Database>, observed: &Observed, findings: &mut Findings) {
    if let Some(Database::Builtin(builtin)) = database {
        version(name, builtin, observed, findings);
        size(name, builtin, observed, findings);
    }
}

/// Postgres cannot read what another major version has written.
fn version(name: &str, builtin: &BuiltinDatabase, observed: &Observed, findings: &mut Findings) {
    let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
    let wanted = major(builtin.version.as_str());
    let written = observed
        .database
        .claim
        .as_ref()
        .and_then(|claim| claim.version.as_deref())
        .map(major);
    if let Some(written) = written.filter(|written| *written != wanted) {
        findings.problem(
            "spec.database.builtin.version",
            format!("the claim {name}-db holds a database of Postgres {written}, which Postgres {wanted} cannot read"),
            format!(
                "set version back to {written}; to move, dump it with `kubectl exec {name}-db-0 -- pg_dump -U app -Fc app > app.dump`, \
                 remove database, delete the claim and the Secrets {name}-db-app and {name}-db-superuser, \
                 set version {wanted} and restore with pg_restore"
            ),
        );
    }
}

/// A claim can grow and not shrink. One that was kept from before may well be larger: it is used as it is.
fn size(name: &str, builtin: &BuiltinDatabase, observed: &Observed, findings: &mut Findings) {
    let Some(claim) = &observed.database.claim else {
        return;
    };
    let (wanted, there) = (
        Amount::try_from(&builtin.storage.size),
        claim.size.parse::<Amount>(),
    );
    let (Ok(wanted), Ok(there)) = (wanted, there) else {
        return;
    };
    if wanted > there
        && let Some(class) = &claim.class_that_cannot_grow
    {
        findings.problem(
            "spec.database.builtin.storage.size",
            format!(
                "the claim {name}-db has {}, and its StorageClass {class} does not let claims grow",
                claim.size
            ),
            format!(
                "set size back to {}; for more room, dump the database with \
                 `kubectl exec {name}-db-0 -- pg_dump -U app -Fc app > app.dump` and restore it with pg_restore into an app of \
                 another name, or have an administrator set allowVolumeExpansion on {class} if its provisioner can do it",
                claim.size
            ),
        );
    }
    if wanted < there {
        findings.note(
            "spec.database.builtin.storage.size",
            format!("the claim has {} already, and no claim can shrink", claim.size),
            format!("write {} to say what is there", claim.size),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::{Observed, ObservedClaim, Problems, Settings, ValidApp, validate};

    /// The app `shop/tasks` with this much more in its spec.
    fn validated(more: serde_json::Value, observed: Observed) -> Result<ValidApp, Problems> {
        let mut spec = json!({"image": "tasks:1"});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let app = json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "tasks", "namespace": "shop"}, "spec": spec,
        });
        validate(
            &serde_json::from_value(app).unwrap(),
            observed,
            Settings::default(),
        )
    }

    fn kept(size: &str, version: Option<&str>) -> Observed {
        let mut observed = Observed::default();
        observed.database.claim = Some(ObservedClaim {
            size: size.to_owned(),
            version: version.map(str::to_owned),
            ..ObservedClaim::default()
        });
        observed
    }

    fn database(version: &str, size: &str) -> serde_json::Value {
        json!({"database": {"builtin": {"version": version, "storage": {"size": size}}}})
    }

    fn only_problem(outcome: Result<ValidApp, Problems>) -> (String, String, String) {
        let mut problems = outcome.unwrap_err().0;
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = problems.remove(0);
        (problem.field, problem.problem, problem.remedy)
    }

    #[test]
    fn another_major_version_of_postgres_is_refused_with_the_way_to_move() {
        let (field, problem, remedy) =
            only_problem(validated(database("18", "1Gi"), kept("1Gi", Some("17"))));
        assert_eq!(field, "spec.database.builtin.version");
        assert!(
            problem.contains("holds a database of Postgres 17, which Postgres 18 cannot read"),
            "{problem}"
        );
        assert!(
            remedy.starts_with("set version back to 17") && remedy.contains("pg_dump"),
            "{remedy}"
        );
        // A minor version reads what another has written, and what nobody has written to holds nothing yet.
        assert!(validated(database("18.1", "1Gi"), kept("1Gi", Some("18"))).is_ok());
        assert!(validated(database("18", "1Gi"), kept("1Gi", None)).is_ok());
    }

    #[test]
    fn growth_on_a_class_that_cannot_is_refused_and_the_way_back_is_not() {
        let mut stuck = kept("1Gi", Some("18"));
        let claim = stuck.database.claim.as_mut().unwrap();
        claim.class_that_cannot_grow = Some("local-path".to_owned());
        let (field, problem, remedy) = only_problem(validated(database("18", "5Gi"), stuck.clone()));
        assert_eq!(field, "spec.database.builtin.storage.size");
        assert!(
            problem.contains("StorageClass local-path does not let claims grow"),
            "{problem}"
        );
        assert!(
            remedy.starts_with("set size back to 1Gi") && remedy.contains("pg_dump"),
            "{remedy}"
        );
        assert!(validated(database("18", "1Gi"), stuck).is_ok());
        assert!(
            validated(database("18", "5Gi"), kept("1Gi", Some("18"))).is_ok(),
            "of a class that can, or may not be read"
        );
    }

    #[test]
    fn a_claim_that_is_larger_is_used_as_it_is_and_said_so() {
        let notes = |wanted: &str, there: &str| {
            let app = validated(database("18", wanted), kept(there, Some("18"))).unwrap();
            app.notes
                .into_iter()
                .filter(|note| note.field == "spec.database.builtin.storage.size")
                .map(|note| note.problem)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            notes("1Gi", "2Gi"),
            ["the claim has 2Gi already, and no claim can shrink"]
        );
        assert!(notes("2Gi", "2048Mi").is_empty(), "the same in other words");
        assert!(notes("3Gi", "2Gi").is_empty(), "it can grow");
    }
}
