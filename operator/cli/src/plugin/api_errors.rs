//! What the API server, or nobody, answers: a sentence each, with what to do.

use kube::config::KubeconfigError;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// `get`, `list` or `watch`.
    pub verb: &'a str,
    /// One namespace, or all.
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
    /// Where the API server is.
    pub server: &'a str,
}

impl Question<'_> {
    pub fn explain(&self, error: &kube::Error) -> String {
        match error {
            kube::Error::Api(status) => self.refused(status),
            kube::Error::Auth(error) => format!(
                "there are no credentials for {}: {}: log in again, or choose another context with --context",
                self.server,
                root(error)
            ),
            kube::Error::SerdeError(error) => format!(
                "{} answers, and not as an API server does: {error}: check the kubeconfig's server",
                self.server
            ),
            error => format!(
                "the cluster at {} cannot be reached: {}: does it run, and is it the context you mean? \
                 `kubectl config current-context` names it",
                self.server,
                root(error)
            ),
        }
    }

    fn refused(&self, status: &kube::core::Status) -> String {
        let place = match self.namespace {
            Some(namespace) => format!("in the namespace {namespace}"),
            None => "in all namespaces".to_owned(),
        };
        match status.code {
            401 => format!(
                "{} does not know who you are: log in again, or choose another context with --context",
                self.server
            ),
            403 => format!(
                "you may not {} ObservedApps {place} ({}): ask for a role with get, list and watch on \
                 observedapps.observedapp.dev",
                self.verb, status.message
            ),
            404 if self.is_about_an_object(status) => format!(
                "there is no ObservedApp {} {place}",
                self.name.unwrap_or_default()
            ),
            404 => format!(
                "the cluster at {} does not know ObservedApps: install the operator with its chart, or at least \
                 `observedapp crd | kubectl apply --server-side -f -`",
                self.server
            ),
            code => format!("{} answers {code}: {}: try again", self.server, status.message),
        }
    }

    /// An API that is not served is answered with 404 too, but without the name of an object.
    fn is_about_an_object(&self, status: &kube::core::Status) -> bool {
        self.name.is_some()
            && status
                .details
                .as_ref()
                .is_some_and(|details| !details.name.is_empty())
    }
}

/// Why there is no cluster to ask. `contexts` are those of the kubeconfig.
pub(crate) fn no_cluster(error: &KubeconfigError, contexts: &[String]) -> String {
    match error {
        KubeconfigError::LoadContext(name) => {
            let there_are = match contexts {
                [] => "it has none".to_owned(),
                contexts => format!("it has {}", contexts.join(", ")),
            };
            format!("the kubeconfig has no context {name:?}: {there_are}: choose one with --context")
        }
        KubeconfigError::CurrentContextNotSet => {
            "the kubeconfig has no current context: choose one with --context, or with `kubectl config use-context`"
                .to_owned()
        }
        KubeconfigError::ReadConfig(cause, path) => format!(
            "{} cannot be read: {cause}: set KUBECONFIG, or give --kubeconfig FILE",
            path.display()
        ),
        KubeconfigError::FindPath => {
            "there is no kubeconfig: set KUBECONFIG, or give --kubeconfig FILE".to_owned()
        }
        error => format!("the kubeconfig cannot be used: {error}: correct it, or give --kubeconfig FILE"),
    }
}

/// The innermost cause: the outer ones say only that a request failed.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    const QUESTION: Question<'_> = Question {
        verb: "get",
        namespace: Some("shop"),
        name: Some("tasks"),
        server: "https://example.com:6443",
    };

    fn explained(status: serde_json::Value) -> String {
        let status: Status = serde_json::from_value(status).unwrap_or_else(|error| panic!("{error}"));
        QUESTION.explain(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn an_absent_object_and_an_absent_api_are_told_apart() {
        let object = explained(json!({
            "code": 404, "reason": "NotFound", "message": "observedapps.observedapp.dev \"tasks\" not found",
            "details": {"name": "tasks", "group": "observedapp.dev", "kind": "observedapps"},
        }));
        assert_eq!(object, "there is no ObservedApp tasks in the namespace shop");
        let api = explained(json!({"code": 404, "message": "404 page not found"}));
        assert!(
            api.contains("does not know ObservedApps: install the operator"),
            "{api}"
        );
    }

    #[test]
    fn who_may_not_is_told_what_to_ask_for() {
        let forbidden =
            explained(json!({"code": 403, "reason": "Forbidden", "message": "User \"x\" cannot get"}));
        assert!(
            forbidden.starts_with(
                "you may not get ObservedApps in the namespace shop (User \"x\" cannot get): ask"
            ),
            "{forbidden}"
        );
        assert!(explained(json!({"code": 401})).contains("log in again"));
    }
}
