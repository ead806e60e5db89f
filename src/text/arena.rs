// SPDX-License-Identifier: GPL-3.0-only
//! A bump allocator over borrowed bytes: what it hands out lives as long as they do, and is never given back.
#![forbid(unsafe_code)]

use super::Out;
use crate::kernel::copy;

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

    /// Hands out nothing more.
    pub fn exhaust(&mut self) {
        self.free = &mut [];
    }

    /// Whether everything that was asked for was there; to be asked when lists were made.
    pub fn check(&self) -> Result<(), Full> {
        if self.free.is_empty() { Err(Full) } else { Ok(()) }
    }

    /// Hands out a copy of the bytes, to be changed.
    pub fn copy(&mut self, bytes: &[u8]) -> Result<&'t mut [u8], Full> {
        self.join(&[bytes])
    }

    /// Hands out the parts, one behind the other.
    #[inline(always)]
    pub fn concat(&mut self, parts: &[&[u8]]) -> Result<&'t [u8], Full> {
        Ok(self.join(parts)?)
    }

    /// Hands out what is written.
    #[inline(never)]
    pub fn write(&mut self, write: &dyn Fn(&mut dyn Out)) -> Result<&'t [u8], Full> {
        let mut writer = Writer { free: self.free, len: 0 };
        write(&mut writer);
        let len = writer.len;
        Ok(self.take(len)?)
    }

    #[inline(never)]
    fn join(&mut self, parts: &[&[u8]]) -> Result<&'t mut [u8], Full> {
        let taken = self.take(parts.iter().map(|part| part.len()).sum())?;
        let mut rest = &mut *taken;
        for part in parts {
            copy(rest.split_off_mut(..part.len()).unwrap_or_default(), part);
        }
        Ok(taken)
    }
}

/// Writes to the front of what is free, and counts on behind its end.
struct Writer<'w> {
    free: &'w mut [u8],
    len: usize,
}

impl Out for Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.free.get_mut(self.len) {
                *place = *byte;
            }
            self.len += 1;
        }
    }
}
