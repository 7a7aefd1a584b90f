//! Types to values.

use super::TypeError;
use crate::wamp::value::{Dict, Value};
use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// A dictionary if all keys are text, else a map.
pub(super) fn map(pairs: Vec<(Value, Value)>) -> Value {
    if !pairs.iter().all(|(key, _)| matches!(key, Value::Str(_))) {
        return Value::Map(pairs);
    }
    let pairs = pairs.into_iter().filter_map(|(key, value)| match key {
        Value::Str(key) => Some((key, value)),
        _ => None,
    });
    Value::Dict(pairs.collect())
}

/// Variants are written as JSON writers of serde do: `{"name": what is in it}`.
fn variant(name: &str, inner: Value) -> Value {
    Dict::new().with(name, inner).into()
}

pub(super) struct Writer;

/// A list, or the list in a variant.
pub(super) struct ListWriter(Vec<Value>, Option<&'static str>);

/// A map, or the map in a variant.
pub(super) struct MapWriter(Vec<(Value, Value)>, Option<Value>, Option<&'static str>);

impl ListWriter {
    fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        self.0.push(value.serialize(Writer)?);
        Ok(())
    }

    fn done(self) -> Value {
        let list = Value::List(self.0);
        match self.1 {
            Some(name) => variant(name, list),
            None => list,
        }
    }
}

impl MapWriter {
    fn put<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), TypeError> {
        self.0.push((key.into(), value.serialize(Writer)?));
        Ok(())
    }

    fn done(self) -> Value {
        let all = map(self.0);
        match self.2 {
            Some(name) => variant(name, all),
            None => all,
        }
    }
}

macro_rules! integers {
    ($($method:ident $type:ty),* $(,)?) => {
        $(
            fn $method(self, value: $type) -> Result<Value, TypeError> {
                Ok(Value::Int(value.into()))
            }
        )*
    };
}

impl Serializer for Writer {
    type Ok = Value;
    type Error = TypeError;
    type SerializeSeq = ListWriter;
    type SerializeTuple = ListWriter;
    type SerializeTupleStruct = ListWriter;
    type SerializeTupleVariant = ListWriter;
    type SerializeMap = MapWriter;
    type SerializeStruct = MapWriter;
    type SerializeStructVariant = MapWriter;

    integers!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32,
    );

    fn serialize_bool(self, value: bool) -> Result<Value, TypeError> {
        Ok(Value::Bool(value))
    }

    fn serialize_u64(self, value: u64) -> Result<Value, TypeError> {
        Ok(value.into())
    }

    fn serialize_i128(self, value: i128) -> Result<Value, TypeError> {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Ok(Value::Int(value)),
            (Err(_), Ok(value)) => Ok(Value::UInt(value)),
            (Err(_), Err(_)) => Err(TypeError::custom(format_args!("{value} is out of the range of 64 bits"))),
        }
    }

    fn serialize_u128(self, value: u128) -> Result<Value, TypeError> {
        let value = u64::try_from(value).map_err(|_| TypeError::custom("an integer is out of the range of 64 bits"))?;
        Ok(value.into())
    }

    fn serialize_f32(self, value: f32) -> Result<Value, TypeError> {
        Ok(Value::Float(value.into()))
    }

    fn serialize_f64(self, value: f64) -> Result<Value, TypeError> {
        Ok(Value::Float(value))
    }

    fn serialize_char(self, value: char) -> Result<Value, TypeError> {
        Ok(value.to_string().into())
    }

    fn serialize_str(self, value: &str) -> Result<Value, TypeError> {
        Ok(value.into())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, TypeError> {
        Ok(Value::Bin(value.into()))
    }

    fn serialize_none(self) -> Result<Value, TypeError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, TypeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, TypeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value, TypeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<Value, TypeError> {
        Ok(name.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Value, TypeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<Value, TypeError> {
        Ok(variant(name, value.serialize(self)?))
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<ListWriter, TypeError> {
        Ok(ListWriter(Vec::new(), None))
    }

    fn serialize_tuple(self, length: usize) -> Result<ListWriter, TypeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _name: &'static str, length: usize) -> Result<ListWriter, TypeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<ListWriter, TypeError> {
        Ok(ListWriter(Vec::new(), Some(name)))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<MapWriter, TypeError> {
        Ok(MapWriter(Vec::new(), None, None))
    }

    fn serialize_struct(self, _name: &'static str, length: usize) -> Result<MapWriter, TypeError> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<MapWriter, TypeError> {
        Ok(MapWriter(Vec::new(), None, Some(name)))
    }
}

macro_rules! lists {
    ($($what:ident $method:ident),* $(,)?) => {
        $(
            impl $what for ListWriter {
                type Ok = Value;
                type Error = TypeError;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
                    self.put(value)
                }

                fn end(self) -> Result<Value, TypeError> {
                    Ok(self.done())
                }
            }
        )*
    };
}

lists!(
    SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
);

macro_rules! structs {
    ($($what:ident),*) => {
        $(
            impl $what for MapWriter {
                type Ok = Value;
                type Error = TypeError;

                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    key: &'static str,
                    value: &T,
                ) -> Result<(), TypeError> {
                    self.put(key, value)
                }

                fn end(self) -> Result<Value, TypeError> {
                    Ok(self.done())
                }
            }
        )*
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for MapWriter {
    type Ok = Value;
    type Error = TypeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TypeError> {
        self.1 = Some(key.serialize(Writer)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypeError> {
        let key = self.1.take().ok_or_else(|| TypeError::custom("a map gives a value without a key"))?;
        self.0.push((key, value.serialize(Writer)?));
        Ok(())
    }

    fn end(self) -> Result<Value, TypeError> {
        Ok(self.done())
    }
}
