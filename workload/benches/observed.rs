//! What being observed costs: the service with metrics, logs and traces on, against a bare axum
//! handler that runs the same statement through the same pool.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[path = "../tests/support/mod.rs"]
mod servers_support;
mod support;

use servers_support::Postgres;
use servers_support::servers::free_port;
use support::client::Load;
use support::program::Program;
use support::{Side, compare, peer, promise};

const CONNECTIONS: usize = 32;
const TASKS: usize = 20;

fn main() {
    peer::serve_if_asked();
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
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
    let service = Program::tasks(folder.path(), free_port(), free_port(), &settings).await;
    let port = free_port();
    let bare = Program::start(
        peer::command("postgres", &postgres.url(), port),
        port,
        &folder.path().join("bare"),
    );
    println!("at rest: {:.1} MiB resident", service.resident_mib());
    promise("at most 20 MiB at rest", service.resident_mib() <= 20.0);

    postgres.sql(&format!(
        "INSERT INTO tasks (task) SELECT 'task ' || i FROM generate_series(1, {TASKS}) i"
    ));
    let own = Side {
        name: "observed",
        load: Load::get(service.port, CONNECTIONS),
    };
    let peer = Side {
        name: "bare",
        load: Load::get(bare.port, CONNECTIONS),
    };
    let reads = compare(&format!("GET /tasks of {TASKS} tasks"), &own, &peer).await;
    promise("reads at least 0.9 x bare", reads.rate_ratio >= 0.9);
    promise("p99 of reads at most 1.25 x bare", reads.p99_ratio <= 1.25);

    let own = Side {
        name: "observed",
        load: Load::post(service.port, CONNECTIONS),
    };
    let peer = Side {
        name: "bare",
        load: Load::post(bare.port, CONNECTIONS),
    };
    let writes = compare("POST /tasks", &own, &peer).await;
    promise("writes at least 0.9 x bare", writes.rate_ratio >= 0.9);
    promise("p99 of writes at most 1.25 x bare", writes.p99_ratio <= 1.25);
    println!("after the load: {:.1} MiB resident", service.resident_mib());
}

/// A collector that takes every span and looks at none.
async fn collector() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let take = async |body: axum::body::Bytes| drop(body);
    let router = axum::Router::new()
        .route("/v1/traces", axum::routing::post(take))
        .layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
