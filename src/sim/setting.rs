//! What the realm of a run is like.

use super::content;
use crate::session::{Disclosure, HistoryRule, HistoryStore, RealmConfig, TrustRule};
use crate::wamp::MatchPolicy;
use fastrand::Rng;
use std::path::PathBuf;

/// What the seed decides of a realm, and what happens to its router.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Setting {
    /// Clients use the Advanced Profile.
    pub(super) advanced: bool,
    pub(super) disclosure: Disclosure,
    /// There are trust levels.
    pub(super) trust: bool,
    /// The history is on disk, and whether publishers wait for that.
    pub(super) disk: Option<bool>,
    /// The disk fails now and then.
    pub(super) failing: bool,
    /// The step in which the process dies; another one takes its place.
    pub(super) crash: Option<u32>,
}

impl Setting {
    /// A setting of the Advanced Profile.
    pub(super) fn advanced(rng: &mut Rng, steps: u32) -> Setting {
        let disclosure = match rng.u8(..) {
            0..40 => Disclosure::Forced,
            40..80 => Disclosure::Denied,
            _ => Disclosure::OnRequest,
        };
        let disk = (rng.u8(..) < 96).then(|| rng.u8(..) < 192);
        let failing = disk.is_some() && rng.u8(..) < 64;
        // Late, since everybody has to come anew.
        let crash = (disk.is_some() && rng.bool()).then(|| rng.u32(steps / 3..=steps * 2 / 3));
        Setting { advanced: true, disclosure, trust: rng.bool(), disk, failing, crash }
    }

    /// The realm as it is configured.
    pub(super) fn realm(&self) -> RealmConfig {
        let history = vec![HistoryRule::new(content::HISTORY.1, content::HISTORY.0)];
        let rule = |(policy, uri, role, level): (MatchPolicy, &str, Option<&str>, u32)| TrustRule {
            uri: uri.into(),
            policy,
            authrole: role.map(Into::into),
            level,
        };
        let trust_levels = if self.trust { content::TRUST.into_iter().map(rule).collect() } else { Vec::new() };
        let history_store = match self.disk {
            None => HistoryStore::Memory,
            Some(sync) => HistoryStore::Disk { path: PathBuf::new(), sync },
        };
        let disclosure = self.disclosure;
        RealmConfig { strict: true, history, history_store, disclosure, trust_levels, ..RealmConfig::new("realm1") }
    }
}

/// Another client, as far as everybody knows it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) session: u64,
    pub(super) authid: String,
}
