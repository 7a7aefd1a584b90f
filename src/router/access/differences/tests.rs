//! What is found, against naive evaluators and all short URIs.

use super::*;
use crate::session::role::{Actions, Disclose};
use proptest::prelude::*;

const EXACT: MatchPolicy = MatchPolicy::Exact;
const PREFIX: MatchPolicy = MatchPolicy::Prefix;
const WILDCARD: MatchPolicy = MatchPolicy::Wildcard;

/// Every URI of up to four components.
fn uris() -> Vec<String> {
    const COMPONENTS: [&str; 6] = ["a", "b", "ab", "bb", "A", "<n>"];
    let mut all: Vec<String> = COMPONENTS.map(String::from).into();
    let mut last = all.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|uri| COMPONENTS.map(|component| format!("{uri}.{component}"))).collect();
        all.extend(last.clone());
    }
    all
}

/// Here: the rules in the order in which they decide.
fn naive_here(rules: &[Permission], uri: &str) -> (Option<usize>, Verdict) {
    let mut matching: Vec<_> =
        rules.iter().enumerate().filter(|(_, rule)| rule.policy.matches(&rule.uri, uri)).collect();
    matching.sort_by_key(|(index, rule)| {
        let any: Vec<bool> = rule.uri.split('.').map(str::is_empty).collect();
        let specific = match rule.policy {
            EXACT => (0, 0, Vec::new()),
            PREFIX => (1, usize::MAX - rule.uri.len(), Vec::new()),
            WILDCARD => (2, 0, any),
        };
        (specific, *index)
    });
    let Some((first, best)) = matching.first() else { return (None, Verdict::default()) };
    let mut verdict = Verdict::default();
    let twins = matching.iter().filter(|(_, rule)| (rule.policy, &rule.uri) == (best.policy, &best.uri));
    twins.for_each(|(_, rule)| verdict.add(Verdict::of(rule)));
    (Some(*first), verdict)
}

/// There: the same as `role.py` says it, with lists instead of tries.
fn naive_there(rules: &[Permission], uri: &str) -> (Decider, Verdict) {
    let numbered = || rules.iter().enumerate();
    // Of the longest texts, the rule that came last.
    let plain = numbered()
        .filter(|(_, rule)| !rule.uri.contains("..") && uri.starts_with(&*rule.uri))
        .max_by_key(|(index, rule)| (rule.uri.len(), *index));
    let mut found = match plain {
        None => (Decider::Nobody, None),
        Some((index, rule)) if rule.policy != PREFIX && *rule.uri != *uri => (Decider::Hidden(index), None),
        Some((index, rule)) => (Decider::Rule(index), Some(rule)),
    };
    if found.1.is_none_or(|rule| rule.policy != EXACT) {
        let wild = numbered()
            .filter_map(|(index, rule)| Some((index, rule, rule.uri.find("..")?)))
            .filter(|(_, rule, end)| uri.starts_with(&rule.uri[..*end]))
            .max_by_key(|(index, _, end)| (*end, *index));
        // It reads lower case alone, and names in angle brackets as any component.
        let reads = |rule: &Permission| {
            let plain = rule.uri.replace("<n>", "");
            !plain.contains(char::is_uppercase) && WILDCARD.matches(&plain, uri)
        };
        if let Some((index, rule, _)) = wild.filter(|(_, rule, _)| reads(rule)) {
            found = (Decider::Rule(index), Some(rule));
        }
    }
    (found.0, found.1.map(Verdict::of).unwrap_or_default())
}

prop_compose! {
    fn permission()(
        policy in prop::sample::select(vec![EXACT, PREFIX, PREFIX, WILDCARD]),
        uri in "(a|b|ab|A|)(\\.(a|b|ab|<n>|)){0,3}",
        (call, publish, caller, publisher) in any::<(bool, bool, bool, bool)>(),
    ) -> Permission {
        Permission {
            uri: uri.into(),
            policy,
            allow: Actions { call, publish, ..Actions::default() },
            disclose: Disclose { caller, publisher },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_decided_otherwise_is_found(rules in prop::collection::vec(permission(), 0..7)) {
        let differences = differences(&rules);
        prop_assert!(!differences.cut);
        for uri in uris() {
            let ((here, mine), (there, theirs)) = (naive_here(&rules, &uri), naive_there(&rules, &uri));
            let pair = differences.found.iter().find(|found| (found.here, found.there) == (here, there));
            prop_assert_eq!(pair.is_some(), effects(mine) != effects(theirs), "{}: {:?} {:?}", uri, here, there);
        }
    }

    #[test]
    fn examples_are_right(rules in prop::collection::vec(permission(), 0..7)) {
        for found in differences(&rules).found {
            let (here, there) = (naive_here(&rules, &found.uri), naive_there(&rules, &found.uri));
            prop_assert_eq!((here.0, there.0), (found.here, found.there), "{}", found.uri);
            let (mine, theirs) = (effects(here.1), effects(there.1));
            prop_assert!(found.more.iter().all(|effect| mine.contains(effect) && !theirs.contains(effect)));
            prop_assert!(found.less.iter().all(|effect| theirs.contains(effect) && !mine.contains(effect)));
            prop_assert!(!found.more.is_empty() || !found.less.is_empty());
        }
    }
}

fn rule(policy: MatchPolicy, uri: &str, allow: &str) -> Permission {
    let has = |action: &str| allow.contains(action);
    let allow =
        Actions { call: has("call"), register: has("register"), publish: has("publish"), subscribe: has("subscribe") };
    Permission { uri: uri.into(), policy, allow, disclose: Disclose::default() }
}

#[test]
fn a_wildcard_beats_a_prefix_there() {
    let rules = [rule(PREFIX, "com.", "publish"), rule(WILDCARD, "com..private", "call")];
    let Differences { found, cut } = differences(&rules);
    assert!(!cut);
    let expected = Difference {
        uri: "com.x.private".replace('x', &fresh(&rules)),
        here: Some(0),
        there: Decider::Rule(1),
        more: vec!["publish"],
        less: vec!["call"],
    };
    assert_eq!(found, [expected]);
}

#[test]
fn an_exact_rule_hides_a_prefix_there() {
    let rules = [rule(PREFIX, "", "call"), rule(EXACT, "com.app", "")];
    let found = differences(&rules).found;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&*found[0].uri, found[0].here, found[0].there), ("com.appx", Some(0), Decider::Hidden(1)));
    assert_eq!((&*found[0].more, &*found[0].less), (&["call"][..], &[][..]));
}

#[test]
fn of_rules_with_one_uri_the_last_is_left_there() {
    let rules = [rule(EXACT, "com.app", "call"), rule(EXACT, "com.app", "publish")];
    let found = differences(&rules).found;
    let [difference] = &*found else { panic!("{found:?}") };
    assert_eq!((difference.here, difference.there, &*difference.more), (Some(0), Decider::Rule(1), &["call"][..]));
    let rules = [rule(PREFIX, "com.app", "call"), rule(EXACT, "com.app", "publish")];
    let found = differences(&rules).found;
    assert_eq!((&*found[0].uri, found[0].there), ("com.appx", Decider::Hidden(1)), "the prefix is gone");
}

#[test]
fn usual_files_are_the_same() {
    let all = [rule(PREFIX, "", "call register publish subscribe")];
    let parts = [
        rule(PREFIX, "com.app.", "subscribe"),
        rule(PREFIX, "com.app.admin.", "call"),
        rule(EXACT, "com.time", "call"),
        rule(WILDCARD, "org..open", "call"),
        rule(PREFIX, "com.app.user.{authid}.", "call"),
    ];
    for rules in [&all[..], &parts[..], &[]] {
        assert_eq!(differences(rules), Differences::default());
    }
}

#[test]
fn many_rules_take_no_long() {
    let mut rules: Vec<Permission> =
        (0..2000).map(|number| rule(EXACT, &format!("com.app.procedure{number}"), "call")).collect();
    assert_eq!(differences(&rules).found.len(), 0);
    rules.push(rule(PREFIX, "com.", "call"));
    assert_eq!(differences(&rules).found.len(), 2000);
    let wild = |number: usize| {
        let any = (0..16).map(|bit| if number >> bit & 1 == 1 { format!("c{number}") } else { String::new() });
        rule(WILDCARD, &any.collect::<Vec<_>>().join("."), "call")
    };
    let many: Vec<Permission> = (1..400).map(wild).collect();
    assert!(differences(&many).cut);
}
