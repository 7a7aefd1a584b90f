//! Frames that wait to be written to one connection.

use crate::wire::frame::Frame;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::Poll;

/// Parts of frames given to the system in one call. Linux takes 1024; from here on the call's fixed costs are spread
/// thin enough.
pub const PARTS_MAX: usize = 64;

/// Octets that are copied together for one call, when frames are many and small.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// Frames up to this many octets on average are cheaper to copy than to hand over part by part.
const SMALL_FRAME_BYTES: usize = 1024;

/// From this many frames on, copying is considered.
const MANY_FRAMES: usize = 4;

/// Frames in the order of writing. Allocates nothing while at most one frame waits.
#[derive(Debug, Default)]
pub struct OutQueue {
    head: Option<Frame>,
    rest: VecDeque<Frame>,
    /// Octets of the head frame that are written already.
    written: usize,
    bytes: usize,
}

impl OutQueue {
    /// Adds a frame. An empty one is ignored.
    pub fn push(&mut self, frame: Frame) {
        let octets = frame.len();
        if octets == 0 {
            return;
        }
        self.bytes += octets;
        if self.head.is_none() {
            self.head = Some(frame);
        } else {
            self.rest.push_back(frame);
        }
    }

    /// Octets that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Takes up to so many frames from the front. Only for queues of which nothing is written octet by octet.
    pub fn take_whole(&mut self, frames_max: usize) -> Vec<Frame> {
        debug_assert_eq!(self.written, 0, "no frame is written in part");
        let mut frames = Vec::new();
        while frames.len() < frames_max
            && let Some(frame) = self.head.take()
        {
            self.bytes -= frame.len();
            self.head = self.rest.pop_front();
            frames.push(frame);
        }
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
        frames
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = OutQueue::default();
    }

    /// Writes once, through `write`, as much as makes sense in one call. `scratch` is for copying frames together.
    /// Ready with the number of octets written.
    ///
    /// # Errors
    ///
    /// Whatever `write` gives.
    pub fn write_once(
        &mut self,
        scratch: &mut Vec<u8>,
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let result = if self.worth_copying() {
            self.fill(scratch);
            write(&[IoSlice::new(scratch)])
        } else if self.rest.is_empty() {
            // By far the most common case: one event for an idle subscriber.
            self.gather::<2>(write)
        } else {
            self.gather::<PARTS_MAX>(write)
        };
        if let Poll::Ready(Ok(octets)) = result {
            self.advance(octets);
        }
        result
    }

    fn worth_copying(&self) -> bool {
        let frames = 1 + self.rest.len();
        frames >= MANY_FRAMES && self.bytes / frames <= SMALL_FRAME_BYTES
    }

    /// Copies what waits, up to the size of the scratch.
    fn fill(&self, scratch: &mut Vec<u8>) {
        scratch.clear();
        let mut skip = self.written;
        for part in self.head.iter().chain(&self.rest).flat_map(Frame::parts) {
            let used = skip.min(part.len());
            skip -= used;
            let part = &part[used..];
            let room = SCRATCH_BYTES - scratch.len();
            scratch.extend_from_slice(&part[..part.len().min(room)]);
            if scratch.len() == SCRATCH_BYTES {
                return;
            }
        }
    }

    /// Writes the first parts as they are.
    fn gather<const MAX: usize>(
        &self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut parts = [IoSlice::new(&[]); MAX];
        let mut count = 0;
        let mut skip = self.written;
        for part in self.head.iter().chain(&self.rest).flat_map(Frame::parts) {
            let used = skip.min(part.len());
            skip -= used;
            if used == part.len() {
                continue;
            }
            parts[count] = IoSlice::new(&part[used..]);
            count += 1;
            if count == MAX {
                break;
            }
        }
        write(&parts[..count])
    }

    fn advance(&mut self, octets: usize) {
        debug_assert!(octets <= self.bytes, "no more is written than was given");
        self.bytes -= octets;
        self.written += octets;
        while let Some(head) = &self.head {
            if self.written < head.len() {
                return;
            }
            self.written -= head.len();
            self.head = self.rest.pop_front();
        }
        self.rest = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn frame(head: &[u8], body: &[u8]) -> Frame {
        Frame::new(head.into(), Bytes::copy_from_slice(body))
    }

    /// Writes with at most `room` octets per call and gives what came out, and the number of calls.
    fn drain(queue: &mut OutQueue, room: usize) -> (Vec<u8>, usize) {
        let (mut out, mut calls) = (Vec::new(), 0);
        let mut scratch = Vec::new();
        while !queue.is_empty() {
            calls += 1;
            let before = queue.bytes();
            let result = queue.write_once(&mut scratch, |parts| {
                let mut left = room;
                for part in parts {
                    let taken = part.len().min(left);
                    out.extend_from_slice(&part[..taken]);
                    left -= taken;
                }
                Poll::Ready(Ok(room - left))
            });
            let Poll::Ready(Ok(octets)) = result else { panic!("the writer always writes") };
            assert_eq!(queue.bytes(), before - octets);
        }
        (out, calls)
    }

    #[test]
    fn one_frame_is_written_without_copy() {
        let mut queue = OutQueue::default();
        queue.push(frame(b"head", b"body"));
        let mut scratch = Vec::new();
        let result = queue.write_once(&mut scratch, |parts| {
            assert_eq!(parts.len(), 2);
            Poll::Ready(Ok(8))
        });
        assert!(matches!(result, Poll::Ready(Ok(8))));
        assert!(queue.is_empty() && scratch.is_empty());
    }

    #[test]
    fn many_small_frames_are_one_call_with_one_part() {
        let mut queue = OutQueue::default();
        (0..500).for_each(|_| queue.push(frame(&[7; 20], &[])));
        assert_eq!(drain(&mut queue, usize::MAX), (vec![7; 10_000], 1));
    }

    #[test]
    fn large_frames_are_not_copied() {
        let mut queue = OutQueue::default();
        (0..10).for_each(|_| queue.push(frame(b"h", &[1; 100_000])));
        let mut scratch = Vec::new();
        let result = queue.write_once(&mut scratch, |parts| {
            assert_eq!(parts.len(), 20);
            Poll::Pending
        });
        assert!(result.is_pending());
        assert_eq!(queue.bytes(), 1_000_010);
        assert!(scratch.is_empty());
    }

    #[test]
    fn empty_frames_do_not_wait() {
        let mut queue = OutQueue::default();
        queue.push(frame(b"", b""));
        assert!(queue.is_empty());
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let mut queue = OutQueue::default();
        (0..50).for_each(|_| queue.push(frame(b"x", b"")));
        drain(&mut queue, 3);
        assert_eq!(queue.rest.capacity(), 0);
    }

    #[test]
    fn frames_are_taken_whole_and_in_order() {
        let mut queue = OutQueue::default();
        (1..=5).for_each(|size| queue.push(frame(&vec![b'x'; size], b"")));
        let sizes = |frames: Vec<Frame>| frames.iter().map(Frame::len).collect::<Vec<_>>();
        assert_eq!(sizes(queue.take_whole(1)), [1]);
        assert_eq!((sizes(queue.take_whole(2)), queue.bytes()), (vec![2, 3], 9));
        assert_eq!(sizes(queue.take_whole(usize::MAX)), [4, 5]);
        assert!(queue.is_empty() && queue.bytes() == 0 && queue.take_whole(1).is_empty());
    }

    proptest! {
        #[test]
        fn every_octet_leaves_once_and_in_order(
            frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 0..3000_usize), 0..100),
            room in 1..5000_usize,
        ) {
            let mut queue = OutQueue::default();
            let mut expected = Vec::new();
            for (head, body) in &frames {
                let body = vec![head.len() as u8; *body];
                expected.extend_from_slice(head);
                expected.extend_from_slice(&body);
                queue.push(frame(head, &body));
            }
            prop_assert_eq!(queue.bytes(), expected.len());
            prop_assert_eq!(drain(&mut queue, room).0, expected);
        }
    }
}
