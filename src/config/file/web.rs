//! Paths of web transports: pages, files and values.

use super::relay::read_relay;
use super::settings::TIME_MAX;
use super::{Fault, Read, Reader, read};
use crate::config::web::{ArchiveConfig, JsonConfig, Root, Service, StaticConfig, WebOptions, is_plain};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What Crossbar.io serves besides.
const ELSEWHERE: [&str; 7] = ["catalog", "pairme", "resource", "upload", "wap", "websocket-proxy", "wsgi"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Static {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    directory: Option<PathBuf>,
    package: Option<Box<str>>,
    resource: Option<Box<str>>,
    #[serde(default)]
    options: StaticOptions,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticOptions {
    #[serde(default)]
    enable_directory_listing: bool,
    #[serde(default)]
    mime_types: BTreeMap<Box<str>, Box<str>>,
    /// In seconds. Not there, null, or a number.
    #[serde(default, deserialize_with = "given")]
    cache_timeout: Option<Option<u32>>,
    default_file: Option<Box<str>>,
    fallback: Option<Box<str>>,
    #[serde(default)]
    allow_cross_origin: bool,
    #[serde(default)]
    hidden_files: bool,
    content_security_policy: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    #[serde(deserialize_with = "given")]
    value: Option<Value>,
    #[serde(default)]
    options: JsonOptions,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonOptions {
    #[serde(default)]
    prettify: bool,
    #[serde(default)]
    allow_cross_origin: bool,
    #[serde(default)]
    discourage_caching: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redirect {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    url: Box<str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Archive {
    #[allow(dead_code, reason = "has been read already")]
    r#type: String,
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    archive: PathBuf,
    origin: Option<Box<str>>,
    #[serde(default)]
    download: bool,
    #[allow(dead_code, reason = "the system keeps what is read often")]
    cache: Option<bool>,
    default_object: Option<Box<str>>,
    object_prefix: Option<Box<str>>,
    #[serde(default)]
    mime_types: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    hashes: Vec<Box<str>>,
    #[serde(default)]
    options: ArchiveOptions,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveOptions {
    default_file: Option<Box<str>>,
    content_security_policy: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    access_log: bool,
    #[serde(default)]
    display_tracebacks: bool,
    #[serde(default)]
    hsts: bool,
    hsts_max_age: Option<u32>,
    client_timeout: Option<u32>,
}

/// Tells what is null from what is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The whole path of a service with this name, inside another one.
pub(super) fn path_of(base: &str, name: &str, at: &str) -> Read<String> {
    let inner = name.trim_matches('/');
    let path = match (base, inner) {
        (base, "") => base.to_string(),
        ("/", inner) => format!("/{inner}"),
        (base, inner) => format!("{base}/{inner}"),
    };
    if !is_plain(&path) {
        return Err(Fault::new(at, format!("{name:?} is no path: letters, digits, `-._~`, and `/` between names")));
    }
    Ok(path)
}

/// Reads the options of a web transport.
pub(super) fn read_web_options(reader: &mut Reader, options: Value, secure: bool, at: &str) -> Read<WebOptions> {
    let options: Options = read(options, at)?;
    if options.display_tracebacks {
        reader.warn(&format!("{at}.display_tracebacks"), "has no effect: there are none");
    }
    if options.hsts && !secure {
        reader.warn(&format!("{at}.hsts"), "has no effect without TLS");
    }
    if options.hsts_max_age.is_some() && !options.hsts {
        reader.warn(&format!("{at}.hsts_max_age"), "has no effect without hsts");
    }
    let idle_timeout = options.client_timeout.map(u64::from);
    if idle_timeout.is_some_and(|seconds| !(1..=TIME_MAX as u64).contains(&seconds)) {
        let text = format!("is not a number of seconds from 1 to {TIME_MAX}, or null");
        return Err(Fault::new(&format!("{at}.client_timeout"), text));
    }
    Ok(WebOptions {
        access_log: options.access_log,
        hsts: (options.hsts && secure).then(|| options.hsts_max_age.unwrap_or(WebOptions::HSTS_SECONDS)),
        idle_timeout: idle_timeout.map(Duration::from_secs),
    })
}

/// Reads a path that is no way into the router.
pub(super) fn read_service(reader: &mut Reader, kind: &str, value: Value, at: &str) -> Read<(bool, Service)> {
    Ok(match kind {
        "static" => (true, Service::Static(read_static(reader, value, at)?)),
        "archive" => (true, Service::Archive(read_archive(reader, value, at)?)),
        "json" => (false, Service::Json(read_json(value, at)?)),
        "redirect" => {
            let Redirect { url, .. } = read(value, at)?;
            if url.is_empty() || !url.bytes().all(|octet| octet.is_ascii_graphic()) {
                return Err(Fault::new(&format!("{at}.url"), format!("is {url:?}, which is no URL")));
            }
            (true, Service::Redirect(url))
        }
        "nodeinfo" => {
            let Bare { .. } = read(value, at)?;
            (true, Service::NodeInfo)
        }
        "none" => {
            let Bare { .. } = read(value, at)?;
            (true, Service::Nothing)
        }
        "reverseproxy" | "websocket-reverseproxy" | "cgi" => {
            (true, Service::Relay(Box::new(read_relay(reader, kind, value, at)?)))
        }
        other if ELSEWHERE.contains(&other) => {
            let instead = match other {
                "wsgi" | "resource" => {
                    ": have the application run as a guest that serves HTTP, and a path of the type \"reverseproxy\" lead to it"
                }
                _ => "",
            };
            reader.warn(at, &format!("a path of the type {other:?} is not served{instead}"));
            (true, Service::Nothing)
        }
        other => return Err(Fault::new(&format!("{at}.type"), format!("is {other:?}, which is no type of a path"))),
    })
}

fn read_static(reader: &Reader, value: Value, at: &str) -> Read<StaticConfig> {
    let Static { directory, package, resource, options, .. } = read(value, at)?;
    let root = match (directory, package, resource) {
        (Some(directory), None, None) => Root::Directory(reader.directory.join(directory)),
        (None, Some(package), Some(resource)) => {
            let plain = |c: char| c.is_alphanumeric() || "._".contains(c);
            if package.is_empty() || package.starts_with('.') || !package.chars().all(plain) {
                let text = format!("is {package:?}, which is no name of a Python package");
                return Err(Fault::new(&format!("{at}.package"), text));
            }
            Root::Package { package, resource }
        }
        _ => return Err(Fault::new(at, "needs either a `directory` or a `package` and a `resource`")),
    };
    let named = [("default_file", &options.default_file), ("fallback", &options.fallback)];
    if let Some((key, _)) = named.into_iter().find(|(_, name)| name.as_deref().is_some_and(|name| !is_inside(name))) {
        return Err(Fault::new(&format!("{at}.options.{key}"), "has to be the path of a file inside the directory"));
    }
    let types = types(options.mime_types, &format!("{at}.options.mime_types"))?;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Ok(StaticConfig {
        root,
        // As Crossbar.io has it: the file is also what is served where there is nothing.
        fallback: options.fallback.or_else(|| options.default_file.clone()),
        default_file: options.default_file,
        listing: options.enable_directory_listing,
        hidden: options.hidden_files,
        types,
        cache: options.cache_timeout.map_or(Some(StaticConfig::CACHE), |timeout| timeout.map(seconds)),
        cross_origin: options.allow_cross_origin,
        policy: policy(options.content_security_policy, at)?,
    })
}

/// What is said in `Content-Security-Policy`: directives, and no second header.
fn policy(policy: Option<Box<str>>, at: &str) -> Read<Option<Box<str>>> {
    let plain = |policy: &str| !policy.trim().is_empty() && policy.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    match policy {
        Some(policy) if !plain(&policy) => {
            let text = format!("is {policy:?}, which is no policy");
            Err(Fault::new(&format!("{at}.options.content_security_policy"), text))
        }
        policy => Ok(policy),
    }
}

/// True for relative paths that lead to something below.
fn is_inside(name: &str) -> bool {
    name.split('/').all(|part| !["", ".", ".."].contains(&part))
}

fn types(types: BTreeMap<Box<str>, Box<str>>, at: &str) -> Read<BTreeMap<Box<str>, Box<str>>> {
    for (extension, kind) in &types {
        let at = format!("{at}.{extension}");
        if !extension.starts_with('.') {
            return Err(Fault::new(&at, "is no extension: it has to begin with a dot"));
        }
        if !kind.contains('/') || !kind.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
            return Err(Fault::new(&at, format!("is {kind:?}, which is no content type")));
        }
    }
    Ok(types.into_iter().map(|(extension, kind)| (extension.to_lowercase().into(), kind)).collect())
}

fn read_json(value: Value, at: &str) -> Read<JsonConfig> {
    let Json { value, options, .. } = read(value, at)?;
    let value = value.unwrap_or_default();
    let text = if options.prettify { format!("{value:#}\n") } else { value.to_string() };
    let JsonOptions { allow_cross_origin, discourage_caching, .. } = options;
    Ok(JsonConfig { text: text.into(), cross_origin: allow_cross_origin, no_store: discourage_caching })
}

fn read_archive(reader: &Reader, value: Value, at: &str) -> Read<ArchiveConfig> {
    let Archive { archive, origin, download, default_object, object_prefix, mime_types, hashes, options, .. } =
        read(value, at)?;
    if let Some(origin) = &origin
        && !["http://", "https://"].iter().any(|scheme| origin.starts_with(scheme))
    {
        return Err(Fault::new(&format!("{at}.origin"), format!("is {origin:?}, which is no URL of HTTP")));
    }
    if download && origin.is_none() {
        return Err(Fault::new(&format!("{at}.download"), "needs an `origin`"));
    }
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|octet| octet.is_ascii_hexdigit());
    if let Some(hash) = hashes.iter().find(|hash| !is_hash(hash)) {
        return Err(Fault::new(&format!("{at}.hashes"), format!("{hash:?} is no SHA-256 in hexadecimal digits")));
    }
    Ok(ArchiveConfig {
        file: reader.directory.join(archive),
        origin: origin.filter(|_| download),
        default_object,
        prefix: object_prefix,
        fallback: options.default_file,
        policy: policy(options.content_security_policy, at)?,
        types: types(mime_types, &format!("{at}.mime_types"))?,
        hashes: hashes.into_iter().map(|hash| hash.to_ascii_lowercase().into()).collect(),
    })
}
