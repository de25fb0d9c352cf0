//! The release that waits, is tried, rolls out, is watched, or was taken back.

use jiff::Timestamp;
use observedapp_api::{ConditionType, ReleaseStatus};

use super::super::report::Report;
use super::super::terminal::{Page, Style, widths};
use super::{age, fact};

pub(crate) fn style_of_phase(phase: &str) -> Style {
    match phase {
        "Stable" | "Watching" => Style::Good,
        "Held" | "Baking" | "RollingOut" => Style::Warn,
        "RolledBack" | "NeverReady" => Style::Bad,
        _ => Style::Faint,
    }
}

pub(super) fn tell(page: &mut Page, report: &Report, now: Timestamp) {
    let Some(release) = report.release_to_tell() else {
        return;
    };
    page.gap();
    let title = format!("Release {}", release.number);
    let since = release.since.as_ref();
    let since = since.map_or_else(String::new, |since| format!(" for {}", age(now, since.0)));
    page.line(&[
        (Style::Strong, &title),
        (Style::Plain, "  "),
        (style_of_phase(&release.phase), &release.phase),
        (Style::Plain, &since),
    ]);
    if release.phase == "Watching" {
        return;
    }
    fact(page, "image", Style::Plain, &release.image);
    if let Some(cost) = &release.budget_cost {
        fact(page, "cost", Style::Plain, &format!("{cost} of an error budget"));
    }
    compared(page, release);
    let condition_report = report.condition(ConditionType::Released);
    let Some(told) = condition_report.filter(|told| !told.is_true()) else {
        return;
    };
    page.paragraph("  ", Style::Plain, &told.cause);
    // While it goes on by itself nobody has to do anything.
    let waits = ["Baking", "RollingOut"].contains(&release.phase.as_str());
    if let Some(remedy) = told.remedy.as_ref().filter(|_| !waits) {
        page.paragraph("  → ", Style::Strong, remedy);
    }
}

/// New and old side by side.
fn compared(page: &mut Page, release: &ReleaseStatus) {
    if release.comparison.is_empty() {
        return;
    }
    let head = ["failed", "new pod", "old pods", "evidence against it"].map(str::to_owned);
    let rows: Vec<[String; 4]> = release
        .comparison
        .iter()
        .map(|one| {
            [
                one.slo.clone(),
                one.new.clone(),
                one.old.clone(),
                one.evidence.clone(),
            ]
        })
        .collect();
    let [slo_width, new_width, old_width, _] = widths(&head, &rows);
    for (i, [slo, new, old, evidence]) in std::iter::once(&head).chain(&rows).enumerate() {
        let line = format!("  {slo:<slo_width$}   {new:<new_width$}   {old:<old_width$}   {evidence}");
        let style = if i == 0 { Style::Faint } else { Style::Plain };
        page.line(&[(style, &line)]);
    }
}
