//! Programs that answer requests, one process for each (RFC 3875, "The Common Gateway Interface").

use super::Relayed;
use super::client::Client;
use super::fault::Fault;
use super::head::{Framing, framed, framing, response_head};
use super::place::{self, Place};
use super::pool::{Answered, Origin};
use crate::bound;
use crate::config::relay::{RelayConfig, Target};
use crate::web::Content;
use crate::wire::request::{BodyReader, RequestHead};
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{sleep, timeout};

/// Octets of the head of a program's output.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Octets of output that wait while the body of the request is still coming.
const AHEAD_BYTES: usize = 1 << 20;

/// Octets of output that are asked for at once: a vector without room of its own would grow by a few only.
const READ_BYTES: usize = 16 * 1024;

/// Octets of what a program complains of that are logged.
const COMPLAINT_BYTES: usize = 16 * 1024;

/// One of the programs that may run at the same time.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(running: &'a AtomicUsize, max: usize) -> Option<Slot<'a>> {
        let more = |count: usize| (count < max).then_some(count + 1);
        running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Slot(running))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A program that runs. Unless it has ended by itself it is killed, with all that it has started.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended in this moment.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs a program for a request.
pub(super) async fn run(
    client: &mut Client,
    (head, headers): (&RequestHead<'_>, &[(&str, &[u8])]),
    (config, relayed): (&RelayConfig, &Relayed),
    origin: &Origin,
    answered: &mut Answered,
) -> Result<(), Fault> {
    let (Target::Script { directory, processor, running_max }, Content::Relay(_, running)) =
        (&config.target, &*relayed.content)
    else {
        return Err(Fault::told(500, "no program is configured"));
    };
    let place = place::find(directory.clone(), relayed.names.clone()).await;
    let place = place.ok_or_else(|| Fault::told(404, "there is no such program"))?;
    let mut reader = BodyReader::new(head.body, config.body_bytes_max.unwrap_or(usize::MAX))?;
    if head.expects_continue && !reader.is_complete() && client.input.is_empty() {
        client.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    client.read_ahead(&mut reader).await?;
    let Some(_slot) = Slot::take(running, *running_max) else {
        return Err(Fault::told(503, "too many programs are running"));
    };
    let mut command = bound::command(processor);
    command.arg(&place.script).env_clear().envs(place::variables(head, headers, relayed, &place, origin));
    if let Some(folder) = place.script.parent() {
        command.current_dir(folder);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| Fault::told(500, format!("the program cannot be run: {error}")))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut running = Running { child, group };
    let (Some(stdin), Some(mut stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Fault::told(500, "the program has no pipes"));
    };
    drop(tokio::task::spawn_local(complain(stderr, place.script.display().to_string())));
    let (output, whole) = exchange(client, reader, stdin, &mut stdout, config).await?;
    let (keep, framing) = respond(client, (head, whole), (output, stdout), (config, relayed), answered).await?;
    finish(&mut running, config, &place).await?;
    if framing == Framing::Chunked {
        client.send(b"0\r\n\r\n").await?;
    }
    answered.keep = keep;
    Ok(())
}

/// Gives the body to a program until all of it is there and its output has a head. Gives what has been put out, and says whether all
/// of the body has been read from the client.
async fn exchange(
    client: &mut Client,
    mut reader: BodyReader,
    stdin: ChildStdin,
    stdout: &mut ChildStdout,
    config: &RelayConfig,
) -> Result<(Vec<u8>, bool), Fault> {
    let (mut stdin, mut piece, mut output) = (Some(stdin), Vec::new(), Vec::new());
    let (mut whole, mut ended) = (false, false);
    loop {
        if whole && piece.is_empty() {
            stdin = None;
        }
        if stdin.is_none() && (ended || head_length(&output).is_some() || output.len() > HEAD_BYTES_MAX) {
            return Ok((output, whole));
        }
        let room = !ended && output.len() < AHEAD_BYTES;
        if room {
            output.reserve(READ_BYTES);
        }
        tokio::select! {
            read = stdout.read_buf(&mut output), if room => ended = !matches!(read, Ok(count) if count > 0),
            next = client.piece_or_end(&mut reader, whole), if whole || (piece.is_empty() && stdin.is_some()) => match next? {
                Some(next) => piece = next,
                None => whole = true,
            },
            // None only if nothing is to be written.
            wrote = write(&mut stdin, &piece), if !piece.is_empty() => match wrote {
                Some(count) => drop(piece.drain(..count)),
                // It does not want the body.
                None => {
                    piece.clear();
                    stdin = None;
                }
            },
            () = sleep(config.timeout) => return Err(Fault::told(504, "the program does not answer in time")),
        }
    }
}

async fn write(stdin: &mut Option<ChildStdin>, piece: &[u8]) -> Option<usize> {
    stdin.as_mut()?.write(piece).await.ok().filter(|count| *count > 0)
}

/// Octets of the head of a program's output, if it is complete.
fn head_length(output: &[u8]) -> Option<usize> {
    let ends = [&b"\n\n"[..], b"\n\r\n"].map(|end| memchr::memmem::find(output, end).map(|at| at + end.len()));
    ends.into_iter().flatten().min()
}

/// What the head of a program's output says.
fn read_head(output: &[u8]) -> Option<(StatusCode, HeaderMap)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let httparse::Status::Complete((_, headers)) = httparse::parse_headers(output, &mut headers).ok()? else {
        return None;
    };
    let mut map = HeaderMap::new();
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    // All that it says may be the status.
    let said = !map.is_empty();
    let status = match map.remove("status") {
        Some(status) => status.to_str().ok()?.split(' ').next()?.parse().ok()?,
        None if map.contains_key(LOCATION) => StatusCode::FOUND,
        None => StatusCode::OK,
    };
    // How long the output is, is seen when it ends.
    map.remove(CONTENT_LENGTH);
    let known = (200..600).contains(&status.as_u16()) && said;
    known.then_some((status, map))
}

/// Passes the output on; says whether the connection can go on, which it cannot if the request is not there as a whole, and how
/// the body is framed, whose end is not written yet.
async fn respond(
    client: &mut Client,
    (head, whole): (&RequestHead<'_>, bool),
    (mut output, mut stdout): (Vec<u8>, ChildStdout),
    (config, relayed): (&RelayConfig, &Relayed),
    answered: &mut Answered,
) -> Result<(bool, Framing), Fault> {
    let length = head_length(&output);
    let read = length.and_then(|length| Some((length, read_head(&output[..length])?)));
    let Some((length, (status, headers))) = read else {
        return Err(Fault::told(500, "the program has put out something that is no response"));
    };
    output.drain(..length);
    let framing = framing(head, status.as_u16(), false);
    let keep = head.keep_alive && whole && framing != Framing::Close;
    answered.status = status.as_u16();
    client.send(&response_head(status, &headers, framing, (relayed.hsts.as_deref(), !keep))).await?;
    loop {
        if framing != Framing::Bodyless && !output.is_empty() {
            answered.octets += output.len() as u64;
            client.send(&framed(&output, framing)).await?;
        }
        output.clear();
        output.reserve(READ_BYTES);
        let read = tokio::select! {
            biased;
            read = timeout(config.timeout, stdout.read_buf(&mut output)) => read,
            fault = client.gone() => return Err(fault),
        };
        match read {
            Ok(Ok(0)) => break,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Fault::Broken(error.to_string())),
            Err(_) => return Err(Fault::Broken("the program does not go on in time".into())),
        }
    }
    Ok((keep, framing))
}

/// Waits for the end of a program that has put out everything. Only then it is known whether that was all that it had wanted to.
async fn finish(running: &mut Running, config: &RelayConfig, place: &Place) -> Result<(), Fault> {
    let program = place.script.display();
    match timeout(config.timeout, running.child.wait()).await {
        Ok(Ok(status)) => {
            running.group = None;
            if !status.success() {
                return Err(Fault::Broken(format!("the program {program} has failed: {status}")));
            }
        }
        Ok(Err(error)) => tracing::warn!(%program, %error, "a program cannot be waited for"),
        Err(_) => tracing::warn!(%program, "a program does not end after its response, and is killed"),
    }
    Ok(())
}

/// Logs what a program complains of, and takes the rest without a word.
async fn complain(mut stderr: ChildStderr, program: String) {
    let (mut octets, mut all) = (vec![0; 4096], 0);
    while let Ok(count) = stderr.read(&mut octets).await {
        if count == 0 {
            return;
        }
        if all < COMPLAINT_BYTES {
            let text = String::from_utf8_lossy(&octets[..count]);
            tracing::warn!(program, text = text.trim_end(), "a program complains");
        }
        all += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_output() {
        let read = |text: &str| {
            let length = head_length(text.as_bytes())?;
            let (status, headers) = read_head(&text.as_bytes()[..length])?;
            Some((length, status.as_u16(), headers.len()))
        };
        assert_eq!(read("Content-Type: text/html\n\nbody\n\n"), Some((25, 200, 1)));
        assert_eq!(
            read("Content-Type: a/b\r\nStatus: 404 Not Found\r\nContent-Length: 7\r\n\r\nbody"),
            Some((63, 404, 1))
        );
        assert_eq!(read("Location: /x\n\n"), Some((14, 302, 1)));
        assert_eq!(read("Status: 204 No Content\n\n"), Some((24, 204, 0)));
        for wrong in [
            "",
            "Content-Type: a/b\n",
            "\n\n",
            "hello\n\n",
            "Status: x\nA: b\n\n",
            "Status: 100\nA: b\n\n",
            "A b: c\n\n",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
