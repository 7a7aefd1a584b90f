//! What is served at a path that is no way into the router.

use super::archive::{Archive, Download};
use super::files::Files;
use super::piece::Piece;
use super::python;
use super::request::Request;
use crate::config::bridge::BridgeConfig;
use crate::config::events::EventsConfig;
use crate::config::relay::{RelayConfig, Target};
use crate::config::web::{JsonConfig, Root, Service};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use thiserror::Error;

/// Why something cannot be served.
#[derive(Debug, Error)]
#[error("{what}: {reason}")]
pub struct WebError {
    what: String,
    reason: String,
}

/// What is served at a path.
#[derive(Debug)]
pub enum Content {
    /// The files of a directory.
    Files(Files),
    /// The files of an archive.
    Archive(Archive),
    /// A value.
    Json(JsonConfig),
    /// Another address.
    Redirect(Box<str>),
    /// The client for scripts.
    Client,
    /// A page about the router.
    NodeInfo,
    /// Nothing.
    Nothing,
    /// Publications or calls.
    Bridge(Box<BridgeConfig>),
    /// Events for browsers.
    Events(Box<EventsConfig>),
    /// What others answer, and how many programs run for it.
    Relay(Box<RelayConfig>, AtomicUsize),
    /// A way into the router.
    Transport,
}

impl Content {
    /// Opens what a service needs. Without `download` nothing is got from elsewhere.
    ///
    /// # Errors
    /// A file cannot be used, or a package cannot be found.
    pub fn open(service: &Service, download: Option<Download>) -> Result<Content, WebError> {
        Ok(match service {
            Service::WebSocket(_) | Service::LongPoll(_) | Service::Echo => Content::Transport,
            Service::Json(json) => Content::Json(json.clone()),
            Service::Bridge(bridge) => Content::Bridge(bridge.clone()),
            Service::Events(events) => Content::Events(events.clone()),
            Service::Relay(relay) => {
                if let Target::Script { directory, .. } = &relay.target
                    && !directory.is_dir()
                {
                    tracing::warn!(directory = %directory.display(), "there is no such directory, whose programs are to be run");
                }
                Content::Relay(relay.clone(), AtomicUsize::new(0))
            }
            Service::Redirect(url) => Content::Redirect(url.clone()),
            Service::Client => Content::Client,
            Service::NodeInfo => Content::NodeInfo,
            Service::Nothing => Content::Nothing,
            Service::Static(config) => {
                let root = match &config.root {
                    Root::Directory(directory) => directory.clone(),
                    Root::Package { package, resource } => python::find(package, resource)
                        .map_err(|reason| WebError { what: format!("the package {package}"), reason })?,
                };
                if !root.is_dir() {
                    tracing::warn!(directory = %root.display(), "there is no such directory, whose files are to be served");
                }
                Content::Files(Files::new(root, config.clone()))
            }
            Service::Archive(config) => {
                let archive = Archive::open(config, download)
                    .map_err(|reason| WebError { what: config.file.display().to_string(), reason })?;
                Content::Archive(archive)
            }
        })
    }

    /// Scripts of any page may read it.
    #[must_use]
    pub fn is_cross_origin(&self) -> bool {
        match self {
            Content::Files(files) => files.is_cross_origin(),
            Content::Json(json) => json.cross_origin,
            Content::Client => true,
            Content::Bridge(bridge) => bridge.cross_origin,
            Content::Events(events) => events.cross_origin,
            _ => false,
        }
    }

    /// What browsers are told that its pages may load and do.
    pub(super) fn policy(&self) -> Option<&str> {
        match self {
            Content::Files(files) => files.policy(),
            Content::Archive(archive) => archive.policy(),
            _ => None,
        }
    }

    /// The response to a request for a file.
    pub(super) fn serve(self: Arc<Content>, request: &Request) -> Piece {
        match &*self {
            Content::Files(files) => files.serve(request),
            Content::Archive(archive) => archive.serve(request),
            _ => request.nothing(),
        }
    }
}
