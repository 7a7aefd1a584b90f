//! How a file is written: JSON or YAML.

use super::one_line;
use super::unique::Unique;
use serde_json::Value;
use std::path::Path;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML 1.2.
    Yaml,
}

impl Format {
    /// That of a file, by its name: `.yaml` and `.yml` are YAML.
    #[must_use]
    pub fn of(file: &Path) -> Format {
        let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml { Format::Yaml } else { Format::Json }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Format {
        match self {
            Format::Json => Format::Yaml,
            Format::Yaml => Format::Json,
        }
    }

    /// The end of the names of such files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Yaml => "yaml",
        }
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It is not written so, in one line.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Format::Json => serde_json::from_str(text).map(|Unique(value)| value).map_err(|error| error.to_string()),
            Format::Yaml => serde_saphyr::from_str(text).map_err(|error| one_line(&error.to_string())),
        }
    }

    /// Writes a text that can be read again, keys in their order, with a newline at its end.
    ///
    /// # Errors
    /// It cannot be written so.
    pub fn print(self, value: &Value) -> Result<String, String> {
        let mut text = match self {
            Format::Json => serde_json::to_string_pretty(value).map_err(|error| error.to_string())?,
            Format::Yaml => serde_saphyr::to_string(value).map_err(|error| one_line(&error.to_string()))?,
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_can_be_read() {
        let value = json!({
            "z": {"b": [], "a": {}, "list": [1, -2.5, true, null, [[]], {"x": "y"}]},
            "texts": ["", "yes", "no", "null", "1", "1e3", "0x1F", "~", "a: b", "# c", "- d", " e ", "two\nlines\n", "*", "&x", "${NAME}", "ä☃", "'", "\"", "@x", "%", "!", "{", "2001-01-01"],
        });
        for format in [Format::Json, Format::Yaml] {
            let text = format.print(&value).expect("it can be written");
            assert_eq!(format.parse(&text).as_ref(), Ok(&value), "{text}");
            assert!(text.find("\"b\"").or(text.find("b:")) < text.find("\"a\"").or(text.find(" a:")), "{text}");
        }
        for (text, format) in
            [(r#"{"a": [{"b": 1, "c": 2, "b": 3}]}"#, Format::Json), ("a: 1\nb: 2\na: 3\n", Format::Yaml)]
        {
            let error = format.parse(text).expect_err("a key is there twice");
            assert!(format == Format::Yaml || error == "the key \"b\" is there twice at line 1 column 27", "{error}");
        }
        assert!(Format::Yaml.parse("a: [").is_err() && Format::Json.parse("{").is_err());
    }
}
