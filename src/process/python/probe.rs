//! Whether a program can be run at all, as far as that can be told without running it.

use super::super::program;
use super::guest;
use crate::config::python::Interpreter;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the interpreter may take to say what it finds.
const TIME_MAX: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// Says which of the modules that it is told of are not there, without running any of them.
const PROBE: &str = "import sys, json, importlib.util\n\
    told = json.loads(sys.stdin.buffer.readline())\n\
    sys.path[:1] = told['path'] + sys.path[:1]\n\
    print(' '.join(name for name in told['names'] if importlib.util.find_spec(name) is None))";

/// What an interpreter lacks for a program: itself, or the packages of these modules. For people.
#[must_use]
pub(in crate::process) fn missing(interpreter: &Interpreter, modules: &[&str]) -> Option<String> {
    let python = match program::find(&guest("python", interpreter, Value::Null, "")) {
        Ok(python) => python,
        Err(error) => return Some(error),
    };
    let mut names: Vec<_> = modules.iter().map(|name| name.split('.').next().unwrap_or_default()).collect();
    names.dedup();
    let told = serde_json::json!({"path": interpreter.pythonpath, "names": names}).to_string();
    let mut command = Command::new(&python);
    command.args(["-c", PROBE]).current_dir(&interpreter.directory).envs(&interpreter.vars);
    match answer(&mut command, &told) {
        Err(error) => Some(format!("cannot ask {}: {error}", python.display())),
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => {
            let names = text.split_whitespace().collect::<Vec<_>>().join(" and ");
            Some(format!("{} does not find {names}", python.display()))
        }
    }
}

/// What a program prints that is told something.
fn answer(command: &mut Command, told: &str) -> Result<String, String> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = pipes.spawn().map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // What it tells does not fill a pipe, and one that does not read has something else to say.
        let _ = writeln!(stdin, "{told}");
    }
    let until = Instant::now() + TIME_MAX;
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it says nothing within {} seconds", TIME_MAX.as_secs()));
        }
        sleep(LOOK);
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ends with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
