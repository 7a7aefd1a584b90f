//! Requests to servers, and what comes back.

use crate::config::courier::CourierConfig;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Request;

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
    (method, url): (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
    answer_bytes_max: u64,
) -> Result<Reply, RequestError> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let unfit = |error: ureq::http::Error| RequestError::Unfit(error.to_string());
    let sent = match body {
        Some(body) => agent.run(request.body(body).map_err(unfit)?),
        None => agent.run(request.body(()).map_err(unfit)?),
    };
    let failed = |error: ureq::Error| match error {
        ureq::Error::Timeout(_) => RequestError::Late,
        ureq::Error::BodyExceedsLimit(_) => RequestError::TooLarge,
        error => RequestError::Failed(error.to_string()),
    };
    let mut reply = sent.map_err(failed)?;
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = reply.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let status = reply.status().as_u16();
    let body = reply.body_mut().with_config().limit(answer_bytes_max).read_to_vec().map_err(failed)?;
    Ok(Reply { status, headers, body })
}
