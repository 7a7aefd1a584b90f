//! What there is to say about the configuration file.

use crate::config::describe::example::example;
use crate::config::describe::explain::explain;
use crate::config::describe::reference::reference;
use crate::config::describe::tree::Tree;
use crate::config::file::schema::schema;
use clap::Subcommand;
use serde_json::Value;
use std::io::{self, ErrorKind, Write};

/// What to print.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print the JSON Schema of the file (draft 2020-12), for editors and other programs.
    Schema,
    /// Print an example in YAML, with comments. It can be served as it is.
    Example {
        /// All keys that have an effect, those that are not needed as comments.
        #[arg(long)]
        full: bool,
    },
    /// Say what a key means, what may stand there and what holds without it.
    Explain {
        /// The key, such as `workers[].transports[].endpoint.port` or `corebar.limits.calls_max`; indices may be left out.
        path: String,
        /// Say it in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the reference of all keys, in Markdown.
    Reference,
}

/// Prints it.
///
/// # Errors
/// There is no such key, or it cannot be written.
pub(super) fn config(wanted: &Config) -> Result<(), String> {
    let schema = schema();
    let tree = Tree::new(&schema);
    let text = match wanted {
        Config::Schema => format!("{schema:#}\n"),
        Config::Example { full } => example(tree, *full),
        Config::Reference => reference(tree),
        Config::Explain { path, json } => {
            let explanations = explain(tree, path)?;
            if *json {
                let all: Vec<Value> = explanations.iter().map(|explanation| explanation.json()).collect();
                format!("{:#}\n", Value::from(all))
            } else {
                let all: Vec<String> = explanations.iter().map(|explanation| explanation.text()).collect();
                all.join("\n")
            }
        }
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads it has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| format!("cannot write: {error}")),
    }
}
