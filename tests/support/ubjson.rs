//! UBJSON, draft 12, as the document has it; strict, and with no limits.

use super::value::Value;

/// How lists and dictionaries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Up to a closing bracket.
    Plain,
    /// With a count, and with a type where all values are of one type.
    Optimized,
}

/// Writes a value.
pub fn encode(value: &Value, form: Form) -> Vec<u8> {
    let (marker, body) = parts(value, form);
    [vec![marker], body].concat()
}

/// The marker of a value and what follows it.
type Parts = (u8, Vec<u8>);

fn parts(value: &Value, form: Form) -> Parts {
    match value {
        Value::Null => (b'Z', vec![]),
        Value::Bool(false) => (b'F', vec![]),
        Value::Bool(true) => (b'T', vec![]),
        Value::Int(value) => integer(*value),
        Value::UInt(value) => (b'H', text(&value.to_string())),
        Value::Float(value) => (b'D', value.to_bits().to_be_bytes().into()),
        Value::Str(value) => (b'S', text(value)),
        Value::Bin(value) => (b'[', [b"$U#", &length(value.len())[..], value].concat()),
        Value::List(list) => {
            let values = list.iter().map(|value| (vec![], parts(value, form))).collect();
            (b'[', container(values, form, b']'))
        }
        Value::Dict(dict) => {
            let values = dict.iter().map(|(key, value)| (text(key), parts(value, form))).collect();
            (b'{', container(values, form, b'}'))
        }
    }
}

fn integer(value: i64) -> Parts {
    if let Ok(value) = u8::try_from(value) {
        (b'U', vec![value])
    } else if let Ok(value) = i8::try_from(value) {
        (b'i', value.to_be_bytes().into())
    } else if let Ok(value) = i16::try_from(value) {
        (b'I', value.to_be_bytes().into())
    } else if let Ok(value) = i32::try_from(value) {
        (b'l', value.to_be_bytes().into())
    } else {
        (b'L', value.to_be_bytes().into())
    }
}

fn length(length: usize) -> Vec<u8> {
    let (marker, octets) = integer(i64::try_from(length).expect("a length in memory"));
    [vec![marker], octets].concat()
}

fn text(text: &str) -> Vec<u8> {
    [length(text.len()), text.into()].concat()
}

fn container(values: Vec<(Vec<u8>, Parts)>, form: Form, close: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let first = values.first().map(|(_, (marker, _))| *marker);
    // A list of type U would be octets.
    let common = first.filter(|first| form == Form::Optimized && (close == b'}' || *first != b'U'));
    let common = common.filter(|first| values.iter().all(|(_, (marker, _))| marker == first));
    if let Some(marker) = common {
        out.extend([b'$', marker]);
    }
    if form == Form::Optimized {
        out.push(b'#');
        out.extend(length(values.len()));
    }
    for (key, (marker, body)) in values {
        out.extend(key);
        if common.is_none() {
            out.push(marker);
        }
        out.extend(body);
    }
    if form == Form::Plain {
        out.push(close);
    }
    out
}

/// Reads a value, which must be all that there is.
pub fn decode(octets: &[u8]) -> Result<Value, String> {
    let mut rest = octets;
    let marker = take(&mut rest, 1)?[0];
    let value = body(marker, &mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(format!("{} octets too many", rest.len())) }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(count).ok_or("unexpected end")?;
    *rest = left;
    Ok(taken)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    Ok(take(rest, N)?.try_into().expect("as many octets as were asked for"))
}

fn body(marker: u8, rest: &mut &[u8]) -> Result<Value, String> {
    Ok(match marker {
        b'Z' => Value::Null,
        b'T' => Value::Bool(true),
        b'F' => Value::Bool(false),
        b'U' => Value::Int(u8::from_be_bytes(array(rest)?).into()),
        b'i' => Value::Int(i8::from_be_bytes(array(rest)?).into()),
        b'I' => Value::Int(i16::from_be_bytes(array(rest)?).into()),
        b'l' => Value::Int(i32::from_be_bytes(array(rest)?).into()),
        b'L' => Value::Int(i64::from_be_bytes(array(rest)?)),
        b'd' => Value::Float(f32::from_be_bytes(array(rest)?).into()),
        b'D' => Value::Float(f64::from_be_bytes(array(rest)?)),
        b'C' => Value::Str(char::from(take(rest, 1)?[0]).into()),
        b'S' => Value::Str(string(rest)?),
        b'H' => {
            let text = string(rest)?;
            match (text.parse(), text.parse(), text.parse()) {
                (Ok(value), ..) => Value::Int(value),
                (_, Ok(value), _) => Value::UInt(value),
                (.., Ok(value)) => Value::Float(value),
                (.., Err(error)) => return Err(format!("{text}: {error}")),
            }
        }
        b'[' | b'{' => values(marker, rest)?,
        other => return Err(format!("unknown marker {other:02x}")),
    })
}

fn count(rest: &mut &[u8]) -> Result<usize, String> {
    let marker = take(rest, 1)?[0];
    match body(marker, rest)? {
        Value::Int(count) => usize::try_from(count).map_err(|error| format!("{count}: {error}")),
        other => Err(format!("{other:?} is no length")),
    }
}

fn string(rest: &mut &[u8]) -> Result<String, String> {
    let length = count(rest)?;
    String::from_utf8(take(rest, length)?.into()).map_err(|error| error.to_string())
}

fn values(open: u8, rest: &mut &[u8]) -> Result<Value, String> {
    let known = if rest.starts_with(b"$") { Some(take(rest, 2)?[1]) } else { None };
    let announced = match rest.first() {
        Some(b'#') => {
            take(rest, 1)?;
            Some(count(rest)?)
        }
        _ if known.is_some() => return Err("a type without a count".into()),
        _ => None,
    };
    if let (b'[', Some(b'U'), Some(length)) = (open, known, announced) {
        return Ok(Value::Bin(take(rest, length)?.into()));
    }
    let (mut list, mut dict) = (Vec::new(), std::collections::BTreeMap::new());
    while announced.is_none_or(|count| list.len() + dict.len() < count) {
        while known.is_none() && rest.first() == Some(&b'N') {
            take(rest, 1)?;
        }
        if announced.is_none() && rest.first() == Some(if open == b'[' { &b']' } else { &b'}' }) {
            take(rest, 1)?;
            break;
        }
        let key = if open == b'{' { string(rest)? } else { String::new() };
        let marker = known.map_or_else(|| take(rest, 1).map(|octets| octets[0]), Ok)?;
        let value = body(marker, rest)?;
        if open == b'[' {
            list.push(value);
        } else if dict.insert(key, value).is_some() {
            return Err("a key stands twice".into());
        }
    }
    Ok(if open == b'[' { Value::List(list) } else { Value::Dict(dict) })
}
