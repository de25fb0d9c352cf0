//! Bringing the cluster to what should exist, with no write that is not needed.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions, Request};
use observedapp_api::FIELD_MANAGER;
use observedapp_desired::{Desired, Kind, Object};
use serde_json::Value;
use tracing::info;

use crate::context::{AppCache, AppliedDigest, Context};
use crate::digest::Digest;
use crate::error::{Class, Error};
use crate::request::with_timeout;
use crate::watch::{self, ChildState, Key, Ownership, Partial, RequestMark};

/// The app whose objects are applied.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    /// Where an autoscaler is to decide the number of pods: the version of the Deployment at which the count that is
    /// sent was read, or an older one.
    pub replicas_version: Option<u64>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What could not be done, the first first.
    pub errors: Vec<Error>,
    /// One hash over everything as wanted and as found; absent while anything is not as wanted.
    pub hash: Option<String>,
    /// Objects that this reconcile deleted.
    pub pruned: Vec<Key>,
    /// Objects that were the app's and outlive the part of it that they belonged to.
    pub kept: Vec<Key>,
    /// Strangers' objects in the way: their going is to be told.
    pub blockers: BTreeSet<Key>,
    /// What was drawn at random is there, and all else can be built with it.
    pub again: bool,
}

impl Context {
    /// Applies what should exist and deletes what should not.
    pub async fn converge(
        &self,
        owner: Owner<'_>,
        desired: &Desired,
        recorded: Option<&str>,
        cache: &mut AppCache,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let wanted: Vec<Wanted> = desired
            .objects
            .iter()
            .map(|object| Wanted::new(owner, object))
            .collect();
        let mut keep: BTreeSet<Key> = wanted.iter().map(|wanted| wanted.key.clone()).collect();
        for secret in &desired.generated {
            keep.insert(Key::new(
                Kind::Secret,
                owner.namespace,
                secret.metadata.name.as_deref().unwrap_or_default(),
            ));
        }
        for (kind, name) in &desired.untouched {
            keep.insert(Key::new(*kind, owner.namespace, name));
        }

        if cache.applied.is_empty() && recorded.is_some() && recorded == self.hash(owner, &wanted).as_deref()
        {
            // All is as a reconcile before this process began has left it.
            for object in &wanted {
                if let Some(live) = self.store.get(&object.key) {
                    cache.applied.insert(object.id(), object.applied_digest(&live));
                }
            }
        }

        // An autoscaler goes first: it would scale back what is about to be scaled.
        let autoscalers_first = |kind: Kind| kind.as_str() == "HorizontalPodAutoscaler";
        self.prune(owner, &keep, autoscalers_first, &mut outcome).await;
        for secret in &desired.generated {
            if outcome.stopped() {
                break;
            }
            if let Err(error) = self.generate(owner, secret).await {
                outcome.fail(error, owner);
            }
        }
        if !desired.generated.is_empty() && outcome.errors.is_empty() {
            // What is made of them can be built now that they are there: to make it without them would be to make it twice.
            outcome.again = true;
            return outcome;
        }
        for object in &wanted {
            if outcome.stopped() {
                break;
            }
            if outcome.blockers.iter().any(|key| object.depends_on(key)) {
                continue; // That it is in the way has been told.
            }
            match self.ensure(owner, object, cache).await {
                Ok(digest) => {
                    cache.applied.insert(object.id(), digest);
                }
                Err(error) => {
                    cache.applied.remove(&object.id());
                    outcome.fail(error, owner);
                }
            }
        }
        if !outcome.stopped() {
            self.prune(owner, &keep, |kind| !autoscalers_first(kind), &mut outcome)
                .await;
        }
        let forgotten: Vec<(Kind, String)> = cache
            .applied
            .keys()
            .filter(|(kind, name)| !keep.contains(&Key::new(*kind, owner.namespace, name)))
            .cloned()
            .collect();
        for id in forgotten {
            cache.applied.remove(&id);
            let key = Key::new(id.0, owner.namespace, &id.1);
            if self
                .store
                .get(&key)
                .is_some_and(|live| live.retained && !live.deleting)
            {
                outcome.kept.push(key);
            }
        }
        if outcome.errors.is_empty() {
            outcome.hash = self.hash(owner, &wanted);
        }
        outcome
    }

    /// One hash over all objects as wanted and as found; none if one of them is not there.
    fn hash(&self, owner: Owner<'_>, wanted: &[Wanted]) -> Option<String> {
        let mut hash = Digest::new();
        for object in wanted {
            let live = self.store.get(&object.key)?;
            if live.deleting || matches!(live.ownership(owner.name, owner.uid), Ownership::Foreign(_)) {
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
        owner: Owner<'_>,
        object: &Wanted,
        cache: &AppCache,
    ) -> Result<AppliedDigest, Error> {
        let known = match self.store.get(&object.key) {
            Some(live) => Some((*live).clone()),
            None if cache.absent.contains(&object.key) => None,
            None => self.look(&object.key).await?,
        };
        if let Some(live) = &known {
            check_ownership(owner, &object.key, live)?;
            let digest = object.applied_digest(live);
            if cache.applied.get(&object.id()) == Some(&digest) && live.applied.is_some() {
                return Ok(digest);
            }
        }
        let sent = self.store.mark_request();
        let live = self.apply(object, known.as_ref()).await?;
        let digest = object.applied_digest(&live);
        if let Some(known) = &known {
            self.references.moved(&object.key, known, &live);
        }
        self.record_response(sent, object.key.clone(), live);
        Ok(digest)
    }

    /// What this process has written itself is no news when the watch shows it: who waits for it hears of it here.
    fn record_response(&self, sent: RequestMark, key: Key, live: ChildState) {
        self.store.record_response(sent, key.clone(), live);
        self.queue.enqueue_dependents(&key);
    }

    /// Asks the API server itself for an object that no watch has shown.
    pub async fn look(&self, key: &Key) -> Result<Option<ChildState>, Error> {
        let api: Api<Partial<true>> = Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind);
        let seen = with_timeout("get", key.kind.as_str(), &key.name, api.get_opt(&key.name)).await?;
        Ok(seen.map(Partial::into_state))
    }

    /// Applies an object: by force, if it is known to be the app's, and then only to what is known. So a write that was
    /// decided on something older changes nothing, be it that of a leader that was frozen and is no leader any more.
    async fn apply(&self, object: &Wanted, known: Option<&ChildState>) -> Result<ChildState, Error> {
        self.check_lead()?;
        let key = &object.key;
        let mut value = object.value.clone();
        if let Some(live) = known {
            // A count that is repeated until its new owner has taken it never goes over one newer than that it was read at.
            let version = object.replica_handover.unwrap_or(live.resource_version);
            value["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            force: known.is_some(),
            ..PatchParams::default()
        };
        // Of most kinds the metadata is all that matters: the answer need not repeat a whole dashboard.
        let live = if watch::has_facts(key.kind) {
            self.patch::<false>(key, &params, &value).await
        } else {
            self.patch::<true>(key, &params, &value).await
        }
        .map_err(|error| if known.is_some() { error.or_stale() } else { error })?;
        info!(namespace = %key.namespace, kind = key.kind.as_str(), object = %key.name, "applied");
        self.prometheus.request_poll();
        Ok(live)
    }

    async fn patch<const META: bool>(
        &self,
        key: &Key,
        params: &PatchParams,
        value: &Value,
    ) -> Result<ChildState, Error> {
        let api: Api<Partial<META>> = Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind);
        let patch = Patch::Apply(value);
        let request = api.patch(&key.name, params, &patch);
        let seen = with_timeout("apply", key.kind.as_str(), &key.name, request).await?;
        Ok(seen.into_state())
    }

    /// Creates a Secret with what was drawn at random. One that exists is never written: it is read, and all begins anew.
    /// From here on it is one of the objects, with the password that was drawn.
    async fn generate(&self, owner: Owner<'_>, secret: &Secret) -> Result<(), Error> {
        self.check_lead()?;
        let name = secret.metadata.name.clone().unwrap_or_default();
        let key = Key::new(Kind::Secret, owner.namespace, &name);
        let sent = self.store.mark_request();
        match with_timeout("create", "Secret", &name, self.create(owner.namespace, secret)).await {
            Ok(live) => {
                info!(
                    namespace = owner.namespace,
                    kind = "Secret",
                    object = name,
                    "created with a new password"
                );
                self.references.drawn(&key, &live, secret);
                self.record_response(sent, key, live);
                Ok(())
            }
            Err(Error::Api {
                class: Class::Conflict,
                ..
            }) => {
                let sent = self.store.mark_request();
                if let Some(live) = self.look(&key).await? {
                    check_ownership(owner, &key, &live)?;
                    self.store.record_response(sent, key, live);
                }
                Err(Error::Stale)
            }
            Err(error) => Err(error),
        }
    }

    /// `Api::create` would answer with a Secret: here its metadata is read as a watch reads it.
    async fn create(&self, namespace: &str, secret: &Secret) -> kube::Result<ChildState> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let body = serde_json::to_vec(secret).map_err(kube::Error::SerdeError)?;
        let request = Request::new(Secret::url_path(&(), Some(namespace)))
            .create(&params, body)
            .map_err(kube::Error::BuildRequest)?;
        let seen: Partial<true> = self.client.request(request).await?;
        Ok(seen.into_state())
    }

    /// Deletes what carries the app's controller reference and is no longer wanted.
    async fn prune(
        &self,
        owner: Owner<'_>,
        keep: &BTreeSet<Key>,
        which: impl Fn(Kind) -> bool,
        outcome: &mut Outcome,
    ) {
        for (key, live) in self.store.controlled_by(owner.uid) {
            if keep.contains(&key) || !which(key.kind) || live.deleting || !self.served.contains(key.kind) {
                continue;
            }
            match self.delete(&key, &live).await {
                Ok(()) => outcome.pruned.push(key),
                Err(error) => outcome.fail(error, owner),
            }
            if outcome.stopped() {
                return;
            }
        }
    }

    /// Deletes an object as it is known: not one that somebody has changed meanwhile, nor another by the same name.
    async fn delete(&self, key: &Key, live: &ChildState) -> Result<(), Error> {
        self.check_lead()?;
        let api: Api<Partial<true>> = Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind);
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(live.uid.clone()),
            resource_version: Some(live.resource_version.to_string()),
        });
        match with_timeout(
            "delete",
            key.kind.as_str(),
            &key.name,
            api.delete(&key.name, &params),
        )
        .await
        {
            Ok(_) => {
                info!(namespace = %key.namespace, kind = key.kind.as_str(), object = %key.name, "deleted: no longer wanted");
            }
            // Gone already.
            Err(Error::Api {
                class: Class::ApiMissing,
                ..
            }) => {}
            Err(error) => return Err(error.or_stale()),
        }
        self.store.remove_deleted(key.clone(), live.resource_version);
        self.queue.enqueue_dependents(key);
        Ok(())
    }

    pub fn check_lead(&self) -> Result<(), Error> {
        if self.lead.holds() {
            Ok(())
        } else {
            Err(Error::NotLeader)
        }
    }
}

/// Refuses what is not this app's.
fn check_ownership(owner: Owner<'_>, key: &Key, live: &ChildState) -> Result<(), Error> {
    let name = key.name.to_string();
    let kind = key.kind;
    if let Ownership::Foreign(holder) = live.ownership(owner.name, owner.uid) {
        let of_an_earlier_life = live.app() == Some(owner.name);
        return Err(if of_an_earlier_life && live.controller.is_some() {
            Error::Terminating { kind, name }
        } else {
            Error::Foreign { kind, name, holder }
        });
    }
    if live.deleting {
        return Err(Error::Terminating { kind, name });
    }
    Ok(())
}

impl Outcome {
    fn fail(&mut self, error: Error, owner: Owner<'_>) {
        if let Error::Foreign { kind, name, .. } | Error::Terminating { kind, name } = &error {
            self.blockers.insert(Key::new(*kind, owner.namespace, name));
        }
        self.errors.push(error);
    }

    fn stopped(&self) -> bool {
        self.errors.iter().any(Error::stops_all)
    }
}

/// An object as it should be, in the form in which it is sent.
struct Wanted {
    key: Key,
    value: Value,
    digest: u64,
    /// Where its replica count is on its way to an autoscaler: the version at which that was read.
    replica_handover: Option<u64>,
}

impl Wanted {
    fn new(owner: Owner<'_>, object: &Object) -> Self {
        // What k8s-openapi's types hold can always be written as JSON.
        let value = serde_json::to_value(object).unwrap_or_default();
        let kind = object.kind();
        Self {
            key: Key::new(kind, owner.namespace, object.name()),
            digest: Digest::new().text(&value.to_string()).finish(),
            replica_handover: owner.replicas_version.filter(|_| {
                kind == Kind::Deployment
                    && object.name() == owner.name
                    && value["spec"].get("replicas").is_some()
            }),
            value,
        }
    }

    /// Whether its pods would have the rights of this ServiceAccount, or the data of this claim: a stranger's must not
    /// come to an app by its name alone.
    fn depends_on(&self, key: &Key) -> bool {
        let pod = &self.value["spec"]["template"]["spec"];
        match key.kind {
            Kind::ServiceAccount => pod["serviceAccountName"] == *key.name,
            Kind::PersistentVolumeClaim => {
                let mut volumes = pod["volumes"].as_array().into_iter().flatten();
                volumes.any(|volume| volume["persistentVolumeClaim"]["claimName"] == *key.name)
            }
            _ => false,
        }
    }

    fn id(&self) -> (Kind, String) {
        (self.key.kind, self.key.name.to_string())
    }

    fn applied_digest(&self, live: &ChildState) -> AppliedDigest {
        AppliedDigest {
            desired: self.digest,
            found: Digest::new()
                .text(&live.uid)
                .number(live.applied.unwrap_or_default())
                .finish(),
        }
    }
}
