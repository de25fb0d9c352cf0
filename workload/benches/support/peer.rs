//! Bare axum handlers: the same statement, the same pool, the same Redis command, and nothing else.
//! A peer is a process of its own, as the service is: the benchmark's program, started with `PEER` set.

use std::process::Command;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::routing::{get, put};
use axum::{Json, Router};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, Row};
use tasks::store::pool::Pool;
use tasks::store::{INSERT, SELECT_PAGE, UPDATE};

/// The service's own allocator: with another one the peer would pay for each allocation what the service does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Serialize, Deserialize)]
struct Task {
    id: i64,
    task: String,
}

#[derive(Deserialize)]
struct NewTask {
    task: String,
}

/// Serves as a peer if this process was started as one; then it never returns.
pub fn serve_if_asked() {
    let Ok(kind) = std::env::var("PEER") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let url = std::env::var("SERVER").unwrap();
        let router = match kind.as_str() {
            "postgres" => postgres(&url),
            _ => redis(&url).await,
        };
        let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap()),
            router,
        )
        .await
        .unwrap();
    });
}

pub fn command(kind: &str, server: &str, port: u16) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env("PEER", kind)
        .env("SERVER", server)
        .env("PORT", port.to_string());
    command
}

fn postgres(url: &str) -> Router {
    let options = url
        .parse::<PgConnectOptions>()
        .unwrap()
        .disable_statement_logging();
    let pool: Arc<Pool<PgConnection>> = Arc::new(Pool::new(options, 8, None).unwrap());
    Router::new()
        .route("/tasks", get(list).post(add))
        .route("/tasks/{id}", put(update))
        .with_state(pool)
}

async fn list(State(pool): State<Arc<Pool<PgConnection>>>) -> Json<Vec<Task>> {
    let mut lease = pool.acquire().await.unwrap();
    let rows = sqlx::query(SELECT_PAGE)
        .bind(0_i64)
        .bind(1001_i64)
        .fetch_all(lease.connection())
        .await;
    let rows = pool.give_back(lease, rows).unwrap();
    Json(
        rows.iter()
            .map(|row| Task {
                id: row.get(0),
                task: row.get(1),
            })
            .collect(),
    )
}

async fn add(State(pool): State<Arc<Pool<PgConnection>>>, Json(new): Json<NewTask>) -> (StatusCode, String) {
    let mut lease = pool.acquire().await.unwrap();
    let id = sqlx::query_scalar(INSERT)
        .bind(&new.task)
        .fetch_one(lease.connection())
        .await;
    let id: i64 = pool.give_back(lease, id).unwrap();
    (StatusCode::CREATED, id.to_string())
}

async fn update(
    State(pool): State<Arc<Pool<PgConnection>>>,
    Path(id): Path<i64>,
    Json(new): Json<NewTask>,
) -> &'static str {
    let mut lease = pool.acquire().await.unwrap();
    let done = sqlx::query(UPDATE)
        .bind(id)
        .bind(&new.task)
        .execute(lease.connection())
        .await;
    assert_eq!(pool.give_back(lease, done).unwrap().rows_affected(), 1);
    "updated"
}

async fn redis(url: &str) -> Router {
    let client = redis::Client::open(url).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let hit = async |State(mut connection): State<MultiplexedConnection>| {
        let list: Vec<u8> = redis::cmd("GET")
            .arg(tasks::cache::LIST)
            .query_async(&mut connection)
            .await
            .unwrap();
        ([(header::CONTENT_TYPE, "application/json")], list)
    };
    Router::new().route("/tasks", get(hit)).with_state(connection)
}
