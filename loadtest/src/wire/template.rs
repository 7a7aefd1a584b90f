//! Messages prepared once, of which only the id and the payload change from one sending to the next.

use serde_json::Value;

use crate::load::stamp;
use crate::wire::serializer::Serializer;

/// A message around a payload: everything but an id and the payload is written beforehand.
pub(crate) struct Template {
    serializer: Serializer,
    before: Vec<u8>,
    after: Vec<u8>,
    payload_at: usize,
    payload_len: usize,
}

impl Template {
    /// The message `[lead..., id, rest..., [payload]]` with a payload of `payload_len` bytes.
    pub(crate) fn new(serializer: Serializer, lead: &[u64], rest: &[Value], payload_len: usize) -> Self {
        let comma = |out: &mut Vec<u8>| {
            if serializer == Serializer::Json {
                out.push(b',');
            }
        };
        let mut before = Vec::new();
        serializer.put_list_head(&mut before, (lead.len() + rest.len() + 2) as u8);
        for number in lead {
            serializer.put_number(&mut before, *number);
            comma(&mut before);
        }
        let payload = String::from_utf8_lossy(&stamp::blank(payload_len)).into_owned();
        let mut after = Vec::new();
        for value in rest.iter().chain([&Value::from(vec![payload])]) {
            comma(&mut after);
            serializer.put(&mut after, value);
        }
        if matches!(serializer, Serializer::Json | Serializer::Ubjson) {
            after.push(b']');
        }
        let place = stamp::locate(&after, payload_len).expect("the payload was just written there");
        Self { serializer, before, after, payload_at: place.start, payload_len }
    }

    /// Writes the message over `out` and gives the payload in it, to be filled in.
    pub(crate) fn write<'a>(&self, out: &'a mut Vec<u8>, id: u64) -> &'a mut [u8] {
        out.clear();
        out.extend_from_slice(&self.before);
        self.serializer.put_number(out, id);
        let start = out.len() + self.payload_at;
        out.extend_from_slice(&self.after);
        &mut out[start..start + self.payload_len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_what_the_serializer_would() {
        for serializer in Serializer::ALL {
            for len in [50, 100, 300, 70_000] {
                let template = Template::new(serializer, &[36, 5], &[json!({})], len);
                let mut out = b"leftover".to_vec();
                template.write(&mut out, 1_000_000).copy_from_slice("y".repeat(len).as_bytes());
                let expected = json!([36, 5, 1_000_000, {}, ["y".repeat(len)]]);
                assert_eq!(serializer.decode(&out).expect("valid"), expected);
            }
        }
    }
}
