//! Ed25519 keys: new ones for clients, and the one of a node, in the files that Crossbar.io keeps it in.

use super::args::Keys;
use super::exit::{fail, tell};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const PRIVATE_FILE: &str = "key.priv";
const PUBLIC_FILE: &str = "key.pub";
const PRIVATE_TAG: &str = "private-key-ed25519";
const PUBLIC_TAG: &str = "public-key-ed25519";

/// A key pair in hexadecimal digits.
struct Pair {
    private: String,
    public: String,
}

impl Pair {
    fn new() -> Result<Pair, String> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| format!("cannot get random numbers: {error}"))?;
        Ok(Pair::of(&SigningKey::from_bytes(&seed)))
    }

    fn of(key: &SigningKey) -> Pair {
        Pair { private: HEXLOWER.encode(key.as_bytes()), public: HEXLOWER.encode(key.verifying_key().as_bytes()) }
    }
}

/// Prints a new key pair.
pub(super) fn keygen() -> ExitCode {
    match Pair::new() {
        Ok(Pair { private, public }) => {
            tell!("private: {private}\n public: {public}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// Prints the key of a node, which is made if it has none.
pub(super) fn keys(keys: &Keys) -> ExitCode {
    match node_key(&keys.directory.cbdir) {
        Ok(pair) => {
            tell!("{}", if keys.private { pair.private } else { pair.public });
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

fn node_key(directory: &Path) -> Result<Pair, String> {
    let path = directory.join(PRIVATE_FILE);
    let wrong = |what: &str| format!("{}: {what}", path.display());
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return make(directory).map_err(|error| wrong(&error.to_string()));
        }
        text => text.map_err(|error| wrong(&error.to_string()))?,
    };
    let value = |tag: &str| text.lines().find_map(|line| line.strip_prefix(tag)?.strip_prefix(':')).map(str::trim);
    let private = value(PRIVATE_TAG).ok_or_else(|| wrong("holds no private key"))?;
    let seed = HEXLOWER.decode(private.as_bytes()).ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    let seed = seed.ok_or_else(|| wrong("its private key is none of Ed25519"))?;
    let pair = Pair::of(&SigningKey::from_bytes(&seed));
    if value(PUBLIC_TAG).is_some_and(|public| public != pair.public) {
        return Err(wrong("its public key does not belong to its private key"));
    }
    Ok(pair)
}

fn make(directory: &Path) -> io::Result<Pair> {
    let pair = Pair::new().map_err(io::Error::other)?;
    let Pair { private, public } = &pair;
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown" } else { host.trim() };
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".into());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(since).ok().and_then(|since| jiff::Timestamp::from_second(since).ok()).unwrap_or_default();
    let about = format!("creator: {user}@{host}\ncreated-at: {now}\nmachine-id: {host}\n{PUBLIC_TAG}: {public}\n");
    let write = |name: &str, mode: u32, text: &str| {
        let file = OpenOptions::new().create_new(true).write(true).mode(mode).open(directory.join(name));
        file.and_then(|mut file| file.write_all(text.as_bytes()))
    };
    // Whoever can read it can be this node.
    let secret = format!("Private key of a node: keep it secret.\n\n{about}{PRIVATE_TAG}: {private}\n");
    write(PRIVATE_FILE, 0o600, &secret)?;
    // An old public key without its private one is worth nothing.
    let _ = fs::remove_file(directory.join(PUBLIC_FILE));
    write(PUBLIC_FILE, 0o644, &format!("Public key of a node.\n\n{about}"))?;
    Ok(pair)
}
