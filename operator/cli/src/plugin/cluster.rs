//! The apps of a cluster, read with the user's own rights.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, ResourceExt};
use observedapp_api::ObservedApp;

use super::api_errors::{Question, no_cluster};

/// How long a connection may take; people are waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// An app, or why it cannot be read: one of another version must not hide the others.
type Guarded = DeserializeGuard<ObservedApp>;

/// Which cluster, and where in it.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ClusterArgs {
    /// The namespace; without it the context's own.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The kubeconfig's context; without it the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig; without it what KUBECONFIG names, else ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A cluster that can be asked.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub client: Client,
    /// The namespace that is meant where none is given.
    pub namespace: String,
    server: String,
}

/// Which apps.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    One { namespace: String, name: String },
    In(String),
    All,
}

/// Apps by namespace and name.
pub(crate) type Apps = BTreeMap<(String, String), ObservedApp>;

impl Cluster {
    /// Nothing is asked yet.
    pub async fn connect(args: &ClusterArgs) -> anyhow::Result<Self> {
        // Already installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = config(args).await?;
        config.connect_timeout = Some(PATIENCE);
        // What is asked here can be asked again by hand; waiting in silence helps nobody.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        Ok(Self {
            namespace: args
                .namespace
                .clone()
                .unwrap_or_else(|| config.default_namespace.clone()),
            client: Client::try_from(config)
                .map_err(|error| anyhow!("no connection to {server} can be set up: {error}"))?,
            server,
        })
    }

    /// The apps as they are now.
    pub async fn read(&self, which: &Which) -> anyhow::Result<Apps> {
        let api = self.api(which);
        let found = match which {
            Which::One { name, .. } => api.get(name).await.map(|app| vec![app]),
            Which::In(_) | Which::All => api.list(&ListParams::default()).await.map(|list| list.items),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => bail!("{}", self.explain(which, "list", &error).await),
        };
        let mut apps = Apps::new();
        for app in found {
            take(&mut apps, app);
        }
        if let (Which::One { namespace, name }, true) = (which, apps.is_empty()) {
            bail!(
                "{namespace}/{name} is of a version that this program cannot read: take the operator's own version"
            );
        }
        Ok(apps)
    }

    /// What the app's Deployment keeps of what ran.
    pub async fn replica_sets(&self, app: &ObservedApp) -> anyhow::Result<Vec<ReplicaSet>> {
        let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &namespace);
        let of_app = ListParams::default().labels(&format!(
            "app.kubernetes.io/instance={name},app.kubernetes.io/component=app"
        ));
        let is_own = |set: &ReplicaSet| {
            let owners = set.owner_references();
            owners
                .iter()
                .any(|owner| owner.kind == "Deployment" && owner.name == name)
        };
        match api.list(&of_app).await {
            Ok(found) => Ok(found.items.into_iter().filter(is_own).collect()),
            Err(kube::Error::Api(status)) if status.code == 403 => bail!(
                "no release of {name} is recorded, and you may not list ReplicaSets in the namespace {namespace} ({}): ask \
                 for a role with list on replicasets.apps",
                status.message
            ),
            Err(error) => bail!("the ReplicaSets of {name} cannot be listed: {error}: try again"),
        }
    }

    /// Shows the apps as they are now, then again after every change and, where `every` says so, from time to time:
    /// until `show` breaks off, or the cluster refuses.
    pub async fn follow(
        &self,
        which: &Which,
        every: Option<Duration>,
        mut show: impl AsyncFnMut(&Apps) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<()> {
        let scope = match which {
            Which::One { name, .. } => watcher::Config::default().fields(&format!("metadata.name={name}")),
            Which::In(_) | Which::All => watcher::Config::default(),
        };
        let mut events = std::pin::pin!(watcher(self.api(which), scope).default_backoff());
        let mut apps = Apps::new();
        let mut complete = false;
        loop {
            let tick = async {
                match every {
                    Some(every) if complete => tokio::time::sleep(every).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(watcher::Event::Init)) => {
                        apps.clear();
                        complete = false;
                    }
                    Some(Ok(watcher::Event::InitDone)) => complete = true,
                    Some(Ok(watcher::Event::InitApply(app) | watcher::Event::Apply(app))) => take(&mut apps, app),
                    Some(Ok(watcher::Event::Delete(app))) => {
                        apps.remove(&key(&app));
                    }
                    Some(Err(error)) => {
                        self.outlast(which, &error).await?;
                        continue;
                    }
                    None => return Ok(()),
                },
                () = tick => {}
            }
            if complete && show(&apps).await?.is_break() {
                return Ok(());
            }
        }
    }

    /// A watch that breaks is taken up again, unless the cluster has refused it for good.
    async fn outlast(&self, which: &Which, error: &watcher::Error) -> anyhow::Result<()> {
        match error {
            watcher::Error::InitialListFailed(error @ kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(error @ kube::Error::Api(status))
                if [401, 403, 404].contains(&status.code) =>
            {
                bail!("{}", self.explain(which, "watch", error).await)
            }
            error => {
                eprintln!("the watch has broken and is taken up again: {error}");
                Ok(())
            }
        }
    }

    async fn explain(&self, which: &Which, verb: &str, error: &kube::Error) -> String {
        let (namespace, name) = match which {
            Which::One { namespace, name } => (Some(namespace.as_str()), Some(name.as_str())),
            Which::In(namespace) => (Some(namespace.as_str()), None),
            Which::All => (None, None),
        };
        let question = Question {
            verb: if name.is_some() && verb == "list" {
                "get"
            } else {
                verb
            },
            namespace,
            name,
            server: &self.server,
        };
        let said = question.explain(error);
        match (which, error) {
            (Which::One { namespace, name }, kube::Error::Api(status)) if status.code == 404 => {
                format!("{said}{}", self.elsewhere(namespace, name).await)
            }
            _ => said,
        }
    }

    /// Where an app of this name is, or which there are in this namespace: as far as the user may see.
    async fn elsewhere(&self, namespace: &str, name: &str) -> String {
        let Ok(all) = self.api(&Which::All).list(&ListParams::default()).await else {
            return String::new();
        };
        let keys: Vec<(String, String)> = all.iter().map(key).collect();
        if let Some((other, _)) = keys.iter().find(|(_, known)| known == name) {
            return format!("; there is one in {other}: add -n {other}");
        }
        let here: Vec<&str> = keys
            .iter()
            .filter(|(of, _)| of == namespace)
            .map(|(_, known)| known.as_str())
            .collect();
        if here.is_empty() {
            "; there is none in it at all: `kubectl get oapp -A` shows where there are".to_owned()
        } else {
            format!("; there are: {}", here.join(", "))
        }
    }

    fn api(&self, which: &Which) -> Api<Guarded> {
        match which {
            Which::One { namespace, .. } | Which::In(namespace) => {
                Api::namespaced(self.client.clone(), namespace)
            }
            Which::All => Api::all(self.client.clone()),
        }
    }
}

fn key(app: &Guarded) -> (String, String) {
    (app.namespace().unwrap_or_default(), app.name_any())
}

fn take(apps: &mut Apps, app: Guarded) {
    let key = key(&app);
    match app.0 {
        Ok(app) => {
            apps.insert(key, app);
        }
        Err(error) => {
            eprintln!("{}/{} cannot be read and is left out: {error}", key.0, key.1);
            apps.remove(&key);
        }
    }
}

async fn config(args: &ClusterArgs) -> anyhow::Result<Config> {
    let read = match &args.kubeconfig {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        Err(error) => {
            // In a pod there is no kubeconfig, and none is needed.
            let by_hand = args.kubeconfig.is_some() || args.context.is_some();
            return match Config::incluster() {
                Ok(config) if !by_hand => Ok(config),
                _ => bail!("{}", no_cluster(&error, &[])),
            };
        }
    };
    let contexts: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| anyhow!(no_cluster(&error, &contexts)))
}
