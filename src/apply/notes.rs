// SPDX-License-Identifier: GPL-3.0-only
//! Notes beside the record, in a file of their own: the record itself has no room for them, for an entry with a word
//! more is no longer equal to the desired one for the other versions.
//!
//! * `+PATH` or `=PATH`: the target of a recorded entry was made for it, or was there before. Only what was made is
//!   removed again (L2). A target without a note was recorded by another version, or the notes were lost; see
//!   [`Apply::clean_up`](super::Apply::clean_up) for what is done then. A note without an entry is forgotten, but for that on a
//!   place which an entry that failed could not give back.
//! * `>ENTRY`: what a run is about to mount, written before it touches anything. Should it be killed, the next run takes
//!   these entries for recorded ones, as far as the mount table shows them. They hold for the very record beside which
//!   they were written: the line `@INODE TIME` in front of them tells which that is. So what a finished run has left, or
//!   what belongs to a former namespace, means nothing; but a start by snap-confine removes the empty places that were made
//!   for it.
//!
//! A line that was cut short by a kill, or that nobody understands, is passed over.
#![forbid(unsafe_code)]

use core::cell::Cell;

use crate::kernel::file::Stat;
use crate::kernel::list::List;
use crate::mount::{MountEntry, profile};
use crate::plan::{Action, Keys, Plan, Profile};
use crate::text::arena::Arena;
use crate::text::escape::{cut_field, write_escaped};
use crate::text::number::parse_u64;
use crate::text::{Out, cut, lines, sort};

/// What is put behind the record's name.
pub const SUFFIX: &[u8] = b".made";

/// Targets, and whether they were made.
#[derive(Default)]
pub struct Notes<'t> {
    list: List<'t, (&'t [u8], bool)>,
    /// Their places, by path.
    sorted: Keys<'t>,
    /// Where the last one was found.
    last: Cell<usize>,
}

/// Which file a record is, and of when; zeros where there is none.
pub type Version = [u64; 2];

/// The version of a file.
pub fn version(stat: &Stat) -> Version {
    [stat.ino, stat.changed]
}

impl<'t> Notes<'t> {
    /// None.
    pub const fn new() -> Self {
        Notes { list: List::new(), sorted: List::new(), last: Cell::new(0) }
    }

    /// Takes the text of the file; what a killed run was about to mount becomes entries behind those of the record,
    /// which has this version. `each` is told of all that was intended, also beside another record, and whether its target was
    /// to be made.
    pub fn parse(
        &mut self,
        text: &'t mut [u8],
        record: &mut Profile<'t>,
        version: Version,
        arena: &mut Arena<'t>,
        each: &mut dyn FnMut(&MountEntry<'t>, bool, &mut Arena<'t>),
    ) {
        let Notes { list, sorted, .. } = self;
        let most = lines(text);
        list.claim(most, arena);
        sorted.claim(2 * most, arena);
        let mut holds = false;
        // What is behind the last line's end was cut short.
        let len = text.iter().rposition(|byte| *byte == b'\n').unwrap_or_default();
        let mut rest = text.get_mut(..len).unwrap_or_default();
        while !rest.is_empty() {
            let [sign, line @ ..] = cut(&mut rest, b'\n') else { continue };
            match *sign {
                b'@' => {
                    let mut time = line;
                    let inode = parse_u64(cut(&mut time, b' '));
                    holds = inode == Some(version[0]) && parse_u64(time) == Some(version[1]);
                }
                b'>' => {
                    let before = record.len();
                    let _ = profile::parse(line, record);
                    if let Some(entry) = record.get(before) {
                        // The note on it stands right before.
                        each(entry, list.last() == Some(&(entry.dir, true)), arena);
                    }
                    if !holds {
                        record.truncate(before);
                    }
                }
                b'+' | b'=' => {
                    let made = *sign == b'+';
                    let path: &'t [u8] = cut_field(&mut &mut *line, b'\n');
                    // More notes than entries are no notes of ours.
                    let _ = list.push((path, made));
                }
                _ => {}
            }
        }
        let note = |at: u64| list.get(at as usize);
        sort::sort_places(sorted, list.len(), &|a, b| note(a) < note(b));
    }

    /// Whether the target was made for its entry; `None` where no note says so. Where one says so and one does not, it
    /// was made by the later run.
    pub fn find(&self, target: &[u8]) -> Option<bool> {
        let note = |at: usize| self.list.get(*self.sorted.get(at)? as usize);
        let precedes = |at: usize| note(at).is_some_and(|(path, _)| *path <= target);
        let at = sort::partition_near(self.list.len(), &self.last, &precedes);
        let (path, made) = note(at.checked_sub(1)?)?;
        (*path == target).then_some(*made)
    }

    /// Writes one note.
    pub fn write(w: &mut dyn Out, target: &[u8], made: bool) {
        w.put(if made { b"+" } else { b"=" });
        write_escaped(w, target);
        w.put(b"\n");
    }
}

/// Writes the notes of a run that is about to perform a plan, to be put behind what is noted already.
pub fn write_intents(plan: &Plan<'_>, version: Version, w: &mut dyn Out) {
    // The end of a line that a kill has cut short.
    w.put(b"\n");
    write_version(w, version);
    for item in plan.items.iter().filter(|item| item.is_wanted()) {
        let comes = matches!(item.action, Action::Mount(_));
        // What could not be looked at may be there.
        let missing = item.under.is_some() && !item.is_odd;
        // What is there may have been made for an entry on record; and through a mimic that goes nobody sees it.
        let known = if missing { !plan.is_uncovered(item) } else { plan.is_new(item) };
        if known && (comes || item.record.is_none()) {
            Notes::write(w, item.entry.dir, comes && missing);
        }
        if comes && item.record.is_none() {
            write_intent(w, item.entry);
        }
    }
}

/// Writes an entry that is about to be mounted.
pub fn write_intent(w: &mut dyn Out, entry: &MountEntry<'_>) {
    w.put(b">");
    entry.write(w);
    w.put(b"\n");
}

fn write_version(w: &mut dyn Out, [inode, time]: Version) {
    w.put(b"@");
    w.number(inode);
    w.put(b" ");
    w.number(time);
    w.put(b"\n");
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
        let arena = &mut Arena::new(Vec::leak(std::vec![0; 4096]));
        let mut notes = Notes::new();
        notes.parse(text.leak(), &mut Profile::new(), [0; 2], arena, &mut |_, _, _| {});
        assert_eq!(notes.find(b"/opt/a b"), Some(true));
        assert_eq!(notes.find(b"/etc/foo"), Some(false));
        assert_eq!(notes.find(b"/etc"), None);
    }
}
