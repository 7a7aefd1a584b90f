//! Which router, and who the client is there: flags and environment of all commands of the client.

use super::failure::{Done, Failure};
use super::lasting::Lasting;
use super::output::Output;
use super::secret::{Given, private_key};
use super::stop::Stop;
use super::values::{self, Pair};
use crate::auth::login::Credential;
use crate::client::{Certificate, Connect, Session, Trust};
use crate::wamp::{Dict, Serializer};
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

/// Which router, and who the client is there.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Router and login")]
pub(super) struct Login {
    /// Where the router is: ws://HOST:PORT/PATH (WebSocket), rs://HOST:PORT (RawSocket), wss:// and rss:// (the same with
    /// TLS), or unix:///PATH (RawSocket over a Unix socket).
    #[arg(long, short = 'u', value_name = "URL", env = "COREBAR_URL", default_value = "ws://127.0.0.1:8080/")]
    pub(super) url: String,

    /// The realm to join.
    #[arg(long, short = 'r', value_name = "URI", env = "COREBAR_REALM", default_value = "realm1")]
    pub(super) realm: String,

    /// Who the client says it is.
    #[arg(long, value_name = "NAME", env = "COREBAR_AUTHID")]
    authid: Option<String>,

    /// How the client shows that: may be given more than once, the best first. [default: whatever the flags below are
    /// good for]
    #[arg(long, value_enum, value_name = "METHOD", env = "COREBAR_AUTHMETHOD", value_delimiter = ',')]
    authmethod: Vec<Method>,

    /// A ticket, for `ticket`. Here and below: @FILE reads it from a file, - asks for it.
    #[arg(long, value_name = "TICKET", env = "COREBAR_TICKET", hide_env_values = true)]
    ticket: Option<Given>,

    /// A secret or password, for `wampcra` and `scram`.
    #[arg(long, value_name = "SECRET", env = "COREBAR_SECRET", hide_env_values = true)]
    secret: Option<Given>,

    /// A file with an Ed25519 key, for `cryptosign`, as `corebar keygen` prints it.
    #[arg(long, value_name = "FILE", env = "COREBAR_PRIVATE_KEY")]
    private_key: Option<PathBuf>,

    /// A token, for `jwt`.
    #[arg(long, value_name = "TOKEN", env = "COREBAR_TOKEN", hide_env_values = true)]
    token: Option<Given>,

    /// The certificate of the client and its chain (PEM), which routers may ask for with TLS, and for `tls`.
    #[arg(long, value_name = "FILE", env = "COREBAR_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM).
    #[arg(long, value_name = "FILE", env = "COREBAR_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The authorities whose certificates are trusted (PEM), instead of those of this system.
    #[arg(long, value_name = "FILE", env = "COREBAR_TLS_CA", conflicts_with = "tls_insecure")]
    tls_ca: Option<PathBuf>,

    /// Trust every certificate: whoever stands between may read and write along.
    #[arg(long)]
    tls_insecure: bool,

    /// What the client says besides, as `authextra`. May be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    authextra: Vec<Pair>,

    /// How messages are written. [default: the first of cbor, msgpack and json that the router takes]
    #[arg(long, value_enum, value_name = "NAME", env = "COREBAR_SERIALIZER")]
    serializer: Option<Format>,

    /// The largest message that is taken from the router, in octets. More than the default is sent as well.
    #[arg(long, value_name = "OCTETS", default_value_t = 16 << 20)]
    pub(super) message_bytes_max: usize,

    /// How long to wait for the session, and for the router's answers to requests.
    #[arg(long, value_name = "SECONDS", env = "COREBAR_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub(super) timeout: Duration,
}

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Not at all.
    Anonymous,
    /// By --ticket.
    Ticket,
    /// By --secret.
    Wampcra,
    /// By --secret.
    Scram,
    /// By --private-key.
    Cryptosign,
    /// By --token.
    Jwt,
    /// By --tls-cert.
    Tls,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Msgpack,
    Cbor,
    Ubjson,
}

impl Format {
    fn serializer(self) -> Serializer {
        match self {
            Format::Json => Serializer::Json,
            Format::Msgpack => Serializer::MsgPack,
            Format::Cbor => Serializer::Cbor,
            Format::Ubjson => Serializer::Ubjson,
        }
    }
}

/// A time in seconds, which need not be whole.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1e9).contains(number));
    number.map(Duration::from_secs_f64).ok_or_else(|| format!("{text:?} is not a number of seconds from 0 to 1e9"))
}

impl Login {
    /// Opens a session, and listens to the wish to stop from then on.
    ///
    /// # Errors
    /// A secret cannot be read, or the router cannot be reached or does not let the client in.
    pub(super) async fn begin(&self) -> Done<(Session, Stop)> {
        self.open(self.connect()?).await
    }

    /// The same for a session that may come back when its connection is lost.
    ///
    /// # Errors
    /// As [`Login::begin`].
    pub(super) async fn begin_lasting(&self, lasting: Lasting, output: Output) -> Done<(Session, Stop)> {
        let mut connect = self.connect()?;
        lasting.say(&mut connect, output);
        self.open(connect).await
    }

    /// Opens the session. At a keyboard that is asked for secrets before, Ctrl-C does what it usually does.
    async fn open(&self, connect: Connect) -> Done<(Session, Stop)> {
        let mut stop = Stop::watch()?;
        let opened = tokio::select! {
            opened = connect.open() => opened,
            () = stop.asked() => return Err(Failure::interrupted()),
        };
        let session = opened.map_err(|why| Failure::of_connect(&self.url, &self.realm, &why))?;
        Ok((session, stop))
    }

    /// How the session is opened.
    fn connect(&self) -> Done<Connect> {
        let mut connect = Connect::new(&self.url, &self.realm);
        connect.authid.clone_from(&self.authid);
        connect.credentials = self.credentials()?;
        let mut authextra = Dict::new();
        values::add_options(&mut authextra, &self.authextra);
        connect.authextra = authextra;
        if let Some(format) = self.serializer {
            connect.serializers = vec![format.serializer()];
        }
        connect.message_bytes_max = self.message_bytes_max;
        connect.sent_message_bytes_max = connect.sent_message_bytes_max.max(self.message_bytes_max);
        connect.trust = match &self.tls_ca {
            _ if self.tls_insecure => Trust::Unchecked,
            Some(path) => Trust::Authorities(path.clone()),
            None => Trust::System,
        };
        if let (Some(certificate), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) {
            connect.certificate = Some(Certificate { certificate, key });
        }
        connect.timeout = self.timeout;
        Ok(connect)
    }

    /// What is offered, the best first.
    fn credentials(&self) -> Done<Vec<Credential>> {
        let by_flags = || {
            let given = [
                (self.private_key.is_some(), Method::Cryptosign),
                (self.token.is_some(), Method::Jwt),
                (self.secret.is_some(), Method::Scram),
                (self.secret.is_some(), Method::Wampcra),
                (self.ticket.is_some(), Method::Ticket),
                (self.tls_cert.is_some(), Method::Tls),
            ];
            given.into_iter().filter(|(is, _)| *is).map(|(_, method)| method).collect()
        };
        let methods: Vec<Method> = if self.authmethod.is_empty() { by_flags() } else { self.authmethod.clone() };
        // The keyboard is asked once.
        let wanted = |one: &[Method]| methods.iter().any(|method| one.contains(method));
        let get = |given: &Option<Given>, name, by: &[Method]| match given {
            Some(given) if wanted(by) => given.get(name).map(Some),
            _ => Ok(None),
        };
        let ticket = get(&self.ticket, "ticket", &[Method::Ticket])?;
        let secret = get(&self.secret, "secret", &[Method::Wampcra, Method::Scram])?;
        let token = get(&self.token, "token", &[Method::Jwt])?;
        let need = |secret: &Option<_>, method: &str, flag: &str| {
            secret.clone().ok_or_else(|| Failure::usage(format!("--authmethod {method} needs --{flag}")))
        };
        let credential = |method: &Method| match method {
            Method::Anonymous => Ok(Credential::Anonymous),
            Method::Ticket => need(&ticket, "ticket", "ticket").map(Credential::Ticket),
            Method::Wampcra => need(&secret, "wampcra", "secret").map(Credential::Cra),
            Method::Scram => need(&secret, "scram", "secret").map(Credential::Scram),
            Method::Jwt => need(&token, "jwt", "token").map(Credential::Token),
            Method::Tls if self.tls_cert.is_none() => Err(Failure::usage("--authmethod tls needs --tls-cert")),
            Method::Tls => Ok(Credential::Certificate),
            Method::Cryptosign => {
                let path = self.private_key.as_deref();
                let path = path.ok_or_else(|| Failure::usage("--authmethod cryptosign needs --private-key"))?;
                private_key(path).map(Credential::Cryptosign)
            }
        };
        methods.iter().map(credential).collect()
    }

    /// Waits for the answer to a request, but not for ever.
    ///
    /// # Errors
    /// It does not come in time.
    pub(super) async fn soon<T>(&self, what: &str, answer: impl Future<Output = T>) -> Done<T> {
        let answer = tokio::time::timeout(self.timeout, answer).await;
        answer.map_err(|_| Failure::late(format!("{what}: no answer within {} s", self.timeout.as_secs_f64())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        login: Login,
    }

    fn credentials(args: &[&str]) -> Done<Vec<Credential>> {
        let args = std::iter::once(&"program").chain(args);
        Program::try_parse_from(args).expect("good flags").login.credentials()
    }

    #[test]
    fn what_is_given_is_offered() {
        assert_eq!(credentials(&[]).expect("nothing"), []);
        let secret = || crate::auth::config::Secret(b"x".as_slice().into());
        let all = [Credential::Scram(secret()), Credential::Cra(secret()), Credential::Ticket(secret())];
        assert_eq!(credentials(&["--secret", "x", "--ticket", "x"]).expect("three"), all);
        let chosen = ["--secret", "x", "--ticket", "x", "--authmethod", "wampcra,anonymous"];
        let both = [Credential::Cra(secret()), Credential::Anonymous];
        assert_eq!(credentials(&chosen).expect("two"), both);
        let missing = credentials(&["--authmethod", "ticket"]).expect_err("no ticket");
        assert!(format!("{missing:?}").contains("--authmethod ticket needs --ticket"));
        assert!(credentials(&["--private-key", "/nonexistent"]).is_err());
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "-1", "inf", "nan", "1s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
