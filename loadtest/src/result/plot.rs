//! Plots as SVG: lines over a time, or over percentiles with an axis that gives each further nine the same room.

use std::fmt::Write as _;

use crate::result::units::{human, plain};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;

/// A plot with its series.
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// What runs along an axis.
pub(crate) struct Axis {
    pub(crate) scale: Scale,
    /// As [`human`] takes it.
    pub(crate) unit: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0.
    Linear,
    /// Equal room for equal factors.
    Log,
    /// Percentiles: equal room for each further nine.
    Nines,
}

/// A line.
pub(crate) struct Series {
    pub(crate) label: String,
    /// Number of its colour.
    pub(crate) colour: usize,
    pub(crate) dashed: bool,
    /// Drawn thinner, as one of several runs of the same kind.
    pub(crate) faint: bool,
    /// Gaps where there is no value.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

/// A scale with the range that it shows.
struct Range {
    scale: Scale,
    low: f64,
    high: f64,
    /// True for bytes, which are counted in powers of two.
    binary: bool,
}

impl Range {
    fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let values = values.filter(|value| value.is_finite() && (scale != Scale::Log || *value > 0.0));
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self { scale, low: if scale == Scale::Log { 1.0 } else { 0.0 }, high: 10.0, binary: false };
        }
        match scale {
            Scale::Linear => {
                let high = high.max(low + 1e-9).max(1e-9);
                Self { scale, low: low.min(0.0), high: high + (high - low.min(0.0)) * 0.05, binary: false }
            }
            Scale::Log => {
                let (low, high) = (low * 0.9, high * 1.1);
                Self { scale, low: low.min(high / 10.0), high, binary: false }
            }
            Scale::Nines => Self { scale, low: 0.0, high: high.clamp(90.0, 100.0 - 1e-9), binary: false },
        }
    }

    /// Where a value stands, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let turned = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(1e-9).log10(),
            Scale::Nines => nines(value),
        };
        (turned(value) - turned(self.low)) / (turned(self.high) - turned(self.low))
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = if self.binary {
                    2f64.powf(((self.high - self.low) / 5.0).log2().round())
                } else {
                    step(self.high - self.low)
                };
                let first = (self.low / step).ceil() as i64;
                (first..).map(|number| number as f64 * step).take_while(|tick| *tick <= self.high).collect()
            }
            Scale::Log => {
                let decades = (self.high / self.low).log10();
                let marks: &[f64] = if decades > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let (low, high) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
                let all = (low..=high).flat_map(|power| marks.iter().map(move |mark| mark * 10f64.powi(power)));
                all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
            }
            Scale::Nines => {
                let all = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 99.99999, 99.999999];
                let few = nines(self.high) < 5.0;
                // The long ones stand too close together, so that every second is left out.
                let shown = all.into_iter().enumerate().filter(|(number, _)| few || number % 2 == 0);
                shown.map(|(_, tick)| tick).filter(|tick| *tick <= self.high).collect()
            }
        }
    }
}

/// How many nines a percentile has: 90 has one, 99 two.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).max(1e-11).log10()
}

/// A round step that gives some five ticks over a span.
fn step(span: f64) -> f64 {
    let power = 10f64.powf((span / 5.0).log10().floor());
    let rest = span / 5.0 / power;
    power
        * if rest < 1.5 {
            1.0
        } else if rest < 3.5 {
            2.0
        } else if rest < 7.5 {
            5.0
        } else {
            10.0
        }
}

impl Plot {
    /// The plot as a figure of HTML, with what its script needs to tell values under the pointer. None if there is
    /// nothing to see.
    pub(crate) fn html(&self) -> Option<String> {
        if !self.series.iter().any(|series| series.points.iter().any(|(_, value)| value.is_some())) {
            return None;
        }
        let points = || self.series.iter().flat_map(|series| &series.points);
        let shown = points().filter(|(x, y)| y.is_some() && *x < 100.0 || self.x.scale != Scale::Nines);
        let mut across = Range::of(self.x.scale, shown.map(|(x, _)| *x));
        if self.x.scale == Scale::Nines {
            // Room for the longest time, which stands at no number of nines.
            across.high = 100.0 - (100.0 - across.high) / 10f64.powf(0.12);
        }
        let mut up = Range::of(self.y.scale, points().filter_map(|(_, y)| *y));
        up.binary = self.y.unit.starts_with("bytes");
        let mut out = format!("<figure class=plot><figcaption>{}</figcaption>", escape(&self.title));
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{}\"", escape(&self.title));
        let _ = write!(out, " data-points=\"{}\">", escape(&self.readings(&across, &up)));
        self.axes(&mut out, &across, &up);
        for series in &self.series {
            series.draw(&mut out, &across, &up);
        }
        out += "<line class=cursor /><g class=dots></g></svg><div class=tip hidden></div>";
        self.legend(&mut out);
        out += "</figure>";
        Some(out)
    }

    fn axes(&self, out: &mut String, across: &Range, up: &Range) {
        let bottom = HEIGHT - BOTTOM;
        for tick in up.ticks() {
            let y = y_of(up, tick);
            let text = match known(&self.y.unit) {
                true => human(tick, self.y.unit.split('/').next().unwrap_or_default()),
                false => short(tick),
            };
            let _ = write!(out, "<path class=grid d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT);
            let _ = write!(out, "<text x={:.1} y={:.1} class=end>{text}</text>", LEFT - 6.0, y + 4.0);
        }
        for tick in across.ticks() {
            let x = x_of(across, tick);
            let text = match self.x.scale {
                Scale::Nines => format!("{tick} %"),
                _ => short(tick),
            };
            let _ = write!(out, "<path class=grid d=\"M{x:.1} {TOP}V{bottom:.1}\"/>");
            let _ = write!(out, "<text x={x:.1} y={:.1} class=mid>{text}</text>", bottom + 16.0);
        }
        let title = match self.x.scale {
            Scale::Nines => "percentile",
            _ => "seconds of the measurement",
        };
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let _ = write!(out, "<path class=axis d=\"M{LEFT} {TOP}V{bottom:.1}H{:.1}\"/>", WIDTH - RIGHT);
        let _ = write!(out, "<text x={middle:.1} y={:.1} class=mid>{title}</text>", HEIGHT - 6.0);
        let unit = match known(&self.y.unit) {
            true if self.y.scale == Scale::Log => "logarithmic".into(),
            true => self.y.unit.split_once('/').map_or(String::new(), |(_, per)| format!("per {per}")),
            false => self.y.unit.clone(),
        };
        let _ = write!(out, "<text x={LEFT} y={:.1}>{}</text>", TOP - 10.0, escape(&unit));
    }

    fn legend(&self, out: &mut String) {
        out.push_str("<ul class=legend>");
        let mut known: Vec<(usize, &str)> = Vec::new();
        for series in &self.series {
            let key = (series.colour, series.label.as_str());
            if known.contains(&key) {
                continue;
            }
            known.push(key);
            let dashed = if series.dashed { " dashed" } else { "" };
            let (colour, label) = (series.colour, escape(&series.label));
            let _ = write!(out, "<li><i class=\"k{colour}{dashed}\"></i>{label}</li>");
        }
        out.push_str("</ul>");
    }

    /// For every series its label, its colour and its points: place across and up, and the values in words.
    fn readings(&self, across: &Range, up: &Range) -> String {
        let series = self.series.iter().map(|series| {
            let points = series.points.iter().filter_map(|(x, y)| {
                let value = y.filter(|value| value.is_finite())?;
                let place = |at: f64| (at * 10.0).round() / 10.0;
                let when = match self.x.scale {
                    Scale::Nines if *x >= 100.0 => "max".to_owned(),
                    Scale::Nines => format!("{} %", ((x * 1e6).round()) / 1e6),
                    _ => format!("{} s", (x * 100.0).round() / 100.0),
                };
                Some((place(x_of(across, *x)), place(y_of(up, value)), when, human(value, &self.y.unit)))
            });
            (&series.label, series.colour, points.collect::<Vec<_>>())
        });
        serde_json::to_string(&series.collect::<Vec<_>>()).unwrap_or_default()
    }
}

impl Series {
    fn draw(&self, out: &mut String, across: &Range, up: &Range) {
        let mut path = String::new();
        let mut drawing = false;
        for (number, (x, y)) in self.points.iter().enumerate() {
            let Some(y) = y.filter(|value| value.is_finite()) else {
                drawing = false;
                continue;
            };
            let alone = !drawing && !matches!(self.points.get(number + 1), Some((_, Some(_))));
            let (x, y) = (x_of(across, *x), y_of(up, y));
            let _ = write!(path, "{}{x:.1} {y:.1}", if drawing { "L" } else { "M" });
            if alone {
                // A line of no length, which its round ends make a dot.
                path += "h0";
            }
            drawing = true;
        }
        let dashed = if self.dashed { " dashed" } else { "" };
        let faint = if self.faint { " faint" } else { "" };
        let _ = write!(out, "<path class=\"line s{}{dashed}{faint}\" d=\"{path}\"/>", self.colour);
    }
}

/// A round number in few characters.
fn short(tick: f64) -> String {
    match tick.abs() {
        size if size >= 1e4 => plain(tick),
        _ => format!("{}", (tick * 1e6).round() / 1e6),
    }
}

/// True if ticks show the unit themselves.
fn known(unit: &str) -> bool {
    ["us", "ns", "bytes"].contains(&unit.split('/').next().unwrap_or_default())
}

fn x_of(range: &Range, value: f64) -> f64 {
    LEFT + range.place(value).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

fn y_of(range: &Range, value: f64) -> f64 {
    HEIGHT - BOTTOM - range.place(value).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
}

/// Text that stands for itself in HTML and SVG, also within an attribute in quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // Neither HTML nor people know what to do with these.
            other if other.is_control() && other != '\n' && other != '\t' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, points: Vec<(f64, Option<f64>)>) -> Plot {
        let series = Series { label: "<a>".into(), colour: 1, dashed: false, faint: false, points };
        let axis = |scale| Axis { scale, unit: "us".into() };
        Plot { title: "\"t\" & more".into(), x: axis(scale), y: axis(Scale::Log), series: vec![series] }
    }

    #[test]
    fn ticks_are_round() {
        let linear = Range { scale: Scale::Linear, low: 0.0, high: 10.5, binary: false };
        assert_eq!(linear.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        let bytes = Range { binary: true, ..linear };
        assert_eq!(bytes.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        let bytes = Range { high: 8300.0, ..bytes };
        assert_eq!(bytes.ticks(), [0.0, 2048.0, 4096.0, 6144.0, 8192.0]);
        let log = Range { scale: Scale::Log, low: 30.0, high: 600.0, binary: false };
        assert_eq!(log.ticks(), [50.0, 100.0, 200.0, 500.0]);
        let log = Range { scale: Scale::Log, low: 5.0, high: 60000.0, binary: false };
        assert_eq!(log.ticks(), [10.0, 100.0, 1000.0, 10000.0]);
        let nines = Range { scale: Scale::Nines, low: 0.0, high: 99.95, binary: false };
        assert_eq!(nines.ticks(), [50.0, 90.0, 99.0, 99.9]);
    }

    #[test]
    fn each_nine_has_the_same_room() {
        let range = Range { scale: Scale::Nines, low: 0.0, high: 99.9, binary: false };
        for (percentile, place) in [(0.0, 0.0), (90.0, 1.0 / 3.0), (99.0, 2.0 / 3.0), (99.9, 1.0)] {
            assert!((range.place(percentile) - place).abs() < 1e-6, "{percentile}");
        }
    }

    #[test]
    fn lines_break_at_gaps_and_nothing_is_taken_for_markup() {
        let points = vec![(0.0, Some(10.0)), (1.0, Some(20.0)), (2.0, None), (3.0, Some(5.0))];
        let html = plot(Scale::Linear, points).html().expect("there are points");
        let line = html.split("class=\"line").nth(1).expect("a line").split("/>").next().expect("its end");
        assert_eq!((line.matches('M').count(), line.matches('L').count(), line.matches("h0").count()), (2, 1, 1));
        assert!(html.contains("&lt;a&gt;") && !html.contains("<a>"), "{html}");
        assert!(html.contains("&quot;t&quot; &amp; more"), "{html}");
    }

    #[test]
    fn hopeless_values_draw_something_finite() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            for scale in [Scale::Linear, Scale::Nines] {
                let html = plot(scale, vec![(0.0, Some(value)), (100.0, Some(1.0))]).html().expect("there are points");
                let lines = html.split(" d=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
                assert!(lines.clone().count() > 2);
                assert!(lines.clone().all(|line| !line.contains("NaN") && !line.contains("inf")), "{value}: {html}");
            }
        }
        assert!(plot(Scale::Linear, vec![(0.0, None)]).html().is_none());
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<b a='x' c=\"y\">&\u{0}\n"), "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;\u{fffd}\n");
    }
}
