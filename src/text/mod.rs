// SPDX-License-Identifier: GPL-3.0-only
//! Bytes: where they are kept, how they are written.
#![forbid(unsafe_code)]

pub mod arena;
pub mod escape;
pub mod number;
pub mod path;
pub mod sort;

/// Somewhere to write text to. Writing never fails: a sink that is full or closed drops what it is given, because
/// nothing could be said about that anywhere else.
pub trait Out {
    /// Writes bytes as they are.
    fn put(&mut self, bytes: &[u8]);
}

impl dyn Out + '_ {
    /// Writes a decimal number.
    pub fn number(&mut self, number: u64) {
        write_number(self, number);
    }

    /// Writes bytes between double quotes; see [`write_quoted`].
    pub fn quoted(&mut self, bytes: &[u8]) {
        write_quoted(self, bytes);
    }
}

/// Writes a decimal number.
pub fn write_number(w: &mut dyn Out, number: u64) {
    let mut digits = [0u8; "18446744073709551615".len()];
    let mut rest = number;
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    let start = digits.len() - used;
    w.put(digits.get(start..).unwrap_or_default());
}

/// Writes bytes between double quotes; quotes, backslashes, control bytes and bytes above 126 are escaped
/// (`\"`, `\\`, `\n`, `\t`, `\r`, `\xNN`). Valid UTF-8 is not told apart: a path is bytes.
pub fn write_quoted(w: &mut dyn Out, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    w.put(b"\"");
    for &byte in bytes {
        match byte {
            b'"' => w.put(b"\\\""),
            b'\\' => w.put(b"\\\\"),
            b'\n' => w.put(b"\\n"),
            b'\t' => w.put(b"\\t"),
            b'\r' => w.put(b"\\r"),
            b' '..=b'~' => w.put(&[byte]),
            _ => {
                let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'?');
                w.put(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    w.put(b"\"");
}

/// How long a text is: a sink that only counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length(pub usize);

impl Out for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// A short text on the stack. A piece that does not fit as a whole is dropped.
impl<const N: usize> Out for heapless::Vec<u8, N> {
    fn put(&mut self, bytes: &[u8]) {
        let _ = self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
impl Out for std::vec::Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}
