//! Paths of requests, name by name.

use std::borrow::Cow;

/// The names of a path, decoded: what stands between its slashes. The last one is empty if the path ends with a slash.
/// None if no path can be meant, or one that others might take for something else: a code that is none, a slash or
/// backslash or control character in a name, `.` and `..`.
#[must_use]
pub fn names(path: &str) -> Option<Vec<Cow<'_, str>>> {
    path.strip_prefix('/')?.split('/').map(name).collect()
}

/// The same of a path that is passed on as it is: a slash or backslash inside a name stays a code (RFC 3986, section 2.2). What
/// would be `.` or `..` for those who take it for one that separates is refused all the same.
#[must_use]
pub fn opaque_names(path: &str) -> Option<Vec<Cow<'_, str>>> {
    path.strip_prefix('/')?.split('/').map(|raw| name(raw).or_else(|| opaque(raw).map(Cow::Owned))).collect()
}

fn opaque(raw: &str) -> Option<String> {
    let name = decode(raw)?;
    let plain = !raw.contains('\\') && !name.chars().any(char::is_control);
    let climbs = name.split(['/', '\\']).any(|part| part == "." || part == "..");
    (plain && !climbs).then(|| name.replace('/', "%2F").replace('\\', "%5C"))
}

fn name(raw: &str) -> Option<Cow<'_, str>> {
    let name = if raw.contains('%') { Cow::Owned(decode(raw)?) } else { Cow::Borrowed(raw) };
    let plain = !name.chars().any(|c| c == '/' || c == '\\' || c.is_control());
    (plain && name != "." && name != "..").then_some(name)
}

/// Replaces codes by what they stand for. None: there is a code that is none, or what comes of it is no text.
#[must_use]
pub fn decode(raw: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (code, behind) = rest.split_first_chunk::<2>()?;
        let digit = |octet: u8| char::from(octet).to_digit(16);
        octets.push(u8::try_from(digit(code[0])? * 16 + digit(code[1])?).ok()?);
        rest = behind;
    }
    String::from_utf8(octets).ok()
}

/// A name as it stands in a path.
#[must_use]
pub fn encode(name: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(name.len());
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(octet >> 4)]));
            out.push(char::from(HEX[usize::from(octet & 15)]));
        }
    }
    out
}

/// How many of the names a served path has, if it serves them: all, or with `deep` the first ones.
#[must_use]
pub fn covers(served: &str, deep: bool, names: &[Cow<'_, str>]) -> Option<usize> {
    let own = || served.split('/').filter(|name| !name.is_empty());
    let count = own().count();
    let begins = names.len() >= count && own().zip(names).all(|(own, name)| own == name);
    let all = names.len() == count || (count == 0 && *names == [""]);
    (begins && (deep || all)).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slashes_inside_names_stay_codes() {
        assert_eq!(opaque_names("/a%2fb/%40c%2Fd/e%20f").expect("a path"), ["a%2Fb", "@c%2Fd", "e f"]);
        for wrong in ["/a%2f..%2fb", "/..%2f", "/%2e%2e%5cx", "/a/../b", "/a%2f%00", "/a%2", "/a\\%2f", "a%2fb"] {
            assert_eq!(opaque_names(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_decoded_and_tricks_are_refused() {
        assert_eq!(names("/").expect("a path"), [""]);
        assert_eq!(names("/a/b%20c/").expect("a path"), ["a", "b c", ""]);
        assert_eq!(names("/%C3%A9/%2e%2E%2e").expect("a path"), ["\u{e9}", "..."]);
        assert_eq!(names("//etc").expect("a path"), ["", "etc"]);
        for path in [
            "", "*", "a", "/..", "/.", "/a/../b", "/%2e%2e/", "/.%2e", "/a%2fb", "/a\\b", "/a%5Cb", "/%00", "/%0a",
            "/%", "/%1", "/%zz", "/%+1", "/%ff", "/%7f",
        ] {
            assert_eq!(names(path), None, "{path:?}");
        }
    }

    #[test]
    fn paths_cover_what_is_below_them_name_by_name() {
        let covered = |served: &str, deep: bool, path: &str| covers(served, deep, &names(path).expect("a path"));
        assert_eq!(covered("/", true, "/a/b"), Some(0));
        assert_eq!(covered("/", false, "/"), Some(0));
        assert_eq!(covered("/", false, "/a"), None);
        assert_eq!(covered("/ws", true, "/ws"), Some(1));
        assert_eq!(covered("/ws", true, "/%77s/x"), Some(1));
        assert_eq!(covered("/ws", true, "/wsx"), None);
        assert_eq!(covered("/ws", false, "/ws/"), None);
        assert_eq!(covered("/a/b", true, "/a/b/c"), Some(2));
        assert_eq!(covered("/a/b", true, "/a"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(name in "[^/\\\\\\p{Cc}]{0,20}") {
            prop_assume!(name != "." && name != "..");
            let path = format!("/{}", encode(&name));
            prop_assert_eq!(names(&path).expect("a path"), [name]);
        }

        #[test]
        fn no_name_leads_elsewhere(path in "\\PC{0,30}") {
            for name in names(&format!("/{path}")).iter().flatten() {
                prop_assert!(!name.contains(['/', '\\', '\0']) && name != "..");
            }
        }
    }
}
