//! Programs of our own in Python: each is a guest that is the interpreter, and reads its program.

mod probe;

pub(super) use probe::missing;

use crate::config::GuestConfig;
use crate::config::guest::{InputConfig, ReadyConfig};
use crate::config::python::Interpreter;
use serde_json::Value;

/// What the interpreter is started with: it reads the description, and runs the program in it. Arguments can be seen by
/// everybody on the machine, so nothing else is one.
const BEGIN: &str = "import sys, json; description = json.loads(sys.stdin.buffer.readline()); \
    exec(compile(description['host'], '<component host>', 'exec'), {'__name__': 'corebar_host', 'description': description})";

/// What such a program ends with if what it is for cannot be loaded, so that another try would be no use.
const EXIT_USELESS: i32 = 78;

/// A guest that runs the program `host` of a description, and is ready with a line that says so.
pub(super) fn guest(id: &str, interpreter: &Interpreter, description: Value, ready: &str) -> GuestConfig {
    let mut guest = GuestConfig::new(id, &*interpreter.program);
    guest.arguments = ["-u", "-c", BEGIN, id].map(Into::into).into();
    guest.workdir.clone_from(&interpreter.directory);
    (guest.inherit, guest.vars) = (interpreter.inherit.clone(), interpreter.vars.clone());
    guest.restart.useless = Some(EXIT_USELESS);
    guest.ready = ReadyConfig::Line(ready.into());
    guest.stdin = InputConfig::Json { value: description, close: true };
    guest
}
