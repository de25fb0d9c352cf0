//! Looking up what bears on one app.

use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::Api;
use observedapp_api::{Amount, BuiltinDatabase, ObservedApp};
use observedapp_desired::{
    FreshPasswords, Kind, Observed, ObservedClaim, ObservedDatabase, ObservedReplicas,
};
use rand::RngExt;

use crate::context::{AppCache, Context};
use crate::error::Error;
use crate::request::with_timeout;
use crate::watch::{ChildState, Key, Ownership, Partial};

impl Context {
    /// All that bears on an app but the contents of what it refers to: that is known only when it is valid.
    pub async fn observe(&self, app: &ObservedApp, cache: &mut AppCache) -> Result<Observed, Error> {
        let name = app.name_any();
        let namespace = app.namespace().unwrap_or_default();
        let deployment = self.store.get(&Key::new(Kind::Deployment, &namespace, &name));
        let is_available = deployment
            .as_ref()
            .and_then(|live| live.facts.as_deref())
            .is_some_and(|facts| facts.available > 0);
        let uid = app.uid().unwrap_or_default();
        let is_probed = self
            .store
            .get(&Key::new(Kind::Probe, &namespace, &name))
            .is_some_and(|live| live.ownership(&name, &uid) == Ownership::Owned);
        Ok(Observed {
            optional_kinds: self.served.kinds(),
            prometheus: self.prometheus.observed(&namespace, &self.settings),
            database: self.observe_database(app, &namespace, &name, cache).await?,
            replicas: deployment.and_then(|live| replicas(&live)),
            has_answered: is_available || is_probed,
            references_digest: None,
            host_holder: self.host_holder(app),
        })
    }

    /// The database as it exists. Where the watches show no claim the API server itself is asked: a password is drawn
    /// only where there is certainly none whose data needs the old one. A Secret that no watch has shown is found out
    /// when the new one is to be created.
    async fn observe_database(
        &self,
        app: &ObservedApp,
        namespace: &str,
        name: &str,
        cache: &mut AppCache,
    ) -> Result<ObservedDatabase, Error> {
        let Some(database) = &app.spec.database else {
            self.references.forget_passwords(namespace, name);
            return Ok(ObservedDatabase::default());
        };
        let uid = app.uid().unwrap_or_default();
        let made_by_us = |live: &ChildState| !matches!(live.ownership(name, &uid), Ownership::Foreign(_));
        let secret = |suffix: &str| Key::new(Kind::Secret, namespace, &format!("{name}-{suffix}"));
        if database.cloud_native_pg.is_some() {
            let made_by_cluster = |live: &ChildState| {
                live.controller
                    .as_ref()
                    .is_some_and(|owner| owner.kind == "Cluster")
            };
            return Ok(ObservedDatabase {
                app_password: self.password(&secret("db-app"), true, made_by_cluster).await?,
                ..ObservedDatabase::default()
            });
        }
        if database.builtin.is_none() {
            return Ok(ObservedDatabase::default());
        }
        let claim = self
            .claim(namespace, &format!("{name}-db"), cache)
            .await?
            .filter(|live| !live.deleting && made_by_us(live));
        let ask = claim.is_some();
        let class_that_cannot_grow = match (&claim, &database.builtin) {
            (Some(claim), Some(builtin)) => self.class_that_cannot_grow(claim, builtin).await,
            _ => None,
        };
        let app_password = self.password(&secret("db-app"), ask, made_by_us).await?;
        let superuser_password = self.password(&secret("db-superuser"), ask, made_by_us).await?;
        Ok(ObservedDatabase {
            claim: claim.map(|live| {
                let facts = live.facts.unwrap_or_default();
                ObservedClaim {
                    size: facts.requested.unwrap_or_default(),
                    version: facts.postgres_version,
                    class_that_cannot_grow,
                }
            }),
            fresh_passwords: (app_password.is_none() || superuser_password.is_none()).then(|| {
                FreshPasswords {
                    app: password(),
                    superuser: password(),
                }
            }),
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

    /// The password in a Secret. The contents of somebody else's are none of ours; that such a one is in the way is
    /// said when ours is to be written.
    async fn password(
        &self,
        key: &Key,
        ask: bool,
        may_read: impl Fn(&ChildState) -> bool,
    ) -> Result<Option<String>, Error> {
        let live = match self.store.get(key) {
            Some(live) => Some((*live).clone()),
            None if ask => self.look(key).await?,
            None => None,
        };
        match live.filter(|live| !live.deleting && may_read(live)) {
            Some(live) => self.references.password(&self.client, key, &live).await,
            None => Ok(None),
        }
    }

    async fn claim(
        &self,
        namespace: &str,
        name: &str,
        cache: &mut AppCache,
    ) -> Result<Option<ChildState>, Error> {
        let key = Key::new(Kind::PersistentVolumeClaim, namespace, name);
        if let Some(live) = self.store.get(&key) {
            return Ok(Some((*live).clone()));
        }
        if cache.absent.contains(&key) {
            return Ok(None);
        }
        let api: Api<Partial<false>> = Api::namespaced_with(self.client.clone(), namespace, &key.kind);
        let seen = with_timeout("get", key.kind.as_str(), name, api.get_opt(name)).await?;
        if seen.is_none() {
            cache.absent.insert(key);
        }
        Ok(seen.map(Partial::into_state))
    }
}

fn replicas(live: &ChildState) -> Option<ObservedReplicas> {
    let facts = live.facts.as_ref()?;
    Some(ObservedReplicas {
        count: facts.wanted?,
        owned_by_other: facts.wanted_by_other,
    })
}

/// 160 random bits, in characters that need no quoting anywhere.
fn password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    (0..32)
        .map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn passwords_are_long_and_differ() {
        assert_eq!(password().len(), 32);
        assert_ne!(password(), password());
    }
}
