//! The grammars of texts, once: the API server's rules and the operator's own validation use the same ones.
//!
//! They are regular expressions that both RE2 (the API server's) and Rust's `regex` read, each over a whole text.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::Regex;

/// Zero or more `label="value"`, separated by commas, with room between them; a label may be quoted, as Prometheus 3 has
/// it for names of other than ASCII letters.
macro_rules! matchers {
    () => {
        concat!(
            r"[ \t\r\n]*(",
            matcher!(),
            r"(,[ \t\r\n]*",
            matcher!(),
            r")*,?[ \t\r\n]*)?"
        )
    };
}
macro_rules! matcher {
    () => {
        concat!(
            r#"([a-zA-Z_][a-zA-Z0-9_]*|"([^"\\]|\\.)*")[ \t\r\n]*(=|!=|=~|!~)[ \t\r\n]*"#,
            r#"("([^"\\]|\\.)*"|'([^'\\]|\\.)*'|`[^`]*`)[ \t\r\n]*"#
        )
    };
}

/// A DNS label that begins with a letter: what a Service can be called.
pub const SERVICE_NAME: &str = r"^[a-z]([-a-z0-9]*[a-z0-9])?$";
/// What a volume can be called.
pub const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// What most objects can be called.
pub const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A host of an Ingress; the first label may be a wildcard. An address has a digit at its end, a name never.
pub const INGRESS_HOST: &str = r"^([*][.])?([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])*[a-z]([-a-z0-9]*[a-z0-9])?$";
/// The key of a label or an annotation.
pub const QUALIFIED_NAME: &str =
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
pub const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
/// An image with an optional tag and digest.
pub const IMAGE: &str = r"^([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[a-zA-Z0-9_][-a-zA-Z0-9_.]{0,127})?(@sha256:[a-f0-9]{64})?$";
pub const VARIABLE_NAME: &str = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$";
pub const SECRET_KEY: &str = r"^[-._a-zA-Z0-9]+$";
pub const MOUNT_PATH: &str = r"^/[^:]*$";
/// A path without a query.
pub const URL_PATH: &str = r"^/[^ \t\r\n?#]*$";
/// A path as an HTTPRoute takes one: segments of ASCII, none of them empty, `.` or `..`, and no `/` in disguise.
pub const ROUTE_PATH: &str = r"^(/([.]*([-A-Za-z0-9_~!$&'()*+,;=:@]|%([013-9a-fA-F][0-9a-fA-F]|2[0-9a-eA-E]))([-A-Za-z0-9_~!$&'()*+,;=:@.]|%([013-9a-fA-F][0-9a-fA-F]|2[0-9a-eA-E]))*|[.]{3,}))*/?$";
/// A path that may have a query.
pub const PROBE_PATH: &str = r"^/[^ \t\r\n#]*$";
pub const HTTP_URL: &str = r"^https?://[^ \t\r\n/?#]+[^ \t\r\n]*$";
pub const PERCENTAGE: &str = r"^[0-9]{1,4}%$";
pub const PERCENTAGE_UP_TO_100: &str = r"^(100|[0-9]{1,2})%$";
/// A Grafana folder, or several, one in the other. It becomes a path below the folder that Grafana reads: so no way out of that.
pub const GRAFANA_FOLDER: &str =
    r"^[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*(/[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*)*$";
/// The versions of Postgres whose layout the operator knows.
pub const POSTGRES_VERSION: &str = r"^(1[4-9]|[2-9][0-9])([.][0-9]{1,3})?$";
pub const REDIS_VERSION: &str = r"^([6-9]|[1-9][0-9])([.][0-9]{1,3}){0,2}$";
pub const POSTGRES_SETTING: &str = r"^[a-zA-Z_][a-zA-Z0-9_]*([.][a-zA-Z_][a-zA-Z0-9_]*)?$";

/// A duration as Prometheus writes it.
pub const DURATION: &str = r"^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$|^0$";
/// Among durations, one that is not zero.
pub const NOT_ZERO: &str = r"[1-9]";
/// Among durations, what one unit can express of the window of an objective: of 1d to 90d or, in several units
/// (`1d12h`), for the operator to add up.
pub const WINDOW: &str = r"^0*(([1-9]|[1-8][0-9]|90)d|([1-9]|1[0-2])w|(2[4-9]|[3-9][0-9]|[1-9][0-9]{2}|1[0-9]{3}|20[0-9]{2}|21[0-5][0-9]|2160)h|[0-9]{4,}m|[0-9]{5,}s|[0-9]{8,}ms)$|^[0-9]+[a-z]+[0-9]+[a-z0-9]*$";

/// Among durations, what one unit can express of how often something is scraped or probed: of 5s to 2m or, in several
/// units (`1m30s`), for the operator to add up.
pub const INTERVAL: &str = r"^0*(([5-9]|[1-9][0-9]|1[01][0-9]|120)s|[12]m|([5-9][0-9]{3}|[1-9][0-9]{4}|1[01][0-9]{4}|120000)ms)$|^[0-9]+[a-z]+[0-9]+[a-z0-9]*$";

/// A metric's name; Prometheus takes any text since its version 3.
pub const METRIC_NAME: &str = r"^[^\x00-\x1f\x7f{}]+$";
/// Label matchers, as they stand between the braces of a selector.
pub const MATCHERS: &str = concat!("^", matchers!(), "$");
/// One metric's series, some of them.
pub const SELECTOR: &str = concat!(
    r"^[ \t\r\n]*([a-zA-Z_:][a-zA-Z0-9_:]*[ \t\r\n]*([{]",
    matchers!(),
    r#"[}])?|[{][ \t\r\n]*""#,
    r#"([^"\\]|\\.)*"[ \t\r\n]*(,"#,
    matchers!(),
    r")?[}])[ \t\r\n]*$"
);
/// The name of a label of Prometheus' that a user may set.
pub const PROMETHEUS_LABEL: &str = r"^([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]*$";
pub const ALERT_NAME: &str = r"^[a-zA-Z_][a-zA-Z0-9_]*$";

/// From ten seconds to seven days, in one unit.
pub const GUARD_TIME: &str =
    r"^0*([1-9][0-9]{1,4}s|[1-9][0-9]{0,3}m|([1-9][0-9]?|1[0-5][0-9]|16[0-8])h|[1-7]d)$";

/// Whether a text matches one of the patterns above; each is compiled once.
pub fn matches(pattern: &'static str, text: &str) -> bool {
    // Shared, not cloned: each clone of a Regex would make its working memory anew.
    type Compiled = HashMap<&'static str, Option<Arc<Regex>>>;
    static COMPILED: LazyLock<Mutex<Compiled>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled
        .entry(pattern)
        .or_insert_with(|| Regex::new(pattern).ok().map(Arc::new))
        .clone();
    drop(compiled);
    regex.is_some_and(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_tell_good_from_bad() {
        for (pattern, good, bad) in [
            (
                SERVICE_NAME,
                &["a", "shop-2"][..],
                &["", "2shop", "-a", "a-", "Shop", "a.b"][..],
            ),
            (DNS_SUBDOMAIN, &["a", "a.b-c", "1a"], &["", "a..b", "a.", "A"]),
            (
                INGRESS_HOST,
                &["shop.example.com", "*.example.com", "localhost"],
                &["10.0.0.1", "https://a", "a:80", "a/b", "A.b", "*"],
            ),
            (
                QUALIFIED_NAME,
                &["a", "example.com/A_b.c"],
                &["", "/a", "a/", "a/b/c", "-a", "Example.com/a"],
            ),
            (LABEL_VALUE, &["", "a", "A-b_c.d"], &["-a", "a-", "a b"]),
            (
                IMAGE,
                &[
                    "nginx",
                    "docker.io/library/nginx:1",
                    "localhost:5000/a/b:c",
                    "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                ],
                &["", "A", "a b", "a:", ":a", "a@sha256:12", "https://a/b", "a:b:c"],
            ),
            (VARIABLE_NAME, &["A", "_a", "a.b-c"], &["", "1a", "a=b", "a b"]),
            (URL_PATH, &["/", "/a/b"], &["", "a", "/a?b", "/a b"]),
            (
                ROUTE_PATH,
                &["/", "/a", "/a/", "/.a/a..b/...", "/%20a/@b"],
                &[
                    "a", "/a//b", "/./a", "/a/..", "/a?b", "/a#b", "/%2Fa", "/%2", "/ü",
                ],
            ),
            (
                HTTP_URL,
                &["http://a", "https://a/b?c#d"],
                &["", "ftp://a", "a", "https://", "http:///a"],
            ),
            (
                POSTGRES_VERSION,
                &["14", "18", "18.1"],
                &["", "9.6", "13", "18.1.2", "latest", "18-alpine"],
            ),
            (
                REDIS_VERSION,
                &["6", "8", "8.2", "8.2.1"],
                &["", "5", "8.", "8-alpine"],
            ),
            (
                GRAFANA_FOLDER,
                &["Shop", "Shop/Web team", "a..b"],
                &["", "/etc", "..", "Shop/../..", "Shop/", "a\nb"],
            ),
            (
                POSTGRES_SETTING,
                &["max_connections", "auto_explain.log_min_duration"],
                &["", "a-b", "1a", "a.b.c", "a b"],
            ),
            (
                WINDOW,
                &[
                    "1d", "30d", "90d", "1w", "12w", "24h", "2160h", "1d12h", "1440m", "030d",
                ],
                &["0d", "91d", "13w", "23h", "2161h", "5m", "60s", "1y", "30"],
            ),
            (
                GUARD_TIME,
                &["10s", "30s", "5m", "90m", "1h", "168h", "7d"],
                &["", "0s", "9s", "5", "169h", "8d", "1h30m", "100000s"],
            ),
            (
                INTERVAL,
                &[
                    "5s", "15s", "119s", "120s", "1m", "2m", "5000ms", "120000ms", "1m30s", "005s",
                ],
                &[
                    "0", "1ms", "4s", "121s", "3m", "4999ms", "120001ms", "1h", "1d", "15",
                ],
            ),
            (
                DURATION,
                &["0", "300ms", "1h30m", "30d"],
                &["5", "-5m", "1.5h", "5M", "m5"],
            ),
            (
                MATCHERS,
                &[
                    "",
                    " ",
                    r#"a="b""#,
                    r#"code=~"5..", route!="/x","#,
                    "a='b'",
                    "a=`b`",
                    r#""my.label"="x""#,
                    r#"a="\"""#,
                ],
                &["a", "a=b", r#"a="b"} or vector(1) #"#, r#"a=="b""#, ","],
            ),
            (
                SELECTOR,
                &["a", "a:b_total", r#"a{b="c"}"#, "a{}", r#"{"my.metric", a="b"}"#],
                &["", "a{", "a+b", "a[5m]", "rate(a)", "{}"],
            ),
            (
                PROMETHEUS_LABEL,
                &["a", "_a", "team_1"],
                &["", "__a", "a-b", "1a", "_"],
            ),
        ] {
            for text in good {
                assert!(matches(pattern, text), "{pattern} refuses {text:?}");
            }
            for text in bad {
                assert!(!matches(pattern, text), "{pattern} takes {text:?}");
            }
        }
    }
}
