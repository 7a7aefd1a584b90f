//! Where a message has been, by its `forward_for`: each link that passes it on adds who has sent it and the router where that was.

use crate::wamp::link::{FORWARD_FOR, ROUTER};
use crate::wamp::{Dict, Value};
use std::collections::BTreeSet;

/// Why a message is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has been there already, or it has come far enough.
    Loop,
    /// The router that it comes from has a link of its own to where it would go.
    Direct,
    /// It has come over something that does not say by which routers, as links of Crossbar.io.
    Foreign,
}

/// One end of a link.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// The router.
    pub(super) router: Box<str>,
    /// The session of the link there, in the place of those who are not disclosed.
    pub(super) own: Dict,
}

/// Who has sent a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sender {
    Publisher,
    Caller,
}

/// What `forward_for` says beyond the link. `direct` are the routers that have a link of their own to the other end.
pub(super) fn extend(
    details: &Dict,
    sender: Sender,
    here: &End,
    there: &str,
    direct: &BTreeSet<Box<str>>,
    max: usize,
) -> Result<Vec<Value>, Stop> {
    let mut hops = match details.get(FORWARD_FOR) {
        Some(Value::List(hops)) => hops.clone(),
        _ => Vec::new(),
    };
    let router = |hop: &Value| hop.as_dict().and_then(|hop| hop.str(ROUTER).ok().flatten()).map(Box::<str>::from);
    let been: Vec<Option<Box<str>>> = hops.iter().map(router).collect();
    if been.iter().any(Option::is_none) {
        return Err(Stop::Foreign);
    }
    if hops.len() >= max || been.iter().flatten().any(|router| **router == *there || *router == here.router) {
        return Err(Stop::Loop);
    }
    if been.last().into_iter().flatten().any(|router| direct.contains(router)) {
        return Err(Stop::Direct);
    }
    let keys = match sender {
        Sender::Publisher => ["publisher", "publisher_authid", "publisher_authrole"],
        Sender::Caller => ["caller", "caller_authid", "caller_authrole"],
    };
    let disclosed = (details.uint(keys[0]), details.str(keys[1]), details.str(keys[2]));
    let hop = match disclosed {
        (Ok(Some(session)), Ok(Some(authid)), Ok(Some(authrole))) => {
            Dict::new().with("session", session).with("authid", authid).with("authrole", authrole)
        }
        _ => here.own.clone(),
    };
    hops.push(hop.with(ROUTER, &*here.router).into());
    Ok(hops)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(router: &str) -> End {
        End { router: router.into(), own: Dict::new().with("session", 1).with("authid", "link").with("authrole", "r") }
    }

    fn passed(details: &Dict, from: &str, to: &str, direct: &[&str]) -> Result<Dict, Stop> {
        let direct = direct.iter().map(|name| Box::from(*name)).collect();
        let hops = extend(details, Sender::Publisher, &here(from), to, &direct, 3)?;
        Ok(Dict::new().with(FORWARD_FOR, hops))
    }

    #[test]
    fn a_chain_is_passed_and_a_ring_is_not() {
        let first = passed(&Dict::new(), "a", "b", &[]).expect("passed");
        let second = passed(&first, "b", "c", &[]).expect("passed");
        assert_eq!(passed(&second, "c", "a", &[]), Err(Stop::Loop));
        assert_eq!(passed(&second, "b", "d", &[]), Err(Stop::Loop));
        let third = passed(&second, "c", "d", &[]).expect("passed");
        assert_eq!(passed(&third, "d", "e", &[]), Err(Stop::Loop), "too far");
    }

    #[test]
    fn what_has_a_way_of_its_own_is_not_passed() {
        let first = passed(&Dict::new(), "a", "b", &["a", "b"]).expect("nobody else brings it");
        assert_eq!(passed(&first, "b", "c", &["a"]), Err(Stop::Direct));
        assert!(passed(&first, "b", "c", &["b", "x"]).is_ok());
    }

    #[test]
    fn senders_are_named_if_they_are_disclosed() {
        let who = Dict::new().with("publisher", 7).with("publisher_authid", "u").with("publisher_authrole", "s");
        let hops = extend(&who, Sender::Publisher, &here("a"), "b", &BTreeSet::new(), 1).expect("passed");
        let hop = Dict::new().with("session", 7).with("authid", "u").with("authrole", "s").with(ROUTER, "a");
        assert_eq!(hops, [hop.into()]);
        let hops = extend(&who, Sender::Caller, &here("a"), "b", &BTreeSet::new(), 1).expect("passed");
        assert_eq!(hops, [here("a").own.with(ROUTER, "a").into()]);
    }

    #[test]
    fn what_comes_from_other_links_goes_no_further() {
        let foreign = Dict::new().with(FORWARD_FOR, vec![here("a").own.into()]);
        assert_eq!(passed(&foreign, "a", "b", &[]), Err(Stop::Foreign));
    }
}
