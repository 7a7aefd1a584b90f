//! What all shards know of the ways in, and how they learn of others.

use super::cookies::Cookies;
use super::preamble::Entrance;
use crate::config::RuntimeConfig;
use crate::web::Content;
use std::sync::{Arc, PoisonError, RwLock};

/// The ways in. Positions keep their meaning for as long as the router runs.
#[derive(Clone, Debug)]
pub struct Premises {
    /// The configuration.
    pub config: Arc<RuntimeConfig>,
    /// What is known of each listener.
    pub entrances: Arc<[Arc<Entrance>]>,
    /// What is served at each path of each listener.
    pub contents: Arc<[Arc<[Arc<Content>]>]>,
    /// The cookies of each transport that has them.
    pub cookies: Arc<[Option<Arc<Cookies>>]>,
}

/// Where it stands how the premises are now. A shard looks when it is told to.
#[derive(Debug)]
pub struct Board(RwLock<Premises>);

impl Board {
    /// A board that says this.
    #[must_use]
    pub fn new(premises: Premises) -> Board {
        Board(RwLock::new(premises))
    }

    /// What it says.
    #[must_use]
    pub fn read(&self) -> Premises {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets it say something else.
    pub fn write(&self, premises: Premises) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = premises;
    }
}
