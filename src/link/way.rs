//! How a link joins the realm there.

use crate::auth::config::Secret;
use crate::auth::login::Credential;
use crate::client::{Certificate, Connect, Trust};
use crate::config::LinkConfig;
use crate::config::link::LinkLogin;
use data_encoding::HEXLOWER_PERMISSIVE;
use std::io::ErrorKind;
use std::path::Path;

/// How the private key is called in the file of a node's key.
const TAG: &str = "private-key-ed25519:";

/// How to connect, with what is in the files now.
pub(super) fn connect(config: &LinkConfig) -> Result<Connect, String> {
    let way = &config.way;
    let credentials = match &config.login {
        // A router that knows no keys lets it in like anybody.
        LinkLogin::Node(file) => read_key(file)?.map(Credential::Cryptosign).into_iter().collect::<Vec<_>>(),
        LinkLogin::Key(file) => {
            let key = read_key(file)?.ok_or_else(|| format!("there is no file {}", file.display()))?;
            vec![Credential::Cryptosign(key)]
        }
        LinkLogin::Anonymous => vec![Credential::Anonymous],
        LinkLogin::Ticket(ticket) => vec![Credential::Ticket(ticket.clone())],
        LinkLogin::Cra(secret) => vec![Credential::Cra(secret.clone())],
        LinkLogin::Scram(password) => vec![Credential::Scram(password.clone())],
    };
    let anonymous = matches!(config.login, LinkLogin::Node(_)).then_some(Credential::Anonymous);
    let pair = |(certificate, key)| Certificate { certificate, key };
    let connect = Connect::new(&way.url, &config.remote_realm);
    Ok(Connect {
        authid: config.authid.as_deref().map(Into::into),
        credentials: credentials.into_iter().chain(anonymous).collect(),
        serializers: way.serializers.clone(),
        message_bytes_max: way.message_bytes_max,
        // Who takes larger messages passes them on, too.
        sent_message_bytes_max: way.message_bytes_max.max(connect.sent_message_bytes_max),
        trust: way.authorities.clone().map_or(Trust::System, Trust::Authorities),
        server_name: way.server_name.clone(),
        certificate: way.certificate.clone().map(pair),
        timeout: way.timeout,
        ping_interval: way.ping_interval,
        ping_timeout: way.ping_timeout,
        passes_on: true,
        ..connect
    })
}

/// The key in a file, as `corebar keys` writes it, or 64 digits; none: there is no file.
fn read_key(file: &Path) -> Result<Option<Secret>, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    let tagged = text.lines().find_map(|line| line.trim().strip_prefix(TAG));
    let octets = HEXLOWER_PERMISSIVE.decode(tagged.unwrap_or(&text).trim().as_bytes()).ok();
    let key = octets.filter(|octets| octets.len() == 32).map(|octets| Secret(octets.into()));
    key.map(Some).ok_or_else(|| format!("{} holds no Ed25519 key", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        let folder = std::env::temp_dir().join(format!("corebar-link-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("key.priv");
        assert_eq!(read_key(&file), Ok(None));
        let digits = "0b".repeat(32);
        for text in [format!("A key\n\ncreator: x\n{TAG} {digits}\n"), format!("{digits}\n")] {
            std::fs::write(&file, text).expect("written");
            assert_eq!(read_key(&file), Ok(Some(Secret([11; 32].into()))));
        }
        std::fs::write(&file, "0b0b").expect("written");
        assert!(read_key(&file).is_err());
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
