//! A dashboard as text: its layout as boxes, and below them each panel with its queries.

use std::fmt::Write;

use serde_json::Value;

/// Characters to a column of Grafana's grid.
const SCALE: usize = 5;

pub fn draw(dashboard: &Value) -> String {
    let mut text = format!(
        "{} (uid {}), {} to {}\n",
        dashboard["title"].as_str().unwrap(),
        dashboard["uid"].as_str().unwrap(),
        dashboard["time"]["from"].as_str().unwrap(),
        dashboard["time"]["to"].as_str().unwrap(),
    );
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        writeln!(
            text,
            "${} = {} {}",
            word(variable, "name"),
            word(variable, "type"),
            word(variable, "query")
        )
        .unwrap();
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        writeln!(
            text,
            "mark {}: {}",
            word(annotation, "name"),
            word(annotation, "expr")
        )
        .unwrap();
    }
    for link in dashboard["links"].as_array().unwrap() {
        match link["type"].as_str().unwrap() {
            "dashboards" => writeln!(text, "link to all that is tagged {}", link["tags"]),
            _ => writeln!(text, "link {}", word(link, "url")),
        }
        .unwrap();
    }
    let mut line: Vec<&Value> = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        if line
            .last()
            .is_some_and(|last| last["gridPos"]["y"] != panel["gridPos"]["y"])
        {
            draw_line(&mut text, &line);
            line.clear();
        }
        if panel["type"] == "row" {
            writeln!(text, "\n=== {} ===", word(panel, "title")).unwrap();
        } else {
            line.push(panel);
        }
    }
    draw_line(&mut text, &line);
    text
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn draw_line(text: &mut String, panels: &[&Value]) {
    if panels.is_empty() {
        return;
    }
    let width = |panel: &Value| usize::try_from(panel["gridPos"]["w"].as_u64().unwrap()).unwrap() * SCALE - 1;
    let border: String = panels
        .iter()
        .map(|panel| "+".to_owned() + &"-".repeat(width(panel)))
        .collect();
    let row = |cell: &dyn Fn(&Value) -> String| -> String {
        let cells = panels.iter().map(|panel| {
            let width = width(panel);
            let cell: String = cell(panel).chars().take(width - 1).collect();
            format!("| {cell:<0$}", width - 1)
        });
        cells.collect::<String>() + "|\n"
    };
    *text += &format!("{border}+\n");
    *text += &row(&|panel| word(panel, "title").to_owned());
    *text += &row(&|panel| {
        let unit = word(&panel["fieldConfig"]["defaults"], "unit");
        format!("{} in {unit}", word(panel, "type"))
    });
    *text += &format!("{border}+\n");
    for panel in panels {
        write!(text, "{}", word(panel, "title")).unwrap();
        if let Some(span) = panel["timeFrom"].as_str() {
            write!(text, ", the last {span}").unwrap();
        }
        let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            .as_array()
            .unwrap();
        for step in &steps[1..] {
            write!(text, ", from {} {}", step["value"], word(step, "color")).unwrap();
        }
        *text += "\n";
        for target in panel["targets"].as_array().unwrap() {
            let step = target["interval"]
                .as_str()
                .map_or(String::new(), |step| format!(", at least {step} a step"));
            writeln!(
                text,
                "  {}{step}: {}",
                word(target, "legendFormat"),
                word(target, "expr")
            )
            .unwrap();
        }
    }
}
