//! What other tools make of an app's status: kstatus (Flux, kpt), and Argo CD by `manifests/argocd/health.lua`.
//!
//! The statuses under `statuses/` are the controller's own: its unit test writes and compares them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab_tools::{Tool, ensure};
use mlua::{Lua, Table, Value as LuaValue};
use serde_json::Value;

/// Each recorded status, and how it is to be understood.
const CASES: &[(&str, &str, &str)] = &[
    ("fresh", "InProgress", "Progressing"),
    ("newer-generation", "InProgress", "Progressing"),
    ("applying", "InProgress", "Progressing"),
    ("rolling-out", "InProgress", "Progressing"),
    ("healthy", "Current", "Healthy"),
    ("budget-spent", "Current", "Healthy"),
    ("crashing", "InProgress", "Degraded"),
    ("invalid", "Failed", "Degraded"),
    ("paused", "Current", "Suspended"),
    ("held", "InProgress", "Progressing"),
    ("baking", "InProgress", "Progressing"),
    ("rolled-back", "Failed", "Degraded"),
    ("never-ready", "Failed", "Degraded"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn recorded(name: &str) -> Value {
    let file = root().join("statuses").join(format!("{name}.json"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_recorded_status_is_a_case() {
    let mut files: Vec<String> = fs::read_dir(root().join("statuses"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort_unstable();
    let mut cases: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
    cases.sort_unstable();
    assert_eq!(files, cases);
}

#[test]
fn kstatus_knows_when_to_wait() {
    let program = &ensure(&[Tool::Kstatus]).unwrap()[&Tool::Kstatus];
    for (name, expected, _) in CASES {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let object = recorded(name).to_string();
        child.stdin.take().unwrap().write_all(object.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            *expected,
            "{name}"
        );
    }
}

#[test]
fn argo_cd_tells_a_spent_budget_from_an_outage_and_a_trial_from_what_runs() {
    let script = fs::read_to_string(root().join("../../manifests/argocd/health.lua")).unwrap();
    for (name, _, expected) in CASES {
        let lua = Lua::new();
        let object = in_lua(&lua, &recorded(name)).unwrap();
        lua.globals().set("obj", object).unwrap();
        let health: Table = lua.load(&script).eval().unwrap();
        let status: String = health.get("status").unwrap();
        assert_eq!(status, *expected, "{name}");
        assert!(
            health
                .get::<String>("message")
                .is_ok_and(|message| !message.is_empty())
        );
    }
}

/// An object as Argo CD hands it to a script.
fn in_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    Ok(match value {
        Value::Null => LuaValue::Nil,
        Value::Bool(value) => LuaValue::Boolean(*value),
        Value::Number(number) => LuaValue::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) => LuaValue::String(lua.create_string(text)?),
        Value::Array(items) => {
            let items = items.iter().map(|item| in_lua(lua, item));
            LuaValue::Table(lua.create_sequence_from(items.collect::<mlua::Result<Vec<_>>>()?)?)
        }
        Value::Object(fields) => {
            let table = lua.create_table()?;
            for (name, field) in fields {
                table.set(name.as_str(), in_lua(lua, field)?)?;
            }
            LuaValue::Table(table)
        }
    })
}
