// SPDX-License-Identifier: GPL-3.0-only
//! Keep, unmount, mount; and the order of each.
#![forbid(unsafe_code)]

use super::order::{item_of, put};
use super::{Action, Item, Keys, Plan, Removal, State};
use crate::text::paths::{Mark, NOWHERE, PathId};
use crate::text::{has_byte, path, sort};

/// A mark of what changes without being mounted in this run.
const CHANGED: u32 = 1;
/// The mark of what lies inside a directory that is [`CHANGED`] by a new mimic over it.
const INSIDE: u32 = 2;
/// The mark of what is mounted in round 0; higher rounds follow.
const MOUNTED: u32 = 2;

impl<'t> Plan<'t> {
    /// The last move: what becomes of every item and of every mimic on record.
    ///
    /// A mimic stays while a desired entry has its target in it, and is handed over to that one when the entry that
    /// it was made for is no longer desired (L39). It goes when it is broken, when what it lies on changes, and when
    /// a new mimic will cover a directory above it.
    #[inline(never)]
    pub fn decide(&mut self) {
        self.find_heirs();
        self.paths.reset(Mark::Coming);
        self.paths.reset(Mark::Gone);
        self.add_unwanted(CHANGED);
        for at in (0..self.items.len()).rev() {
            // What lies in a later entry's mount has to wait until that is taken away, be it for a moment.
            if let Some(item) = self.items.get(at).filter(|item| item.state != State::Absent) {
                self.paths.raise(Mark::Gone, item.dir, CHANGED);
                continue;
            }
            self.find_lost_target(at);
            let Some(item) = self.items.get(at).filter(|item| item.is_wanted() && item.needs_mimic) else {
                continue;
            };
            let under = item.under.unwrap_or_default();
            // Everything below the directory; it need not be a path of the plan itself.
            let mut here = self.paths.first_from(under);
            while let Some(path) = self.paths.path(here).filter(|path| path::covers(under, path)) {
                let is_inside = path.len() > under.len();
                self.paths.raise(Mark::Coming, here, if is_inside { INSIDE } else { CHANGED });
                here = if is_inside { self.paths.end(here) } else { here + 1 };
            }
        }
        // A mimic that goes can make others go. Each round finds at least one more, or is the last; should that take
        // long, all go.
        for round in 0.. {
            self.paths.reset(Mark::Gone);
            self.paths.reset(Mark::Changed);
            for mimic in self.mimics.iter().filter(|m| m.goes.get()) {
                // The higher, the earlier it was made.
                self.paths.raise(Mark::Gone, mimic.dir, u32::MAX - u32::from(mimic.line));
            }
            let items = self.decide_items(round > 16);
            if !self.spread_to_mimics(round > 16) && !items {
                break;
            }
        }
        self.find_replaced();
        self.paths.reset(Mark::Coming);
        for item in self.items.iter().filter(|item| item.is_wanted()) {
            self.paths.raise(Mark::Coming, item.source, item.kind_mark());
        }
        // What goes with a mimic, or with an entry.
        self.add_unwanted(INSIDE);
        (0..self.items.len()).for_each(|at| self.find_lost_target(at));
        self.list_removals();
        self.list_mounts();
    }

    /// What is taken away for good is gone, too; with this mark.
    #[inline(never)]
    fn add_unwanted(&mut self, mark: u32) {
        for item in self.items.iter().filter(|item| !item.desired && item.state != State::Absent) {
            self.paths.raise(Mark::Gone, item.dir, mark);
        }
    }

    /// Who needs a mimic, if anybody? The recorded owner, while it is desired; else the first desired entry that
    /// has its target inside, but not if there are two over one directory: nobody could tell their lines apart then.
    fn find_heirs(&mut self) {
        for at in 0..self.mimics.len() {
            let Some(mimic) = self.mimics.get(at) else { break };
            let owner = self.line(mimic.line).and_then(|line| line.needed_by()).unwrap_or_default();
            let inside = mimic.dir.wrapping_add(1)..self.paths.end(mimic.dir);
            // An owner with an id that is not its target is only found inside.
            let owned = self.items_at(self.paths.find(owner)).any(|item| {
                item.is_wanted() && (inside.contains(&item.dir) || inside.contains(&item.source))
            });
            let heir = self.items_inside(mimic.dir).find(|item| item.is_wanted());
            let heir = heir.map(|item| item.entry.id());
            let nameable = heir.is_some_and(|heir| !has_byte(heir, b','));
            mimic.goes.set(!mimic.whole || (!owned && (mimic.twin || heir.is_none())));
            if let Some(mimic) = self.mimics.get_mut(at) {
                mimic.heir = heir.filter(|heir| nameable && !owned && *heir != owner);
            }
        }
    }

    /// Marks the entries that stay but cover the source of an earlier one that is mounted now, or all that stay; true if
    /// there are any.
    fn decide_items(&mut self, all: bool) -> bool {
        let mut marked = false;
        self.paths.reset(Mark::Early);
        for at in 0..self.items.len() {
            let Some(item) = self.items.get(at) else { break };
            let (target, source) = self.dependencies(item);
            let before = target.max(source);
            // What covers the source of an earlier entry waits until that is mounted.
            let covered = self.paths.from(Mark::Early, item.dir);
            // What is mounted below the source of a recursive bind does not belong to a plain one; a bind of a file
            // system is not one of its own; and what one class has mounted may lie beneath what covers that of another.
            let another =
                |other: &Item<'t>| !other.desired && (other.class, other.flags) != (item.class, item.flags);
            let moves = || before > 0 || self.loses_ground(item) || self.items_at(item.dir).any(another);
            let action = match (item.action, item.desired, item.state) {
                (Action::Duplicate | Action::Unknown, ..) => continue,
                (_, false, _) => Action::Unmount,
                (_, true, State::InEffect) if !item.moves && !moves() => Action::Keep,
                (_, true, _) => Action::Mount(before.max(covered).saturating_sub(1)),
            };
            let mark = match action {
                Action::Mount(round) => round.saturating_add(MOUNTED),
                Action::Unmount if item.state != State::Absent => CHANGED,
                _ => 0,
            };
            self.paths.raise(Mark::Changed, item.dir, mark);
            self.paths.raise(Mark::Early, item.source, mark);
            if let Some(item) = self.items.get_mut(at) {
                item.action = action;
                item.opens.set(target.saturating_sub(1));
                if action == Action::Keep && (all || covered >= MOUNTED) {
                    item.moves = true;
                    marked = true;
                }
            }
        }
        marked
    }

    /// The highest mark of the earlier entries that this one depends on: for its target, and for its source.
    #[inline(never)]
    fn dependencies(&self, item: &Item<'t>) -> (u32, u32) {
        let at = |id| self.paths.mark_above(Mark::Changed, id).max(self.paths.at(Mark::Changed, id));
        let below = if item.is_recursive() { self.paths.below(Mark::Changed, item.source) } else { 0 };
        (at(item.dir).max(self.paths.below(Mark::Changed, item.dir)), at(item.source).max(below))
    }

    /// Whether a mimic under its target or its source goes, or a new one will come to lie over it.
    #[inline(never)]
    fn loses_ground(&self, item: &Item<'t>) -> bool {
        let below_source =
            self.paths.below(Mark::Gone, item.source) | self.paths.below(Mark::Coming, item.source);
        let all = self.changes_above(item.dir)
            | self.paths.mark_above(Mark::Gone, item.source)
            | self.paths.at(Mark::Gone, item.source)
            | self.paths.at(Mark::Coming, item.source)
            | if item.is_recursive() { below_source } else { 0 }
            | if item.hidden { 0 } else { self.paths.at(Mark::Gone, item.dir) };
        all > 0
    }

    /// More than 0 if a mimic above a path goes, or a new one will come to lie over it.
    #[inline(never)]
    fn changes_above(&self, dir: PathId) -> u32 {
        self.paths.mark_above(Mark::Gone, dir)
            | self.paths.mark_above(Mark::Coming, dir)
            | (self.paths.at(Mark::Coming, dir) / INSIDE)
    }

    /// The target of an entry is missing again when what it lies in goes: whether it has to be made anew is seen in its
    /// turn. What is there only in a mimic that goes as well, goes with that.
    #[inline(never)]
    fn find_lost_target(&mut self, at: usize) {
        let Some(item) = self.items.get_mut(at) else { return };
        let (mut lost, mut is_part) = (NOWHERE, false);
        let mut above = self.paths.above(item.dir);
        while above != NOWHERE {
            if self.paths.at(Mark::Gone, above) > 0 {
                if !is_part {
                    lost = above;
                }
                is_part = false;
            }
            is_part |= lost != NOWHERE && self.paths.at(Mark::Part, above) > 0;
            above = self.paths.above(above);
        }
        if !item.needs_mimic {
            item.under = self.paths.path(lost).or(item.under);
            item.needs_mimic = self.paths.at(Mark::Gone, lost) == CHANGED;
        }
    }

    /// What has another bind at its target when the plan is performed can stay until then: unless a mimic comes or goes
    /// above, or an earlier entry has its source in what is there, or its target in what is there or beneath.
    fn find_replaced(&mut self) {
        self.paths.reset(Mark::Early);
        for item in self.items.iter().filter(|item| matches!(item.action, Action::Mount(_))) {
            // The earlier the entry, the higher the mark at its source.
            self.paths.raise(Mark::Early, item.source, !item.rank);
        }
        // From the outside in.
        for key in self.by_dir.iter() {
            let Some(item) = self.items.get(item_of(*key)) else { break };
            let next = |other: &&Item<'t>| {
                matches!(other.action, Action::Mount(_)) && other.kind == item.kind && other.flags.bind()
            };
            // Of what no record names and no entry asks for nobody knows the kind.
            let known = item.record.is_some() || item.state == State::InEffect;
            let replaced = known
                && item.mount.is_some()
                && !item.hidden
                && item.action != Action::Keep
                && self.paths.from(Mark::Gone, item.dir) <= u32::MAX - item.record.map_or(0, u32::from)
                && self.changes_above(item.dir) == 0
                && self.items_at(item.dir).find(next).is_some_and(|next| {
                    let is_in_the_way = |other: &Item<'t>| {
                        let is_at_target = other.dir == item.dir;
                        let is_early = !is_at_target && other.class < next.class.max(item.class);
                        // What it covers could not be reached.
                        let is_covered = other.mount.is_some()
                            && other.mount != item.mount
                            && (is_at_target || other.record < item.record);
                        other.action != Action::Keep && (is_early || is_covered)
                    };
                    self.paths.from(Mark::Early, item.dir) <= !next.rank
                        && !self.items_from(item.dir).any(is_in_the_way)
                });
            item.replaced.set(replaced);
            // With what goes above it would go, and what is mounted anew there would cover it; but not where one takes the
            // place of the other.
            if matches!(item.action, Action::Unmount | Action::Mount(_))
                && !self.items_at(item.dir).any(|other| other.replaced.get())
            {
                self.paths.raise(Mark::Coming, item.dir, CHANGED);
            }
        }
    }

    /// Marks the mimics that have to go because of what was decided; true if any was added.
    fn spread_to_mimics(&mut self, all: bool) -> bool {
        let mut added = false;
        for at in 0..self.mimics.len() {
            let Some(mimic) = self.mimics.get(at).filter(|m| !m.goes.get()) else { continue };
            let dir = mimic.dir;
            let above = self.paths.mark_above(Mark::Changed, dir) | self.changes_above(dir);
            // An entry that is to be taken away may lie beneath the mimic's tmpfs; so would one that is mounted on its
            // directory now, if the mimic stayed.
            let beneath = |item: &Item<'t>| match item.action {
                Action::Mount(_) if item.dir == dir && item.is_mount() => true,
                Action::Mount(_) | Action::Unmount => item.hidden,
                _ => false,
            };
            // One that was made earlier, and goes, lies beneath.
            let goes = all
                || above > 0
                || self.paths.below(Mark::Gone, dir) > u32::MAX - u32::from(mimic.line)
                || (self.paths.from(Mark::Changed, dir) > 0 && self.items_from(dir).any(beneath));
            if goes {
                mimic.goes.set(true);
                added = true;
            }
        }
        added
    }

    /// Entries that can be reached, from the last mounted to the first; then mimics and the entries that mimics cover, from the
    /// last line of the table to the first: they stand there as they were mounted. Of what is not there: mimics, the deepest
    /// first, then entries.
    fn list_removals(&mut self) {
        self.removals.clear();
        self.stack.clear();
        for item in self.items.iter() {
            let there = match item.action {
                Action::Unmount => true,
                // A link that is on no record is not ours to take away.
                Action::Mount(_) => item.state != State::Absent && (item.record.is_some() || item.is_mount()),
                _ => false,
            };
            if there {
                let place = (NOWHERE - 1).wrapping_sub(item.mount.0);
                put(&mut self.stack, if item.hidden { place } else { 0 }, NOWHERE - item.rank);
            }
        }
        for (mimic, at) in self.mimics.iter().zip(0u32..).filter(|(m, _)| m.goes.get()) {
            // Neither the first nor the last.
            let place = if mimic.mount.is_none() { mimic.dir } else { mimic.mount.0 };
            put(&mut self.stack, NOWHERE - 1 - place, at);
        }
        sort::sort_keys(&mut self.stack);
        for key in self.stack.iter() {
            // There are far less of either.
            let number = *key as u32;
            let item = NOWHERE - number;
            let _ =
                self.removals.push(if item < number { Removal::Item(item) } else { Removal::Mimic(number) });
        }
    }

    /// The list of changes: by class; those whose target exists first, then by the directory in which it would be
    /// created. And the same by rounds.
    fn list_mounts(&mut self) {
        let items = &*self.items;
        arrange(items, &mut self.mounts, |item| (item.class as u32, b""));
        // Mimics of outer directories come before those of inner ones, whatever the class; also of those that an entry
        // which goes has covered until now.
        arrange(items, &mut self.readying, |item| {
            (item.opens.get(), item.under.map_or(b"", |_| path::parent(item.entry.dir)))
        });
        arrange(items, &mut self.schedule, |item| (item.round() << 2 | item.class as u32, b""));
    }
}

/// Lists the items that are mounted by a number, then by the directory in which the target would be created, then by a path.
#[inline(never)]
fn arrange<'t>(items: &[Item<'t>], into: &mut Keys<'_>, by: fn(&Item<'t>) -> (u32, &'t [u8])) {
    into.clear();
    for item in items.iter().filter(|item| matches!(item.action, Action::Mount(_))) {
        let _ = into.push(item.rank.into());
    }
    sort::sort(into, &|a, b| match (items.get(a as usize), items.get(b as usize)) {
        (Some(a), Some(b)) => {
            let ((a_number, a_path), (b_number, b_path)) = (by(a), by(b));
            (a_number, a.under, a_path) < (b_number, b.under, b_path)
        }
        _ => false,
    });
}
