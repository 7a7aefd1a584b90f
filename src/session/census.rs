//! How many sessions there are in realms that have a limit of them, and of their users.

use super::{Identity, RealmConfig, RealmIndex};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// All sessions of a realm, or those of one authid.
type Group = (RealmIndex, Option<Box<str>>);

/// Counts the sessions of all shards.
#[derive(Debug, Default)]
pub struct Census(Mutex<BTreeMap<Group, u32>>);

impl Census {
    /// Counts a session.
    ///
    /// # Errors
    /// It is one too many, for this reason.
    pub fn enter(&self, realm: RealmIndex, config: &RealmConfig, identity: &Identity) -> Result<(), &'static str> {
        if !config.counts_sessions() {
            return Ok(());
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |key: &Group| counts.get(key).copied().unwrap_or(0);
        let (all, own) = ((realm, None), (realm, Some(identity.authid.clone())));
        if config.sessions_max.is_some_and(|max| count(&all) >= max) {
            return Err("there are as many sessions in this realm as there may be");
        }
        if config.sessions_per_authid_max.is_some_and(|max| count(&own) >= max) {
            return Err("there are as many sessions of this user as there may be");
        }
        for key in [all, own] {
            *counts.entry(key).or_default() += 1;
        }
        Ok(())
    }

    /// A realm has got limits, or has none any longer: this session of it is counted from now on, or no longer.
    pub fn recount(&self, realm: RealmIndex, before: &RealmConfig, now: &RealmConfig, identity: &Identity) {
        match (before.counts_sessions(), now.counts_sessions()) {
            (false, true) => {
                let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                for key in [(realm, None), (realm, Some(identity.authid.clone()))] {
                    *counts.entry(key).or_default() += 1;
                }
            }
            (true, false) => self.leave(realm, before, identity),
            (true, true) | (false, false) => {}
        }
    }

    /// A session that was counted is over.
    pub fn leave(&self, realm: RealmIndex, config: &RealmConfig, identity: &Identity) {
        if !config.counts_sessions() {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in [(realm, None), (realm, Some(identity.authid.clone()))] {
            if let Some(count) = counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted_by_realm_and_user() {
        let census = Census::default();
        let config =
            RealmConfig { sessions_max: Some(3), sessions_per_authid_max: Some(2), ..RealmConfig::new("realm1") };
        let (joe, jane) = (Identity::anonymous("joe"), Identity::anonymous("jane"));
        let enter = |who: &Identity| census.enter(0, &config, who);
        assert!(enter(&joe).is_ok() && enter(&joe).is_ok());
        assert!(enter(&joe).is_err_and(|why| why.contains("user")));
        assert!(enter(&jane).is_ok());
        assert!(enter(&jane).is_err_and(|why| why.contains("realm")));
        assert!(census.enter(1, &config, &joe).is_ok(), "another realm");
        census.leave(0, &config, &joe);
        assert!(enter(&jane).is_ok());
        for who in [&joe, &jane, &jane] {
            census.leave(0, &config, who);
        }
        census.leave(1, &config, &joe);
        assert!(census.0.lock().expect("nobody panics").is_empty());
        let open = RealmConfig::new("realm1");
        census.recount(0, &open, &config, &joe);
        census.recount(0, &config, &config, &joe);
        assert!(enter(&joe).is_ok() && enter(&joe).is_err());
        census.leave(0, &config, &joe);
        census.recount(0, &config, &open, &joe);
        assert!(census.0.lock().expect("nobody panics").is_empty());
        assert!((0..9).all(|_| census.enter(0, &open, &joe).is_ok()));
    }
}
