// SPDX-License-Identifier: GPL-3.0-only
//! Text on its way to a file, gathered into pieces of a few thousand bytes.

use super::{Fd, Result, file};
use crate::text::Out;
use heapless::Vec;

/// Bytes gathered before they are written: any sentence with the longest of paths in it.
const PIECE: usize = 8_192;

/// Writes to one file, and perhaps to a second. Nobody has to know whether the second takes it.
pub struct Writer<'f> {
    to: &'f Fd,
    also: Option<&'f Fd>,
    done: Result<()>,
    piece: Vec<u8, PIECE>,
}

impl<'f> Writer<'f> {
    /// Nothing is written yet.
    pub fn new(to: &'f Fd, also: Option<&'f Fd>) -> Self {
        Writer { to, also, done: Ok(()), piece: Vec::new() }
    }

    /// Writes the last piece; the first error.
    pub fn finish(&mut self) -> Result<()> {
        self.flush();
        self.done
    }

    #[inline(never)]
    fn flush(&mut self) {
        self.done = self.done.and_then(|()| file::write_all(self.to, &self.piece));
        if let Some(fd) = self.also {
            let _ = file::write_all(fd, &self.piece);
        }
        self.piece.clear();
    }
}

impl Out for Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(PIECE) {
            if self.piece.len() + part.len() > PIECE {
                self.flush();
            }
            let len = self.piece.len();
            // SAFETY: there is room for the part behind what is there.
            unsafe {
                self.piece.as_mut_ptr().add(len).copy_from_nonoverlapping(part.as_ptr(), part.len());
                self.piece.set_len(len + part.len());
            }
        }
    }
}
