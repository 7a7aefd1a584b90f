//! The `options` of transports, as Crossbar.io has them. What is understood holds for the whole process.

use super::settings::{KEY, TIME_MAX};
use super::{Fault, Read, Reader, read};
use crate::config::RuntimeConfig;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A setting that options of transports have given.
#[derive(Debug)]
pub(super) struct Taken {
    /// As below `corebar`.
    setting: &'static str,
    at: String,
    value: u64,
}

/// The smallest limit of messages that can be negotiated with RawSocket.
const MESSAGE_BYTES_MIN: u64 = 512;
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Options that are milliseconds, and the settings that mean the same.
const MILLISECONDS: [(&str, &str); 4] = [
    ("open_handshake_timeout", "transport.handshake_timeout"),
    ("close_handshake_timeout", "transport.close_timeout"),
    ("auto_ping_interval", "transport.ping_interval"),
    ("auto_ping_timeout", "transport.ping_timeout"),
];

/// What the options of one transport say of that one alone.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The pages that may connect.
    pub(super) origins: Option<Vec<Box<str>>>,
    /// Pages without an origin may.
    pub(super) null_origin: Option<bool>,
}

/// An option, and whether its value asks for what is done anyway.
type Known = (&'static str, fn(&Value) -> bool);

/// Options that change nothing.
const KNOWN: [Known; 20] = [
    ("external_port", never),
    ("enable_hybi10", |value| *value == false),
    ("enable_rfc6455", |value| *value == true),
    ("enable_webstatus", |value| *value == true),
    ("validate_utf8", |value| *value == true),
    ("mask_server_frames", |value| *value == false),
    ("require_masked_client_frames", |value| *value == true),
    ("apply_mask", |value| *value == true),
    ("max_frame_size", |value| *value == 0),
    ("auto_fragment_size", |value| *value == 0),
    ("fail_by_drop", |value| *value == false),
    ("echo_close_codereason", never),
    ("tcp_nodelay", |value| *value == true),
    ("auto_ping_size", never),
    ("auto_ping_restart_on_any_traffic", never),
    ("enable_flash_policy", |value| *value == false),
    ("flash_policy", never),
    ("compression", |value| *value == serde_json::json!({"deflate": {}})),
    ("require_websocket_subprotocol", |value| *value == true),
    ("show_server_version", never),
];

fn never(_: &Value) -> bool {
    false
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongPoll {
    request_timeout: Option<u64>,
    session_timeout: Option<u64>,
    queue_limit_bytes: Option<Value>,
    queue_limit_messages: Option<Value>,
    debug: Option<Value>,
    debug_transport_id: Option<Value>,
}

/// Reads the options of a WebSocket or RawSocket transport.
pub(super) fn read_options(
    reader: &mut Reader,
    options: Option<Value>,
    websocket: bool,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<Own> {
    let mut own = Own::default();
    let options: BTreeMap<String, Value> = options.map_or(Ok(BTreeMap::new()), |options| read(options, at))?;
    for (key, value) in options {
        let at = format!("{at}.{key}");
        if key == "max_message_size" {
            let size = number(&value, 1, MESSAGE_BYTES_MAX, "octets", &at)?;
            if size < MESSAGE_BYTES_MIN {
                reader.warn(&at, &format!("is {size}, and {MESSAGE_BYTES_MIN} is the least that is supported"));
            }
            take(reader, config, "transport.message_bytes_max", &at, size.max(MESSAGE_BYTES_MIN));
            continue;
        }
        if websocket && key == "allowed_origins" {
            own.origins = Some(read(value, &at)?);
            continue;
        }
        if websocket && key == "allow_null_origin" {
            own.null_origin = Some(read(value, &at)?);
            continue;
        }
        if let Some((_, setting)) = MILLISECONDS.iter().find(|(name, _)| websocket && *name == key) {
            if value == 0 && key == "auto_ping_interval" {
                take(reader, config, setting, &at, 0);
            } else if value == 0 && key == "auto_ping_timeout" {
                // Without a time limit there: a connection that is gone would be noticed by the system, some day.
            } else if value == 0 {
                reader.warn(&at, &format!("is 0, which does not switch it off here; see {KEY}.{setting}"));
            } else {
                let time = number(&value, 1000, TIME_MAX as u64 * 1000, "milliseconds", &at)?;
                take(reader, config, setting, &at, time);
            }
            continue;
        }
        match KNOWN.iter().find(|(name, _)| websocket && *name == key) {
            Some((_, is_so_anyway)) if is_so_anyway(&value) => {}
            Some(("max_frame_size", _)) => {
                reader.warn(&at, "has no effect: frames are limited with their messages, by max_message_size");
            }
            Some(_) => reader.warn(&at, "has no effect"),
            None => return Err(Fault::new(&at, "is no option of such a transport")),
        }
    }
    Ok(own)
}

/// Reads the options of a path of the type `longpoll`.
pub(super) fn read_longpoll(reader: &mut Reader, options: Value, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let options: LongPoll = read(options, at)?;
    let times = [
        ("request_timeout", "longpoll.receive_timeout", options.request_timeout),
        ("session_timeout", "longpoll.idle_timeout", options.session_timeout),
    ];
    for (key, setting, seconds) in times {
        let Some(seconds) = seconds else { continue };
        let at = format!("{at}.{key}");
        // 0 is as long as anybody may want there.
        let seconds =
            if seconds == 0 { TIME_MAX as u64 } else { number(&seconds.into(), 1, TIME_MAX as u64, "seconds", &at)? };
        take(reader, config, setting, &at, seconds * 1000);
    }
    let given = [
        ("queue_limit_bytes", options.queue_limit_bytes.is_some()),
        ("queue_limit_messages", options.queue_limit_messages.is_some()),
        ("debug", options.debug.is_some()),
        ("debug_transport_id", options.debug_transport_id.is_some()),
    ];
    reader.without_effect(at, &given);
    Ok(())
}

/// An option that is there for one transport is there for all, if there are others.
pub(super) fn say_that_they_hold_for_all(reader: &mut Reader) {
    if reader.parts < 2 {
        return;
    }
    for Taken { setting, at, .. } in std::mem::take(&mut reader.taken) {
        reader.warn(&at, &format!("holds for all transports, as {KEY}.{setting}"));
    }
}

fn number(value: &Value, min: u64, max: u64, unit: &str, at: &str) -> Read<u64> {
    let number = value.as_u64().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Fault::new(at, format!("is {value}, not a number of {unit} from {min} to {max}")))
}

/// Takes over what an option says, unless the file says it in the other way. Of several the largest holds, so that
/// nothing is refused that its own transport allows.
fn take(reader: &mut Reader, config: &mut RuntimeConfig, setting: &'static str, at: &str, value: u64) {
    if reader.given.iter().any(|given| given == setting) {
        reader.warn(at, &format!("has no effect beside {KEY}.{setting}"));
        return;
    }
    let time = Duration::from_millis(value);
    match reader.taken.iter_mut().find(|taken| taken.setting == setting) {
        Some(taken) if taken.value == value => return,
        Some(taken) => {
            let (known, largest) = (taken.at.clone(), taken.value.max(value));
            let larger = value > taken.value;
            if larger {
                (taken.at, taken.value) = (at.into(), value);
            }
            reader.warn(at, &format!("is not the same as {known}; the larger one holds for all: {largest}"));
            if !larger {
                return;
            }
        }
        None => reader.taken.push(Taken { setting, at: at.into(), value }),
    }
    match setting {
        // No larger than what was checked.
        "transport.message_bytes_max" => config.message_bytes_max = value as usize,
        "transport.handshake_timeout" => config.handshake_timeout = time,
        "transport.close_timeout" => config.close_timeout = time,
        "transport.ping_interval" => config.ping_interval = time,
        "transport.ping_timeout" => config.ping_timeout = time,
        "longpoll.receive_timeout" => config.longpoll_receive_timeout = time,
        "longpoll.idle_timeout" => config.longpoll_idle_timeout = time,
        other => unreachable!("no option is taken for {other}"),
    }
}
