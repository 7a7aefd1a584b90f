//! The report as one page of HTML that needs nothing else: tables, and plots drawn as SVG.

use std::fmt::Write as _;

use indexmap::IndexMap;

use crate::load::ledger::Tally;
use crate::result::compare::{Comparison, Entry, Figure};
use crate::result::latency::Times;
use crate::result::outcome::{Better, Outcome, Timeline, Verdict};
use crate::result::plot::{Axis, Plot, Scale, Series, escape};
use crate::result::report::plain as setting;
use crate::result::units::human;

/// Colours that series can have.
const COLOURS: usize = 8;
/// Length of the longest bar in pixels, the same in every column.
const BAR: f64 = 80.0;
const CSS: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// How to read the report.
const GUIDE: &str = "<p><b>How to read it.</b> Latency counts from the time when an item was meant to be sent, so a \
server that stops shows in the percentiles. The axis of the percentile curves gives each further nine the same room; \
the last point is the longest time of all. <i>Spoiled</i> means that everything arrived, but that the figures say \
little about the server; <i>faulty</i> that something was lost, doubled, out of order or not expected at all, or \
failed. CPU time and memory are those of the server's processes on the same machine. Ratios are median by median.</p>";

/// The page for these runs and their comparisons.
pub(crate) fn page(entries: &[Entry], comparisons: &[Comparison]) -> String {
    let mut scenarios: IndexMap<&str, Vec<&Entry>> = IndexMap::new();
    for entry in entries {
        scenarios.entry(&entry.outcome.about.scenario).or_default().push(entry);
    }
    let names = scenarios.keys().copied().collect::<Vec<_>>().join(", ");
    let sides = sides(&entries.iter().collect::<Vec<_>>()).join(" | ");
    let title = escape(&format!("{names}: {sides}"));
    let mut out = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width, \
         initial-scale=1\"><title>{title} - loadtest</title><style>{CSS}</style></head><body>"
    );
    for (number, (scenario, entries)) in scenarios.iter().enumerate() {
        let level = if number == 0 { 1 } else { 2 };
        let comparison = comparisons.iter().find(|comparison| comparison.scenario == *scenario);
        section(&mut out, level, scenario, entries, comparison);
    }
    let version = entries.first().map_or("", |entry| &entry.outcome.about.loadtest);
    // Writing to a String cannot fail, here and below.
    let _ = write!(out, "<footer class=soft>{GUIDE}<p>loadtest {}</p></footer>", escape(version));
    let _ = write!(out, "<script>{SCRIPT}</script></body></html>");
    out
}

fn section(out: &mut String, level: u8, scenario: &str, entries: &[&Entry], comparison: Option<&Comparison>) {
    let sides = sides(entries);
    let _ = write!(out, "<h{level}>{}: {}</h{level}>", escape(scenario), escape(&sides.join(" | ")));
    if let Some(entry) = entries.first() {
        let about = &entry.outcome.about;
        let target = &about.target;
        let words = format!(
            "{} by {:?}, realm {}, on {} ({} cores, Linux {}), finished {}",
            target.url,
            target.serializer,
            target.realm,
            about.machine.cpu,
            about.machine.cores,
            about.machine.kernel,
            date(about.finished)
        );
        let _ = write!(out, "<p class=\"soft words\">{}</p>", escape(&words));
    }
    verdicts(out, entries);
    match comparison {
        Some(comparison) => comparison_table(out, comparison),
        None => entries.iter().for_each(|entry| tiles(out, entry.outcome)),
    }
    let plots: String = plots(entries, &sides).iter().filter_map(Plot::html).collect();
    if !plots.is_empty() {
        let _ = write!(out, "<h3>Course and distribution</h3><div class=plots>{plots}</div>");
    }
    latency_table(out, entries);
    accounts_table(out, entries);
    settings_table(out, entries);
}

/// The sides in order of appearance.
fn sides(entries: &[&Entry]) -> Vec<String> {
    let mut sides: Vec<String> = Vec::new();
    for entry in entries {
        if !sides.contains(&entry.side) {
            sides.push(entry.side.clone());
        }
    }
    sides
}

fn verdicts(out: &mut String, entries: &[&Entry]) {
    for (number, entry) in entries.iter().enumerate() {
        let outcome = entry.outcome;
        let name = run_name(entries, number);
        let word = match outcome.verdict {
            Verdict::Clean => "clean",
            Verdict::Spoiled => "spoiled",
            Verdict::Faulty => "faulty",
        };
        let _ = write!(out, "<p class=run><span class=\"badge {word}\">{word}</span> ");
        let partial = if outcome.partial { ", PARTIAL: ended early" } else { "" };
        let _ = write!(out, "<b>{}</b>{partial}</p>", escape(&name));
    }
    let mut items = String::new();
    for (number, entry) in entries.iter().enumerate() {
        let outcome = entry.outcome;
        let name = if entries.len() > 1 { format!("{}: ", run_name(entries, number)) } else { String::new() };
        for words in outcome.failures.iter().chain(&outcome.spoiled).chain(&outcome.notes) {
            let _ = write!(items, "<li>{}{}</li>", escape(&name), escape(words));
        }
    }
    if !items.is_empty() {
        let _ = write!(out, "<ul class=list>{items}</ul>");
    }
}

/// The side of a run, and which of its runs it is if there are several.
fn run_name(entries: &[&Entry], number: usize) -> String {
    let side = &entries[number].side;
    let of_side = |entries: &[&Entry]| entries.iter().filter(|entry| entry.side == *side).count();
    match of_side(entries) {
        0 | 1 => side.clone(),
        _ => format!("{side}, run {}", of_side(&entries[..=number])),
    }
}

fn tiles(out: &mut String, outcome: &Outcome) {
    out.push_str("<div class=tiles>");
    let mut tile = |name: &str, value: String| {
        let _ = write!(out, "<div class=tile><b>{}</b><span>{}</span></div>", escape(&value), escape(&words(name)));
    };
    for (name, metric) in &outcome.metrics {
        tile(name, human(metric.value, &metric.unit));
    }
    for (name, times) in &outcome.latencies {
        let percentiles = times.all.percentiles();
        if percentiles.count > 0 {
            tile(&format!("{name} p50"), human(percentiles.p50, "us"));
            tile(&format!("{name} p99"), human(percentiles.p99, "us"));
        }
    }
    out.push_str("</div>");
}

fn comparison_table(out: &mut String, comparison: &Comparison) {
    if !comparison.differences.is_empty() {
        out.push_str("<p class=spoiled>The runs differ in more than the server:</p><ul class=\"list spoiled\">");
        for difference in &comparison.differences {
            let _ = write!(out, "<li>{}</li>", escape(difference));
        }
        out.push_str("</ul>");
    }
    out.push_str("<h3>Medians of the runs</h3><div class=scroll><table><thead><tr><th></th>");
    for (number, side) in comparison.sides.iter().enumerate() {
        let _ = write!(out, "<th class=\"n k{}\">{}</th>", number % COLOURS, escape(side));
        if number != comparison.base {
            out.push_str("<th class=n>ratio</th>");
        }
    }
    out.push_str("</tr></thead><tbody>");
    for figure in &comparison.figures {
        figure_row(out, comparison, figure);
    }
    out.push_str("</tbody></table></div>");
}

fn figure_row(out: &mut String, comparison: &Comparison, figure: &Figure) {
    let arrow = match figure.better {
        Better::Higher => " <span class=soft title=\"higher is better\">↑</span>",
        Better::Lower => " <span class=soft title=\"lower is better\">↓</span>",
        Better::Neither => "",
    };
    let _ = write!(out, "<tr><th>{}{arrow}</th>", escape(&words(&figure.name)));
    let longest = figure.medians.iter().flatten().fold(0f64, |most, value| most.max(*value));
    for (number, median) in figure.medians.iter().enumerate() {
        let shown = median.map_or("–".into(), |median| escape(&human(median, &figure.unit)));
        let share = median.map_or(0.0, |median| (median / longest * BAR).clamp(0.0, BAR));
        let share = if share.is_finite() { share } else { 0.0 };
        let colour = number % COLOURS;
        let bar = format!("<i class=\"bar k{colour}\" style=\"width:{share:.1}px\"></i>");
        let _ = write!(out, "<td class=n>{shown}{bar}</td>");
        if number == comparison.base {
            continue;
        }
        let ratio = figure.ratios.get(number).copied().flatten();
        let class = match (ratio, figure.better) {
            (None, _) | (_, Better::Neither) => "",
            (Some(ratio), _) if (0.98..=1.02).contains(&ratio) => "",
            (Some(ratio), better) if (ratio > 1.0) == (better == Better::Higher) => " better",
            _ => " worse",
        };
        let shown = ratio.map_or("–".into(), |ratio| format!("{ratio:.2}×"));
        let _ = write!(out, "<td class=\"n{class}\">{shown}</td>");
    }
    out.push_str("</tr>");
}

/// Every plot that the runs have values for: those of one kind share a plot.
fn plots(entries: &[&Entry], sides: &[String]) -> Vec<Plot> {
    let mut plots = Vec::new();
    let mut kinds: IndexMap<&str, ()> = IndexMap::new();
    entries.iter().flat_map(|entry| entry.outcome.latencies.keys()).for_each(|name| {
        kinds.insert(name, ());
    });
    for kind in kinds.keys() {
        let with = |shape: Shape| series(entries, sides, |outcome| Some(shape(outcome.latencies.get(*kind)?)));
        plots.push(plot(format!("{}: percentiles", words(kind)), Scale::Nines, Scale::Log, "us", with(curve)));
        let mut lines = with(medians);
        let mut high = with(high_percentiles);
        for (line, mark) in
            lines.iter_mut().map(|line| (line, " p50")).chain(high.iter_mut().map(|line| (line, " p99")))
        {
            line.label += mark;
            line.dashed = mark == " p99";
        }
        lines.append(&mut high);
        plots.push(plot(format!("{} over time", words(kind)), Scale::Linear, Scale::Log, "us", lines));
    }
    let mut lines: IndexMap<&str, &str> = IndexMap::new();
    for (name, timeline) in entries.iter().flat_map(|entry| &entry.outcome.timelines) {
        lines.entry(name).or_insert(&timeline.unit);
    }
    for (name, unit) in lines {
        let own = series(entries, sides, |outcome| Some(level(outcome.timelines.get(name)?)));
        plots.push(plot(format!("{} over time", words(name)), Scale::Linear, Scale::Linear, unit, own));
        if name == "server_cpu" {
            let unit = format!("ns/{}", entries[0].outcome.unit);
            plots.push(plot("server CPU each over time".into(), Scale::Linear, Scale::Linear, &unit, {
                series(entries, sides, cost)
            }));
        }
    }
    plots
}

fn plot(title: String, across: Scale, up: Scale, unit: &str, series: Vec<Series>) -> Plot {
    let x = Axis { scale: across, unit: "s".into() };
    Plot { title, x, y: Axis { scale: up, unit: unit.to_owned() }, series }
}

type Points = Vec<(f64, Option<f64>)>;
type Shape = fn(&Times) -> Points;

/// A series for every run that has points; runs of one side share the colour.
fn series(entries: &[&Entry], sides: &[String], points: impl Fn(&Outcome) -> Option<Points>) -> Vec<Series> {
    let of = |entry: &&Entry| {
        let points = points(entry.outcome)?;
        Some(Series {
            label: entry.side.clone(),
            colour: sides.iter().position(|side| *side == entry.side).unwrap_or(0) % COLOURS,
            dashed: false,
            faint: entries.iter().filter(|other| other.side == entry.side).count() > 1,
            points,
        })
    };
    entries.iter().filter_map(of).collect()
}

fn curve(times: &Times) -> Points {
    times.all.curve().into_iter().map(|(percentile, time)| (percentile, Some(time))).collect()
}

fn medians(times: &Times) -> Points {
    over_time(times, |interval| interval.p50)
}

fn high_percentiles(times: &Times) -> Points {
    over_time(times, |interval| interval.p99)
}

fn over_time(times: &Times, value: fn(&crate::result::latency::Interval) -> f64) -> Points {
    let at = |number: usize| (number as f64 + 0.5) * times.interval_seconds;
    let intervals = times.intervals.iter().enumerate();
    intervals.map(|(number, interval)| (at(number), (!interval.is_empty()).then(|| value(interval)))).collect()
}

fn level(timeline: &Timeline) -> Points {
    let at = |number: usize| timeline.start + (number as f64 + 0.5) * timeline.interval;
    timeline.values.iter().enumerate().map(|(number, value)| (at(number), Some(*value))).collect()
}

/// CPU time of the server per delivery, over time.
fn cost(outcome: &Outcome) -> Option<Points> {
    let (cpu, rate) = (outcome.timelines.get("server_cpu")?, outcome.timelines.get("throughput")?);
    let points = level(cpu).into_iter().zip(&rate.values);
    Some(
        points.map(|((at, cores), rate)| (at, cores.filter(|_| *rate > 0.0).map(|cores| cores * 1e9 / rate))).collect(),
    )
}

fn latency_table(out: &mut String, entries: &[&Entry]) {
    let mut rows = String::new();
    for (number, entry) in entries.iter().enumerate() {
        let lag = ("send lag", &entry.outcome.generator.send_lag);
        let all = entry.outcome.latencies.iter().map(|(name, times)| (name.as_str(), times)).chain([lag]);
        for (name, times) in all.filter(|(_, times)| times.all.count() > 0) {
            let found = times.all.percentiles();
            let run = escape(&run_name(entries, number));
            let _ = write!(rows, "<tr><th>{}</th><td>{run}</td><td class=n>{}</td>", escape(&words(name)), found.count);
            let values = [found.mean, found.p50, found.p90, found.p99, found.p999, found.p9999, found.max];
            for value in values {
                let _ = write!(rows, "<td class=n>{}</td>", human(value, "us"));
            }
            rows.push_str("</tr>");
        }
    }
    let heads = ["times", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    table(out, "Latency", &["", "run"], &heads, &rows);
}

fn accounts_table(out: &mut String, entries: &[&Entry]) {
    let mut rows = String::new();
    for (number, entry) in entries.iter().enumerate() {
        for (name, tally) in &entry.outcome.accounts {
            let (name, run) = (escape(&words(name)), escape(&run_name(entries, number)));
            let _ = write!(rows, "<tr><th>{name}</th><td>{run}</td><td class=n>{}</td>", entry.outcome.sent);
            let Tally { expected, received, lost, doubled, misordered, stray, misrouted } = *tally;
            let _ = write!(rows, "<td class=n>{expected}</td><td class=n>{received}</td>");
            for fault in [lost, doubled, misordered, stray, misrouted] {
                let class = if fault > 0 { " faulty" } else { "" };
                let _ = write!(rows, "<td class=\"n{class}\">{fault}</td>");
            }
            rows.push_str("</tr>");
        }
    }
    let heads = ["sent", "expected", "received", "lost", "doubled", "misordered", "stray", "misrouted"];
    table(out, "Accounts", &["", "run"], &heads, &rows);
}

fn settings_table(out: &mut String, entries: &[&Entry]) {
    let mut rows: IndexMap<String, Vec<String>> = IndexMap::new();
    for (number, entry) in entries.iter().enumerate() {
        let about = &entry.outcome.about;
        let target = &about.target;
        let mut put = |name: &str, value: String| {
            let row = rows.entry(name.to_owned()).or_default();
            row.resize(number, String::new());
            row.push(value);
        };
        put("server", target.label.clone());
        put("agent", target.agent.clone());
        put("URL", target.url.clone());
        put("realm", target.realm.clone());
        put("serializer", format!("{:?}", target.serializer));
        put("authentication", target.authmethod.clone());
        for (name, value) in &about.parameters {
            put(&words(name), setting(value));
        }
        put("warm-up", format!("{} s", about.timing.warmup));
        put("measured", format!("{:.2} s of {} s", entry.outcome.seconds, about.timing.duration));
        let generator = &entry.outcome.generator;
        put("generator", format!("{} process, {:.0} % of a core", generator.processes, generator.cpu_share * 100.0));
        put("machine", format!("{}, {} cores", about.machine.cpu, about.machine.cores));
        put("memory", human(about.machine.memory as f64, "bytes"));
        put("kernel", about.machine.kernel.clone());
        put("finished", date(about.finished));
    }
    let mut text = String::new();
    for (name, values) in rows {
        let _ = write!(text, "<tr><th>{}</th>", escape(&name));
        // What is the same everywhere is said once.
        let same = values.len() == entries.len() && values.iter().all(|value| *value == values[0]);
        let shown = if same { &values[..1] } else { &values[..] };
        let span = if same { entries.len() } else { 1 };
        for value in shown {
            let _ = write!(text, "<td colspan={span} class=words>{}</td>", escape(value));
        }
        text.push_str("</tr>");
    }
    let names: Vec<_> = (0..entries.len()).map(|number| run_name(entries, number)).collect();
    let names: Vec<_> = [""].into_iter().chain(names.iter().map(String::as_str)).collect();
    table(out, "Settings", &names, &[], &text);
}

fn table(out: &mut String, title: &str, heads: &[&str], numbers: &[&str], rows: &str) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(out, "<h3>{title}</h3><div class=scroll><table><thead><tr>");
    for head in heads {
        let _ = write!(out, "<th>{}</th>", escape(head));
    }
    for head in numbers {
        let _ = write!(out, "<th class=n>{head}</th>");
    }
    let _ = write!(out, "</tr></thead><tbody>{rows}</tbody></table></div>");
}

/// A name of the JSON as words: "server_cpu" as "server CPU".
pub(crate) fn words(name: &str) -> String {
    name.split('_').map(|word| if word == "cpu" { "CPU" } else { word }).collect::<Vec<_>>().join(" ")
}

/// Seconds since 1970 as date and time of UTC.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Counted from March of the year 0, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::drive::Window;
    use crate::result::compare::compare;
    use crate::result::latency::Latency;
    use crate::result::outcome::{Combine, Timeline};

    const EVIL: &str = "</script><img src=x onerror=alert(1)>\"'&";

    fn outcome(label: &str) -> Outcome {
        let mut lag = Latency::timed(0, 1000);
        lag.record(5, 0);
        let mut outcome = Outcome::new("delivery", Window { delivered: 7, ..Window::default() }, lag.finish());
        let mut latency = Latency::timed(0, 1000);
        for number in 0..3000 {
            latency.record(1000 + number * 10, number);
        }
        outcome.about.scenario = label.into();
        outcome.about.target.label = label.into();
        outcome.about.target.agent = label.into();
        outcome.about.target.url = label.into();
        outcome.about.target.realm = label.into();
        outcome.about.machine.cpu = label.into();
        outcome.about.loadtest = label.into();
        outcome.about.parameters.insert(label.into(), label.into());
        outcome.latencies.insert(label.into(), latency.finish());
        outcome.accounts.insert(label.into(), Tally { lost: 1, ..Tally::default() });
        outcome.failures.push(label.into());
        outcome.notes.push(label.into());
        outcome.metric(label, 1.0, label, Better::Lower, Combine::Sum);
        let mut line = Timeline::new(label, Combine::Sum, 1.0);
        line.values = vec![1.0, 5.0];
        outcome.timelines.insert(label.into(), line.clone());
        outcome.timelines.insert("server_cpu".into(), line.clone());
        outcome.timelines.insert("throughput".into(), line);
        outcome.conclude();
        outcome
    }

    fn render(outcomes: &[(&str, &Outcome)]) -> String {
        let entries: Vec<_> = outcomes.iter().map(|(side, outcome)| Entry { side: (*side).into(), outcome }).collect();
        page(&entries, &compare(&entries))
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let evil = outcome(EVIL);
        for html in [render(&[(EVIL, &evil)]), render(&[(EVIL, &evil), ("other", &evil)])] {
            assert!(!html.contains("<img"), "{html}");
            assert_eq!(html.matches("</script>").count(), 1, "only the page's own script ends");
            assert!(html.matches("&lt;img src=x onerror").count() > 10);
        }
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let run = outcome("fanout");
        let html = render(&[("a", &run)]);
        for outside in ["src=", "href=", "url(", "@import", "fetch("] {
            assert!(!html.contains(outside), "{outside}");
        }
        let links: Vec<_> = html.match_indices("http").map(|(at, _)| &html[at..at + 26]).collect();
        assert!(links.iter().all(|link| *link == "http://www.w3.org/2000/svg"), "{links:?}");
    }

    #[test]
    fn every_part_is_there() {
        let (one, other) = (outcome("fanout"), outcome("fanout"));
        let html = render(&[("a", &one), ("b", &other), ("a", &one)]);
        for part in ["Medians of the runs", "fanout: percentiles", "fanout over time", "server CPU each over time"] {
            assert!(html.contains(part), "{part}");
        }
        for part in ["Latency", "Accounts", "Settings"] {
            assert_eq!(html.matches(&format!("<h3>{part}</h3>")).count(), 1, "{part}");
        }
        assert!(html.contains("a, run 2") && !html.contains("b, run"), "runs are numbered where there are several");
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        assert!(!html.contains("NaN"));
    }

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_767_225_599), "2025-12-31 23:59 UTC");
    }
}
