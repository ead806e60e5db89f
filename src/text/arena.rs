// SPDX-License-Identifier: GPL-3.0-only
//! A bump allocator over borrowed bytes: what it hands out lives as long as they do, and is never given back.
#![forbid(unsafe_code)]

use core::mem;

/// The arena has not enough bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Bytes that are handed out from the front.
pub struct Arena<'t> {
    free: &'t mut [u8],
}

impl<'t> Arena<'t> {
    /// An arena over all of `free`.
    pub fn new(free: &'t mut [u8]) -> Self {
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
        if len > self.free.len() {
            return Err(Full);
        }
        let (taken, free) = mem::take(&mut self.free).split_at_mut_checked(len).ok_or(Full)?;
        self.free = free;
        Ok(taken)
    }

    /// Hands out a copy of the bytes, to be changed.
    #[inline(never)]
    pub fn copy(&mut self, bytes: &[u8]) -> Result<&'t mut [u8], Full> {
        let taken = self.take(bytes.len())?;
        for (place, byte) in taken.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Ok(taken)
    }

    /// Hands out the parts, one behind the other.
    pub fn concat(&mut self, parts: &[&[u8]]) -> Result<&'t [u8], Full> {
        let len = parts.iter().map(|part| part.len()).sum();
        let taken = self.take(len)?;
        let mut rest = &mut *taken;
        for part in parts {
            let (here, behind) = rest.split_at_mut_checked(part.len()).ok_or(Full)?;
            here.copy_from_slice(part);
            rest = behind;
        }
        Ok(taken)
    }
}
