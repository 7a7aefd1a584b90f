//! Responses of the long-poll transport.

use crate::wamp::Serializer;
use crate::web::date;
use crate::wire::Frame;
use crate::wire::http::{JSON, error_body, response_head};
use crate::wire::longpoll::content_type;

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// The methods that are served.
const METHODS: &str = "POST, OPTIONS";

/// What a response has to know of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::transport) struct ReplyTo {
    /// The connection ends with the response.
    pub(in crate::transport) close: bool,
    /// Scripts of any page may read it.
    pub(in crate::transport) any_origin: bool,
    /// The request is HEAD: bodies are only announced.
    pub(in crate::transport) head_only: bool,
    /// The page whose script asks, if a browser says so. Any page may: who can use a transport is decided by its id,
    /// and who can join a realm by authentication, as on the other transports.
    origin: Option<Box<str>>,
}

impl ReplyTo {
    pub(super) fn new(close: bool, origin: Option<&str>) -> ReplyTo {
        let plain = |origin: &&str| origin.bytes().all(|octet| octet.is_ascii_graphic());
        ReplyTo { close, any_origin: false, head_only: false, origin: origin.filter(plain).map(Into::into) }
    }

    /// The response to a request that nobody may have sent completely.
    pub(in crate::transport) fn to_nobody() -> ReplyTo {
        ReplyTo::new(true, None)
    }

    fn head(&self, status: u16, more: &[(&str, &str)], content: Option<(&str, usize)>) -> Vec<u8> {
        let mut headers = vec![("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
        if let Some(origin) = &self.origin {
            headers.push(("Access-Control-Allow-Origin", origin));
            // Scripts of some clients send with credentials, which a browser allows only if it reads this.
            headers.push(("Access-Control-Allow-Credentials", "true"));
            headers.push(("Vary", "Origin"));
        } else if self.any_origin {
            headers.push(("Access-Control-Allow-Origin", "*"));
        }
        let date = date::stamp();
        headers.extend(date.as_deref().map(|date| ("Date", date)));
        headers.extend_from_slice(more);
        response_head(status, &headers, content, self.close)
    }

    fn whole(&self, mut head: Vec<u8>, body: &[u8]) -> Frame {
        if !self.head_only {
            head.extend_from_slice(body);
        }
        Frame::whole(&head)
    }

    /// 204: done, and there is nothing to say. The specification asks for 202 and calls it "no content", which is the
    /// name of 204; widespread clients take a 202 for a failure.
    pub(super) fn done(&self) -> Frame {
        Frame::whole(&self.head(204, &[], None))
    }

    /// 200 with a JSON document.
    pub(super) fn document(&self, json: &str) -> Frame {
        self.whole(self.head(200, &[], Some(("application/json", json.len()))), json.as_bytes())
    }

    /// The head of a response whose body is messages of so many octets.
    pub(super) fn messages(&self, serializer: Serializer, octets: usize) -> Frame {
        Frame::whole(&self.head(200, &[], Some((content_type(serializer), octets))))
    }

    /// What went wrong, in the form of errors of WAMP.
    pub(in crate::transport) fn error(&self, status: u16, text: &str) -> Frame {
        let more: &[(&str, &str)] = if status == 405 { &[("Allow", METHODS)] } else { &[] };
        let body = error_body(text);
        self.whole(self.head(status, more, Some((JSON, body.len()))), body.as_bytes())
    }

    /// The answer to OPTIONS, whether a browser asks for permission or a person for what is served.
    pub(super) fn preflight(&self, wanted_headers: Option<&str>) -> Frame {
        let list = |text: &&str| text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        let wanted = wanted_headers.filter(list).unwrap_or("Content-Type");
        let permission = [
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", wanted),
            ("Access-Control-Max-Age", PREFLIGHT_SECONDS),
        ];
        let allow = [("Allow", METHODS)];
        Frame::whole(&self.head(204, if self.origin.is_some() { &permission } else { &allow }, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.parts().concat()).expect("a response is text")
    }

    #[test]
    fn origins_are_answered_and_nothing_else_is_repeated() {
        let reply = ReplyTo::new(false, Some("https://a.example"));
        let preflight = text(&reply.preflight(Some("content-type, x-a")));
        assert!(preflight.starts_with("HTTP/1.1 204 No Content\r\n"), "{preflight}");
        assert!(preflight.contains("\r\nAccess-Control-Allow-Origin: https://a.example\r\n"), "{preflight}");
        assert!(preflight.contains("\r\nAccess-Control-Allow-Headers: content-type, x-a\r\n"), "{preflight}");
        assert!(!preflight.contains("Content-Length") && !preflight.contains("Connection"), "{preflight}");
        assert!(!text(&reply.preflight(Some("a\u{e9}"))).contains('\u{e9}'));
        for origin in [None, Some("a b"), Some("\u{e9}")] {
            assert!(!text(&ReplyTo::new(true, origin).done()).contains("Access-Control"));
        }
    }

    #[test]
    fn errors_say_what_and_how() {
        let error = text(&ReplyTo::new(true, None).error(405, "only POST"));
        assert!(error.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{error}");
        assert!(
            error.contains("\r\nAllow: POST, OPTIONS\r\n") && error.contains("\r\nConnection: close\r\n"),
            "{error}"
        );
        assert!(error.ends_with("\r\n\r\n{\"error\":\"only POST\",\"args\":[],\"kwargs\":{}}"), "{error}");
    }
}
