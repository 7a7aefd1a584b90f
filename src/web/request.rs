//! A request for a file, and the responses to it.

use super::content::Content;
use super::date;
use super::piece::{Head, Piece, Rest};
use crate::wire::http::{JSON, TEXT, error_body, response_head};
use crate::wire::path::{encode, names};
use crate::wire::request;
use bytes::Bytes;
use std::io::Read;
use std::sync::Arc;

/// Headers that decide what is sent of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// See [`request::Wishes`].
    pub if_match: Option<Box<str>>,
    /// Likewise.
    pub if_unmodified_since: Option<Box<str>>,
    /// Likewise.
    pub if_none_match: Option<Box<str>>,
    /// Likewise.
    pub if_modified_since: Option<Box<str>>,
    /// Likewise.
    pub range: Option<Box<str>>,
    /// Likewise.
    pub if_range: Option<Box<str>>,
    /// Likewise.
    pub accept_encoding: Option<Box<str>>,
}

impl From<request::Wishes<'_>> for Wishes {
    fn from(wishes: request::Wishes<'_>) -> Wishes {
        let own = |text: Option<&str>| text.map(Into::into);
        Wishes {
            if_match: own(wishes.if_match),
            if_unmodified_since: own(wishes.if_unmodified_since),
            if_none_match: own(wishes.if_none_match),
            if_modified_since: own(wishes.if_modified_since),
            range: own(wishes.range),
            if_range: own(wishes.if_range),
            accept_encoding: own(wishes.accept_encoding),
        }
    }
}

/// A request for a file.
#[derive(Clone, Debug)]
pub struct Request {
    /// Of what.
    pub content: Arc<Content>,
    /// The names behind the path of the service.
    pub names: Vec<Box<str>>,
    /// The whole path, as it came.
    pub path: Box<str>,
    /// The query, as it came.
    pub query: Option<Box<str>>,
    /// What goes wrong is told in JSON.
    pub json: bool,
    /// HEAD instead of GET.
    pub head_only: bool,
    /// The connection ends with the response.
    pub close: bool,
    /// What the client would like to be sent.
    pub wishes: Wishes,
    /// `Strict-Transport-Security`, if it is to be said.
    pub hsts: Option<Arc<str>>,
    /// Octets that are read at once.
    pub piece_bytes: usize,
    /// Entries of a listing.
    pub listing_entries_max: usize,
}

/// The header that says what pages may load and do.
pub const POLICY: &str = "Content-Security-Policy";

/// What pages of our own may: they have styles in them, and nothing else.
pub const OWN_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of a response.
pub(super) type Headers<'a> = Vec<(&'a str, &'a str)>;

impl Request {
    /// The head of a response with these headers and those that all have.
    fn head(&self, status: u16, more: &[(&str, &str)], content: Option<(&str, u64)>) -> Head {
        let date = date::stamp();
        let mut headers: Headers<'_> = vec![("X-Content-Type-Options", "nosniff")];
        headers.extend(date.as_deref().map(|date| ("Date", date)));
        headers.extend(self.hsts.as_deref().map(|hsts| ("Strict-Transport-Security", hsts)));
        if self.content.is_cross_origin() {
            headers.push(("Access-Control-Allow-Origin", "*"));
        }
        // A page of our own has one of its own.
        let own = more.iter().any(|(name, _)| *name == POLICY);
        headers.extend(self.content.policy().filter(|_| !own).map(|policy| (POLICY, policy)));
        headers.extend_from_slice(more);
        let octets = content.map_or(0, |(_, octets)| octets);
        // On machines where this does not fit, files of that size cannot be there.
        let content = content.map(|(kind, octets)| (kind, usize::try_from(octets).unwrap_or(usize::MAX)));
        let body = if self.head_only { 0 } else { octets };
        Head { octets: response_head(status, &headers, content, self.close), status, body }
    }

    /// A response without a body, such as 304.
    pub(super) fn bare(&self, status: u16, more: &[(&str, &str)]) -> Piece {
        Piece { head: Some(self.head(status, more, None)), body: Bytes::new(), rest: None }
    }

    /// A response with a short body.
    pub(super) fn short(&self, status: u16, more: &[(&str, &str)], kind: &str, body: String) -> Piece {
        let head = self.head(status, more, Some((kind, body.len() as u64)));
        let body = if self.head_only { Bytes::new() } else { body.into() };
        Piece { head: Some(head), body, rest: None }
    }

    /// What went wrong, in one line of text, or in the form of errors of WAMP.
    pub(super) fn failure(&self, status: u16, text: &str) -> Piece {
        self.failed_with(status, &[], text)
    }

    /// The same, with these headers.
    pub(super) fn failed_with(&self, status: u16, more: &[(&str, &str)], text: &str) -> Piece {
        let headers = [&[("Cache-Control", "no-store")], more].concat();
        if self.json {
            return self.short(status, &headers, JSON, error_body(text));
        }
        self.short(status, &headers, TEXT, format!("{text}\n"))
    }

    /// There is no such file.
    pub(super) fn nothing(&self) -> Piece {
        self.failure(404, &format!("there is nothing at {:?}", &*self.path))
    }

    /// Somewhere else.
    pub(super) fn moved(&self, path: &str) -> Piece {
        let query = self.query.as_deref().map_or(String::new(), |query| format!("?{query}"));
        let location = format!("{path}{query}");
        self.short(301, &[("Location", &location)], TEXT, format!("this is at {location}\n"))
    }

    /// A response with so many octets of a source, the first of which are read now.
    pub(super) fn stream(
        &self,
        status: u16,
        more: &[(&str, &str)],
        (kind, octets): (&str, u64),
        source: Box<dyn Read + Send>,
    ) -> Piece {
        let head = self.head(status, more, Some((kind, octets)));
        if self.head_only || octets == 0 {
            return Piece { head: Some(head), body: Bytes::new(), rest: None };
        }
        match Rest::new(source, octets, self.piece_bytes).read() {
            Ok(piece) => Piece { head: Some(head), ..piece },
            Err(error) => {
                tracing::warn!(path = &*self.path, %error, "a file cannot be read");
                self.failure(500, "the file cannot be read")
            }
        }
    }
}

/// The path of a request with a slash behind it. The names are written anew, so that the path leads to no other host.
pub(super) fn slashed(request: &Request) -> String {
    let names = names(&request.path).unwrap_or_default();
    let path: String = names.iter().filter(|name| !name.is_empty()).map(|name| format!("/{}", encode(name))).collect();
    format!("{path}/")
}
