//! Responses in pieces, so that a client that reads slowly holds one of them and not the file.

use bytes::Bytes;
use std::fmt;
use std::io::{self, Read};

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// As it is sent.
    pub octets: Vec<u8>,
    /// The status.
    pub status: u16,
    /// Octets of the body.
    pub body: u64,
}

/// A piece of a response.
#[derive(Debug)]
pub struct Piece {
    /// In the first one.
    pub head: Option<Head>,
    /// Octets of the body.
    pub body: Bytes,
    /// What comes behind it.
    pub rest: Option<Rest>,
}

/// What is still to be read.
pub struct Rest {
    source: Box<dyn Read + Send>,
    left: u64,
    piece_bytes: usize,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Rest {
    /// So many octets of a source, to be read so many at once.
    pub(super) fn new(source: Box<dyn Read + Send>, left: u64, piece_bytes: usize) -> Rest {
        Rest { source, left, piece_bytes: piece_bytes.max(1) }
    }

    /// Reads the next piece.
    ///
    /// # Errors
    /// It cannot be read, or there is less than was promised.
    pub fn read(mut self) -> io::Result<Piece> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.piece_bytes);
        let mut body = Vec::with_capacity(wanted);
        self.source.by_ref().take(wanted as u64).read_to_end(&mut body)?;
        if body.len() < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= wanted as u64;
        let rest = (self.left > 0).then_some(self);
        Ok(Piece { head: None, body: body.into(), rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_one_after_the_other() {
        let rest = Rest::new(Box::new(&b"hello world and more"[..]), 11, 4);
        let mut piece = rest.read().expect("a piece");
        let mut all = vec![piece.body.clone()];
        while let Some(rest) = piece.rest {
            piece = rest.read().expect("a piece");
            all.push(piece.body.clone());
        }
        assert_eq!(all, [&b"hell"[..], b"o wo", b"rld"]);
        assert!(Rest::new(Box::new(&b"hel"[..]), 4, 4).read().is_err());
    }
}
