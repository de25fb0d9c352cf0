//! Asking for all apps at once, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::{Client, ResourceExt};
use observedapp_api::ObservedApp;
use observedapp_slo::{PromDuration, latency, names};
use tracing::{debug, warn};

use super::answers::PollAnswers;
use super::client::{Access, Server, Unanswered};
use super::instances::{PrometheusInstances, PrometheusSettings};
use super::numbers::Retention;
use super::poll_interval::PollInterval;
use super::view::View;
use super::{Known, PollResult, Prometheus, queries};
use crate::metrics::{Metrics, ResultLabel};
use crate::queue::Queue;
use crate::watch::Apps;

/// For how many apps at most the reason is asked for in one answers: those with a target down, or rules that fail.
const DETAILS: usize = 20;

/// Asks Prometheus for all apps together.
pub struct Poller {
    pub client: Client,
    pub prometheus: Arc<Prometheus>,
    pub apps: Arc<Apps>,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub settings: PrometheusSettings,
    pub access: Access,
    pub period: Duration,
    /// How soon after a change it is asked.
    pub soon: Duration,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Poller {
    /// Looks for Prometheus objects before anything is reconciled: their selectors shape what is made.
    pub async fn look_once(&self) {
        self.look(&mut false).await;
    }

    /// Never returns.
    pub async fn run(self) {
        let mut servers: BTreeMap<String, Option<Server>> = BTreeMap::new();
        let mut warned = false;
        let mut interval = PollInterval::new(self.soon, self.period);
        loop {
            let began = Instant::now();
            self.look(&mut warned).await;
            let urls = self.urls();
            servers.retain(|url, _| urls.contains(url));
            self.prometheus
                .write(|known| known.servers.retain(|url, _| urls.contains(url)));
            if urls.is_empty() {
                self.count("nobody");
            }
            for url in urls {
                servers.entry(url).or_default();
            }
            // Side by side, so that one that does not answer holds up no other.
            let asked = servers.iter_mut().map(|(url, server)| self.ask_once(url, server));
            join_all(asked).await;
            self.rest(&mut interval, began.elapsed()).await;
        }
    }

    /// Where those answer that serve any app.
    fn urls(&self) -> BTreeSet<String> {
        let apps = self.apps.store().state();
        let namespaces: BTreeSet<String> = apps.iter().filter_map(|app| app.namespace()).collect();
        self.prometheus.read(|known| {
            let urls = namespaces
                .iter()
                .filter_map(|namespace| known.found.url(namespace));
            urls.map(str::to_owned).collect()
        })
    }

    fn count(&self, result: &'static str) {
        self.metrics
            .prometheus_polls
            .get_or_create(&ResultLabel { result })
            .inc();
    }

    async fn ask_once(&self, url: &str, server: &mut Option<Server>) {
        let said = match self.enqueue(url, server).await {
            Ok(()) => PollResult::Answered,
            Err(error) => PollResult::Unreachable(error.to_string()),
        };
        self.count(if said == PollResult::Answered {
            "answered"
        } else {
            "unreachable"
        });
        self.conclude(url, &said);
    }

    /// Waits for the next answers, and not for long where something was changed.
    async fn rest(&self, interval: &mut PollInterval, took: Duration) {
        let next = tokio::time::sleep(interval.wait(took));
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut next => return,
                () = self.prometheus.poll_requested.notified() => {
                    let soon = tokio::time::Instant::now() + interval.shorten(took);
                    if soon < next.deadline() {
                        next.as_mut().reset(soon);
                    }
                }
            }
        }
    }

    /// The state of the conversation concerns every app.
    fn conclude(&self, url: &str, said: &PollResult) {
        let changed = self.prometheus.write(|known| {
            let server = known.servers.entry(url.to_owned()).or_default();
            // The wording of a failure may differ each time; that it fails is the news.
            let same = match (&server.last_poll, said) {
                (PollResult::Unreachable(_), PollResult::Unreachable(_)) => true,
                (before, now) => before == now,
            };
            if !same {
                server.last_poll.clone_from(said);
            }
            !same
        });
        if changed {
            if let PollResult::Unreachable(error) = said {
                warn!(error, "Prometheus does not answer");
            }
            self.tell_all();
        }
    }

    /// There is news that concerns every app.
    fn tell_all(&self) {
        self.prometheus.request_poll();
        self.apps.enqueue_all(&self.queue);
    }

    async fn look(&self, warned: &mut bool) {
        if self.settings.confined {
            return;
        }
        match PrometheusInstances::look(&self.client, &self.settings).await {
            Ok(found) => {
                *warned = false;
                let changed = self.prometheus.write(|known| {
                    let changed = known.found != found;
                    known.found = found;
                    changed
                });
                if changed {
                    self.tell_all();
                }
            }
            Err(error) if !*warned => {
                *warned = true;
                warn!(%error, "the Prometheus objects cannot be listed");
            }
            Err(_) => {}
        }
    }

    async fn enqueue(&self, url: &str, server: &mut Option<Server>) -> Result<(), Unanswered> {
        let server = match server {
            Some(server) => server,
            None if self.settings.url.as_deref() == Some(url) => {
                server.insert(Server::new(url, &self.access)?)
            }
            None => server.insert(Server::new(url, &self.access.to_found(url))?),
        };
        let answers = answers(server).await?;
        // What is not Prometheus itself does not say; that is no failure.
        let retention = match server.retention().await {
            Ok(said) => Retention::read(&said),
            Err(_) => None,
        };
        let changed = self.prometheus.write(|known| {
            let server = known.servers.entry(url.to_owned()).or_default();
            let changed = server.retention != retention;
            server.retention = retention;
            changed
        });
        if changed {
            self.tell_all();
        }
        self.tell(server, answers).await;
        Ok(())
    }

    /// Tells the apps of which there is news.
    async fn tell(&self, server: &Server, mut answers: PollAnswers) {
        let now = Instant::now();
        let mut details = DETAILS;
        let mut told = 0_u32;
        let apps = self.apps.store().state();
        let mut present = std::collections::HashSet::with_capacity(apps.len());
        for app in apps {
            let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
            let key = (namespace, name);
            present.insert(key.clone());
            let is_asked = |known: &Known| known.found.url(&key.0) == Some(server.url());
            if !self.prometheus.read(is_asked) {
                continue;
            }
            let mut view = answers.take(&key.0, &key.1);
            let slos = match &app.0 {
                Ok(app) => {
                    view.alerts.retain(|alert, _| alert.is_raised_by(&app.spec));
                    app.spec.slos.as_slice()
                }
                Err(_) => &[],
            };
            let down = view.jobs.values().any(|(_, down)| *down > 0);
            let failing = answers.fails(&key.0, &key.1);
            if details > 0 && (down || failing || !view.unmeasurable.is_empty()) {
                details -= 1;
                view.errors = errors(server, &key.0, &key.1, &view).await;
                if failing {
                    // Where that cannot be asked, what was known stays.
                    view.rule_error = match rule_error(server, &key.0, &key.1).await {
                        Ok(error) => error,
                        Err(_) => self
                            .prometheus
                            .read(|known| known.views.get(&key).and_then(|view| view.rule_error.clone())),
                    };
                }
                if let Ok(app) = &app.0 {
                    for (slo, why) in &mut view.unmeasurable {
                        *why = between_buckets(server, app, slo).await;
                    }
                }
            }
            let news = self.prometheus.write(|known| {
                let before = known.views.get(&key);
                let news = before.is_none_or(|before| view.is_news(before, slos, now));
                if news && before.is_none_or(|before| view.effect_moved(before)) {
                    self.prometheus.request_poll();
                }
                if news {
                    view.told = Some(now);
                    known.views.insert(key.clone(), view);
                }
                news
            });
            if news {
                told += 1;
                self.queue.enqueue(&key.0, &key.1);
            }
        }
        self.prometheus
            .write(|known| known.views.retain(|key, _| present.contains(key)));
        debug!(told, "Prometheus has answered");
    }
}

/// The answers to everything that is asked of all apps together.
pub(super) async fn answers(server: &Server) -> Result<PollAnswers, Unanswered> {
    let mut answers = PollAnswers::default();
    answers.targets(&server.query(queries::UP).await?, true);
    answers.targets(&server.query(queries::DOWN).await?, false);
    answers.rules(&server.query(names::RULES_INFO).await?);
    answers.slos(&server.query(&queries::figures()).await?);
    answers.recorded_at(&server.query(&queries::recorded_at()).await?);
    answers.without_failures(&server.query(&queries::without_failures()).await?);
    answers.alerts(&server.query(queries::ALERTS).await?);
    answers.failing(&server.query(queries::FAILING).await?);
    answers.unmeasurable(&server.query(&queries::unmeasurable()).await?);
    Ok(answers)
}

/// What is wrong with the targets that are down, in Prometheus' own words.
async fn errors(server: &Server, namespace: &str, app: &str, view: &View) -> BTreeMap<String, String> {
    let mut errors = BTreeMap::new();
    for (job, (_, down)) in &view.jobs {
        if *down == 0 {
            continue;
        }
        let pool = match job.strip_suffix("-probe") {
            Some(probed) if probed == app => format!("probe/{namespace}/{app}"),
            _ => format!("serviceMonitor/{namespace}/{job}/0"),
        };
        let Ok(targets) = server.targets(&pool).await else {
            continue;
        };
        if let Some(target) = targets.iter().find(|target| target.health == "down") {
            errors.insert(
                job.clone(),
                format!("{}: {}", target.scrape_url, target.last_error),
            );
        }
    }
    errors
}

/// What is wrong with the first rule whose last evaluation failed, in Prometheus' own words.
pub(super) async fn rule_error(
    server: &Server,
    namespace: &str,
    app: &str,
) -> Result<Option<String>, Unanswered> {
    let rules = server.rules(namespace, app).await?;
    let failed = rules.into_iter().find(|rule| rule.health == "err");
    Ok(failed.map(|rule| format!("{}: {}", rule.name, rule.last_error)))
}

/// Why a latency objective cannot be judged: its threshold lies between two buckets of the app's histogram.
async fn between_buckets(server: &Server, app: &ObservedApp, slo: &str) -> Option<String> {
    let slo = app.spec.slos.iter().find(|known| known.name == slo)?;
    let threshold: PromDuration = slo.indicator.latency.as_ref()?.threshold.parse().ok()?;
    let metric = &app.spec.metrics.as_ref()?.latency;
    let buckets = format!(
        r#"count by (le) ({{__name__="{metric}_bucket",namespace="{}",job="{}"}})"#,
        app.namespace().unwrap_or_default(),
        app.name_any()
    );
    let buckets = server.query(&buckets).await.ok()?;
    let refused = latency::check_buckets(threshold, buckets.iter().map(|bucket| bucket.label("le"))).err()?;
    Some(refused.to_string())
}
