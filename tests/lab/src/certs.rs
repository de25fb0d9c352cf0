//! The lab's certificate authority and its certificates.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::paths;

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The user of a certificate, and the names and addresses that it is valid for.
#[derive(Debug, Clone, Default)]
pub struct Subject<'a> {
    pub user: &'a str,
    /// At most one group; none if it is empty.
    pub group: &'a str,
    pub dns: &'a [&'a str],
    pub ips: &'a [IpAddr],
}

/// A certificate authority with its files in one folder.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Loads the folder's authority, or creates one.
    pub fn open(dir: &Path) -> Result<Self> {
        paths::create_dir(dir)?;
        let (cert, key) = (dir.join("ca.crt"), dir.join("ca.key"));
        let mut params = CertificateParams::default();
        params.distinguished_name = name("observedapp-lab", "");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) = validity();
        let key_pair = match fs::read_to_string(&key) {
            Ok(pem) if cert.exists() => KeyPair::from_pem(&pem)
                .with_context(|| format!("{} is not a key; remove it", key.display()))?,
            _ => {
                let key_pair = KeyPair::generate()?;
                paths::write_private(&key, key_pair.serialize_pem())?;
                paths::write(&cert, params.self_signed(&key_pair)?.pem())?;
                key_pair
            }
        };
        // The issuer follows from constant parameters and the stored key, so the certificate is not parsed.
        Ok(Self {
            dir: dir.to_path_buf(),
            issuer: Issuer::new(params, key_pair),
        })
    }

    pub fn cert(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// Issues a certificate under `file`, for clients and, if it has names or addresses, for servers. A certificate of
    /// the same subject is reused, so that a second `up` restarts nothing.
    pub fn issue(&self, file: &str, subject: &Subject<'_>) -> Result<Pair> {
        let pair = Pair {
            cert: self.dir.join(format!("{file}.crt")),
            key: self.dir.join(format!("{file}.key")),
        };
        let stamp = self.dir.join(format!("{file}.subject"));
        let described = format!("{subject:?}");
        if fs::read_to_string(&stamp).is_ok_and(|known| known == described) {
            return Ok(pair);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = name(subject.user, subject.group);
        params.subject_alt_names = subject
            .dns
            .iter()
            .map(|name| Ok(SanType::DnsName((*name).try_into()?)))
            .chain(subject.ips.iter().map(|ip| Ok(SanType::IpAddress(*ip))))
            .collect::<Result<_>>()?;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !params.subject_alt_names.is_empty() {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity();
        let key_pair = KeyPair::generate()?;
        paths::write_private(&pair.key, key_pair.serialize_pem())?;
        paths::write(&pair.cert, params.signed_by(&key_pair, &self.issuer)?.pem())?;
        paths::write(&stamp, described)?;
        Ok(pair)
    }

    /// The key pair that signs service account tokens; `cert` is its public key.
    pub fn service_account_keys(&self) -> Result<Pair> {
        let pair = Pair {
            cert: self.dir.join("service-account.pub"),
            key: self.dir.join("service-account.key"),
        };
        if !pair.cert.exists() {
            let key_pair = KeyPair::generate()?;
            paths::write_private(&pair.key, key_pair.serialize_pem())?;
            paths::write(&pair.cert, key_pair.public_key_pem())?;
        }
        Ok(pair)
    }
}

fn name(user: &str, group: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    if !group.is_empty() {
        name.push(DnType::OrganizationName, group);
    }
    name
}

/// These certificates protect a cluster on one machine, and their keys stay there.
fn validity() -> (time::OffsetDateTime, time::OffsetDateTime) {
    (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_certificate_is_reissued_only_for_another_subject() {
        let dir = tempfile::tempdir().unwrap();
        let subject = |ips| Subject {
            user: "node",
            group: "system:nodes",
            dns: &["lab"],
            ips,
        };
        let here = ["192.0.2.1".parse().unwrap()];
        let moved = ["192.0.2.9".parse().unwrap()];
        let sign = |ips| {
            let pair = Authority::open(dir.path())
                .unwrap()
                .issue("node", &subject(ips))
                .unwrap();
            fs::read_to_string(pair.cert).unwrap()
        };
        let first = sign(&here);
        assert_eq!(sign(&here), first);
        assert_ne!(sign(&moved), first);
    }

    #[test]
    fn keys_are_readable_by_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let issued = authority.issue("admin", &Subject::default()).unwrap().key;
        let keys = [
            authority.key(),
            authority.service_account_keys().unwrap().key,
            issued,
        ];
        for key in keys {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
