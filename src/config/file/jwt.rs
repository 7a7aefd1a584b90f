//! Tokens that say who a client is; of our own.

use super::kinds::kinds;
use super::{Fault, Read};
use crate::auth::jwt::{ALGORITHMS, JwtConfig, JwtKey, KeyRing, SECRET_BYTES_MIN};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

kinds! {
    /// Signed tokens; of `secret`, `secret_base64`, `key` and `jwks` there has to be one.
    pub(super) enum Jwt { "static" => Static(Tokens) }
}

/// Tokens that are verified with keys in the file, or beside it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    /// Of `HS256`, `RS256`, `ES256` and `EdDSA`. Without it, all.
    #[schemars(extend("examples" = [["EdDSA"]]))]
    algorithms: Option<Vec<String>>,
    /// A shared secret of at least 32 octets.
    #[schemars(extend("examples" = ["${TOKEN_SECRET}"]))]
    secret: Option<String>,
    /// A shared secret of at least 32 octets, in base64.
    #[schemars(extend("examples" = ["${TOKEN_SECRET}"]))]
    secret_base64: Option<String>,
    /// A file with a public key in PEM, relative to the node directory.
    #[schemars(extend("examples" = ["key.pem"]))]
    key: Option<PathBuf>,
    /// A file with a JWKS document, relative to the node directory. It is read again when it has changed.
    #[schemars(extend("examples" = ["keys.json"]))]
    jwks: Option<PathBuf>,
    /// What the claim `iss` has to be.
    #[schemars(extend("examples" = ["https://login.example"]))]
    issuer: Option<String>,
    /// What the claim `aud` has to be or to name. Without it, a token with that claim is for somebody else.
    #[schemars(extend("examples" = ["router"]))]
    audience: Option<String>,
    /// By how much clocks may differ.
    #[schemars(range(min = 0.0, max = JwtConfig::LEEWAY_MAX.as_secs_f64()), extend("x-unit" = "seconds", "default" = LEEWAY))]
    leeway: Option<f64>,
    /// Tokens have to end.
    #[schemars(extend("default" = true))]
    require_exp: Option<bool>,
    /// The claim that is the authid.
    #[schemars(extend("default" = "sub"))]
    authid_claim: Option<String>,
    /// The role of all. Without it, the claim says it.
    #[schemars(extend("examples" = ["user"]))]
    role: Option<String>,
    /// The claim that is the role.
    #[schemars(extend("default" = "role"))]
    role_claim: Option<String>,
    /// The claim that is the only realm that may be joined. Without it, any may.
    #[schemars(extend("examples" = ["realm"]))]
    realm_claim: Option<String>,
    /// Claims that go to `authextra`.
    #[serde(default)]
    #[schemars(extend("examples" = [["email"]]))]
    extra_claims: Vec<String>,
}

/// By how many seconds clocks may differ if nothing is said.
const LEEWAY: f64 = 30.0;

pub(super) fn read_jwt(value: Value, at: &str, directory: &Path) -> Read<JwtConfig> {
    let Jwt::Static(jwt) = Jwt::read(value, at)?;
    let algorithms = match &jwt.algorithms {
        None => ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect(),
        Some(names) => {
            let named = |name: &String| ALGORITHMS.iter().find(|(known, _)| known == name).map(|(_, known)| *known);
            let unknown = |name: &String| {
                Fault::new(&format!("{at}.algorithms"), format!("{name:?} is none of HS256, RS256, ES256 and EdDSA"))
            };
            names.iter().map(|name| named(name).ok_or_else(|| unknown(name))).collect::<Read<Vec<_>>>()?
        }
    };
    let (keys, jwks) = read_keys(&jwt, &algorithms, at, directory)?;
    let leeway = jwt.leeway.unwrap_or(LEEWAY);
    if !(0.0..=JwtConfig::LEEWAY_MAX.as_secs_f64()).contains(&leeway) {
        let text = format!("is {leeway}, not from 0 to {} seconds", JwtConfig::LEEWAY_MAX.as_secs());
        return Err(Fault::new(&format!("{at}.leeway"), text));
    }
    let default = JwtConfig::new(KeyRing::new(keys));
    Ok(JwtConfig {
        algorithms,
        jwks,
        issuer: jwt.issuer.map(Into::into),
        audience: jwt.audience.map(Into::into),
        leeway: Duration::from_secs_f64(leeway),
        expiry_required: jwt.require_exp.unwrap_or(true),
        authid_claim: jwt.authid_claim.map_or(default.authid_claim, Into::into),
        role: jwt.role.map(Into::into),
        role_claim: jwt.role_claim.map_or(default.role_claim, Into::into),
        realm_claim: jwt.realm_claim.map(Into::into),
        extra_claims: jwt.extra_claims.into_iter().map(Into::into).collect(),
        ..default
    })
}

/// The keys, and the file that may bring others.
fn read_keys(
    jwt: &Tokens,
    algorithms: &[Algorithm],
    at: &str,
    directory: &Path,
) -> Read<(Vec<JwtKey>, Option<PathBuf>)> {
    let given = [jwt.secret.is_some(), jwt.secret_base64.is_some(), jwt.key.is_some(), jwt.jwks.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(Fault::new(at, "needs one of secret, secret_base64, key and jwks"));
    }
    let file = |path: &Path, key: &str| {
        let path = directory.join(path);
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| Fault::new(&format!("{at}.{key}"), format!("{}: {error}", path.display())));
        Ok((text?, path))
    };
    if let Some(secret) = &jwt.secret {
        return Ok((vec![secret_key(secret.as_bytes(), &format!("{at}.secret"))?], None));
    }
    if let Some(secret) = &jwt.secret_base64 {
        let at = format!("{at}.secret_base64");
        let octets = BASE64.decode(secret.as_bytes()).or_else(|_| BASE64URL_NOPAD.decode(secret.as_bytes()));
        let octets = octets.map_err(|_| Fault::new(&at, "is not written in base64"))?;
        return Ok((vec![secret_key(&octets, &at)?], None));
    }
    if let Some(path) = &jwt.key {
        let (text, _) = file(path, "key")?;
        // The kind of the key says which of the algorithms it is for.
        let fitting = algorithms.iter().find_map(|algorithm| JwtKey::pem(*algorithm, text.as_bytes()).ok());
        let none = || Fault::new(&format!("{at}.key"), "holds no public key in PEM for any of the algorithms");
        return Ok((vec![fitting.ok_or_else(none)?], None));
    }
    let (text, path) = file(jwt.jwks.as_deref().unwrap_or(Path::new("")), "jwks")?;
    let keys = JwtKey::set(&text).map_err(|wrong| Fault::new(&format!("{at}.jwks"), wrong))?;
    Ok((keys, Some(path)))
}

fn secret_key(secret: &[u8], at: &str) -> Read<JwtKey> {
    if secret.len() < SECRET_BYTES_MIN {
        let text = format!("has {} octets; with less than {SECRET_BYTES_MIN} it can be guessed", secret.len());
        return Err(Fault::new(at, text));
    }
    Ok(JwtKey::secret(secret))
}
