//! A proxy between an operator and the API server: it records requests, injects faults, and impersonates a user that
//! has exactly the chart's rights.

mod watch_events;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode};
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::TestNamespace;
pub use watch_events::{Event, EventAction};

/// A request of the operator.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// The verb of RBAC: `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
    pub group: String,
    /// The resource, with its subresource: `observedapps/status`; empty for discovery.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub path: String,
    /// The number of this write, from 1; `None` for reads, Leases and Events.
    pub write: Option<usize>,
    /// The status code of the API server's response.
    pub answer: Option<u16>,
}

/// What the proxy does with a request.
#[derive(Clone, Debug)]
pub enum Action {
    Pass,
    /// The API server does not get it; the proxy responds with this code.
    Fail(u16),
    /// The API server does not get it, and there is no response.
    DropRequest,
    /// The API server gets it; its response is dropped.
    DropResponse,
    /// The API server gets it after a delay.
    Delay(Duration),
    /// The API server gets it once the gate opens, even if the operator no longer waits for the response.
    Hold(Gate),
    /// The API server gets it; its response is forwarded once the gate opens.
    HoldResponse(Gate),
    /// The resource version of this watch is expired.
    Expired,
}

/// Holds requests back until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        // It cannot fail: `self` keeps the sender.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

type Hook = dyn Fn(&Call) -> Action + Send + Sync;

struct Inner {
    client: Client,
    user: HeaderValue,
    hook: Mutex<Arc<Hook>>,
    events: Mutex<Option<Arc<watch_events::Hook>>>,
    calls: Mutex<Vec<Call>>,
    forbidden: Mutex<Vec<String>>,
    tokens: Mutex<Vec<String>>,
    /// How often all watches were closed.
    cuts: watch::Sender<usize>,
}

/// Dropping it stops the proxy, and fails the test if the operator lacked a right.
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
    /// For an operator with the chart's rights in this namespace only.
    pub async fn start(ns: &TestNamespace) -> Result<Self> {
        Self::start_as(ns.client.clone(), &ns.operator()).await
    }

    /// For an operator that acts as this user.
    pub async fn start_as(client: Client, user: &str) -> Result<Self> {
        let inner = Arc::new(Inner {
            client,
            user: user.parse()?,
            hook: Mutex::new(Arc::new(|_: &Call| Action::Pass)),
            events: Mutex::default(),
            calls: Mutex::default(),
            forbidden: Mutex::default(),
            tokens: Mutex::default(),
            cuts: watch::Sender::default(),
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

    /// The client configuration that sends requests through the proxy.
    pub fn config(&self) -> kube::Config {
        lab::tls::choose();
        kube::Config::new(self.url.clone())
    }

    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// From now on this decides about every request.
    pub fn on_request(&self, hook: impl Fn(&Call) -> Action + Send + Sync + 'static) {
        *lock(&self.inner.hook) = Arc::new(hook);
    }

    /// From now on this decides about every watch event, also of watches that are open already.
    pub fn on_event(&self, hook: impl Fn(&Call, &Event) -> EventAction + Send + Sync + 'static) {
        *lock(&self.inner.events) = Some(Arc::new(hook));
    }

    /// Closes every watch.
    pub fn cut_watches(&self) {
        self.inner.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.inner.calls).clone()
    }

    /// Every write so far.
    pub fn writes(&self) -> Vec<Call> {
        self.calls()
            .into_iter()
            .filter(|call| call.write.is_some())
            .collect()
    }

    /// Every bearer token of the requests so far, each once.
    pub fn tokens(&self) -> Vec<String> {
        lock(&self.inner.tokens).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let forbidden = std::mem::take(&mut *lock(&self.inner.forbidden));
        assert!(
            forbidden.is_empty() || std::thread::panicking(),
            "the chart does not give these rights: {forbidden:#?}"
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn forward(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let call = describe(&request);
    if let Some(token) = request.headers().get(http::header::AUTHORIZATION) {
        let token = String::from_utf8_lossy(token.as_bytes()).into_owned();
        let mut tokens = lock(&inner.tokens);
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    let (number, call) = {
        let mut calls = lock(&inner.calls);
        let counts =
            !matches!(call.method, Method::GET) && !matches!(call.resource.as_str(), "leases" | "events");
        let write = counts.then(|| calls.iter().filter(|call| call.write.is_some()).count() + 1);
        let call = Call { write, ..call };
        calls.push(call.clone());
        (calls.len() - 1, call)
    };
    let hook = Arc::clone(&lock(&inner.hook));
    let pass = pass(Arc::clone(&inner), number, call.clone(), request);
    match hook(&call) {
        Action::Pass => pass.await,
        Action::Fail(code) => refusal(code),
        Action::DropRequest => std::future::pending().await,
        Action::DropResponse => {
            pass.await;
            std::future::pending().await
        }
        Action::Delay(delay) => {
            tokio::time::sleep(delay).await;
            pass.await
        }
        Action::Hold(gate) => {
            let late = tokio::spawn(async move {
                gate.passed().await;
                pass.await
            });
            late.await.unwrap_or_else(|_| refusal(502))
        }
        Action::HoldResponse(gate) => {
            let answer = pass.await;
            gate.passed().await;
            answer
        }
        Action::Expired => watch_events::expired(),
    }
}

async fn pass(inner: Arc<Inner>, number: usize, call: Call, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(http::header::HOST);
    parts.headers.remove(http::header::AUTHORIZATION);
    parts.headers.insert("impersonate-user", inner.user.clone());
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return refusal(400);
    };
    let request = http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    let (mut parts, body) = match inner.client.send(request).await {
        Ok(response) => response.into_parts(),
        Err(error) => {
            eprintln!("the API server did not answer: {error}");
            return refusal(502);
        }
    };
    if let Some(call) = lock(&inner.calls).get_mut(number) {
        call.answer = Some(parts.status.as_u16());
    }
    // The body is already decompressed and is sent in chunks.
    parts.headers.remove(http::header::CONTENT_ENCODING);
    parts.headers.remove(http::header::CONTENT_LENGTH);
    parts.headers.remove(http::header::TRANSFER_ENCODING);
    let body = Body::new(body);
    if parts.status == StatusCode::FORBIDDEN {
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        // Quotas and terminating namespaces cause 403, too.
        if text.contains(" cannot ") {
            lock(&inner.forbidden).push(text.into_owned());
        }
        return Response::from_parts(parts, Body::from(body));
    }
    if call.verb == "watch" {
        return Response::from_parts(parts, watch_events::body(inner, call, body));
    }
    Response::from_parts(parts, body)
}

fn refusal(code: u16) -> Response {
    let message = match code {
        // The authorizer's wording: admission also responds with 403.
        403 => r#"User "proxy" cannot write resource "any": injected by the proxy"#,
        _ => "injected by the proxy",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": message, "reason": "Injected",
    });
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(code, status.to_string())
}

fn answer(code: StatusCode, json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = code;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn describe(request: &Request) -> Call {
    let path = request.uri().path();
    let mut parts = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned);
    let group = match parts.next().as_deref() {
        Some("apis") => parts.next().unwrap_or_default(),
        _ => String::new(),
    };
    let mut parts = parts.skip(1);
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
    let watches = request.uri().query().is_some_and(|query| {
        query
            .split('&')
            .any(|part| ["watch=true", "watch=1"].contains(&part))
    });
    let verb = match request.method().as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ if watches => "watch",
        _ if name.is_none() && !resource.is_empty() => "list",
        _ => "get",
    };
    Call {
        method: request.method().clone(),
        verb,
        group,
        resource,
        namespace,
        name,
        path: request.uri().to_string(),
        write: None,
        answer: None,
    }
}
