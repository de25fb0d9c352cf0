//! A proxy between an operator and the API server: it counts, and it makes things go wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// The resource, with its subresource: `observedapps/status`.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub path: String,
    /// The number of this write, from 1; absent for reads, Leases and Events.
    pub write: Option<usize>,
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// It never reaches the API server, which answers with this code.
    Fail(u16),
    /// It never reaches the API server, and nobody answers.
    Swallow,
    /// It reaches the API server, and the answer is lost.
    LoseAnswer,
    /// It reaches the API server late.
    Delay(Duration),
}

type Judge = dyn Fn(&Call) -> Verdict + Send + Sync;

struct Inner {
    client: Client,
    judge: Mutex<Arc<Judge>>,
    calls: Mutex<Vec<Call>>,
}

/// The proxy; dropping it ends it.
pub struct Proxy {
    inner: Arc<Inner>,
    url: http::Uri,
    _server: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    pub async fn start(client: Client) -> Result<Self> {
        let inner = Arc::new(Inner {
            client,
            judge: Mutex::new(Arc::new(|_: &Call| Verdict::Pass)),
            calls: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let router = Router::new().fallback(forward).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the proxy has ended: {error}");
            }
        });
        Ok(Self {
            inner,
            url,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// How an operator reaches the API server through it.
    pub fn config(&self) -> kube::Config {
        lab::tls::choose();
        kube::Config::new(self.url.clone())
    }

    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// From now on requests are judged by this.
    pub fn judge(&self, judge: impl Fn(&Call) -> Verdict + Send + Sync + 'static) {
        *self.inner.judge.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(judge);
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Every write so far.
    pub fn writes(&self) -> Vec<Call> {
        self.calls()
            .into_iter()
            .filter(|call| call.write.is_some())
            .collect()
    }
}

async fn forward(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let call = {
        let mut calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut call = describe(&request);
        let counts =
            !matches!(call.method, Method::GET) && !matches!(call.resource.as_str(), "leases" | "events");
        call.write = counts.then(|| calls.iter().filter(|call| call.write.is_some()).count() + 1);
        calls.push(call.clone());
        call
    };
    let judge = Arc::clone(&inner.judge.lock().unwrap_or_else(PoisonError::into_inner));
    match judge(&call) {
        Verdict::Pass => pass(&inner.client, request).await,
        Verdict::Fail(code) => refusal(code),
        Verdict::Swallow => std::future::pending().await,
        Verdict::LoseAnswer => {
            pass(&inner.client, request).await;
            std::future::pending().await
        }
        Verdict::Delay(delay) => {
            tokio::time::sleep(delay).await;
            pass(&inner.client, request).await
        }
    }
}

async fn pass(client: &Client, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(http::header::HOST);
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return refusal(400);
    };
    let request = http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    match client.send(request).await {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            // The body arrives unpacked and is sent in pieces of its own.
            parts.headers.remove(http::header::CONTENT_ENCODING);
            parts.headers.remove(http::header::CONTENT_LENGTH);
            parts.headers.remove(http::header::TRANSFER_ENCODING);
            Response::from_parts(parts, Body::new(body))
        }
        Err(error) => {
            eprintln!("the API server did not answer: {error}");
            refusal(502)
        }
    }
}

fn refusal(code: u16) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": "injected by the proxy", "reason": "Injected",
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

fn describe(request: &Request) -> Call {
    let path = request.uri().path();
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let skip = if parts.next() == Some("api") { 1 } else { 2 };
    let mut parts = parts.skip(skip).map(str::to_owned);
    let mut resource = parts.next().unwrap_or_default();
    let mut name = parts.next();
    let mut namespace = None;
    if resource == "namespaces"
        && let Some(inner) = parts.next()
    {
        namespace = name.take();
        resource = inner;
        name = parts.next();
    }
    if let Some(subresource) = parts.next() {
        resource = format!("{resource}/{subresource}");
    }
    Call {
        method: request.method().clone(),
        resource,
        namespace,
        name,
        path: request.uri().to_string(),
        write: None,
    }
}
