// SPDX-License-Identifier: GPL-3.0-only
//! What of it is in effect already? The mount table answers, seen as of the moment at which each entry was, or
//! will be, mounted.
//!
//! The items are judged from the last to the first. What is found to be a later entry's own mount is marked, and
//! an earlier entry is judged as if that mount were not there; so a source that a later entry covers, or a target,
//! shows what it showed then. The mimics come before all: their parts are no entry's mount, however alike.
#![forbid(unsafe_code)]

use super::order::source;
use super::{Mimic, Plan, State};
use crate::limits::PATH;
use crate::mount::MountEntry;
use crate::mount::table::{MountRef, Table, marks};
use crate::text::path;

impl<'t> Plan<'t> {
    /// The second move. An empty table means that nothing can be known: then what is recorded counts as in effect.
    /// Links and directories-to-be are left alone; the survey looks at them.
    pub fn judge(&mut self, table: &mut Table<'t>) {
        for at in 0..self.mimics.len() {
            let Some(mimic) = self.mimics.get(at) else { break };
            let (mount, whole) = if table.is_empty() { (None, true) } else { self.judge_mimic(mimic, table) };
            if let Some(mimic) = self.mimics.get_mut(at) {
                mimic.mount = mount;
                mimic.whole = whole;
            }
        }
        for at in (0..self.items.len()).rev() {
            let Some((item, entry)) = self.item(at as u32) else { continue };
            let recorded = item.record.is_some();
            let verdict = if !super::is_mount(entry) {
                continue;
            } else if table.is_empty() {
                let state = match (item.record, item.desired) {
                    (Some(_), Some(_)) => State::InEffect,
                    (Some(_), None) => State::Different,
                    (None, _) => State::Absent,
                };
                Verdict { state, mount: None, hidden: false }
            } else {
                judge_mount(&{ *entry }, recorded, table)
            };
            if let Some(item) = self.items.get_mut(at) {
                item.state = verdict.state;
                item.mount = verdict.mount;
                item.hidden = verdict.hidden;
            }
        }
    }

    /// The tmpfs of a mimic, and whether every part that is on record shows what the covered directory holds.
    fn judge_mimic(&self, mimic: &Mimic, table: &mut Table<'t>) -> (Option<MountRef>, bool) {
        let Some(line) = self.record.get(usize::from(mimic.record)) else { return (None, false) };
        let parts = || self.parts(mimic).iter().filter_map(|part| self.record.get(usize::from(*part)));
        // The stack at the directory, from the bottom; the mimic is the topmost tmpfs that carries parts.
        let Some(mut here) = table.visible(path::parent(line.dir), 0) else { return (None, false) };
        let mut found: Option<(MountRef, MountRef)> = None;
        while let Some(next) = table.child(here, line.dir, 0) {
            let is_tmpfs = table.get(next).is_some_and(|m| m.fstype == b"tmpfs" && m.root == b"/");
            let carries = parts().any(|part| table.child(next, part.dir, 0).is_some());
            if is_tmpfs && (carries || parts().next().is_none()) {
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

struct Verdict {
    state: State,
    mount: Option<MountRef>,
    hidden: bool,
}

/// Judges one mount entry, and marks its mount so that earlier entries are judged beneath it.
fn judge_mount<'t>(entry: &MountEntry<'t>, recorded: bool, table: &mut Table<'t>) -> Verdict {
    let own = |at: Option<MountRef>, table: &Table<'t>| {
        at.filter(|mount| !table.is_marked(*mount, marks::PART | marks::MIMIC))
    };
    let visible = own(table.mounted_at(entry.dir, marks::COVER), table);
    if let Some(mount) = visible
        && shows(entry, mount, table)
    {
        return Verdict { state: State::InEffect, mount: visible, hidden: false };
    }
    let hidden = own(table.mounted_at(entry.dir, marks::COVER | marks::MIMIC), table);
    if let Some(mount) = hidden.filter(|_| hidden != visible)
        && shows(entry, mount, table)
    {
        return Verdict { state: State::InEffect, mount: hidden, hidden: true };
    }
    match visible.or(hidden) {
        // What lies at a recorded target is what was mounted there, even if it shows something else by now.
        Some(mount) if recorded => {
            table.mark(mount, marks::COVER);
            Verdict { state: State::Different, mount: Some(mount), hidden: visible.is_none() }
        }
        _ => Verdict { state: State::Absent, mount: None, hidden: false },
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
    let Some(source) = source(entry) else { return false };
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
    wanted.is_some() && wanted == seen && (!flags.recursive || shows_submounts(entry.dir, source, table))
}

/// Whether every mount that is visible below the source of a recursive bind is found at its place below the
/// target. More may be there: entries of the profile, or what propagated.
fn shows_submounts(target: &[u8], source: &[u8], table: &Table<'_>) -> bool {
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
        !joined || table.identity_at(&there, marks::COVER) == table.identity(below, line.dir)
    })
}
