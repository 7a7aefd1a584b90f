//! The cookie by which a transport knows browsers again.

use std::path::PathBuf;
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
    /// Where what is known of cookies is kept beside memory. A line for each change; read at the start.
    pub file: Option<PathBuf>,
    /// The file is emptied at the start.
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
            file: None,
            purge: false,
            known_max: 100_000,
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
