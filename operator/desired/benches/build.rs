//! What building costs: 1,000 apps with everything on, to the JSON that the controller sends.
//!
//! `cargo bench -p observedapp-desired` prints it beside a floor measured in the same run: writing the same objects as
//! JSON when they are built already.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use observedapp_api::ObservedApp;
use observedapp_desired::{
    Desired, FreshPasswords, Kind, Observed, ObservedDatabase, Settings, desired, validate,
};

#[path = "../../../tests/promises.rs"]
mod promises;

const APPS: u32 = 1000;
const BUDGET: Duration = Duration::from_secs(2);

const EVERYTHING: &str = include_str!("../../../tests/golden/cases/everything/app.yaml");

fn main() -> ExitCode {
    let apps: Vec<ObservedApp> = (0..APPS).map(app).collect();
    let bytes = write(&build(&apps[0]));
    println!(
        "{APPS} apps with everything on, {} objects and {} KiB of JSON each",
        build(&apps[0]).objects.len(),
        bytes / 1024
    );

    let before = resident_kib();
    let started = Instant::now();
    for app in &apps {
        black_box(write(&build(app)));
    }
    let whole = started.elapsed();
    let after = resident_kib();

    let built: Vec<Desired> = apps.iter().map(build).collect();
    let started = Instant::now();
    for desired in &built {
        black_box(write(desired));
    }
    let floor = started.elapsed();

    println!("validate, build, write as JSON   {whole:>10.3?}  budget {BUDGET:?}");
    println!("write as JSON alone (the floor)  {floor:>10.3?}");
    println!(
        "ratio                            {:>10.2}",
        whole.as_secs_f64() / floor.as_secs_f64()
    );
    println!(
        "memory                           {before} KiB before, {after} KiB after: {} KiB more",
        after.saturating_sub(before)
    );
    promises::promise(&format!("{APPS} apps within {BUDGET:?}"), whole <= BUDGET);
    promises::outcome()
}

fn app(number: u32) -> ObservedApp {
    let mut app: ObservedApp = serde_yaml::from_str(EVERYTHING).unwrap();
    app.metadata.name = Some(format!("app-{number}"));
    app
}

fn build(app: &ObservedApp) -> Desired {
    let observed = Observed {
        optional_kinds: Kind::ALL.iter().copied().collect(),
        database: ObservedDatabase {
            fresh_passwords: Some(FreshPasswords {
                app: "app".to_owned(),
                superuser: "superuser".to_owned(),
            }),
            ..Default::default()
        },
        ..Default::default()
    };
    let settings = Settings {
        prober_url: Some("prober:9115".to_owned()),
        ..Default::default()
    };
    desired(&validate(app, observed, settings).unwrap())
}

fn write(desired: &Desired) -> usize {
    let objects = desired
        .objects
        .iter()
        .map(|object| serde_json::to_vec(object).unwrap().len());
    let generated = desired
        .generated
        .iter()
        .map(|secret| serde_json::to_vec(secret).unwrap().len());
    objects.chain(generated).sum()
}

/// What this process holds in memory now.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}
