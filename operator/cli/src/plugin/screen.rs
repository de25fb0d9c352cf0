//! One app on one screen. Pure: a report, a clock and a look give the same text every time.

mod release;

use jiff::Timestamp;
use observedapp_api::{ConditionType, FIGURES, SloState};

use super::report::{ConditionReport, Objective, Part, Report, moment, number};
use super::terminal::{Page, Style, Terminal, ago, bar, spark};

/// No bar and no sparkline is longer.
const LONGEST: usize = 48;
/// The width of the text beside them.
const CAPTION: usize = 56;
/// No bar says anything in less.
const SHORTEST: usize = 10;
/// Why `SLOsMet` is Unknown while what is shown of the objectives is of earlier.
const OUTDATED: [&str; 2] = ["PrometheusUnreachable", "NotRecorded"];
/// A budget that burns at this rate is just spent when its window ends.
const SUSTAINABLE: f64 = 1.0;

pub(crate) fn draw(report: &Report, now: Timestamp, terminal: Terminal) -> String {
    let mut page = Page::new(terminal);
    head(&mut page, report);
    release::tell(&mut page, report, now);
    objectives(&mut page, report);
    alerts(&mut page, report, now);
    conditions(&mut page, report, now);
    page.into_text()
}

pub(crate) use self::release::style_of_phase;

pub(crate) fn style_of(state: SloState) -> Style {
    match state {
        SloState::Met => Style::Good,
        SloState::AtRisk => Style::Warn,
        SloState::Violated => Style::Bad,
        SloState::NoData => Style::Faint,
    }
}

pub(crate) fn word_of(state: SloState) -> &'static str {
    match state {
        SloState::Met => "Met",
        SloState::AtRisk => "AtRisk",
        SloState::Violated => "Violated",
        SloState::NoData => "NoData",
    }
}

fn head(page: &mut Page, report: &Report) {
    let (style, ready) = match report.condition(ConditionType::Ready) {
        Some(condition_report) if condition_report.is_true() => (Style::Good, "ready".to_owned()),
        Some(condition_report) => (
            Style::Bad,
            format!("not ready ({})", condition_report.condition.reason),
        ),
        None => (Style::Faint, "nothing is known yet".to_owned()),
    };
    let name = format!("{}/{}", report.namespace, report.name);
    page.line(&[(Style::Strong, &name), (Style::Plain, "  "), (style, &ready)]);
    fact(page, "image", Style::Plain, &report.image);
    let (style, replicas) = replicas(report);
    fact(page, "replicas", style, &replicas);
    for (label, part) in [("database", &report.database), ("cache", &report.cache)] {
        if let Some(part) = part {
            let (style, text) = part_text(part);
            fact(page, label, style, &text);
        }
    }
    if let Some(url) = &report.url {
        fact(page, "URL", Style::Plain, url);
    }
    for remark in &report.remarks {
        fact(page, "note", Style::Warn, remark);
    }
}

fn fact(page: &mut Page, label: &str, style: Style, text: &str) {
    page.paragraph(&format!("  {label:<9} "), style, text);
}

fn replicas(report: &Report) -> (Style, String) {
    let replicas = &report.replicas;
    let style = if replicas.ready < replicas.wanted_at_least {
        Style::Bad
    } else {
        Style::Plain
    };
    let text =
        if replicas.wanted_at_least == replicas.wanted_at_most && replicas.ready > replicas.wanted_at_most {
            // While pods change there are more.
            format!(
                "{} answer, {} are wanted",
                replicas.ready, replicas.wanted_at_least
            )
        } else if replicas.wanted_at_least == replicas.wanted_at_most {
            format!("{} of {} answer", replicas.ready, replicas.wanted_at_least)
        } else {
            format!(
                "{} of {} answer, scaled between {} and {}",
                replicas.ready, replicas.existing, replicas.wanted_at_least, replicas.wanted_at_most
            )
        };
    (style, text)
}

fn part_text(part: &Part) -> (Style, String) {
    let kind = &part.kind;
    match (part.ready.as_deref(), &part.reason) {
        (Some("True"), _) => (Style::Plain, format!("{kind}: ready")),
        (Some("False"), Some(reason)) => (Style::Bad, format!("{kind}: not ready ({reason})")),
        _ => (Style::Warn, format!("{kind}: not known")),
    }
}

fn objectives(page: &mut Page, report: &Report) {
    if report.slos.is_empty() {
        return;
    }
    page.gap();
    let anything = report.slos.iter().any(|slo| slo.status.sli.is_some());
    let outdated = report
        .condition(ConditionType::SLOsMet)
        .is_some_and(|condition_report| OUTDATED.contains(&condition_report.condition.reason.as_str()));
    let remark = (anything && outdated).then_some(", as last known (see SLOsMet)");
    page.line(&[(Style::Strong, "SLOs"), (Style::Warn, remark.unwrap_or_default())]);
    for slo in &report.slos {
        objective(page, slo);
    }
    if anything {
        page.paragraph("  ", Style::Faint, FIGURES);
    }
    if let Some(why) = &report.no_history {
        page.paragraph("  ", Style::Faint, &format!("no sparklines: {why}"));
    }
}

fn objective(page: &mut Page, slo: &Objective) {
    let status = &slo.status;
    let style = style_of(status.state);
    let promised = format!("{} promised over {}", status.objective, status.window);
    let mut promise = match &status.sli {
        Some(sli) => format!("  {sli} good of the {promised}"),
        None => format!("  {promised}"),
    };
    if let Some(coverage) = status.window_coverage.as_deref().filter(|share| *share != "100%") {
        promise += &format!(", {coverage} of it known");
    }
    page.line(&[
        (Style::Strong, &format!("  {}", status.name)),
        (style, &format!("  {}", word_of(status.state))),
        (Style::Plain, &promise),
    ]);
    let width = page
        .terminal
        .width
        .saturating_sub(CAPTION)
        .clamp(SHORTEST, LONGEST);
    let budget = status.budget_remaining.as_deref();
    let left = match (budget, &status.exhausts_in) {
        (Some(left), Some(end)) => format!("{left} left, spent in {end} at this rate"),
        (Some(left), None) => format!("{left} left"),
        (None, _) => "nothing is known, nothing is claimed".to_owned(),
    };
    let drawing = number(budget).map(|left| bar(left / 100.0, width));
    drawing_line(page, "budget", style, drawing, &left);
    let day = &slo.burn_rate_last_day;
    let highest = day.iter().flatten().copied().reduce(f64::max);
    let mut burning = status.burn_rate.as_ref().map(|rate| format!("{rate} last hour"));
    if let Some(highest) = highest {
        let peak = format!("at most {highest:.1}x last day");
        burning = Some(burning.map_or_else(|| peak.clone(), |hour| format!("{hour}, {peak}")));
    }
    if let Some(burning) = burning {
        let line = highest.map(|_| spark(day, width, SUSTAINABLE));
        drawing_line(page, "burning", Style::Plain, line, &burning);
    }
}

/// A drawing and what it says, side by side where there is room for both.
fn drawing_line(page: &mut Page, label: &str, style: Style, drawing: Option<String>, caption: &str) {
    let label = format!("    {label:<7} ");
    let Some(drawing) = drawing else {
        return page.line(&[(Style::Plain, &label), (Style::Plain, caption)]);
    };
    let width = [&label, &drawing, caption]
        .iter()
        .map(|text| text.chars().count())
        .sum::<usize>()
        + 2;
    let drawing = (style, drawing.as_str());
    if width <= page.terminal.width {
        page.line(&[
            (Style::Plain, &label),
            drawing,
            (Style::Plain, "  "),
            (Style::Plain, caption),
        ]);
    } else {
        page.line(&[(Style::Plain, &label), drawing]);
        page.paragraph(&" ".repeat(label.len()), Style::Plain, caption);
    }
}

fn alerts(page: &mut Page, report: &Report, now: Timestamp) {
    page.gap();
    match report.firing_alerts {
        None => page.line(&[(
            Style::Faint,
            "Alerts: not known, Prometheus has not been heard of",
        )]),
        Some(0) => page.line(&[(Style::Strong, "Alerts"), (Style::Plain, ": none is firing")]),
        Some(count) => {
            page.line(&[
                (Style::Strong, "Alerts"),
                (Style::Bad, &format!(": {count} firing")),
            ]);
            let width = report
                .alerts
                .iter()
                .map(|alert| alert.name.chars().count())
                .max()
                .unwrap_or(0);
            for alert in &report.alerts {
                let style = match alert.severity.as_deref() {
                    Some("critical") => Style::Bad,
                    _ => Style::Warn,
                };
                let mut about = String::new();
                for part in [&alert.severity, &alert.slo].into_iter().flatten() {
                    about += &format!("  {part}");
                }
                if let Some(since) = &alert.since {
                    about += &format!("  for {}, since {}", age(now, since.0), moment(since.0));
                }
                page.line(&[
                    (style, &format!("  {:<width$}", alert.name)),
                    (Style::Plain, &about),
                ]);
            }
            let untold = usize::try_from(count)
                .unwrap_or(0)
                .saturating_sub(report.alerts.len());
            if untold > 0 {
                let more =
                    format!("  and {untold} more; one that fires for several pods counts several times");
                page.line(&[(Style::Plain, &more)]);
            }
        }
    }
}

fn conditions(page: &mut Page, report: &Report, now: Timestamp) {
    // These two are for tools, and say nothing that the others do not say better.
    let for_tools = [ConditionType::Reconciling, ConditionType::Stalled].map(ConditionType::as_str);
    let shown: Vec<&ConditionReport> = report
        .conditions
        .iter()
        .filter(|condition_report| !for_tools.contains(&condition_report.condition.type_.as_str()))
        .collect();
    let all = shown.len();
    if all == 0 {
        return;
    }
    page.gap();
    let broken: Vec<&ConditionReport> = shown
        .into_iter()
        .filter(|condition_report| !condition_report.is_true())
        .collect();
    let holding = match broken.len() {
        0 => format!(": all {all} are True"),
        broken => format!(": {} of {all} are True", all - broken),
    };
    page.line(&[(Style::Strong, "Conditions"), (Style::Plain, &holding)]);
    for (i, condition_report) in broken.iter().enumerate() {
        let condition = &condition_report.condition;
        let style = if condition.status == "False" {
            Style::Bad
        } else {
            Style::Warn
        };
        let about = format!(
            " for {}: {}",
            age(now, condition.last_transition_time.0),
            condition.reason
        );
        page.line(&[
            (Style::Plain, "  "),
            (Style::Strong, &condition.type_),
            (Style::Plain, " is "),
            (style, &condition.status),
            (Style::Plain, &about),
        ]);
        let same = |other: &&&ConditionReport| {
            other.cause == condition_report.cause && other.remedy == condition_report.remedy
        };
        if let Some(first) = broken[..i].iter().find(same) {
            page.paragraph("    → ", Style::Plain, &format!("as {}", first.condition.type_));
            continue;
        }
        if condition.type_ == ConditionType::Released.as_str() && report.release_to_tell().is_some() {
            page.paragraph("    → ", Style::Plain, "see the release above");
            continue;
        }
        page.paragraph("    ", Style::Plain, &condition_report.cause);
        if let Some(remedy) = &condition_report.remedy {
            page.paragraph("    → ", Style::Strong, remedy);
        }
    }
}

fn age(now: Timestamp, since: Timestamp) -> String {
    ago(now.as_second() - since.as_second())
}

#[cfg(test)]
pub(crate) mod tests;
