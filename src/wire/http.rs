//! The little HTTP that a WebSocket endpoint needs: responses that end the connection.

/// A whole response; the connection is closed behind it.
#[must_use]
pub fn response(status: u16, headers: &[(&str, &str)], content_type: &str, body: &[u8], head_only: bool) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len()));
    out.push_str("Connection: close\r\n\r\n");
    let mut out = out.into_bytes();
    if !head_only {
        out.extend_from_slice(body);
    }
    out
}

/// A response that says in one line of text what was wrong.
#[must_use]
pub fn refusal(status: u16, headers: &[(&str, &str)], text: &str) -> Vec<u8> {
    response(status, headers, "text/plain; charset=utf-8", format!("{text}\n").as_bytes(), false)
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
