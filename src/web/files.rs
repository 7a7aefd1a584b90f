//! The files of a directory.

use super::conditions::{Outcome, Version, decide, liking};
use super::date;
use super::listing;
use super::mime;
use super::open::open_below;
use super::piece::Piece;
use super::request::{Headers, OWN_POLICY, POLICY, Request, slashed};
use crate::config::web::StaticConfig;
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The name that is served although it begins with a dot.
const WELL_KNOWN: &str = ".well-known";

/// Names that stand for a directory.
const INDEX: [&str; 2] = ["index.html", "index.htm"];

/// The codings of files beside a file: the end of their names, the coding, and what their tags end with.
const CODINGS: [(&str, &str, &str); 2] = [(".br", "br", "-br"), (".gz", "gzip", "-gz")];

/// A directory whose files are served.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    config: StaticConfig,
}

impl Files {
    /// The files of a directory.
    pub(super) fn new(root: PathBuf, config: StaticConfig) -> Files {
        Files { root, config }
    }

    /// Scripts of any page may read them.
    pub(super) fn is_cross_origin(&self) -> bool {
        self.config.cross_origin
    }

    /// What browsers are told that its pages may load and do.
    pub(super) fn policy(&self) -> Option<&str> {
        self.config.policy.as_deref()
    }

    /// The response to a request.
    pub(super) fn serve(&self, request: &Request) -> Piece {
        let Some((names, slash)) = self.names(request) else { return self.nothing(request) };
        let name = names.join("/");
        match self.open(&name) {
            Ok((_, known)) if known.is_dir() && !slash => request.moved(&slashed(request)),
            Ok((directory, known)) if known.is_dir() => self.directory(request, &name, &directory),
            Ok((file, known)) if known.is_file() && !slash => self.file(request, &name, (file, known), self.cache()),
            Ok(_) => self.nothing(request),
            Err(error) => self.failed(request, &error),
        }
    }

    /// The names of the file, and whether the path ends with a slash. None: there can be no such file.
    fn names<'a>(&self, request: &'a Request) -> Option<(Vec<&'a str>, bool)> {
        let mut names: Vec<&str> = request.names.iter().map(|name| &**name).collect();
        let slash = names.pop_if(|last| last.is_empty()).is_some();
        let hidden = |name: &&str| name.starts_with('.') && **name != *WELL_KNOWN && !self.config.hidden;
        (!names.iter().any(|name| name.is_empty() || hidden(name))).then_some((names, slash))
    }

    fn open(&self, name: &str) -> io::Result<(File, Metadata)> {
        let file = open_below(&self.root, name)?;
        let known = file.metadata()?;
        Ok((file, known))
    }

    fn cache(&self) -> String {
        self.config.cache.map_or(String::new(), |time| format!("public, max-age={}", time.as_secs()))
    }

    fn directory(&self, request: &Request, name: &str, directory: &File) -> Piece {
        let inside = |index: &str| if name.is_empty() { index.to_string() } else { format!("{name}/{index}") };
        for index in self.config.default_file.as_deref().into_iter().chain(INDEX) {
            let index = inside(index);
            if let Ok((file, known)) = self.open(&index)
                && known.is_file()
            {
                return self.file(request, &index, (file, known), self.cache());
            }
        }
        if !self.config.listing {
            return self.nothing(request);
        }
        let wanted = (self.config.hidden, request.listing_entries_max);
        match listing::page(&request.path, directory, wanted, |name| Some(self.open(&inside(name)).ok()?.1)) {
            Ok(page) => {
                let headers = [("Cache-Control", "no-cache"), (POLICY, OWN_POLICY)];
                request.short(200, &headers, "text/html; charset=utf-8", page)
            }
            Err(error) => self.failed(request, &error),
        }
    }

    /// What is served where there is nothing.
    fn nothing(&self, request: &Request) -> Piece {
        let fallback = self.config.fallback.as_deref();
        match fallback.and_then(|name| Some((name, self.open(name).ok().filter(|(_, known)| known.is_file())?))) {
            // It stands for paths that may get something of their own.
            Some((name, file)) => self.file(request, name, file, "no-cache".into()),
            None => request.nothing(),
        }
    }

    fn failed(&self, request: &Request, error: &io::Error) -> Piece {
        match error.kind() {
            ErrorKind::PermissionDenied => request.failure(403, "this may not be read"),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::CrossesDevices | ErrorKind::InvalidFilename => {
                self.nothing(request)
            }
            // Links in a circle, or a socket.
            _ if [Errno::LOOP, Errno::NXIO].map(|known| Some(known.raw_os_error())).contains(&error.raw_os_error()) => {
                self.nothing(request)
            }
            _ => {
                tracing::warn!(path = &*request.path, %error, "a file cannot be served");
                request.failure(500, "this cannot be read")
            }
        }
    }

    fn file(&self, request: &Request, name: &str, (file, known): (File, Metadata), cache: String) -> Piece {
        let kind = mime::of(name, &self.config.types);
        let accepted = request.wishes.accept_encoding.as_deref();
        let mut best = liking(accepted, "identity");
        let mut coded = None;
        let mut varies = false;
        for (ending, coding, tag) in CODINGS {
            let Ok((beside, its)) = self.open(&format!("{name}{ending}")) else { continue };
            if its.is_file() {
                varies = true;
                let liked = liking(accepted, coding);
                // Of those that are liked equally the first, and rather one than none.
                if liked > best || (liked == best && liked > 0 && coded.is_none()) {
                    best = liked;
                    coded = Some((beside, its, coding, tag));
                }
            }
        }
        let (file, known, coding, tag) = match coded {
            Some((beside, its, coding, tag)) => (beside, its, Some(coding), tag),
            None => (file, known, None, ""),
        };
        let version = Version {
            tag: format!("\"{:x}-{:x}-{:x}{tag}\"", known.mtime(), known.mtime_nsec(), known.len()),
            modified: Some(known.mtime()),
        };
        let modified = date::text(known.mtime());
        let mut headers: Headers<'_> = vec![("ETag", &version.tag)];
        headers.extend(modified.as_deref().map(|modified| ("Last-Modified", modified)));
        if !cache.is_empty() {
            headers.push(("Cache-Control", &cache));
        }
        if varies {
            headers.push(("Vary", "Accept-Encoding"));
        }
        headers.extend(coding.map(|coding| ("Content-Encoding", coding)));
        send(request, (kind, file, known.len()), &version, headers)
    }
}

/// Sends of an open file what the client wants of it.
fn send(
    request: &Request,
    (kind, mut file, octets): (&str, File, u64),
    version: &Version,
    mut headers: Headers<'_>,
) -> Piece {
    match decide(&request.wishes, version, octets, true) {
        Outcome::NotModified => request.bare(304, &headers),
        Outcome::Changed => request.failure(412, "this is another one by now"),
        Outcome::NoSuchPart => {
            let there = format!("bytes */{octets}");
            request.failed_with(416, &[("Content-Range", &there)], "there is no such part")
        }
        Outcome::Whole => {
            headers.push(("Accept-Ranges", "bytes"));
            request.stream(200, &headers, (kind, octets), Box::new(file))
        }
        Outcome::Part(part) => {
            if let Err(error) = file.seek(SeekFrom::Start(part.start)) {
                tracing::warn!(path = &*request.path, %error, "a file cannot be read");
                return request.failure(500, "this cannot be read");
            }
            let range = format!("bytes {}-{}/{octets}", part.start, part.end - 1);
            let headers = [&*headers, &[("Content-Range", &*range)]].concat();
            request.stream(206, &headers, (kind, part.end - part.start), Box::new(file))
        }
    }
}
