//! The cookie of a transport.

use super::kinds::kinds;
use super::{Fault, Read, Reader, asks, read};
use crate::config::cookie::{CookieConfig, CookieStore, SameSite};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// The cookie by which browsers are known again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cookie {
    /// Its name.
    #[schemars(regex(pattern = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"), extend("default" = CookieConfig::default().name))]
    name: Option<String>,
    /// Characters of its value; each is worth 6 bits. 16 are safe.
    #[schemars(range(min = 6, max = 64), extend("x-unit" = "characters", "default" = CookieConfig::default().length))]
    length: Option<u8>,
    /// For how long it is known.
    #[schemars(extend("x-unit" = "seconds", "default" = CookieConfig::default().age_max.as_secs()))]
    max_age: Option<u64>,
    /// Browsers send it over TLS only. Without it, where the endpoint has TLS.
    secure: Option<bool>,
    /// Scripts cannot read it.
    #[schemars(extend("default" = true))]
    http_strict: Option<bool>,
    /// Whether browsers send it with what pages of other sites ask for: `Strict`, never; `Lax`, if somebody follows a link;
    /// `None`, always, with `secure` only. Upper and lower case are the same.
    #[schemars(regex(pattern = "^([Ss][Tt][Rr][Ii][Cc][Tt]|[Ll][Aa][Xx]|[Nn][Oo][Nn][Ee])$"),
        extend("default" = CookieConfig::default().same_site.name()))]
    same_site: Option<String>,
    /// Where what is known of cookies is kept.
    #[schemars(with = "Option<CookieKeep>")]
    store: Option<Value>,
}

kinds! {
    /// Where what is known of cookies is kept.
    enum CookieKeep { "memory" => Memory(MemoryStore), "file" => File(FileStore), "database" => Database(DatabaseStore) }
}

/// It ends with the process.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MemoryStore {
    /// What is kept there is forgotten at the start. Has no effect in memory.
    #[serde(default)]
    #[allow(dead_code, reason = "nothing is kept")]
    #[schemars(extend("deprecated" = true))]
    purge_on_startup: bool,
}

/// In a file with a line for each change.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileStore {
    /// The file, relative to the node directory.
    #[schemars(extend("examples" = ["cookies.dat"]))]
    filename: PathBuf,
    /// What is kept there is forgotten at the start.
    #[serde(default)]
    purge_on_startup: bool,
}

/// In a file that is an embedded database.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DatabaseStore {
    /// The directory of Crossbar.io's database, relative to the node directory; the file stands beside it, as
    /// `PATH.cookies`.
    #[schemars(extend("examples" = ["cookies"]))]
    path: PathBuf,
    /// What is kept there is forgotten at the start.
    #[serde(default)]
    purge_on_startup: bool,
    /// Not needed: the file is as large as it has to be.
    #[schemars(extend("deprecated" = true))]
    maxsize: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    readonly: Option<Value>,
    /// Not needed: what is written is on the disk.
    #[allow(dead_code, reason = "what is written is on the disk")]
    #[schemars(extend("deprecated" = true))]
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
    Ok(match CookieKeep::read(value, at)? {
        CookieKeep::Memory(_) => (CookieStore::Memory, false),
        CookieKeep::File(store) => (CookieStore::File(store.filename), store.purge_on_startup),
        CookieKeep::Database(store) => {
            reader.without_effect(at, &[("readonly", asks(store.readonly.as_ref()))]);
            if asks(store.maxsize.as_ref()) {
                reader.note(&format!("{at}.maxsize"), "is not needed: the file is as large as it has to be");
            }
            (CookieStore::Database(store.path.with_extension("cookies")), store.purge_on_startup)
        }
    })
}
