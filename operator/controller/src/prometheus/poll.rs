//! Asking for all apps at once, again and again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::{Client, ResourceExt};
use observedapp_api::AppRef;
use observedapp_slo::names;
use tracing::{debug, warn};

use super::answers::PollAnswers;
use super::client::{Access, Server, Unanswered};
use super::instances::{PrometheusInstances, PrometheusSettings};
use super::numbers::Retention;
use super::poll_interval::PollInterval;
use super::view::View;
use super::{PollResult, Prometheus, details, queries, trials};
use crate::App;
use crate::metrics::{Metrics, ResultLabel};
use crate::queue::Queue;
use crate::watch::{Apps, app_ref};

/// For how many apps at most details are asked for in one poll: those with a target down, or rules that fail.
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
    /// Finds Prometheus objects before anything is reconciled: their selectors shape what is made.
    pub async fn find_instances(&self) {
        self.update_instances(&mut false).await;
    }

    /// Never returns.
    pub async fn run(self) {
        let mut servers: BTreeMap<String, Option<Server>> = BTreeMap::new();
        let mut warned = false;
        let mut interval = PollInterval::new(self.soon, self.period);
        loop {
            let began = Instant::now();
            self.update_instances(&mut warned).await;
            let urls = self.urls();
            servers.retain(|url, _| urls.contains(url));
            self.prometheus
                .known
                .write()
                .servers
                .retain(|url, _| urls.contains(url));
            if urls.is_empty() {
                self.count("nobody");
            }
            for url in urls {
                servers.entry(url).or_default();
            }
            // Side by side, so that one that does not answer holds up no other.
            let polls = servers.iter_mut().map(|(url, server)| self.poll(url, server));
            join_all(polls).await;
            self.wait(&mut interval, began.elapsed()).await;
        }
    }

    /// The servers of the namespaces in which there are apps.
    fn urls(&self) -> BTreeSet<String> {
        let apps = self.apps.store().state();
        let namespaces: BTreeSet<String> = apps.iter().filter_map(|app| app.namespace()).collect();
        let known = self.prometheus.known.read();
        let urls = namespaces
            .iter()
            .filter_map(|namespace| known.instances.url(namespace));
        urls.map(str::to_owned).collect()
    }

    fn count(&self, result: &'static str) {
        self.metrics
            .prometheus_polls
            .get_or_create(&ResultLabel { result })
            .inc();
    }

    async fn poll(&self, url: &str, server: &mut Option<Server>) {
        let result = match self.ask(url, server).await {
            Ok(()) => PollResult::Answered,
            Err(error) => PollResult::Unreachable(error.to_string()),
        };
        self.count(match result {
            PollResult::Answered => "answered",
            _ => "unreachable",
        });
        self.record(url, &result);
    }

    /// Waits for the next poll, and not for long where something was changed.
    async fn wait(&self, interval: &mut PollInterval, took: Duration) {
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

    /// Whether a server answers concerns every app.
    fn record(&self, url: &str, result: &PollResult) {
        {
            let mut known = self.prometheus.known.write();
            let server = known.servers.entry(url.to_owned()).or_default();
            // The wording of a failure may differ each time; that it fails is the news.
            let is_same = match (&server.poll, result) {
                (PollResult::Unreachable(_), PollResult::Unreachable(_)) => true,
                (before, now) => before == now,
            };
            if is_same {
                return;
            }
            server.poll.clone_from(result);
        }
        if let PollResult::Unreachable(error) = result {
            warn!(error, "Prometheus does not answer");
        }
        self.enqueue_all();
    }

    fn enqueue_all(&self) {
        self.prometheus.request_poll();
        self.apps.enqueue_all(&self.queue);
    }

    async fn update_instances(&self, warned: &mut bool) {
        if self.settings.confined {
            return;
        }
        match PrometheusInstances::find(&self.client, &self.settings).await {
            Ok(found) => {
                *warned = false;
                if *self.prometheus.known.read().instances == found {
                    return;
                }
                self.prometheus.known.write().instances = Arc::new(found);
                self.enqueue_all();
            }
            Err(error) if !*warned => {
                *warned = true;
                warn!(%error, "the Prometheus objects cannot be listed");
            }
            Err(_) => {}
        }
    }

    async fn ask(&self, url: &str, server: &mut Option<Server>) -> Result<(), Unanswered> {
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
        let changed = {
            let mut known = self.prometheus.known.write();
            let server = known.servers.entry(url.to_owned()).or_default();
            let before = std::mem::replace(&mut server.retention, retention);
            server.retention != before
        };
        if changed {
            self.enqueue_all();
        }
        self.distribute(server, answers).await;
        self.ask_of_trials(server).await;
        Ok(())
    }

    /// Asks how the pods of each release that is tried do.
    async fn ask_of_trials(&self, server: &Server) {
        for (app, query) in self.prometheus.trials.queries() {
            if self.prometheus.known.read().instances.url(&app.namespace) != Some(server.url()) {
                continue;
            }
            let counted = trials::ask(server, &query, jiff::Timestamp::now()).await;
            if self.prometheus.trials.answer(&app, counted) {
                self.queue.enqueue(&app);
            }
        }
    }

    /// Keeps what is new of each app, and enqueues it.
    async fn distribute(&self, server: &Server, mut answers: PollAnswers) {
        let mut details = DETAILS;
        let mut enqueued = 0_u32;
        let apps = self.apps.store().state();
        let mut present = HashSet::with_capacity(apps.len());
        for app in apps {
            let id = app_ref(&app);
            present.insert(id.clone());
            if self.prometheus.known.read().instances.url(&id.namespace) != Some(server.url()) {
                continue;
            }
            let view = self.view(server, &app, &id, &mut answers, &mut details).await;
            if self.keep(&app, &id, view) {
                enqueued += 1;
                self.queue.enqueue(&id);
            }
        }
        self.prometheus
            .known
            .write()
            .views
            .retain(|app, _| present.contains(app));
        debug!(enqueued, "Prometheus has answered");
    }

    /// What the answers say of one app, with details where something is wrong.
    async fn view(
        &self,
        server: &Server,
        app: &App,
        id: &AppRef,
        answers: &mut PollAnswers,
        details: &mut usize,
    ) -> View {
        let mut view = answers.take(id);
        if let Ok(app) = &app.0 {
            view.alerts.retain(|alert, _| alert.is_raised_by(&app.spec));
        }
        let is_down = view.jobs.values().any(|(_, down)| *down > 0);
        let fails = answers.fails(id);
        if *details == 0 || !(is_down || fails || !view.unmeasurable.is_empty()) {
            return view;
        }
        *details -= 1;
        view.errors = details::target_errors(server, id, &view).await;
        if fails {
            // Where that cannot be asked, what was known stays.
            view.rule_error = match details::rule_error(server, id).await {
                Ok(error) => error,
                Err(_) => self
                    .prometheus
                    .known
                    .read()
                    .views
                    .get(id)
                    .and_then(|view| view.rule_error.clone()),
            };
        }
        if let Ok(app) = &app.0 {
            for (slo, why) in &mut view.unmeasurable {
                *why = details::between_buckets(server, app, slo).await;
            }
        }
        view
    }

    /// Keeps a view, if it says anything that is worth a reconcile.
    fn keep(&self, app: &App, id: &AppRef, mut view: View) -> bool {
        let now = Instant::now();
        let slos = app.0.as_ref().map_or(&[][..], |app| app.spec.slos.as_slice());
        let mut known = self.prometheus.known.write();
        let before = known.views.get(id);
        let is_news = before.is_none_or(|before| view.is_news(before, slos, now));
        if is_news {
            if before.is_none_or(|before| view.effect_moved(before)) {
                self.prometheus.request_poll();
            }
            view.reported_at = Some(now);
            known.views.insert(id.clone(), Arc::new(view));
        }
        is_news
    }
}

/// The answers to everything that is asked of all apps together.
pub async fn answers(server: &Server) -> Result<PollAnswers, Unanswered> {
    let mut answers = PollAnswers::default();
    answers.targets(&server.query(queries::TARGETS).await?);
    answers.rules(&server.query(names::RULES_INFO).await?);
    answers.slos(&server.query(&queries::figures()).await?);
    answers.recorded_at(&server.query(&queries::recorded_at()).await?);
    answers.alerts(&server.query(queries::ALERTS).await?);
    answers.failing(&server.query(queries::FAILING).await?);
    answers.unmeasurable(&server.query(&queries::unmeasurable()).await?);
    Ok(answers)
}
