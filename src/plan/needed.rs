// SPDX-License-Identifier: GPL-3.0-only
//! What of it is in effect already? The mount table answers, seen as of the moment at which each entry was, or
//! will be, mounted.
//!
//! The items are judged from the last to the first. What is found to be a later entry's own mount is marked, and
//! an earlier entry is judged as if that mount were not there; so a source that a later entry covers, or a target,
//! shows what it showed then. The mimics come before all: their parts are no entry's mount, however alike.
#![forbid(unsafe_code)]

use super::{Action, Class, Item, Plan, State};
use crate::limits::PATH;
use crate::mount::MountEntry;
use crate::mount::table::{MountRef, Table, marks};
use crate::text::path;
use crate::text::paths::{Mark, NOWHERE};

impl<'t> Plan<'t> {
    /// The second move. An empty table means that nothing can be known: then what is recorded counts as in effect.
    /// Links and directories-to-be are left alone; the survey looks at them.
    pub fn judge(&mut self, table: &mut Table<'t>) {
        // What an entry on record has mounted at a target is that one's.
        self.paths.reset(Mark::Early);
        for item in self.items.iter().filter(|item| item.is_recorded(self.recorded)) {
            self.paths.raise(Mark::Early, item.dir, mark_of(item));
        }
        // When the items of a class are judged, mimics are looked for beneath what those cover; and in the end beneath
        // other mimics.
        self.judge_mimics(marks::COVER, table);
        for &class in Class::ALL.iter().rev() {
            self.judge_items(class, table);
            self.judge_mimics(marks::COVER, table);
        }
        self.judge_mimics(marks::COVER | marks::MIMIC, table);
    }

    #[inline(never)]
    fn judge_mimics(&mut self, above: u8, table: &mut Table<'t>) {
        // Of two over one directory the later lies on top.
        for at in (0..self.mimics.len() as u32).rev() {
            self.judge_mimic(at, above, table);
        }
    }

    fn judge_items(&mut self, class: Class, table: &mut Table<'t>) {
        let recorded = self.recorded;
        for item in self.items.iter_mut().rev().filter(|item| item.class == class) {
            let recorded = item.is_recorded(recorded);
            let unseen = match (recorded, item.desired) {
                (true, true) => State::InEffect,
                (true, false) => State::Different,
                (false, _) => State::Absent,
            };
            if !item.is_mount() {
                // What a later entry covers cannot be looked at; what is on record counts then.
                let dir = item.entry.dir;
                item.hidden = table.visible(dir, 0) != table.visible(dir, marks::COVER);
                if item.hidden && recorded {
                    item.state = unseen;
                }
                continue;
            }
            item.state = if table.is_empty() {
                // Most often the mimic came later; but not before a layout, which comes last.
                item.hidden = item.class != Class::Layout && self.paths.at(Mark::Gone, item.dir) > 0;
                unseen
            } else {
                judge_mount(item, recorded, self.paths.at(Mark::Early, item.dir), table)
            };
        }
    }

    /// Looks for the tmpfs of a mimic that is not found yet, and whether every part that is on record shows what the
    /// covered directory holds.
    fn judge_mimic(&mut self, at: u32, above: u8, table: &mut Table<'t>) {
        let Some(mimic) = self.mimics.get(at as usize).filter(|mimic| mimic.mount.is_none()) else { return };
        let line = mimic.line;
        let Some(entry) = self.line(line) else { return };
        let (dir, owner) = (entry.dir, entry.needed_by());
        // The topmost tmpfs that carries the owner, or one of the parts; or the topmost if there are none.
        let mut found = (MountRef::NONE, table.is_empty());
        for pair in table.stack(dir, above, 0).windows(2).rev() {
            let &[mut under, tmpfs] = pair else { break };
            let Some(cover) = table.get(tmpfs) else { continue };
            if cover.is_marked(marks::MIMIC) || !cover.is_whole(b"tmpfs") {
                continue;
            }
            // The copy that a later mimic over a directory above has made lies on that one's tmpfs.
            if table.get(under).is_some_and(|m| m.is_marked(marks::MIMIC)) {
                under = table.visible(path::parent(dir), marks::COVER | marks::MIMIC);
            }
            // One that a killed run was at may lack links, or all of its parts, and one that was about to go cannot be bound: it
            // goes.
            let is_known = usize::from(line) < self.recorded;
            let mut whole =
                is_known && !cover.unbindable && table.get(under).is_some_and(|m| !m.is_deleted());
            let mut carries = owner.is_some_and(|owner| table.child(tmpfs, owner, 0).is_some());
            let mut is_empty = true;
            self.each_part(at, &mut |part| {
                is_empty = !is_known;
                let Some(part) = self.line(part) else { return };
                let mount = table.child(tmpfs, part.dir, 0);
                if mount.is_none() {
                    whole = false;
                    return;
                }
                table.mark(mount, marks::PART);
                carries = true;
                let was = table.walk(under, dir, part.dir, 0);
                whole &= table.shows(was, part.dir, mount, part.dir) != Some(false);
            });
            // Not what an entry on record has bound there.
            let is_bind = |item: &Item<'t>| item.flags.bind() && matches(item, tmpfs, table).is_some();
            if carries || (is_empty && found.0.is_none() && !self.items_at(mimic.dir).any(is_bind)) {
                found = (tmpfs, whole);
            }
            if carries {
                break;
            }
        }
        if let Some(mimic) = self.mimics.get_mut(at as usize) {
            (mimic.mount, mimic.whole) = found;
            table.mark(mimic.mount, marks::MIMIC);
        }
    }
}

/// The kind of an item and its source, in one mark.
fn mark_of(item: &Item<'_>) -> u32 {
    item.source.wrapping_mul(KINDS) | item.kind_mark()
}

/// More than there are marks of kinds.
const KINDS: u32 = 8;

/// Judges one mount entry, and marks its mounts so that earlier entries are judged beneath them. What is there of it is
/// returned; the mount, and whether a mimic hides that, are filled in. `on_record` is 0 where no entry on record has its
/// target, and else the [mark](mark_of) of that one.
#[inline(never)]
fn judge_mount<'t>(item: &mut Item<'t>, recorded: bool, on_record: u32, table: &mut Table<'t>) -> State {
    let entry = item.entry;
    // As it is seen; then beneath what mimics hide, and beneath the mimics of directories above.
    for &above in &[marks::SEEN | marks::BURIED, marks::COVER, marks::COVER | marks::MIMIC] {
        let mut hidden = above & marks::HIDDEN != 0;
        let (mut ours, mut exactly, mut foreign, mut between) = (MountRef::NONE, false, false, false);
        // The lowest of the stack is what the target lies on. From the top: an entry may be there more than once, and
        // mounts of others over it.
        for &mount in table.stack(entry.dir, above, marks::SEEN | marks::HIDDEN).iter().skip(1).rev() {
            let Some(line) = table.get(mount) else { continue };
            // One that was about to go when we were killed; it is none of an entry's that is never mounted.
            let (marked, doomed) = (line.mark, line.unbindable && item.action != Action::Duplicate);
            if marked & (marks::PART | marks::MIMIC) != 0 {
                hidden |= ours.is_none() && marked & marks::MIMIC != 0;
                continue;
            }
            let shows = matches(item, mount, table);
            // It was that of the entry on record, if that is of another kind; nothing of this one can be beneath it then.
            if doomed && shows.is_none() && on_record > 0 && on_record % KINDS != item.kind_mark() {
                continue;
            }
            if item.mount.is_none() {
                (item.mount, item.hidden) = (mount, hidden);
            }
            // If that one has the same source it is its mount, and what lies in it was mounted after that.
            if doomed || shows.is_some() && (recorded || on_record != mark_of(item)) {
                // What lies on it may be an earlier entry's mount, if it is not this one's.
                let cover = match (foreign, hidden) {
                    (true, _) => marks::BURIED,
                    (false, true) => marks::HIDDEN,
                    (false, false) => marks::SEEN,
                };
                table.mark(mount, marks::OURS | cover);
                // What could not be taken away goes with what lies on it, if nothing of somebody else's lies between.
                exactly = (!doomed || between) & if ours.is_none() { shows == Some(true) } else { exactly };
                if ours.is_none() {
                    ours = mount;
                }
            } else {
                foreign |= ours.is_none();
                between = true;
            }
        }
        if ours.is_some() {
            // What somebody else's mount covers is mounted again over that, and cannot be taken away.
            let state = match (foreign, item.desired) {
                (false, _) if exactly => State::InEffect,
                (true, true) => State::Absent,
                _ => State::Different,
            };
            (item.mount, item.hidden) = (ours, hidden);
            return state;
        }
    }
    let mount = item.mount;
    // What lies at a recorded target is what was mounted there, even if it shows something else by now; and what was
    // removed is of no use to anybody, and nothing can be mounted on it.
    if table.get(mount).is_some_and(|line| recorded || on_record == 0 && line.is_deleted()) {
        let mut layer = mount;
        while let Some(line) =
            table.get(layer).filter(|_| table.shows(mount, entry.dir, layer, entry.dir) == Some(true))
        {
            let next = table.beneath(line);
            table.mark(layer, marks::COVER | marks::OURS);
            layer = next;
        }
        return State::Different;
    }
    // Somebody else's is not touched, but it is said that it is mounted over.
    item.hidden = false;
    State::Absent
}

/// Whether a mount shows what an entry asks for; and if it does, whether it does so exactly, with the flags and with
/// what is mounted below.
#[inline(never)]
fn matches<'t>(item: &Item<'t>, mount: MountRef, table: &Table<'t>) -> Option<bool> {
    let line = table.get(mount)?;
    let (entry, flags) = (item.entry, item.flags);
    if !flags.bind() {
        return line.is_whole(entry.fstype).then_some(!flags.read_only() || line.read_only);
    }
    if item.source == NOWHERE {
        return None;
    }
    let from = table.visible(entry.name, marks::COVER);
    if table.shows(from, entry.name, mount, entry.dir) != Some(true) {
        return None;
    }
    // A bind inherits the flags of the mount that is visible at its source: without `ro` it is as writable as that.
    let inherited = table.get(from)?.is_bound_read_only == line.is_bound_read_only;
    let writable_as_wanted = if flags.read_only() { line.read_only } else { inherited };
    Some(writable_as_wanted && (!flags.recursive() || shows_submounts(entry, mount, table)))
}

/// Whether every mount that is visible below the source of a recursive bind is found at its place below the
/// target. More may be there: entries of the profile, a mimic of ours over it, or what propagated.
fn shows_submounts(entry: &MountEntry<'_>, mount: MountRef, table: &Table<'_>) -> bool {
    let (target, source) = (entry.dir, entry.name);
    let apart = !path::covers(source, target) && !path::covers(target, source);
    let mut there = heapless::Vec::<u8, { PATH.max }>::new();
    !apart
        || table.listed(source, true).all(|below| {
            let Some(line) = table.get(below) else { return true };
            let rest = line.dir.get(source.len()..).unwrap_or_default();
            if rest.is_empty() || line.unbindable || table.visible(line.dir, marks::COVER) != below {
                return true;
            }
            there.clear();
            let fits = there.extend_from_slice(target).and_then(|()| there.extend_from_slice(rest)).is_ok();
            let shown = table.walk(mount, target, &there, marks::COVER | marks::MIMIC);
            !fits || table.shows(below, line.dir, shown, &there) == Some(true)
        })
}
