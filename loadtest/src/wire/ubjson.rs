//! UBJSON, draft 12, as far as JSON can say the same.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// Appends a value.
pub(crate) fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(b'Z'),
        Value::Bool(value) => out.push(if *value { b'T' } else { b'F' }),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => put_number(out, number),
            (_, Some(number), _) => {
                out.push(b'L');
                out.extend_from_slice(&number.to_be_bytes());
            }
            (.., number) => {
                out.push(b'D');
                out.extend_from_slice(&number.unwrap_or_default().to_be_bytes());
            }
        },
        Value::String(text) => {
            out.push(b'S');
            put_text(out, text);
        }
        Value::Array(list) => {
            out.push(b'[');
            list.iter().for_each(|value| put(out, value));
            out.push(b']');
        }
        Value::Object(dict) => {
            out.push(b'{');
            for (key, value) in dict {
                put_text(out, key);
                put(out, value);
            }
            out.push(b'}');
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a number in its shortest form.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u64) {
    let octets = number.to_be_bytes();
    let (marker, size) = match number {
        0..=0xff => (b'U', 1),
        0x100..=0x7fff => (b'I', 2),
        0x8000..=0x7fff_ffff => (b'l', 4),
        0x8000_0000..=0x7fff_ffff_ffff_ffff => (b'L', 8),
        _ => {
            out.push(b'H');
            return put_text(out, &number.to_string());
        }
    };
    out.push(marker);
    out.extend_from_slice(&octets[8 - size..]);
}

/// How many bytes an integer has behind its marker.
pub(crate) fn integer_len(marker: u8) -> Option<usize> {
    match marker {
        b'U' | b'i' => Some(1),
        b'I' => Some(2),
        b'l' => Some(4),
        b'L' => Some(8),
        _ => None,
    }
}

/// Reads a message.
///
/// # Errors
/// If the bytes are not one value that JSON could say too.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value> {
    let mut rest = bytes;
    let value = value(&mut rest, None)?;
    ensure!(rest.is_empty(), "more than one value");
    Ok(value)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len).context("unexpected end")?;
    *rest = left;
    Ok(taken)
}

fn value(rest: &mut &[u8], known: Option<u8>) -> Result<Value> {
    let marker = match known {
        Some(marker) => marker,
        None => take(rest, 1)?[0],
    };
    Ok(match marker {
        b'Z' => Value::Null,
        b'T' | b'F' => Value::Bool(marker == b'T'),
        b'U' => take(rest, 1)?[0].into(),
        b'd' => f32::from_be_bytes(take(rest, 4)?.try_into()?).into(),
        b'D' => f64::from_be_bytes(take(rest, 8)?.try_into()?).into(),
        b'C' => char::from(take(rest, 1)?[0]).to_string().into(),
        b'S' => text(rest)?.into(),
        b'H' => serde_json::from_str(text(rest)?)?,
        b'[' | b'{' => values(rest, marker == b'[')?,
        marker => {
            let octets = take(rest, integer_len(marker).context("an unknown type")?)?;
            let sign = if octets[0] < 0x80 { 0 } else { -1 };
            octets.iter().fold(sign, |sum, byte| sum << 8 | i64::from(*byte)).into()
        }
    })
}

fn len(rest: &mut &[u8]) -> Result<usize> {
    let len = value(rest, None)?.as_u64().context("a length must be a number from 0")?;
    Ok(usize::try_from(len)?)
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str> {
    let len = len(rest)?;
    Ok(std::str::from_utf8(take(rest, len)?)?)
}

fn values(rest: &mut &[u8], is_list: bool) -> Result<Value> {
    let known = if rest.starts_with(b"$") { Some(take(rest, 2)?[1]) } else { None };
    let count = if rest.starts_with(b"#") { Some(take(rest, 1).and_then(|_| len(rest))?) } else { None };
    if known.is_some() && (is_list && matches!(known, Some(b'U' | b'Z' | b'T' | b'F')) || count.is_none()) {
        bail!("a list that JSON cannot say, or without its length");
    }
    let close = if is_list { b']' } else { b'}' };
    let (mut list, mut dict, mut read) = (Vec::new(), Map::new(), 0);
    while count.is_none_or(|count| read < count) {
        if count.is_none() && rest.first() == Some(&close) {
            take(rest, 1)?;
            break;
        }
        if is_list {
            list.push(value(rest, known)?);
        } else {
            let key = text(rest)?.to_owned();
            dict.insert(key, value(rest, known)?);
        }
        read += 1;
    }
    Ok(if is_list { list.into() } else { dict.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_survive() {
        let value = json!([16, 300, -5, 40_000, 1u64 << 40, u64::MAX, {"k": [null, true, false, 1.5]}, "text", {}, []]);
        let mut out = Vec::new();
        put(&mut out, &value);
        assert_eq!(decode(&out).expect("valid"), value);
        for len in 0..out.len() {
            assert!(decode(&out[..len]).is_err(), "{len}");
        }
        out.push(b'Z');
        assert!(decode(&out).is_err());
    }

    #[test]
    fn counts_and_types_are_understood() {
        for (bytes, wanted) in [
            (&b"[#U\x02U\x01Cx"[..], json!([1, "x"])),
            (b"[$I#i\x02\x01\x00\xff\xff", json!([256, -1])),
            (b"{$i#U\x01U\x01k\xff", json!({"k": -1})),
        ] {
            assert_eq!(decode(bytes).expect("valid"), wanted);
        }
        for bytes in [&b"[$U#U\x01\x01"[..], b"[$I\0\0]", b"[$T#L\x7f\xff\xff\xff\xff\xff\xff\xff", b"N", b"Si\xff"] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
