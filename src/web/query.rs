//! Queries: the parameters of a request.

/// The parameters of a query, in their order. What is not text is left out.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter_map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decode(name)?, decode(value)?))
    })
}

/// A part of a query.
fn decode(text: &str) -> Option<String> {
    crate::wire::path::decode(&text.replace('+', " "))
}
