//! What was promised, and how much of it is left: from recorded series alone.

use observedapp_slo::{Slo, Speed, names};

use super::model::Unit;
use super::panel::{GREEN, Grid, ORANGE, PanelBuilder, RED, YELLOW};
use crate::ValidApp;

pub(super) fn row(app: &ValidApp, grid: &mut Grid) {
    let slos = &app.objectives.slos;
    if slos.is_empty() {
        return;
    }
    grid.row("SLOs");
    for slo in slos {
        grid.place(3, 6, objective(slo));
        grid.place(3, 6, indicator(slo));
        grid.place(3, 6, budget(slo));
        grid.place(7, 6, burn_down(slo));
        grid.place(8, 6, burn_rates(slo));
        grid.end_line();
    }
}

/// An SLO's own series of a record.
fn of(slo: &Slo, record: &str) -> String {
    format!(
        r#"{record}{{namespace="$namespace",app="$app",slo="{}"}}"#,
        slo.name
    )
}

fn objective(slo: &Slo) -> PanelBuilder {
    PanelBuilder::stat(format!("{}: objective", slo.name), Unit::Ratio)
        .says(format!(
            "The share of good events promised over {}. {}",
            slo.window, slo.description
        ))
        .decimals(3)
        .query("objective", of(slo, names::OBJECTIVE))
}

fn indicator(slo: &Slo) -> PanelBuilder {
    let objective = slo.objective.ratio().as_f64();
    PanelBuilder::stat(format!("{}: SLI", slo.name), Unit::Ratio)
        .says(format!("The share of good events over {}.", slo.window))
        .decimals(3)
        .thresholds(RED, &[(objective, GREEN)])
        .query("SLI", format!("1 - {}", of(slo, names::ERROR_RATIO_PERIOD)))
}

fn budget(slo: &Slo) -> PanelBuilder {
    PanelBuilder::stat(format!("{}: budget left", slo.name), Unit::Ratio)
        .says("1 is untouched, 0 is spent; below that the promise is broken.")
        .decimals(1)
        .thresholds(RED, &[(0.0, ORANGE), (0.25, YELLOW), (0.5, GREEN)])
        .query("budget left", of(slo, names::BUDGET_REMAINING))
}

fn burn_down(slo: &Slo) -> PanelBuilder {
    PanelBuilder::lines(format!("{}: budget over {}", slo.name, slo.window), Unit::Ratio)
        .says("How the error budget went down over the objective's own window.")
        .to(1.0)
        .thresholds(RED, &[(0.0, GREEN)])
        .threshold_lines()
        .over(slo.window.length())
        .query("budget left", of(slo, names::BUDGET_REMAINING))
}

/// A burn rate over each alert's long window, with the thresholds of the alerts as lines.
fn burn_rates(slo: &Slo) -> PanelBuilder {
    let budget = slo.objective.budget().as_f64();
    let mut steps: Vec<(f64, &'static str)> = slo
        .burn_pairs()
        .iter()
        .map(|pair| {
            let colour = match pair.speed {
                Speed::Fast => RED,
                Speed::Slow => ORANGE,
            };
            // Rounded: a share of a share has no exact decimals.
            let factor = (pair.threshold.as_f64() / budget * 1000.0).round() / 1000.0;
            (factor, colour)
        })
        .collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let panel = PanelBuilder::lines(format!("{}: burn rate", slo.name), Unit::Times)
        .says(
            "How many times faster than sustainable the budget burns. Each line has its threshold: above the two upper \
             ones somebody is paged, above the two lower ones a ticket is opened.",
        )
        .from(0.0)
        .thresholds(GREEN, &steps)
        .threshold_lines();
    slo.burn_pairs().iter().fold(panel, |panel, pair| {
        let ratio = of(slo, &names::error_ratio(pair.long));
        panel.query(
            &format!("over {}", pair.long),
            format!("{ratio} / (1 - {})", of(slo, names::OBJECTIVE)),
        )
    })
}
