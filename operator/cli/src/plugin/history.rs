//! What ran when, and what came of it. Pure.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;
use observedapp_api::{ObservedApp, ReleaseStatus};
use serde::Serialize;

use super::report::number;
use super::screen::style_of_phase;
use super::terminal::{Page, Style, Terminal, ago, bar, widths, wrapped};

/// Stands between two columns.
const GAP: &str = "   ";
const BAR: usize = 20;
/// In less a verdict is hard to read: then it has lines of its own.
const NARROWEST_VERDICT: usize = 40;
/// Deployments write the number of the revision on their ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// What ran of an app, newest last.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct History {
    pub namespace: String,
    pub name: String,
    /// As the operator records them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseStatus>,
    /// What the Deployment keeps, where no release is recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<Revision>,
}

/// A ReplicaSet of the app's Deployment.
#[derive(Debug, Serialize)]
pub(crate) struct Revision {
    /// Counts the revisions of the Deployment.
    pub number: i64,
    pub image: String,
    /// Those that answer.
    pub pods: i32,
    /// When it was made; one that was gone back to is older than it looks.
    pub made: Option<Timestamp>,
}

impl History {
    pub fn of(app: &ObservedApp, replica_sets: &[ReplicaSet]) -> Self {
        let name = app.name_any();
        let mut revisions: Vec<Revision> = replica_sets.iter().map(|set| Revision::of(set, &name)).collect();
        revisions.sort_by_key(|revision| revision.number);
        let status = app.status.as_ref();
        Self {
            namespace: app.namespace().unwrap_or_default(),
            releases: status.map(|status| status.releases.clone()).unwrap_or_default(),
            revisions,
            name,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.releases.is_empty() && self.revisions.is_empty()
    }
}

impl Revision {
    fn of(set: &ReplicaSet, container: &str) -> Self {
        let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        let pod = template.and_then(|template| template.spec.as_ref());
        let own = pod.and_then(|pod| pod.containers.iter().find(|one| one.name == container));
        Self {
            number: set
                .annotations()
                .get(REVISION)
                .and_then(|revision| revision.parse().ok())
                .unwrap_or_default(),
            image: own.and_then(|own| own.image.clone()).unwrap_or_default(),
            pods: set
                .status
                .as_ref()
                .and_then(|status| status.ready_replicas)
                .unwrap_or_default(),
            made: set.creation_timestamp().map(|made| made.0),
        }
    }
}

pub(crate) fn draw(history: &History, now: Timestamp, terminal: Terminal) -> String {
    let mut page = Page::new(terminal);
    if history.is_empty() {
        return page.into_text();
    }
    let note = if history.releases.is_empty() {
        revisions(&mut page, &history.revisions, now);
        "the ReplicaSets that the Deployment keeps; with spec.rollout.guard each release is recorded, with a verdict and its cost"
    } else {
        releases(&mut page, &history.releases, now);
        "the cost is the share of the whole error budget that a release took, of the objective that lost most by it"
    };
    page.gap();
    page.paragraph("", Style::Faint, note);
    page.into_text()
}

fn releases(page: &mut Page, releases: &[ReleaseStatus], now: Timestamp) {
    let head = ["RELEASE", "IMAGE", "PHASE", "AGE", "COST"].map(str::to_owned);
    let table: Vec<[String; 5]> = releases
        .iter()
        .map(|release| {
            [
                release.number.to_string(),
                release.image.clone(),
                release.phase.clone(),
                age(release.began.as_ref().map(|began| began.0), now),
                release.budget_cost.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    let widths = widths(&head, &table);
    let mut used: usize = widths.iter().map(|width| width + GAP.len()).sum();
    let bars = used + BAR + GAP.len() <= page.terminal.width;
    if bars {
        used += BAR + GAP.len();
    }
    let room = page.terminal.width.saturating_sub(used);
    let beside = room >= NARROWEST_VERDICT;
    let line = |page: &mut Page, cells: &[String; 5], style: Style, drawing: &str, verdict: &str| {
        let [release, image, phase, age, cost] = cells;
        let drawing = if bars {
            format!("{drawing:<BAR$}{GAP}")
        } else {
            String::new()
        };
        page.line(&[
            (Style::Strong, &padded(release, widths[0])),
            (Style::Plain, &padded(image, widths[1])),
            (style, &padded(phase, widths[2])),
            (Style::Plain, &padded(age, widths[3])),
            (Style::Plain, &padded(cost, widths[4])),
            (style, &drawing),
            (Style::Plain, verdict),
        ]);
    };
    line(page, &head, Style::Plain, "", if beside { "VERDICT" } else { "" });
    for (release, cells) in releases.iter().zip(&table) {
        let style = style_of_phase(&release.phase);
        let cost = number(release.budget_cost.as_deref());
        let drawing = cost.map(|cost| bar(cost / 100.0, BAR)).unwrap_or_default();
        let verdict = release.verdict.as_deref().unwrap_or_default();
        if beside {
            let mut lines = wrapped(verdict, room).into_iter();
            line(page, cells, style, &drawing, &lines.next().unwrap_or_default());
            for rest in lines {
                page.line(&[(Style::Plain, &format!("{:used$}{rest}", ""))]);
            }
        } else {
            line(page, cells, style, &drawing, "");
            page.paragraph("    ", Style::Plain, verdict);
        }
    }
}

fn revisions(page: &mut Page, revisions: &[Revision], now: Timestamp) {
    let head = ["REVISION", "IMAGE", "PODS", "AGE"].map(str::to_owned);
    let table: Vec<[String; 4]> = revisions
        .iter()
        .map(|revision| {
            [
                revision.number.to_string(),
                revision.image.clone(),
                revision.pods.to_string(),
                age(revision.made, now),
            ]
        })
        .collect();
    let widths = widths(&head, &table);
    for [number, image, pods, age] in std::iter::once(&head).chain(&table) {
        page.line(&[
            (Style::Strong, &padded(number, widths[0])),
            (Style::Plain, &padded(image, widths[1])),
            (Style::Plain, &padded(pods, widths[2])),
            (Style::Plain, age),
        ]);
    }
}

fn padded(cell: &str, width: usize) -> String {
    format!("{cell:<width$}{GAP}")
}

fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(
        || "-".to_owned(),
        |since| ago(now.as_second() - since.as_second()),
    )
}

#[cfg(test)]
mod tests;
