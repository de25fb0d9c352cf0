//! Queries of an app's dashboard, run by Prometheus' own engine.

use golden_tests::Case;
use observedapp_desired::{Object, desired};
use serde_json::{Value, json};

use crate::support::{SCRAPE, Series, UnitTest};

const HOUR: u64 = 3600;

/// The dashboard of the app `shop/tasks` of a golden case.
fn dashboard(case: &str) -> Value {
    let cases = Case::all().unwrap();
    let case = cases.iter().find(|one| one.name == case).unwrap();
    let objects = desired(&case.validate().unwrap()).objects;
    let dashboard = objects
        .iter()
        .find_map(|object| match object {
            Object::ConfigMap(map) if map.metadata.name.as_deref() == Some("tasks-dashboards") => {
                map.data.as_ref()?.values().next()
            }
            _ => None,
        })
        .unwrap();
    serde_json::from_str(dashboard).unwrap()
}

/// A query as Grafana asks it.
fn asked(query: &Value) -> String {
    [
        ("$__rate_interval", "1m"),
        ("$namespace", "shop"),
        ("$app", "tasks"),
    ]
    .into_iter()
    .fold(
        query["expr"].as_str().unwrap().to_owned(),
        |expr, (variable, value)| expr.replace(variable, value),
    )
}

/// Each query of the dashboard of `shop/tasks` with everything on, with its panel's title.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for panel in dashboard("everything")["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((panel["title"].as_str().unwrap().to_owned(), asked(target)));
        }
    }
    queries
}

#[test]
fn a_release_is_marked_where_it_began_and_by_one_replica_of_the_operator() {
    let dashboard = dashboard("guarded");
    let marks = dashboard["annotations"]["list"].as_array().unwrap();
    let mark = asked(marks.iter().find(|mark| mark["name"] == "Releases").unwrap());
    let began = HOUR / 2;
    let of = |pod: &str| -> Vec<Series> {
        let labels = format!(r#"namespace="shop",app="tasks",release="7",pod="{pod}""#);
        let info = format!(r#"observedapp_release_info{{{labels},image="tasks:7"}}"#);
        let at = format!("observedapp_release_began_timestamp_seconds{{{labels}}}");
        vec![
            Series::constant(&info, 1.0, HOUR),
            Series::constant(&at, began as f64, HOUR),
        ]
    };
    let mut test = UnitTest::of_groups(json!([]), SCRAPE, [of("operator-1"), of("operator-2")].concat());
    test.gives(began + 60, &mark, r#"{release="7",image="tasks:7"}"#, 1.0);
    test.absent(began + 360, &mark);
    test.run();
}

fn heat_map() -> String {
    let queries = queries();
    let [(_, expr)] = queries
        .iter()
        .filter(|(title, _)| title == "Durations")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{queries:?}");
    };
    expr.clone()
}

fn counter(name: &str) -> Series {
    Series {
        name: name.to_owned(),
        samples: (0..=HOUR / SCRAPE).map(|k| Some(k as f64)).collect(),
    }
}

fn buckets() -> Vec<Series> {
    ["0.3", "1", "+Inf"]
        .map(|le| {
            counter(&format!(
                r#"http_request_duration_seconds_bucket{{namespace="shop",job="tasks",le="{le}"}}"#
            ))
        })
        .into()
}

fn add_native(test: &mut UnitTest) {
    test.native_histogram(
        r#"http_request_duration_seconds{namespace="shop",job="tasks"}"#,
        "{{schema:0 sum:0 count:0 buckets:[0 0] offset:-2}}+{{schema:0 sum:3 count:10 buckets:[8 2] offset:-2}}x240",
    );
}

#[test]
fn a_histogram_in_both_forms_is_shown_once() {
    let series = format!("count({})", heat_map());
    let mut both = UnitTest::of_groups(json!([]), SCRAPE, buckets());
    add_native(&mut both);
    both.gives(HOUR, &series, "{}", 3.0);
    both.run();
    let mut native = UnitTest::of_groups(json!([]), SCRAPE, vec![]);
    add_native(&mut native);
    native.gives(HOUR, &series, "{}", 1.0);
    native.run();
}

#[test]
fn no_panel_shows_a_container_of_another_app() {
    const METRICS: [&str; 6] = [
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_cpu_cfs_throttled_periods_total",
        "container_cpu_cfs_periods_total",
        "container_network_receive_bytes_total",
        "container_network_transmit_bytes_total",
    ];
    let container = |pod: &str| -> Vec<Series> {
        METRICS
            .map(|metric| {
                counter(&format!(
                    r#"{metric}{{namespace="shop",pod="{pod}",container="tasks"}}"#
                ))
            })
            .into()
    };
    let mut others = UnitTest::of_groups(json!([]), SCRAPE, container("tasks-api-5d8f9c7b6d-x7k2p"));
    let mut own = UnitTest::of_groups(json!([]), SCRAPE, container("tasks-5d8f9c7b6d-x7k2p"));
    let mut of_containers = 0;
    for (title, expr) in queries() {
        if expr.contains("container_") && !title.starts_with("Database") {
            of_containers += 1;
            others.absent(HOUR, &expr);
            own.gives(HOUR, &format!("count({expr})"), "{}", 1.0);
        }
    }
    assert!(of_containers >= 4, "{of_containers}");
    others.run();
    own.run();
}
