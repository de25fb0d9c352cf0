//! Secrets and ConfigMaps of others: watched by their metadata, and read only when an app refers to them and they have
//! changed.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::{Client, Resource};
use observedapp_api::AppRef;
use observedapp_desired::{Kind, digest};

use crate::error::Error;
use crate::key::Key;
use crate::request::with_timeout;
use crate::watch::{ChildState, Store};

/// What was read at one version.
#[derive(Debug)]
struct Read<T> {
    uid: String,
    version: u64,
    value: T,
}

/// What is kept of an object's contents.
#[derive(Clone, Debug)]
struct Contents {
    digest: String,
    keys: Vec<String>,
}

/// The digests of contents, and the operator's own passwords, read once for each version.
#[derive(Debug, Default)]
pub struct References {
    contents: Mutex<HashMap<Key, Read<Contents>>>,
    passwords: Mutex<HashMap<Key, Read<Option<String>>>>,
}

impl References {
    /// One digest over the contents of all these objects; absent where there are none. Objects that do not exist
    /// count too: their appearance rolls the pods.
    pub async fn digest(
        &self,
        client: &Client,
        store: &Store,
        keys: &BTreeSet<Key>,
    ) -> Result<Option<String>, Error> {
        if keys.is_empty() {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let contents = match store.get(key) {
                None => "absent".to_owned(),
                Some(live) => self.contents(client, key, &live).await?,
            };
            all.push(format!("{}/{}={contents}", key.kind.as_str(), key.name));
        }
        Ok(Some(digest(all.iter().map(String::as_bytes))))
    }

    async fn contents(&self, client: &Client, key: &Key, live: &ChildState) -> Result<String, Error> {
        if let Some(contents) = known(&self.contents, key, live) {
            return Ok(contents.digest);
        }
        let contents = if key.kind == Kind::Secret {
            let Some(secret) = read::<Secret>(client, key).await? else {
                return Ok("absent".to_owned());
            };
            let data = secret.data.unwrap_or_default();
            Contents {
                digest: digest(
                    data.iter()
                        .flat_map(|(name, value)| [name.as_bytes(), value.0.as_slice()]),
                ),
                keys: data.into_keys().collect(),
            }
        } else {
            let Some(map) = read::<ConfigMap>(client, key).await? else {
                return Ok("absent".to_owned());
            };
            let (text, binary) = (map.data.unwrap_or_default(), map.binary_data.unwrap_or_default());
            let text = text
                .iter()
                .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
            let binary = binary
                .iter()
                .flat_map(|(name, value)| [name.as_bytes(), value.0.as_slice()]);
            Contents {
                digest: digest(text.chain(binary)),
                keys: Vec::new(),
            }
        };
        let digest = contents.digest.clone();
        remember(&self.contents, key, live, contents);
        Ok(digest)
    }

    /// The keys of a Secret that was read for its digest.
    pub fn secret_keys(&self, store: &Store, key: &Key) -> Option<Vec<String>> {
        let live = store.get(key)?;
        known(&self.contents, key, &live).map(|contents| contents.keys)
    }

    /// Nobody refers to these any more.
    pub fn forget_contents(&self, keys: &[Key]) {
        let mut contents = self.contents.lock();
        for key in keys {
            contents.remove(key);
        }
    }

    /// An app is gone, or its database is.
    pub fn forget_passwords(&self, app: &AppRef) {
        let mut passwords = self.passwords.lock();
        for name in [app.database_secret(), app.superuser_secret()] {
            passwords.remove(&Key::new(Kind::Secret, &app.namespace, &name));
        }
    }

    /// The password in one of the operator's own Secrets.
    pub async fn password(
        &self,
        client: &Client,
        key: &Key,
        live: &ChildState,
    ) -> Result<Option<String>, Error> {
        if let Some(password) = known(&self.passwords, key, live) {
            return Ok(password);
        }
        let password = read::<Secret>(client, key).await?.and_then(password_in);
        remember(&self.passwords, key, live, password.clone());
        Ok(password)
    }

    /// Takes up the password of a Secret that was created just now.
    pub fn created(&self, key: &Key, live: &ChildState, secret: &Secret) {
        remember(&self.passwords, key, live, password_in(secret.clone()));
    }

    /// A Secret was applied with its data unchanged, so its password is the same at the new version.
    pub fn applied(&self, key: &Key, before: &ChildState, now: &ChildState) {
        if let Some(password) = known(&self.passwords, key, before) {
            remember(&self.passwords, key, now, password);
        }
    }
}

fn password_in(secret: Secret) -> Option<String> {
    let password = secret.data?.remove("password")?;
    String::from_utf8(password.0)
        .ok()
        .filter(|password| !password.is_empty())
}

async fn read<K>(client: &Client, key: &Key) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
    with_timeout("get", key.kind.as_str(), &key.name, api.get_opt(&key.name)).await
}

fn known<T: Clone>(cache: &Mutex<HashMap<Key, Read<T>>>, key: &Key, live: &ChildState) -> Option<T> {
    cache
        .lock()
        .get(key)
        .filter(|read| read.uid == live.uid && read.version == live.resource_version)
        .map(|read| read.value.clone())
}

fn remember<T>(cache: &Mutex<HashMap<Key, Read<T>>>, key: &Key, live: &ChildState, value: T) {
    let read = Read {
        uid: live.uid.clone(),
        version: live.resource_version,
        value,
    };
    cache.lock().insert(key.clone(), read);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_needs_any_more_is_forgotten() {
        let references = References::default();
        let live = ChildState::default();
        let own = Key::new(Kind::Secret, "shop", "tasks-db-app");
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {}, "data": {"password": "c2VjcmV0"}})).unwrap();
        references.created(&own, &live, &secret);
        let referred = Key::new(Kind::Secret, "shop", "mail");
        let contents = Contents {
            digest: String::new(),
            keys: Vec::new(),
        };
        remember(&references.contents, &referred, &live, contents);

        references.forget_passwords(&AppRef::new("shop", "tasks"));
        references.forget_contents(&[referred]);
        assert!(references.passwords.lock().is_empty());
        assert!(references.contents.lock().is_empty());
    }
}
