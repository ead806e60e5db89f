// SPDX-License-Identifier: GPL-3.0-only
//! A bump allocator over borrowed bytes: what it hands out lives as long as they do, and is never given back.
#![forbid(unsafe_code)]

use super::path::put;

/// The arena has not enough bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Bytes that are handed out from the front.
pub struct Arena<'t> {
    free: &'t mut [u8],
}

impl<'t> Arena<'t> {
    /// An arena over all of `free`.
    pub const fn new(free: &'t mut [u8]) -> Self {
        Arena { free }
    }

    /// Bytes not yet handed out.
    pub fn left(&self) -> usize {
        self.free.len()
    }

    /// What is not yet handed out, to be written to before its first part is [taken](Arena::take).
    pub fn free(&mut self) -> &mut [u8] {
        self.free
    }

    /// Hands out the first `len` free bytes. When there are not enough, nothing is taken.
    pub fn take(&mut self, len: usize) -> Result<&'t mut [u8], Full> {
        self.free.split_off_mut(..len).ok_or(Full)
    }

    /// Hands out a copy of the bytes, to be changed.
    pub fn copy(&mut self, bytes: &[u8]) -> Result<&'t mut [u8], Full> {
        self.join(&[bytes])
    }

    /// Hands out the parts, one behind the other.
    pub fn concat(&mut self, parts: &[&[u8]]) -> Result<&'t [u8], Full> {
        Ok(self.join(parts)?)
    }

    #[inline(never)]
    fn join(&mut self, parts: &[&[u8]]) -> Result<&'t mut [u8], Full> {
        let taken = self.take(parts.iter().map(|part| part.len()).sum())?;
        let mut len = 0;
        for part in parts {
            for byte in *part {
                put(taken, &mut len, *byte);
            }
        }
        Ok(taken)
    }
}
