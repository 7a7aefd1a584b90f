//! Opening files of a directory, and none outside it.

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// How often to try again if the system cannot say for sure that a file is inside, because something was renamed.
const ATTEMPTS: usize = 4;

/// Opens a file or directory by a path of plain names below `root`, which is looked up anew each time: it may have been
/// replaced. Links lead nowhere outside.
///
/// # Errors
/// What the system says; links that leave the directory are `CrossesDevices`.
pub(super) fn open_below(root: &Path, name: &str) -> io::Result<File> {
    let name = if name.is_empty() { "." } else { name };
    let base = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // What is no file is found out when it is open, which must not wait for somebody to write to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut last = Errno::AGAIN;
    for _ in 0..ATTEMPTS {
        match openat2(base.as_fd(), name, flags, Mode::empty(), inside) {
            Ok(file) => return Ok(file.into()),
            Err(Errno::AGAIN) => {}
            Err(error) => {
                last = error;
                break;
            }
        }
    }
    match last {
        // An old system, or a sandbox that does not know the call.
        Errno::NOSYS | Errno::PERM => compare(root, name),
        error => Err(error.into()),
    }
}

/// The same by looking where links lead before opening.
fn compare(root: &Path, name: &str) -> io::Result<File> {
    let root = root.canonicalize()?;
    let file = root.join(name).canonicalize()?;
    if !file.starts_with(&root) {
        return Err(io::ErrorKind::CrossesDevices.into());
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(file, flags, Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_nowhere_outside() {
        let folder = std::env::temp_dir().join(format!("corebar-open-{}", std::process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("inner")).expect("a writable directory");
        fs::write(folder.join("secret"), "x").expect("a file");
        fs::write(root.join("inner/file"), "x").expect("a file");
        symlink("../secret", root.join("out")).expect("a link");
        symlink(folder.join("secret"), root.join("far")).expect("a link");
        symlink("inner/file", root.join("in")).expect("a link");
        symlink("..", root.join("inner/up")).expect("a link");
        symlink("../..", root.join("inner/upper")).expect("a link");
        for open in [open_below, compare] {
            for good in ["inner/file", "in", "inner/up/in", ".", "inner"] {
                open(&root, good).expect(good);
            }
            for bad in ["out", "far", "inner/upper/secret", "inner/upper", "nothing", "in/x"] {
                assert!(open(&root, bad).is_err(), "{bad}");
            }
        }
        fs::remove_dir_all(folder).expect("our own directory");
    }
}
