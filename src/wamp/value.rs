//! Decoded values: for the options and details of messages, never for application payload.

/// A value of WAMP's type system plus what the serializers add to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// What JavaScript's MessagePack and CBOR libraries send for an absent value; read as absent, null in JSON.
    Undefined,
    /// A truth value.
    Bool(bool),
    /// An integer in the range of `i64`.
    Int(i64),
    /// An integer above the range of `i64`.
    UInt(u64),
    /// A floating point number.
    Float(f64),
    /// Text.
    Str(Box<str>),
    /// Bytes.
    Bin(Box<[u8]>),
    /// A list.
    List(Vec<Value>),
    /// A dictionary.
    Dict(Dict),
    /// A map with keys that are not all text, which MessagePack and CBOR allow in application payload.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// What a person would call this kind of value, for error messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Undefined => "undefined",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::UInt(_) => "integer",
            Value::Float(_) => "float",
            Value::Str(_) => "string",
            Value::Bin(_) => "binary",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
            Value::Map(_) => "map with keys that are not all strings",
        }
    }

    /// The text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is an integer that is not negative. A float without a fraction counts as one, since that is
    /// how JavaScript's binary serializers write integers beyond 32 bits.
    #[must_use]
    pub fn as_uint(&self) -> Option<u64> {
        match self {
            Value::Int(value) if *value >= 0 => Some(value.unsigned_abs()),
            Value::UInt(value) => Some(*value),
            Value::Float(value) => whole(*value),
            _ => None,
        }
    }

    /// Roughly how many octets of memory it takes: a small message can be many values.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Value>()
            + match self {
                Value::Str(text) => text.len(),
                Value::Bin(octets) => octets.len(),
                Value::List(list) => list.iter().map(Value::weight).sum(),
                Value::Dict(dict) => dict.weight(),
                Value::Map(pairs) => pairs.iter().map(|(key, value)| key.weight() + value.weight()).sum(),
                _ => 0,
            }
    }

    /// The dictionary, if this is one.
    #[must_use]
    pub const fn as_dict(&self) -> Option<&Dict> {
        match self {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    }
}

/// The integer that a float stands for, if it has no fraction and lies in the range in which floats are exact.
#[must_use]
pub fn whole(value: f64) -> Option<u64> {
    let exact = (0.0..=9_007_199_254_740_992.0).contains(&value) && value.fract() == 0.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    exact.then_some(value as u64)
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Int(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Value::UInt(value), Value::Int)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Str(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Str(value.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Value::List(value)
    }
}

impl From<Dict> for Value {
    fn from(value: Dict) -> Self {
        Value::Dict(value)
    }
}

/// A dictionary with text keys, in the order in which it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dict(Vec<(Box<str>, Value)>);

/// An option or detail has a value of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute '{key}' must be a {wanted}, not a {found}")]
pub struct WrongType {
    /// The attribute.
    pub key: &'static str,
    /// What it should have been.
    pub wanted: &'static str,
    /// What it was.
    pub found: &'static str,
}

impl Dict {
    /// The empty dictionary; allocates nothing.
    #[must_use]
    pub const fn new() -> Dict {
        Dict(Vec::new())
    }

    /// Appends a pair; the caller knows that the key is not there yet (of two equal keys the later one counts).
    pub fn push(&mut self, key: impl Into<Box<str>>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// The same dictionary with one more pair.
    #[must_use]
    pub fn with(mut self, key: impl Into<Box<str>>, value: impl Into<Value>) -> Dict {
        self.push(key, value);
        self
    }

    /// Takes a pair out, if it is there.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| **known != *key);
    }

    /// The value under `key`; null counts as absent, as does what decodes from an `undefined`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .rev()
            .find(|(k, _)| &**k == key)
            .map(|(_, v)| v)
            .filter(|v| !matches!(v, Value::Null | Value::Undefined))
    }

    /// Number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Roughly how many octets of memory it takes; none if it is empty.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.iter().map(|(key, value)| size_of::<Box<str>>() + key.len() + value.weight()).sum()
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (&**k, v))
    }

    /// A truth value; integers are not accepted in its place.
    ///
    /// # Errors
    /// The value has another type.
    pub fn bool(&self, key: &'static str) -> Result<Option<bool>, WrongType> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(WrongType { key, wanted: "bool", found: other.kind() }),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// The value has another type.
    pub fn str(&self, key: &'static str) -> Result<Option<&str>, WrongType> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Str(value)) => Ok(Some(value)),
            Some(other) => Err(WrongType { key, wanted: "string", found: other.kind() }),
        }
    }

    /// A non-negative integer.
    ///
    /// # Errors
    /// The value has another type or is negative.
    pub fn uint(&self, key: &'static str) -> Result<Option<u64>, WrongType> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let wrong = WrongType { key, wanted: "non-negative integer", found: value.kind() };
        value.as_uint().map(Some).ok_or(wrong)
    }

    /// A list of non-negative integers.
    ///
    /// # Errors
    /// The value is no list, or an element has another type or is negative.
    pub fn uints(&self, key: &'static str) -> Result<Option<Vec<u64>>, WrongType> {
        self.list(key, "list of non-negative integers", Value::as_uint)
    }

    /// A list of texts.
    ///
    /// # Errors
    /// The value is no list, or an element has another type.
    pub fn strs(&self, key: &'static str) -> Result<Option<Vec<Box<str>>>, WrongType> {
        self.list(key, "list of strings", |value| value.as_str().map(Into::into))
    }

    fn list<T>(
        &self,
        key: &'static str,
        wanted: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, WrongType> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list = if let Value::List(list) = value { list.iter().map(read).collect() } else { None };
        list.map(Some).ok_or(WrongType { key, wanted, found: value.kind() })
    }

    /// A dictionary.
    ///
    /// # Errors
    /// The value has another type.
    pub fn dict(&self, key: &'static str) -> Result<Option<&Dict>, WrongType> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Dict(value)) => Ok(Some(value)),
            Some(other) => Err(WrongType { key, wanted: "dict", found: other.kind() }),
        }
    }
}

impl FromIterator<(Box<str>, Value)> for Dict {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Value)>>(pairs: I) -> Self {
        Dict(pairs.into_iter().collect())
    }
}

impl IntoIterator for Dict {
    type Item = (Box<str>, Value);
    type IntoIter = std::vec::IntoIter<(Box<str>, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
