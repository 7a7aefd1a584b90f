//! Standard input, line by line.

use super::failure::{Done, Failure};
use std::io::{self, BufRead};
use tokio::sync::mpsc;

/// So many lines are read ahead.
const AHEAD_MAX: usize = 16;

/// The lines of standard input, with what ends them. They are read by a thread of their own, which ends with the process.
pub(super) fn lines() -> mpsc::Receiver<Done<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = match input.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => Ok(line),
                Err(why) => Err(Failure::usage(format!("standard input: {why}"))),
            };
            let last = read.is_err();
            if sender.blocking_send(read).is_err() || last {
                break;
            }
        }
    });
    receiver
}
