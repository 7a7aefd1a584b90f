//! Where the program of a guest is.

use crate::config::GuestConfig;
use crate::config::guest::Inherit;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds the program of a guest: at its absolute path, else below the guest's directory, else, if it is a mere name, on
/// the guest's PATH.
///
/// # Errors
/// It is nowhere, for people.
pub fn find(guest: &GuestConfig) -> Result<PathBuf, String> {
    let name = &guest.executable;
    let workdir = workdir(guest).map_err(|error| error.to_string())?;
    let beside = workdir.join(name);
    if runs(&beside) {
        return Ok(beside);
    }
    if name.components().count() > 1 || name.is_absolute() {
        return Err(match fs::metadata(&beside) {
            Ok(_) => format!("{} is no program that may be run", beside.display()),
            Err(error) => format!("cannot run {}: {error}", beside.display()),
        });
    }
    let path = path(guest).unwrap_or_default();
    let found = env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| runs(file));
    let places = path.to_string_lossy();
    found.ok_or_else(|| {
        format!("cannot find {}, neither in {} nor on the PATH {places}", name.display(), workdir.display())
    })
}

/// True if a program is there that the router itself runs: at its path, or by its mere name on the PATH.
#[must_use]
pub fn is_there(program: &Path) -> bool {
    if program.components().count() > 1 {
        return runs(program);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| runs(&folder.join(program)))
}

/// The directory of a guest, as an absolute path.
pub(super) fn workdir(guest: &GuestConfig) -> io::Result<PathBuf> {
    if guest.workdir.as_os_str().is_empty() { env::current_dir() } else { std::path::absolute(&guest.workdir) }
}

/// Where the guest itself would look for programs; where the router does, if it has no such variable.
fn path(guest: &GuestConfig) -> Option<OsString> {
    let inherited = || match &guest.inherit {
        Inherit::These(names) if !names.iter().any(|name| name == "PATH") => None,
        _ => env::var_os("PATH"),
    };
    guest.vars.get("PATH").map(OsString::from).or_else(inherited).or_else(|| env::var_os("PATH"))
}

fn runs(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|there| there.is_file() && there.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_they_may_be() {
        let folder = env::temp_dir().join(format!("corebar-find-{}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).expect("a writable directory");
        for (file, mode) in [("bin/tool", 0o755), ("tool2", 0o755), ("text", 0o644)] {
            fs::write(folder.join(file), "#!/bin/sh\n").expect("a writable directory");
            fs::set_permissions(folder.join(file), fs::Permissions::from_mode(mode)).expect("own file");
        }
        let find = |executable: &str| {
            let mut guest = GuestConfig { workdir: folder.clone(), ..GuestConfig::new("a", executable) };
            guest.vars.insert("PATH".into(), folder.join("bin").to_string_lossy().into());
            super::find(&guest)
        };
        assert_eq!(find("tool"), Ok(folder.join("bin/tool")));
        assert_eq!(find("bin/tool"), Ok(folder.join("bin/tool")));
        assert_eq!(find("tool2"), Ok(folder.join("tool2")));
        let absolute = folder.join("tool2");
        assert_eq!(find(absolute.to_str().expect("plain")), Ok(absolute));
        assert!(find("nowhere").expect_err("not there").contains("cannot find nowhere"));
        assert!(find("./nowhere").expect_err("not there").contains("No such file"));
        assert!(find("./text").expect_err("no program").contains("no program"));
        fs::remove_dir_all(folder).expect("own directory");
    }
}
