//! The `options` of transports, as Crossbar.io has them. They hold for their own transport; what one does not say is as
//! the settings below `corebar` have it.

use super::settings::TIME_MAX;
use super::{Fault, Read, Reader, asks};
use crate::config::connection::{Compression, ConnectionConfig};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

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
    /// Limits and times of its connections.
    pub(super) connection: ConnectionConfig,
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
    /// From accepting the socket to the end of its handshake. Of several transports at one endpoint the longest counts. 0
    /// does not switch it off.
    #[schemars(schema_with = "milliseconds_schema", extend("x-setting" = "transport.handshake_timeout"))]
    open_handshake_timeout: Option<u64>,
    /// From the router's last word to the client's closing the connection. 0 does not switch it off.
    #[schemars(schema_with = "milliseconds_schema", extend("x-setting" = "transport.close_timeout"))]
    close_handshake_timeout: Option<u64>,
    /// A client that has been silent for so long is sent a ping. 0: never.
    #[schemars(schema_with = "milliseconds_schema", extend("x-setting" = "transport.ping_interval"))]
    auto_ping_interval: Option<u64>,
    /// How long the answer to a ping may take. 0: as long as it likes; a connection that is gone is noticed by the system.
    #[schemars(schema_with = "milliseconds_schema", extend("x-setting" = "transport.ping_timeout"))]
    auto_ping_timeout: Option<u64>,
    /// Octets of a ping. Without it, none.
    #[schemars(range(min = 12, max = 125), extend("x-unit" = "octets", "x-crossbar" = "sends 4 if nothing is said"))]
    auto_ping_size: Option<u64>,
    /// Whatever comes puts the next ping off. Has no effect: it does.
    #[schemars(extend("deprecated" = true, "default" = true))]
    auto_ping_restart_on_any_traffic: Option<bool>,
    /// Octets of a frame from a client, compressed or not. Beyond: as for messages. 0: as many as a message.
    #[schemars(range(max = MESSAGE_BYTES_MAX), extend("x-unit" = "octets", "default" = 0))]
    max_frame_size: Option<u64>,
    /// Send messages in frames of so many octets at most. 0: a message is one frame.
    #[schemars(range(max = MESSAGE_BYTES_MAX), extend("x-unit" = "octets", "default" = 0))]
    auto_fragment_size: Option<u64>,
    /// A client that breaks the protocol is cut off without a word. Else it is told why, by ABORT and a close frame.
    #[schemars(extend("default" = false))]
    fail_by_drop: Option<bool>,
    /// Send the client's reason for closing back to it. Has no effect: its code is sent back.
    #[schemars(extend("deprecated" = true, "default" = false))]
    echo_close_codereason: Option<bool>,
    /// Compression of messages. An object without `deflate` switches it off.
    #[schemars(extend("default" = {"deflate": {}}, "x-crossbar" = "does not compress if nothing is said"))]
    compression: Option<CompressionOptions>,
    /// Clients have to name a subprotocol. Else those that name none at all speak JSON, if that is spoken.
    #[schemars(extend("default" = true))]
    require_websocket_subprotocol: Option<bool>,
    /// Browsers that come without WebSocket get a page. Else they get 426.
    #[schemars(extend("default" = true))]
    enable_webstatus: Option<bool>,
    /// Say in the handshake which version of the router it is. Has no effect: it is not said.
    #[schemars(extend("deprecated" = true, "default" = false))]
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

/// Which compression is accepted if the client offers it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CompressionOptions {
    /// Each message for itself (permessage-deflate, without context takeover).
    deflate: Option<DeflateOptions>,
}

/// Options of permessage-deflate (RFC 7692).
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct DeflateOptions {
    /// The largest window for what the router sends: 2 to the power of it, in octets. Larger ones save traffic.
    #[schemars(range(min = *WINDOW_BITS.start(), max = *WINDOW_BITS.end()), extend("default" = 15, "x-unit" = "bits"))]
    max_window_bits: Option<u64>,
    /// The largest window for what clients send. Has no effect: any is understood.
    #[schemars(range(min = *WINDOW_BITS.start(), max = *WINDOW_BITS.end()), extend("deprecated" = true))]
    request_max_window_bits: Option<u64>,
    /// The router compresses each message for itself. Has no effect: it does.
    #[allow(dead_code, reason = "it does")]
    #[schemars(extend("deprecated" = true, "default" = true))]
    no_context_takeover: Option<bool>,
    /// Clients are asked to compress each message for itself. Has no effect: they are.
    #[allow(dead_code, reason = "they are")]
    #[schemars(extend("deprecated" = true, "default" = true))]
    request_no_context_takeover: Option<bool>,
    /// Memory that compression takes. Has no effect: there is one compressor for each core and window.
    #[allow(dead_code, reason = "there is one compressor for each core and window")]
    #[schemars(extend("deprecated" = true))]
    memory_level: Option<u64>,
}

/// Windows that can be had.
const WINDOW_BITS: RangeInclusive<u64> = 9..=15;

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
    /// Does nothing, as in Crossbar.io: what is logged is said by levels.
    #[schemars(extend("deprecated" = true))]
    debug: Option<Value>,
    /// Has no effect.
    #[schemars(extend("deprecated" = true))]
    debug_transport_id: Option<Value>,
}

fn milliseconds_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-unit": "milliseconds", "anyOf": [
        {"const": 0}, {"type": "integer", "minimum": 1000, "maximum": MILLISECONDS_MAX}, {"type": "null"}]})
}

impl WebSocketOptions {
    /// Reads them.
    pub(super) fn read(self, reader: &mut Reader, at: &str) -> Read<Own> {
        let given = [
            ("external_port", self.external_port.is_some()),
            ("enable_hybi10", self.enable_hybi10 == Some(true)),
            ("enable_rfc6455", self.enable_rfc6455 == Some(false)),
            ("validate_utf8", self.validate_utf8 == Some(false)),
            ("mask_server_frames", self.mask_server_frames == Some(true)),
            ("require_masked_client_frames", self.require_masked_client_frames == Some(false)),
            ("apply_mask", self.apply_mask == Some(false)),
            ("echo_close_codereason", self.echo_close_codereason == Some(true)),
            ("tcp_nodelay", self.tcp_nodelay == Some(false)),
            ("auto_ping_restart_on_any_traffic", self.auto_ping_restart_on_any_traffic == Some(false)),
            ("enable_flash_policy", self.enable_flash_policy == Some(true)),
            ("flash_policy", self.flash_policy.is_some()),
            ("show_server_version", self.show_server_version == Some(true)),
        ];
        reader.without_effect(at, &given);
        let compression = self.compression.map(|compression| compression.read(&format!("{at}.compression")));
        let connection = ConnectionConfig {
            message_bytes_max: message_size(reader, self.max_message_size, at)?,
            frame_bytes_max: match self.max_frame_size {
                None | Some(0) => None,
                Some(size) => {
                    let size = number(size, 1, MESSAGE_BYTES_MAX, "octets", &format!("{at}.max_frame_size"))?;
                    Some(size as usize)
                }
            },
            fragment_bytes: match self.auto_fragment_size {
                None => None,
                Some(size) => {
                    let size = number(size, 0, MESSAGE_BYTES_MAX, "octets", &format!("{at}.auto_fragment_size"))?;
                    NonZeroU32::new(size as u32)
                }
            },
            handshake_timeout: handshake(reader, self.open_handshake_timeout, "open_handshake_timeout", at)?,
            close_timeout: handshake(reader, self.close_handshake_timeout, "close_handshake_timeout", at)?,
            ping_interval: milliseconds(self.auto_ping_interval, &format!("{at}.auto_ping_interval"))?,
            ping_timeout: milliseconds(self.auto_ping_timeout, &format!("{at}.auto_ping_timeout"))?,
            ping_bytes: self
                .auto_ping_size
                .map(|size| number(size, 12, 125, "octets", &format!("{at}.auto_ping_size")))
                .transpose()?
                .map(|size| size as u8),
            compression: compression.transpose()?.unwrap_or_default(),
            drops_faults: self.fail_by_drop == Some(true),
            assumes_json: self.require_websocket_subprotocol == Some(false),
            no_page: self.enable_webstatus == Some(false),
            ..ConnectionConfig::default()
        };
        Ok(Own { origins: self.allowed_origins, null_origin: self.allow_null_origin, connection })
    }
}

impl RawSocketOptions {
    /// Reads them.
    pub(super) fn read(self, reader: &mut Reader, at: &str) -> Read<Own> {
        let message_bytes_max = message_size(reader, self.max_message_size, at)?;
        Ok(Own { connection: ConnectionConfig { message_bytes_max, ..ConnectionConfig::default() }, ..Own::default() })
    }
}

impl LongPollOptions {
    /// Changes what its connections have by these.
    pub(super) fn read(self, reader: &mut Reader, at: &str, connection: &mut ConnectionConfig) -> Read<()> {
        let given = [
            ("queue_limit_bytes", self.queue_limit_bytes.is_some()),
            ("queue_limit_messages", self.queue_limit_messages.is_some()),
            ("debug_transport_id", asks(self.debug_transport_id.as_ref())),
        ];
        reader.without_effect(at, &given);
        reader.note_debug(at, self.debug.as_ref());
        let seconds = |seconds: Option<u64>, key: &str| match seconds {
            None => Ok(None),
            // As long as anybody may want there.
            Some(0) => Ok(Some(Duration::from_secs(TIME_MAX as u64))),
            Some(seconds) => {
                let seconds = number(seconds, 1, TIME_MAX as u64, "seconds", &format!("{at}.{key}"))?;
                Ok(Some(Duration::from_secs(seconds)))
            }
        };
        connection.receive_timeout = seconds(self.request_timeout, "request_timeout")?;
        connection.idle_timeout = seconds(self.session_timeout, "session_timeout")?;
        Ok(())
    }
}

impl CompressionOptions {
    fn read(self, at: &str) -> Read<Compression> {
        let Some(deflate) = self.deflate else { return Ok(Compression::No) };
        let bits = |bits: Option<u64>, key: &str| {
            bits.map(|bits| {
                number(bits, *WINDOW_BITS.start(), *WINDOW_BITS.end(), "bits", &format!("{at}.deflate.{key}"))
            })
            .transpose()
        };
        bits(deflate.request_max_window_bits, "request_max_window_bits")?;
        let window = bits(deflate.max_window_bits, "max_window_bits")?;
        Ok(Compression::Deflate(window.map_or(15, |bits| bits as u8)))
    }
}

fn message_size(reader: &mut Reader, size: Option<u64>, at: &str) -> Read<Option<usize>> {
    let Some(size) = size else { return Ok(None) };
    let at = format!("{at}.max_message_size");
    let size = number(size, 1, MESSAGE_BYTES_MAX, "octets", &at)?;
    if size < MESSAGE_BYTES_MIN {
        reader.warn(&at, &format!("is {size}, and {MESSAGE_BYTES_MIN} is the least that is supported"));
    }
    Ok(Some(size.max(MESSAGE_BYTES_MIN) as usize))
}

/// A time limit that strangers cannot be without.
fn handshake(reader: &mut Reader, time: Option<u64>, key: &str, at: &str) -> Read<Option<Duration>> {
    let at = format!("{at}.{key}");
    if time == Some(0) {
        reader.warn(&at, "is 0, which does not switch it off here");
        return Ok(None);
    }
    milliseconds(time, &at)
}

fn milliseconds(time: Option<u64>, at: &str) -> Read<Option<Duration>> {
    match time {
        None => Ok(None),
        Some(0) => Ok(Some(Duration::ZERO)),
        Some(time) => {
            number(time, 1000, MILLISECONDS_MAX, "milliseconds", at).map(|time| Some(Duration::from_millis(time)))
        }
    }
}

fn number(value: u64, min: u64, max: u64, unit: &str, at: &str) -> Read<u64> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Fault::new(at, format!("is {value}, not a number of {unit} from {min} to {max}")))
}
