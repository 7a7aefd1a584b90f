//! The cookie of a transport.

use super::{Fault, Read, Reader, read, type_of};
use crate::config::cookie::{CookieConfig, CookieStore, SameSite};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cookie {
    name: Option<String>,
    length: Option<u8>,
    max_age: Option<u64>,
    secure: Option<bool>,
    http_strict: Option<bool>,
    same_site: Option<String>,
    store: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    filename: Option<PathBuf>,
    path: Option<PathBuf>,
    #[serde(default)]
    purge_on_startup: bool,
    maxsize: Option<Value>,
    readonly: Option<Value>,
    sync: Option<Value>,
}

/// A cookie; one of a listener with TLS is for TLS only, if nothing else is said.
pub(super) fn read_cookie(reader: &mut Reader, value: Value, secure: bool, at: &str) -> Read<CookieConfig> {
    let cookie: Cookie = read(value, at)?;
    let default = CookieConfig::default();
    let name = cookie.name.map_or(default.name, Into::into);
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(Fault::new(&format!("{at}.name"), format!("{name:?} is no name for a cookie")));
    }
    let length = cookie.length.unwrap_or(default.length);
    if !(6..=64).contains(&length) {
        return Err(Fault::new(&format!("{at}.length"), format!("is {length}, not from 6 to 64")));
    }
    if length < 16 {
        reader.warn(&format!("{at}.length"), &format!("is {length}, which can be guessed; 16 is safe"));
    }
    let known = [SameSite::Strict, SameSite::Lax, SameSite::None];
    let same_site = match cookie.same_site {
        None => default.same_site,
        Some(name) => known
            .into_iter()
            .find(|site| site.name().eq_ignore_ascii_case(&name))
            .ok_or_else(|| Fault::new(&format!("{at}.same_site"), format!("is {name:?}, not Strict, Lax or None")))?,
    };
    let secure = cookie.secure.unwrap_or(secure);
    if same_site == SameSite::None && !secure {
        return Err(Fault::new(&format!("{at}.same_site"), "None is taken by browsers with `secure` only"));
    }
    let (store, purge) = match cookie.store {
        None => (CookieStore::Memory, false),
        Some(store) => read_store(reader, store, &format!("{at}.store"))?,
    };
    Ok(CookieConfig {
        name,
        length,
        age_max: cookie.max_age.map_or(default.age_max, Duration::from_secs),
        secure,
        http_only: cookie.http_strict.unwrap_or(true),
        same_site,
        store,
        purge,
        ..default
    })
}

/// Crossbar.io's database is a directory, and this one a file beside it.
fn read_store(reader: &mut Reader, value: Value, at: &str) -> Read<(CookieStore, bool)> {
    let kind = type_of(&value, at)?;
    let store: Store = read(value, at)?;
    let given =
        [("maxsize", store.maxsize.is_some()), ("readonly", store.readonly.is_some()), ("sync", store.sync.is_some())];
    reader.without_effect(at, &given);
    let kept = match &*kind {
        "memory" => CookieStore::Memory,
        "file" => CookieStore::File(store.filename.ok_or_else(|| Fault::new(at, "needs a filename"))?),
        "database" => {
            let path = store.path.ok_or_else(|| Fault::new(at, "needs a path"))?;
            CookieStore::Database(path.with_extension("cookies"))
        }
        other => {
            return Err(Fault::new(&format!("{at}.type"), format!("is {other:?}, not memory, file or database")));
        }
    };
    Ok((kept, store.purge_on_startup))
}
