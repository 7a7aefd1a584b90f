//! Content types by extension.

use std::collections::BTreeMap;

/// What is not known.
const OCTETS: &str = "application/octet-stream";

/// By extension, in order. Text that a browser shows is UTF-8.
const KNOWN: &[(&str, &str)] = &[
    (".7z", "application/x-7z-compressed"),
    (".aac", "audio/aac"),
    (".apng", "image/apng"),
    (".appcache", "text/cache-manifest"),
    (".atom", "application/atom+xml"),
    (".avif", "image/avif"),
    (".bin", OCTETS),
    (".bmp", "image/bmp"),
    (".br", "application/x-brotli"),
    (".bz2", "application/x-bzip2"),
    (".cbor", "application/cbor"),
    (".cjs", "text/javascript; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".csv", "text/csv; charset=utf-8"),
    (".eot", "application/vnd.ms-fontobject"),
    (".flac", "audio/flac"),
    (".geojson", "application/geo+json"),
    (".gif", "image/gif"),
    (".glb", "model/gltf-binary"),
    (".gltf", "model/gltf+json"),
    (".gz", "application/gzip"),
    (".htm", "text/html; charset=utf-8"),
    (".html", "text/html; charset=utf-8"),
    (".ico", "image/x-icon"),
    (".ics", "text/calendar; charset=utf-8"),
    (".jpeg", "image/jpeg"),
    (".jpg", "image/jpeg"),
    (".jgz", "text/javascript"),
    (".js", "text/javascript; charset=utf-8"),
    (".json", "application/json"),
    (".jsonld", "application/ld+json"),
    (".log", "text/plain; charset=utf-8"),
    (".m4a", "audio/mp4"),
    (".map", "application/json"),
    (".md", "text/markdown; charset=utf-8"),
    (".mid", "audio/midi"),
    (".mjs", "text/javascript; charset=utf-8"),
    (".mov", "video/quicktime"),
    (".mp3", "audio/mpeg"),
    (".mp4", "video/mp4"),
    (".mpd", "application/dash+xml"),
    (".oga", "audio/ogg"),
    (".ogg", "audio/ogg"),
    (".ogv", "video/ogg"),
    (".opus", "audio/ogg"),
    (".otf", "font/otf"),
    (".pdf", "application/pdf"),
    (".png", "image/png"),
    (".rss", "application/rss+xml"),
    (".svg", "image/svg+xml"),
    (".tar", "application/x-tar"),
    (".tif", "image/tiff"),
    (".tiff", "image/tiff"),
    (".ts", "video/mp2t"),
    (".ttf", "font/ttf"),
    (".txt", "text/plain; charset=utf-8"),
    (".vtt", "text/vtt; charset=utf-8"),
    (".wasm", "application/wasm"),
    (".wav", "audio/wav"),
    (".weba", "audio/webm"),
    (".webm", "video/webm"),
    (".webmanifest", "application/manifest+json"),
    (".webp", "image/webp"),
    (".woff", "font/woff"),
    (".woff2", "font/woff2"),
    (".xhtml", "application/xhtml+xml"),
    (".xml", "application/xml"),
    (".yaml", "application/yaml"),
    (".yml", "application/yaml"),
    (".zip", "application/zip"),
];

/// The content type of a file by its name, which `own` types come before.
#[must_use]
pub fn of<'a>(name: &str, own: &'a BTreeMap<Box<str>, Box<str>>) -> &'a str {
    let file = name.rsplit('/').next().unwrap_or_default();
    let Some(dot) = file.rfind('.') else { return OCTETS };
    let extension = file[dot..].to_lowercase();
    if let Some(kind) = own.get(&*extension) {
        return kind;
    }
    KNOWN.iter().find(|(known, _)| *known == extension).map_or(OCTETS, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_by_the_extension() {
        let own = BTreeMap::from([(".x".into(), "text/x".into()), (".svg".into(), "image/own".into())]);
        for (name, kind) in [
            ("a/index.HTML", "text/html; charset=utf-8"),
            ("a.b/c", OCTETS),
            ("a.tar.gz", "application/gzip"),
            ("a.x", "text/x"),
            ("a.svg", "image/own"),
            ("a.unknown", OCTETS),
            ("", OCTETS),
        ] {
            assert_eq!(of(name, &own), kind, "{name}");
        }
    }

    #[test]
    fn nothing_is_there_twice() {
        let mut all: Vec<&str> = KNOWN.iter().map(|(extension, _)| *extension).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), KNOWN.len());
    }
}
