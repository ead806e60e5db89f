// SPDX-License-Identifier: GPL-3.0-only
//! What of it is in effect already? The mount table answers, seen as of the moment at which each entry was, or
//! will be, mounted.
//!
//! The items are judged from the last to the first. What is found to be a later entry's own mount is marked, and
//! an earlier entry is judged as if that mount were not there; so a source that a later entry covers, or a target,
//! shows what it showed then. The mimics come before all: their parts are no entry's mount, however alike.
#![forbid(unsafe_code)]

use super::order::has_source;
use super::{Plan, State};
use crate::limits::PATH;
use crate::mount::MountEntry;
use crate::mount::table::{MountRef, Table, marks};
use crate::text::path;

impl<'t> Plan<'t> {
    /// The second move. An empty table means that nothing can be known: then what is recorded counts as in effect.
    /// Links and directories-to-be are left alone; the survey looks at them.
    pub fn judge(&mut self, table: &mut Table<'t>) {
        // Of two over one directory the later lies on top.
        for at in (0..self.mimics.len()).rev() {
            let found = if table.is_empty() { (None, true) } else { self.judge_mimic(at as u32, table) };
            if let Some(mimic) = self.mimics.get_mut(at) {
                (mimic.mount, mimic.whole) = found;
            }
        }
        for item in self.items.iter_mut().rev() {
            if !super::is_mount(item.entry) {
                continue;
            }
            let recorded = item.record.is_some();
            (item.state, item.mount, item.hidden) = if table.is_empty() {
                let state = match (recorded, item.desired) {
                    (true, true) => State::InEffect,
                    (true, false) => State::Different,
                    (false, _) => State::Absent,
                };
                (state, None, false)
            } else {
                judge_mount(item.entry, recorded, table)
            };
        }
    }

    /// The tmpfs of a mimic, and whether every part that is on record shows what the covered directory holds.
    fn judge_mimic(&self, mimic: u32, table: &mut Table<'t>) -> (Option<MountRef>, bool) {
        let line = self.mimics.get(mimic as usize).and_then(|mimic| self.line(mimic.line));
        let Some(line) = line else { return (None, false) };
        let parts = || self.parts(mimic).filter_map(|part| self.line(part));
        // The stack at the directory, from the bottom; the mimic is the topmost tmpfs that carries parts.
        let Some(mut here) = table.visible(path::parent(line.dir), 0) else { return (None, false) };
        let mut found: Option<(MountRef, MountRef)> = None;
        while let Some(next) = table.child(here, line.dir, 0) {
            let is_tmpfs = table.get(next).is_some_and(|m| m.fstype == b"tmpfs" && m.root == b"/");
            let carries = parts().any(|part| table.child(next, part.dir, 0).is_some());
            if is_tmpfs && !table.is_marked(next, marks::MIMIC) && (carries || parts().next().is_none()) {
                found = Some((here, next));
            }
            here = next;
        }
        let Some((under, tmpfs)) = found else { return (None, false) };
        table.mark(tmpfs, marks::MIMIC);
        let mut whole = table.get(under).is_some_and(|m| !m.is_deleted());
        for part in parts() {
            let Some(mount) = table.child(tmpfs, part.dir, 0) else {
                whole = false;
                continue;
            };
            let seen = table.identity(mount, part.dir);
            let covered = table.walk(under, line.dir, part.dir, 0);
            let was = table.identity(covered, part.dir);
            whole &= was.is_none() || was == seen;
            table.mark(mount, marks::PART);
        }
        (Some(tmpfs), whole)
    }
}

/// Judges one mount entry, and marks its mount so that earlier entries are judged beneath it: what is there of it, the
/// mount, and whether a mimic hides that.
fn judge_mount<'t>(
    entry: &MountEntry<'t>,
    recorded: bool,
    table: &mut Table<'t>,
) -> (State, Option<MountRef>, bool) {
    let mut in_place = None;
    for (beneath, hidden) in [(marks::COVER, false), (marks::COVER | marks::MIMIC, true)] {
        let found = table.mounted_at(entry.dir, beneath);
        let found = found.filter(|mount| !table.is_marked(*mount, marks::PART | marks::MIMIC));
        let Some(mount) = found.filter(|_| found != in_place.map(|(mount, _)| mount)) else { continue };
        if shows(entry, mount, table) {
            return (State::InEffect, found, hidden);
        }
        in_place = in_place.or(Some((mount, hidden)));
    }
    match in_place {
        // What lies at a recorded target is what was mounted there, even if it shows something else by now.
        Some((mount, hidden)) if recorded => {
            table.mark(mount, marks::COVER);
            (State::Different, Some(mount), hidden)
        }
        _ => (State::Absent, None, false),
    }
}

/// Whether a mount at an entry's target is what the entry asks for; it is marked as the entry's own then.
fn shows<'t>(entry: &MountEntry<'t>, mount: MountRef, table: &mut Table<'t>) -> bool {
    let marked = table.is_marked(mount, marks::COVER);
    table.mark(mount, marks::COVER);
    let matches = matches(entry, mount, table);
    if !matches && !marked {
        table.unmark(mount, marks::COVER);
    }
    matches
}

fn matches<'t>(entry: &MountEntry<'t>, mount: MountRef, table: &Table<'t>) -> bool {
    let Some(line) = table.get(mount) else { return false };
    let flags = entry.options.flags();
    if flags.read_only && !line.read_only {
        return false;
    }
    if !flags.bind {
        return line.root == b"/" && line.fstype == entry.fstype;
    }
    if !has_source(entry) {
        return false;
    }
    let source = entry.name;
    // A bind inherits the flags of the mount that is visible at its source: without `ro` it is as writable as that.
    let Some(from) = table.visible(source, marks::COVER) else { return false };
    if line.is_bound_read_only
        && !flags.read_only
        && table.get(from).is_some_and(|from| !from.is_bound_read_only)
    {
        return false;
    }
    let wanted = table.identity(from, source);
    let seen = table.identity(mount, entry.dir);
    wanted.is_some()
        && wanted == seen
        && (!flags.recursive || shows_submounts(entry.dir, source, mount, table))
}

/// Whether every mount that is visible below the source of a recursive bind is found at its place below the
/// target. More may be there: entries of the profile, or what propagated.
fn shows_submounts(target: &[u8], source: &[u8], mount: MountRef, table: &Table<'_>) -> bool {
    if path::covers(source, target) || path::covers(target, source) {
        return true;
    }
    let mut there = heapless::Vec::<u8, { PATH.max }>::new();
    table.at_or_below(source).all(|below| {
        let Some(line) = table.get(below) else { return true };
        let rest = path::below(line.dir, source).unwrap_or_default();
        let visible = table.mounted_at(line.dir, marks::COVER) == Some(below);
        if rest.is_empty() || !visible || line.unbindable {
            return true;
        }
        there.clear();
        let joined = [target, b"/", rest].iter().all(|part| there.extend_from_slice(part).is_ok());
        let shown = table.walk(mount, target, &there, marks::COVER);
        !joined || table.identity(shown, &there) == table.identity(below, line.dir)
    })
}
