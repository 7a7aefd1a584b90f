//! Values as they stand in messages, independent of the serialization.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// A value. Integers and floats differ, as do texts and octets.
#[derive(Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Above the range of `Int` only.
    UInt(u64),
    Float(f64),
    Str(String),
    Bin(Vec<u8>),
    List(Vec<Value>),
    Dict(BTreeMap<String, Value>),
}

impl Value {
    /// A non-negative integer; anything else fails the test.
    #[track_caller]
    pub fn uint(&self) -> u64 {
        match self {
            Value::Int(value) if *value >= 0 => value.unsigned_abs(),
            Value::UInt(value) => *value,
            other => panic!("{other:?} is not a non-negative integer"),
        }
    }

    /// A text; anything else fails the test.
    #[track_caller]
    pub fn str(&self) -> &str {
        match self {
            Value::Str(value) => value,
            other => panic!("{other:?} is not a text"),
        }
    }

    /// A list; anything else fails the test.
    #[track_caller]
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(value) => value,
            other => panic!("{other:?} is not a list"),
        }
    }

    /// A dictionary; anything else fails the test.
    #[track_caller]
    pub fn dict(&self) -> &BTreeMap<String, Value> {
        match self {
            Value::Dict(value) => value,
            other => panic!("{other:?} is not a dictionary"),
        }
    }
}

impl PartialEq<serde_json::Value> for Value {
    fn eq(&self, other: &serde_json::Value) -> bool {
        let other = Value::from(other.clone());
        *self == other
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::UInt(value) => value.fmt(f),
            Value::Float(value) => value.fmt(f),
            Value::Str(value) if value.len() > 200 => write!(f, "a text of {} octets", value.len()),
            Value::Str(value) => value.fmt(f),
            Value::Bin(value) if value.len() > 50 => write!(f, "{} octets", value.len()),
            Value::Bin(value) => write!(f, "0x{}", data_encoding::HEXLOWER.encode(value)),
            Value::List(value) => value.fmt(f),
            Value::Dict(value) => value.fmt(f),
        }
    }
}

/// A text that begins with U+0000 is taken for octets in base64, as the specification has it for JSON.
impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => Value::Int(value),
                (_, Some(value), _) => Value::UInt(value),
                (.., value) => Value::Float(value.expect("a number is one of the three")),
            },
            Json::String(value) => match value.strip_prefix('\0') {
                Some(octets) => Value::Bin(data_encoding::BASE64.decode(octets.as_bytes()).expect("base64")),
                None => Value::Str(value),
            },
            Json::Array(value) => Value::List(value.into_iter().map(Value::from).collect()),
            Json::Object(value) => Value::Dict(value.into_iter().map(|(k, v)| (k, Value::from(v))).collect()),
        }
    }
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => value.into(),
            Value::Int(value) => value.into(),
            Value::UInt(value) => value.into(),
            Value::Float(value) => value.into(),
            Value::Str(value) => value.into(),
            Value::Bin(value) => format!("\0{}", data_encoding::BASE64.encode(&value)).into(),
            Value::List(value) => value.into_iter().map(serde_json::Value::from).collect(),
            Value::Dict(value) => value.into_iter().map(|(k, v)| (k, serde_json::Value::from(v))).collect(),
        }
    }
}

/// For the binary serializations.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::UInt(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Str(value) => serializer.serialize_str(value),
            Value::Bin(value) => serializer.serialize_bytes(value),
            Value::List(value) => {
                let mut list = serializer.serialize_seq(Some(value.len()))?;
                value.iter().try_for_each(|element| list.serialize_element(element))?;
                list.end()
            }
            Value::Dict(value) => {
                let mut dict = serializer.serialize_map(Some(value.len()))?;
                value.iter().try_for_each(|(key, value)| dict.serialize_entry(key, value))?;
                dict.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Str(value.into()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bin(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Value::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut dict: A) -> Result<Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = dict.next_entry::<String, Value>()? {
            assert!(entries.insert(key.clone(), value).is_none(), "key {key:?} stands twice");
        }
        Ok(Value::Dict(entries))
    }
}
