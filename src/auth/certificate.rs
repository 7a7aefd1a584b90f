//! `tls`: the client certificate says who the client is.

use super::config::{Grant, TlsUsers};
use super::crypto::{sha1, sha256};
use super::peer::{Peer, TlsPeer};
use crate::wamp::Dict;
use data_encoding::HEXLOWER;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// Who the owner of a verified certificate is, and what that makes of it. Known by the fingerprint, then by the common
/// name.
pub(super) fn user(tls: Option<&TlsPeer>, users: &TlsUsers) -> Option<(Box<str>, Grant)> {
    let certificate = tls?.certificate.as_deref()?;
    if let Some(user) = users.by_sha1.get(&sha1(certificate)) {
        return Some(user.clone());
    }
    let fingerprint = HEXLOWER.encode(&sha256(certificate));
    let name = common_name(certificate);
    let known = users.users.get(&*fingerprint).or_else(|| users.users.get(name.as_deref()?));
    let grant = known.or(users.default.as_ref())?.clone();
    Some((name.unwrap_or_else(|| fingerprint.into()), grant))
}

/// What authenticators are told of a client: its certificate as well.
pub(super) fn shown(peer: &Peer) -> Dict {
    let mut details = peer.details();
    if let Some(certificate) = peer.certificate() {
        details.push("peer_cert", described(certificate));
    }
    details
}

/// What is told of a certificate, in the names that Crossbar.io has: the fingerprints `sha1` and `sha256`,
/// and the parts of `subject` and `issuer` by their short names.
fn described(certificate: &[u8]) -> Dict {
    let fingerprint = |hash: &[u8]| hash.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":");
    let mut shown =
        Dict::new().with("sha1", fingerprint(&sha1(certificate))).with("sha256", fingerprint(&sha256(certificate)));
    if let Ok((_, certificate)) = X509Certificate::from_der(certificate) {
        shown.push("subject", parts(certificate.subject()));
        shown.push("issuer", parts(certificate.issuer()));
    }
    shown
}

fn parts(name: &X509Name<'_>) -> Dict {
    let mut parts = Dict::new();
    for attribute in name.iter_attributes() {
        let key = oid2abbrev(attribute.attr_type(), oid_registry()).map(str::to_lowercase);
        if let (Ok(key), Ok(value)) = (key, attribute.as_str()) {
            parts.remove(&key);
            parts.push(&*key, value);
        }
    }
    parts
}

fn common_name(certificate: &[u8]) -> Option<Box<str>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    (!name.is_empty()).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_name_their_owner() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "joe");
        let certificate = params.self_signed(&key).expect("a certificate").der().to_vec();
        let fingerprint = HEXLOWER.encode(&sha256(&certificate));
        let tls = TlsPeer { certificate: Some(certificate), ..TlsPeer::default() };
        let role = |role: &str| Grant { role: Some(role.into()), ..Grant::default() };
        let users = |list: &[(&str, &str)], default| TlsUsers {
            users: list.iter().map(|(name, of)| ((*name).into(), role(of))).collect(),
            default,
            ..TlsUsers::default()
        };
        assert_eq!(user(Some(&tls), &users(&[("joe", "a")], None)), Some(("joe".into(), role("a"))));
        assert_eq!(
            user(Some(&tls), &users(&[(&fingerprint, "b"), ("joe", "a")], None)),
            Some(("joe".into(), role("b")))
        );
        assert_eq!(user(Some(&tls), &users(&[("jane", "a")], None)), None);
        assert_eq!(user(Some(&tls), &users(&[], Some(role("c")))), Some(("joe".into(), role("c"))));
        let by_sha1 = [(sha1(tls.certificate.as_ref().expect("a certificate")), ("jill".into(), role("d")))].into();
        let users_by_sha1 = TlsUsers { by_sha1, ..users(&[("joe", "a")], None) };
        assert_eq!(user(Some(&tls), &users_by_sha1), Some(("jill".into(), role("d"))));
        let shown = described(tls.certificate.as_ref().expect("a certificate"));
        assert_eq!(
            shown.str("sha256").ok().flatten().map(|text| text.replace(':', "").to_lowercase()),
            Some(fingerprint)
        );
        assert_eq!(shown.dict("subject").ok().flatten().and_then(|subject| subject.str("cn").ok()?), Some("joe"));
        assert_eq!(user(None, &users(&[], Some(role("c")))), None, "no TLS");
        assert_eq!(user(Some(&TlsPeer::default()), &users(&[], Some(role("c")))), None, "no certificate");
    }
}
