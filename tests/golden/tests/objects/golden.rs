//! `cases/*/objects/` holds what the cases yield. `UPDATE_GOLDEN=1 cargo test -p golden-tests` writes it anew; review
//! the diff.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use golden_tests::Case;
use observedapp_desired::{Desired, Object, desired};

#[test]
fn every_case_yields_its_objects() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = Vec::new();
    for case in Case::all().unwrap() {
        let app = case
            .validate()
            .unwrap_or_else(|problems| panic!("{}: {problems}", case.name));
        let folder = case.folder.join("objects");
        let wanted = files(&desired(&app));
        if update {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in &wanted {
                fs::write(folder.join(name), text).unwrap();
            }
            continue;
        }
        let reviewed = reviewed(&folder);
        let names: BTreeSet<_> = wanted.keys().chain(reviewed.keys()).collect();
        for name in names {
            let path = folder.join(name);
            match (reviewed.get(name), wanted.get(name)) {
                (Some(reviewed), Some(wanted)) if reviewed == wanted => {}
                (Some(reviewed), Some(wanted)) => {
                    differences.push(format!(
                        "{}:\n{}",
                        path.display(),
                        first_difference(reviewed, wanted)
                    ));
                }
                (None, _) => differences.push(format!("{}: is new", path.display())),
                (_, None) => differences.push(format!("{}: is not made any more", path.display())),
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{}\n\nIf this is as it should be: UPDATE_GOLDEN=1 cargo test -p golden-tests, and review the diff.",
        differences.join("\n")
    );
}

/// One file an object, and one for everything that is not an object.
fn files(desired: &Desired) -> BTreeMap<String, String> {
    let records = desired.releases.iter().flat_map(|releases| &releases.writes);
    let records: Vec<Object> = records.map(|write| write.object.clone().into()).collect();
    let mut files: BTreeMap<String, String> = desired
        .objects
        .iter()
        .chain(&records)
        .map(|object| {
            (
                format!("{}-{}.yaml", object.kind().as_str(), object.name()),
                yaml(object),
            )
        })
        .collect();
    for secret in &desired.generated {
        let name = secret.metadata.name.as_deref().unwrap();
        files.insert(format!("Secret-{name}.generated.yaml"), yaml(secret));
    }
    let mut notes = String::new();
    for kind in &desired.missing {
        notes += &format!("missing: {}\n", kind.as_str());
    }
    for (kind, name) in &desired.untouched {
        notes += &format!("untouched: {} {name}\n", kind.as_str());
    }
    if let Some(lost) = &desired.database_lost {
        notes += &format!("lost: {lost}\n");
    }
    if !notes.is_empty() {
        files.insert("notes.txt".to_owned(), notes);
    }
    for object in &desired.objects {
        if let Object::ConfigMap(config_map) = object
            && config_map
                .metadata
                .name
                .as_deref()
                .unwrap()
                .ends_with("-dashboards")
        {
            for json in config_map.data.iter().flatten().map(|(_, json)| json) {
                let dashboard = serde_json::from_str(json).unwrap();
                files.insert("dashboard.txt".to_owned(), crate::drawing::draw(&dashboard));
            }
        }
    }
    files
}

fn yaml(object: &impl serde::Serialize) -> String {
    // By way of JSON, so that keys are sorted and what is null is absent, as the API server sees it.
    let mut value = serde_json::to_value(object).unwrap();
    elide_dashboards(&mut value);
    serde_yaml::to_string(&value).unwrap()
}

/// A dashboard is drawn in a file of its own; as one line of JSON nobody could review it.
fn elide_dashboards(value: &mut serde_json::Value) {
    if let Some(data) = value.get_mut("data").and_then(|data| data.as_object_mut()) {
        for (key, json) in data.iter_mut() {
            if Path::new(key)
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                *json = "drawn in dashboard.txt".into();
            }
        }
    }
}

fn reviewed(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

fn first_difference(reviewed: &str, wanted: &str) -> String {
    let mut reviewed = reviewed.lines();
    let mut wanted = wanted.lines();
    let mut number = 0;
    loop {
        number += 1;
        match (reviewed.next(), wanted.next()) {
            (None, None) => return "  only the end of the file differs".to_owned(),
            (a, b) if a == b => {}
            (a, b) => {
                return format!(
                    "  line {number}\n  - {}\n  + {}",
                    a.unwrap_or("(end)"),
                    b.unwrap_or("(end)")
                );
            }
        }
    }
}
