//! Range queries, at Prometheus' own address or through the API server.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde::Deserialize;

/// A Prometheus that can be asked.
pub(crate) enum Prometheus {
    /// At an address that is reachable from here.
    Direct {
        client: reqwest::Client,
        url: String,
        token: Option<String>,
    },
    /// Through the API server's proxy, with the user's own rights.
    Proxied { client: kube::Client, path: String },
}

/// From when to when, in seconds, and how far apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub begin: i64,
    pub end: i64,
    pub step: i64,
}

/// One series of a range query.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    #[serde(default)]
    pub metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Series {
    /// The numbers, each with its second.
    pub fn points(&self) -> impl Iterator<Item = (i64, f64)> {
        self.values
            .iter()
            .filter_map(|(at, value)| Some((at.round() as i64, value.parse().ok()?)))
    }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

impl Prometheus {
    pub fn at(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        // Already installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self::Direct {
            client,
            url: url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// `path` is the API server's, up to where Prometheus' own begins.
    pub fn behind(client: kube::Client, path: &str) -> Self {
        Self::Proxied {
            client,
            path: path.trim_end_matches('/').to_owned(),
        }
    }

    /// Every series that an expression gives.
    pub async fn range(&self, query: &str, span: Span) -> anyhow::Result<Vec<Series>> {
        let parameters = [
            ("query", query.to_owned()),
            ("start", span.begin.to_string()),
            ("end", span.end.to_string()),
            ("step", span.step.to_string()),
        ];
        let (at, answer) = match self {
            Self::Direct { client, url, token } => {
                let mut request = client.post(format!("{url}/api/v1/query_range")).form(&parameters);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                (url, direct(request, url).await?)
            }
            Self::Proxied { client, path } => (path, proxied(client, path, &parameters).await?),
        };
        if answer.status != "success" {
            bail!(
                "{at} refused the query {query}: {}",
                answer.error.unwrap_or_default()
            );
        }
        Ok(answer.data.map(|data| data.result).unwrap_or_default())
    }
}

async fn direct(request: reqwest::RequestBuilder, url: &str) -> anyhow::Result<Answer> {
    let response = request.send().await.with_context(|| {
        format!("cannot ask {url}: is it reachable from here? kubectl port-forward makes it so")
    })?;
    let status = response.status();
    response
        .json()
        .await
        .with_context(|| format!("{url} answered {status}, and not as Prometheus does: check the URL"))
}

/// By GET: those who may `get services/proxy` need not be allowed to `create` it too.
async fn proxied(client: &kube::Client, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<Answer> {
    let path_and_query = format!("{path}/api/v1/query_range?{}", encoded(parameters)?);
    let request = http::Request::get(path_and_query).body(Vec::new())?;
    match client.request(request).await {
        Ok(answer) => Ok(answer),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            bail!("you may not get services/proxy there ({})", status.message)
        }
        Err(kube::Error::Api(status)) => bail!("{path} answers {}: {}", status.code, status.message),
        Err(error) => bail!("{path} does not answer as Prometheus does: {error}"),
    }
}

fn encoded(parameters: &[(&str, String)]) -> anyhow::Result<String> {
    // Only the query of this address is used.
    let address = reqwest::Url::parse_with_params("http://prometheus/", parameters)?;
    Ok(address.query().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_the_way_through_an_address() -> anyhow::Result<()> {
        let query = encoded(&[
            ("query", r#"a{b="c d"}&e+f"#.to_owned()),
            ("step", "60".to_owned()),
        ])?;
        assert_eq!(query, "query=a%7Bb%3D%22c+d%22%7D%26e%2Bf&step=60");
        Ok(())
    }
}
