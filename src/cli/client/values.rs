//! Values as text, and back: JSON, with octets as WAMP writes them in JSON.

use crate::wamp::{Dict, Value, codec};
use data_encoding::BASE64;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::str::FromStr;

/// So deep may JSON in arguments be nested.
const DEPTH_MAX: u16 = 100;

/// The value that a text stands for: what it says if it is JSON, else the text itself.
pub(super) fn read(text: &str) -> Value {
    document(text.as_bytes()).unwrap_or_else(|_| text.into())
}

/// What JSON says.
///
/// # Errors
/// It is no JSON, or nested too deeply.
pub(super) fn document(octets: &[u8]) -> Result<Value, codec::DecodeError> {
    codec::json_document(octets, DEPTH_MAX)
}

/// A text without the end of its last line.
pub(super) fn without_end(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

/// The same for octets; what is no text is binary.
pub(super) fn read_octets(octets: Vec<u8>) -> Value {
    match String::from_utf8(octets) {
        Ok(text) => read(without_end(&text)),
        Err(binary) => Value::Bin(binary.into_bytes().into()),
    }
}

/// A value as JSON on one line.
pub(super) fn show(value: &Value) -> String {
    text(&Shown(value))
}

/// A text as it is, anything else as JSON.
pub(super) fn show_raw(value: &Value) -> String {
    value.as_str().map_or_else(|| show(value), str::to_owned)
}

/// Anything as JSON on one line.
pub(super) fn text(what: &impl Serialize) -> String {
    // Writing to memory cannot fail, and keys are text. What is not seen stands in strings alone, where it may be written so.
    let text = serde_json::to_string(what).unwrap_or_default();
    written_out(text, |letter| letter.is_control() || misleads(letter))
}

/// A value that is written as JSON, whatever it holds: what JSON does not know becomes null or text.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bin(octets) => serializer.serialize_str(&format!("\0{}", BASE64.encode(octets))),
            Value::List(values) => serializer.collect_seq(values.iter().map(Shown)),
            Value::Dict(dict) => ShownDict(dict).serialize(serializer),
            Value::Map(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(&show_raw(key), &Shown(value))?;
                }
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

/// A dictionary in the same way.
pub(super) struct ShownDict<'a>(pub(super) &'a Dict);

impl Serialize for ShownDict<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, &Shown(value))?;
        }
        map.end()
    }
}

/// A list in the same way.
pub(super) struct ShownList<'a>(pub(super) &'a [Value]);

impl Serialize for ShownList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Shown))
    }
}

/// A text without characters that steer terminals, except line ends, and in which those are seen that make it read as another.
pub(super) fn harmless(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter };
    written_out(text.chars().map(plain).collect(), misleads)
}

/// True for characters that are not seen, or change how others are seen, such as those that turn the direction of writing. The two
/// that join letters are left to the languages that need them.
fn misleads(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text in which such characters are written as JSON has them: `\u202e`.
fn written_out(text: String, such: impl Fn(char) -> bool) -> String {
    if !text.contains(&such) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if such(letter) {
            letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(letter);
        }
    }
    out
}

/// Arguments on one line: JSON after JSON, then `KEY=JSON`.
pub(super) fn line(args: &[Value], kwargs: &Dict) -> String {
    let named = kwargs.iter().map(|(key, value)| format!("{key}={}", show(value)));
    args.iter().map(show).chain(named).collect::<Vec<_>>().join(" ")
}

/// The same with texts as they are.
pub(super) fn raw_line(args: &[Value], kwargs: &Dict) -> String {
    let named = kwargs.iter().map(|(key, value)| format!("{key}={}", show_raw(value)));
    args.iter().map(show_raw).chain(named).collect::<Vec<_>>().join(" ")
}

/// `KEY=VALUE` as it stands on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Pair, &'static str> {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("expected KEY=VALUE")?;
        Ok(Pair { key: key.into(), value: value.into() })
    }
}

/// Puts a pair into a dictionary, in the place of one of this key.
pub(super) fn put(dict: &mut Dict, key: &str, value: impl Into<Value>) {
    dict.remove(key);
    dict.push(key, value);
}

/// Options as they stand on the command line, over those that the command has set.
pub(super) fn add_options(options: &mut Dict, more: &[Pair]) {
    more.iter().for_each(|Pair { key, value }| put(options, key, read(value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_and_all_else_is_text() {
        for (text, value) in [
            ("5", Value::Int(5)),
            ("-1.5", Value::Float(-1.5)),
            ("true", Value::Bool(true)),
            ("\"5\"", "5".into()),
            ("hello", "hello".into()),
            ("5 apples", "5 apples".into()),
            ("", "".into()),
            ("[1,\"a\"]", Value::List(vec![Value::Int(1), "a".into()])),
            ("{\"a\":null}", Dict::new().with("a", Value::Null).into()),
            ("[1,", "[1,".into()),
            (r#""\u0000AAE=""#, Value::Bin([0, 1].as_slice().into())),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
        assert_eq!(read_octets(b"5\n".to_vec()), Value::Int(5));
        assert_eq!(read_octets(b"a\r\n".to_vec()), "a".into());
        assert_eq!(read_octets(vec![0xff]), Value::Bin([0xff].as_slice().into()));
    }

    #[test]
    fn everything_can_be_shown() {
        let map = Value::Map(vec![(Value::Int(1), Value::Float(f64::NAN)), ("a".into(), Value::Undefined)]);
        let bin = Value::Bin([0, 1].as_slice().into());
        let list = Value::List(vec![map, bin.clone(), Dict::new().with("b", bin).into(), Value::UInt(u64::MAX)]);
        let shown = r#"[{"1":null,"a":null},"\u0000AAE=",{"b":"\u0000AAE="},18446744073709551615]"#;
        assert_eq!(show(&list), shown);
        let kwargs = Dict::new().with("key", "a b");
        assert_eq!(line(&["x".into(), Value::Int(1)], &kwargs), r#""x" 1 key="a b""#);
        assert_eq!(raw_line(&["x".into(), Value::Int(1)], &kwargs), "x 1 key=a b");
        assert_eq!(harmless("a\u{1b}[1m\u{9b}ü\n"), "a\u{fffd}[1m\u{fffd}ü\n");
        assert_eq!(harmless("a\u{202e}b\u{2066}\u{e0041}"), "a\\u202eb\\u2066\\udb40\\udc41");
        let disguised = "\u{202e}\u{9b}\u{7f}\n\u{e0041}\u{200d}";
        let shown = text(&disguised);
        assert_eq!(shown, "\"\\u202e\\u009b\\u007f\\n\\udb40\\udc41\u{200d}\"");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), disguised);
    }

    #[test]
    fn pairs_have_keys() {
        assert_eq!("a=b=c".parse(), Ok(Pair { key: "a".into(), value: "b=c".into() }));
        assert_eq!("a=".parse(), Ok(Pair { key: "a".into(), value: String::new() }));
        assert!("a".parse::<Pair>().is_err() && "=a".parse::<Pair>().is_err());
    }
}
