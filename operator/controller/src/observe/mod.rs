//! Observe: all of the cluster that bears on one app.

mod hosts;
mod passwords;
mod releases;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::Api;
use observedapp_api::{Amount, AppRef, BuiltinDatabase, ObservedApp, ObservedAppSpec, Route};
use observedapp_desired::{Kind, Observed, ObservedClaim, ObservedDatabase, ObservedReplicas, references};

use crate::context::{AppCache, Context};
use crate::error::Error;
use crate::key::Key;
use crate::request::with_timeout;
use crate::watch::{ChildState, Ownership, Partial};

impl Context {
    /// All that bears on an app. From here on it is enqueued when something of that changes.
    pub async fn observe(
        &self,
        id: &AppRef,
        app: &ObservedApp,
        cache: &mut AppCache,
    ) -> Result<Observed, Error> {
        let held_routes = self.held_routes(app);
        let referred = references_of(id, app);
        self.depend_on(id, referred.clone(), &held_routes, cache);
        let deployment = self.get(id, Kind::Deployment, &id.name);
        let is_available = deployment
            .as_ref()
            .and_then(|live| live.facts.as_deref())
            .is_some_and(|facts| facts.available > 0);
        let is_probed = self
            .get(id, Kind::Probe, &id.name)
            .is_some_and(|live| live.ownership(&id.name, &cache.uid) == Ownership::Owned);
        Ok(Observed {
            optional_kinds: self.served.kinds(),
            prometheus: self.prometheus.observed(&id.namespace, &self.settings),
            database: self.observe_database(app, id, cache).await?,
            replicas: deployment.and_then(|live| replicas(&live)),
            has_answered: is_available || is_probed,
            references_digest: self
                .references
                .digest(&self.client, &self.store, &referred)
                .await?,
            held_routes,
            https_hosts: self.https_hosts(app),
            releases: self.observe_releases(id, app, cache).await?,
        })
    }

    /// The host names of `spec.gateway` that a Gateway is known to serve by HTTPS.
    pub fn https_hosts(&self, app: &ObservedApp) -> BTreeSet<String> {
        let namespace = app.namespace().unwrap_or_default();
        let gateway = app.spec.gateway.as_ref();
        let hosts = gateway.iter().flat_map(|gateway| {
            let hosts = gateway.hostnames.iter();
            hosts.filter(|host| self.gateways.serve_https(&namespace, gateway, host))
        });
        hosts.cloned().collect()
    }

    /// Has the app reconciled when what it refers to, what holds its hosts, or what blocks its objects changes.
    pub fn depend_on(
        &self,
        id: &AppRef,
        references: BTreeSet<Key>,
        held_routes: &BTreeMap<Route, AppRef>,
        cache: &AppCache,
    ) {
        let mut keys = references;
        keys.extend(held_routes.values().flat_map(|holder| {
            [Kind::Ingress, Kind::HTTPRoute].map(|kind| Key::new(kind, &holder.namespace, &holder.name))
        }));
        keys.extend(cache.blockers.iter().cloned());
        self.set_dependencies(id, keys);
    }

    /// The database as it exists. Where the watches show no claim the API server itself is asked: a password is
    /// generated only where there is certainly none whose data needs the old one. A Secret that no watch has shown is
    /// found when the new one is to be created.
    async fn observe_database(
        &self,
        app: &ObservedApp,
        id: &AppRef,
        cache: &mut AppCache,
    ) -> Result<ObservedDatabase, Error> {
        let Some(database) = &app.spec.database else {
            self.references.forget_passwords(id);
            return Ok(ObservedDatabase::default());
        };
        let uid = app.uid().unwrap_or_default();
        let is_ours = |live: &ChildState| !matches!(live.ownership(&id.name, &uid), Ownership::Foreign(_));
        if database.cloud_native_pg.is_some() {
            let is_the_clusters = |live: &ChildState| {
                live.controller
                    .as_ref()
                    .is_some_and(|owner| owner.kind == "Cluster")
            };
            return Ok(ObservedDatabase {
                app_password: self
                    .password(id, &id.database_secret(), true, is_the_clusters)
                    .await?,
                ..ObservedDatabase::default()
            });
        }
        let Some(builtin) = &database.builtin else {
            return Ok(ObservedDatabase::default());
        };
        let claim = self
            .claim(id, cache)
            .await?
            .filter(|live| !live.deleting && is_ours(live));
        let exists = claim.is_some();
        let class_that_cannot_grow = match &claim {
            Some(claim) => self.class_that_cannot_grow(claim, builtin).await,
            None => None,
        };
        let app_password = self.password(id, &id.database_secret(), exists, is_ours).await?;
        let superuser_password = self.password(id, &id.superuser_secret(), exists, is_ours).await?;
        let is_complete = app_password.is_some() && superuser_password.is_some();
        Ok(ObservedDatabase {
            claim: claim.map(|live| {
                let facts = live.facts.unwrap_or_default();
                ObservedClaim {
                    size: facts.requested.unwrap_or_default(),
                    version: facts.postgres_version,
                    class_that_cannot_grow,
                }
            }),
            fresh_passwords: (!is_complete).then(passwords::generate),
            app_password,
            superuser_password,
        })
    }

    /// The StorageClass of a claim that is to grow, if it is known not to let it. Where it cannot be read, the API server
    /// says the same when the claim is applied.
    async fn class_that_cannot_grow(&self, claim: &ChildState, database: &BuiltinDatabase) -> Option<String> {
        let facts = claim.facts.as_deref()?;
        let class = facts.storage_class.as_ref()?;
        let there: Amount = facts.requested.as_ref()?.parse().ok()?;
        let wanted = Amount::try_from(&database.storage.size).ok()?;
        if wanted <= there || !self.reads_cluster {
            return None;
        }
        let api: Api<StorageClass> = Api::all(self.client.clone());
        let found = with_timeout("get", "StorageClass", class, api.get(class))
            .await
            .ok()?;
        (found.allow_volume_expansion != Some(true)).then(|| class.clone())
    }

    /// The password in a Secret that the app may read. That another's has its name is said when it is to be written.
    async fn password(
        &self,
        id: &AppRef,
        secret: &str,
        ask: bool,
        may_read: impl Fn(&ChildState) -> bool,
    ) -> Result<Option<String>, Error> {
        let key = Key::new(Kind::Secret, &id.namespace, secret);
        let live = match self.store.get(&key) {
            Some(live) => Some((*live).clone()),
            None if ask => self.fetch::<true>(&key).await?,
            None => None,
        };
        match live.filter(|live| !live.deleting && may_read(live)) {
            Some(live) => self.references.password(&self.client, &key, &live).await,
            None => Ok(None),
        }
    }

    async fn claim(&self, id: &AppRef, cache: &mut AppCache) -> Result<Option<ChildState>, Error> {
        let key = Key::new(Kind::PersistentVolumeClaim, &id.namespace, &id.database());
        if let Some(live) = self.store.get(&key) {
            return Ok(Some((*live).clone()));
        }
        if cache.absent.contains(&key) {
            return Ok(None);
        }
        let live = self.fetch::<false>(&key).await?;
        if live.is_none() {
            cache.absent.insert(key);
        }
        Ok(live)
    }

    /// Asks the API server itself for an object that no watch has shown; `META` asks for its metadata alone.
    pub async fn fetch<const META: bool>(&self, key: &Key) -> Result<Option<ChildState>, Error> {
        let api: Api<Partial<META>> = Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind);
        let seen = with_timeout("get", key.kind.as_str(), &key.name, api.get_opt(&key.name)).await?;
        Ok(seen.map(Partial::into_state))
    }
}

/// The Secrets and ConfigMaps of others that an app refers to.
pub fn references_of(id: &AppRef, app: &ObservedApp) -> BTreeSet<Key> {
    references_of_spec(id, &app.spec)
}

fn references_of_spec(id: &AppRef, spec: &ObservedAppSpec) -> BTreeSet<Key> {
    references(id, spec)
        .iter()
        .map(|reference| Key::new(reference.kind, &id.namespace, &reference.name))
        .collect()
}

fn replicas(live: &ChildState) -> Option<ObservedReplicas> {
    let facts = live.facts.as_ref()?;
    Some(ObservedReplicas {
        count: facts.wanted?,
        owned_by_other: facts.wanted_by_other,
    })
}
