//! Asking Prometheus, or what speaks like it.

use std::path::PathBuf;
use std::time::Duration;

use observedapp_api::AppRef;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::samples::{Matrix, Sample, Series, Vector};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(15);
/// As many bytes as one answer may have, unpacked: a few times what 1,000 apps with many objectives make.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// How to get in.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub headers: Vec<(String, String)>,
}

impl Access {
    /// For a Prometheus that nobody named: what proves who we are is not sent to it in the clear.
    pub fn to_found(&self, url: &str) -> Self {
        if url.starts_with("https:") {
            self.clone()
        } else {
            Self {
                ca_file: self.ca_file.clone(),
                ..Self::default()
            }
        }
    }
}

/// A Prometheus that can be asked.
#[derive(Clone, Debug)]
pub struct Server {
    url: String,
    client: reqwest::Client,
    token_file: Option<PathBuf>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct Unanswered {
    url: String,
    problem: String,
}

#[derive(Deserialize)]
struct Answer<T> {
    status: String,
    data: Option<T>,
    error: Option<String>,
}

/// A target that Prometheus scrapes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    #[serde(default)]
    pub last_error: String,
    #[serde(default)]
    pub scrape_url: String,
    #[serde(default)]
    pub health: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    #[serde(default)]
    active_targets: Vec<Target>,
}

/// A rule that Prometheus has loaded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    pub name: String,
    #[serde(default)]
    pub health: String,
    #[serde(default)]
    pub last_error: String,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    #[serde(default)]
    storage_retention: String,
}

impl Server {
    /// Sets a connection up; nothing is asked yet.
    pub fn new(url: &str, access: &Access) -> Result<Self, Unanswered> {
        let failed = |problem: String| Unanswered {
            url: url.to_owned(),
            problem,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &access.headers {
            let name =
                HeaderName::try_from(name).map_err(|error| failed(format!("the header {name}: {error}")))?;
            let value = HeaderValue::try_from(value)
                .map_err(|error| failed(format!("the header {name}: {error}")))?;
            headers.insert(name, value);
        }
        let mut builder = reqwest::Client::builder()
            .timeout(LIMIT)
            .gzip(true)
            // Whoever answers could send the token, and the question, anywhere.
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(headers)
            .no_proxy();
        if let Some(file) = &access.ca_file {
            let read = std::fs::read(file).map_err(|error| error.to_string());
            let certificates = read.and_then(|pem| {
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())
            });
            let certificates = certificates
                .map_err(|error| failed(format!("the authorities in {}: {error}", file.display())))?;
            builder = builder.tls_certs_only(certificates);
        } else if !url.starts_with("https:") {
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            client: builder.build().map_err(|error| failed(full(&error)))?,
            token_file: access.token_file.clone(),
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// All series that an expression gives now.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>, Unanswered> {
        let request = self
            .client
            .post(format!("{}/api/v1/query", self.url))
            .form(&[("query", expression)]);
        self.ask::<Vector>(request).await.map(|vector| vector.result)
    }

    /// All series that an expression gives from one time to another, in seconds since the epoch.
    pub async fn query_range(
        &self,
        expression: &str,
        start: i64,
        end: i64,
        step: i64,
    ) -> Result<Vec<Series>, Unanswered> {
        let request = self
            .client
            .post(format!("{}/api/v1/query_range", self.url))
            .form(&[
                ("query", expression),
                ("start", &start.to_string()),
                ("end", &end.to_string()),
                ("step", &step.to_string()),
            ]);
        self.ask::<Matrix>(request).await.map(|matrix| matrix.result)
    }

    /// The targets of one monitor.
    pub async fn targets(&self, pool: &str) -> Result<Vec<Target>, Unanswered> {
        let request = self
            .client
            .get(format!("{}/api/v1/targets", self.url))
            .query(&[("state", "active"), ("scrapePool", pool)]);
        self.ask::<Targets>(request)
            .await
            .map(|targets| targets.active_targets)
    }

    /// The rules of one app.
    pub async fn rules(&self, app: &AppRef) -> Result<Vec<Rule>, Unanswered> {
        // Both are Kubernetes names: nothing in them needs quoting.
        let of = format!("{{namespace=\"{}\",app=\"{}\"}}", app.namespace, app.name);
        let request = self
            .client
            .get(format!("{}/api/v1/rules", self.url))
            .query(&[("match[]", of.as_str()), ("exclude_alerts", "true")]);
        let groups = self.ask::<Groups>(request).await?.groups;
        Ok(groups.into_iter().flat_map(|group| group.rules).collect())
    }

    /// How long it keeps samples, in its own words; empty where it does not say.
    pub async fn retention(&self) -> Result<String, Unanswered> {
        let request = self.client.get(format!("{}/api/v1/status/runtimeinfo", self.url));
        self.ask::<RuntimeInfo>(request)
            .await
            .map(|info| info.storage_retention)
    }

    async fn ask<T: DeserializeOwned>(&self, mut request: reqwest::RequestBuilder) -> Result<T, Unanswered> {
        let failed = |problem: String| Unanswered {
            url: self.url.clone(),
            problem,
        };
        if let Some(file) = &self.token_file {
            // It is short, and it is replaced by others while we run.
            let token = tokio::fs::read_to_string(file)
                .await
                .map_err(|error| failed(format!("the token in {}: {error}", file.display())))?;
            let value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|error| failed(format!("the token in {}: {error}", file.display())))?;
            request = request.header(AUTHORIZATION, value);
        }
        let mut response = request.send().await.map_err(|error| failed(full(&error)))?;
        let code = response.status();
        if code.is_redirection() {
            return Err(failed(format!(
                "it answers {code}, and redirects are not followed; --prometheus-url is to name what answers itself"
            )));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(full(&error)))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(failed(format!(
                    "an answer is longer than {} MiB; something exports series by the names of the operator's records",
                    MOST_BYTES / 1024 / 1024
                )));
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer<T> = serde_json::from_slice(&body).map_err(|error| {
            failed(format!(
                "it answers {code} with what is not Prometheus' API: {error}"
            ))
        })?;
        match answer.data {
            Some(data) if answer.status == "success" => Ok(data),
            _ => Err(failed(format!(
                "it answers {code}: {}",
                answer.error.unwrap_or_default()
            ))),
        }
    }
}

/// An error with its causes: the outermost says only that a request failed.
fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::any;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    async fn serve(router: Router) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn ask(url: &str, access: &Access) -> Result<Vec<Sample>, String> {
        let server = Server::new(url, access).map_err(|error| error.to_string())?;
        server.query("up").await.map_err(|error| error.to_string())
    }

    /// What an unpacked answer of so many bytes is on the wire.
    fn packed(bytes: usize) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let head = br#"{"status":"success","data":{"result":[]}}"#;
        encoder.write_all(head).unwrap();
        encoder.write_all(&vec![b' '; bytes - head.len()]).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_bounded_by_what_it_unpacks_to() {
        for (bytes, taken) in [(MOST_BYTES, true), (MOST_BYTES + 1, false)] {
            let body = packed(bytes);
            assert!(body.len() < MOST_BYTES / 100);
            let answer = any(move || async move { ([("content-encoding", "gzip")], body) });
            let url = serve(Router::new().fallback_service(answer)).await;
            let outcome = ask(&url, &Access::default()).await;
            assert_eq!(outcome.is_ok(), taken, "{outcome:?}");
            if let Err(error) = outcome {
                assert!(error.contains("longer than 32 MiB"), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn no_redirect_is_followed_and_no_token_sent_to_who_was_only_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "secret").unwrap();
        let access = Access {
            token_file: Some(file),
            headers: vec![("X-Scope-OrgID".to_owned(), "shop".to_owned())],
            ..Access::default()
        };
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let record = Arc::clone(&seen);
        let router = Router::new()
            .route(
                "/elsewhere/api/v1/query",
                any(async || Redirect::temporary("/api/v1/query")),
            )
            .fallback(any(async move |headers: HeaderMap| {
                record.lock().unwrap().push(headers);
                r#"{"status":"success","data":{"result":[]}}"#
            }));
        let url = serve(router).await;

        let error = ask(&format!("{url}/elsewhere"), &access).await.unwrap_err();
        assert!(error.contains("redirects are not followed"), "{error}");
        assert!(seen.lock().unwrap().is_empty(), "the redirect was followed");

        ask(&url, &access).await.unwrap();
        ask(&url, &access.to_found(&url)).await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(
            seen[0][AUTHORIZATION], "Bearer secret",
            "it was named by the administrator"
        );
        assert_eq!(seen[0]["x-scope-orgid"], "shop");
        assert!(!seen[1].contains_key(AUTHORIZATION) && !seen[1].contains_key("x-scope-orgid"));
        assert!(access.to_found("https://found").token_file.is_some());
    }
}
