//! How sessions identify themselves: not at all, by ticket, or by a shared secret (WAMP-CRA).

use std::num::NonZeroU32;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use ring::{hmac, pbkdf2};
use serde_json::{Value, json};

use crate::cli::Router;

/// Rounds of PBKDF2 that a router may ask for; more would take minutes.
const ITERATIONS_MAX: u64 = 10_000_000;
/// Length in bytes of a derived key that a router may ask for.
const KEY_MAX: u64 = 1024;
/// What a challenge that says nothing else means (section "Password Salting" of the specification).
const ITERATIONS: u64 = 1000;
const KEY: u64 = 32;

/// What a session answers when it is asked who it is.
pub(crate) struct Credentials {
    authid: Option<String>,
    ticket: Option<String>,
    secret: Option<String>,
    /// The key derived last, and from what: it takes long, and every session needs the same.
    derived: Option<(Salting, Vec<u8>)>,
}

/// What a key is derived with.
#[derive(Clone, PartialEq, Eq)]
struct Salting {
    salt: String,
    iterations: u64,
    len: u64,
}

impl Credentials {
    /// Reads the options.
    ///
    /// # Errors
    /// If there is a secret but no authid.
    pub(crate) fn new(router: &Router) -> Result<Self> {
        let credentials = Self {
            authid: router.authid.clone(),
            ticket: router.ticket.clone(),
            secret: router.cra_secret.clone(),
            derived: None,
        };
        let proves = credentials.ticket.is_some() || credentials.secret.is_some();
        ensure!(!proves || credentials.authid.is_some(), "--ticket and --cra-secret need an --authid");
        Ok(credentials)
    }

    /// Adds to the details of HELLO who the session is and how it can prove it.
    pub(crate) fn announce(&self, details: &mut Value) {
        let Some(authid) = &self.authid else { return };
        let offered = [(self.secret.is_some(), "wampcra"), (self.ticket.is_some(), "ticket")];
        let methods: Vec<_> = offered.iter().filter(|(can, _)| *can).map(|(_, method)| *method).collect();
        details["authid"] = json!(authid);
        details["authmethods"] = if methods.is_empty() { json!(["anonymous"]) } else { json!(methods) };
    }

    /// The signature for AUTHENTICATE that answers a CHALLENGE.
    ///
    /// # Errors
    /// If the method was not offered, or the challenge is not as the specification has it.
    pub(crate) fn answer(&mut self, method: &str, extra: &Value) -> Result<String> {
        match (method, &self.ticket, &self.secret) {
            ("ticket", Some(ticket), _) => Ok(ticket.clone()),
            ("wampcra", _, Some(secret)) => {
                let secret = secret.clone();
                let challenge = extra["challenge"].as_str().context("a WAMP-CRA challenge without a text")?;
                let key = match Salting::read(extra)? {
                    None => secret.into_bytes(),
                    Some(salting) => self.derive(&secret, salting)?,
                };
                Ok(sign(&key, challenge))
            }
            _ => bail!("the router asks for authentication by {method}, see --ticket and --cra-secret"),
        }
    }

    fn derive(&mut self, secret: &str, salting: Salting) -> Result<Vec<u8>> {
        if let Some((known, key)) = &self.derived
            && *known == salting
        {
            return Ok(key.clone());
        }
        let key = salting.key(secret)?;
        self.derived = Some((salting, key.clone()));
        Ok(key)
    }
}

impl Salting {
    /// What a challenge asks for; None if the secret is used as it is.
    fn read(extra: &Value) -> Result<Option<Self>> {
        let salt = match &extra["salt"] {
            Value::Null => return Ok(None),
            Value::String(salt) if salt.is_empty() => return Ok(None),
            Value::String(salt) => salt.clone(),
            other => bail!("a WAMP-CRA challenge with the salt {other}"),
        };
        let number = |name: &str, default: u64, most: u64| match &extra[name] {
            Value::Null => Ok(default),
            value => match value.as_u64() {
                Some(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(anyhow::anyhow!("a WAMP-CRA challenge with {name} {value}, not 1 to {most}")),
            },
        };
        let (iterations, len) = (number("iterations", ITERATIONS, ITERATIONS_MAX)?, number("keylen", KEY, KEY_MAX)?);
        Ok(Some(Self { salt, iterations, len }))
    }

    /// The key, as the text that stands in for the secret.
    fn key(&self, secret: &str) -> Result<Vec<u8>> {
        let iterations = u32::try_from(self.iterations).ok().and_then(NonZeroU32::new).context("no iterations")?;
        let mut key = vec![0; self.len as usize];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, self.salt.as_bytes(), secret.as_bytes(), &mut key);
        Ok(BASE64.encode(&key).into_bytes())
    }
}

fn sign(key: &[u8], challenge: &str) -> String {
    BASE64.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), challenge.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn credentials(authid: Option<&str>, ticket: Option<&str>, secret: Option<&str>) -> Credentials {
        let [authid, ticket, secret] = [authid, ticket, secret].map(|text| text.map(str::to_owned));
        Credentials { authid, ticket, secret, derived: None }
    }

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let hex = |signature: String| HEXLOWER.encode(&BASE64.decode(signature.as_bytes()).expect("base64"));
        assert_eq!(
            hex(sign(b"Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(sign(&[0x0b; 20], "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn keys_are_those_of_rfc_7914() {
        let salting = Salting { salt: "salt".into(), iterations: 1, len: 64 };
        let key = salting.key("passwd").expect("a key");
        assert_eq!(
            HEXLOWER.encode(&BASE64.decode(&key).expect("base64")),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
        );
    }

    // As another implementation of the client side has them.
    #[test]
    fn challenges_are_answered_as_other_clients_do() {
        let mut joe = credentials(Some("joe"), None, Some("L3L1YUE8Txlw"));
        let salted = json!({"challenge": r#"{"nonce":"x"}"#, "salt": "salt123", "keylen": 32, "iterations": 1000});
        let expected = "owMx6uEVFtLMu66Rbvk+ha92XEGLYj03KrrOrPxAKGk=";
        assert_eq!(joe.answer("wampcra", &salted).expect("an answer"), expected);
        assert_eq!(joe.answer("wampcra", &salted).expect("an answer"), expected, "from the kept key");
        let by_default = json!({"challenge": r#"{"nonce":"x"}"#, "salt": "salt123"});
        assert_eq!(joe.answer("wampcra", &by_default).expect("an answer"), expected);
        let other = json!({"challenge": r#"{"nonce":"x"}"#, "salt": "salt124"});
        assert_ne!(joe.answer("wampcra", &other).expect("an answer"), expected, "the kept key is not for it");
        let mut plain = credentials(Some("joe"), None, Some("secret"));
        let signature = plain.answer("wampcra", &json!({"challenge": r#"{"nonce":"x"}"#})).expect("an answer");
        assert_eq!(signature, "Jg/rD/bSpsQrWMNg0V4AD5No21M4N764jilF34tGd5M=");
    }

    #[test]
    fn bad_challenges_are_errors() {
        let mut joe = credentials(Some("joe"), None, Some("secret"));
        for extra in [
            json!({}),
            json!({"challenge": 5}),
            json!({"challenge": "x", "salt": 5}),
            json!({"challenge": "x", "salt": "s", "iterations": 0}),
            json!({"challenge": "x", "salt": "s", "iterations": 1u64 << 40}),
            json!({"challenge": "x", "salt": "s", "keylen": -1}),
        ] {
            assert!(joe.answer("wampcra", &extra).is_err(), "{extra}");
        }
        assert!(joe.answer("ticket", &json!({})).is_err(), "it has no ticket");
        assert!(joe.answer("cryptosign", &json!({})).is_err());
    }

    #[test]
    fn hello_offers_what_there_is() {
        let announced = |credentials: Credentials| {
            let mut details = json!({});
            credentials.announce(&mut details);
            details
        };
        assert_eq!(announced(credentials(None, None, None)), json!({}));
        assert_eq!(
            announced(credentials(Some("joe"), Some("t"), None)),
            json!({"authid": "joe", "authmethods": ["ticket"]})
        );
        assert_eq!(
            announced(credentials(Some("joe"), Some("t"), Some("s")))["authmethods"],
            json!(["wampcra", "ticket"])
        );
        assert_eq!(announced(credentials(Some("joe"), None, None))["authmethods"], json!(["anonymous"]));
    }
}
