//! Numbers of cores.

use super::{Fault, Read};

/// The highest number that a core can have here.
pub(super) const CORE_MAX: usize = 1023;

/// Looks at the cores that something may run on, the key `cpu_affinity` at a place.
pub(super) fn check_affinity(cores: &[usize], at: &str) -> Read<()> {
    let none = |core: &usize| {
        Err(Fault::new(&format!("{at}.cpu_affinity"), format!("{core} is no core: they are from 0 to {CORE_MAX}")))
    };
    cores.iter().find(|core| **core > CORE_MAX).map_or(Ok(()), none)
}
