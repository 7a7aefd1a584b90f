//! Reads the sources and fails where they break the project's own rules: dependencies between modules go one way,
//! pure modules stay pure, files and functions stay short, and nothing is unwrapped outside tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the bottom up. Each may use those before it in this list.
const ORDER: &[&str] = &[
    "wamp",
    "wire",
    "auth",
    "client",
    "session",
    "router",
    "sim",
    "store",
    "web",
    "traces",
    "bound",
    "shard",
    "transport",
    "courier",
    "link",
    "bridge",
    "process",
    "node",
    "supervisor",
    "cli",
];
/// Plain data: may be used from `session` upward, and uses nothing above `router`.
const CONFIG: &str = "config";
/// No sockets, clocks, threads or randomness of their own.
const PURE: &[&str] = &["wamp", "wire", "auth", "session", "router", "sim"];
/// What pure modules may not name.
const IMPURE: &[&str] = &[
    "tokio",
    "std::net",
    "std::thread",
    "std::fs",
    "Instant::now",
    "SystemTime",
    "thread_rng",
    "getrandom",
    "fastrand::u64",
    "fastrand::u32",
    "fastrand::usize",
    "fastrand::bool",
    "fastrand::Rng::new()",
    "rand::rng",
];
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 80;

#[test]
fn sources_are_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "loadtest/src"] {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "the sources are found: {files:?}");
    let mut faults = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("a source is text");
        let name = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        faults.extend(check(&name, &text));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every fault of one file, as `file:line: what`.
fn check(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |line: usize, what: String| faults.push(format!("{name}:{}: {what}", line + 1));
    let count = text.lines().count();
    if count > FILE_LINES_MAX {
        fault(count - 1, format!("a file of {count} lines, {FILE_LINES_MAX} are allowed"));
    }
    let code = blank(text);
    let lines: Vec<&str> = code.lines().collect();
    for (line, length) in functions(&lines) {
        if length > FUNCTION_LINES_MAX {
            fault(line, format!("a function of {length} lines, {FUNCTION_LINES_MAX} are allowed"));
        }
    }
    let module = name.strip_prefix("src/").and_then(|path| path.split(['/', '.']).next()).unwrap_or_default();
    let tests = test_lines(name, &lines);
    for (at, line) in lines.iter().enumerate() {
        for used in used_modules(&lines, at) {
            if !may_use(module, &used) {
                fault(at, format!("`{module}` may not use `{used}`, which is above it"));
            }
        }
        if tests[at] {
            continue;
        }
        if let Some(named) = IMPURE.iter().find(|named| PURE.contains(&module) && mentions(line, named)) {
            fault(at, format!("`{module}` is pure and may not name `{named}`"));
        }
        if line.contains(".unwrap()") {
            fault(at, "unwrap() outside tests".into());
        }
    }
    faults
}

/// The place of a module, from the bottom; none for those that may use everything.
fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

fn may_use(module: &str, used: &str) -> bool {
    if module == used || used == "lib" {
        return true;
    }
    let session = rank("session");
    match (rank(module), rank(used)) {
        // Roots (lib.rs, main.rs) use everything.
        (None, _) if module != CONFIG => true,
        (None, Some(used)) => Some(used) <= rank("router"),
        (Some(_), Some(used)) => rank(module) > Some(used),
        (Some(_), None) if used == CONFIG => rank(module) >= session,
        // A name at the root of the crate that is no module of the list.
        (_, None) => true,
    }
}

/// The modules that `crate::` leads to on this line, also those of a list in braces that begins here.
fn used_modules(lines: &[&str], at: usize) -> Vec<String> {
    let mut used = Vec::new();
    for (start, _) in lines[at].match_indices("crate::") {
        let rest = &lines[at][start + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let text = lines[at + 1..].iter().fold(list.to_string(), |text, line| text + "\n" + line);
            used.extend(first_names(&text));
        } else {
            used.extend(identifier(rest));
        }
    }
    used
}

/// The names at the top level of a list, up to its closing brace.
fn first_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut item = String::new();
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(identifier(std::mem::take(&mut item).trim())),
            other if depth == 0 => item.push(other),
            _ => {}
        }
    }
    names.extend(identifier(item.trim()));
    names
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// True if `line` has `name` and not as a part of a longer identifier.
fn mentions(line: &str, name: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(name)
        .any(|(at, _)| boundary(line[..at].chars().next_back()) && boundary(line[at + name.len()..].chars().next()))
}

/// For each line, whether it belongs to tests: a file of tests, or an item behind `#[cfg(test)]` or `#[test]`.
fn test_lines(name: &str, lines: &[&str]) -> Vec<bool> {
    let all = name.split(['/', '.']).any(|part| part == "tests" || part == "testing");
    let mut tests = vec![all; lines.len()];
    for at in 0..lines.len() {
        let line = lines[at].trim_start();
        if line.starts_with("#[cfg(test)]") || line.starts_with("#[test]") {
            let end = item_end(lines, at);
            tests[at..=end].fill(true);
        }
    }
    tests
}

/// The first line of each function with a body, and how many lines it has.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let begins = |line: &str| {
        let words = line.split_whitespace().take_while(|word| !word.contains(['=', ';']));
        let modifiers = ["pub", "const", "async", "unsafe", "extern"];
        for word in words {
            if word == "fn" {
                return true;
            }
            if !modifiers.contains(&word) && !word.starts_with("pub(") && word != "super)" {
                return false;
            }
        }
        false
    };
    let starts = (0..lines.len()).filter(|at| begins(lines[*at]));
    starts.map(|at| (at, item_end(lines, at) - at + 1)).collect()
}

/// The last line of the item that begins here: where its braces close, or its semicolon.
fn item_end(lines: &[&str], start: usize) -> usize {
    let mut depth = 0i32;
    for (at, line) in lines.iter().enumerate().skip(start) {
        for character in line.chars() {
            match character {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => {
                    depth -= 1;
                    if depth == 0 && character == '}' {
                        return at;
                    }
                }
                ';' if depth == 0 => return at,
                _ => {}
            }
        }
    }
    lines.len() - 1
}

/// The text with comments and the insides of literals replaced by blanks; lines stay where they are.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_or_comment(rest, out.chars().next_back());
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    out
}

/// How many octets of a comment or literal begin here; 0 if none does.
fn literal_or_comment(text: &str, before: Option<char>) -> usize {
    let word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    if !word && text.starts_with('r') {
        let hashes = text[1..].chars().take_while(|c| *c == '#').count();
        if text[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            return text[body..].find(&end).map_or(text.len(), |at| body + at + end.len());
        }
    }
    if !word && (text.starts_with("b\"") || text.starts_with("c\"")) {
        return 1 + quoted(&text[1..], '"');
    }
    if !word && text.starts_with("br") {
        return match literal_or_comment(&text[1..], None) {
            0 => 0,
            length => 1 + length,
        };
    }
    if let Some(inside) = text.strip_prefix('\'') {
        let mut characters = inside.chars();
        let first = characters.next();
        // 'a' and '\n' are characters, 'a is a lifetime.
        if first == Some('\\') || characters.next() == Some('\'') {
            return quoted(text, '\'');
        }
    }
    0
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let octets = text.as_bytes();
    let mut at = 0;
    while at + 1 < octets.len() {
        match &octets[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

mod checker {
    use super::*;

    #[track_caller]
    fn finds(name: &str, text: &str, what: &str) {
        let faults = check(name, text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(what), "{faults:?}");
    }

    #[track_caller]
    fn passes(name: &str, text: &str) {
        assert_eq!(check(name, text), Vec::<String>::new());
    }

    #[test]
    fn arrows_point_down() {
        finds("src/wamp/uri.rs", "use crate::wire::frame::Frame;", "`wamp` may not use `wire`");
        finds("src/router/shard.rs", "use crate::shard::mesh::Mesh;", "`router` may not use `shard`");
        finds("src/wire/a.rs", "fn f() { crate::router::go() }", "`wire` may not use `router`");
        finds("src/session/a.rs", "use crate::{\n    wamp::{Uri, Id},\n    transport,\n};", "`transport`");
        finds("src/wire/a.rs", "use crate::config::Limits;", "`wire` may not use `config`");
        finds("src/config.rs", "use crate::transport::Listener;", "`config` may not use `transport`");
        finds("src/node.rs", "use crate::cli::Args;", "`node` may not use `cli`");
        passes("src/router/a.rs", "use crate::{wamp::Uri, wire, config};\nuse crate::router::peer;");
        passes("src/main.rs", "use crate::cli;");
        passes("src/wamp/a.rs", "// use crate::wire;\nconst A: &str = \"crate::wire\";");
    }

    #[test]
    fn pure_modules_stay_pure() {
        finds("src/router/a.rs", "use std::thread;", "std::thread");
        finds("src/wire/a.rs", "async fn f() { tokio::spawn(g()) }", "tokio");
        finds("src/session/a.rs", "fn f() { std::time::Instant::now(); }", "Instant::now");
        finds("src/sim/a.rs", "fn f() -> u64 { fastrand::u64(..) }", "fastrand::u64");
        passes("src/sim/a.rs", "fn f() -> Rng { fastrand::Rng::with_seed(7) }");
        passes("src/router/a.rs", "/// Not on tokio.\nfn tokio_free() {}");
        passes("src/shard/a.rs", "use std::thread;");
        passes("src/router/a.rs", "#[cfg(test)]\nmod tests {\n    use std::thread;\n}");
    }

    #[test]
    fn nothing_is_unwrapped() {
        finds("src/web/a.rs", "fn f() { g().unwrap(); }", "unwrap()");
        finds("src/web/a.rs", "#[test]\nfn t() { g().unwrap(); }\nfn f() { g().unwrap(); }", "src/web/a.rs:3");
        passes("src/web/a.rs", "#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}");
        passes("src/web/tests.rs", "fn f() { g().unwrap(); }");
        passes("src/web/a.rs", "fn f() { g().unwrap_or(1); \"x.unwrap()\"; }");
    }

    #[test]
    fn files_and_functions_are_short() {
        let body = "    g();\n".repeat(79);
        finds("src/cli/a.rs", &format!("fn f() {{\n{body}}}\n"), "a function of 81 lines");
        finds("src/cli/a.rs", &format!("impl A {{\n    pub(super) async fn f(\n) {{\n{body}}}\n}}\n"), "82 lines");
        passes("src/cli/a.rs", &format!("fn f() {{\n{}}}\n", "    g();\n".repeat(78)));
        passes(
            "src/cli/a.rs",
            &format!("trait A {{\n    fn f(&self) -> [u8; 4];\n}}\n{}", "static A: u8;\n".repeat(90)),
        );
        finds("loadtest/src/a.rs", &"\n".repeat(801), "a file of 801 lines");
        // Braces in literals do not count.
        passes(
            "src/cli/a.rs",
            &format!("fn f() {{ '{{'; \"{{\"; r#\"{{\"#; b'{{'; }}\n{}", "static A: u8;\n".repeat(90)),
        );
        passes("src/cli/a.rs", &format!("fn f<'a>() {{ }}\n{}", "static A: &'a u8;\n".repeat(90)));
    }
}
