//! Requests to servers, and what comes back.

use crate::config::courier::CourierConfig;
use std::time::Duration;
use ureq::http::Request;
use ureq::{Agent, Body};

/// An answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// For how long the server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let told = self.headers.iter().find(|(name, _)| name == "retry-after");
        told.and_then(|(_, seconds)| seconds.parse().ok()).map(Duration::from_secs)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// It cannot be sent at all.
    #[error("{0}")]
    Unfit(String),
    /// There was none in time.
    #[error("no answer in time")]
    Late,
    /// It has more octets than it may.
    #[error("the answer is too large")]
    TooLarge,
    /// The server cannot be reached, or does not speak HTTP.
    #[error("{0}")]
    Failed(String),
}

/// What makes the requests of a thread. Connections are kept.
pub(super) fn agent(config: &CourierConfig) -> Agent {
    let all = Agent::config_builder().http_status_as_error(false).max_redirects(0);
    all.timeout_global(Some(config.timeout)).build().into()
}

/// Asks a server. Methods that have no body are sent without.
pub(super) fn ask(
    agent: &Agent,
    target: (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
    answer_bytes_max: u64,
) -> Result<Reply, RequestError> {
    let (mut reply, answer) = begin(agent, target, headers, body)?;
    reply.body = answer.into_with_config().limit(answer_bytes_max).read_to_vec().map_err(failed)?;
    Ok(reply)
}

/// Tells a server something. What it answers beside its status and headers does not matter, nor whether all of it comes: it is read
/// only so that the connection can be kept.
pub(super) fn tell(
    agent: &Agent,
    target: (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
    answer_bytes_max: u64,
) -> Result<Reply, RequestError> {
    let (reply, answer) = begin(agent, target, headers, Some(body))?;
    if let Err(error) = answer.into_with_config().limit(answer_bytes_max).read_to_vec() {
        tracing::debug!(%error, "an answer that nobody needs is not whole");
    }
    Ok(reply)
}

/// Sends a request, and reads the head of the answer.
fn begin(
    agent: &Agent,
    (method, url): (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<(Reply, Body), RequestError> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let unfit = |error: ureq::http::Error| RequestError::Unfit(error.to_string());
    let sent = match body {
        Some(body) => agent.run(request.body(body).map_err(unfit)?),
        None => agent.run(request.body(()).map_err(unfit)?),
    };
    let (head, answer) = sent.map_err(failed)?.into_parts();
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Ok((Reply { status: head.status.as_u16(), headers, body: Vec::new() }, answer))
}

fn failed(error: ureq::Error) -> RequestError {
    match error {
        ureq::Error::Timeout(_) => RequestError::Late,
        ureq::Error::BodyExceedsLimit(_) => RequestError::TooLarge,
        error => RequestError::Failed(error.to_string()),
    }
}
