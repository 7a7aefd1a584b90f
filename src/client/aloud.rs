//! What a person should know of, also where the program does not listen to what is logged.

use std::fmt;
use std::io::Write;

/// Logs a warning or an error (`WARN`, `ERROR`), with what belongs to it. Where the program has no subscriber of `tracing`,
/// standard error has it: an application that waits for a router that is not there would not say a word otherwise.
macro_rules! aloud {
    ($level:ident, $text:literal $(, $name:ident = $value:expr)* $(,)?) => {{
        tracing::event!(tracing::Level::$level, $($name = %$value,)* $text);
        if !tracing::dispatcher::has_been_set() {
            $crate::client::aloud::say(format_args!(concat!($text $(, ", ", stringify!($name), ": {}")*) $(, $value)*));
        }
    }};
}
pub(super) use aloud;

/// Says one line on standard error, which may be closed.
pub(super) fn say(text: fmt::Arguments<'_>) {
    let line = text.to_string().replace(['\r', '\n'], " ");
    let _ = writeln!(std::io::stderr(), "corebar: {line}");
}
