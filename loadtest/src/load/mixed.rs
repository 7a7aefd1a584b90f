//! The scenario `mixed`: a plan read from a file, in YAML or JSON.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use crate::cli::{self, Rate};
use crate::load::plan::{Callees, Callers, Plan, Publishers, Subscribers, TopicSet, Visitors};
use crate::load::stamp::MIN_PAYLOAD;

const PAYLOAD_MAX: usize = 60 << 20;
/// What a group has that does not say otherwise.
const WINDOW: u32 = 64;
const PAYLOAD: usize = 100;

/// What a file says. JSON is read as the YAML that it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct File {
    /// Sets of topics by name, and how many topics each has.
    #[serde(default)]
    topics: IndexMap<String, Spanned<u16>>,
    #[serde(default)]
    publishers: Vec<FilePublishers>,
    #[serde(default)]
    subscribers: Vec<FileSubscribers>,
    #[serde(default)]
    callees: Vec<FileCallees>,
    #[serde(default)]
    callers: Vec<FileCallers>,
    #[serde(default)]
    visitors: Vec<FileVisitors>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePublishers {
    name: Option<Spanned<String>>,
    topics: Spanned<String>,
    count: Option<Spanned<u16>>,
    rate: Spanned<FileRate>,
    burst: Option<Spanned<u32>>,
    window: Option<Spanned<u32>>,
    payload_bytes: Option<Spanned<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSubscribers {
    name: Option<Spanned<String>>,
    topics: Spanned<String>,
    count: Option<Spanned<u32>>,
    topics_each: Option<Spanned<u16>>,
    stop_reading_after: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCallees {
    name: Spanned<String>,
    count: Option<Spanned<u16>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCallers {
    name: Option<Spanned<String>>,
    callees: Spanned<String>,
    count: Option<Spanned<u16>>,
    rate: Spanned<FileRate>,
    window: Option<Spanned<u32>>,
    payload_bytes: Option<Spanned<usize>>,
    #[serde(default)]
    progressive: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileVisitors {
    name: Option<Spanned<String>>,
    topics: Spanned<String>,
    rate: Spanned<f64>,
    stay: Spanned<f64>,
}

/// A number per second, or `max`.
struct FileRate(Rate);

impl<'de> Deserialize<'de> for FileRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Word(String),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Word(word) => word,
        };
        text.parse().map(Self).map_err(|_| serde::de::Error::custom("expected a number above 0, or max"))
    }
}

/// Reads the plan of a file.
///
/// # Errors
/// With file, position, key and reason, if the file cannot be read or says something that makes no sense.
pub(crate) fn plan(options: &cli::MixedOptions) -> Result<Plan> {
    let text = fs::read_to_string(&options.file).with_context(|| format!("cannot read {}", options.file.display()))?;
    parse(&options.file, &text)
}

fn parse(path: &Path, text: &str) -> Result<Plan> {
    let reader = Reader { path, text };
    let mut key = String::new();
    let read = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_path_to_error::deserialize::<_, File>(deserializer).map_err(|error| {
            // A value with a position is an object to the parser.
            key = error.path().to_string().trim_end_matches(".value").to_owned();
            error.into_inner()
        })
    });
    let file = read.map_err(|error| reader.fault(error.location(), &key, bare(&error)))?;
    reader.plan(&file)
}

/// The parser's words without the position and the lines of the file that it adds.
fn bare(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or(first).to_owned()
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn fault(&self, location: Option<Location>, key: &str, reason: impl Display) -> anyhow::Error {
        let path = self.path.display();
        let place = location.map_or_else(String::new, |place| format!(":{}:{}", place.line(), place.column()));
        let line = location.and_then(|place| self.text.lines().nth((place.line() as usize).checked_sub(1)?));
        let shown = line.map_or_else(String::new, |line| format!("\n    {}", line.trim()));
        match key {
            "" | "." => anyhow!("{path}{place}: {reason}{shown}"),
            key => anyhow!("{path}{place}: {key}: {reason}{shown}"),
        }
    }

    /// The value of a key, or its default, if it lies between these two.
    fn number<T: PartialOrd + Display + Copy>(
        &self,
        key: &str,
        value: Option<&Spanned<T>>,
        default: T,
        [least, most]: [T; 2],
    ) -> Result<T> {
        match value {
            None => Ok(default),
            Some(value) if value.value >= least && value.value <= most => Ok(value.value),
            Some(value) => {
                let reason = format!("{} is not between {least} and {most}", value.value);
                Err(self.fault(Some(value.defined), key, reason))
            }
        }
    }

    /// The place of a named thing.
    fn find<'a>(&self, key: &str, name: &Spanned<String>, names: impl Iterator<Item = &'a str>) -> Result<usize> {
        let names: Vec<_> = names.collect();
        names.iter().position(|other| *other == name.value).ok_or_else(|| {
            let reason = format!("there is no {:?}, there are: {}", name.value, names.join(", "));
            self.fault(Some(name.defined), key, reason)
        })
    }

    /// The names of the groups of a kind: a single group may do without.
    fn names(&self, kind: &str, names: &[(&Option<Spanned<String>>, Location)]) -> Result<Vec<String>> {
        let mut taken: Vec<String> = Vec::new();
        for (place, (name, location)) in names.iter().enumerate() {
            let key = format!("{kind}[{place}].name");
            match name {
                None if names.len() == 1 => taken.push(String::new()),
                None => return Err(self.fault(Some(*location), &key, "each of several groups needs a name")),
                Some(name) if taken.contains(&name.value) => {
                    return Err(self.fault(Some(name.defined), &key, format!("{:?} is taken", name.value)));
                }
                Some(name) if name.value.is_empty() => {
                    return Err(self.fault(Some(name.defined), &key, "a name is not empty"));
                }
                Some(name) => taken.push(name.value.clone()),
            }
        }
        Ok(taken)
    }

    fn plan(&self, file: &File) -> Result<Plan> {
        let mut plan = Plan::of(match (file.publishers.is_empty(), file.callers.is_empty()) {
            (false, true) => "delivery",
            (true, false) => "call",
            (false, false) => "message",
            (true, true) => return Err(self.fault(None, "", "neither publishers nor callers: nothing to do")),
        });
        for (name, topics) in &file.topics {
            self.number(&format!("topics.{name}"), Some(topics), 1, [1, u16::MAX])?;
            plan.sets.push(TopicSet { topics: topics.value });
        }
        self.events(file, &mut plan)?;
        self.visitors(file, &mut plan)?;
        self.calls(file, &mut plan)?;
        plan.check(1).with_context(|| self.path.display().to_string())?;
        Ok(plan)
    }

    fn events(&self, file: &File, plan: &mut Plan) -> Result<()> {
        let names: Vec<_> = file.publishers.iter().map(|group| (&group.name, group.topics.defined)).collect();
        let names = self.names("publishers", &names)?;
        for (place, (group, name)) in file.publishers.iter().zip(names).enumerate() {
            let key = |key: &str| format!("publishers[{place}].{key}");
            let payload = [MIN_PAYLOAD, PAYLOAD_MAX];
            plan.publishers.push(Publishers {
                name,
                set: self.find(&key("topics"), &group.topics, file.topics.keys().map(String::as_str))?,
                count: self.number(&key("count"), group.count.as_ref(), 1, [1, u16::MAX])?,
                rate: group.rate.value.0,
                burst: self.number(&key("burst"), group.burst.as_ref(), 1, [1, u32::MAX])?,
                window: self.number(&key("window"), group.window.as_ref(), WINDOW, [1, u32::MAX])?,
                payload_bytes: self.number(&key("payload_bytes"), group.payload_bytes.as_ref(), PAYLOAD, payload)?,
            });
        }
        let names: Vec<_> = file.subscribers.iter().map(|group| (&group.name, group.topics.defined)).collect();
        let names = self.names("subscribers", &names)?;
        for (place, (group, name)) in file.subscribers.iter().zip(names).enumerate() {
            let key = |key: &str| format!("subscribers[{place}].{key}");
            let set = self.find(&key("topics"), &group.topics, file.topics.keys().map(String::as_str))?;
            let most = plan.sets[set].topics;
            let stop = group.stop_reading_after.as_ref();
            plan.subscribers.push(Subscribers {
                name,
                set,
                count: self.number(&key("count"), group.count.as_ref(), 1, [1, u32::MAX])?,
                topics: self.number(&key("topics_each"), group.topics_each.as_ref(), 1, [1, most])?,
                stop_reading: match stop {
                    Some(_) => Some(self.number(&key("stop_reading_after"), stop, 0.0, [0.0, 1e9])?),
                    None => None,
                },
                divide: None,
            });
        }
        Ok(())
    }

    fn visitors(&self, file: &File, plan: &mut Plan) -> Result<()> {
        let names: Vec<_> = file.visitors.iter().map(|group| (&group.name, group.topics.defined)).collect();
        let names = self.names("visitors", &names)?;
        for (place, (group, name)) in file.visitors.iter().zip(names).enumerate() {
            let key = |key: &str| format!("visitors[{place}].{key}");
            plan.visitors.push(Visitors {
                name,
                set: self.find(&key("topics"), &group.topics, file.topics.keys().map(String::as_str))?,
                rate: self.number(&key("rate"), Some(&group.rate), 0.0, [1e-6, 1e6])?,
                stay: self.number(&key("stay"), Some(&group.stay), 0.0, [0.0, 1e9])?,
            });
        }
        Ok(())
    }

    fn calls(&self, file: &File, plan: &mut Plan) -> Result<()> {
        for (place, group) in file.callees.iter().enumerate() {
            if file.callees[..place].iter().any(|other| other.name.value == group.name.value) {
                let reason = format!("{:?} is taken", group.name.value);
                return Err(self.fault(Some(group.name.defined), &format!("callees[{place}].name"), reason));
            }
            let key = format!("callees[{place}].count");
            plan.callees.push(Callees { count: self.number(&key, group.count.as_ref(), 1, [1, u16::MAX])? });
        }
        let names: Vec<_> = file.callers.iter().map(|group| (&group.name, group.callees.defined)).collect();
        let names = self.names("callers", &names)?;
        for (place, (group, name)) in file.callers.iter().zip(names).enumerate() {
            let key = |key: &str| format!("callers[{place}].{key}");
            let payload = [MIN_PAYLOAD, PAYLOAD_MAX];
            let callees = file.callees.iter().map(|group| group.name.value.as_str());
            plan.callers.push(Callers {
                name,
                callees: self.find(&key("callees"), &group.callees, callees)?,
                count: self.number(&key("count"), group.count.as_ref(), 1, [1, u16::MAX])?,
                rate: group.rate.value.0,
                window: self.number(&key("window"), group.window.as_ref(), WINDOW, [1, u32::MAX])?,
                payload_bytes: self.number(&key("payload_bytes"), group.payload_bytes.as_ref(), PAYLOAD, payload)?,
                progressive: group.progressive,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
topics: {prices: 50}
publishers:
  - {topics: prices, rate: 20, count: 2}
subscribers:
  - topics: prices
    count: 10
    topics_each: 5
callees: [{name: math}]
callers: [{callees: math, rate: max}]
visitors: [{topics: prices, rate: 5, stay: 0.1}]
";

    fn read(text: &str) -> Result<Plan> {
        parse(Path::new("load.yaml"), text)
    }

    #[test]
    fn a_file_becomes_a_plan() {
        let plan = read(GOOD).expect("a good file");
        assert_eq!((plan.sets[0].topics, plan.publishers[0].count, plan.subscribers[0].topics), (50, 2, 5));
        assert_eq!((plan.publishers[0].rate, plan.callers[0].rate), (Rate::PerSecond(20.0), Rate::Max));
        assert_eq!((plan.publishers[0].payload_bytes, plan.callers[0].window), (PAYLOAD, WINDOW));
    }

    #[test]
    fn json_is_read_too() {
        let text = "{\n\t\"topics\": {\"a\": 1},\n\t\"publishers\": [{\"topics\": \"a\", \"rate\": 1.5}],
            \"subscribers\": [{\"topics\": \"a\"}]\n}";
        assert_eq!(read(text).expect("a good file").publishers[0].rate, Rate::PerSecond(1.5));
        assert_eq!(read(&text.replace("1.5", "\"max\"")).expect("too").publishers[0].rate, Rate::Max);
    }

    #[test]
    fn faults_are_told_with_file_position_and_key() {
        let cases = [
            (
                "topics: prices\n    count",
                "topics: pries\n    count",
                "load.yaml:6:13: subscribers[0].topics: there is no \"pries\"",
            ),
            ("count: 10", "count: 0", "load.yaml:7:12: subscribers[0].count: 0 is not between 1"),
            ("count: 10", "count: ten", "load.yaml:7:12: subscribers[0].count: "),
            ("count: 10", "cuont: 10", "load.yaml:7:5: subscribers[0]"),
            (
                "topics_each: 5",
                "topics_each: 51",
                "load.yaml:8:18: subscribers[0].topics_each: 51 is not between 1 and 50",
            ),
            ("rate: 20", "rate: fast", "load.yaml:4:28: publishers[0].rate: expected a number above 0, or max"),
            ("rate: max", "window: 3", "load.yaml:10:27: callers[0]: missing field `rate`"),
            (
                "callees: math",
                "callees: maths",
                "load.yaml:10:21: callers[0].callees: there is no \"maths\", there are: math",
            ),
            ("rate: 5", "rate: 0", "visitors[0].rate: 0 is not between"),
            ("callees: [{name: math}]", "callees: [{name: math}", "load.yaml:"),
        ];
        for (good, bad, expected) in cases {
            assert!(GOOD.contains(good), "{good}");
            let error = format!("{:#}", read(&GOOD.replacen(good, bad, 1)).expect_err(bad));
            assert!(error.contains(expected), "{bad}: {error}\nwanted: {expected}");
        }
        let error = read("topics: {a: 1}").expect_err("nothing to do");
        assert!(error.to_string().contains("nothing to do"), "{error}");
    }
}
