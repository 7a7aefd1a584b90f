//! What of a file is sent: all of it, a part, or nothing because the client has it (RFC 9110, sections 13 and 14).

use super::date;
use super::request::Wishes;
use std::ops::Range;

/// What tells one state of a file from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// A strong entity tag, with its quotes.
    pub tag: String,
    /// When it was changed, in seconds since 1970.
    pub modified: Option<i64>,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Whole,
    /// These octets of it.
    Part(Range<u64>),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: it has no such part.
    NoSuchPart,
    /// Nothing: it is another one than the client means.
    Changed,
}

/// Decides for a file of so many octets. Without `parts` none can be sent.
#[must_use]
pub fn decide(wishes: &Wishes, version: &Version, octets: u64, parts: bool) -> Outcome {
    let changed = match (&wishes.if_match, &wishes.if_unmodified_since) {
        (Some(tags), _) => !tags.split(',').map(str::trim).any(|known| known == "*" || known == version.tag),
        (None, Some(since)) => match (version.modified, date::seconds(since)) {
            (Some(modified), Some(since)) => modified > since,
            _ => false,
        },
        (None, None) => false,
    };
    if changed {
        return Outcome::Changed;
    }
    let not_modified = match (&wishes.if_none_match, &wishes.if_modified_since) {
        (Some(tags), _) => matches_weakly(tags, &version.tag),
        (None, Some(since)) => match (version.modified, date::seconds(since)) {
            (Some(modified), Some(since)) => modified <= since,
            _ => false,
        },
        (None, None) => false,
    };
    if not_modified {
        return Outcome::NotModified;
    }
    let still_this = wishes.if_range.as_deref().is_none_or(|this| {
        this == version.tag || (version.modified.is_some() && date::seconds(this) == version.modified)
    });
    match wishes.range.as_deref().filter(|_| parts && still_this) {
        Some(range) => part(range, octets),
        None => Outcome::Whole,
    }
}

/// True if a list of entity tags holds this one, weak or strong.
fn matches_weakly(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The part that a `Range` header means. Several parts at once, and what is no range of octets, are answered with the
/// whole, as every client has to understand.
fn part(range: &str, octets: u64) -> Outcome {
    let parsed = range.trim().strip_prefix("bytes=").and_then(|set| {
        let (first, last) = set.split_once('-')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
            // More than fits is more than there is.
            digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
        };
        let (first, last) = (first.trim(), last.trim());
        Some(match (first.is_empty(), last.is_empty()) {
            (true, _) => (octets.saturating_sub(number(last)?), octets),
            (false, true) => (number(first)?, octets),
            (false, false) => (number(first)?, number(last)?.saturating_add(1).min(octets)).in_order(number(last)?)?,
        })
    });
    match parsed {
        None => Outcome::Whole,
        Some((first, end)) if first < end => Outcome::Part(first..end),
        Some(_) => Outcome::NoSuchPart,
    }
}

trait InOrder: Sized {
    /// None if the last octet comes before the first: then it is no range.
    fn in_order(self, last: u64) -> Option<Self>;
}

impl InOrder for (u64, u64) {
    fn in_order(self, last: u64) -> Option<(u64, u64)> {
        (last >= self.0).then_some(self)
    }
}

/// How much an `Accept-Encoding` header likes this coding, in thousandths; 0 if it is not allowed. `identity` is allowed unless
/// it is said that it is not, and then for no more than anything else.
#[must_use]
pub fn liking(header: Option<&str>, coding: &str) -> u16 {
    let mut any = None;
    for part in header.unwrap_or_default().split(',') {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        let quality = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
        let mut quality = quality.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let quality = quality.next().map_or(Some(1.0), |(_, q)| q.trim().parse::<f32>().ok());
        let quality = quality.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1000")]
        let wanted = (quality * 1000.0).round() as u16;
        match name.trim() {
            name if name.eq_ignore_ascii_case(coding) => return wanted,
            "*" => any = Some(wanted),
            _ => {}
        }
    }
    // What is as it is may come, unless something else is there that is liked at all.
    any.unwrap_or(u16::from(coding == "identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version { tag: "\"a-1\"".into(), modified: Some(784_111_777) }
    }

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn wishes(set: impl FnOnce(&mut Wishes)) -> Wishes {
        let mut wishes = Wishes::default();
        set(&mut wishes);
        wishes
    }

    #[test]
    fn what_the_client_has_is_not_sent() {
        let ask = |tags: Option<&str>, since: Option<&str>| {
            let wishes = wishes(|wishes| {
                wishes.if_none_match = tags.map(Into::into);
                wishes.if_modified_since = since.map(Into::into);
            });
            decide(&wishes, &version(), 10, true) == Outcome::NotModified
        };
        assert!(ask(Some("\"a-1\""), None) && ask(Some("\"x\", W/\"a-1\""), None) && ask(Some("*"), None));
        assert!(!ask(Some("\"a\""), None) && !ask(Some("a-1"), None) && !ask(Some(""), None));
        assert!(ask(None, Some(THEN)) && !ask(None, Some(BEFORE)) && !ask(None, Some("then")));
        // The tag says more.
        assert!(!ask(Some("\"a\""), Some(THEN)));
        assert!(ask(Some("\"a-1\""), Some(BEFORE)));
    }

    #[test]
    fn what_is_another_one_by_now_is_not_sent() {
        let ask = |tags: Option<&str>, since: Option<&str>| {
            let wishes = wishes(|wishes| {
                wishes.if_match = tags.map(Into::into);
                wishes.if_unmodified_since = since.map(Into::into);
                wishes.if_none_match = Some("\"a-1\"".into());
            });
            decide(&wishes, &version(), 10, true) == Outcome::Changed
        };
        assert!(ask(Some("\"x\""), None) && ask(Some("W/\"a-1\""), None) && ask(None, Some(BEFORE)));
        assert!(ask(Some("\"x\""), Some(THEN)), "the tag says more");
        assert!(!ask(Some("\"x\", \"a-1\""), None) && !ask(Some("*"), None) && !ask(Some("\"a-1\""), Some(BEFORE)));
        assert!(!ask(None, Some(THEN)) && !ask(None, Some("then")));
    }

    #[test]
    fn parts_are_found() {
        let ask = |range: &str| decide(&wishes(|wishes| wishes.range = Some(range.into())), &version(), 10, true);
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=2-", 2..10),
            ("bytes=2-99999999999999999999999", 2..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
            (" bytes=9-9 ", 9..10),
        ] {
            assert_eq!(ask(range), Outcome::Part(part), "{range}");
        }
        for range in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(ask(range), Outcome::NoSuchPart, "{range}");
        }
        for range in ["bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=+1-2", "x"] {
            assert_eq!(ask(range), Outcome::Whole, "{range}");
        }
        let all = wishes(|wishes| wishes.range = Some("bytes=0-0".into()));
        assert_eq!(decide(&all, &version(), 10, false), Outcome::Whole);
        assert_eq!(decide(&all, &version(), 0, true), Outcome::NoSuchPart);
    }

    #[test]
    fn a_part_of_another_version_is_not_sent() {
        let ask = |this: &str| {
            let wishes = wishes(|wishes| {
                wishes.range = Some("bytes=0-0".into());
                wishes.if_range = Some(this.into());
            });
            decide(&wishes, &version(), 10, true) == Outcome::Part(0..1)
        };
        assert!(ask("\"a-1\"") && ask(THEN));
        assert!(!ask("W/\"a-1\"") && !ask("\"a\"") && !ask(BEFORE) && !ask(""));
    }

    #[test]
    fn codings_are_asked_for() {
        for header in ["gzip", "br, gzip", "GZIP;q=0.5", "*", "br;q=0, *"] {
            assert!(liking(Some(header), "gzip") > 0, "{header}");
        }
        for header in ["", "br", "gzip;q=0", "*, gzip;q=0.0", "*;q=0", "gzipped"] {
            assert_eq!(liking(Some(header), "gzip"), 0, "{header}");
        }
        assert_eq!((liking(None, "gzip"), liking(None, "identity")), (0, 1));
        let all = "gzip;q=1, br;q=0.5, identity;q=0.25";
        assert_eq!(["gzip", "br", "identity"].map(|coding| liking(Some(all), coding)), [1000, 500, 250]);
    }
}
