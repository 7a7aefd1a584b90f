//! Secrets that a client shows who it is with, from flags, files and the keyboard.

use super::failure::{Done, Failure};
use crate::auth::config::Secret;
use data_encoding::HEXLOWER_PERMISSIVE;
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::Path;

/// Where a secret is: itself, `@FILE`, or `-` for the keyboard.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Given(String);

impl From<&str> for Given {
    fn from(text: &str) -> Given {
        Given(text.into())
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given")
    }
}

impl Given {
    /// Gets the secret; `name` is what the keyboard is asked for.
    ///
    /// # Errors
    /// A file cannot be read, or there is no keyboard.
    pub(super) fn get(&self, name: &str) -> Done<Secret> {
        let text = match &*self.0 {
            "-" => ask(name)?,
            given => match given.strip_prefix('@') {
                Some(plain) if plain.starts_with('@') => plain.into(),
                Some(path) => read(Path::new(path))?,
                None => given.into(),
            },
        };
        match text.is_empty() {
            true => Err(Failure::usage(format!("the {name} is empty"))),
            false => Ok(Secret(text.into_bytes().into())),
        }
    }
}

/// Asks without showing what is typed; without a keyboard, a line of standard input.
fn ask(name: &str) -> Done<String> {
    let text = match io::stdin().is_terminal() {
        true => rpassword::prompt_password(format!("{name}: ")),
        false => io::stdin().lines().next().unwrap_or_else(|| Ok(String::new())),
    };
    text.map_err(|why| Failure::usage(format!("no {name} can be read: {why}")))
}

fn read(path: &Path) -> Done<String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

/// The private key in a file: 64 hexadecimal digits, alone or behind `private:` or `private-key-ed25519:` on a line, as
/// `corebar keygen` prints it and nodes keep it; or 32 octets.
///
/// # Errors
/// The file cannot be read, or holds no such key.
pub(super) fn private_key(path: &Path) -> Done<Secret> {
    let wrong = |why: &dyn fmt::Display| Failure::usage(format!("{}: {why}", path.display()));
    let octets = std::fs::read(path).map_err(|why| wrong(&why))?;
    let key = find_key(&octets);
    let why = "no private key of Ed25519: 64 hexadecimal digits, as `corebar keygen` prints it, or 32 octets";
    key.map(|key| Secret(key.into())).ok_or_else(|| wrong(&why))
}

fn find_key(octets: &[u8]) -> Option<Vec<u8>> {
    let digits = |text: &str| {
        let text = text.trim();
        (text.len() == 64).then(|| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()).flatten()
    };
    let text = std::str::from_utf8(octets).ok();
    let labeled = text.into_iter().flat_map(str::lines).find_map(|line| {
        let (label, value) = line.split_once(':')?;
        matches!(label.trim(), "private" | "private-key-ed25519").then(|| digits(value)).flatten()
    });
    labeled.or_else(|| text.and_then(digits)).or_else(|| (octets.len() == 32).then(|| octets.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found() {
        let hex = "07".repeat(32);
        let found = Some(vec![7; 32]);
        assert_eq!(find_key(format!("{hex}\n").as_bytes()), found);
        assert_eq!(find_key(format!("private: {hex}\n public: {}\n", "08".repeat(32)).as_bytes()), found);
        assert_eq!(find_key(format!("Keep it.\n\ncreator: me\nprivate-key-ed25519: {hex}\n").as_bytes()), found);
        assert_eq!(find_key(&[7; 32]), found);
        for wrong in ["", "private: 07", &"x".repeat(64), &format!("public: {hex}")] {
            assert_eq!(find_key(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_are_given_or_stand_in_files() {
        let get = |text: &str| Given::from(text).get("ticket").map(|secret| secret.0.to_vec());
        assert_eq!(get("abc").expect("a secret"), b"abc");
        assert_eq!(get("@@abc").expect("a secret"), b"@abc");
        let path = std::env::temp_dir().join(format!("corebar-secret-{}", std::process::id()));
        std::fs::write(&path, "a b\r\n").expect("a file");
        assert_eq!(get(&format!("@{}", path.display())).expect("a secret"), b"a b");
        std::fs::write(&path, "\n").expect("a file");
        assert!(get(&format!("@{}", path.display())).is_err());
        std::fs::remove_file(&path).expect("it is there");
        assert!(get(&format!("@{}", path.display())).is_err());
        assert_eq!(format!("{:?}", Given::from("abc")), "Given");
    }
}
