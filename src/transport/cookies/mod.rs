//! Browsers that are known again by a cookie: what is known of each, in memory and, if wanted, on disk.
//!
//! A cookie that nobody has logged in with is not kept: who comes without one, or with an unknown one, is sent a fresh
//! value, which counts when its browser logs in.

mod ledger;

use crate::auth::peer::Known;
use crate::config::cookie::CookieConfig;
use data_encoding::BASE64URL_NOPAD;
use ledger::Ledger;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Why cookies cannot be kept.
#[derive(Debug, Error)]
#[error("cookies: {path}: {reason}")]
pub struct CookieError {
    path: String,
    reason: String,
}

/// Who has logged in with a cookie, and when it ends, in seconds since 1970.
type Entry = (Known, u64);

/// By cookies.
type Entries = HashMap<Box<str>, Entry>;

#[derive(Debug)]
struct Jar {
    known: Entries,
    ledger: Ledger,
}

/// The cookies of a transport.
#[derive(Debug)]
pub struct Cookies {
    config: CookieConfig,
    jar: Arc<Mutex<Jar>>,
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
        let (ledger, known) = Ledger::open(&config.store, config.purge, now())?;
        Ok(Cookies { config: config.clone(), jar: Arc::new(Mutex::new(Jar { known, ledger })) })
    }

    /// The same cookies with other rules. None: they are kept elsewhere.
    #[must_use]
    pub fn reform(&self, config: &CookieConfig) -> Option<Cookies> {
        let same = config.store == self.config.store;
        same.then(|| Cookies { config: config.clone(), jar: self.jar.clone() })
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
            return jar.ledger.note(id, None);
        }
        if jar.known.len() >= self.config.known_max {
            let now = now();
            jar.known.retain(|_, (_, until)| *until > now);
            // Rather than growing without end; they have to log in again.
            if jar.known.len() >= self.config.known_max
                && let Some(oldest) = jar.known.iter().min_by_key(|(_, (_, until))| *until).map(|(id, _)| id.clone())
            {
                jar.known.remove(&oldest);
                jar.ledger.note(&oldest, None);
            }
        }
        let until = now() + self.config.age_max.as_secs();
        jar.ledger.note(id, Some((&who, until)));
        jar.known.insert(id.into(), (who, until));
    }

    /// Nobody is known by a cookie any longer.
    pub(super) fn forget(&self, id: &str) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        if jar.known.remove(id).is_some() {
            jar.ledger.note(id, None);
        }
    }
}

fn now() -> u64 {
    // A clock before 1970 is wrong anyway.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cookie::CookieStore;
    use std::io::Write;
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
    fn files_outlive_the_process() {
        let directory = std::env::temp_dir().join(format!("corebar-cookies-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        for store in [CookieStore::File(directory.join("lines")), CookieStore::Database(directory.join("database"))] {
            let (CookieStore::File(path) | CookieStore::Database(path)) = &store else { panic!("a file") };
            let config = CookieConfig { store: store.clone(), ..CookieConfig::default() };
            let cookies = Cookies::open(&config).expect("a file");
            for authid in ["joe", "jane", "jim"] {
                cookies.remember(authid, who(authid));
            }
            cookies.forget("jane");
            drop(cookies);
            if let CookieStore::File(path) = &store {
                let cut_off = std::fs::File::options().append(true).open(path);
                cut_off.and_then(|mut file| file.write_all(b"{\"cookie\":\"jo")).expect("a file");
            }
            let known = |config: &CookieConfig| {
                let cookies = Cookies::open(config).expect("a file");
                ["joe", "jane", "jim"].map(|id| cookies.visit(&[&format!("cbtid={id}")]).expect("luck").known.is_some())
            };
            assert_eq!(known(&config), [true, false, true], "{store:?}");
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
            assert_eq!(known(&CookieConfig { purge: true, ..config.clone() }), [false; 3]);
            assert_eq!(known(&config), [false; 3]);
            let short = CookieConfig { age_max: Duration::ZERO, ..config.clone() };
            let cookies = Cookies::open(&short).expect("a file");
            cookies.remember("joe", who("joe"));
            drop(cookies);
            assert_eq!(known(&config), [false; 3], "its time is over");
            let small = Cookies::open(&CookieConfig { known_max: 2, ..config }).expect("a file");
            ["a", "b", "c"].into_iter().for_each(|id| small.remember(id, who(id)));
            assert_eq!(small.jar.lock().expect("nobody panics").known.len(), 2);
        }
        for taken in [CookieStore::File(directory.join("lines")), CookieStore::Database(directory.join("database"))] {
            let config = CookieConfig { store: taken, ..CookieConfig::default() };
            let first = Cookies::open(&config).expect("a file");
            let second = Cookies::open(&config).expect_err("a file in use").to_string();
            assert!(second.contains("database") || second.contains("lines: is in use"), "{second}");
            drop(first);
            drop(Cookies::open(&config).expect("a file that is free again"));
        }
        std::fs::write(directory.join("text"), "no database").expect("a file");
        let text = CookieStore::Database(directory.join("text"));
        assert!(Cookies::open(&CookieConfig { store: text, ..CookieConfig::default() }).is_err());
        assert_eq!(std::fs::read(directory.join("text")).expect("a file"), b"no database", "it is left as it was");
        let _ = std::fs::remove_dir_all(&directory);
    }
}
