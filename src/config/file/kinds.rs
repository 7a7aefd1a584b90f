//! Objects that are told apart by their key `type`: one list says how they are read and what their schema is.

use super::keys::distance;
use super::{Fault, Read};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// An enum of such objects, `"type" => Variant(Struct)`, with a function `read` and a schema. The structs do not have
/// the key `type`.
macro_rules! kinds {
    ($(#[doc = $doc:literal])* $vis:vis enum $name:ident { $($kind:literal => $variant:ident($part:ty)),+ $(,)? }) => {
        $(#[doc = $doc])*
        #[allow(clippy::large_enum_variant, dead_code, reason = "it is taken apart at once, where there is something in it")]
        $vis enum $name { $($variant($part)),+ }

        impl $name {
            /// Reads an object.
            $vis fn read(value: serde_json::Value, at: &str) -> $crate::config::file::Read<$name> {
                let (kind, value) = $crate::config::file::kinds::take(value, at)?;
                match &*kind {
                    $($kind => $crate::config::file::read(value, at).map($name::$variant),)+
                    other => Err($crate::config::file::kinds::unknown(other, &[$($kind),+], at)),
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let variants = vec![$(($kind, <$part as schemars::JsonSchema>::json_schema(generator))),+];
                $crate::config::file::kinds::schema(concat!($($doc, "\n"),*), variants)
            }
        }
    };
}
pub(super) use kinds;

/// Something of Crossbar.io that is not there; whatever stands in it is not looked at.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("deprecated" = true))]
pub(super) struct Absent {}

/// Takes the type out of an object.
pub(super) fn take(mut value: Value, at: &str) -> Read<(String, Value)> {
    let kind = value.as_object_mut().and_then(|object| match object.get("type") {
        Some(Value::String(_)) => object.shift_remove("type"),
        _ => None,
    });
    match kind {
        Some(Value::String(kind)) => Ok((kind, value)),
        _ => Err(Fault::new(at, "has to be an object with a `type`")),
    }
}

/// So many types are named one by one.
const NAMED_MAX: usize = 6;

/// What is said of a type that is none of these.
pub(super) fn unknown(kind: &str, known: &[&str], at: &str) -> Fault {
    let text = match known {
        [only] => format!("is {kind:?}, not {only}"),
        [first @ .., last] if known.len() <= NAMED_MAX => format!("is {kind:?}, not {} or {last}", first.join(", ")),
        _ => {
            let nearest = known.iter().min_by_key(|known| distance(kind, known)).copied().unwrap_or_default();
            format!("is {kind:?}, which is not known; did you mean {nearest:?}?")
        }
    };
    Fault::new(&format!("{at}.type"), text)
}

/// The schema of such objects: one of those of its types, each with its type as its first key.
pub(super) fn schema(description: &str, variants: Vec<(&str, Schema)>) -> Schema {
    let variants: Vec<Value> = variants.into_iter().map(|(kind, part)| variant(kind, part)).collect();
    Schema::try_from(json!({"description": description, "type": "object", "required": ["type"], "oneOf": variants}))
        .unwrap_or_default()
}

fn variant(kind: &str, part: Schema) -> Value {
    let Value::Object(mut part) = part.to_value() else { return Value::Bool(true) };
    let mut properties = Map::new();
    properties.insert("type".into(), json!({"description": "Which of its kind it is.", "const": kind}));
    if let Some(Value::Object(own)) = part.shift_remove("properties") {
        properties.extend(own.into_iter().filter(|(key, _)| key != "type"));
    }
    let mut required = vec![Value::from("type")];
    if let Some(Value::Array(own)) = part.shift_remove("required") {
        required.extend(own);
    }
    let mut object = Map::new();
    object.insert("title".into(), kind.into());
    part.shift_remove("title");
    object.extend(part);
    object.insert("properties".into(), properties.into());
    object.insert("required".into(), required.into());
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Round {
        /// Half of its width.
        radius: u8,
    }

    kinds! {
        /// A thing.
        enum Thing { "round" => Round(Round), "gone" => Gone(Absent) }
    }

    #[test]
    fn the_type_says_what_is_read() {
        let read = |value| Thing::read(value, "x").map_err(|fault| format!("{}: {}", fault.at, fault.message));
        assert!(matches!(read(json!({"type": "round", "radius": 3})), Ok(Thing::Round(Round { radius: 3 }))));
        assert!(matches!(read(json!({"type": "gone", "anything": []})), Ok(Thing::Gone(_))));
        let said = |value| read(value).map(|_| ()).expect_err("a mistake");
        assert_eq!(said(json!({"type": "flat"})), "x.type: is \"flat\", not round or gone");
        assert_eq!(said(json!({"type": "round", "width": 1})), "x.width: is not known; only \"radius\" is");
        assert_eq!(said(json!({"type": 1})), "x: has to be an object with a `type`");
        assert_eq!(said(json!("round")), "x: has to be an object with a `type`");
        let many = ["static", "json", "a", "b", "c", "d", "e"];
        assert!(unknown("stat", &many, "x").message.ends_with("did you mean \"static\"?"));
    }
}
