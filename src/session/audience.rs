//! Who may receive a publication (specification, "Subscriber Black- and Whitelisting").

use super::identity::Identity;
use crate::wamp::value::WrongType;
use crate::wamp::{Dict, SessionId, Value};

/// The receivers that a publisher wants and those that it does not want. A list that is there and empty is a list. All
/// are sorted, and name everybody once: each member of a subscription is looked up in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Only these sessions.
    pub eligible: Option<Vec<SessionId>>,
    eligible_authid: Option<Vec<Box<str>>>,
    eligible_authrole: Option<Vec<Box<str>>>,
    exclude: Option<Vec<SessionId>>,
    exclude_authid: Option<Vec<Box<str>>>,
    exclude_authrole: Option<Vec<Box<str>>>,
}

impl Audience {
    /// Reads `PUBLISH.Options`; none if everybody may receive the publication.
    ///
    /// # Errors
    /// A list is no list, or has elements of another type.
    pub fn read(options: &Dict) -> Result<Option<Box<Audience>>, WrongType> {
        let sessions = |key| -> Result<Option<Vec<SessionId>>, WrongType> {
            let ids = options.uints(key)?;
            Ok(ids.map(|ids| sorted(ids.into_iter().map(SessionId::from_raw).collect())))
        };
        let names = |key| Ok::<_, WrongType>(options.strs(key)?.map(sorted));
        let audience = Audience {
            eligible: sessions("eligible")?,
            eligible_authid: names("eligible_authid")?,
            eligible_authrole: names("eligible_authrole")?,
            exclude: sessions("exclude")?,
            exclude_authid: names("exclude_authid")?,
            exclude_authrole: names("exclude_authrole")?,
        };
        Ok((audience != Audience::default()).then(|| Box::new(audience)))
    }

    /// The options that [`Audience::read`] makes this of.
    #[must_use]
    pub fn options(&self) -> Dict {
        let mut options = Dict::new();
        for (key, list) in [("eligible", &self.eligible), ("exclude", &self.exclude)] {
            if let Some(list) = list {
                options.push(key, list.iter().map(|id| Value::from(id.get())).collect::<Vec<_>>());
            }
        }
        let names = [
            ("eligible_authid", &self.eligible_authid),
            ("eligible_authrole", &self.eligible_authrole),
            ("exclude_authid", &self.exclude_authid),
            ("exclude_authrole", &self.exclude_authrole),
        ];
        for (key, list) in names {
            if let Some(list) = list {
                options.push(key, list.iter().map(|name| Value::from(&**name)).collect::<Vec<_>>());
            }
        }
        options
    }

    /// True if this session may receive the publication: every list that is there must allow it.
    #[must_use]
    pub fn admits(&self, session: SessionId, identity: &Identity) -> bool {
        fn has(list: &[Box<str>], name: &str) -> bool {
            list.binary_search_by(|one| (**one).cmp(name)).is_ok()
        }
        self.eligible.as_ref().is_none_or(|list| list.binary_search(&session).is_ok())
            && self.eligible_authid.as_ref().is_none_or(|list| has(list, &identity.authid))
            && self.eligible_authrole.as_ref().is_none_or(|list| has(list, &identity.authrole))
            && self.exclude.as_ref().is_none_or(|list| list.binary_search(&session).is_err())
            && self.exclude_authid.as_ref().is_none_or(|list| !has(list, &identity.authid))
            && self.exclude_authrole.as_ref().is_none_or(|list| !has(list, &identity.authrole))
    }

    /// True if an authid or authrole decides, or only some sessions may have it: what has no meaning to sessions of
    /// another router but would be kept from some of them there.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let names = [&self.eligible_authid, &self.eligible_authrole, &self.exclude_authid, &self.exclude_authrole];
        self.eligible.is_some() || names.into_iter().any(Option::is_some)
    }

    /// Roughly how many octets of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let sessions = [&self.eligible, &self.exclude].into_iter().flatten().map(|ids| size_of_val(&**ids));
        let names = [&self.eligible_authid, &self.eligible_authrole, &self.exclude_authid, &self.exclude_authrole];
        let names = names.into_iter().flatten().flatten().map(|name| size_of::<Box<str>>() + name.len());
        size_of::<Audience>() + sessions.chain(names).sum::<usize>()
    }

    /// True if sessions are named: such a publication means nothing to sessions that come later, so it is not kept
    /// in the history of events.
    #[must_use]
    pub fn names_sessions(&self) -> bool {
        self.eligible.is_some() || self.exclude.is_some()
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list.shrink_to_fit();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Value {
        Value::List(ids.iter().map(|id| Value::from(*id)).collect())
    }

    fn names(names: &[&str]) -> Value {
        Value::List(names.iter().map(|name| Value::from(*name)).collect())
    }

    fn admits(options: &Dict) -> bool {
        let audience = Audience::read(options).expect("lists of the right types");
        let me = Identity { authrole: "staff".into(), ..Identity::anonymous("me") };
        audience.is_none_or(|audience| audience.admits(SessionId::from_raw(7), &me))
    }

    #[test]
    fn every_list_must_allow() {
        let none = Dict::new;
        assert!(admits(&none()));
        assert!(admits(&none().with("eligible", ids(&[1, 7]))));
        assert!(!admits(&none().with("eligible", ids(&[1]))));
        assert!(!admits(&none().with("eligible", ids(&[]))));
        assert!(!admits(&none().with("exclude", ids(&[7]))));
        assert!(admits(&none().with("exclude", ids(&[]))));
        assert!(admits(&none().with("eligible_authid", names(&["me"])).with("eligible_authrole", names(&["staff"]))));
        assert!(!admits(&none().with("eligible_authid", names(&["me"])).with("eligible_authrole", names(&["boss"]))));
        assert!(!admits(&none().with("eligible", ids(&[7])).with("exclude", ids(&[7]))));
        assert!(!admits(&none().with("exclude_authid", names(&["me"]))));
        assert!(!admits(&none().with("exclude_authrole", names(&["staff"]))));
    }

    #[test]
    fn lists_are_in_no_order() {
        let many = ids(&[9, 3, 9, 7, 1, 9]);
        assert!(admits(&Dict::new().with("eligible", many.clone())));
        assert!(!admits(&Dict::new().with("exclude", many.clone())));
        let named = || names(&["z", "staff", "me", "a", "me"]);
        assert!(admits(&Dict::new().with("eligible_authid", named()).with("eligible_authrole", named())));
        assert!(!admits(&Dict::new().with("exclude_authid", named())));
        assert!(!admits(&Dict::new().with("exclude_authrole", named())));
        let read = Audience::read(&Dict::new().with("exclude", many).with("eligible_authid", named()));
        let once =
            Dict::new().with("exclude", ids(&[1, 3, 7, 9])).with("eligible_authid", names(&["a", "me", "staff", "z"]));
        assert_eq!(read.expect("lists").expect("an audience").options(), once);
    }

    #[test]
    fn only_excluded_sessions_mean_nothing_elsewhere() {
        let local =
            |options: Dict| Audience::read(&options).expect("lists").is_some_and(|audience| audience.is_local());
        assert!(!local(Dict::new().with("exclude", ids(&[7]))));
        for key in ["eligible_authid", "eligible_authrole", "exclude_authid", "exclude_authrole"] {
            assert!(local(Dict::new().with(key, names(&["a"]))), "{key}");
        }
        assert!(local(Dict::new().with("eligible", ids(&[7]))));
    }

    #[test]
    fn long_lists_weigh_more() {
        let weight = |options: Dict| Audience::read(&options).expect("lists").expect("an audience").weight();
        let none = weight(Dict::new().with("exclude", ids(&[])));
        assert_eq!(weight(Dict::new().with("exclude", ids(&[1, 2, 2]))), none + 16);
        assert_eq!(weight(Dict::new().with("eligible", ids(&[7]))), none + 8);
        for key in ["eligible_authid", "eligible_authrole", "exclude_authid", "exclude_authrole"] {
            assert!(weight(Dict::new().with(key, names(&[&"x".repeat(1000)]))) >= none + 1000, "{key}");
        }
    }

    #[test]
    fn lists_have_types() {
        for (key, value) in [
            ("eligible", names(&["1"])),
            ("exclude", Value::from(1)),
            ("exclude_authid", ids(&[1])),
            ("eligible_authrole", "a".into()),
        ] {
            assert!(Audience::read(&Dict::new().with(key, value)).is_err(), "{key}");
        }
        assert_eq!(Audience::read(&Dict::new().with("eligible", Value::Null)), Ok(None));
    }
}
