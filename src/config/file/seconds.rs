//! Times in options of services, in seconds.

use super::{Fault, Read};
use std::time::Duration;

/// The shortest time that can be asked for.
pub(super) const SECONDS_MIN: f64 = 0.01;

/// The longest: a day.
pub(super) const SECONDS_MAX: f64 = 86_400.0;

/// Reads a time of the `options` of what stands at a place.
pub(super) fn seconds(name: &str, seconds: Option<f64>, otherwise: Duration, at: &str) -> Read<Duration> {
    match seconds {
        None => Ok(otherwise),
        Some(seconds) if (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Some(_) => {
            let text = format!("is not a number of seconds from {SECONDS_MIN} to {SECONDS_MAX}");
            Err(Fault::new(&format!("{at}.options.{name}"), text))
        }
    }
}
