//! Node directories: a configuration file, and the program that is run with it.

use super::{Router, router};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A node directory with a configuration, which goes with the value.
pub struct Directory(PathBuf);

impl Directory {
    /// A directory of this name, which no other test of the process may have.
    pub fn new(name: &str, config: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("corebar-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable directory");
        let directory = Directory(path);
        directory.write(config);
        directory
    }

    /// Puts another configuration into the place of the present one.
    pub fn write(&self, config: &str) {
        fs::write(self.path("config.json"), config).expect("a writable directory");
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A command of the program for this directory.
    pub fn command(&self, command: &str, more: &[&str]) -> Command {
        let directory = self.0.to_str().expect("a path of plain characters");
        router::command(&[&[command, "--cbdir", directory], more].concat())
    }

    /// Runs a command to its end.
    pub fn output(&self, command: &str, more: &[&str]) -> Output {
        self.command(command, more).output().expect("the program can be run")
    }

    /// Starts the node.
    pub fn start(&self) -> Router {
        Router::run(self.command("start", &[]))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
