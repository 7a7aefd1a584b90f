//! The options of requests, read once and checked.

use super::audience::Audience;
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::value::WrongType;
use crate::wamp::{Dict, MatchPolicy, Value, error};
use std::sync::Arc;

/// Why a request cannot be done: the URI and the text of an ERROR.
pub type Refused = (&'static str, String);

/// Options that cannot be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// They break the protocol.
    Breach(WrongType),
    /// They are well formed, but cannot be done.
    Refused(Refused),
}

impl From<WrongType> for Unfit {
    fn from(wrong: WrongType) -> Self {
        Unfit::Breach(wrong)
    }
}

impl From<Refused> for Unfit {
    fn from(refused: Refused) -> Self {
        Unfit::Refused(refused)
    }
}

/// What goes with payload that the router passes on unseen (specification, "Payload Passthru Mode"), and the `enc_*`
/// attributes of clients that came before that chapter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passthru {
    /// The attributes, as they came.
    pub attributes: Dict,
    /// `ppt_scheme` is there and not empty: both sides must have announced the feature.
    pub announced_only: bool,
}

impl Passthru {
    /// Reads the options or details of a message.
    ///
    /// # Errors
    /// One of the `ppt_*` attributes that the specification knows is no string.
    pub fn read(options: &Dict) -> Result<Passthru, WrongType> {
        let ours = |key: &str| key.starts_with("ppt_") || key.starts_with("enc_");
        for key in ["ppt_serializer", "ppt_cipher", "ppt_keyid"] {
            options.str(key)?;
        }
        let attributes = options.iter().filter(|(key, _)| ours(key)).map(|(key, value)| (key.into(), value.clone()));
        let announced_only = options.str("ppt_scheme")?.is_some_and(|scheme| !scheme.is_empty());
        Ok(Passthru { attributes: attributes.collect(), announced_only })
    }
}

/// Reads `forward_for`: for whom a message is passed on, the first one first. What else its entries hold goes along.
///
/// # Errors
/// It is no list, or an entry does not say the session, authid and authrole.
pub fn forward_for(options: &Dict) -> Result<Option<Value>, WrongType> {
    let wrong = |wanted, found: &Value| WrongType { key: FORWARD_FOR, wanted, found: found.kind() };
    let Some(value) = options.get(FORWARD_FOR) else { return Ok(None) };
    let Value::List(entries) = value else { return Err(wrong("list", value)) };
    for entry in entries {
        let dict = entry.as_dict().ok_or_else(|| wrong("list of dicts", entry))?;
        if dict.uint("session")?.is_none() || dict.str("authid")?.is_none() || dict.str("authrole")?.is_none() {
            return Err(wrong("list of dicts with session, authid and authrole", entry));
        }
    }
    Ok((!entries.is_empty()).then(|| value.clone()))
}

/// `PUBLISH.Options`.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishOptions {
    /// The publisher waits for PUBLISHED.
    pub acknowledge: bool,
    /// The publisher does not want to get the event itself.
    pub exclude_me: bool,
    /// The publisher wants to be known to the receivers.
    pub disclose_me: bool,
    /// The event is kept as the topic's last value.
    pub retain: bool,
    /// Who may receive it, if not everybody.
    pub audience: Option<Box<Audience>>,
    /// Chooses the node of each subscription that gets it.
    pub rkey: Option<Box<str>>,
    /// Goes to the receivers as it is.
    pub passthru: Passthru,
    /// For whom it is passed on: see [`forward_for`].
    pub forward_for: Option<Value>,
}

impl Default for PublishOptions {
    fn default() -> Self {
        PublishOptions {
            acknowledge: false,
            exclude_me: true,
            disclose_me: false,
            retain: false,
            audience: None,
            rkey: None,
            passthru: Passthru::default(),
            forward_for: None,
        }
    }
}

impl PublishOptions {
    /// Roughly how many octets of memory they take beside what all options do.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.audience.as_ref().map_or(0, |audience| audience.weight())
            + self.passthru.attributes.weight()
            + self.rkey.as_ref().map_or(0, |key| key.len())
            + self.forward_for.as_ref().map_or(0, Value::weight)
    }

    /// Reads the options.
    ///
    /// # Errors
    /// An option has another type.
    pub fn read(options: &Dict) -> Result<PublishOptions, WrongType> {
        if options.is_empty() {
            return Ok(PublishOptions::default());
        }
        Ok(PublishOptions {
            acknowledge: options.bool("acknowledge")?.unwrap_or(false),
            exclude_me: options.bool("exclude_me")?.unwrap_or(true),
            disclose_me: options.bool("disclose_me")?.unwrap_or(false),
            retain: options.bool("retain")?.unwrap_or(false),
            audience: Audience::read(options)?,
            passthru: Passthru::read(options)?,
            rkey: options.str("rkey")?.map(Into::into),
            forward_for: forward_for(options)?,
        })
    }
}

/// `SUBSCRIBE.Options`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// How topics are compared.
    pub policy: MatchPolicy,
    /// The subscriber wants the retained events.
    pub get_retained: bool,
    /// The node that the subscriber belongs to, if it wants only its node's share of what has a routing key.
    pub nkey: Option<Arc<str>>,
}

impl SubscribeOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// An option has another type, or `match` is no match policy.
    pub fn read(options: &Dict) -> Result<SubscribeOptions, Unfit> {
        Ok(SubscribeOptions {
            policy: match_policy(options)?,
            get_retained: options.bool("get_retained")?.unwrap_or(false),
            nkey: options.str("nkey")?.map(Into::into),
        })
    }
}

/// How one of several callees is chosen (specification, "Shared Registration").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvokePolicy {
    /// There can be one callee only.
    #[default]
    Single,
    /// One after the other.
    RoundRobin,
    /// By chance.
    Random,
    /// The one that registered first.
    First,
    /// The one that registered last.
    Last,
}

impl InvokePolicy {
    /// Every policy.
    pub const ALL: [InvokePolicy; 5] =
        [InvokePolicy::Single, InvokePolicy::RoundRobin, InvokePolicy::Random, InvokePolicy::First, InvokePolicy::Last];

    /// The name in `REGISTER.Options.invoke`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            InvokePolicy::Single => "single",
            InvokePolicy::RoundRobin => "roundrobin",
            InvokePolicy::Random => "random",
            InvokePolicy::First => "first",
            InvokePolicy::Last => "last",
        }
    }
}

/// `REGISTER.Options`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterOptions {
    /// How procedures are compared.
    pub policy: MatchPolicy,
    /// How one of several callees is chosen.
    pub invoke: InvokePolicy,
    /// Calls that the callee works on at a time, 0 for any number.
    pub concurrency: u32,
    /// Takes the procedure away from whoever has it.
    pub force: bool,
    /// Callers are to be disclosed to the callee.
    pub disclose_caller: bool,
    /// The callee watches over the timeouts of calls itself.
    pub forward_timeout: bool,
}

impl RegisterOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// An option has another type or a value that means nothing.
    pub fn read(options: &Dict) -> Result<RegisterOptions, Unfit> {
        if options.is_empty() {
            return Ok(RegisterOptions::default());
        }
        let invoke = match options.str("invoke")? {
            None => InvokePolicy::Single,
            Some(name) => InvokePolicy::ALL.into_iter().find(|policy| policy.name() == name).ok_or_else(|| {
                let known = InvokePolicy::ALL.map(InvokePolicy::name).join(", ");
                (error::INVALID_ARGUMENT, format!("invoke must be one of {known}, not {name:?}"))
            })?,
        };
        let concurrency = match options.uint("concurrency")? {
            None => 0,
            Some(limit) => u32::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| {
                (error::INVALID_ARGUMENT, format!("concurrency must be from 1 to {}, not {limit}", u32::MAX))
            })?,
        };
        Ok(RegisterOptions {
            policy: match_policy(options)?,
            invoke,
            concurrency,
            force: options.bool("force_reregister")?.unwrap_or(false),
            disclose_caller: options.bool("disclose_caller")?.unwrap_or(false),
            forward_timeout: options.bool("forward_timeout")?.unwrap_or(false),
        })
    }
}

/// `CALL.Options`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// The caller takes several results.
    pub receive_progress: bool,
    /// Further parts of this call will come.
    pub progress: bool,
    /// Milliseconds after which the call fails, 0 for never.
    pub timeout: u64,
    /// The caller wants to be known to the callee.
    pub disclose_me: bool,
    /// Chooses among the callees of a shared registration, in place of its policy.
    pub rkey: Option<Box<str>>,
    /// Goes to the callee as it is.
    pub passthru: Passthru,
    /// For whom it is passed on: see [`forward_for`].
    pub forward_for: Option<Value>,
}

impl CallOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// An option has another type or a value that means nothing.
    pub fn read(options: &Dict) -> Result<CallOptions, Unfit> {
        let rkey = options.str("rkey")?.map(Into::into);
        let rkey = match options.str("runmode")? {
            None => None,
            Some("partition") if rkey.is_some() => rkey,
            Some("partition") => {
                return Err((error::INVALID_ARGUMENT, "runmode partition needs an rkey".to_string()).into());
            }
            Some("all") => {
                return Err((error::OPTION_NOT_ALLOWED, "runmode all is not supported".to_string()).into());
            }
            Some(other) => {
                return Err((error::INVALID_ARGUMENT, format!("runmode must be partition, not {other:?}")).into());
            }
        };
        Ok(CallOptions {
            receive_progress: options.bool("receive_progress")?.unwrap_or(false),
            progress: options.bool("progress")?.unwrap_or(false),
            timeout: options.uint("timeout")?.unwrap_or(0),
            disclose_me: options.bool("disclose_me")?.unwrap_or(false),
            rkey,
            passthru: Passthru::read(options)?,
            forward_for: forward_for(options)?,
        })
    }
}

fn match_policy(options: &Dict) -> Result<MatchPolicy, Unfit> {
    let Some(name) = options.str("match")? else { return Ok(MatchPolicy::Exact) };
    MatchPolicy::from_name(name).ok_or_else(|| {
        Unfit::Refused((error::INVALID_ARGUMENT, format!("match must be exact, prefix or wildcard, not {name:?}")))
    })
}

/// Adds attributes that go on to a receiver as they came.
pub fn append(details: &mut Dict, attributes: &Dict) {
    for (key, value) in attributes.iter() {
        details.push(key, Value::clone(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(read: Result<T, Unfit>) -> &'static str {
        match read {
            Err(Unfit::Refused((uri, _))) => uri,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn publish_options_have_defaults_and_types() {
        let read = |options: &Dict| PublishOptions::read(options).map(|o| (o.acknowledge, o.exclude_me));
        assert_eq!(read(&Dict::new()), Ok((false, true)));
        assert_eq!(read(&Dict::new().with("acknowledge", true).with("exclude_me", false)), Ok((true, false)));
        assert_eq!(read(&Dict::new().with("acknowledge", Value::Null)), Ok((false, true)));
        assert!(read(&Dict::new().with("acknowledge", 1)).is_err());
    }

    #[test]
    fn keys_of_sharded_subscriptions_are_strings() {
        let publish = |value: Value| PublishOptions::read(&Dict::new().with("rkey", value));
        assert_eq!(publish("".into()).expect("a string").rkey.as_deref(), Some(""));
        assert_eq!(publish(Value::Null).expect("absent").rkey, None);
        assert!(publish(Value::Int(1)).is_err());
        let subscribe = |value: Value| SubscribeOptions::read(&Dict::new().with("nkey", value));
        assert_eq!(subscribe("node23".into()).expect("a string").nkey.as_deref(), Some("node23"));
        assert_eq!(subscribe(Value::Null).expect("absent").nkey, None);
        assert!(matches!(subscribe(Value::Bool(true)), Err(Unfit::Breach(_))));
    }

    #[test]
    fn those_for_whom_is_forwarded_are_complete() {
        let publish = |value: Value| PublishOptions::read(&Dict::new().with("forward_for", value));
        let who = || Dict::new().with("session", 1).with("authid", "a").with("authrole", "b");
        let several = Value::List(vec![who().with("_more", true).into(), who().into()]);
        assert_eq!(publish(several.clone()).expect("complete").forward_for, Some(several.clone()));
        assert_eq!(publish(Value::List(Vec::new())).expect("nobody").forward_for, None);
        assert_eq!(publish(Value::Null).expect("absent").forward_for, None);
        for wrong in [
            Value::from("a"),
            vec![Value::from(1)].into(),
            vec![Dict::new().with("session", 1).with("authid", "a").into()].into(),
            vec![who().into(), Dict::new().with("session", "1").with("authid", "a").with("authrole", "b").into()]
                .into(),
        ] {
            assert!(publish(wrong.clone()).is_err(), "{wrong:?}");
            let call = CallOptions::read(&Dict::new().with("forward_for", wrong));
            assert!(matches!(call, Err(Unfit::Breach(_))));
        }
        let call = CallOptions::read(&Dict::new().with("forward_for", several.clone()));
        assert_eq!(call.expect("complete").forward_for, Some(several));
    }

    #[test]
    fn passthru_takes_its_own_attributes() {
        let options = Dict::new().with("ppt_scheme", "wamp").with("retain", true).with("ppt_keyid", "k");
        let passthru = Passthru::read(&options).expect("well formed");
        assert_eq!(passthru.attributes, Dict::new().with("ppt_scheme", "wamp").with("ppt_keyid", "k"));
        assert!(passthru.announced_only);
        assert!(!Passthru::read(&Dict::new().with("ppt_scheme", "")).expect("well formed").announced_only);
        assert!(Passthru::read(&Dict::new().with("ppt_scheme", 1)).is_err());
    }

    #[test]
    fn register_options_name_what_is_wrong() {
        let read = |key: &str, value: Value| RegisterOptions::read(&Dict::new().with(key, value));
        assert_eq!(read("invoke", "last".into()).expect("known").invoke, InvokePolicy::Last);
        assert_eq!(refused(read("invoke", "all".into())), error::INVALID_ARGUMENT);
        assert_eq!(refused(read("match", "regex".into())), error::INVALID_ARGUMENT);
        assert_eq!(refused(read("concurrency", Value::from(1_u64 << 40))), error::INVALID_ARGUMENT);
        assert_eq!(refused(read("concurrency", Value::Int(0))), error::INVALID_ARGUMENT);
        assert!(matches!(read("concurrency", Value::Int(-1)), Err(Unfit::Breach(_))));
    }

    #[test]
    fn partitions_need_a_key() {
        let read = |options: &Dict| CallOptions::read(options);
        let partition = Dict::new().with("runmode", "partition");
        assert_eq!(refused(read(&partition)), error::INVALID_ARGUMENT);
        assert_eq!(read(&partition.with("rkey", "k")).expect("complete").rkey.as_deref(), Some("k"));
        assert_eq!(read(&Dict::new().with("rkey", "k")).expect("ignored").rkey, None);
        assert_eq!(refused(read(&Dict::new().with("runmode", "all"))), error::OPTION_NOT_ALLOWED);
        assert_eq!(refused(read(&Dict::new().with("runmode", "some"))), error::INVALID_ARGUMENT);
    }
}
