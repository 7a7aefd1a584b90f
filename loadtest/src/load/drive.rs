//! The course of a measured run: warm-up, measurement, stragglers.

use anyhow::Result;
use indexmap::IndexMap;

use crate::cli::Timing;
use crate::clock::{self, SECOND};
use crate::machine;
use crate::probe::Probe;
use crate::result::latency::Latency;
use crate::result::outcome::{Combine, Timeline, plural};
use crate::result::progress::Progress;
use crate::result::units::human;
use crate::stop;
use crate::wire::net::{Handler, Net};

/// A load that [`drive`] can run.
pub(crate) trait Load: Handler {
    /// Sends what is due at `now`; gives when the next is due.
    fn pump(&mut self, net: &mut Net, now: u64, schedule: &Schedule) -> Option<u64>;
    /// What is delivered, in the singular.
    fn unit(&self) -> &str;
    /// Deliveries so far.
    fn delivered(&self) -> u64;
    /// Called once when nothing more is to be sent, before stragglers are waited for.
    fn finish(&mut self, _: &mut Net) {}
    /// True if everything that was sent has arrived.
    fn settled(&mut self, net: &mut Net) -> bool;
    /// What changes as long as waiting for stragglers makes sense.
    fn progress(&self) -> u64 {
        self.delivered()
    }
}

/// When a run begins, is measured and ends, in nanoseconds of the run's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) start: u64,
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// Length of an interval of the time lines.
    pub(crate) interval: u64,
}

impl Schedule {
    pub(crate) fn new(start: u64, timing: &Timing) -> Self {
        let from = start + seconds(timing.warmup);
        Self { start, from, until: from + seconds(timing.duration), interval: interval(timing.duration) }
    }

    /// When the `number`-th item of source `source` out of `sources` is meant to be sent: the sources take turns.
    pub(crate) fn intended(&self, rate: f64, number: u64, source: usize, sources: usize) -> u64 {
        let turns = number as f64 + source as f64 / sources as f64;
        self.start + (turns * SECOND as f64 / rate) as u64
    }

    /// A recorder of times, with a time line of the measurement.
    pub(crate) fn latency(&self) -> Latency {
        Latency::timed(self.from, self.interval)
    }

    /// True for what was meant to be sent within the measurement.
    pub(crate) fn measures(&self, time: u64) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// What was measured from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Length of the measurement.
    pub(crate) seconds: f64,
    /// Deliveries within it.
    pub(crate) delivered: u64,
    /// CPU time of the server within it, in nanoseconds.
    pub(crate) server_cpu: Option<u64>,
    /// Resident memory of the server at its beginning and end, in bytes.
    pub(crate) server_memory: Option<[u64; 2]>,
    /// Share of one core that the generator's thread used.
    pub(crate) generator_cpu: f64,
    /// CPU time that all processes of the machine used within it, in nanoseconds.
    pub(crate) machine_cpu: Option<u64>,
    /// True if somebody ended the run early.
    pub(crate) partial: bool,
    /// Throughput, and memory and CPU time of the server and CPU time of the generator, if they were watched.
    pub(crate) timelines: IndexMap<String, Timeline>,
}

/// Length of an interval of the time lines, in nanoseconds: a hundredth of the measurement, but at least 0.1 s and at
/// most a second, or as much more as it takes to have 1000 intervals.
pub(crate) fn interval(duration: f64) -> u64 {
    seconds((duration / 100.0).clamp(0.1, 1.0).max(duration / 1000.0))
}

#[derive(Clone, Copy)]
struct Sample {
    time: u64,
    delivered: u64,
    server_cpu: Option<u64>,
    server_memory: Option<u64>,
    own_cpu: u64,
    machine_cpu: Option<u64>,
}

impl Sample {
    fn take(net: &Net, load: &impl Load, probe: Option<&Probe>) -> Result<Self> {
        Ok(Self {
            server_memory: probe.map(Probe::memory).transpose()?,
            server_cpu: probe.map(Probe::cpu).transpose()?,
            time: net.clock.now(),
            delivered: load.delivered(),
            own_cpu: clock::thread_cpu(),
            machine_cpu: machine::busy(),
        })
    }

    /// As [`Sample::take`], with the memory as it is known without a walk through it.
    fn glance(net: &Net, load: &impl Load, probe: Option<&Probe>) -> Result<Self> {
        Ok(Self {
            server_memory: probe.map(Probe::memory_glance).transpose()?,
            server_cpu: probe.map(Probe::cpu).transpose()?,
            time: net.clock.now(),
            delivered: load.delivered(),
            own_cpu: clock::thread_cpu(),
            machine_cpu: machine::busy(),
        })
    }
}

/// The time lines while they grow: one sample at the end of each interval.
struct Course {
    interval: u64,
    /// When the current interval ends.
    edge: u64,
    last: Sample,
    timelines: IndexMap<String, Timeline>,
    unit: String,
}

impl Course {
    fn new(schedule: &Schedule, first: Sample, unit: &str) -> Self {
        Self {
            interval: schedule.interval,
            edge: schedule.from + schedule.interval,
            last: first,
            timelines: IndexMap::new(),
            unit: format!("{}/s", plural(unit)),
        }
    }

    /// Adds what happened since the last sample. Intervals without a sample, because the generator was busy, get the mean of the time that they are part of.
    fn add(&mut self, now: Sample) {
        let late = now.time.saturating_sub(self.edge) / self.interval;
        self.edge += (late + 1) * self.interval;
        let nanoseconds = now.time.saturating_sub(self.last.time).max(1) as f64;
        let grown = |now: u64, before: u64| now.saturating_sub(before) as f64 / nanoseconds;
        let interval = self.interval as f64 / SECOND as f64;
        let mut add = |name: &str, unit: &str, combine, value: f64| {
            let timeline = self.timelines.entry(name.to_owned());
            let timeline = timeline.or_insert_with(|| Timeline::new(unit, combine, interval));
            timeline.values.extend((0..=late).map(|_| value));
        };
        let rate = grown(now.delivered, self.last.delivered) * SECOND as f64;
        add("throughput", &self.unit, Combine::Sum, rate);
        if let Some((now, before)) = now.server_cpu.zip(self.last.server_cpu) {
            add("server_cpu", "cores", Combine::Max, grown(now, before));
        }
        if let Some(memory) = now.server_memory {
            add("server_memory", "bytes", Combine::Max, memory as f64);
        }
        add("generator_cpu", "cores", Combine::Max, grown(now.own_cpu, self.last.own_cpu));
        self.last = now;
    }
}

/// Runs a load through its schedule and waits for stragglers.
///
/// # Errors
/// If the system refuses to wait, or the watched server has ended.
pub(crate) fn drive(
    net: &mut Net,
    load: &mut impl Load,
    schedule: &Schedule,
    timing: &Timing,
    probe: Option<&Probe>,
) -> Result<Window> {
    let mut first = None;
    let mut course: Option<Course> = None;
    let mut progress = Progress::new();
    loop {
        let now = net.clock.now();
        if progress.is_due(now) {
            show(&mut progress, schedule, now, course.as_ref());
        }
        match &mut course {
            Some(course) if now >= course.edge => course.add(Sample::glance(net, load, probe)?),
            None if now >= schedule.from => {
                let sample = Sample::take(net, load, probe)?;
                first = Some(sample);
                course = Some(Course::new(schedule, sample, load.unit()));
            }
            _ => {}
        }
        // Also past the end: what was due before it is sent, however late the generator is.
        let due = load.pump(net, now, schedule);
        if now >= schedule.until || stop::asked() {
            break;
        }
        let next = course.as_ref().map_or(schedule.from, |course| course.edge.min(schedule.until));
        net.flush();
        // Signals end the wait, but one may come just before it.
        let latest = next.min(now + SECOND / 5);
        net.turn(load, Some(due.map_or(latest, |due| due.min(latest))))?;
    }
    drop(progress);
    net.flush();
    let end = Sample::take(net, load, probe)?;
    let partial = end.time < schedule.until;
    let first = first.map_or_else(|| Sample::take(net, load, probe), Ok)?;
    load.finish(net);
    await_stragglers(net, load, timing)?;
    let seconds = (end.time - first.time.min(end.time)) as f64 / SECOND as f64;
    Ok(Window {
        seconds,
        delivered: end.delivered - first.delivered.min(end.delivered),
        server_cpu: end.server_cpu.zip(first.server_cpu).map(|(end, first)| end.saturating_sub(first)),
        server_memory: first.server_memory.zip(end.server_memory).map(|(first, end)| [first, end]),
        machine_cpu: end.machine_cpu.zip(first.machine_cpu).map(|(end, first)| end.saturating_sub(first)),
        generator_cpu: (end.own_cpu.saturating_sub(first.own_cpu)) as f64 / (seconds.max(1e-9) * SECOND as f64),
        partial,
        timelines: course.map(|course| course.timelines).unwrap_or_default(),
    })
}

/// Tells how far the run is and how it goes.
fn show(progress: &mut Progress, schedule: &Schedule, now: u64, course: Option<&Course>) {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / SECOND as f64;
    let share = now.saturating_sub(schedule.start) as f64 / (schedule.until - schedule.start).max(1) as f64;
    let Some(course) = course else {
        return progress.show(share, &format!("warming up for {:.1} s", seconds(schedule.from.saturating_sub(now))));
    };
    let (done, all) = (seconds(now - schedule.from), seconds(schedule.until - schedule.from));
    let mut words = format!("{done:.1}/{all} s");
    for name in ["throughput", "server_cpu", "server_memory"] {
        if let Some(timeline) = course.timelines.get(name)
            && let Some(last) = timeline.values.last()
        {
            words += &format!(", {}", human(*last, &timeline.unit));
        }
    }
    progress.show(share, &words);
}

fn await_stragglers(net: &mut Net, load: &mut impl Load, timing: &Timing) -> Result<()> {
    let mut last = (load.progress(), net.clock.now());
    while !load.settled(net) && !stop::insisted() {
        let now = net.clock.now();
        if load.progress() != last.0 {
            last = (load.progress(), now);
        }
        if now - last.1 > seconds(timing.patience) {
            break;
        }
        net.turn(load, Some(now + SECOND / 20))?;
    }
    // What comes after the last expected message would be doubled or stray: leave it a moment to come.
    let grace = net.clock.now() + SECOND / 10;
    while net.clock.now() < grace {
        net.turn(load, Some(grace))?;
    }
    Ok(())
}

/// Seconds as nanoseconds.
pub(crate) fn seconds(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { duration: 2.0, warmup: 1.0, patience: 1.0 };

    #[test]
    fn the_schedule_is_even_and_sources_take_turns() {
        let schedule = Schedule::new(1000, &TIMING);
        assert_eq!((schedule.from, schedule.until), (1000 + SECOND, 1000 + 3 * SECOND));
        assert_eq!(schedule.intended(10.0, 0, 0, 4), 1000);
        assert_eq!(schedule.intended(10.0, 3, 0, 4), 1000 + 3 * SECOND / 10);
        assert_eq!(schedule.intended(10.0, 0, 2, 4), 1000 + SECOND / 20);
        assert!(!schedule.measures(1000) && schedule.measures(schedule.from) && !schedule.measures(schedule.until));
    }

    #[test]
    fn time_lines_have_a_value_for_every_interval() {
        let sample = |time: u64, delivered| Sample {
            time: time * SECOND / 10,
            delivered,
            server_cpu: Some(time * SECOND / 40),
            server_memory: Some(delivered * 100),
            own_cpu: time * SECOND / 20,
            machine_cpu: None,
        };
        let schedule = Schedule::new(0, &TIMING);
        assert_eq!((schedule.from, schedule.interval), (SECOND, SECOND / 10));
        let mut course = Course::new(&schedule, sample(10, 5), "delivery");
        for (time, delivered) in [(11, 6), (14, 12), (15, 12)] {
            course.add(sample(time, delivered));
        }
        assert_eq!(course.timelines["throughput"].values, [10.0, 20.0, 20.0, 20.0, 0.0]);
        assert_eq!(course.timelines["throughput"].unit, "deliveries/s");
        assert_eq!(course.timelines["server_memory"].values, [600.0, 1200.0, 1200.0, 1200.0, 1200.0]);
        assert_eq!(course.timelines["server_cpu"].values, [0.25; 5]);
        assert_eq!(course.timelines["generator_cpu"].values, [0.5; 5]);
        assert_eq!(course.edge, 16 * SECOND / 10);
    }

    #[test]
    fn intervals_are_fine_and_not_too_many() {
        let lengths = [0.5, 10.0, 50.0, 1000.0, 86400.0].map(|duration| interval(duration) as f64 / SECOND as f64);
        assert_eq!(lengths, [0.1, 0.1, 0.5, 1.0, 86.4]);
    }
}
