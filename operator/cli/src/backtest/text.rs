//! A backtest for a terminal.

use std::fmt::Write;

use observedapp_slo::Speed;
use observedapp_slo::backtest::Backtest;

use super::{Replayed, lasted, moment, percent};

const COLUMNS: usize = 72;
const ROWS: usize = 8;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn render(replayed: &[Replayed]) -> String {
    let mut out = String::new();
    for (i, slo) in replayed.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let _ = slo.write(&mut out);
    }
    out
}

impl Replayed {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}: {}% over {}", self.name, self.objective, self.window)?;
        let result = &self.result;
        let (Some(ratio), Some(left)) = (result.error_ratio, result.budget_remaining) else {
            return writeln!(out, "  no data");
        };
        writeln!(
            out,
            "  {:.0} of {:.0} events failed: {:.4}% succeeded, {} of the budget is left; {} of the window is known",
            result.failed,
            result.events,
            (1.0 - ratio) * 100.0,
            percent(left),
            percent(result.coverage),
        )?;
        plot(out, result)?;
        if result.incidents.is_empty() {
            return writeln!(out, "  no alert would have fired");
        }
        for incident in &result.incidents {
            let kind = match incident.speed {
                Speed::Fast => "page",
                Speed::Slow => "ticket",
            };
            writeln!(
                out,
                "  {kind:<6} {}  {:<12} {:>8.1}x at its worst  {:>9.0} failed  {:>7} of the budget",
                moment(incident.fired),
                lasted(incident.fired, incident.resolved),
                incident.peak_burn,
                incident.failed,
                percent(incident.budget_spent),
            )?;
        }
        Ok(())
    }
}

/// The budget left, as columns of eighths; below zero there is nothing to draw.
fn plot(out: &mut String, result: &Backtest) -> std::fmt::Result {
    let columns = sample(&result.budget, COLUMNS);
    for row in (0..ROWS).rev() {
        let label = match row {
            7 => "100%",
            0 => "  0%",
            _ => "    ",
        };
        write!(out, "  {label} ")?;
        for (_, left) in &columns {
            let height = left.clamp(0.0, 1.0) * ROWS as f64 - row as f64;
            // Between 0 and 8.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let eighths = (height.clamp(0.0, 1.0) * 8.0).round() as usize;
            out.push(EIGHTHS[eighths.min(8)]);
        }
        out.push('\n');
    }
    if let (Some((first, _)), Some((last, _))) = (columns.first(), columns.last()) {
        let (first, last) = (moment(*first), moment(*last));
        match columns.len().checked_sub(first.len() + last.len()) {
            Some(gap) if gap > 0 => writeln!(out, "       {first}{}{last}", " ".repeat(gap))?,
            // Too narrow for both to stand below their columns.
            _ => writeln!(out, "       {first} to {last}")?,
        }
    }
    Ok(())
}

/// As many points as there are columns, each the lowest of its share.
pub(super) fn sample(points: &[(i64, f64)], columns: usize) -> Vec<(i64, f64)> {
    if points.is_empty() {
        return Vec::new();
    }
    let columns = columns.min(points.len());
    (0..columns)
        .filter_map(|column| {
            let share = &points[points.len() * column / columns..points.len() * (column + 1) / columns];
            let lowest = share.iter().map(|(_, left)| *left).fold(f64::INFINITY, f64::min);
            share.last().map(|(at, _)| (*at, lowest))
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use observedapp_slo::backtest::Incident;

    use super::*;

    pub(crate) fn example() -> Replayed {
        Replayed {
            name: "availability".to_owned(),
            objective: "99.9".to_owned(),
            window: "30d".to_owned(),
            result: Backtest {
                incidents: vec![Incident {
                    speed: Speed::Fast,
                    began: 0,
                    fired: 60,
                    resolved: Some(1440),
                    failed: 2000.0,
                    budget_spent: 0.463,
                    peak_burn: 1000.0,
                }],
                events: 4_320_000.0,
                failed: 2000.0,
                error_ratio: Some(0.000_463),
                coverage: 1.0,
                budget_remaining: Some(0.537),
                budget: (0..1000)
                    .map(|k| (k * 60, if k < 500 { 1.0 } else { 0.537 }))
                    .collect(),
            },
        }
    }

    #[test]
    fn a_person_reads_when_how_long_and_what_it_cost() {
        let text = render(&[example()]);
        assert!(text.contains("page   1970-01-01 00:01  23m"), "{text}");
        assert!(text.contains("46.3% of the budget"), "{text}");
        assert!(text.contains("53.7% of the budget is left"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn the_times_below_a_narrow_plot_stay_apart() {
        for points in [1, 2, 20, 32, 33, 72] {
            let mut slo = example();
            slo.result.budget.truncate(points);
            let text = render(&[slo]);
            let below = text
                .lines()
                .find(|line| line.trim_start().starts_with("1970-"))
                .unwrap_or_default();
            let times: Vec<&str> = below.split("1970-").skip(1).collect();
            assert!(times.len() == 2 && times[0].ends_with(' '), "{points}: {below:?}");
        }
    }

    #[test]
    fn no_data_is_not_a_hundred_percent() {
        let mut none = example();
        none.result.error_ratio = None;
        none.result.budget_remaining = None;
        assert_eq!(render(&[none]), "availability: 99.9% over 30d\n  no data\n");
    }

    #[test]
    fn a_plot_keeps_the_lowest_point() {
        let points: Vec<(i64, f64)> = (0..1000)
            .map(|k| (k, if k == 777 { -1.0 } else { 1.0 }))
            .collect();
        let columns = sample(&points, 72);
        assert_eq!(columns.len(), 72);
        assert!(columns.iter().any(|(_, left)| *left < 0.0));
        assert_eq!(sample(&points[..3], 72).len(), 3);
    }
}
