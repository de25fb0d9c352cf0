//! Apply: bring the cluster to what is desired, with no write that is not needed.

mod object;
mod records;
mod requests;

use std::collections::BTreeSet;

use observedapp_api::{AppRef, ObservedApp};
use observedapp_desired::{Desired, Kind};

use self::object::{DesiredObject, Target, check_ownership};
use crate::context::{AppCache, AppliedDigest, Context};
use crate::digest::Digest;
use crate::error::Error;
use crate::key::Key;
use crate::observe::references_of;
use crate::watch::{ChildState, Ownership};

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What could not be done, the first first.
    pub errors: Vec<Error>,
    /// One hash over everything as desired and as found; absent while anything is not as desired.
    pub hash: Option<String>,
    /// Objects that were the app's and outlive the part of it that they belonged to.
    pub retained: Vec<Key>,
    /// Objects of others that have the names of the app's own.
    pub blockers: BTreeSet<Key>,
    /// Secrets with passwords were created, and all else can be built with them now.
    pub secrets_created: bool,
}

impl Outcome {
    fn fail(&mut self, error: Error, target: Target<'_>) {
        if let Error::Foreign { kind, name, .. } | Error::Terminating { kind, name } = &error {
            self.blockers.insert(Key::new(*kind, &target.app.namespace, name));
        }
        self.errors.push(error);
    }

    fn stopped(&self) -> bool {
        self.errors.iter().any(Error::stops_all)
    }
}

impl Context {
    /// Applies what is desired and deletes what is not. A change of the Deployment's replicas that is newer than
    /// `replicas_version` is not overwritten.
    pub async fn apply(
        &self,
        id: &AppRef,
        app: &ObservedApp,
        desired: &Desired,
        replicas_version: Option<u64>,
        cache: &mut AppCache,
    ) -> Outcome {
        let uid = cache.uid.clone();
        let target = Target {
            app: id,
            uid: &uid,
            replicas_version: replicas_version.filter(|_| app.spec.autoscaling.is_some()),
        };
        let recorded = app.status.as_ref().and_then(|status| status.applied.as_deref());
        let outcome = self.converge(target, desired, recorded, cache).await;
        if cache.blockers != outcome.blockers {
            cache.blockers.clone_from(&outcome.blockers);
            let references = references_of(id, app);
            self.depend_on(id, references, &desired.held_routes, cache);
        }
        self.emit_retained_events(cache, &outcome.retained).await;
        outcome
    }

    async fn converge(
        &self,
        target: Target<'_>,
        desired: &Desired,
        recorded: Option<&str>,
        cache: &mut AppCache,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let objects: Vec<DesiredObject> = desired
            .objects
            .iter()
            .map(|object| DesiredObject::new(target, object))
            .collect();
        let keep = keys_to_keep(target, desired, &objects);
        if cache.applied.is_empty()
            && recorded.is_some()
            && recorded == self.hash(target, &objects).as_deref()
        {
            // All is as a reconcile before this process began has left it.
            for object in &objects {
                if let Some(live) = self.store.get(&object.key) {
                    cache.applied.insert(object.id(), object.applied_digest(&live));
                }
            }
        }

        // An autoscaler goes first: it would scale back what is about to be scaled.
        let is_autoscaler = |kind: Kind| kind == Kind::HorizontalPodAutoscaler;
        self.prune(target, &keep, is_autoscaler, &mut outcome).await;
        for secret in &desired.generated {
            if outcome.stopped() {
                break;
            }
            if let Err(error) = self.create_secret(target, secret).await {
                outcome.fail(error, target);
            }
        }
        if !desired.generated.is_empty() && outcome.errors.is_empty() {
            // What uses them can be built now that they exist: built without them, it would be built twice.
            outcome.secrets_created = true;
            return outcome;
        }
        let records_failed = !self.write_records(target, desired, &mut outcome).await;
        for object in &objects {
            // Pods follow what is recorded, and never the other way round.
            if outcome.stopped() || (records_failed && object.key.kind == Kind::Deployment) {
                continue;
            }
            if outcome.blockers.iter().any(|key| object.depends_on(key)) {
                continue;
            }
            match self.ensure(target, object, cache).await {
                Ok(digest) => {
                    cache.applied.insert(object.id(), digest);
                }
                Err(error) => {
                    cache.applied.remove(&object.id());
                    outcome.fail(error, target);
                }
            }
        }
        if !outcome.stopped() && !desired.keeps_all {
            self.prune(target, &keep, |kind| !is_autoscaler(kind), &mut outcome)
                .await;
        }
        outcome.retained = self.forget_unwanted(target, &keep, cache);
        if outcome.errors.is_empty() {
            outcome.hash = self.hash(target, &objects);
        }
        outcome
    }

    /// Drops from the cache what is no longer desired; returns those objects that are retained.
    fn forget_unwanted(&self, target: Target<'_>, keep: &BTreeSet<Key>, cache: &mut AppCache) -> Vec<Key> {
        let mut retained = Vec::new();
        cache.applied.retain(|(kind, name), _| {
            let key = Key::new(*kind, &target.app.namespace, name);
            let is_kept = keep.contains(&key);
            let is_retained = |live: std::sync::Arc<ChildState>| live.retained && !live.deleting;
            if !is_kept && self.store.get(&key).is_some_and(is_retained) {
                retained.push(key);
            }
            is_kept
        });
        retained
    }

    /// One hash over all objects as desired and as found; none if one of them does not exist.
    fn hash(&self, target: Target<'_>, objects: &[DesiredObject]) -> Option<String> {
        let mut hash = Digest::new();
        for object in objects {
            let live = self.store.get(&object.key)?;
            if live.deleting
                || matches!(
                    live.ownership(&target.app.name, target.uid),
                    Ownership::Foreign(_)
                )
            {
                return None;
            }
            let digest = object.applied_digest(&live);
            hash = hash
                .text(object.key.kind.as_str())
                .text(&object.key.name)
                .number(digest.desired)
                .number(digest.found);
        }
        Some(format!("{:016x}", hash.finish()))
    }

    async fn ensure(
        &self,
        target: Target<'_>,
        object: &DesiredObject,
        cache: &AppCache,
    ) -> Result<AppliedDigest, Error> {
        let known = match self.store.get(&object.key) {
            Some(live) => Some((*live).clone()),
            None if cache.absent.contains(&object.key) => None,
            None => self.fetch::<true>(&object.key).await?,
        };
        if let Some(live) = &known {
            check_ownership(target, &object.key, live)?;
            let digest = object.applied_digest(live);
            if cache.applied.get(&object.id()) == Some(&digest) && live.applied.is_some() {
                return Ok(digest);
            }
        }
        let live = self.send(object, known.as_ref()).await?;
        Ok(object.applied_digest(&live))
    }

    /// Deletes what carries the app's controller reference and is no longer desired.
    async fn prune(
        &self,
        target: Target<'_>,
        keep: &BTreeSet<Key>,
        which: impl Fn(Kind) -> bool,
        outcome: &mut Outcome,
    ) {
        for (key, live) in self.store.controlled_by(target.uid) {
            if keep.contains(&key) || !which(key.kind) || live.deleting || !self.served.contains(key.kind) {
                continue;
            }
            if let Err(error) = self.delete(&key, &live).await {
                outcome.fail(error, target);
            }
            if outcome.stopped() {
                return;
            }
        }
    }
}

fn keys_to_keep(target: Target<'_>, desired: &Desired, objects: &[DesiredObject]) -> BTreeSet<Key> {
    let namespace = &target.app.namespace;
    let secrets = desired.generated.iter().map(|secret| {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        Key::new(Kind::Secret, namespace, name)
    });
    let untouched = desired
        .untouched
        .iter()
        .map(|(kind, name)| Key::new(*kind, namespace, name));
    objects
        .iter()
        .map(|object| object.key.clone())
        .chain(secrets)
        .chain(untouched)
        .collect()
}
