//! The files of an archive in the ZIP format, read from where they stand in it.

use super::conditions::{Outcome, Version, decide};
use super::mime;
use super::piece::Piece;
use super::request::{Request, slashed};
use crate::config::web::ArchiveConfig;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use zip::{CompressionMethod, ZipArchive};

/// An archive whose directory has been read. The file stays open: what is put in its place later is another one.
#[derive(Debug)]
pub struct Archive {
    config: ArchiveConfig,
    file: Arc<File>,
    entries: HashMap<Box<str>, Entry>,
}

/// Where a file stands in the archive.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u64,
    packed: u64,
    octets: u64,
    checksum: u32,
    deflated: bool,
}

/// How to get an archive that is missing.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// Octets that it may have.
    pub octets_max: u64,
    /// How long it may take.
    pub timeout: Duration,
}

impl Archive {
    /// Opens an archive; gets it if it is missing, and may be got.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub(super) fn open(config: &ArchiveConfig, download: Option<Download>) -> Result<Archive, String> {
        if !config.file.exists() {
            let (Some(origin), Some(download)) = (&config.origin, download) else {
                return Err("is missing".into());
            };
            get(origin, &config.file, download).map_err(|error| format!("cannot be got from {origin}: {error}"))?;
        }
        let mut file = File::open(&config.file).map_err(|error| error.to_string())?;
        if !config.hashes.is_empty() {
            let hash = hash(&mut file).map_err(|error| error.to_string())?;
            if !config.hashes.iter().any(|known| **known == *hash) {
                return Err(format!("is not what it should be: its SHA-256 is {hash}"));
            }
        }
        let shared = Arc::new(file.try_clone().map_err(|error| error.to_string())?);
        let entries = entries(file).map_err(|error| error.to_string())?;
        Ok(Archive { config: config.clone(), file: shared, entries })
    }

    /// What browsers are told that its pages may load and do.
    pub(super) fn policy(&self) -> Option<&str> {
        self.config.policy.as_deref()
    }

    /// The response to a request.
    pub(super) fn serve(&self, request: &Request) -> Piece {
        let mut name = request.names.join("/");
        if name.is_empty() && !request.path.ends_with('/') {
            // What its pages name stands below it.
            return request.moved(&slashed(request));
        }
        if (name.is_empty() || name.ends_with('/'))
            && let Some(object) = &self.config.default_object
        {
            name.push_str(object);
        }
        if let Some((name, entry)) = self.find(&name) {
            return self.file(request, &name, entry);
        }
        if let Some(object) = &self.config.default_object
            && !name.ends_with('/')
            && self.find(&format!("{name}/{object}")).is_some()
        {
            return request.moved(&slashed(request));
        }
        match self.config.fallback.as_deref().and_then(|fallback| self.find(fallback)) {
            Some((name, entry)) => self.file(request, &name, entry),
            None => request.nothing(),
        }
    }

    fn find(&self, name: &str) -> Option<(String, Entry)> {
        let name = match self.config.prefix.as_deref().map(|prefix| prefix.trim_end_matches('/')) {
            None | Some("") => name.to_string(),
            Some(prefix) => format!("{prefix}/{name}"),
        };
        let entry = *self.entries.get(&*name)?;
        Some((name, entry))
    }

    fn file(&self, request: &Request, name: &str, entry: Entry) -> Piece {
        let kind = mime::of(name, &self.config.types);
        let version = Version { tag: format!("\"{:x}-{:x}\"", entry.checksum, entry.octets), modified: None };
        let mut headers = vec![("ETag", &*version.tag), ("Cache-Control", "no-cache")];
        // What is packed can only be read from its beginning.
        match decide(&request.wishes, &version, entry.octets, !entry.deflated) {
            Outcome::NotModified => request.bare(304, &headers),
            Outcome::Changed => request.failure(412, "this is another one by now"),
            Outcome::NoSuchPart => {
                let there = format!("bytes */{}", entry.octets);
                request.failed_with(416, &[("Content-Range", &there)], "there is no such part")
            }
            Outcome::Whole => request.stream(200, &headers, (kind, entry.octets), self.source(entry)),
            Outcome::Part(part) => {
                let range = format!("bytes {}-{}/{}", part.start, part.end - 1, entry.octets);
                headers.push(("Content-Range", &range));
                let source = At { file: self.file.clone(), at: entry.start + part.start, left: part.end - part.start };
                request.stream(206, &headers, (kind, part.end - part.start), Box::new(source))
            }
        }
    }

    fn source(&self, entry: Entry) -> Box<dyn Read + Send> {
        let Entry { start, packed, octets, checksum, deflated } = entry;
        let at = At { file: self.file.clone(), at: start, left: packed };
        let source: Box<dyn Read + Send> = if deflated { Box::new(DeflateDecoder::new(at)) } else { Box::new(at) };
        Box::new(Checked { source, left: octets, checksum, crc: Crc::new() })
    }
}

/// Reads the directory of an archive.
fn entries(file: File) -> zip::result::ZipResult<HashMap<Box<str>, Entry>> {
    let mut archive = ZipArchive::new(file)?;
    let mut entries = HashMap::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index)?;
        let name: Box<str> = member.name()?.into();
        let deflated = match member.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => {
                tracing::warn!(name = &*name, ?other, "a file of an archive is packed in a way that is not understood");
                continue;
            }
        };
        let Some(start) = member.data_start() else { continue };
        if member.is_dir() || member.encrypted() {
            continue;
        }
        let (packed, octets, checksum) = (member.compressed_size(), member.size(), member.crc32());
        entries.insert(name, Entry { start, packed, octets, checksum, deflated });
    }
    Ok(entries)
}

fn hash(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let octets = file.read(&mut buffer)?;
        if octets == 0 {
            return Ok(data_encoding::HEXLOWER.encode(&hash.finalize()));
        }
        hash.update(&buffer[..octets]);
    }
}

/// Gets an archive; it is there whole or not at all.
fn get(origin: &str, file: &Path, download: Download) -> Result<(), String> {
    tracing::info!(origin, file = %file.display(), "an archive is missing, and is got");
    let agent: Agent = Agent::config_builder().timeout_global(Some(download.timeout)).build().into();
    let mut response = agent.get(origin).call().map_err(|error| error.to_string())?;
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let body = response.body_mut().with_config().limit(download.octets_max).reader();
    let got = File::create(&part).and_then(|mut target| {
        io::copy(&mut { body }, &mut target)?;
        target.sync_all()?;
        fs::rename(&part, file)
    });
    got.map_err(|error| {
        // What came of it is of no use to anybody.
        let _ = fs::remove_file(&part);
        error.to_string()
    })
}

/// Reads a file from somewhere on, beside others that read it elsewhere.
struct At {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let octets = self.file.read_at(&mut buffer[..room], self.at)?;
        self.at += octets as u64;
        self.left -= octets as u64;
        Ok(octets)
    }
}

/// Reads so many octets, and fails if they are not what they should be.
struct Checked {
    source: Box<dyn Read + Send>,
    left: u64,
    checksum: u32,
    crc: Crc,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let octets = self.source.read(&mut buffer[..room])?;
        self.crc.update(&buffer[..octets]);
        self.left -= octets as u64;
        if self.left == 0 && octets > 0 && self.crc.sum() != self.checksum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file of an archive is damaged"));
        }
        Ok(octets)
    }
}
