// SPDX-License-Identifier: GPL-3.0-only
//! Bytes: where they are kept, how they are written.
#![forbid(unsafe_code)]

use crate::error::{Says, Sentence};
use crate::limits::{NAME, PROFILE_ENTRIES};

pub mod arena;
pub mod escape;
pub mod number;
pub(crate) mod packed;
pub mod path;
pub mod paths;
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

    /// Writes a text of the program.
    pub fn says(&mut self, says: Says) {
        Sentence::plain(says).write(b"", self);
    }

    /// Writes bytes between double quotes; see [`write_quoted`].
    pub fn quoted(&mut self, bytes: &[u8]) {
        write_quoted(self, bytes);
    }
}

/// Writes a decimal number.
#[inline(never)]
pub fn write_number(w: &mut dyn Out, number: u64) {
    let mut digits = [0u8; "18446744073709551615".len()];
    let mut rest = number;
    let mut start = digits.len();
    while let Some(place) = digits.get_mut(start.wrapping_sub(1)) {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    w.put(digits.get(start..).unwrap_or_default());
}

/// Writes bytes between double quotes; quotes, backslashes, control bytes and bytes above 126 are escaped
/// (`\"`, `\\`, `\n`, `\t`, `\r`, `\xNN`). Valid UTF-8 is not told apart: a path is bytes.
pub fn write_quoted(w: &mut dyn Out, bytes: &[u8]) {
    w.put(b"\"");
    for &byte in bytes {
        let mut text = hex(byte);
        let len = if let Some(letter) = b"\"\\ntr".get(position(b"\"\\\n\t\r", byte)) {
            text[1] = *letter;
            2
        } else if matches!(byte, b' '..=b'~') {
            text[0] = byte;
            1
        } else {
            4
        };
        w.put(text.get(..len).unwrap_or_default());
    }
    w.put(b"\"");
}

/// The escape of a byte by its two digits.
fn hex(byte: u8) -> [u8; 4] {
    let bits = u32::from(byte);
    let digits = (bits << 4 | bits) & 0xF_0F;
    // 1 for each digit that is a letter.
    let letters = (digits + 0x6_06) >> 4 & 0x1_01;
    (u32::from_be_bytes(*br"\x00") + digits + letters * u32::from(b'a' - 10 - b'0')).to_be_bytes()
}

/// The parts of a text between its separators, the empty ones too. The empty text is one empty part.
#[derive(Clone, Copy, Debug)]
pub struct Split<'t> {
    rest: Option<&'t [u8]>,
    separator: u8,
}

/// Splits a text at every separator.
pub fn split(text: &[u8], separator: u8) -> Split<'_> {
    Split { rest: Some(text), separator }
}

impl<'t> Split<'t> {
    /// What was not split yet.
    pub fn rest(self) -> &'t [u8] {
        self.rest.unwrap_or_default()
    }

    /// No parts.
    pub const NONE: Split<'static> = Split { rest: None, separator: 0 };
}

impl<'t> Iterator for Split<'t> {
    type Item = &'t [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'t [u8]> {
        let text = self.rest?;
        let end = position(text, self.separator);
        self.rest = text.get(end + 1..);
        text.get(..end)
    }
}

/// How many parts there are before the first that is exactly `part`, even the empty one.
#[inline(never)]
pub(crate) fn place(text: &[u8], separator: u8, part: &[u8]) -> Option<usize> {
    let mut parts = split(text, separator);
    let mut at = 0;
    while parts.next()? != part {
        at += 1;
    }
    Some(at)
}

/// Whether one of the parts of a text between its separators is this one.
pub fn has_part(text: &[u8], separator: u8, part: &[u8]) -> bool {
    place(text, separator, part).is_some()
}

/// Where the first such byte is; the length where there is none.
pub fn position(text: &[u8], byte: u8) -> usize {
    find(text, byte, 0)
}

/// Where the first such byte is, or the first below another; the length where there is none. Eight bytes are looked at
/// at once.
#[inline(never)]
pub fn find(text: &[u8], byte: u8, below: u8) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (bytes, lowest) = (ONES * u64::from(byte), ONES * u64::from(below));
    let (words, rest) = text.as_chunks();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let apart = word ^ bytes;
        // A borrow comes from a byte that is smaller; it can only spoil those behind that one.
        let found = (apart.wrapping_sub(ONES) & !apart | word.wrapping_sub(lowest) & !word) & ONES << 7;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    for found in rest {
        if *found == byte || *found < below {
            break;
        }
        at += 1;
    }
    at
}

/// Whether there is such a byte.
pub fn has_byte(text: &[u8], byte: u8) -> bool {
    position(text, byte) < text.len()
}

/// How many entries there can be in a text that has one in a line; more are too many in any case.
#[inline(never)]
pub fn lines(text: &[u8]) -> usize {
    split(text, b'\n').count().min(PROFILE_ENTRIES.max)
}

/// Takes the first part off a text, with its separator. What is left of a text without one is empty.
#[inline(never)]
pub fn cut<'t>(text: &mut &'t mut [u8], separator: u8) -> &'t mut [u8] {
    let len = position(text, separator);
    cut_at(text, len)
}

/// Takes so many bytes off a text, with the separator behind them.
#[inline(never)]
pub(crate) fn cut_at<'t>(text: &mut &'t mut [u8], len: usize) -> &'t mut [u8] {
    let (part, behind) = core::mem::take(text).split_at_mut_checked(len).unwrap_or_default();
    *text = behind.get_mut(1..).unwrap_or_default();
    part
}

/// How long a text is: a sink that only counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length(pub usize);

impl Out for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// Room for a file's name with a short path in front of it, or a suffix behind it.
pub const SHORT: usize = NAME.max + 32;

/// Such a text on the stack.
pub type Short = heapless::Vec<u8, SHORT>;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    #[test]
    fn quoted_bytes_are_escaped_one_by_one() {
        for byte in 0..=u8::MAX {
            let mut text = Vec::new();
            write_quoted(&mut text, &[byte]);
            let inside = match byte {
                b'\n' => r"\n".into(),
                b'\t' => r"\t".into(),
                b'\r' => r"\r".into(),
                b'"' | b'\\' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => format!("{}", char::from(byte)),
                _ => format!("\\x{byte:02x}"),
            };
            assert_eq!(text, format!("\"{inside}\"").into_bytes());
        }
    }
}
