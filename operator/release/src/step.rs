//! One release, one phase further.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::comparison::{Comparison, compare};
use crate::plan::{Plan, Question, after};
use crate::pods::Pods;
use crate::record::{Phase, Record};
use crate::sentences::{bad, summary};
use crate::situation::{Counted, Running, Situation, Standing, WithoutTraffic};
use crate::trial::{Trial, span};

/// How soon it is looked again while pods are compared.
const SOON: Duration = Duration::from_secs(15);
/// How long a new release waits for Prometheus to be asked for the first time after the operator began.
const PATIENCE: Duration = Duration::from_mins(1);
/// A pod that has no node or image for so long gets none.
pub const CREATION: Duration = Duration::from_mins(10);
/// What a pod is given beyond its own time to start.
const STARTUP_MARGIN: Duration = Duration::from_secs(30);
/// How long pods of a release that is not compared may keep a trial from beginning.
const CLEARING: Duration = Duration::from_mins(2);

pub struct Step<'a> {
    situation: &'a Situation<'a>,
    base: Option<u64>,
    /// Overrides that were heeded before.
    heeded: BTreeSet<String>,
    template: u64,
    trial: Option<Trial>,
    question: Option<Question>,
    comparison: Option<Comparison>,
    message: String,
    again_after: Option<Duration>,
}

impl<'a> Step<'a> {
    pub fn new(situation: &'a Situation<'a>, base: Option<u64>, records: &[Record]) -> Self {
        Self {
            situation,
            base,
            heeded: records
                .iter()
                .filter_map(|record| record.anyway.clone())
                .collect(),
            template: 0,
            trial: None,
            question: None,
            comparison: None,
            message: String::new(),
            again_after: None,
        }
    }

    /// Decides again after this, or sooner.
    pub fn again(&mut self, after: Duration) {
        self.again_after = Some(self.again_after.map_or(after, |sooner| sooner.min(after)));
    }

    pub fn nothing(self) -> Plan {
        self.into_plan(Vec::new(), 0)
    }

    pub fn into_plan(self, records: Vec<Record>, current: u64) -> Plan {
        Plan {
            records,
            current,
            base: self.base,
            template: self.template,
            trial: self.trial,
            question: self.question,
            comparison: self.comparison,
            message: self.message,
            again_after: self.again_after,
            cost: None,
        }
    }

    /// Takes the release through as many phases as can be left now.
    pub fn advance(&mut self, release: &mut Record) {
        self.template = release.number;
        if self.overrides(release) {
            release.anyway = self.situation.anyway.map(str::to_owned);
            release.promoted = true;
            let why = self.situation.anyway.unwrap_or_default();
            release.conclude(Phase::RollingOut, self.now(), format!("released anyway: {why}"));
        }
        loop {
            let before = release.phase;
            match release.phase {
                Phase::Held => self.held(release),
                Phase::Baking => self.baking(release),
                Phase::RollingOut => self.rolling_out(release),
                Phase::Watching => self.watching(release),
                Phase::RolledBack
                | Phase::NeverReady
                | Phase::Stable
                | Phase::Superseded
                | Phase::Unjudged => self.over(release),
            }
            if release.phase == before {
                return;
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.situation.now
    }

    /// Whether a person lets the release go on that waits, is tried or was taken back; each reason counts once.
    fn overrides(&self, release: &Record) -> bool {
        let stopped = matches!(
            release.phase,
            Phase::Held | Phase::Baking | Phase::RolledBack | Phase::NeverReady
        );
        let why = self.situation.anyway.filter(|why| !self.heeded.contains(*why));
        stopped && why.is_some() && !release.first
    }

    fn held(&mut self, release: &mut Record) {
        let Situation { guard, measured, .. } = self.situation;
        let waited = after(release.began, self.now());
        if !release.first {
            if !measured.asked && waited < PATIENCE {
                self.wait("Prometheus is asked how the budgets stand");
                return;
            }
            let short = guard.hold_below.and_then(|least| {
                let worst = measured.budgets.iter().min_by(|a, b| a.1.total_cmp(b.1))?;
                (*worst.1 < least).then(|| (worst.0.clone(), *worst.1, least))
            });
            if let Some((slo, left, least)) = short {
                self.wait(&format!(
                    "the budget of {slo} is at {:.0}%, below the {:.0}% of spec.rollout.guard.holdWhenBudgetBelow: it waits for budget, or for the annotation observedapp.dev/release-anyway=WHY",
                    left * 100.0,
                    least * 100.0
                ));
                return;
            }
        }
        release.budgets.clone_from(&measured.budgets);
        release.burning.clone_from(&measured.burning);
        let tries = self.base.is_some() && guard.can_try;
        release.enter(if tries { Phase::Baking } else { Phase::RollingOut }, self.now());
    }

    /// The release before goes on running.
    fn wait(&mut self, message: &str) {
        self.run_base();
        self.say(message);
        self.again(SOON);
    }

    fn say(&mut self, message: &str) {
        message.clone_into(&mut self.message);
    }

    fn run_base(&mut self) {
        self.template = self.base.unwrap_or(self.template);
    }

    fn baking(&mut self, release: &mut Record) {
        self.again(SOON);
        let pods = Pods::of(self.situation, release.number);
        if pods.new.is_empty() && self.must_clear(release) {
            self.run_base();
            self.say("pods of an earlier attempt end first");
            return;
        }
        if pods.is_ready() && release.serving_since.is_none() {
            release.serving_since = Some(self.now());
        }
        let served = release
            .serving_since
            .map_or(Duration::ZERO, |since| after(since, self.now()));
        self.trial = Some(Trial::of(self.situation.guard, served));
        self.ask(release, &pods);
        if self.situation.replicas == 0 {
            self.promote(release, "no pods are wanted, so nothing could be tried");
        } else if pods.old.is_empty() && pods.ready() >= self.situation.replicas {
            release.promoted = true;
            let verdict = "it went on to all pods while the operator was away";
            self.conclude(release, Phase::Unjudged, verdict.to_owned());
        } else if let Some(why) = self.never_ready(release, &pods) {
            self.conclude(release, Phase::NeverReady, why);
        } else if let Some(why) = self.comparison.as_ref().and_then(bad) {
            self.conclude(release, Phase::RolledBack, why);
        } else if let Some(why) = pods.keeps_restarting() {
            self.conclude(release, Phase::RolledBack, why);
        } else if served >= self.situation.guard.bake_time && pods.is_ready() {
            self.judge(release, served);
        } else {
            self.message = self.so_far(&pods, served);
        }
    }

    /// Pods of a third release would be counted as the old ones, and one of them might be ended instead of it.
    fn must_clear(&self, release: &Record) -> bool {
        let strangers = self.situation.pods.iter().any(|pod| {
            pod.standing != Standing::Ending
                && pod.release.is_some()
                && pod.release != self.base
                && pod.release != Some(release.number)
        });
        let is_absent = self.situation.running == Running::Nothing;
        (strangers || is_absent) && after(release.since, self.now()) < CLEARING
    }

    fn ask(&mut self, release: &Record, pods: &Pods<'_>) {
        let Some(since) = release.serving_since else {
            return;
        };
        let guard = self.situation.guard;
        self.question = Some(Question {
            since,
            step: span(guard),
            new: pods.replica_sets_of_new(),
            old: pods.to_compare_with(),
        });
        if let Counted::Known(counts) = &self.situation.measured.counted {
            self.comparison = Some(compare(counts));
        }
    }

    /// The time of the trial is over, and nothing bad was found.
    fn judge(&mut self, release: &mut Record, served: Duration) {
        let guard = self.situation.guard;
        let found = match &self.comparison {
            Some(_) if served < guard.bake_time + 2 * span(guard) + guard.scrape => {
                // Evidence comes a span later than the requests, so to say good now would be too early.
                self.say("its last requests are still to be counted");
                return;
            }
            Some(comparison) => {
                let seen = comparison.requests_seen();
                if seen >= guard.min_requests {
                    let verdict = summary(comparison);
                    self.promote(release, &verdict);
                    return;
                }
                format!("{seen:.0} of {:.0} requests were seen", guard.min_requests)
            }
            None if self.situation.measured.counted == Counted::NotAsked => {
                self.say("Prometheus is asked how its pod does");
                return;
            }
            None if served < guard.watch_time => {
                self.say("Prometheus does not say how its pod does; spec.rollout.guard.withoutTraffic decides after watchTime");
                return;
            }
            None => "Prometheus did not say how its pod does".to_owned(),
        };
        match guard.without_traffic {
            WithoutTraffic::Proceed => self.promote(release, &format!("{found}; withoutTraffic is Proceed")),
            WithoutTraffic::RollBack => {
                self.conclude(
                    release,
                    Phase::RolledBack,
                    format!("{found}; withoutTraffic is RollBack"),
                );
            }
            WithoutTraffic::Hold => {
                self.message = format!(
                    "{found}; withoutTraffic is Hold: it waits for requests, or for the annotation observedapp.dev/release-anyway=WHY"
                );
            }
        }
    }

    fn promote(&mut self, release: &mut Record, verdict: &str) {
        release.promoted = true;
        self.conclude(release, Phase::RollingOut, verdict.to_owned());
    }

    fn conclude(&mut self, release: &mut Record, phase: Phase, verdict: String) {
        release.conclude(phase, self.now(), verdict);
        self.trial = None;
        self.question = None;
    }

    fn so_far(&self, pods: &Pods<'_>, served: Duration) -> String {
        if !pods.is_ready() {
            return "its first pod starts".to_owned();
        }
        let of = self.situation.guard.bake_time.as_secs();
        // In steps, because every other text is another write of the status.
        let served = served.as_secs() / SOON.as_secs() * SOON.as_secs();
        let served = format!("one pod of it has served {served} of {of} s");
        match &self.comparison {
            Some(comparison) => format!("{served}: {}", summary(comparison)),
            None => served,
        }
    }

    /// Why no pod of the release will answer any more.
    fn never_ready(&self, release: &Record, pods: &Pods<'_>) -> Option<String> {
        if self.base.is_none() || pods.is_ready() || self.situation.replicas == 0 {
            return None;
        }
        let now = self.now();
        let guard = self.situation.guard;
        let startup = guard.startup + STARTUP_MARGIN;
        if release.phase == Phase::Baking
            && let Some(since) = release.serving_since
        {
            // One that has answered and does not now gets no requests; it may come back while it is tried.
            let limit = guard.bake_time + startup;
            return (after(since, now) > limit)
                .then(|| "its pod answered at first, and then not any more".to_owned());
        }
        if pods.new.is_empty() {
            let waited = after(release.since, now) > CREATION;
            return waited.then(|| format!("no pod of it was made within {} s", CREATION.as_secs()));
        }
        pods.new.iter().find_map(|pod| match pod.standing {
            Standing::Failing { since } if after(since.max(release.since), now) > startup => Some(format!(
                "its pod {} did not answer within {} s",
                pod.name,
                startup.as_secs()
            )),
            Standing::Creating { since } if after(since.max(release.since), now) > CREATION => Some(format!(
                "its pod {} got no node, volume or image within {} s",
                pod.name,
                CREATION.as_secs()
            )),
            _ => None,
        })
    }

    fn rolling_out(&mut self, release: &mut Record) {
        self.again(SOON);
        let pods = Pods::of(self.situation, release.number);
        let wanted = self.situation.replicas;
        if self.new_burn(release) {
            return;
        }
        if let Some(why) = self.never_ready(release, &pods) {
            self.conclude(release, Phase::NeverReady, why);
        } else if pods.old.is_empty() && pods.ready() >= wanted && self.runs(release) {
            release.promoted = true;
            let phase = if self.base.is_some() {
                Phase::Watching
            } else {
                Phase::Stable
            };
            release.enter(phase, self.now());
        } else {
            self.message = format!("{} of {wanted} pods are of this release and answer", pods.ready());
        }
    }

    /// Whether the Deployment describes this release already.
    fn runs(&self, release: &Record) -> bool {
        self.situation.running == Running::Release(release.number)
    }

    fn watching(&mut self, release: &mut Record) {
        if self.new_burn(release) {
            return;
        }
        let watched = after(release.since, self.now());
        let watch_time = self.situation.guard.watch_time;
        if watched >= watch_time {
            release.enter(Phase::Stable, self.now());
        } else {
            self.again(watch_time.saturating_sub(watched));
            self.say("it runs everywhere, and is watched");
        }
    }

    /// Takes the release back if a budget burns fast that did not before it.
    fn new_burn(&mut self, release: &mut Record) -> bool {
        let (Some(before), Some(now)) = (&release.burning, &self.situation.measured.burning) else {
            return false;
        };
        let Some(slo) = now.difference(before).next().filter(|_| self.base.is_some()) else {
            return false;
        };
        let why = format!("the budget of {slo} burns fast, as it did not before");
        self.conclude(release, Phase::RolledBack, why);
        true
    }

    fn over(&mut self, release: &Record) {
        if release.phase.is_taken_back() {
            self.run_base();
        }
    }
}
