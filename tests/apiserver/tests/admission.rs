//! CEL rules in the API server against the same rules in Rust, which `observedapp check` and the operator use: both
//! refuse the same specs at the same fields.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use apiserver_tests::{Cause, TestNamespace, block_on, causes};
use futures::{StreamExt, TryStreamExt, stream};
use golden_tests::{Case, refused};
use kube::{CustomResourceExt, Resource};
use lab::layers;
use observedapp_api::{Holds, ObservedApp, RULES, fill_in_defaults, refusals};
use serde_json::{Value, json};

const CONCURRENCY: usize = 8;

async fn dry_run(ns: &TestNamespace, app: &Value) -> Result<Result<Value, Vec<Cause>>> {
    let resource = ObservedApp::api_resource();
    let gvk = kube::core::GroupVersionKind::gvk(&resource.group, &resource.version, &resource.kind);
    let mut app = app.clone();
    app["metadata"]["namespace"] = json!(ns.name);
    ns.would_create(&gvk, &ObservedApp::plural(&()), &app).await
}

/// The fields that the API server refuses. CEL rules on metadata have no field path: these are found by their message.
fn refused_by_api_server(causes: &[Cause]) -> BTreeSet<String> {
    let field = |cause: &Cause| {
        let rule = RULES
            .iter()
            .find(|rule| rule.at.is_empty() && cause.message.contains(rule.message));
        match rule.and_then(|rule| rule.field) {
            Some(field) if cause.field.is_empty() => field.to_owned(),
            _ => cause.field.clone(),
        }
    };
    causes.iter().map(field).collect()
}

/// The fields that the Rust rules refuse.
fn refused_by_rust(app: &Value) -> BTreeSet<String> {
    let mut app = app.clone();
    fill_in_defaults(&mut app);
    refusals(&app).into_iter().map(|refusal| refusal.field).collect()
}

#[test]
fn cel_and_rust_refuse_the_same_specs_at_the_same_field() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("refused").await?;
        let responses: Vec<_> = stream::iter(refused::admission())
            .map(|case| {
                let ns = &ns;
                async move {
                    let response = dry_run(ns, &case.object()).await?;
                    anyhow::Ok((case, response))
                }
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut different = Vec::new();
        let mut reported = String::new();
        for (case, response) in responses {
            let Err(causes) = response else {
                different.push(format!("{case:?} is admitted"));
                continue;
            };
            let (by_rust, by_api_server) = (refused_by_rust(&case.object()), refused_by_api_server(&causes));
            if by_rust != by_api_server || !by_api_server.contains(&case.field) {
                different.push(format!(
                    "{case:?}: the API server refuses {causes:?}, Rust {by_rust:?}"
                ));
            }
            reported.extend(causes.iter().map(|cause| cause.message.as_str()));
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
        for rule in RULES {
            let is_of_one_object = !matches!(rule.holds, Holds::Transition(_));
            assert!(
                !is_of_one_object || reported.contains(rule.message),
                "no case violates the rule: {}",
                rule.message
            );
        }
        Ok(())
    })
}

#[test]
fn specs_that_only_the_operator_can_refuse_are_admitted() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("operators").await?;
        for case in refused::operator() {
            let response = dry_run(&ns, &case.object()).await?;
            assert!(response.is_ok(), "{case:?} is refused: {response:?}");
        }
        Ok(())
    })
}

#[test]
fn immutable_fields_cannot_be_changed() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("transitions").await?;
        let mut reported = String::new();
        for (i, change) in refused::transitions().into_iter().enumerate() {
            let name = format!("app-{i}");
            ns.apply(&name, change.from())
                .await
                .with_context(|| format!("{change:?}"))?;
            let error = match (ns.apply(&name, change.to()).await, &change.field) {
                (Ok(_), None) => continue,
                (Ok(_), Some(field)) => panic!("{change:?} is admitted, not refused at {field}"),
                (Err(error), None) => return Err(error.context(format!("{change:?}"))),
                (Err(error), Some(_)) => error,
            };
            let causes = causes(error.downcast::<kube::Error>()?)?;
            assert_eq!(
                refused_by_api_server(&causes),
                change.field.clone().into_iter().collect(),
                "{change:?}: {causes:?}"
            );
            reported.extend(causes.iter().map(|cause| cause.message.as_str()));
        }
        for rule in RULES
            .iter()
            .filter(|rule| matches!(rule.holds, Holds::Transition(_)))
        {
            assert!(
                reported.contains(rule.message),
                "no case violates the rule: {}",
                rule.message
            );
        }
        Ok(())
    })
}

#[test]
fn every_sample_and_every_golden_app_is_admitted() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("admitted").await?;
        let mut apps = Vec::new();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/samples");
        for entry in std::fs::read_dir(&samples)? {
            apps.push(entry?.path());
        }
        assert!(apps.len() >= 6, "{} holds {apps:?}", samples.display());
        apps.extend(Case::all()?.into_iter().map(|case| case.folder.join("app.yaml")));
        for path in apps {
            let app: Value = serde_yaml::from_str(&std::fs::read_to_string(&path)?)?;
            let response = dry_run(&ns, &app).await?;
            assert!(response.is_ok(), "{}: {response:?}", path.display());
            assert_eq!(refused_by_rust(&app), BTreeSet::new(), "{}", path.display());
        }
        Ok(())
    })
}

/// Replaces every value of a full spec in turn, by invalid and by valid values.
#[test]
fn cel_and_rust_agree_on_every_single_mutation() -> Result<()> {
    let replacements = [
        json!(null),
        json!(""),
        json!("two words"),
        json!("UPPER_case"),
        json!("grüße"),
        json!("x".repeat(5000)),
        json!("-1"),
        json!("1h"),
        json!("/path"),
        json!(-1),
        json!(0),
        json!(7),
        json!(1.5),
        json!(1_000_000_000_000_i64),
        json!(true),
        json!([]),
        json!({}),
    ];
    block_on(async {
        let ns = TestNamespace::new("mutated").await?;
        let mut variants = Vec::new();
        for case in Case::all()?
            .into_iter()
            .filter(|case| layers::is_long() || ["everything", "pod"].contains(&case.name.as_str()))
        {
            let app: Value = serde_yaml::from_str(&std::fs::read_to_string(case.folder.join("app.yaml"))?)?;
            for pointer in pointers(&app["spec"], "/spec") {
                for replacement in &replacements {
                    let mut variant = app.clone();
                    *variant.pointer_mut(&pointer).unwrap() = replacement.clone();
                    variants.push((format!("{}{pointer} = {replacement:.60}", case.name), variant));
                }
            }
        }
        assert!(variants.len() > 2000, "only {} variants", variants.len());
        let different: Vec<String> = stream::iter(variants)
            .map(|(what, variant)| {
                let ns = &ns;
                async move {
                    let by_rust = refused_by_rust(&variant);
                    anyhow::Ok(match dry_run(ns, &variant).await? {
                        Ok(_) if by_rust.is_empty() => None,
                        Ok(_) => Some(format!("{what}: only Rust refuses {by_rust:?}")),
                        Err(causes) if by_rust.is_empty() => {
                            Some(format!("{what}: only the API server refuses {causes:?}"))
                        }
                        Err(causes) => {
                            let unknown: Vec<_> = refused_by_api_server(&causes)
                                .into_iter()
                                .filter(|field| !is_reported(field, &by_rust))
                                .collect();
                            (!unknown.is_empty()).then(|| {
                                format!("{what}: the API server refuses {unknown:?}, Rust {by_rust:?}")
                            })
                        }
                    })
                }
            })
            .buffer_unordered(CONCURRENCY)
            .try_filter_map(async |different| Ok(different))
            .try_collect()
            .await?;
        assert!(
            different.is_empty(),
            "{}\n{}",
            different.len(),
            different.join("\n")
        );
        Ok(())
    })
}

/// The JSON pointers of all values within a value.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut below = |key: &str, value: &Value| {
        let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        found.extend(pointers(value, &at));
        found.push(at);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, item)| below(&i.to_string(), item)),
        _ => {}
    }
    found
}

/// Whether a field, a parent or a child of it is in the set.
fn is_reported(field: &str, reported: &BTreeSet<String>) -> bool {
    let is_within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    reported
        .iter()
        .any(|other| is_within(field, other) || is_within(other, field))
}

/// kstatus takes an object without a status for a finished one.
#[test]
fn a_new_app_has_unknown_conditions() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("unseen").await?;
        let app = ns.apply("tasks", json!({"image": "tasks:1"})).await?;
        assert_eq!(app.status.and_then(|status| status.observed_generation), Some(-1));
        Ok(())
    })
}
