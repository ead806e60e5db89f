// SPDX-License-Identifier: GPL-3.0-only
//! Keep, unmount, mount; and the order of each.
#![forbid(unsafe_code)]

use super::order::source;
use super::{Action, Item, Plan, Removal, State};
use crate::text::{path, sort};
use core::cmp::Ordering;

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
        self.removals.clear();
        self.mounts.clear();
        self.find_heirs();
        self.coming.reset(&self.paths);
        for at in 0..self.items.len() {
            let Some(item) = self.items.get(at) else { break };
            if let Some(missing) = item.missing.filter(|m| m.mimic && item.state == State::Absent)
                && let Some(dir) = self.paths.find(missing.under)
            {
                self.coming.raise(dir, CHANGED);
            }
        }
        // A mimic that goes can make others go. Each round finds at least one more, or is the last; should that take
        // long, all go.
        for round in 0.. {
            self.gone.reset(&self.paths);
            self.changed.reset(&self.paths);
            for mimic in self.mimics.iter().filter(|m| m.goes) {
                self.gone.raise(mimic.dir, CHANGED);
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
        self.list_by_dir();
        for at in 0..self.mimics.len() {
            let Some(mimic) = self.mimics.get(at) else { break };
            let Some(line) = self.record.get(usize::from(mimic.record)) else { break };
            let owner = line.needed_by().unwrap_or_default();
            let wanted = |item: &u32| {
                let (item, entry) = self.item(*item)?;
                (item.desired.is_some() && !matches!(item.action, Action::Duplicate(_) | Action::Unknown))
                    .then_some((item, entry))
            };
            let dir = |item: &u32| self.item(*item).map(|(_, entry)| entry.dir).unwrap_or_default();
            let start = self.by_dir.partition_point(|i| path::compare(dir(i), line.dir) == Ordering::Less);
            let (_, from) = self.by_dir.split_at_checked(start).unwrap_or_default();
            let mut inside = from
                .iter()
                .take_while(|i| path::covers(line.dir, dir(i)))
                .filter(|i| path::is_inside(dir(i), line.dir))
                .filter_map(wanted);
            let owner_dir = self.paths.find(owner);
            let owner_is_desired = owner_dir.is_some_and(|dir| {
                let key = |item: &u32| self.items.get(*item as usize).map(|i| i.dir);
                let start = self.by_dir.partition_point(|item| key(item) < Some(dir));
                let (_, from) = self.by_dir.split_at_checked(start).unwrap_or_default();
                from.iter().take_while(|i| key(i) == Some(dir)).filter_map(wanted).any(|(_, entry)| {
                    let source = source(entry).unwrap_or_default();
                    path::is_inside(entry.dir, line.dir) || path::is_inside(source, line.dir)
                })
            });
            // An entry with an id of its own is found by looking at those inside only.
            let (goes, heir) = if owner_is_desired {
                (false, None)
            } else {
                match inside.next() {
                    Some((_, entry)) if entry.id() == owner => (false, None),
                    Some((item, _)) => (false, item.desired),
                    None => (true, None),
                }
            };
            let broken = !mimic.whole;
            if let Some(mimic) = self.mimics.get_mut(at) {
                mimic.goes = goes || broken;
                mimic.heir = heir;
            }
        }
    }

    fn decide_items(&mut self) {
        for at in 0..self.items.len() {
            let Some((item, entry)) = self.item(at as u32) else { break };
            if matches!(item.action, Action::Duplicate(_) | Action::Unknown) {
                continue;
            }
            let (item, entry) = (*item, *entry);
            let before = self.dependencies(&item, entry.dir, source(&entry));
            let moves = before > 0 || self.loses_ground(&item, entry.dir, source(&entry));
            let action = match (item.desired, item.state) {
                (None, _) => Action::Unmount,
                (Some(_), State::InEffect) if !moves => Action::Keep,
                (Some(_), _) => Action::Mount(before.saturating_sub(1)),
            };
            match action {
                Action::Mount(round) => self.changed.raise(item.dir, round.saturating_add(MOUNTED)),
                Action::Unmount if item.state != State::Absent => self.changed.raise(item.dir, CHANGED),
                _ => {}
            }
            if let Some(item) = self.items.get_mut(at) {
                item.action = action;
            }
        }
    }

    /// The highest mark of the earlier entries that this one depends on.
    fn dependencies(&self, item: &Item<'t>, dir: &[u8], source: Option<&[u8]>) -> u32 {
        let mut highest = self.changed.above(&self.paths, dir).max(self.changed.at(item.dir));
        highest = highest.max(self.changed.below(&self.paths, item.dir));
        if let (Some(source), Some(at)) = (source, item.source) {
            highest = highest.max(self.changed.above(&self.paths, source)).max(self.changed.at(at));
            if self.is_recursive(item) {
                highest = highest.max(self.changed.below(&self.paths, at));
            }
        }
        highest
    }

    /// Whether a mimic under its target or its source goes, or a new one will come to lie over it.
    fn loses_ground(&self, item: &Item<'t>, dir: &[u8], source: Option<&[u8]>) -> bool {
        let mut loses = self.gone.above(&self.paths, dir) > 0
            || self.coming.above(&self.paths, dir) > 0
            || (self.gone.at(item.dir) > 0 && !item.hidden);
        if let (Some(source), Some(at)) = (source, item.source) {
            loses |= self.gone.above(&self.paths, source) > 0 || self.gone.at(at) > 0;
            if self.is_recursive(item) {
                loses |= self.gone.below(&self.paths, at) > 0;
                loses |= self.coming.below(&self.paths, at) > 0 || self.coming.at(at) > 0;
            }
        }
        loses
    }

    fn is_recursive(&self, item: &Item<'t>) -> bool {
        self.entry(item).is_some_and(|entry| entry.options.flags().recursive)
    }

    /// Marks the mimics that have to go because of what was decided; true if any was added.
    fn spread_to_mimics(&mut self, all: bool) -> bool {
        let mut added = false;
        for at in 0..self.mimics.len() {
            let Some(mimic) = self.mimics.get(at).filter(|m| !m.goes) else { continue };
            let Some(line) = self.record.get(usize::from(mimic.record)) else { continue };
            let goes = all
                || self.changed.above(&self.paths, line.dir) > 0
                || self.gone.above(&self.paths, line.dir) > 0
                || self.coming.above(&self.paths, line.dir) > 0
                || self.covers_what_moves(mimic.dir, line.dir);
            if let Some(mimic) = self.mimics.get_mut(at).filter(|_| goes) {
                mimic.goes = true;
                added = true;
            }
        }
        added
    }

    /// Whether an entry that is to be taken away lies beneath the mimic's tmpfs.
    fn covers_what_moves(&self, dir: super::PathId, at: &[u8]) -> bool {
        if self.changed.at(dir) == 0 && self.changed.below(&self.paths, dir) == 0 {
            return false;
        }
        let key = |item: &u32| self.item(*item).map(|(_, entry)| entry.dir).unwrap_or_default();
        let start = self.by_dir.partition_point(|i| path::compare(key(i), at) == Ordering::Less);
        let (_, from) = self.by_dir.split_at_checked(start).unwrap_or_default();
        from.iter().take_while(|i| path::covers(at, key(i))).any(|i| {
            self.item(*i).is_some_and(|(item, _)| item.hidden && !matches!(item.action, Action::Keep))
        })
    }

    /// Entries that can be reached, from the last mounted to the first; then mimics, the deepest first; then the
    /// entries that the mimics covered.
    fn list_removals(&mut self) {
        let there = |item: &Item<'t>| match item.action {
            Action::Unmount => true,
            Action::Mount(_) => item.state != State::Absent,
            _ => false,
        };
        for hidden in [false, true] {
            for at in (0..self.items.len() as u32).rev() {
                let Some(item) = self.items.get(at as usize) else { continue };
                if there(item) && item.hidden == hidden {
                    let _ = self.removals.push(Removal::Item(at));
                }
            }
            if !hidden {
                let start = self.removals.len();
                for (mimic, at) in self.mimics.iter().zip(0u32..) {
                    if mimic.goes {
                        let _ = self.removals.push(Removal::Mimic(at));
                    }
                }
                let mimics = &self.mimics;
                let dir = |r: &Removal| match r {
                    Removal::Mimic(at) => mimics.get(*at as usize).map(|m| (m.dir, m.record)),
                    Removal::Item(_) => None,
                };
                let (_, fresh) = self.removals.split_at_mut_checked(start).unwrap_or_default();
                sort::sort(fresh, |a, b| dir(a) > dir(b));
            }
        }
    }

    /// The list of changes: by class; those whose target exists first, then by the directory in which it would be
    /// created.
    fn list_mounts(&mut self) {
        for (item, at) in self.items.iter().zip(0u32..) {
            if matches!(item.action, Action::Mount(_)) {
                let _ = self.mounts.push(at);
            }
        }
        let items = &self.items;
        let key = |at: u32| {
            let item = items.get(at as usize)?;
            Some((item.class, item.missing.map(|m| m.under), at))
        };
        sort::sort(&mut self.mounts, |a, b| key(*a) < key(*b));
        self.schedule.clear();
        let _ = self.schedule.extend_from_slice(&self.mounts);
        let when = |at: u32| {
            let item = items.get(at as usize)?;
            let Action::Mount(round) = item.action else { return None };
            Some((round, key(at)?))
        };
        sort::sort(&mut self.schedule, |a, b| when(*a) < when(*b));
    }
}
