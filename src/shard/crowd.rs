//! How many connections there are, and how many of them come from one address.

use crate::auth::peer::Network;
use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// Why a connection is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Crowded {
    /// There are as many as the router takes.
    #[error("there are as many connections as connections_max allows")]
    Total,
    /// There are as many from the same address.
    #[error("there are as many connections from this address as connections_per_address_max allows")]
    Address,
}

/// Counts connections.
#[derive(Debug)]
pub struct Crowd {
    total_max: AtomicU32,
    /// 0: as many as there may be.
    each_max: AtomicU32,
    total: AtomicU32,
    /// Only where there is a limit.
    addresses: Mutex<HashMap<Network, u32>>,
}

impl Crowd {
    /// Nobody yet; so many at most, and so many from each address.
    #[must_use]
    pub fn new(total_max: u32, each_max: Option<u32>) -> Arc<Crowd> {
        let crowd = Crowd {
            total_max: AtomicU32::new(0),
            each_max: AtomicU32::new(0),
            total: AtomicU32::new(0),
            addresses: Mutex::default(),
        };
        crowd.limit(total_max, each_max);
        Arc::new(crowd)
    }

    /// Other limits from now on. Those that are there stay; they are not counted by address if there was no limit.
    pub fn limit(&self, total_max: u32, each_max: Option<u32>) {
        self.total_max.store(total_max, Ordering::Relaxed);
        self.each_max.store(each_max.unwrap_or(0), Ordering::Relaxed);
    }

    fn each_max(&self) -> Option<u32> {
        Some(self.each_max.load(Ordering::Relaxed)).filter(|max| *max > 0)
    }

    /// Counts a connection for as long as the ticket lives. An unknown address is counted when it is known.
    ///
    /// # Errors
    /// It is one too many.
    pub fn admit(self: &Arc<Crowd>, address: Option<IpAddr>) -> Result<Ticket, Crowded> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.total_max.load(Ordering::Relaxed) {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowded::Total);
        }
        let mut ticket = Ticket { crowd: self.clone(), network: None };
        if let Some(address) = address {
            ticket.comes_from(address)?;
        }
        Ok(ticket)
    }

    /// Connections now.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    fn enter(&self, network: Network, max: u32) -> Result<(), Crowded> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(network).or_default();
        if *count >= max {
            return Err(Crowded::Address);
        }
        *count += 1;
        Ok(())
    }

    fn leave(&self, network: Network) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&network);
            }
        }
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub struct Ticket {
    crowd: Arc<Crowd>,
    network: Option<Network>,
}

impl Ticket {
    /// Counts the connection for another address, which a proxy has told.
    ///
    /// # Errors
    /// It is one too many.
    pub fn comes_from(&mut self, address: IpAddr) -> Result<(), Crowded> {
        let Some(max) = self.crowd.each_max() else { return Ok(()) };
        let network = Network::of(address);
        self.crowd.enter(network, max)?;
        if let Some(before) = self.network.replace(network) {
            self.crowd.leave(before);
        }
        Ok(())
    }

    /// Counts another connection, of a client at this address.
    ///
    /// # Errors
    /// It is one too many.
    pub fn for_another(&self, address: IpAddr) -> Result<Ticket, Crowded> {
        self.crowd.admit(Some(address))
    }

    /// Counts another connection of the same client.
    ///
    /// # Errors
    /// It is one too many.
    pub fn another(&self) -> Result<Ticket, Crowded> {
        let mut ticket = self.crowd.admit(None)?;
        if let (Some(network), Some(max)) = (self.network, self.crowd.each_max()) {
            self.crowd.enter(network, max)?;
            ticket.network = Some(network);
        }
        Ok(ticket)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(network) = self.network {
            self.crowd.leave(network);
        }
        self.crowd.total.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let crowd = Crowd::new(4, Some(2));
        let one = crowd.admit(Some(at("192.0.2.1"))).expect("room");
        let two = one.another().expect("room");
        assert_eq!(crowd.admit(Some(at("192.0.2.1"))).expect_err("too many"), Crowded::Address);
        assert_eq!(one.another().expect_err("too many"), Crowded::Address);
        // The same address, and the same network of one client.
        assert_eq!(crowd.admit(Some(at("::ffff:192.0.2.1"))).expect_err("too many"), Crowded::Address);
        let mut six = crowd.admit(Some(at("2001:db8::1"))).expect("room");
        let other = crowd.admit(Some(at("2001:db8::2"))).expect("room");
        assert_eq!(crowd.admit(None).expect_err("too many"), Crowded::Total);
        drop(other);
        six.comes_from(at("192.0.2.1")).expect_err("too many");
        drop(two);
        six.comes_from(at("192.0.2.1")).expect("room");
        drop((one, six));
        assert_eq!(crowd.total(), 0);
        assert!(crowd.addresses.lock().expect("nobody panics").is_empty());
    }
}
