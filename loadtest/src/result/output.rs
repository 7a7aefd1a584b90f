//! Where results go: standard output, JSON and HTML files; and reading earlier results back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{html, json, report};
use crate::cli::{CompareOptions, Output};
use crate::result::compare::{self, Entry};
use crate::result::outcome::{Document, Outcome};

/// Shows a text for people, where it does not mix with the JSON.
pub(crate) fn say(output: &Output, text: &str) {
    match to_stdout(output.json.as_deref()) {
        true => eprintln!("{text}"),
        false => println!("{text}"),
    }
}

/// Compares runs, each of the side of the same place, and writes all that is asked for. True if no run was faulty.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(output: &Output, runs: Vec<Outcome>, sides: Vec<String>) -> Result<bool> {
    let entries: Vec<_> = runs.iter().zip(sides).map(|(outcome, side)| Entry { side, outcome }).collect();
    let comparisons = compare::compare(&entries);
    for comparison in &comparisons {
        say(output, &comparison.text());
    }
    if let Some(path) = &output.html {
        save(path, &html::page(&entries, &comparisons))?;
    }
    let document = Document::new(runs, comparisons);
    match output.json.as_deref() {
        Some(path) if to_stdout(Some(path)) => print!("{}", json::text(&document)?),
        Some(path) => save(path, &json::text(&document)?)?,
        None => {}
    }
    Ok(document.clean)
}

/// Puts earlier results side by side. True if no run was faulty.
///
/// # Errors
/// If a file cannot be read or written, or there is nothing to compare.
pub(crate) fn compare_files(options: &CompareOptions) -> Result<bool> {
    let mut runs: Vec<(PathBuf, Outcome)> = Vec::new();
    for path in &options.files {
        runs.extend(read(path)?.runs.into_iter().map(|run| (path.clone(), run)));
    }
    let sides: Vec<_> = runs.iter().map(|run| side(run, &runs)).collect();
    if sides.iter().all(|side| *side == sides[0]) {
        // Nothing to compare, but to show.
        runs.iter().for_each(|(_, run)| say(&options.output, &report::text(run)));
    }
    write(&options.output, runs.into_iter().map(|(_, run)| run).collect(), sides)
}

/// What the side of a run is called: its label, with the name of its file if the same label comes from another file.
fn side((path, run): &(PathBuf, Outcome), runs: &[(PathBuf, Outcome)]) -> String {
    let label = &run.about.target.label;
    let elsewhere = |(other, run): &(PathBuf, Outcome)| other != path && run.about.target.label == *label;
    match runs.iter().any(elsewhere) {
        true => format!("{label} ({})", path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy()),
        false => label.clone(),
    }
}

fn read(path: &Path) -> Result<Document> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let document: Document =
        serde_json::from_str(&text).with_context(|| format!("{} is no result of this program", path.display()))?;
    if document.format != Document::FORMAT {
        bail!("{} has the format {}, this program reads {}", path.display(), document.format, Document::FORMAT);
    }
    Ok(document)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn to_stdout(path: Option<&Path>) -> bool {
    path == Some(Path::new("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_of_the_same_label_go_by_their_files_too() {
        let run = |path: &str, label: &str| {
            let mut outcome = Outcome::default();
            outcome.about.target.label = label.into();
            (PathBuf::from(path), outcome)
        };
        let runs =
            [run("x/a.json", "router"), run("a.json", "floor"), run("b.json", "router"), run("b.json", "router")];
        let sides: Vec<_> = runs.iter().map(|one| side(one, &runs)).collect();
        assert_eq!(sides, ["router (a)", "floor", "router (b)", "router (b)"]);
    }
}
