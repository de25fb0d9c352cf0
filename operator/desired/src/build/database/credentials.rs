//! The Secrets of a database: whose passwords they hold, and in which spellings.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use observedapp_api::DeletionPolicy;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{PORT, metadata};
use crate::{ValidApp, digest};

/// The owner of the database, and the database's name: CloudNativePG's own.
pub(super) const APP_USER: &str = "app";
pub(super) const SUPERUSER: &str = "postgres";

pub(super) fn app_secret(app: &ValidApp) -> String {
    app.id.database_secret()
}

pub(super) fn superuser_secret(app: &ValidApp) -> String {
    app.id.superuser_secret()
}

fn binding_secret(app: &ValidApp) -> String {
    app.id.binding_secret()
}

/// The passwords of a builtin database, as far as they are known: those that exist, else those just generated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passwords<'a> {
    pub app: Option<&'a str>,
    pub superuser: Option<&'a str>,
}

impl<'a> Passwords<'a> {
    pub(super) fn of(app: &'a ValidApp) -> Self {
        let observed = &app.observed.database;
        // A claim holds a database that only knows its own passwords.
        let fresh = observed
            .fresh_passwords
            .as_ref()
            .filter(|_| observed.claim.is_none());
        Self {
            app: observed
                .app_password
                .as_deref()
                .or(fresh.map(|fresh| fresh.app.as_str())),
            superuser: observed
                .superuser_password
                .as_deref()
                .or(fresh.map(|fresh| fresh.superuser.as_str())),
        }
    }
}

/// The Secret that the app reads: CloudNativePG's keys. Without a password, as in a preview, it has no data.
pub(super) fn for_app(app: &ValidApp, host: &str, password: Option<&str>, policy: DeletionPolicy) -> Secret {
    Secret {
        metadata: metadata(app, app_secret(app), policy),
        type_: Some("kubernetes.io/basic-auth".to_owned()),
        data: password.map(|password| {
            let uri = Uri { app, host, password };
            data([
                ("username", APP_USER.to_owned()),
                ("user", APP_USER.to_owned()),
                ("password", password.to_owned()),
                ("dbname", APP_USER.to_owned()),
                ("host", host.to_owned()),
                ("port", PORT.to_string()),
                ("pgpass", uri.pgpass()),
                ("uri", uri.libpq()),
                ("jdbc-uri", uri.jdbc()),
            ])
        }),
        ..Default::default()
    }
}

/// The superuser's Secret, which also holds the exporter's password: derived, so that there is nothing more to
/// lose.
pub(super) fn for_superuser(app: &ValidApp, password: Option<&str>, policy: DeletionPolicy) -> Secret {
    Secret {
        metadata: metadata(app, superuser_secret(app), policy),
        type_: Some("kubernetes.io/basic-auth".to_owned()),
        data: password.map(|password| {
            data([
                ("username", SUPERUSER.to_owned()),
                ("password", password.to_owned()),
                (
                    EXPORTER_PASSWORD,
                    digest([b"exporter".as_slice(), password.as_bytes()]),
                ),
            ])
        }),
        ..Default::default()
    }
}

/// The key of the exporter's password in the superuser's Secret.
pub(super) const EXPORTER_PASSWORD: &str = "exporter-password";

/// The Secret that tools of the Service Binding specification read.
pub(super) fn for_binding(app: &ValidApp, host: &str, password: &str, policy: DeletionPolicy) -> Secret {
    let uri = Uri { app, host, password };
    Secret {
        metadata: metadata(app, binding_secret(app), policy),
        type_: Some("servicebinding.io/postgresql".to_owned()),
        data: Some(data([
            ("type", "postgresql".to_owned()),
            ("provider", crate::MANAGED_BY.to_owned()),
            ("host", host.to_owned()),
            ("port", PORT.to_string()),
            ("database", APP_USER.to_owned()),
            ("username", APP_USER.to_owned()),
            ("password", password.to_owned()),
            ("uri", uri.libpq()),
        ])),
        ..Default::default()
    }
}

fn data<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, ByteString> {
    pairs
        .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
        .into()
}

struct Uri<'a> {
    app: &'a ValidApp,
    host: &'a str,
    password: &'a str,
}

/// All that is not unreserved in RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Uri<'_> {
    fn password(&self) -> String {
        utf8_percent_encode(self.password, RESERVED).to_string()
    }

    /// A name that resolves from every namespace.
    fn host(&self) -> String {
        format!("{}.{}", self.host, self.app.id.namespace)
    }

    fn libpq(&self) -> String {
        let (host, password) = (self.host(), self.password());
        format!("postgresql://{APP_USER}:{password}@{host}:{PORT}/{APP_USER}")
    }

    fn jdbc(&self) -> String {
        let (host, password) = (self.host(), self.password());
        format!("jdbc:postgresql://{host}:{PORT}/{APP_USER}?password={password}&user={APP_USER}")
    }

    /// A line of libpq's password file, in which colons and backslashes are escaped.
    fn pgpass(&self) -> String {
        let password = self.password.replace('\\', r"\\").replace(':', r"\:");
        format!("{}:{PORT}:{APP_USER}:{APP_USER}:{password}\n", self.host)
    }
}
