//! The cookie by which a transport knows browsers again.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The cookie of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    /// Its name.
    pub name: Box<str>,
    /// Characters of its value, from 6 to 64; each is worth 6 bits.
    pub length: u8,
    /// For how long it is known, in whole seconds.
    pub age_max: Duration,
    /// Browsers send it over TLS only.
    pub secure: bool,
    /// Scripts cannot read it.
    pub http_only: bool,
    /// Whether browsers send it with what pages of other sites ask for.
    pub same_site: SameSite,
    /// Where what is known of cookies is kept beside memory; read at the start.
    pub store: CookieStore,
    /// What is kept there is forgotten at the start.
    pub purge: bool,
    /// Browsers that have logged in are remembered; of these so many at most.
    pub known_max: usize,
}

impl Default for CookieConfig {
    fn default() -> Self {
        CookieConfig {
            name: "cbtid".into(),
            length: 24,
            age_max: Duration::from_secs(24 * 3600),
            secure: false,
            http_only: true,
            same_site: SameSite::default(),
            store: CookieStore::Memory,
            purge: false,
            known_max: 100_000,
        }
    }
}

/// Where cookies are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CookieStore {
    /// Nowhere else: they end with the process.
    #[default]
    Memory,
    /// In a file with a line for each change. What was said in the last moments before a power failure may be lost.
    File(PathBuf),
    /// In a file that is an embedded database. What was said in the last moments before a crash may be lost.
    Database(PathBuf),
}

impl CookieStore {
    /// The file, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            CookieStore::Memory => None,
            CookieStore::File(path) | CookieStore::Database(path) => Some(path),
        }
    }

    /// The file, if there is one.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            CookieStore::Memory => None,
            CookieStore::File(path) | CookieStore::Database(path) => Some(path),
        }
    }
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// If somebody follows a link.
    #[default]
    Lax,
    /// Always; only with `secure`.
    None,
}

impl SameSite {
    /// As it stands in the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }
    }
}
