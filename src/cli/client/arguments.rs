//! The arguments of a publication, a call or an answer, as they stand on the command line.

use super::failure::{Done, Failure};
use super::template::Template;
use super::values::{self, Pair};
use crate::wamp::{Dict, Value};
use std::io::{self, Read};

/// The arguments of a publication, a call or an answer.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Arguments {
    /// An argument: JSON if it is JSON, else text. - reads it from standard input; what is no text there is binary.
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,

    /// An argument by name, with a value as above. May be given more than once.
    #[arg(long = "kwarg", short = 'k', value_name = "KEY=VALUE")]
    named: Vec<Pair>,

    /// A JSON list of arguments, which come before those above.
    #[arg(long, value_name = "JSON")]
    args_json: Option<String>,

    /// A JSON object of arguments by name, which --kwarg overrides.
    #[arg(long, value_name = "JSON")]
    kwargs_json: Option<String>,

    /// ARG and --kwarg are text, also if they look like JSON.
    #[arg(long)]
    strings: bool,
}

/// Arguments of which nothing is missing any more.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    given: Arguments,
    /// What standard input held.
    input: Option<Value>,
}

impl Arguments {
    /// True if they come from standard input.
    fn reads(&self) -> usize {
        let named = self.named.iter().map(|pair| &pair.value);
        self.args.iter().chain(named).filter(|text| *text == "-").count()
    }

    /// Reads standard input if it is asked for, and looks whether all can be understood.
    ///
    /// # Errors
    /// They make no sense.
    pub(super) fn ready(self) -> Done<Ready> {
        if self.reads() > 1 {
            return Err(Failure::usage("standard input can be only one argument"));
        }
        let mut input = None;
        if self.reads() > 0 {
            let mut octets = Vec::new();
            io::stdin().read_to_end(&mut octets).map_err(|why| Failure::usage(format!("standard input: {why}")))?;
            input = Some(if self.strings { text(octets) } else { values::read_octets(octets) });
        }
        let ready = Ready { given: self, input };
        ready.values(None)?;
        Ok(ready)
    }

    /// Arguments of which one, or a further one, is a line of standard input each time.
    ///
    /// # Errors
    /// They make no sense.
    pub(super) fn by_line(mut self) -> Done<Ready> {
        match self.reads() {
            0 => self.args.push("-".into()),
            1 => {}
            _ => return Err(Failure::usage("standard input can be only one argument")),
        }
        let ready = Ready { given: self, input: Some(Value::Null) };
        ready.values(None)?;
        Ok(ready)
    }
}

impl Ready {
    /// Takes a line of standard input.
    pub(super) fn take(&mut self, line: Vec<u8>) {
        self.input = Some(if self.given.strings { text(line) } else { values::read_octets(line) });
    }

    /// The values, with what a template makes of them.
    ///
    /// # Errors
    /// A list or object is none.
    pub(super) fn values(&self, template: Option<&Template>) -> Done<(Vec<Value>, Dict)> {
        let Arguments { args, named, args_json, kwargs_json, strings } = &self.given;
        let fill = |text: &str| template.map_or_else(|| text.to_owned(), |template| template.fill(text));
        let read = |text: &String| match (&**text, &self.input) {
            ("-", Some(input)) => input.clone(),
            (text, _) if *strings => fill(text).into(),
            (text, _) => values::read(&fill(text)),
        };
        let mut all = match args_json.as_deref().map(|text| document("--args-json", &fill(text))).transpose()? {
            None => Vec::new(),
            Some(Value::List(list)) => list,
            Some(other) => return Err(wrong("--args-json", &format!("a list is needed, not a {}", other.kind()))),
        };
        all.extend(args.iter().map(read));
        let mut by_name = match kwargs_json.as_deref().map(|text| document("--kwargs-json", &fill(text))).transpose()? {
            None => Dict::new(),
            Some(Value::Dict(dict)) => dict,
            Some(other) => return Err(wrong("--kwargs-json", &format!("an object is needed, not a {}", other.kind()))),
        };
        named.iter().for_each(|Pair { key, value }| values::put(&mut by_name, key, read(value)));
        Ok((all, by_name))
    }
}

fn text(octets: Vec<u8>) -> Value {
    match String::from_utf8(octets) {
        Ok(text) => values::without_end(&text).into(),
        Err(binary) => Value::Bin(binary.into_bytes().into()),
    }
}

fn document(flag: &str, text: &str) -> Done<Value> {
    values::document(text.as_bytes()).map_err(|why| wrong(flag, &why.to_string()))
}

fn wrong(flag: &str, why: &str) -> Failure {
    Failure::usage(format!("{flag}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(args: &[&str]) -> Arguments {
        let args = std::iter::once(&"program").chain(args);
        Program::try_parse_from(args).expect("good flags").arguments
    }

    fn line(args: &[&str]) -> Done<String> {
        let (args, kwargs) = parse(args).ready()?.values(Some(&Template::new(7)))?;
        Ok(values::line(&args, &kwargs))
    }

    #[test]
    fn all_ways_add_up() {
        assert_eq!(line(&[]).expect("none"), "");
        assert_eq!(line(&["a", "-5", "true", "-k", "x=[1]"]).expect("good"), r#""a" -5 true x=[1]"#);
        assert_eq!(line(&["--strings", "5", "-k", "x=1"]).expect("good"), r#""5" x="1""#);
        let both = ["--args-json", "[1,2]", "3", "--kwargs-json", r#"{"a":1,"b":2}"#, "-k", "a=9"];
        assert_eq!(line(&both).expect("good"), "1 2 3 b=2 a=9");
        assert_eq!(line(&["n {{count}}", "{{count}}", "{{other}}"]).expect("good"), r#""n 7" 7 "{{other}}""#);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [["--args-json", "{}"], ["--args-json", "[1"], ["--kwargs-json", "[]"], ["-", "-"]] {
            assert!(line(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lines_take_their_place() {
        let mut ready = parse(&["a"]).by_line().expect("good");
        ready.take(b"{\"b\":1}\n".to_vec());
        assert_eq!(ready.values(None).expect("good").0.len(), 2);
        let mut ready = parse(&["-k", "x=-", "--strings"]).by_line().expect("good");
        ready.take(b"5\n".to_vec());
        let (args, kwargs) = ready.values(None).expect("good");
        assert_eq!((args, kwargs), (Vec::new(), Dict::new().with("x", "5")));
    }
}
