//! JSON that people can read too: objects over several lines, long lists of numbers on one.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::ser::Formatter;

/// Lists this deep within a document stand on one line, with everything in them.
const INLINE_FROM: usize = 5;

/// Writes a value as JSON, with a line end.
///
/// # Errors
/// If the value cannot be said in JSON.
pub(crate) fn text(value: &impl Serialize) -> Result<String> {
    let mut out = Vec::new();
    let layout = Layout::default();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut out, layout))
        .context("the result cannot be written as JSON")?;
    out.push(b'\n');
    String::from_utf8(out).context("JSON is text")
}

#[derive(Default)]
struct Layout {
    depth: usize,
    /// Lists on one line that are open.
    inline: usize,
    /// True if something stands between the last opening bracket and here.
    filled: bool,
}

impl Layout {
    fn open<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(bracket)
    }

    fn item<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        match (first, self.inline > 0) {
            (true, true) => Ok(()),
            (false, true) => out.write_all(b", "),
            (first, false) => {
                out.write_all(if first { b"" } else { b"," })?;
                self.break_line(out)
            }
        }
    }

    fn close<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled && self.inline == 0 {
            self.break_line(out)?;
        }
        self.filled = true;
        out.write_all(bracket)
    }

    fn break_line<W: Write + ?Sized>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        out.write_all("  ".repeat(self.depth).as_bytes())
    }
}

impl Formatter for Layout {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.inline += usize::from(self.depth >= INLINE_FROM || self.inline > 0);
        self.open(out, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")?;
        self.inline = self.inline.saturating_sub(1);
        Ok(())
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn deep_lists_stand_on_one_line_and_all_is_read_back() {
        let value = json!({"a": [], "b": {}, "c": [{"d": {"e": {"f": [1, [2.5, 3], {"g": ["x"]}], "h": 1}}}]});
        let text = text(&value).expect("written");
        assert!(text.contains(r#""f": [1, [2.5, 3], {"g": ["x"]}],"#), "{text}");
        assert!(text.contains("\"a\": [],\n  \"b\": {},\n  \"c\": [\n    {\n      \"d\": {\n"), "{text}");
        assert!(text.ends_with("\n    }\n  ]\n}\n"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("read"), value);
    }
}
