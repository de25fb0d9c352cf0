//! What being observed costs: the service with metrics, logs and traces on, against a bare axum
//! handler that runs the same statement through the same pool.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::ExitCode;

use axum::body::Body;
use http_body_util::BodyExt;
use support::client::{CONNECTIONS, Load};
use support::program::Program;
use support::{Postgres, compare, fill, outcome, peer, promise};

const TASKS: usize = CONNECTIONS;

fn main() -> ExitCode {
    peer::serve_if_asked();
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
    outcome()
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::durable();
    let collector = collector().await;
    let settings = [
        ("DATABASE_URL", postgres.url()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let service = async || Program::tasks(folder.path(), &settings).await;
    let bare = async || Program::peer(folder.path(), "postgres", &postgres.url());
    let at_rest = service().await.resident_mib();
    println!("at rest: {at_rest:.1} MiB resident");
    promise("at most 20 MiB at rest", at_rest <= 20.0);

    fill(&postgres, TASKS);
    for (what, load) in [
        (
            "GET /tasks, a page, one statement a request",
            Load::get_page as fn(u16) -> Load,
        ),
        ("GET /tasks, one statement for all that wait", Load::get),
    ] {
        let what = format!("{what}, {TASKS} tasks");
        let reads = compare(&what, load, ("observed", service), ("bare", bare)).await;
        promise("reads at least 0.9 x bare", reads.rate_ratio >= 0.9);
        promise("p99 of reads at most 1.25 x bare", reads.p99_ratio <= 1.25);
    }

    for (what, load) in [
        (
            "PUT /tasks/ID, one statement a request",
            Load::put as fn(u16) -> Load,
        ),
        ("POST /tasks, one statement for all that wait", Load::post),
    ] {
        let writes = compare(what, load, ("observed", service), ("bare", bare)).await;
        promise("writes at least 0.9 x bare", writes.rate_ratio >= 0.9);
        promise("p99 of writes at most 1.25 x bare", writes.p99_ratio <= 1.25);
    }
}

/// A collector that takes every span and looks at none. In earnest it is on another machine, so it may not cost this one
/// much: it puts no batch together.
async fn collector() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let take = async |mut spans: Body| while let Some(Ok(_)) = spans.frame().await {};
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
