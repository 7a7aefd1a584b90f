//! The rules against a naive evaluator.

use super::*;
use proptest::prelude::*;

const COMPONENTS: [&str; 3] = ["a", "b", "ab"];
const POLICIES: [MatchPolicy; 3] = [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard];

/// Every URI of up to three components.
fn uris() -> Vec<String> {
    let mut all: Vec<String> = COMPONENTS.map(String::from).into();
    let mut last = all.clone();
    for _ in 0..2 {
        last = last.iter().flat_map(|uri| COMPONENTS.map(|component| format!("{uri}.{component}"))).collect();
        all.extend(last.clone());
    }
    all
}

fn identity(authid: &str) -> Identity {
    Identity { authrole: "user".into(), ..Identity::anonymous(authid) }
}

fn rights(permissions: &[Permission], authid: &str) -> Rights {
    let role = Arc::new(Role::new(permissions, &Hashing::new(1)));
    Rights::new(&role, &identity(authid), SessionId::from_raw(7))
}

/// The rules in the order in which they decide, as the documentation says it.
fn naive(permissions: &[Permission], authid: &str, action: Action, uri: &str) -> bool {
    let substituted = permissions.iter().filter_map(|permission| {
        let uri = if permission.is_template() {
            if authid.is_empty() || authid.contains('.') {
                return None;
            }
            permission.uri.replace("{authid}", authid)
        } else {
            permission.uri.to_string()
        };
        Some((permission.policy, uri, permission.allow))
    });
    let mut matching: Vec<_> = substituted.filter(|(policy, pattern, _)| policy.matches(pattern, uri)).collect();
    // Exact first; prefixes by falling length; wildcards by their components, named ones first.
    matching.sort_by_key(|(policy, pattern, _)| {
        let any: Vec<bool> = pattern.split('.').map(str::is_empty).collect();
        match policy {
            MatchPolicy::Exact => (0, 0, Vec::new()),
            MatchPolicy::Prefix => (1, usize::MAX - pattern.len(), Vec::new()),
            MatchPolicy::Wildcard => (2, 0, any),
        }
    });
    let Some(first) = matching.first().map(|(policy, pattern, _)| (*policy, pattern.clone())) else { return false };
    matching
        .iter()
        .filter(|(policy, pattern, _)| (*policy, pattern) == (first.0, &first.1))
        .any(|(.., a)| action.of(*a))
}

prop_compose! {
    fn permission()(
        policy in 0..3usize,
        components in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "", "{authid}"]), 1..4),
        cut in any::<bool>(),
        subscribe in any::<bool>(),
    ) -> Permission {
        let policy = POLICIES[policy];
        let mut components = components;
        if policy != MatchPolicy::Wildcard {
            components.iter_mut().filter(|component| component.is_empty()).for_each(|component| *component = "a");
        }
        let mut uri = components.join(".");
        if policy == MatchPolicy::Prefix && cut {
            uri.pop();
            if uri.contains('{') && !uri.ends_with('}') {
                uri.push('}');
            }
        }
        Permission {
            uri: uri.into(),
            policy,
            allow: Actions { subscribe, call: true, ..Actions::default() },
            disclose: Disclose::default(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rules_decide_as_documented(
        permissions in prop::collection::vec(permission(), 0..6),
        authid in prop::sample::select(vec!["a", "b", "", "a.b"]),
    ) {
        let rights = rights(&permissions, authid);
        for uri in uris() {
            let expected = naive(&permissions, authid, Action::Subscribe, &uri);
            prop_assert_eq!(rights.decide(Action::Subscribe, &uri).is_some(), expected, "{}", uri);
            prop_assert!(rights.decide(Action::Publish, &uri).is_none(), "allowed to nobody");
        }
    }

    #[test]
    fn a_pattern_is_allowed_only_if_all_that_it_matches_is(
        permissions in prop::collection::vec(permission(), 0..6),
        wanted in permission(),
        authid in prop::sample::select(vec!["a", "b"]),
    ) {
        let rights = rights(&permissions, authid);
        let pattern = wanted.uri.replace("{authid}", "b");
        if rights.allow_all(Action::Subscribe, wanted.policy, &pattern) {
            for uri in uris().iter().filter(|uri| wanted.policy.matches(&pattern, uri)) {
                prop_assert!(naive(&permissions, authid, Action::Subscribe, uri), "{} matches {}", pattern, uri);
            }
        }
    }

    /// The other way round, for what a single rule says: whoever may have everything below a prefix may have parts.
    #[test]
    fn one_rule_allows_what_it_covers(rule in permission(), wanted in permission()) {
        let mut rule = rule;
        rule.allow.subscribe = true;
        rule.uri = rule.uri.replace("{authid}", "b").into();
        let pattern = wanted.uri.replace("{authid}", "b");
        let all = uris().iter().filter(|uri| wanted.policy.matches(&pattern, uri))
            .all(|uri| rule.policy.matches(&rule.uri, uri));
        let allowed = rights(std::slice::from_ref(&rule), "x").allow_all(Action::Subscribe, wanted.policy, &pattern);
        prop_assert!(!allowed || all);
        if wanted.policy == rule.policy && *pattern == *rule.uri {
            prop_assert!(allowed);
        }
    }
}

fn allow(uri: &str, policy: MatchPolicy, subscribe: bool) -> Permission {
    let allow = Actions { subscribe, ..Actions::default() };
    Permission { uri: uri.into(), policy, allow, disclose: Disclose::default() }
}

#[test]
fn patterns_need_a_rule_that_covers_them() {
    let rights = rights(
        &[
            allow("com.app.", MatchPolicy::Prefix, true),
            allow("com.app.secret", MatchPolicy::Exact, false),
            allow("com.app.closed.", MatchPolicy::Prefix, false),
            allow("org..open", MatchPolicy::Wildcard, true),
        ],
        "joe",
    );
    let may = |policy, uri: &str| rights.allow_all(Action::Subscribe, policy, uri);
    assert!(may(MatchPolicy::Prefix, "com.app.news."));
    assert!(!may(MatchPolicy::Prefix, "com.app."), "a part of it is secret");
    assert!(!may(MatchPolicy::Prefix, "com."));
    assert!(!may(MatchPolicy::Prefix, ""));
    assert!(!may(MatchPolicy::Prefix, "com.app.closed.x"));
    assert!(may(MatchPolicy::Wildcard, "com.app.news."));
    assert!(!may(MatchPolicy::Wildcard, "com.app."), "secret is one component");
    assert!(!may(MatchPolicy::Wildcard, "com.app..x"), "the first might be closed");
    assert!(may(MatchPolicy::Wildcard, "org..open") && may(MatchPolicy::Wildcard, "org.x.open"));
    assert!(!may(MatchPolicy::Wildcard, "org..") && !may(MatchPolicy::Prefix, "org.x."));
}

#[test]
fn a_role_that_is_not_there_may_do_nothing() {
    let role = |name: &str| crate::session::RoleConfig { name: name.into(), access: Access::All };
    let closed = RealmConfig { roles: Some(vec![role("other")]), ..RealmConfig::new("realm1") };
    let roles = Roles::new(&[closed, RealmConfig::new("realm2")], &Hashing::new(1));
    let power = |realm| roles.power(realm, &identity("joe"), SessionId::from_raw(7));
    assert!(matches!(power(0), Power::Rules(rights) if rights.decide(Action::Call, "a").is_none()));
    assert!(matches!(power(1), Power::All), "a realm without roles is open");
}
