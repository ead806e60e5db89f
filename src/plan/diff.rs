// SPDX-License-Identifier: GPL-3.0-only
//! Keep, unmount, mount; and the order of each.
#![forbid(unsafe_code)]

use super::order::{item_of, key};
use super::paths::NOWHERE;
use super::{Action, Item, Plan, Removal, State};
use crate::text::sort;

/// A mark of what changes without being mounted in this run.
const CHANGED: u32 = 1;
/// The mark of what is mounted in round 0; higher rounds follow.
const MOUNTED: u32 = 2;

impl<'t> Plan<'t> {
    /// The last move: what becomes of every item and of every mimic on record.
    ///
    /// A mimic stays while a desired entry has its target in it, and is handed over to that one when the entry that
    /// it was made for is no longer desired (L39). It goes when it is broken, when what it lies on changes, and when
    /// a new mimic will cover a directory above it.
    pub fn decide(&mut self) {
        self.find_heirs();
        self.coming.reset(&self.paths);
        for item in self.items.iter() {
            if item.needs_mimic && item.state == State::Absent {
                let dir = self.paths.find(item.under.unwrap_or_default());
                self.coming.raise(&self.paths, dir, CHANGED);
            }
        }
        // A mimic that goes can make others go. Each round finds at least one more, or is the last; should that take
        // long, all go.
        for round in 0.. {
            self.gone.reset(&self.paths);
            self.changed.reset(&self.paths);
            for mimic in self.mimics.iter().filter(|m| m.goes) {
                self.gone.raise(&self.paths, mimic.dir, CHANGED);
            }
            self.decide_items();
            if !self.spread_to_mimics(round > 16) {
                break;
            }
        }
        self.list_removals();
        self.list_mounts();
    }

    /// Who needs a mimic, if anybody? The recorded owner, while it is desired; else the first desired entry that
    /// has its target inside.
    fn find_heirs(&mut self) {
        for at in 0..self.mimics.len() {
            let Some(&mimic) = self.mimics.get(at) else { break };
            let owner = self.line(mimic.line).and_then(|line| line.needed_by()).unwrap_or_default();
            let (from, to) = (mimic.dir.wrapping_add(1), self.paths.end(mimic.dir));
            let wanted = |key: &u64| {
                let item = self.items.get(item_of(*key))?;
                let counts = item.desired && !matches!(item.action, Action::Duplicate | Action::Unknown);
                counts.then_some(item)
            };
            // An owner with an id that is not its target is only found inside.
            let at_owner = self.at_dir(self.paths.find(owner)).iter().filter_map(wanted);
            let mut inside = self.in_dirs(from, to).iter().filter_map(wanted);
            let is_inside = |dir| from <= dir && dir < to;
            let owned = at_owner.clone().any(|item| is_inside(item.dir) || is_inside(item.source));
            let heir = inside.next().map(|item| item.entry.id());
            let goes = !mimic.whole || (!owned && heir.is_none());
            if let Some(mimic) = self.mimics.get_mut(at) {
                mimic.goes = goes;
                mimic.heir = heir.filter(|heir| !owned && *heir != owner);
            }
        }
    }

    fn decide_items(&mut self) {
        for at in 0..self.items.len() {
            let Some(item) = self.items.get(at) else { break };
            let before = self.dependencies(item);
            let moves = before > 0 || self.loses_ground(item);
            let action = match (item.action, item.desired, item.state) {
                (Action::Duplicate | Action::Unknown, ..) => continue,
                (_, false, _) => Action::Unmount,
                (_, true, State::InEffect) if !moves => Action::Keep,
                (_, true, _) => Action::Mount(before.saturating_sub(1)),
            };
            let mark = match action {
                Action::Mount(round) => round.saturating_add(MOUNTED),
                Action::Unmount if item.state != State::Absent => CHANGED,
                _ => 0,
            };
            self.changed.raise(&self.paths, item.dir, mark);
            if let Some(item) = self.items.get_mut(at) {
                item.action = action;
            }
        }
    }

    /// The highest mark of the earlier entries that this one depends on.
    fn dependencies(&self, item: &Item<'t>) -> u32 {
        let marks = &self.changed;
        let at = |id| marks.above(&self.paths, id).max(marks.at(id));
        let below = if item.recursive { marks.below(item.source) } else { 0 };
        at(item.dir).max(marks.below(item.dir)).max(at(item.source)).max(below)
    }

    /// Whether a mimic under its target or its source goes, or a new one will come to lie over it.
    fn loses_ground(&self, item: &Item<'t>) -> bool {
        let (gone, coming) = (&self.gone, &self.coming);
        let below_source = gone.below(item.source) | coming.below(item.source) | coming.at(item.source);
        let all = gone.above(&self.paths, item.dir)
            | coming.above(&self.paths, item.dir)
            | gone.above(&self.paths, item.source)
            | gone.at(item.source)
            | if item.recursive { below_source } else { 0 }
            | if item.hidden { 0 } else { gone.at(item.dir) };
        all > 0
    }

    /// Marks the mimics that have to go because of what was decided; true if any was added.
    fn spread_to_mimics(&mut self, all: bool) -> bool {
        let mut added = false;
        for at in 0..self.mimics.len() {
            let Some(mimic) = self.mimics.get(at).filter(|m| !m.goes) else { continue };
            let dir = mimic.dir;
            let above =
                [&self.changed, &self.gone, &self.coming].iter().any(|m| m.above(&self.paths, dir) > 0);
            // An entry that is to be taken away may lie beneath the mimic's tmpfs.
            let beneath = (self.changed.at(dir) | self.changed.below(dir)) > 0
                && self.in_dirs(dir, self.paths.end(dir)).iter().any(|key| {
                    self.items.get(item_of(*key)).is_some_and(|i| i.hidden && i.action != Action::Keep)
                });
            if let Some(mimic) = self.mimics.get_mut(at).filter(|_| all || above || beneath) {
                mimic.goes = true;
                added = true;
            }
        }
        added
    }

    /// Entries that can be reached, from the last mounted to the first; then mimics, the deepest first; then the
    /// entries that the mimics covered.
    fn list_removals(&mut self) {
        self.removals.clear();
        for hidden in [false, true] {
            for (item, at) in self.items.iter().rev().zip((0..self.items.len() as u32).rev()) {
                let there = match item.action {
                    Action::Unmount => true,
                    Action::Mount(_) => item.state != State::Absent,
                    _ => false,
                };
                if there && item.hidden == hidden {
                    let _ = self.removals.push(Removal::Item(at));
                }
            }
            if hidden {
                break;
            }
            self.stack.clear();
            for (mimic, at) in self.mimics.iter().zip(0u32..).filter(|(m, _)| m.goes) {
                let _ = self.stack.push(key(NOWHERE - mimic.dir, at));
            }
            sort::sort(self.stack, |a, b| a < b);
            for key in self.stack.iter() {
                let _ = self.removals.push(Removal::Mimic(*key as u32));
            }
        }
    }

    /// The list of changes: by class; those whose target exists first, then by the directory in which it would be
    /// created. And the same by rounds.
    fn list_mounts(&mut self) {
        self.mounts.clear();
        self.schedule.clear();
        self.stack.clear();
        for (item, at) in self.items.iter().zip(0u32..) {
            if matches!(item.action, Action::Mount(_)) {
                let _ = self.mounts.push(at);
            }
        }
        let items = &self.items;
        let place = |at: u32| items.get(at as usize).map(|item| (item.class, item.under, at));
        sort::sort(self.mounts, |a, b| place(*a) < place(*b));
        for (at, place) in self.mounts.iter().zip(0u32..) {
            if let Some(Action::Mount(round)) = items.get(*at as usize).map(|item| item.action) {
                let _ = self.stack.push(key(round, place));
            }
        }
        sort::sort(self.stack, |a, b| a < b);
        for key in self.stack.iter() {
            let at = self.mounts.get(*key as u32 as usize).copied();
            let _ = self.schedule.push(at.unwrap_or_default());
        }
    }
}
