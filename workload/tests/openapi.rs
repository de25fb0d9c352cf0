//! The OpenAPI document says what the routes do, no more and no less.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use support::Service;
use tasks::api::{ENDPOINTS, OPENAPI_DOCUMENT};

fn document() -> Value {
    serde_json::from_str(OPENAPI_DOCUMENT).unwrap()
}

/// The operations of the document: method, path and codes.
fn described() -> BTreeSet<(String, String, BTreeSet<u16>)> {
    let document = document();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "parameters")
        {
            let codes = operation["responses"]
                .as_object()
                .unwrap()
                .keys()
                .map(|code| code.parse().unwrap());
            operations.insert((method.to_uppercase(), path.clone(), codes.collect()));
        }
    }
    operations
}

#[test]
fn it_has_the_routes_of_the_router_and_their_codes() {
    let routed = ENDPOINTS.map(|(method, route, codes)| {
        (
            method.to_owned(),
            route.to_owned(),
            codes.iter().copied().collect(),
        )
    });
    assert_eq!(described(), BTreeSet::from(routed));
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn its_references_lead_somewhere() {
    fn check(document: &Value, part: &Value) {
        match part {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref") {
                    let pointer = target.as_str().unwrap().strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                fields.values().for_each(|field| check(document, field));
            }
            Value::Array(items) => items.iter().for_each(|item| check(document, item)),
            _ => {}
        }
    }
    check(&document(), &document());
}

#[tokio::test]
async fn what_it_describes_is_served_and_nothing_else() {
    let service = Service::on_sqlite_in_memory().await;
    assert_eq!(service.get("/openapi.json").await.body, document());
    let described = described();
    let paths: BTreeSet<&String> = described.iter().map(|(_, path, _)| path).collect();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let codes = described
                .iter()
                .find(|(m, p, _)| m == method && p == path)
                .map(|(_, _, codes)| codes);
            let request = service.request(
                Method::from_bytes(method.as_bytes()).unwrap(),
                &path.replace("{id}", "1"),
            );
            let answer = request.body("{}").send().await.unwrap();
            let status = answer.status().as_u16();
            match codes {
                Some(codes) => assert!(codes.contains(&status), "{method} {path}: {status}"),
                None => assert_eq!(status, 405, "{method} {path}"),
            }
        }
    }
}
