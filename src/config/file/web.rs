//! Paths of web transports: pages, files and values.

use super::path::Path;
use super::relay::{read_http, read_script, read_websocket};
use super::schema::OWN;
use super::settings::TIME_MAX;
use super::{Fault, Read, Reader, read};
use crate::config;
use crate::config::web::{ArchiveConfig, DashboardConfig, JsonConfig, Root, Service, StaticConfig, is_plain};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The files of a directory, or of a place inside a Python package: one of the two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Static {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The directory, relative to the node directory.
    #[schemars(extend("examples" = ["../web"]))]
    directory: Option<PathBuf>,
    /// A Python package; with `resource`. It is found by asking `python3` once, at the start.
    #[schemars(extend("examples" = ["my.package"]))]
    package: Option<Box<str>>,
    /// The directory inside the package.
    #[schemars(extend("examples" = ["web"]))]
    resource: Option<Box<str>>,
    /// How the files are served.
    #[serde(default)]
    options: StaticOptions,
}

/// Options of files.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StaticOptions {
    /// Directories without a file that stands for them are listed.
    #[serde(default)]
    enable_directory_listing: bool,
    /// Content types by extension, before those that are known.
    #[serde(default)]
    #[schemars(extend("examples" = [{".x": "text/x"}]))]
    mime_types: BTreeMap<Box<str>, Box<str>>,
    /// For how long browsers keep files without asking (`Cache-Control`). Null: nothing is said about it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(extend("x-unit" = "seconds", "default" = StaticConfig::CACHE.as_secs()))]
    cache_timeout: Option<Option<u32>>,
    /// Stands for a directory, before `index.html` and `index.htm`; and is served where there is nothing, unless there is a
    /// `fallback`.
    #[schemars(extend("examples" = ["index.html"]))]
    default_file: Option<Box<str>>,
    /// Is served with status 200 where there is nothing: for applications that read the path themselves.
    #[schemars(extend("x-crossbar" = OWN, "examples" = ["index.html"]))]
    fallback: Option<Box<str>>,
    /// Scripts of all pages may read the files.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = "allows that always"))]
    allow_cross_origin: bool,
    /// Names that begin with a dot are served. `.well-known` always is.
    #[serde(default)]
    #[schemars(extend("x-crossbar" = "serves them always"))]
    hidden_files: bool,
    /// What browsers are told that pages may load and do: the header `Content-Security-Policy`. Without it, nothing is said.
    #[schemars(regex(pattern = "^ *[!-~][ -~]*$"), extend("x-crossbar" = OWN, "examples" = ["default-src 'self'"]))]
    content_security_policy: Option<Box<str>>,
}

/// A value, at its own path alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Json {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The value; a text in it that looks like a variable is that text.
    #[serde(deserialize_with = "given")]
    #[schemars(required, extend("examples" = [{"realm": "realm1"}]))]
    value: Option<Value>,
    /// How it is served.
    #[serde(default)]
    options: JsonOptions,
}

/// Options of values.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JsonOptions {
    /// Write it for people.
    prettify: bool,
    /// Scripts of all pages may read it.
    #[schemars(extend("x-crossbar" = "allows that always"))]
    allow_cross_origin: bool,
    /// Nobody should keep it.
    discourage_caching: bool,
}

/// Another address: 302.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redirect {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The address.
    #[schemars(regex(pattern = "^[!-~]+$"), extend("examples" = ["https://docs.example"]))]
    url: Box<str>,
}

/// Nothing else: a page about the router for `nodeinfo`, 404 for `none`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bare {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
}

/// The client for scripts of pages: one file, a module. Scripts of all pages may load it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-crossbar" = OWN))]
pub(super) struct Module {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
}

/// The page by which the node is managed, as a client of the realm that `corebar.management` names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-crossbar" = OWN))]
pub(super) struct Dashboard {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The path of the same transport with the WebSocket by which it comes. Without it, the first one that leads to the realm.
    #[schemars(extend("examples" = ["/ws"]))]
    websocket: Option<String>,
}

/// The files of an archive in the ZIP format.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Archive {
    /// A name for it; nothing goes by it.
    #[allow(dead_code, reason = "services go by their paths")]
    id: Option<String>,
    /// The archive, relative to the node directory.
    #[schemars(extend("examples" = ["api.zip"]))]
    archive: PathBuf,
    /// From where it is got at the start if it is missing; with `download`.
    #[schemars(regex(pattern = "^https?://"), extend("examples" = ["https://files.example/api.zip"]))]
    origin: Option<Box<str>>,
    /// Get it from `origin` if it is missing.
    #[serde(default)]
    download: bool,
    /// Keep it in memory. Has no effect: the system keeps what is read often.
    #[allow(dead_code, reason = "the system keeps what is read often")]
    #[schemars(extend("deprecated" = true))]
    cache: Option<bool>,
    /// The name that is put behind a path that ends with a slash.
    #[schemars(extend("examples" = ["index.html"]))]
    default_object: Option<Box<str>>,
    /// What is put in front of every name.
    #[schemars(extend("examples" = ["docs/"]))]
    object_prefix: Option<Box<str>>,
    /// Content types by extension, before those that are known.
    #[serde(default)]
    #[schemars(extend("examples" = [{".x": "text/x"}]))]
    mime_types: BTreeMap<Box<str>, Box<str>>,
    /// SHA-256, in hexadecimal digits, of which the archive has to have one. Empty: it may be any.
    #[serde(default)]
    #[schemars(inner(regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    hashes: Vec<Box<str>>,
    /// How its files are served.
    #[serde(default)]
    options: ArchiveOptions,
}

/// Options of archives.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveOptions {
    /// What is served where there is nothing.
    #[schemars(extend("examples" = ["404.html"]))]
    default_file: Option<Box<str>>,
    /// What browsers are told that pages may load and do: the header `Content-Security-Policy`. Without it, nothing is said.
    #[schemars(regex(pattern = "^ *[!-~][ -~]*$"), extend("x-crossbar" = OWN, "examples" = ["default-src 'self'"]))]
    content_security_policy: Option<Box<str>>,
}

/// How pages are served.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebOptions")]
pub(super) struct WebOptions {
    /// A line in the log for each request, with status and octets, and without the ids of long-poll transports, which are
    /// secrets.
    #[serde(default)]
    access_log: bool,
    /// Pages that show where a program failed. Has no effect: there are none.
    #[serde(default)]
    #[schemars(extend("deprecated" = true))]
    display_tracebacks: bool,
    /// Browsers are told to come by TLS only; with TLS only.
    #[serde(default)]
    hsts: bool,
    /// For how long they are told so.
    #[schemars(extend("x-unit" = "seconds", "default" = config::web::WebOptions::HSTS_SECONDS))]
    hsts_max_age: Option<u32>,
    /// How long a connection may be idle between two requests. Null: as `corebar.web.keep_alive_timeout`.
    #[schemars(range(min = 1, max = TIME_MAX as u64), extend("x-unit" = "seconds", "default" = null))]
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
pub(super) fn read_web_options(
    reader: &mut Reader,
    options: Value,
    secure: bool,
    at: &str,
) -> Read<config::web::WebOptions> {
    let options: WebOptions = read(options, at)?;
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
    Ok(config::web::WebOptions {
        access_log: options.access_log,
        hsts: (options.hsts && secure).then(|| options.hsts_max_age.unwrap_or(config::web::WebOptions::HSTS_SECONDS)),
        idle_timeout: idle_timeout.map(Duration::from_secs),
    })
}

/// Reads a path that is no way into the router.
pub(super) fn read_service(reader: &mut Reader, path: Path, at: &str) -> Read<(bool, Service)> {
    let elsewhere = |reader: &mut Reader, kind: &str| {
        reader.warn(at, &format!("a path of the type {kind:?} is not served"));
        (true, Service::Nothing)
    };
    let relay = |relay| (true, Service::Relay(Box::new(relay)));
    Ok(match path {
        Path::Static(files) => (true, Service::Static(read_static(reader, files, at)?)),
        Path::Archive(archive) => (true, Service::Archive(read_archive(reader, archive, at)?)),
        Path::Json(json) => (false, Service::Json(read_json(json))),
        Path::Redirect(Redirect { url, .. }) => {
            if url.is_empty() || !url.bytes().all(|octet| octet.is_ascii_graphic()) {
                return Err(Fault::new(&format!("{at}.url"), format!("is {url:?}, which is no URL")));
            }
            (true, Service::Redirect(url))
        }
        Path::Client(_) => (false, Service::Client),
        Path::NodeInfo(_) => (true, Service::NodeInfo),
        Path::Dashboard(Dashboard { websocket, .. }) => {
            let path = |name: String| path_of("/", &name, &format!("{at}.websocket")).map(Into::into);
            // The realm is not known yet.
            let websocket = websocket.map(path).transpose()?;
            (true, Service::Dashboard(DashboardConfig { websocket, ..DashboardConfig::default() }))
        }
        Path::ReverseProxy(server) => relay(read_http(server, at)?),
        Path::WebSocketReverseProxy(server) => relay(read_websocket(reader, server, at)?),
        Path::Cgi(script) => relay(read_script(reader, script, at)?),
        Path::Catalog(_) => elsewhere(reader, "catalog"),
        Path::PairMe(_) => elsewhere(reader, "pairme"),
        Path::Upload(_) => elsewhere(reader, "upload"),
        Path::Wap(_) => elsewhere(reader, "wap"),
        Path::Nothing(_)
        | Path::WebSocket(_)
        | Path::Proxied(_)
        | Path::LongPoll(_)
        | Path::Nested(_)
        | Path::Publisher(_)
        | Path::Caller(_)
        | Path::Webhook(_)
        | Path::Wsgi(_)
        | Path::Resource(_)
        | Path::Events(_) => (true, Service::Nothing),
    })
}

fn read_static(reader: &Reader, files: Static, at: &str) -> Read<StaticConfig> {
    let Static { directory, package, resource, options, .. } = files;
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

fn read_json(json: Json) -> JsonConfig {
    let Json { value, options, .. } = json;
    let value = value.unwrap_or_default();
    let text = if options.prettify { format!("{value:#}\n") } else { value.to_string() };
    let JsonOptions { allow_cross_origin, discourage_caching, .. } = options;
    JsonConfig { text: text.into(), cross_origin: allow_cross_origin, no_store: discourage_caching }
}

fn read_archive(reader: &Reader, archive: Archive, at: &str) -> Read<ArchiveConfig> {
    let Archive { archive, origin, download, default_object, object_prefix, mime_types, hashes, options, .. } = archive;
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
