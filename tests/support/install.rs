//! Programs from package registries, installed once below `target/clients`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder in which a Python environment with these requirements is installed; none if that cannot be done and the
/// tests do not run for a merge.
pub fn python(name: &str, requirements: &Path) -> Option<PathBuf> {
    installed(name, &[requirements], |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-r"];
        run(Command::new(folder.join("bin/python")).args(pip).arg(requirements))
    })
}

/// A folder in which a Python environment with the package of this project is installed, as a user would install it from the
/// repository, and what its tests need; none as above.
pub fn corebar_python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (requirements, package) = (root.join("tests/clients/apps.txt"), root.join("clients/python"));
    let mut inputs = vec![requirements.clone(), package.join("pyproject.toml"), package.join("README.md")];
    let sources = fs::read_dir(package.join("corebar")).expect("the sources of the package").flatten();
    inputs.extend(sources.map(|entry| entry.path()).filter(|path| path.is_file()));
    inputs.sort();
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let environment = python("apps", &requirements)?;
    // When it changes it alone is installed again.
    installed("apps-package", &inputs, |folder| {
        let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--force-reinstall"];
        run(Command::new(environment.join("bin/python")).args(pip).arg(&package))?;
        fs::create_dir_all(folder).map_err(|error| error.to_string())
    })?;
    Some(environment)
}

/// A folder in which Crossbar.io is installed, as an environment for Python; none as above. Its packages are of its time, and
/// so has Python to be.
pub fn crossbar() -> Option<PathBuf> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/crossbar.txt");
    installed("crossbar", &[&requirements], |folder| {
        let fits = |python: &str| {
            run(Command::new(python).args(["-c", "import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 12))"]))
        };
        let pythons = ["python3.11", "python3", "python3.10"];
        let python = pythons.into_iter().find(|python| fits(python).is_ok());
        let python = python.ok_or("it needs Python 3.11 or 3.10")?;
        run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
        // What it says about the releases that it needs cannot be met any more.
        let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "-r"];
        run(Command::new(folder.join("bin/python")).args(pip).arg(&requirements))?;
        run(Command::new(folder.join("bin/crossbar")).arg("version"))
    })
}

/// A folder in which the packages of this `package.json` and its lock file are installed; none as above.
pub fn node(name: &str, source: &Path) -> Option<PathBuf> {
    let files = [source.join("package.json"), source.join("package-lock.json")];
    installed(name, &[&files[0], &files[1]], |folder| {
        run(Command::new("node").arg("--version"))?;
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        for file in &files {
            let name = file.file_name().expect("a file has a name");
            fs::copy(file, folder.join(name)).map_err(|error| error.to_string())?;
        }
        let arguments = ["install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--no-save"];
        run(Command::new("npm").args(arguments).current_dir(folder))
    })
}

/// A folder in which this package of Debian is unpacked, with those that it needs and the system has not; none as above.
/// Nothing is changed in the system.
pub fn debian(package: &str) -> Option<PathBuf> {
    install(&format!("debian-{package}"), package, |folder| {
        let archives = folder.join("archives");
        fs::create_dir_all(archives.join("partial")).map_err(|error| error.to_string())?;
        let cache = format!("Dir::Cache::archives={}", archives.display());
        let download = || {
            let mut apt = Command::new("apt-get");
            // Neither root nor its locks are needed for this.
            apt.args(["-o", "Debug::NoLocking=1", "-o", &cache, "-y", "--no-install-recommends", "--download-only"]);
            run(apt.args(["install", "--reinstall", package]))
        };
        // The lists of packages may be missing, or name what is no longer there.
        download().or_else(|_| run(Command::new("apt-get").arg("update")).and_then(|()| download()))?;
        for archive in fs::read_dir(&archives).map_err(|error| error.to_string())?.flatten() {
            if archive.path().extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg").arg("-x").arg(archive.path()).arg(folder))?;
            }
        }
        fs::remove_dir_all(archives).map_err(|error| error.to_string())
    })
}

/// A program of a package that was unpacked in a folder, and finds its libraries there.
pub fn unpacked(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(folder.join(program));
    let mut places = Vec::new();
    libraries(&folder.join("usr/lib"), &mut places);
    command.env("LD_LIBRARY_PATH", std::env::join_paths(places).expect("plain paths"));
    command
}

/// The folders in which libraries lie.
fn libraries(folder: &Path, places: &mut Vec<PathBuf>) {
    let entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    if entries.iter().any(|entry| entry.file_name().to_string_lossy().contains(".so")) {
        places.push(folder.into());
    }
    for entry in entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        libraries(&entry.path(), places);
    }
}

/// Calls `install` unless it has succeeded before with the same content of `inputs`.
fn installed(name: &str, inputs: &[&Path], installer: impl Fn(&Path) -> Result<(), String>) -> Option<PathBuf> {
    let wanted: String = inputs.iter().map(|path| fs::read_to_string(path).expect("a committed file")).collect();
    install(name, &wanted, installer)
}

/// Calls `installer` unless it has succeeded before with the same text.
fn install(name: &str, wanted: &str, installer: impl Fn(&Path) -> Result<(), String>) -> Option<PathBuf> {
    let clients = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp lies in target").join("clients");
    fs::create_dir_all(&clients).expect("target can be written");
    // Each test may run in a process of its own.
    let lock = File::create(clients.join(format!("{name}.lock"))).expect("target can be written");
    lock.lock().expect("files can be locked");
    let folder = clients.join(name);
    let marker = clients.join(format!("{name}.installed"));
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Some(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    match installer(&folder) {
        Ok(()) => {
            fs::write(marker, wanted).expect("target can be written");
            Some(folder)
        }
        Err(error) => {
            let ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!ci, "{name} cannot be installed, and CI must not skip this: {error}");
            eprintln!("\nSKIPPED: {name} cannot be installed, so nothing was tested with it: {error}\n");
            None
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
