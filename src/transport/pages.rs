//! Responses to requests that are for no way into the router, as far as no file has to be read for them.

use super::door::{Door, Place};
use super::exchange::{Options, Verdict};
use super::page::Known;
use super::{bridge, events, page, probe, relay};
use crate::web::request::{OWN_POLICY, POLICY, Wishes};
use crate::web::{Content, Request, date};
use crate::wire::Frame;
use crate::wire::handshake::{Route, Serves};
use crate::wire::http::{JSON, TEXT, error_body, response_head};
use crate::wire::provenance::Provenance;
use crate::wire::request::{BodyLength, RequestHead};
use std::borrow::Cow;

/// The methods that are served.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// The methods that are known (RFC 9110, section 9; RFC 5789).
const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// What responses have to know of their request.
struct Page<'a> {
    door: &'a Door,
    head_only: bool,
    close: bool,
    cross_origin: bool,
    /// What goes wrong is told in JSON.
    json: bool,
}

impl Page<'_> {
    fn head(&self, status: u16, more: &[(&str, &str)], content: Option<(&str, usize)>) -> Vec<u8> {
        let mut headers = vec![("X-Content-Type-Options", "nosniff")];
        let date = date::stamp();
        headers.extend(date.as_deref().map(|date| ("Date", date)));
        headers.extend(self.door.hsts.as_deref().map(|hsts| ("Strict-Transport-Security", hsts)));
        if self.cross_origin {
            headers.push(("Access-Control-Allow-Origin", "*"));
        }
        headers.extend_from_slice(more);
        response_head(status, &headers, content, self.close)
    }

    fn whole(&self, status: u16, more: &[(&str, &str)], kind: &str, body: &[u8]) -> Verdict {
        let mut response = self.head(status, more, Some((kind, body.len())));
        if !self.head_only {
            response.extend_from_slice(body);
        }
        Verdict::Answer { response: Frame::new(response.into(), bytes::Bytes::new()), close: self.close }
    }

    fn bare(&self, status: u16, more: &[(&str, &str)]) -> Verdict {
        Verdict::Answer { response: Frame::whole(&self.head(status, more, None)), close: self.close }
    }

    fn line(&self, status: u16, more: &[(&str, &str)], text: &str) -> Verdict {
        let headers = [&[("Cache-Control", "no-store")], more].concat();
        if self.json && status >= 400 {
            return self.whole(status, &headers, JSON, error_body(text).as_bytes());
        }
        self.whole(status, &headers, TEXT, format!("{text}\n").as_bytes())
    }

    fn welcome(&self, place: &Place) -> Verdict {
        let door = self.door;
        let known = Known { realm: &place.realm, module: door.module.as_deref(), dashboard: door.dashboard.as_deref() };
        let headers = [("Cache-Control", "no-store"), (POLICY, &*page::welcome_policy(known))];
        self.whole(200, &headers, "text/html; charset=utf-8", page::welcome(known).as_bytes())
    }
}

/// Why pages like the one that has sent this may not use what stands there, if they may not.
fn refuse(head: &RequestHead<'_>, place: &Place, door: &Door) -> Option<&'static str> {
    let provenance = door.options.provenance(head.origin, head.host, head.proxied);
    if let Some(why) = place.pages.refuse(provenance) {
        return Some(why);
    }
    // Browsers ask before they send something special from other pages, and what is asked here need not be special.
    let foreign = provenance == Provenance::Foreign || (head.origin.is_none() && head.cross_site);
    let guarded = place.has_sessions() && !place.content.is_cross_origin() && head.method != "OPTIONS";
    (foreign && guarded).then_some("pages of other origins may not come here: see allow_cross_origin")
}

/// Decides about a request that leads there.
pub(super) fn judge(
    (head, octets): (&RequestHead<'_>, &[u8]),
    route: Route<'_>,
    door: &Door,
    options: &Options,
) -> Verdict {
    // A body that nobody reads stands in front of the next request.
    let bodyless = matches!(head.body, BodyLength::Absent | BodyLength::Octets(0));
    let close = !head.keep_alive || !bodyless;
    let mut page = Page { door, head_only: head.method == "HEAD", close, cross_origin: false, json: head.wants_json };
    let place = match &route {
        Route::Served { index, .. } => Some(&door.places[*index]),
        _ => None,
    };
    if let Some(why) = place.and_then(|place| refuse(head, place, door)) {
        page.json |= place.is_some_and(Place::has_sessions);
        return page.line(403, &[], why);
    }
    if let Some(place) = place
        && let Content::Events(_) = &*place.content
    {
        return events::judge((head, octets), place, (close, door.hsts.clone()));
    }
    if let (Some(place), Route::Served { names, own, .. }) = (place, &route)
        && let Content::Relay(..) = &*place.content
    {
        return relay::judge(head, place, (names, *own), (door.hsts.clone(), options.header_bytes_max));
    }
    if let Some((content, config)) = place.and_then(|place| match &*place.content {
        Content::Bridge(config) => Some((&place.content, &**config)),
        _ => None,
    }) {
        return bridge::judge((head, octets), (content, config), (close, door.hsts.clone()), options);
    }
    page.cross_origin = place.is_some_and(|place| place.content.is_cross_origin());
    if head.method == "OPTIONS" && page.cross_origin {
        let list = |text: &&str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        let permission = [
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", head.wanted_headers.filter(list).unwrap_or("Content-Type")),
            ("Access-Control-Max-Age", PREFLIGHT_SECONDS),
        ];
        return Verdict::Answer { response: Frame::whole(&page.head(204, &permission, None)), close };
    }
    if head.method == "OPTIONS" {
        return page.bare(204, &[("Allow", METHODS)]);
    }
    if !KNOWN.contains(&head.method) {
        return page.line(501, &[], "this method is not known");
    }
    if head.method != "GET" && head.method != "HEAD" {
        return page.line(405, &[("Allow", METHODS)], "only GET and HEAD are served here");
    }
    match route {
        Route::Malformed => page.line(400, &[], "the path is malformed"),
        Route::Nowhere => page.line(404, &[], &door.options.nothing_at(head.path)),
        Route::Metrics => Verdict::Metrics {
            head_only: page.head_only,
            close,
            forwarded: head.forwarded.iter().map(|(header, value)| (*header, (*value).to_owned())).collect(),
        },
        Route::Probe(probe) => {
            let (status, text) = probe::state(probe, &options.vitals, options.stuck_after);
            page.line(status, &[], text.trim_end())
        }
        Route::Served { index, names, own } => match door.options.paths[index].serves {
            Serves::WebSocket(..) | Serves::Echo if door.places[index].page => page.welcome(&door.places[index]),
            Serves::WebSocket(..) | Serves::Echo => {
                page.line(426, &[("Upgrade", "websocket"), ("Connection", "Upgrade")], "only WebSocket is served here")
            }
            Serves::LongPoll | Serves::Relay | Serves::Pages => {
                served(head, &page, &door.places[index], &names[own..], options)
            }
        },
    }
}

fn served(
    head: &RequestHead<'_>,
    page: &Page<'_>,
    place: &Place,
    names: &[Cow<'_, str>],
    options: &Options,
) -> Verdict {
    match &*place.content {
        Content::Nothing | Content::Transport | Content::Bridge(_) | Content::Events(_) | Content::Relay(..) => {
            page.line(404, &[], &page.door.options.nothing_at(head.path))
        }
        Content::Json(json) => {
            let caching = if json.no_store { "no-store, no-cache, must-revalidate, max-age=0" } else { "no-cache" };
            page.whole(200, &[("Cache-Control", caching)], "application/json", json.text.as_bytes())
        }
        Content::Redirect(url) => page.line(302, &[("Location", url)], &format!("this is at {url}")),
        Content::Client => {
            let headers = [("Cache-Control", "no-cache")];
            page.whole(200, &headers, "text/javascript; charset=utf-8", page::CLIENT.as_bytes())
        }
        Content::Dashboard(dashboard) => {
            if names.is_empty() && !head.path.ends_with('/') {
                // What the page names stands below it.
                return page.line(301, &[("Location", &format!("{}/", head.path))], "this is one slash further on");
            }
            match dashboard.find(names.iter().map(|name| &**name)) {
                Some(asset) if head.wishes.if_none_match.is_some_and(|tags| asset.is_one_of(tags)) => {
                    page.bare(304, &asset.headers())
                }
                Some(asset) => page.whole(200, &asset.headers(), asset.kind, asset.text.as_bytes()),
                None => page.line(404, &[], "the dashboard has no such file"),
            }
        }
        Content::NodeInfo => {
            let info = page::node_info(&options.vitals, options.shards, options.loads.total());
            let headers = [("Cache-Control", "no-store"), (POLICY, OWN_POLICY)];
            page.whole(200, &headers, "text/html; charset=utf-8", info.as_bytes())
        }
        Content::Files(_) | Content::Archive(_) => Verdict::File(Box::new(Request {
            content: place.content.clone(),
            names: names.iter().map(|name| (&**name).into()).collect(),
            path: head.path.into(),
            query: head.query.map(Into::into),
            head_only: page.head_only,
            close: page.close,
            json: page.json,
            wishes: Wishes {
                range: head.wishes.range.filter(|_| !page.head_only).map(Into::into),
                ..head.wishes.into()
            },
            hsts: page.door.hsts.clone(),
            piece_bytes: options.piece_bytes,
            listing_entries_max: options.listing_entries_max,
        })),
    }
}
