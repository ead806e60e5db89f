// SPDX-License-Identifier: GPL-3.0-only
//! Notes beside the record: for each recorded entry whether its target was made for it, or was there before. Only
//! what was made is removed again (L2). The record itself has no room for that: an entry with a word more is no
//! longer equal to the desired one for the other versions.
//!
//! A line is `+` or `=` and the escaped path: made, or found. A target without a note was recorded by another
//! version, or the notes were lost; see [`Apply::clean_up`](super::Apply::clean_up) for what is done then. A note
//! without an entry of that target is forgotten: so notes of a former namespace do no harm.
#![forbid(unsafe_code)]

use crate::limits::PROFILE_ENTRIES;
use crate::text::escape::{unescape, write_escaped};
use crate::text::{Out, sort};

/// What is put behind the record's name.
pub const SUFFIX: &[u8] = b".made";

/// Targets, and whether they were made.
pub struct Notes<'t> {
    list: &'t mut List<'t>,
}

/// Room for them; lives in `.bss`.
pub type List<'t> = heapless::Vec<(&'t [u8], bool), { PROFILE_ENTRIES.max }>;

impl<'t> Notes<'t> {
    /// None.
    pub fn new(list: &'t mut List<'t>) -> Self {
        Notes { list }
    }

    /// Takes the text of the file. What is no note is passed over.
    pub fn parse(&mut self, text: &'t mut [u8]) {
        self.list.clear();
        for line in text.split_mut(|byte| *byte == b'\n') {
            let Some((sign, path)) = line.split_first_mut() else { continue };
            let made = match sign {
                b'+' => true,
                b'=' => false,
                _ => continue,
            };
            let len = unescape(path);
            let path: &'t [u8] = path.get(..len).unwrap_or_default();
            // More notes than entries are no notes of ours.
            let _ = self.list.push((path, made));
        }
        sort::sort(self.list, |a, b| a.0 < b.0);
    }

    /// Whether the target was made for its entry; `None` where no note says so.
    pub fn find(&self, target: &[u8]) -> Option<bool> {
        let at = self.list.binary_search_by(|(path, _)| (*path).cmp(target)).ok()?;
        self.list.get(at).map(|(_, made)| *made)
    }

    /// Writes one note.
    pub fn write(w: &mut dyn Out, target: &[u8], made: bool) {
        w.put(if made { b"+" } else { b"=" });
        write_escaped(w, target);
        w.put(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn notes_are_found_again() {
        let mut text = Vec::new();
        Notes::write(&mut text, b"/opt/a b", true);
        Notes::write(&mut text, b"/etc/foo", false);
        text.extend_from_slice(b"garbage\n\n+\n");
        let mut notes = Notes::new(std::boxed::Box::leak(std::boxed::Box::default()));
        notes.parse(text.leak());
        assert_eq!(notes.find(b"/opt/a b"), Some(true));
        assert_eq!(notes.find(b"/etc/foo"), Some(false));
        assert_eq!(notes.find(b"/etc"), None);
    }
}
