//! Values to types.

use super::TypeError;
use crate::wamp::value::{Value, whole};
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{Deserializer, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

impl<'de> IntoDeserializer<'de, TypeError> for Value {
    type Deserializer = Value;

    fn into_deserializer(self) -> Value {
        self
    }
}

/// Integers may come as floats without a fraction: that is how JavaScript's binary serializers write large ones.
macro_rules! integers {
    ($($method:ident),* $(,)?) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
                match self {
                    Value::Float(value) => match (whole(value), whole(-value).and_then(|value| i64::try_from(value).ok())) {
                        (Some(value), _) => visitor.visit_u64(value),
                        (None, Some(value)) => visitor.visit_i64(-value),
                        (None, None) => visitor.visit_f64(value),
                    },
                    other => other.deserialize_any(visitor),
                }
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Value {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Value::Null | Value::Undefined => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Int(value) => visitor.visit_i64(value),
            Value::UInt(value) => visitor.visit_u64(value),
            Value::Float(value) => visitor.visit_f64(value),
            Value::Str(value) => visitor.visit_string(value.into()),
            Value::Bin(value) => visitor.visit_byte_buf(value.into()),
            Value::List(values) => {
                let mut list = SeqDeserializer::new(values.into_iter());
                let read = visitor.visit_seq(&mut list)?;
                list.end()?;
                Ok(read)
            }
            Value::Dict(dict) => {
                visitor.visit_map(MapDeserializer::new(dict.into_iter().map(|(key, value)| (String::from(key), value))))
            }
            Value::Map(pairs) => visitor.visit_map(MapDeserializer::new(pairs.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Value::Null | Value::Undefined => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let mut pairs = match self {
            Value::Str(name) => return visitor.visit_enum(Variant(name, None)),
            Value::Dict(dict) => dict.into_iter(),
            other => return Err(TypeError::custom(format_args!("a {} names no variant", other.kind()))),
        };
        match (pairs.next(), pairs.next()) {
            (Some((name, inner)), None) => visitor.visit_enum(Variant(name, Some(inner))),
            _ => Err(TypeError::custom("a variant is a dict with one key")),
        }
    }

    /// Octets are a list of numbers where a list is wanted: a `Vec<u8>`, for example.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self {
            Value::Bin(octets) => {
                let mut list = SeqDeserializer::new(Vec::from(octets).into_iter());
                let read = visitor.visit_seq(&mut list)?;
                list.end()?;
                Ok(read)
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_seq(visitor)
    }

    integers!(
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_i128,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_u128,
    );

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct tuple_struct map struct identifier
        ignored_any
    }
}

/// The name of a variant, and what is in it.
struct Variant(Box<str>, Option<Value>);

impl<'de> EnumAccess<'de> for Variant {
    type Error = TypeError;
    type Variant = Variant;

    fn variant_seed<V: serde::de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant), TypeError> {
        let name: StrDeserializer<'_, TypeError> = (*self.0).into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = TypeError;

    fn unit_variant(self) -> Result<(), TypeError> {
        match self.1 {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(TypeError::custom(format_args!("the variant '{}' holds nothing", self.0))),
        }
    }

    fn newtype_variant_seed<T: serde::de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TypeError> {
        let missing = TypeError::custom(format_args!("the variant '{}' holds something", self.0));
        seed.deserialize(self.1.ok_or(missing)?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, TypeError> {
        self.1.unwrap_or(Value::Null).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.1.unwrap_or(Value::Null).deserialize_any(visitor)
    }
}
