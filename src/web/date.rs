//! Dates in headers.

use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use std::time::{SystemTime, UNIX_EPOCH};

/// The text of a time, in seconds since 1970.
#[must_use]
pub fn text(seconds: i64) -> Option<String> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::from_second(seconds).ok()?).ok()
}

/// The time that a text says, in seconds since 1970.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    DateTimeParser::new().parse_timestamp(text).ok().map(Timestamp::as_second)
}

/// Now.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_and_read() {
        let known = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(text(784_111_777).as_deref(), Some(known));
        assert_eq!(seconds(known), Some(784_111_777));
        for wrong in ["", "yesterday", "Sun, 06 Nov 1994", "99999"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(text(i64::MAX), None);
    }
}
