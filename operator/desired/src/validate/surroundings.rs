//! What the cluster says to a spec: other apps, and the app's own past.

use observedapp_api::{BuiltinDatabase, ObservedAppSpec};

use super::Findings;
use crate::{Amount, Database, Observed, Route};

pub(super) fn check(
    namespace: &str,
    name: &str,
    spec: &ObservedAppSpec,
    database: Option<&Database>,
    observed: &Observed,
    findings: &mut Findings,
) {
    route(namespace, name, spec, observed, findings);
    if let Some(Database::Builtin(builtin)) = database {
        version(name, builtin, observed, findings);
        size(builtin, observed, findings);
    }
}

/// The older app keeps its host and path; two that share them would take turns at answering.
fn route(namespace: &str, name: &str, spec: &ObservedAppSpec, observed: &Observed, findings: &mut Findings) {
    let Some(ingress) = &spec.ingress else {
        return;
    };
    let route = Route {
        host: ingress.host.clone(),
        path: ingress.path.clone(),
    };
    let own = format!("{namespace}/{name}");
    if let Some(owner) = observed.claimed_routes.get(&route).filter(|owner| **owner != own) {
        findings.problem(
            "spec.ingress.host",
            format!("{}{} is the older app {owner}'s", route.host, route.path),
            "choose another host or path, or remove it there first",
        );
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
fn size(builtin: &BuiltinDatabase, observed: &Observed, findings: &mut Findings) {
    let Some(claim) = &observed.database.claim else {
        return;
    };
    let (wanted, there) = (
        Amount::try_from(&builtin.storage.size),
        claim.size.parse::<Amount>(),
    );
    if let (Ok(wanted), Ok(there)) = (wanted, there)
        && wanted < there
    {
        findings.note(
            "spec.database.builtin.storage.size",
            format!("the claim has {} already, and no claim can shrink", claim.size),
            format!("write {} to say what is there", claim.size),
        );
    }
}
