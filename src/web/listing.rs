//! The page that lists a directory.

use crate::wire::path::encode;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use std::fmt::Write;
use std::fs::{File, Metadata};
use std::io;

struct Entry {
    name: String,
    directory: bool,
    octets: u64,
}

/// Lists up to so many entries. `follow` tells of what a link leads to; none if it leaves what is served.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn page(
    path: &str,
    directory: &File,
    (hidden, entries_max): (bool, usize),
    follow: impl Fn(&str) -> Option<Metadata>,
) -> io::Result<String> {
    let mut entries = Vec::new();
    let mut more = false;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        // What is no text cannot be asked for.
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." || (name.starts_with('.') && !hidden) {
            continue;
        }
        if entries.len() == entries_max {
            more = true;
            break;
        }
        let Ok(known) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let (directory, octets) = match FileType::from_raw_mode(known.st_mode) {
            FileType::Directory => (true, 0),
            FileType::RegularFile => (false, u64::try_from(known.st_size).unwrap_or(0)),
            FileType::Symlink => match follow(name) {
                Some(known) if known.is_dir() => (true, 0),
                Some(known) if known.is_file() => (false, known.len()),
                _ => continue,
            },
            _ => continue,
        };
        entries.push(Entry { name: name.into(), directory, octets });
    }
    entries.sort_by(|a, b| (b.directory, &a.name).cmp(&(a.directory, &b.name)));
    Ok(write(path, &entries, more))
}

fn write(path: &str, entries: &[Entry], more: bool) -> String {
    let names = crate::wire::path::names(path).unwrap_or_default();
    let title: String = names.iter().map(|name| format!("/{}", escape(name))).collect();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<table>\n"
    );
    // Writing to a string does not fail.
    if names.iter().any(|name| !name.is_empty()) {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td></tr>\n");
    }
    for Entry { name, directory, octets } in entries {
        let slash = if *directory { "/" } else { "" };
        let size = if *directory { String::new() } else { octets.to_string() };
        let (link, name) = (encode(name), escape(name));
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a></td><td align=\"right\">{size}</td></tr>"
        );
    }
    page.push_str("</table>\n");
    if more {
        page.push_str("<p>There are more.</p>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// A text as it stands in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_markup() {
        let entry = |name: &str, directory| Entry { name: name.into(), directory, octets: 7 };
        let page = write("/a%3Cb/", &[entry("x", true), entry("<script>\"'&", false)], true);
        assert!(page.contains("<h1>/a&lt;b/</h1>") && page.contains("<a href=\"./x/\">x/</a>"), "{page}");
        assert!(page.contains("<a href=\"./%3Cscript%3E%22%27%26\">&lt;script&gt;&quot;&#39;&amp;</a>"), "{page}");
        assert!(page.contains("There are more") && page.contains("href=\"../\""));
        assert!(!write("/", &[], false).contains("../"));
    }
}
