//! Where something stands inside a Python package.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the interpreter may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How often it is looked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// Looks a package up without running any of it, unless it is inside another one.
const PROGRAM: &str = "import importlib.util, sys
spec = importlib.util.find_spec(sys.argv[1])
if spec is None: sys.exit('there is no such package')
places = list(spec.submodule_search_locations or [])
if not places: sys.exit('this is a module and no package')
sys.stdout.write(places[0])";

/// Asks the interpreter `python3` for the directory of a package.
///
/// # Errors
/// What is wrong, in one line.
pub(super) fn find(package: &str, resource: &str) -> Result<PathBuf, String> {
    let mut child = Command::new("python3")
        .args(["-c", PROGRAM, package])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("needs the interpreter python3: {error}"))?;
    let end = Instant::now() + TIMEOUT;
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() >= end {
            // It is not needed any longer, whatever comes of it.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("python3 did not answer in {} seconds", TIMEOUT.as_secs()));
        }
        thread::sleep(POLL);
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("python3 says: {}", said.lines().last().unwrap_or("nothing").trim()));
    }
    let place = String::from_utf8(output.stdout).map_err(|_| "is in a directory whose name is no text".to_string())?;
    let root = Path::new(&place).join(resource);
    if !root.is_dir() {
        return Err(format!("has no directory {resource:?}"));
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_and_others_are_not() {
        if Command::new("python3").arg("--version").output().is_err() {
            eprintln!("SKIPPED: there is no python3");
            return;
        }
        assert!(find("json", ".").expect("a package of the language").join("decoder.py").exists());
        assert!(find("json", "nothing").expect_err("nothing").contains("has no directory"));
        assert!(find("no_such_package_1", "x").expect_err("nothing").contains("no such package"));
        assert!(find("this_is.nothing", "x").is_err());
    }
}
