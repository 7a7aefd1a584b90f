//! Tokens that say who a client is; of our own.

use super::{Fault, Read, read, type_of};
use crate::auth::jwt::{ALGORITHMS, JwtConfig, JwtKey, KeyRing, SECRET_BYTES_MIN};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwt {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    algorithms: Option<Vec<String>>,
    secret: Option<String>,
    secret_base64: Option<String>,
    key: Option<PathBuf>,
    jwks: Option<PathBuf>,
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Option<f64>,
    require_exp: Option<bool>,
    authid_claim: Option<String>,
    role: Option<String>,
    role_claim: Option<String>,
    realm_claim: Option<String>,
    #[serde(default)]
    extra_claims: Vec<String>,
}

pub(super) fn read_jwt(value: Value, at: &str, directory: &Path) -> Read<JwtConfig> {
    let kind = type_of(&value, at)?;
    if kind != "static" {
        return Err(Fault::new(&format!("{at}.type"), format!("is {kind:?}; static is supported")));
    }
    let jwt: Jwt = read(value, at)?;
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
    let leeway = jwt.leeway.unwrap_or(30.0);
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
fn read_keys(jwt: &Jwt, algorithms: &[Algorithm], at: &str, directory: &Path) -> Read<(Vec<JwtKey>, Option<PathBuf>)> {
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
