//! What the sessions of a role may do (specification, "Authorization").
//!
//! Of the rules that match a URI the most specific one decides: the exact one, then the longest prefix, then the
//! wildcard that has its first component where others take any. Rules with the same URI and match policy are one. A
//! pattern may be subscribed to or registered if a rule allows all that it matches, and no rule that would decide over
//! a part of it does not.

mod cache;
mod crossbar;
mod decision;
mod differences;
mod gate;
mod held;
mod patterns;
#[cfg(test)]
mod tests;

pub(super) use cache::Cache;
pub use crossbar::Decider;
pub(super) use decision::Decision;
pub use differences::{Difference, Differences, differences};
pub(super) use gate::{Asking, Gate, question};
use held::Held;

use super::effect::ConnId;
use super::map::{Hashing, Map};
use super::shard::Shard;
use super::subject::Subject;
use super::table::Table;
use crate::session::options::Refused;
use crate::session::role::{Actions, Disclose, Permission};
use crate::session::{Access, Identity, RealmConfig, RealmIndex};
use crate::wamp::{MatchPolicy, SessionId, Uri, error};
use patterns::{Pattern, covers, more_specific, overlaps};
use std::sync::Arc;

/// Something that may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Call,
    Register,
    Publish,
    Subscribe,
}

impl Action {
    fn of(self, actions: Actions) -> bool {
        match self {
            Action::Call => actions.call,
            Action::Register => actions.register,
            Action::Publish => actions.publish,
            Action::Subscribe => actions.subscribe,
        }
    }

    /// As authorizers are told.
    fn name(self) -> &'static str {
        match self {
            Action::Call => "call",
            Action::Register => "register",
            Action::Publish => "publish",
            Action::Subscribe => "subscribe",
        }
    }
}

/// What one session may do.
#[derive(Debug)]
pub(super) enum Power {
    /// Everything.
    All,
    /// What rules allow.
    Rules(Arc<Rights>),
    /// What a procedure of the realm allows, which is asked at the gate.
    Asked(Box<Gate>),
}

/// What a rule says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict {
    allow: Actions,
    disclose: Disclose,
}

impl Verdict {
    fn of(permission: &Permission) -> Verdict {
        Verdict { allow: permission.allow, disclose: permission.disclose }
    }

    fn add(&mut self, other: Verdict) {
        self.allow.call |= other.allow.call;
        self.allow.register |= other.allow.register;
        self.allow.publish |= other.allow.publish;
        self.allow.subscribe |= other.allow.subscribe;
        self.disclose.caller |= other.disclose.caller;
        self.disclose.publisher |= other.disclose.publisher;
    }
}

#[derive(Clone, Debug)]
struct Rule {
    policy: MatchPolicy,
    uri: Uri,
    verdict: Verdict,
}

impl Rule {
    fn pattern(&self) -> Pattern<'_> {
        (self.policy, &self.uri)
    }

    /// Decides where both match.
    fn beats(&self, other: &Rule) -> bool {
        match (self.policy, other.policy) {
            (MatchPolicy::Exact, other) => other != MatchPolicy::Exact,
            (MatchPolicy::Prefix, MatchPolicy::Prefix) => self.uri.len() > other.uri.len(),
            (MatchPolicy::Prefix, other) => other == MatchPolicy::Wildcard,
            (MatchPolicy::Wildcard, MatchPolicy::Wildcard) => more_specific(&self.uri, &other.uri),
            (MatchPolicy::Wildcard, _) => false,
        }
    }
}

/// A role of a realm, made ready to decide.
#[derive(Debug)]
pub(super) struct Role {
    /// Rules without variables.
    table: Table<Rule>,
    /// The same, for patterns.
    rules: Vec<Rule>,
    /// Rules with variables.
    templates: Vec<Permission>,
}

impl Role {
    fn new(permissions: &[Permission], hashing: &Hashing) -> Role {
        let mut role = Role { table: Table::new(hashing), rules: Vec::new(), templates: Vec::new() };
        let (templates, plain): (Vec<_>, Vec<_>) = permissions.iter().partition(|permission| permission.is_template());
        role.templates = templates.into_iter().cloned().collect();
        for permission in plain {
            add(&mut role.rules, permission.policy, permission.uri.clone(), permission);
        }
        for rule in &role.rules {
            let subject = Subject { realm: 0, policy: rule.policy, uri: rule.uri.clone() };
            role.table.insert(subject, rule.clone());
        }
        role
    }
}

/// Adds a rule to others, of which none has the same pattern.
fn add(rules: &mut Vec<Rule>, policy: MatchPolicy, uri: Uri, permission: &Permission) {
    let verdict = Verdict::of(permission);
    match rules.iter_mut().find(|rule| rule.policy == policy && rule.uri == uri) {
        Some(rule) => rule.verdict.add(verdict),
        None => rules.push(Rule { policy, uri, verdict }),
    }
}

/// What one session may do.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    role: Arc<Role>,
    /// The rules with variables, as they are for this session.
    own: Vec<Rule>,
}

impl Rights {
    fn new(role: &Arc<Role>, identity: &Identity, session: SessionId) -> Rights {
        let mut own = Vec::new();
        for template in &role.templates {
            if let Some(uri) = template.substitute(&identity.authid, &identity.authrole, session.get()) {
                add(&mut own, template.policy, uri, template);
            }
        }
        Rights { role: role.clone(), own }
    }

    /// What receivers are told, if the action is allowed.
    fn decide(&self, action: Action, uri: &str) -> Option<Disclose> {
        let mut best = self.role.table.best_match(uri);
        let mut twin: Option<&Rule> = None;
        for rule in self.own.iter().filter(|rule| rule.policy.matches(&rule.uri, uri)) {
            match best {
                Some(known) if known.pattern() == rule.pattern() => twin = Some(rule),
                Some(known) if !rule.beats(known) => {}
                _ => (best, twin) = (Some(rule), None),
            }
        }
        let mut verdict = best?.verdict;
        if let Some(twin) = twin {
            verdict.add(twin.verdict);
        }
        action.of(verdict.allow).then_some(verdict.disclose)
    }

    /// True if the action is allowed for everything that the pattern matches.
    pub(super) fn allow_all(&self, action: Action, policy: MatchPolicy, uri: &str) -> bool {
        if policy == MatchPolicy::Exact {
            return self.decide(action, uri).is_some();
        }
        let wanted = (policy, uri);
        let rules = || self.role.rules.iter().chain(&self.own);
        // A rule has a twin only among those with variables, or is one of them.
        let twin_allows =
            |rule: &Rule| rules().any(|other| other.pattern() == rule.pattern() && action.of(other.verdict.allow));
        let allows = |rule: &Rule| action.of(rule.verdict.allow) || (!self.own.is_empty() && twin_allows(rule));
        let denying: Vec<&Rule> = rules().filter(|rule| overlaps(rule.pattern(), wanted) && !allows(rule)).collect();
        let mut covering = rules().filter(|rule| covers(rule.pattern(), wanted) && allows(rule));
        covering.any(|rule| denying.iter().all(|other| rule.beats(other)))
    }
}

/// Who decides what a role may do, made ready.
#[derive(Debug)]
enum Judge {
    All,
    Rules(Arc<Role>),
    Authorizer(Uri),
}

/// The roles of a realm by name.
type RealmRoles = Map<Box<str>, Judge>;

/// The roles of all realms.
#[derive(Debug)]
pub(super) struct Roles {
    /// None: every role is allowed everything.
    realms: Vec<Option<RealmRoles>>,
    /// Of a role that the realm does not have: nothing is allowed.
    unknown: Arc<Role>,
}

impl Roles {
    pub(super) fn new(realms: &[RealmConfig], hashing: &Hashing) -> Roles {
        let compile = |realm: &RealmConfig| {
            let mut compiled = hashing.map();
            for role in realm.roles.as_ref()? {
                let judge = match &role.access {
                    Access::All => Judge::All,
                    Access::Rules(permissions) => Judge::Rules(Arc::new(Role::new(permissions, hashing))),
                    Access::Authorizer(procedure) => Judge::Authorizer(procedure.clone()),
                };
                compiled.insert(role.name.clone(), judge);
            }
            Some(compiled)
        };
        Roles { realms: realms.iter().map(compile).collect(), unknown: Arc::new(Role::new(&[], hashing)) }
    }

    /// What a session may do.
    pub(super) fn power(&self, realm: RealmIndex, identity: &Identity, session: SessionId) -> Power {
        let Some(roles) = &self.realms[usize::from(realm)] else { return Power::All };
        let role = match roles.get(&*identity.authrole) {
            Some(Judge::All) => return Power::All,
            Some(Judge::Authorizer(procedure)) => return Power::Asked(Box::new(Gate::new(procedure.clone()))),
            Some(Judge::Rules(role)) => role,
            None => &self.unknown,
        };
        Power::Rules(Arc::new(Rights::new(role, identity, session)))
    }
}

impl Shard {
    /// Makes the roles of the configuration ready anew, and forgets what authorizers have said.
    pub(super) fn renew_roles(&mut self) {
        self.roles = Roles::new(&self.config.realms, &self.hashing);
        self.authorizations.restart(self.config.limits.authorizations_cached_max, &self.hashing);
    }

    /// Checks whether a session may do something with a URI; gives what has to be disclosed.
    #[inline]
    pub(super) fn authorize(&mut self, conn: ConnId, action: Action, uri: &str) -> Result<Disclose, Refused> {
        match self.session_at(conn).map(|session| &session.power) {
            None | Some(Power::All) => Ok(Disclose::default()),
            Some(Power::Rules(rights)) => rights.decide(action, uri).ok_or_else(|| not_allowed(action, uri)),
            Some(Power::Asked(gate)) => gate.decided(action, MatchPolicy::Exact, uri).disclose(action, uri),
        }
    }

    /// Checks whether a session may do something with everything that a pattern matches.
    pub(super) fn authorize_all(
        &mut self,
        conn: ConnId,
        action: Action,
        policy: MatchPolicy,
        uri: &str,
    ) -> Result<(), Refused> {
        let allowed = match self.session_at(conn).map(|session| &session.power) {
            None | Some(Power::All) => true,
            Some(Power::Rules(rights)) => rights.allow_all(action, policy, uri),
            Some(Power::Asked(gate)) => {
                return gate.decided(action, policy, uri).disclose(action, uri).map(drop);
            }
        };
        if allowed { Ok(()) } else { Err(not_allowed(action, uri)) }
    }
}

fn not_allowed(action: Action, uri: &str) -> Refused {
    let doing = match action {
        Action::Call => "call",
        Action::Register => "register",
        Action::Publish => "publish to",
        Action::Subscribe => "subscribe to",
    };
    (error::NOT_AUTHORIZED, format!("the session may not {doing} {uri:?}"))
}
