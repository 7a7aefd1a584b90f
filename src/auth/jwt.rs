//! `jwt`: a signed token says who the client is (RFC 7519), made by somebody whose keys are known.

use super::config::Grant;
use crate::wamp::{Dict, Value};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// Octets of a token.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Octets of the shortest modulus for RS256.
const MODULUS_MIN: usize = 256;

/// The shortest secret for HS256.
pub const SECRET_BYTES_MIN: usize = 32;

/// The algorithms that can be used. A key is for one of them alone, so no token can choose another.
pub const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("HS256", Algorithm::HS256),
    ("RS256", Algorithm::RS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
];

/// A key by which tokens are verified.
#[derive(Clone)]
pub struct JwtKey {
    /// Its name; tokens that name a key are verified by that one, others by each that has no name or is the only one.
    pub kid: Option<Box<str>>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl JwtKey {
    /// A shared secret for HS256.
    #[must_use]
    pub fn secret(secret: &[u8]) -> JwtKey {
        JwtKey { kid: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }
    }

    /// A public key in PEM, for one of the other algorithms.
    ///
    /// # Errors
    /// It is none of that algorithm.
    pub fn pem(algorithm: Algorithm, pem: &[u8]) -> Result<JwtKey, String> {
        let key = match algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(pem),
            Algorithm::ES256 => DecodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
            _ => return Err("a key in PEM is for RS256, ES256 or EdDSA".into()),
        };
        let key = key.map_err(|error| format!("holds no public key for {algorithm:?}: {error}"))?;
        if !is_whole(algorithm, &key) {
            return Err(format!("holds no public key for {algorithm:?} of the right length"));
        }
        Ok(JwtKey { kid: None, algorithm, key })
    }

    /// The keys of a JWKS document (RFC 7517) that are for signatures by one of the known algorithms.
    ///
    /// # Errors
    /// It is no such document, or none of its keys can be used.
    pub fn set(text: &str) -> Result<Vec<JwtKey>, String> {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| format!("is no JWKS: {error}"))?;
        let keys: Vec<JwtKey> = set.keys.iter().filter_map(JwtKey::of).collect();
        if keys.is_empty() { Err("holds no key that can be used".into()) } else { Ok(keys) }
    }

    fn of(jwk: &Jwk) -> Option<JwtKey> {
        let common = &jwk.common;
        let verifies =
            common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !verifies || common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature) {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            _ => return None,
        };
        let named = common.key_algorithm.map(|named| named.to_string());
        if named.is_some_and(|named| named != format!("{algorithm:?}")) {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok().filter(|key| is_whole(algorithm, key))?;
        Some(JwtKey { kid: common.key_id.as_deref().map(Into::into), algorithm, key })
    }
}

/// True if the key is as long as those of its algorithm are, which verifying takes for granted, and a secret or modulus
/// as long as it has to be (RFC 7518, sections 3.2 and 3.3).
fn is_whole(algorithm: Algorithm, key: &DecodingKey) -> bool {
    let modulus = |octets: &[u8]| octets.iter().skip_while(|octet| **octet == 0).count() >= MODULUS_MIN;
    let octets = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => return algorithm == Algorithm::RS256 && modulus(n),
        DecodingKeyKind::SecretOrDer(octets) => octets,
    };
    match algorithm {
        Algorithm::EdDSA => octets.len() == 32,
        // Both coordinates, with an octet in front that says so.
        Algorithm::ES256 => octets.len() == 65,
        Algorithm::HS256 => octets.len() >= SECRET_BYTES_MIN,
        Algorithm::RS256 => RSAPublicKey::from_der(octets).is_ok_and(|(_, key)| modulus(key.modulus)),
        _ => false,
    }
}

/// The keys of a transport. They can be replaced while it is in use.
#[derive(Debug, Default)]
pub struct KeyRing(RwLock<Arc<[JwtKey]>>);

impl KeyRing {
    /// A ring of these keys.
    #[must_use]
    pub fn new(keys: Vec<JwtKey>) -> Arc<KeyRing> {
        Arc::new(KeyRing(RwLock::new(keys.into())))
    }

    /// Verifies by these keys from now on.
    pub fn replace(&self, keys: Vec<JwtKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    fn keys(&self) -> Arc<[JwtKey]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What tokens have to be like, and what is taken from them.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// The keys.
    pub keys: Arc<KeyRing>,
    /// The JWKS document that they come from, and that may bring others.
    pub jwks: Option<PathBuf>,
    /// The algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// `iss` has to be this.
    pub issuer: Option<Box<str>>,
    /// `aud` has to be or to name this. A token for somebody else is refused also if there is none.
    pub audience: Option<Box<str>>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Tokens without `exp` are refused.
    pub expiry_required: bool,
    /// Which claim is the authid.
    pub authid_claim: Box<str>,
    /// The role of all; none: it stands in a claim.
    pub role: Option<Box<str>>,
    /// Which claim is the role.
    pub role_claim: Box<str>,
    /// Which claim is the only realm that may be joined.
    pub realm_claim: Option<Box<str>>,
    /// Claims that go to `authextra`.
    pub extra_claims: Vec<Box<str>>,
}

impl PartialEq for JwtConfig {
    fn eq(&self, other: &JwtConfig) -> bool {
        Arc::ptr_eq(&self.keys, &other.keys)
    }
}

impl JwtConfig {
    /// The longest time by which clocks may differ.
    pub const LEEWAY_MAX: Duration = Duration::from_secs(300);

    /// With these keys, for all algorithms, with the usual claims.
    #[must_use]
    pub fn new(keys: Arc<KeyRing>) -> JwtConfig {
        JwtConfig {
            keys,
            jwks: None,
            algorithms: ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect(),
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(30),
            expiry_required: true,
            authid_claim: "sub".into(),
            role: None,
            role_claim: "role".into(),
            realm_claim: None,
            extra_claims: Vec::new(),
        }
    }

    /// Who a token says its bearer is, and until when (since 1970).
    pub(super) fn read(&self, token: &str, now: Duration) -> Option<Bearer> {
        let claims = self.verify(token)?;
        let text = |claim: &str| claims.get(claim)?.as_str().filter(|text| !text.is_empty());
        // Seconds, perhaps with a fraction.
        let time = |claim: &str| match claims.get(claim) {
            None => Some(None),
            Some(time) => Duration::try_from_secs_f64(time.as_f64()?).ok().map(Some),
        };
        let (expires, not_before, issued) = (time("exp")?, time("nbf")?, time("iat")?);
        let early = |time: Option<Duration>| time.is_some_and(|time| time > now + self.leeway);
        let late = expires.map_or(self.expiry_required, |expires| expires + self.leeway <= now);
        if late || early(not_before) || early(issued) || !self.is_ours(&claims) {
            return None;
        }
        let role = self.role.as_deref().or_else(|| text(&self.role_claim))?;
        let realm = match &self.realm_claim {
            None => None,
            Some(claim) => Some(text(claim)?.into()),
        };
        let mut extra = Dict::new();
        for claim in &self.extra_claims {
            if let Some(value) = claims.get(&**claim) {
                extra.push(claim.clone(), value_of(value));
            }
        }
        let grant = Grant { role: Some(role.into()), realm, extra };
        Some(Bearer { authid: text(&self.authid_claim)?.into(), grant, expires: expires.map(|at| at + self.leeway) })
    }

    /// The claims of a token that one of the keys has signed.
    fn verify(&self, token: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let header = decode_header(token).ok()?;
        // An extension that has to be understood is not (RFC 7515, section 4.1.11).
        if header.crit.is_some() || !self.algorithms.contains(&header.alg) {
            return None;
        }
        let keys = self.keys.keys();
        let named = |key: &&JwtKey| match (&header.kid, &key.kid) {
            (Some(wanted), Some(kid)) => **wanted == **kid,
            _ => true,
        };
        let mut validation = Validation::new(header.alg);
        // What depends on the time and on the audience is looked at here, with the time that we are given.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        let mut fitting = keys.iter().filter(|key| key.algorithm == header.alg).filter(named);
        fitting.find_map(|key| decode(token, &key.key, &validation).ok()).map(|token| token.claims)
    }

    fn is_ours(&self, claims: &serde_json::Map<String, serde_json::Value>) -> bool {
        let is = |value: &serde_json::Value, wanted: &str| value.as_str() == Some(wanted);
        let issued = self.issuer.as_deref().is_none_or(|issuer| claims.get("iss").is_some_and(|iss| is(iss, issuer)));
        let meant = match (claims.get("aud"), self.audience.as_deref()) {
            (None, None) => true,
            (Some(serde_json::Value::Array(list)), Some(audience)) => list.iter().any(|one| is(one, audience)),
            (Some(one), Some(audience)) => is(one, audience),
            // For nobody in particular, or for somebody else.
            (None, Some(_)) | (Some(_), None) => false,
        };
        issued && meant
    }
}

/// A claim as WAMP has it.
fn value_of(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(is) => (*is).into(),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => Value::Int(number),
            (.., float) => Value::Float(float.unwrap_or_default()),
        },
        serde_json::Value::String(text) => (&**text).into(),
        serde_json::Value::Array(list) => Value::List(list.iter().map(value_of).collect()),
        serde_json::Value::Object(object) => {
            let mut dict = Dict::new();
            object.iter().for_each(|(key, value)| dict.push(&**key, value_of(value)));
            dict.into()
        }
    }
}

/// The bearer of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bearer {
    pub(super) authid: Box<str>,
    pub(super) grant: Grant,
    /// Since 1970.
    pub(super) expires: Option<Duration>,
}

#[cfg(test)]
mod tests;
