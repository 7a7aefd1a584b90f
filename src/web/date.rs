//! Dates in headers.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use jiff::tz::TimeZone;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time of a response, for `Date`. It is written once a second.
#[must_use]
pub fn stamp() -> Option<Rc<str>> {
    thread_local! {
        static LAST: RefCell<(i64, Option<Rc<str>>)> = const { RefCell::new((i64::MIN, None)) };
    }
    let now = now();
    LAST.with_borrow_mut(|(at, written)| {
        if *at != now {
            (*at, *written) = (now, text(now).map(Into::into));
        }
        written.clone()
    })
}

/// A response with the time in front of its headers.
#[must_use]
pub fn stamped(response: &[u8]) -> Vec<u8> {
    let line = memchr::memmem::find(response, b"\r\n").map_or(0, |end| end + 2);
    match stamp().filter(|_| line > 0) {
        Some(date) => [&response[..line], format!("Date: {date}\r\n").as_bytes(), &response[line..]].concat(),
        None => response.to_vec(),
    }
}

/// The text of a time, in seconds since 1970.
#[must_use]
pub fn text(seconds: i64) -> Option<String> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::from_second(seconds).ok()?).ok()
}

/// The time that a text says, in seconds since 1970: in the form of today, or in one of the two that are obsolete and have
/// to be understood (RFC 9110, section 5.6.7).
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let modern = || DateTimeParser::new().parse_timestamp(text).ok().map(Timestamp::as_second);
    modern().or_else(|| obsolete(text))
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sunday, 06-Nov-94 08:49:37 GMT` (RFC 850), `Sun Nov  6 08:49:37 1994` (asctime).
fn obsolete(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (year, month, day, time) = match words[..] {
        [_, date, time, "GMT"] => {
            let mut parts = date.split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            let year: i16 = year.parse().ok().filter(|year| (0..100).contains(year) && parts.next().is_none())?;
            // Of two digits; what would be more than fifty years away is of the last century.
            let this = i16::try_from(1970 + now() / 31_556_952).ok()?;
            let year = this - this % 100 + year;
            (if year > this + 50 { year - 100 } else { year }, month, day, time)
        }
        [_, month, day, time, year] => (year.parse().ok()?, month, day, time),
        _ => return None,
    };
    let month = i8::try_from(MONTHS.iter().position(|known| *known == month)? + 1).ok()?;
    let mut parts = time.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let date = Date::new(year, month, day.parse().ok()?).ok()?;
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    let at = fits.then(|| date.at(hour, minute, second, 0))?;
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp().as_second())
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
        for same in [known, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(seconds(same), Some(784_111_777), "{same}");
        }
        assert_eq!(seconds("Monday, 01-Jan-24 00:00:00 GMT"), Some(1_704_067_200));
        for wrong in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994",
            "99999",
            "Sunday, 31-Feb-94 08:49:37 GMT",
            "Sun Nov  6 28:49:37 1994",
            "Sun Now  6 08:49:37 1994",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(text(i64::MAX), None);
    }
}
