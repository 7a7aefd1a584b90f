//! A new node directory.

use super::args::Init;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file and what it holds.
type Content = (&'static str, &'static str);

/// What a new directory can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Template {
    /// A page with a chat, a live chart and calls, in plain JavaScript.
    Web,
    /// A configuration file alone.
    Bare,
}

impl Template {
    fn files(self) -> &'static [Content] {
        const CONFIG: Content = (".crossbar/config.json", include_str!("init/config.json"));
        const BARE: Content = (".crossbar/config.json", include_str!("init/bare.json"));
        const INDEX: Content = ("web/index.html", include_str!("init/index.html"));
        const DEMO: Content = ("web/demo.js", include_str!("init/demo.js"));
        const CLIENT: Content = ("web/corebar.js", include_str!("../../clients/js/corebar.js"));
        match self {
            Template::Web => &[CONFIG, INDEX, DEMO, CLIENT],
            Template::Bare => &[BARE],
        }
    }
}

/// Writes the files of a template, and says how to go on.
///
/// # Errors
/// One is there already, or cannot be written. Then those before it have been written; nothing is overwritten.
pub(super) fn init(wanted: &Init) -> Result<(), String> {
    let files = wanted.template.files();
    let path = |name: &str| wanted.appdir.join(name);
    if let Some((name, _)) = files.iter().find(|(name, _)| path(name).exists()) {
        return Err(format!("{} is there already; nothing has been written", path(name).display()));
    }
    for (name, text) in files {
        write(&path(name), text)?;
        println!("{}", path(name).display());
    }
    let node: PathBuf = wanted.appdir.join(".crossbar");
    let start = if node == Path::new(".crossbar") || node == Path::new("./.crossbar") {
        "corebar start".to_string()
    } else {
        format!("corebar start --cbdir {}", node.display())
    };
    println!("\nStart it with: {start}");
    if wanted.template == Template::Web {
        println!("Then open http://127.0.0.1:8080/ in two windows");
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} is there already", path.display()),
        _ => format!("cannot write {}: {error}", path.display()),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
