//! What the permissions of a role mean here and do not mean, or did not mean in Crossbar.io.

use super::Reader;
use crate::router::{Decider, Difference, differences};
use crate::session::Permission;
use crate::wamp::MatchPolicy;

/// So many differences of one role are told one by one.
const TOLD_MAX: usize = 20;

/// Warns of rules that do something else than whoever wrote them may think.
pub(super) fn warn_of_permissions(reader: &mut Reader, permissions: &[Permission], at: &str) {
    for (index, rule) in permissions.iter().enumerate() {
        if rule.policy == MatchPolicy::Prefix && rule.ends_with_variable() {
            let text = format!(
                "the prefix {:?} ends with a variable and no dot: for `joe` it matches what is `joey`'s as well",
                &*rule.uri
            );
            reader.warn(&format!("{at}.permissions[{index}].uri"), &text);
        }
    }
    let differences = differences(permissions);
    for difference in differences.found.iter().take(TOLD_MAX) {
        tell(reader, permissions, difference, at);
    }
    let more = differences.found.len().saturating_sub(TOLD_MAX);
    if more > 0 {
        let text = format!("and {more} more pairs of rules decide otherwise than in Crossbar.io");
        reader.warn(&format!("{at}.permissions"), &text);
    }
    if differences.cut {
        let text = "too many to say all that they decide otherwise than in Crossbar.io";
        reader.warn(&format!("{at}.permissions"), text);
    }
}

fn tell(reader: &mut Reader, permissions: &[Permission], difference: &Difference, at: &str) {
    let rule = |index: usize| format!("{} {:?}", permissions[index].policy.name(), &*permissions[index].uri);
    let other = |index: usize| format!("permissions[{index}] ({})", rule(index));
    let (index, deciders) = match (difference.here, difference.there) {
        (Some(here), Decider::Rule(there)) => {
            (Some(here), format!("this rule ({}) decides here, in Crossbar.io {}", rule(here), other(there)))
        }
        (Some(here), Decider::Hidden(there)) => {
            let hides = format!("none: {} hides it there, though it does not match", other(there));
            (Some(here), format!("this rule ({}) decides here, in Crossbar.io {hides}", rule(here)))
        }
        (Some(here), Decider::Nobody) => {
            (Some(here), format!("this rule ({}) decides here, in Crossbar.io none", rule(here)))
        }
        (None, Decider::Rule(there)) => {
            (Some(there), format!("no rule decides here, in Crossbar.io this one ({})", rule(there)))
        }
        // Then nothing is allowed here and there: it is no difference.
        (None, Decider::Hidden(_) | Decider::Nobody) => (None, "no rule decides".into()),
    };
    let mut effects = Vec::new();
    for (what, list) in [("allowed here alone", &difference.more), ("allowed there alone", &difference.less)] {
        if !list.is_empty() {
            effects.push(format!("{what}: {}", list.join(", ")));
        }
    }
    let at = index.map_or(format!("{at}.permissions"), |index| format!("{at}.permissions[{index}]"));
    reader.warn(&at, &format!("for {:?} {deciders}; {}", difference.uri, effects.join("; ")));
}
