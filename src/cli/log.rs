//! The log of the program.

use super::args::Logging;
use crate::config::file::is_filter;
use crate::config::log::LogConfig;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// What is logged if nobody says otherwise.
const LEVEL: &str = "info";

/// The log, for as long as the program runs.
#[derive(Debug)]
pub(super) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    target: Target,
    /// The level of the flags, which is stronger than that of a file.
    fixed: Option<String>,
    level: String,
    /// What the configuration wants.
    configured: String,
}

impl Log {
    /// Begins to log as the flags say, and what they leave open as the configuration does.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn begin(flags: &Logging, config: &LogConfig) -> Result<Log, String> {
        let level = flags.level().or_else(|| config.level.clone()).unwrap_or_else(|| LEVEL.into());
        let path = flags.log_file.as_deref().or(config.file.as_deref());
        if let Some(directory) = &flags.log_dir {
            let made = std::fs::create_dir_all(directory);
            made.map_err(|error| format!("cannot make the directory {}: {error}", directory.display()))?;
        }
        let target = path.map_or_else(|| Ok(Target::StandardError), Target::open)?;
        let (layer, filter) = reload::Layer::new(EnvFilter::new(&level));
        let said = |flag: &Option<String>, config: &Option<String>| flag.clone().or_else(|| config.clone());
        let coloured = match said(&flags.log_color, &config.color).as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => matches!(target, Target::StandardError) && io::stderr().is_terminal(),
        };
        let writer = target.clone();
        let format = fmt::layer().with_writer(move || writer.clone()).with_ansi(coloured).with_target(false);
        let registry = tracing_subscriber::registry().with(layer);
        let style = said(&flags.log_format, &config.format);
        match style.as_deref() {
            // The flag is stronger than the file.
            _ if flags.log_json || config.json && flags.log_format.is_none() => {
                registry.with(format.json().flatten_event(true)).init();
            }
            Some("syslogd") => registry.with(format.without_time()).init(),
            Some("none") => registry.with(format.without_time().with_level(false)).init(),
            _ => registry.with(format).init(),
        }
        Ok(Log { filter, target, fixed: flags.level(), configured: level.clone(), level })
    }

    /// Goes on with another configuration.
    pub(super) fn change(&mut self, config: &LogConfig) {
        let level = self.fixed.clone().or_else(|| config.level.clone()).unwrap_or_else(|| LEVEL.into());
        if level != self.configured {
            self.configured.clone_from(&level);
            if let Err(error) = self.set(level) {
                tracing::error!(%error, "the level of the log stays as it is");
            }
        }
    }

    /// Logs at another level, until the configuration wants yet another.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn set(&mut self, level: String) -> Result<(), String> {
        if !is_filter(&level) {
            return Err(format!("{level:?} is no level, nor levels by module"));
        }
        self.filter.reload(EnvFilter::new(&level)).map_err(|error| error.to_string())?;
        self.level = level;
        Ok(())
    }

    /// The level.
    pub(super) fn level(&self) -> &str {
        &self.level
    }

    /// Opens the file again, which somebody may have moved away.
    pub(super) fn reopen(&self) {
        match self.target.reopen() {
            Ok(()) => tracing::info!("the log goes on here"),
            Err(error) => tracing::error!(%error, "the log goes on where it was"),
        }
    }
}

/// Where lines go.
#[derive(Clone, Debug)]
enum Target {
    StandardError,
    /// Whole lines each in one write, at its end: other processes may write there too.
    File(Arc<(PathBuf, Mutex<File>)>),
}

impl Target {
    fn open(path: &Path) -> Result<Target, String> {
        let file = append(path).map_err(|error| format!("cannot write the log {}: {error}", path.display()))?;
        Ok(Target::File(Arc::new((path.into(), Mutex::new(file)))))
    }

    fn reopen(&self) -> io::Result<()> {
        let Target::File(target) = self else { return Ok(()) };
        let file = append(&target.0)?;
        *target.1.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Target::StandardError => io::stderr().write(octets),
            Target::File(target) => target.1.lock().unwrap_or_else(PoisonError::into_inner).write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
