//! Where the rules of a role decide otherwise than they did in Crossbar.io.
//!
//! All URIs are looked at, as far as the rules tell them apart: URIs are put together from the components of the rules
//! and from some that stand in none, and of those that go on in the same way one is followed.

use super::crossbar::{CrossbarRole, Decider, is_any};
use super::{Role, Verdict};
use crate::router::map::Hashing;
use crate::session::Permission;
use crate::wamp::{MatchPolicy, UriRules};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Rules that decide otherwise than they did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// A URI about which they do, one of the shortest.
    pub uri: String,
    /// The position of the rule that decides here; none: no rule does, so nothing is allowed.
    pub here: Option<usize>,
    /// What decides in Crossbar.io.
    pub there: Decider,
    /// What is allowed or disclosed here and not there.
    pub more: Vec<&'static str>,
    /// What is allowed or disclosed there and not here.
    pub less: Vec<&'static str>,
}

/// What has been found out about a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// One for each pair of what decides here and what decides there.
    pub found: Vec<Difference>,
    /// There may be more, for the rules make too many kinds of URIs to look at all of them.
    pub cut: bool,
}

/// So many URIs are looked at.
const URIS_MAX: usize = 50_000;

/// What the rules decide otherwise than they did in Crossbar.io. Rules with variables, which that does not know, are
/// left out.
#[must_use]
pub fn differences(permissions: &[Permission]) -> Differences {
    let mut search = Search::new(permissions);
    let start = State { base: String::new(), heads: (0..search.heads.len()).collect(), wild: search.all_wild() };
    let mut queue = VecDeque::from([search.settled(start)]);
    let mut seen = HashSet::new();
    let mut looked_at = 0;
    while let Some((state, depth, longest)) = queue.pop_front() {
        let open = !state.heads.is_empty() || !state.wild.is_empty();
        for component in search.components(&state, depth) {
            if looked_at == URIS_MAX {
                return Differences { found: search.found(), cut: true };
            }
            looked_at += 1;
            let uri = format!("{}{component}", state.base);
            search.look_at(&uri);
            if open {
                let next = search.follow(&state, depth, &component, uri, longest);
                let kind = (next.0.heads.clone(), next.0.wild.clone(), next.1, next.2);
                if seen.insert(kind) {
                    queue.push_back(next);
                }
            }
        }
    }
    Differences { found: search.found(), cut: false }
}

/// A text by which rules are found in one way or the other.
#[derive(Debug)]
struct Head<'a> {
    text: &'a str,
    /// The text of a prefix rule; found in Crossbar.io among rules without two dots in a row; among those with them.
    kinds: [bool; 3],
}

/// For each kind, the longest text that a URI begins with.
type Longest = [Option<usize>; 3];

/// The beginning of a URI up to a dot, or nothing yet.
#[derive(Debug)]
struct State {
    base: String,
    /// The texts that it may still become.
    heads: Vec<usize>,
    /// The wildcards that it may still match.
    wild: Vec<usize>,
}

#[derive(Debug)]
struct Search<'a> {
    permissions: &'a [Permission],
    here: Role,
    there: CrossbarRole<'a>,
    /// The first rule of each pattern.
    positions: BTreeMap<(MatchPolicy, &'a str), usize>,
    heads: Vec<Head<'a>>,
    /// Components of patterns, and whether Crossbar.io reads them.
    wild: Vec<(Vec<&'a str>, bool)>,
    /// Begins with a character that no rule has.
    fresh: String,
    found: BTreeMap<(Decider, Option<usize>), Option<Difference>>,
    order: Vec<(Decider, Option<usize>)>,
}

impl<'a> Search<'a> {
    fn new(permissions: &'a [Permission]) -> Search<'a> {
        let counts = |rule: &Permission| !rule.is_template();
        let plain: Vec<Permission> = permissions.iter().filter(|rule| counts(rule)).cloned().collect();
        let there = CrossbarRole::new(permissions, counts);
        let mut positions = BTreeMap::new();
        let mut texts: BTreeSet<&str> = there.heads().collect();
        let mut wild = Vec::new();
        for (index, rule) in permissions.iter().enumerate().filter(|(_, rule)| counts(rule)) {
            positions.entry((rule.policy, &*rule.uri)).or_insert(index);
            texts.insert(&rule.uri);
            let components: Vec<&str> = rule.uri.split('.').collect();
            if rule.uri.contains("..") {
                wild.push((components.clone(), true));
            }
            if rule.policy == MatchPolicy::Wildcard {
                wild.push((components, false));
            }
        }
        let kinds = |text: &str| {
            let (plain, wild) = there.finds(text);
            [positions.contains_key(&(MatchPolicy::Prefix, text)), plain, wild]
        };
        let heads = texts.into_iter().map(|text| Head { text, kinds: kinds(text) }).collect();
        Search {
            permissions,
            here: Role::new(&plain, &Hashing::new(0)),
            fresh: fresh(permissions),
            there,
            positions,
            heads,
            wild,
            found: BTreeMap::new(),
            order: Vec::new(),
        }
    }

    fn all_wild(&self) -> Vec<usize> {
        (0..self.wild.len()).collect()
    }

    fn settled(&self, state: State) -> (State, usize, Longest) {
        self.settle(state, 0, [None; 3])
    }

    /// Moves the texts that the beginning of the URI has already to the longest.
    fn settle(&self, mut state: State, depth: usize, mut longest: Longest) -> (State, usize, Longest) {
        state.heads.retain(|&index| {
            let head = &self.heads[index];
            if state.base.starts_with(head.text) {
                for (longest, _) in longest.iter_mut().zip(head.kinds).filter(|(_, kind)| *kind) {
                    let longer = longest.is_none_or(|known: usize| self.heads[known].text.len() < head.text.len());
                    *longest = if longer { Some(index) } else { *longest };
                }
                return false;
            }
            head.text.starts_with(&*state.base)
        });
        (state, depth, longest)
    }

    /// What the URI is as a beginning of others.
    fn follow(
        &self,
        state: &State,
        depth: usize,
        component: &str,
        uri: String,
        longest: Longest,
    ) -> (State, usize, Longest) {
        let goes_on = |&index: &usize| {
            let (wanted, there) = &self.wild[index];
            let fits = |wanted: &str| wanted.is_empty() || wanted == component || (*there && is_any(wanted));
            wanted.len() > depth + 1 && fits(wanted[depth])
        };
        let wild = state.wild.iter().copied().filter(goes_on).collect();
        self.settle(State { base: uri + ".", heads: state.heads.clone(), wild }, depth + 1, longest)
    }

    /// The components that can follow, one of each kind that makes a difference: those that rules have there, those
    /// that are longer by something, and one that no rule has.
    fn components(&self, state: &State, depth: usize) -> BTreeSet<String> {
        let mut components = BTreeSet::from([self.fresh.clone()]);
        for &index in &state.heads {
            let rest = &self.heads[index].text[state.base.len()..];
            let (component, more) = rest.split_once('.').map_or((rest, false), |(component, _)| (component, true));
            components.insert(component.into());
            if !more {
                components.insert(format!("{component}{}", self.fresh));
            }
        }
        components.extend(state.wild.iter().map(|&index| self.wild[index].0[depth].to_string()));
        components.retain(|component| UriRules::Loose.allow(component));
        components
    }

    /// Compares what decides over a URI.
    fn look_at(&mut self, uri: &str) {
        let rule = self.here.table.best_match(uri);
        let here = rule.and_then(|rule| self.positions.get(&(rule.policy, &*rule.uri)).copied());
        let there = self.there.decide(uri);
        if self.found.contains_key(&(there, here)) {
            return;
        }
        let mine = rule.map(|rule| rule.verdict).unwrap_or_default();
        let theirs = match there {
            Decider::Rule(index) => Verdict::of(&self.permissions[index]),
            Decider::Hidden(_) | Decider::Nobody => Verdict::default(),
        };
        let (mine, theirs) = (effects(mine), effects(theirs));
        let only = |one: &[&'static str], other: &[&'static str]| -> Vec<&'static str> {
            one.iter().filter(|effect| !other.contains(effect)).copied().collect()
        };
        let (more, less) = (only(&mine, &theirs), only(&theirs, &mine));
        let same = more.is_empty() && less.is_empty();
        if !same {
            self.order.push((there, here));
        }
        let difference = (!same).then(|| Difference { uri: uri.into(), here, there, more, less });
        self.found.insert((there, here), difference);
    }

    /// What has been found, in the order in which it was.
    fn found(&mut self) -> Vec<Difference> {
        self.order.iter().filter_map(|pair| self.found.remove(pair).flatten()).collect()
    }
}

/// What a verdict comes to, in the words of the file.
fn effects(verdict: Verdict) -> Vec<&'static str> {
    let Verdict { allow, disclose } = verdict;
    let all = [
        ("call", allow.call),
        ("register", allow.register),
        ("publish", allow.publish),
        ("subscribe", allow.subscribe),
        ("disclose.caller", allow.call && disclose.caller),
        ("disclose.publisher", allow.publish && disclose.publisher),
    ];
    all.into_iter().filter(|(_, so)| *so).map(|(effect, _)| effect).collect()
}

/// A component that begins with a character that no rule has.
fn fresh(permissions: &[Permission]) -> String {
    let unused = |character: &char| permissions.iter().all(|rule| !rule.uri.contains(*character));
    let plain = "xyzqjkvw".chars().chain('a'..='z').chain('0'..='9').chain('A'..='Z').chain('\u{c0}'..='\u{d7ff}');
    // There are more characters than a file can hold.
    plain.filter(|character| character.is_alphanumeric()).find(unused).unwrap_or('_').into()
}

#[cfg(test)]
mod tests;
