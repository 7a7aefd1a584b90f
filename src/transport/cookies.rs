//! Browsers that are known again by a cookie: what is known of each, in memory and, if wanted, in a file.
//!
//! A cookie that nobody has logged in with is not kept: who comes without one, or with an unknown one, is sent a fresh
//! value, which counts when its browser logs in.

use crate::auth::peer::Known;
use crate::config::cookie::CookieConfig;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Why cookies cannot be kept.
#[derive(Debug, Error)]
#[error("cookies: {path}: {reason}")]
pub struct CookieError {
    path: String,
    reason: String,
}

/// A line of the file: what has become of a cookie.
#[derive(Serialize, Deserialize)]
struct Line {
    cookie: Box<str>,
    /// When it ends, in seconds since 1970.
    until: u64,
    /// None: it is forgotten.
    known: Option<Known>,
}

#[derive(Debug, Default)]
struct Jar {
    known: HashMap<Box<str>, (Known, u64)>,
    file: Option<File>,
}

/// The cookies of a transport.
#[derive(Debug)]
pub struct Cookies {
    config: CookieConfig,
    jar: Mutex<Jar>,
}

/// A browser as it comes.
#[derive(Debug)]
pub(super) struct Visit {
    /// The value of its cookie.
    pub(super) id: Box<str>,
    /// Who has logged in with it.
    pub(super) known: Option<Known>,
    /// `Set-Cookie`, if the value is new.
    pub(super) header: Option<String>,
}

impl Cookies {
    /// Reads what is known of cookies.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(config: &CookieConfig) -> Result<Cookies, CookieError> {
        let mut jar = Jar::default();
        if let Some(path) = &config.file {
            let wrong = |error: io::Error| CookieError { path: path.display().to_string(), reason: error.to_string() };
            if !config.purge {
                jar.known = read(path, now()).map_err(wrong)?;
            }
            jar.file = Some(rewrite(path, &jar.known).map_err(wrong)?);
        }
        Ok(Cookies { config: config.clone(), jar: Mutex::new(jar) })
    }

    /// A browser comes with these `Cookie` headers.
    ///
    /// # Errors
    /// There is no randomness for a new value.
    pub(super) fn visit(&self, headers: &[&str]) -> Result<Visit, getrandom::Error> {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = headers.iter().flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
        for (_, value) in shown.filter(|(name, _)| **name == *self.config.name) {
            if let Some((known, until)) = jar.known.get(value)
                && *until > now()
            {
                return Ok(Visit { id: value.into(), known: Some(known.clone()), header: None });
            }
        }
        drop(jar);
        let mut random = [0; 48];
        getrandom::fill(&mut random)?;
        let id = &BASE64URL_NOPAD.encode(&random)[..usize::from(self.config.length)];
        Ok(Visit { id: id.into(), known: None, header: Some(self.header(id)) })
    }

    fn header(&self, id: &str) -> String {
        let CookieConfig { name, age_max, secure, http_only, same_site, .. } = &self.config;
        let mut header = format!("{name}={id}; Max-Age={}; Path=/; SameSite={}", age_max.as_secs(), same_site.name());
        if *secure {
            header.push_str("; Secure");
        }
        if *http_only {
            header.push_str("; HttpOnly");
        }
        header
    }

    /// Somebody has logged in with a cookie. If it was somebody else before, nobody is known by it any longer: who had
    /// it first might have given it to the other.
    pub(super) fn remember(&self, id: &str, who: Known) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        if jar.known.get(id).is_some_and(|(known, _)| known.authid != who.authid) {
            jar.known.remove(id);
            return jar.note(id, 0, None);
        }
        if jar.known.len() >= self.config.known_max {
            let now = now();
            jar.known.retain(|_, (_, until)| *until > now);
            // Rather than growing without end; they have to log in again.
            if jar.known.len() >= self.config.known_max
                && let Some(oldest) = jar.known.iter().min_by_key(|(_, (_, until))| *until).map(|(id, _)| id.clone())
            {
                jar.known.remove(&oldest);
                jar.note(&oldest, 0, None);
            }
        }
        let until = now() + self.config.age_max.as_secs();
        jar.known.insert(id.into(), (who.clone(), until));
        jar.note(id, until, Some(who));
    }

    /// Nobody is known by a cookie any longer.
    pub(super) fn forget(&self, id: &str) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        if jar.known.remove(id).is_some() {
            jar.note(id, 0, None);
        }
    }
}

impl Jar {
    fn note(&mut self, cookie: &str, until: u64, known: Option<Known>) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = write(file, &Line { cookie: cookie.into(), until, known }) {
            tracing::error!(%error, "what is known of a cookie cannot be written down");
        }
    }
}

fn write(file: &mut File, line: &Line) -> io::Result<()> {
    let mut octets = serde_json::to_vec(line)?;
    octets.push(b'\n');
    file.write_all(&octets)
}

fn read(path: &Path, now: u64) -> io::Result<HashMap<Box<str>, (Known, u64)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        file => file?,
    };
    let mut known = HashMap::new();
    for line in BufReader::new(file).lines() {
        // A line that was cut off by a crash is nothing that anybody was told.
        let Ok(Line { cookie, until, known: who }) = serde_json::from_str(&line?) else { continue };
        match who.filter(|_| until > now) {
            Some(who) => drop(known.insert(cookie, (who, until))),
            None => drop(known.remove(&cookie)),
        }
    }
    Ok(known)
}

/// Writes the file anew, without what has ended, and gives it for more.
fn rewrite(path: &Path, known: &HashMap<Box<str>, (Known, u64)>) -> io::Result<File> {
    let fresh = path.with_extension("new");
    // Who can read it can be anybody in it.
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    for (cookie, (who, until)) in known {
        write(&mut file, &Line { cookie: cookie.clone(), until: *until, known: Some(who.clone()) })?;
    }
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    OpenOptions::new().append(true).open(path)
}

fn now() -> u64 {
    // A clock before 1970 is wrong anyway.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn who(authid: &str) -> Known {
        Known { authid: authid.into(), authrole: "user".into(), authmethod: "ticket".into(), realm: "realm1".into() }
    }

    #[test]
    fn who_has_logged_in_is_known_again() {
        let cookies = Cookies::open(&CookieConfig { secure: true, ..CookieConfig::default() }).expect("no file");
        let first = cookies.visit(&[]).expect("randomness");
        assert!(first.known.is_none() && first.id.len() == 24);
        let header = first.header.expect("a new cookie");
        assert!(header.ends_with("; Max-Age=86400; Path=/; SameSite=Lax; Secure; HttpOnly"), "{header}");
        let shown = format!("other=1; cbtid={}; more=2", first.id);
        let again = cookies.visit(&[&shown]).expect("randomness");
        assert!(again.known.is_none() && again.id != first.id, "nobody can choose a value");
        cookies.remember(&first.id, who("joe"));
        let again = cookies.visit(&["a=b", &shown]).expect("randomness");
        assert_eq!((&again.id, again.known, again.header), (&first.id, Some(who("joe")), None));
        cookies.remember(&first.id, who("joe"));
        cookies.remember(&first.id, who("jane"));
        assert!(cookies.visit(&[&shown]).expect("randomness").known.is_none(), "it may have been planted");
        cookies.remember(&first.id, who("jane"));
        cookies.forget(&first.id);
        assert!(cookies.visit(&[&shown]).expect("randomness").known.is_none());
    }

    #[test]
    fn the_file_outlives_the_process() {
        let path = std::env::temp_dir().join(format!("corebar-cookies-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let config = CookieConfig { file: Some(path.clone()), ..CookieConfig::default() };
        let cookies = Cookies::open(&config).expect("a file");
        for authid in ["joe", "jane", "jim"] {
            cookies.remember(authid, who(authid));
        }
        cookies.forget("jane");
        drop(cookies);
        File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"{\"cookie\":\"jo"))
            .expect("a file");
        let known = |config: &CookieConfig| {
            let cookies = Cookies::open(config).expect("a file");
            ["joe", "jane", "jim"].map(|id| cookies.visit(&[&format!("cbtid={id}")]).expect("luck").known.is_some())
        };
        assert_eq!(known(&config), [true, false, true]);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(known(&CookieConfig { purge: true, ..config.clone() }), [false; 3]);
        assert_eq!(known(&config), [false; 3]);
        let short = CookieConfig { age_max: Duration::ZERO, ..config.clone() };
        let cookies = Cookies::open(&short).expect("a file");
        cookies.remember("joe", who("joe"));
        assert_eq!(known(&config), [false; 3], "its time is over");
        let small = Cookies::open(&CookieConfig { known_max: 2, ..config }).expect("a file");
        ["a", "b", "c"].into_iter().for_each(|id| small.remember(id, who(id)));
        assert_eq!(small.jar.lock().expect("nobody panics").known.len(), 2);
        let _ = std::fs::remove_file(&path);
    }
}
