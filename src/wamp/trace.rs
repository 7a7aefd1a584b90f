//! Which trace a call or publication belongs to, as its sender says (W3C Trace Context), under keys of their own: WAMP
//! knows none for that, and leaves those that begin with `_` to implementations.

use super::value::Dict;
use std::fmt;
use std::str::FromStr;

/// `traceparent`: in the options of a request, the details of what comes of it, or its keyword arguments.
pub const TRACEPARENT: &str = "_traceparent";

/// `tracestate`, beside it.
pub const TRACESTATE: &str = "_tracestate";

/// Octets of a `tracestate` that are passed on; a longer one is left out as a whole.
pub const TRACESTATE_MAX: usize = 512;

/// The sender has sampled the trace.
const SAMPLED: u8 = 1;
/// The id of the trace is random, or most of it.
const RANDOM: u8 = 2;

/// A `traceparent`: the trace, and the span in it that caused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    flags: u8,
}

/// It is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no traceparent: two hexadecimal digits, `-`, 32 of them, `-`, 16 of them, `-`, two of them")]
pub struct NoTraceContext;

impl TraceContext {
    /// A context whose spans are wanted. None if one of the numbers is 0.
    #[must_use]
    pub fn new(trace: u128, span: u64) -> Option<TraceContext> {
        (trace != 0 && span != 0).then_some(TraceContext { trace, span, flags: SAMPLED | RANDOM })
    }

    /// The same trace, in which `span` is the cause.
    #[must_use]
    pub const fn under(self, span: u64) -> TraceContext {
        TraceContext { span, ..self }
    }

    /// True if the sender keeps spans of this trace.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Reads options, details or keyword arguments: the context, and the `tracestate` if it can be passed on. What is no
    /// context counts as none.
    #[must_use]
    pub fn read(dict: &Dict) -> Option<(TraceContext, Option<&str>)> {
        let context = dict.get(TRACEPARENT)?.as_str()?.parse().ok()?;
        let state = dict.get(TRACESTATE).and_then(|state| state.as_str()).filter(|state| is_state(state));
        Some((context, state))
    }

    /// Adds the context, with this `tracestate`, to options, details or keyword arguments.
    pub fn write(&self, state: Option<&str>, dict: &mut Dict) {
        dict.push(TRACEPARENT, self.to_string());
        if let Some(state) = state {
            dict.push(TRACESTATE, state);
        }
    }
}

fn is_state(text: &str) -> bool {
    let printable = |octet: u8| (b' '..=b'~').contains(&octet) || octet == b'\t';
    (1..=TRACESTATE_MAX).contains(&text.len()) && text.bytes().all(printable)
}

impl FromStr for TraceContext {
    type Err = NoTraceContext;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const LENGTH: usize = 55;
        let (head, more) = text.as_bytes().split_at_checked(LENGTH).ok_or(NoTraceContext)?;
        let [version, trace, span, flags] = [0..2, 3..35, 36..52, 53..55].map(|at| number(&head[at]));
        let version = version.filter(|version| *version != 0xff).ok_or(NoTraceContext)?;
        // Later versions may add something behind another dash.
        let ends = more.is_empty() || (version > 0 && more[0] == b'-');
        if !ends || [2, 35, 52].iter().any(|at| head[*at] != b'-') {
            return Err(NoTraceContext);
        }
        let (Some(trace), Some(span), Some(flags)) = (trace, span, flags) else { return Err(NoTraceContext) };
        let (span, flags) = (u64::try_from(span).unwrap_or_default(), u8::try_from(flags).unwrap_or_default());
        let known = if version == 0 { flags & (SAMPLED | RANDOM) } else { flags & SAMPLED };
        let context = TraceContext::new(trace, span).ok_or(NoTraceContext)?;
        Ok(TraceContext { flags: known, ..context })
    }
}

/// A number in hexadecimal digits, which have to be small letters.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::Value;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn contexts_are_read_and_written() {
        let context: TraceContext = GOOD.parse().expect("the specification's example");
        assert_eq!((context.trace, context.span), (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331));
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.under(1).to_string(), "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01");
        for (flags, sampled, written) in [("00", false, "00"), ("02", false, "02"), ("ff", true, "03")] {
            let text = format!("{}{flags}", &GOOD[..53]);
            let context: TraceContext = text.parse().expect("flags that are not known do not matter");
            assert_eq!((context.is_sampled(), &context.to_string()[53..]), (sampled, written));
        }
        let later: TraceContext = format!("01{}-more", &GOOD[2..]).parse().expect("a later version");
        assert_eq!(later.to_string(), GOOD);
    }

    #[test]
    fn what_is_no_context_is_none() {
        for bad in [
            "",
            "00",
            &GOOD[1..],
            &GOOD.to_uppercase(),
            &GOOD.replace("b7", "g7"),
            &GOOD.replace('-', "_"),
            &format!("{GOOD}-more"),
            &format!("{GOOD}0"),
            &format!("01{}more", &GOOD[2..]),
            &format!("ff{}", &GOOD[2..]),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &format!("ä{}", &GOOD[2..]),
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(NoTraceContext), "{bad:?}");
        }
        assert_eq!(TraceContext::read(&Dict::new()), None);
        assert_eq!(TraceContext::read(&Dict::new().with(TRACEPARENT, 1)), None);
        assert_eq!(TraceContext::read(&Dict::new().with(TRACEPARENT, "x").with(TRACESTATE, "a=b")), None);
    }

    #[test]
    fn states_that_cannot_be_passed_on_are_left_out() {
        let long = "a=".to_string() + &"b".repeat(TRACESTATE_MAX - 2);
        let states: [(Value, bool); 7] = [
            ("vendor=1,other=2".into(), true),
            (Value::Str(long.clone().into()), true),
            (Value::Str((long + "b").into()), false),
            ("".into(), false),
            ("a=\n".into(), false),
            ("a=ä".into(), false),
            (Value::Int(1), false),
        ];
        for (state, passed) in states {
            let dict = Dict::new().with(TRACEPARENT, GOOD).with(TRACESTATE, state.clone());
            let (context, found) = TraceContext::read(&dict).expect("a context");
            assert_eq!(found.is_some(), passed, "{state:?}");
            let mut written = Dict::new();
            context.write(found, &mut written);
            assert_eq!(written.len(), if passed { 2 } else { 1 });
        }
    }
}
