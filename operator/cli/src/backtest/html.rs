//! A backtest as one page that needs nothing else.

use std::fmt::Write;

use observedapp_slo::Speed;

use super::text::sample;
use super::{Replayed, lasted, moment, percent};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
/// What the labels of the axes need beside the plot and below it.
const LEFT: f64 = 60.0;
const BELOW: f64 = 24.0;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>SLO backtest</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3em .8em .3em 0; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; }
svg text { font-size: 12px; fill: currentColor; } .plot { fill: #8881; } .grid { stroke: #8886; }
.page { fill: #d33a; } .ticket { fill: #e904; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } }
</style>
<h1>SLO backtest</h1>
"#;

pub(super) fn render(replayed: &[Replayed]) -> String {
    let mut out = HEAD.to_owned();
    for slo in replayed {
        let _ = slo.write_html(&mut out);
    }
    out.push_str("</html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

impl Replayed {
    fn write_html(&self, out: &mut String) -> std::fmt::Result {
        let result = &self.result;
        writeln!(
            out,
            "<h2>{}: {}% over {}</h2>",
            escaped(&self.name),
            escaped(&self.objective),
            escaped(&self.window)
        )?;
        let (Some(ratio), Some(left)) = (result.error_ratio, result.budget_remaining) else {
            return writeln!(out, "<p>No data.</p>");
        };
        writeln!(
            out,
            "<p>{:.0} of {:.0} events failed: {:.4}% succeeded, {} of the budget is left; {} of the window is known.</p>",
            result.failed,
            result.events,
            (1.0 - ratio) * 100.0,
            percent(left),
            percent(result.coverage)
        )?;
        self.write_plot(out)?;
        if result.incidents.is_empty() {
            return writeln!(out, "<p>No alert would have fired.</p>");
        }
        out.push_str(
            "<table><tr><th>alert<th>fired (UTC)<th>lasted<th>worst burn<th>failed<th>budget spent</tr>\n",
        );
        for incident in &result.incidents {
            writeln!(
                out,
                "<tr><td>{}<td>{}<td>{}<td class=number>{:.1}x<td class=number>{:.0}<td class=number>{}</tr>",
                class(incident.speed),
                moment(incident.fired),
                lasted(incident.fired, incident.resolved),
                incident.peak_burn,
                incident.failed,
                percent(incident.budget_spent)
            )?;
        }
        out.push_str("</table>\n");
        Ok(())
    }

    /// The budget left over time, the alerts behind it.
    fn write_plot(&self, out: &mut String) -> std::fmt::Result {
        let points = sample(&self.result.budget, 480);
        let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else {
            return Ok(());
        };
        let lowest = points.iter().map(|(_, left)| *left).fold(0.0_f64, f64::min);
        let x = |at: i64| LEFT + (at - first) as f64 / (last - first).max(1) as f64 * (WIDTH - LEFT);
        let y = |left: f64| (1.0 - left) / (1.0 - lowest) * HEIGHT;
        writeln!(
            out,
            r#"<svg viewBox="0 0 {WIDTH} {}" role="img" aria-label="budget left">"#,
            HEIGHT + BELOW
        )?;
        writeln!(
            out,
            r#"<rect class="plot" x="{LEFT}" y="0" width="{}" height="{HEIGHT}"/>"#,
            WIDTH - LEFT
        )?;
        for incident in &self.result.incidents {
            let from = x(incident.fired.max(*first));
            let width = (x(incident.resolved.unwrap_or(*last)) - from).max(1.0);
            writeln!(
                out,
                r#"<rect class="{}" x="{from:.1}" y="0" width="{width:.1}" height="{HEIGHT}"/>"#,
                class(incident.speed)
            )?;
        }
        let line: Vec<String> = points
            .iter()
            .map(|(at, left)| format!("{:.1},{:.1}", x(*at), y(*left)))
            .collect();
        writeln!(
            out,
            r##"<polyline fill="none" stroke="#38c" stroke-width="2" points="{}"/>"##,
            line.join(" ")
        )?;
        let mut shares = vec![1.0, 0.5, 0.0];
        shares.extend((lowest < -0.25).then_some(lowest));
        for left in shares {
            let at = y(left);
            writeln!(
                out,
                r#"<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{at:.1}" y2="{at:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 6.0,
                (at + 4.0).clamp(12.0, HEIGHT),
                percent(left)
            )?;
        }
        let middle = first + (last - first) / 2;
        for (at, anchor) in [(*first, "start"), (middle, "middle"), (*last, "end")] {
            writeln!(
                out,
                r#"<text x="{:.1}" y="{}" text-anchor="{anchor}">{}</text>"#,
                x(at),
                HEIGHT + BELOW - 8.0,
                moment(at)
            )?;
        }
        writeln!(out, "</svg>\n<p>The budget left, times in UTC.</p>")
    }
}

fn class(speed: Speed) -> &'static str {
    match speed {
        Speed::Fast => "page",
        Speed::Slow => "ticket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::text::tests::example;

    #[test]
    fn a_page_stands_alone_and_text_cannot_break_it() {
        let mut slo = example();
        slo.name = "<script>".to_owned();
        let page = render(&[slo]);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
        assert!(page.contains("<polyline") && page.contains("46.3%"));
        for label in [
            ">100.0%<",
            ">0.0%<",
            ">1970-01-01 00:01<",
            ">1970-01-01 08:20<",
            ">1970-01-01 16:39<",
        ] {
            assert!(page.contains(label), "no axis label {label}: {page}");
        }
        assert!(!page.contains("http"), "nothing is fetched");
    }
}
