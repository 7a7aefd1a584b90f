//! The `options` of transports, as Crossbar.io has them. What is understood holds for the whole process.

use super::settings::{KEY, TIME_MAX};
use super::{Fault, Read, Reader};
use crate::config::RuntimeConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
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
/// The longest time, in milliseconds.
const MILLISECONDS_MAX: u64 = TIME_MAX as u64 * 1000;

/// What the options of one transport say of that one alone.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The pages that may connect.
    pub(super) origins: Option<Vec<Box<str>>>,
    /// Pages without an origin may.
    pub(super) null_origin: Option<bool>,
}

/// Options of a WebSocket transport.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebSocketOptions {
    /// Pages whose scripts may connect: `scheme://host[:port]`, with `*` for any number of characters. Without it all may,
    /// but only those of the same origin where a cookie shows who a client is.
    #[schemars(extend("examples" = [["https://app.example", "https://*.app.example"]]))]
    allowed_origins: Option<Vec<Box<str>>>,
    /// Pages without an origin (files, for example) may connect. Without it they may, but not where a cookie shows who a
    /// client is.
    allow_null_origin: Option<bool>,
    /// Octets of a message from a client, after decompression. Beyond: ABORT and close code 1009. Less than 512 is taken as
    /// 512.
    #[schemars(range(min = 1, max = MESSAGE_BYTES_MAX), extend("x-unit" = "octets", "x-setting" = "transport.message_bytes_max"))]
    max_message_size: Option<u64>,
    /// From accepting the socket to the end of its handshake. 0 does not switch it off.
    #[schemars(schema_with = "milliseconds", extend("x-setting" = "transport.handshake_timeout"))]
    open_handshake_timeout: Option<u64>,
    /// From the router's last word to the client's closing the connection. 0 does not switch it off.
    #[schemars(schema_with = "milliseconds", extend("x-setting" = "transport.close_timeout"))]
    close_handshake_timeout: Option<u64>,
    /// A client that has been silent for so long is sent a ping. 0: never.
    #[schemars(schema_with = "milliseconds", extend("x-setting" = "transport.ping_interval"))]
    auto_ping_interval: Option<u64>,
    /// How long the answer to a ping may take. 0 leaves it as it is.
    #[schemars(schema_with = "milliseconds", extend("x-setting" = "transport.ping_timeout",
        "x-crossbar" = "waits for ever with 0"))]
    auto_ping_timeout: Option<u64>,
    /// Octets of a ping. Has no effect.
    #[schemars(range(min = 12, max = 125), extend("deprecated" = true))]
    auto_ping_size: Option<u64>,
    /// Whatever comes puts the next ping off. Has no effect: it does.
    #[schemars(extend("deprecated" = true))]
    auto_ping_restart_on_any_traffic: Option<bool>,
    /// Octets of a frame. Has no effect: frames are limited with their messages, by `max_message_size`.
    #[schemars(extend("deprecated" = true, "default" = 0))]
    max_frame_size: Option<u64>,
    /// Send messages in frames of so many octets. Has no effect: a message is one frame.
    #[schemars(extend("deprecated" = true, "default" = 0))]
    auto_fragment_size: Option<u64>,
    /// A client that breaks the protocol is cut off without a word. Has no effect: it is told why.
    #[schemars(extend("deprecated" = true, "default" = false))]
    fail_by_drop: Option<bool>,
    /// Send the client's reason for closing back to it. Has no effect.
    #[schemars(extend("deprecated" = true))]
    echo_close_codereason: Option<bool>,
    /// Compression of messages. Has no effect, unless it is what is done anyway: what the client offers is accepted.
    #[schemars(extend("deprecated" = true, "default" = {"deflate": {}}))]
    compression: Option<Value>,
    /// A subprotocol has to be named. Has no effect: it has to.
    #[schemars(extend("deprecated" = true, "default" = true))]
    require_websocket_subprotocol: Option<bool>,
    /// A page for browsers that come without WebSocket. Has no effect: there is one.
    #[schemars(extend("deprecated" = true, "default" = true))]
    enable_webstatus: Option<bool>,
    /// Say in the handshake which version of the router it is. Has no effect.
    #[schemars(extend("deprecated" = true))]
    show_server_version: Option<bool>,
    /// The port at which clients connect, if it is another. Has no effect.
    #[schemars(extend("deprecated" = true))]
    external_port: Option<u64>,
    /// Drafts of WebSocket. Has no effect: none is spoken.
    #[schemars(extend("deprecated" = true, "default" = false))]
    enable_hybi10: Option<bool>,
    /// WebSocket as it is. Has no effect: it is spoken.
    #[schemars(extend("deprecated" = true, "default" = true))]
    enable_rfc6455: Option<bool>,
    /// Check the encoding of texts. Has no effect: it is checked.
    #[schemars(extend("deprecated" = true, "default" = true))]
    validate_utf8: Option<bool>,
    /// Mask what the router sends. Has no effect: nothing is masked.
    #[schemars(extend("deprecated" = true, "default" = false))]
    mask_server_frames: Option<bool>,
    /// Refuse frames of clients that are not masked. Has no effect: they are refused.
    #[schemars(extend("deprecated" = true, "default" = true))]
    require_masked_client_frames: Option<bool>,
    /// Apply the mask. Has no effect: it is applied.
    #[schemars(extend("deprecated" = true, "default" = true))]
    apply_mask: Option<bool>,
    /// Send what is there without waiting for more. Has no effect: it is.
    #[schemars(extend("deprecated" = true, "default" = true))]
    tcp_nodelay: Option<bool>,
    /// Policies for Flash. Has no effect.
    #[schemars(extend("deprecated" = true, "default" = false))]
    enable_flash_policy: Option<bool>,
    /// The policy for Flash. Has no effect.
    #[schemars(extend("deprecated" = true))]
    flash_policy: Option<Value>,
}

/// Options of a RawSocket transport.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSocketOptions {
    /// Octets of a message from a client. Beyond: the connection is closed. Less than 512 is taken as 512.
    #[schemars(range(min = 1, max = MESSAGE_BYTES_MAX), extend("x-unit" = "octets", "x-setting" = "transport.message_bytes_max"))]
    max_message_size: Option<u64>,
}

/// Options of long-polling.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LongPollOptions {
    /// A `receive` without messages is answered after so long. 0: after a day.
    #[schemars(range(max = TIME_MAX as u64), extend("x-unit" = "seconds", "x-setting" = "longpoll.receive_timeout"))]
    request_timeout: Option<u64>,
    /// A transport from which nobody receives for so long is ended. 0: after a day.
    #[schemars(range(max = TIME_MAX as u64), extend("x-unit" = "seconds", "x-setting" = "longpoll.idle_timeout"))]
    session_timeout: Option<u64>,
    /// Octets that may wait. Has no effect; see `transport.out_queue_bytes_max`.
    #[schemars(extend("deprecated" = true))]
    queue_limit_bytes: Option<Value>,
    /// Messages that may wait. Has no effect.
    #[schemars(extend("deprecated" = true))]
    queue_limit_messages: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    debug_transport_id: Option<Value>,
}

fn milliseconds(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-unit": "milliseconds", "anyOf": [
        {"const": 0}, {"type": "integer", "minimum": 1000, "maximum": MILLISECONDS_MAX}, {"type": "null"}]})
}

/// Reads the options of a WebSocket transport.
pub(super) fn read_websocket(
    reader: &mut Reader,
    options: WebSocketOptions,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<Own> {
    take_size(reader, options.max_message_size, at, config)?;
    let times = [
        ("open_handshake_timeout", "transport.handshake_timeout", options.open_handshake_timeout),
        ("close_handshake_timeout", "transport.close_timeout", options.close_handshake_timeout),
        ("auto_ping_interval", "transport.ping_interval", options.auto_ping_interval),
        ("auto_ping_timeout", "transport.ping_timeout", options.auto_ping_timeout),
    ];
    for (key, setting, value) in times {
        let Some(value) = value else { continue };
        let at = format!("{at}.{key}");
        match (key, value) {
            ("auto_ping_interval", 0) => take(reader, config, setting, &at, 0),
            // Without a time limit there: a connection that is gone would be noticed by the system, some day.
            ("auto_ping_timeout", 0) => {}
            (_, 0) => reader.warn(&at, &format!("is 0, which does not switch it off here; see {KEY}.{setting}")),
            _ => {
                let time = number(value, 1000, MILLISECONDS_MAX, "milliseconds", &at)?;
                take(reader, config, setting, &at, time);
            }
        }
    }
    if options.max_frame_size.is_some_and(|size| size > 0) {
        let text = "has no effect: frames are limited with their messages, by max_message_size";
        reader.warn(&format!("{at}.max_frame_size"), text);
    }
    let given = [
        ("external_port", options.external_port.is_some()),
        ("enable_hybi10", options.enable_hybi10 == Some(true)),
        ("enable_rfc6455", options.enable_rfc6455 == Some(false)),
        ("enable_webstatus", options.enable_webstatus == Some(false)),
        ("validate_utf8", options.validate_utf8 == Some(false)),
        ("mask_server_frames", options.mask_server_frames == Some(true)),
        ("require_masked_client_frames", options.require_masked_client_frames == Some(false)),
        ("apply_mask", options.apply_mask == Some(false)),
        ("auto_fragment_size", options.auto_fragment_size.is_some_and(|size| size > 0)),
        ("fail_by_drop", options.fail_by_drop == Some(true)),
        ("echo_close_codereason", options.echo_close_codereason.is_some()),
        ("tcp_nodelay", options.tcp_nodelay == Some(false)),
        ("auto_ping_size", options.auto_ping_size.is_some()),
        ("auto_ping_restart_on_any_traffic", options.auto_ping_restart_on_any_traffic.is_some()),
        ("enable_flash_policy", options.enable_flash_policy == Some(true)),
        ("flash_policy", options.flash_policy.is_some()),
        ("compression", options.compression.is_some_and(|value| value != json!({"deflate": {}}))),
        ("require_websocket_subprotocol", options.require_websocket_subprotocol == Some(false)),
        ("show_server_version", options.show_server_version.is_some()),
    ];
    reader.without_effect(at, &given);
    Ok(Own { origins: options.allowed_origins, null_origin: options.allow_null_origin })
}

/// Reads the options of a RawSocket transport.
pub(super) fn read_rawsocket(
    reader: &mut Reader,
    options: RawSocketOptions,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<Own> {
    take_size(reader, options.max_message_size, at, config)?;
    Ok(Own::default())
}

fn take_size(reader: &mut Reader, size: Option<u64>, at: &str, config: &mut RuntimeConfig) -> Read<()> {
    let Some(size) = size else { return Ok(()) };
    let at = format!("{at}.max_message_size");
    let size = number(size, 1, MESSAGE_BYTES_MAX, "octets", &at)?;
    if size < MESSAGE_BYTES_MIN {
        reader.warn(&at, &format!("is {size}, and {MESSAGE_BYTES_MIN} is the least that is supported"));
    }
    take(reader, config, "transport.message_bytes_max", &at, size.max(MESSAGE_BYTES_MIN));
    Ok(())
}

/// Reads the options of a path of the type `longpoll`.
pub(super) fn read_longpoll(
    reader: &mut Reader,
    options: LongPollOptions,
    at: &str,
    config: &mut RuntimeConfig,
) -> Read<()> {
    let times = [
        ("request_timeout", "longpoll.receive_timeout", options.request_timeout),
        ("session_timeout", "longpoll.idle_timeout", options.session_timeout),
    ];
    for (key, setting, seconds) in times {
        let Some(seconds) = seconds else { continue };
        let at = format!("{at}.{key}");
        // 0 is as long as anybody may want there.
        let seconds = if seconds == 0 { TIME_MAX as u64 } else { number(seconds, 1, TIME_MAX as u64, "seconds", &at)? };
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

fn number(value: u64, min: u64, max: u64, unit: &str, at: &str) -> Read<u64> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Fault::new(at, format!("is {value}, not a number of {unit} from {min} to {max}")))
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
