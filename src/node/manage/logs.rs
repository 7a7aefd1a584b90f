//! What processes beside the router have written.

use super::procedures::{Arguments, invalid};
use crate::client::{CallError, Invocation};
use crate::node::Console;
use crate::process::{Line, Tail};
use crate::wamp::{Dict, Value, error};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Lines that are told of, unless another number is asked for.
const LINES: u64 = 200;
/// Lines that are told of at once.
const LINES_MAX: usize = 1000;
/// The time between two results on the way.
const PAUSE: Duration = Duration::from_millis(50);

/// Lines as they are told, and how many before them are not kept any longer.
fn shown(lines: &[Line], missed: u64) -> Json {
    let line = |line: &Line| {
        let time = line.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!({
            "number": line.number,
            "time": time.as_secs_f64(),
            "stream": if line.errors { "stderr" } else { "stdout" },
            "text": line.text,
        })
    };
    json!({"lines": lines.iter().map(line).collect::<Vec<_>>(), "missed": missed})
}

fn value(json: &Json) -> Result<Value, CallError> {
    Value::of(json).map_err(|why| CallError::new(error::INTERNAL_ERROR, why.to_string()))
}

/// Tells the last lines of a process; and those that come, as progressive results, until the call is canceled, if it wants
/// to follow.
pub(super) async fn log(console: &Console, mut invocation: Invocation) {
    let wanted = || {
        let arguments = Arguments(&invocation);
        let id = arguments.needed(0, "id")?;
        let tail = console.roster().tail(id);
        let tail = tail.ok_or_else(|| invalid(format!("{id:?} is no guest or component")))?;
        let count = arguments.number(1, "lines")?.unwrap_or(LINES);
        let follow = arguments.flag(2, "follow")?;
        if follow && !invocation.wants_progress() {
            return Err(invalid("lines come as progressive results, which the call does not take"));
        }
        Ok::<_, CallError>((tail, usize::try_from(count).unwrap_or(usize::MAX).min(LINES_MAX), follow))
    };
    let (tail, count, follow) = match wanted() {
        Ok(wanted) => wanted,
        Err(why) => return invocation.fail(why),
    };
    // Before the lines are looked at, so that none is missed.
    let mut changes = tail.changes();
    let lines = tail.last(count);
    let mut next = lines.last().map_or_else(|| tail.next(), |line| line.number + 1);
    // Its end is seen when nobody else has it.
    let tail = {
        let weak = Arc::downgrade(&tail);
        drop(tail);
        weak
    };
    let told = match value(&shown(&lines, 0)) {
        Ok(told) => vec![told],
        Err(why) => return invocation.fail(why),
    };
    if !follow {
        return invocation.finish(told, Dict::new());
    }
    if invocation.progress(told, Dict::new()).await.is_err() {
        return;
    }
    loop {
        let changed = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            () = invocation.interrupted() => return,
        };
        let more = |tail: Arc<Tail>| tail.since(next, LINES_MAX);
        let Some(lines) = tail.upgrade().filter(|_| changed).map(more) else {
            return invocation.finish(Vec::new(), Dict::new());
        };
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { continue };
        let told = value(&shown(&lines, first.number - next));
        next = last.number + 1;
        match told {
            Ok(told) => {
                if invocation.progress(vec![told], Dict::new()).await.is_err() {
                    return;
                }
            }
            Err(why) => return invocation.fail(why),
        }
        // What comes meanwhile is told together.
        changes.mark_changed();
        tokio::time::sleep(PAUSE).await;
    }
}
