// SPDX-License-Identifier: GPL-3.0-only
//! From two profiles to items in the order of mounting.
#![forbid(unsafe_code)]

use core::cell::Cell;

use super::{Action, Class, Item, Keys, Mimic, Outcome, Plan, State};
use crate::mount::table::MountRef;
use crate::mount::{Kind, MountEntry, Origin};
use crate::text::arena::Arena;
use crate::text::paths::{Mark, NOWHERE, PathId};
use crate::text::{path, sort};

impl<'t> Plan<'t> {
    /// The first move: the two profiles become [`Plan::items`] and [`Plan::mimics`]. Targets are clean already. Where
    /// two desired entries have one target, the first in the order of mounting wins.
    pub fn begin(
        &mut self,
        record: &'t [MountEntry<'t>],
        desired: &'t [MountEntry<'t>],
        arena: &mut Arena<'t>,
    ) {
        let count = record.len() + desired.len();
        (self.record, self.count) = (record, count);
        self.items.claim(count, arena);
        self.mimics.claim(record.len(), arena);
        self.removals.claim(count, arena);
        let Plan { mounts, schedule, readying, parts, by_dir, stack, .. } = self;
        for keys in [mounts, schedule, readying, parts, by_dir, stack] {
            keys.claim(2 * count, arena);
        }
        self.paths.claim(2 * count, arena);
        // First all targets, then all sources: much of each is in order.
        let entry = |at: usize| record.get(at).or_else(|| desired.get(at.wrapping_sub(record.len())));
        for number in 0..2 * count {
            if number < count || entry(number - count).is_some_and(has_source) {
                self.paths.add(number);
            }
        }
        self.paths.build(&|number| {
            let source = (number as usize).checked_sub(count);
            let entry = entry(source.unwrap_or(number as usize));
            entry.map_or(b"", |entry| if source.is_some() { entry.name } else { entry.dir })
        });
        let root = self.read_record();
        for at in 0..desired.len() {
            let Some(entry) = desired.get(at) else { break };
            self.push(entry, record.len() + at, None);
        }
        self.find_duplicates(root);
        self.take_record();
        self.sort_items(true);
        self.follow_sources();
        self.sort_items(false);
        self.paths.reset(Mark::Coming);
        for item in self.items.iter().filter(|item| item.is_recursive()) {
            self.paths.raise(Mark::Coming, item.source, 1);
            self.paths.raise(Mark::Coming, item.dir, 1);
        }
    }

    /// Finds the mimics, and the root. The parts of a mimic stand behind its tmpfs; in a record that an older version has
    /// turned round, before it.
    #[inline(never)]
    fn read_record(&mut self) -> PathId {
        self.paths.reset(Mark::Gone);
        // The last line of a target that is no layout's; not in a record that an older version has turned round.
        self.paths.reset(Mark::Early);
        self.stack.clear();
        let mut root = NOWHERE;
        let mut is_in_order = false;
        for (entry, at) in self.record.iter().zip(0u16..) {
            let dir = self.paths.id(at.into());
            if entry.origin() == Origin::Rootfs {
                is_in_order |= at == 0;
                if entry.dir == b"/" {
                    root = dir;
                }
            }
            if !entry.is_synthetic() {
                if is_in_order && Class::of(entry) == Class::Interface {
                    self.paths.raise(Mark::Early, dir, at.into());
                }
                continue;
            }
            if entry.fstype == b"tmpfs" {
                let mut twin = false;
                if let Some(last) =
                    self.mimics.get_mut(self.paths.at(Mark::Gone, dir).wrapping_sub(1) as usize)
                {
                    // A line that is there twice counts once; but what was intended may lie on top of another.
                    let is_same =
                        self.record.get(usize::from(last.line)).is_some_and(|last| last.same(entry));
                    if is_same && usize::from(at) < self.recorded {
                        continue;
                    }
                    (last.twin, twin) = (true, true);
                }
                let mount = MountRef::NONE;
                let mimic =
                    Mimic { line: at, dir, mount, whole: true, goes: Cell::new(false), twin, heir: None };
                let _ = self.mimics.push(mimic);
                self.paths.raise(Mark::Gone, dir, self.mimics.len() as u32);
                continue;
            }
            self.paths.raise(Mark::Part, dir, 1);
            let over = self.over(entry);
            match self.paths.at(Mark::Gone, over) {
                0 => put(&mut self.stack, over, at.into()),
                number => put(&mut self.parts, number - 1, at.into()),
            }
        }
        for part in self.stack.iter() {
            let number = self.paths.at(Mark::Gone, (*part >> 32) as PathId);
            if number > 0 {
                put(&mut self.parts, number - 1, *part as u32);
            }
        }
        sort::sort_keys(&mut self.parts);
        root
    }

    /// The directory that holds the target of a line of the record, where that is a target, too.
    #[inline(never)]
    fn over(&self, line: &MountEntry<'t>) -> PathId {
        self.paths.find(path::parent(line.dir))
    }

    /// One more item, for the entry of this number among all of both profiles.
    fn push(&mut self, entry: &'t MountEntry<'t>, number: usize, record: Option<u16>) {
        let (dir, source) = (self.paths.id(number), self.paths.id(number + self.count));
        let desired = record.is_none();
        let class = match record {
            // What was mounted on a target later lies on top, whatever the classes.
            Some(line) if self.paths.at(Mark::Early, dir) > u32::from(line) => Class::Interface,
            _ => Class::of(entry),
        };
        // As many as there are entries, which fitted.
        let _ = self.items.push(Item {
            entry,
            record,
            desired,
            class,
            kind: entry.kind(),
            state: State::Absent,
            mount: MountRef::NONE,
            hidden: false,
            under: None,
            flags: entry.about.flags,
            is_odd: false,
            needs_mimic: false,
            action: if desired { Action::Keep } else { Action::Unmount },
            opens: Cell::new(0),
            replaced: Cell::new(false),
            goes: Cell::new(None),
            outcome: Cell::new(Outcome::Nothing),
            rank: self.items.len() as u32,
            dir,
            source,
            moves: false,
            visited: false,
            placed: false,
        });
    }

    /// Who comes first at each target?
    fn find_duplicates(&mut self, root: PathId) {
        self.sort_items(false);
        let mut taken = NOWHERE;
        for place in 0..self.by_dir.len() {
            let at = self.by_dir.get(place).copied().map(item_of);
            let Some(item) = at.and_then(|at| self.items.get_mut(at)) else { break };
            match item.kind {
                Kind::Unknown => item.action = Action::Unknown,
                // Making sure of a directory is no mount: it goes with anything.
                Kind::EnsureDir => {}
                _ if item.dir == taken || item.dir == root => item.action = Action::Duplicate,
                _ => taken = item.dir,
            }
        }
    }

    /// Sorts the items: by target, then by class; or by class first, then a directory before what lies in it, of equals the
    /// recorded one first, then directories that are only to be there. Then as they stand.
    #[inline(never)]
    fn sort_items(&mut self, by_class: bool) {
        self.by_dir.clear();
        for item in self.items.iter() {
            let class = item.class as u32;
            let rank = match item.kind {
                _ if !by_class => class,
                _ if !item.desired => 0,
                Kind::EnsureDir => 1,
                _ => 2,
            };
            put(&mut self.by_dir, if by_class { class << 28 } else { 0 } | item.dir, rank << 20 | item.rank);
        }
        sort::sort_keys(&mut self.by_dir);
        self.paths.index(&self.by_dir);
    }

    /// Each record entry goes with the desired entry that equals it, or becomes an item of its own.
    fn take_record(&mut self) {
        for (entry, at) in self.record.iter().zip(0u16..) {
            let of_mimic = entry.is_synthetic()
                && (entry.fstype == b"tmpfs" || self.paths.at(Mark::Gone, self.over(entry)) > 0);
            if of_mimic || entry.origin() == Origin::Rootfs || entry.kind() == Kind::Unknown {
                continue;
            }
            let dir = self.paths.id(at.into());
            // Only the first with a target is mounted, and directories that are to be there; of those there are few.
            let twin = self
                .items_at(dir)
                .take(TWINS)
                .find(|item| item.record.is_none() && item.action == Action::Keep && item.entry.same(entry));
            let twin = twin.map_or(NOWHERE, |twin| twin.rank);
            match self.items.get_mut(twin as usize) {
                Some(item) => item.record = Some(at),
                None => self.push(entry, at.into(), Some(at)),
            }
        }
    }

    /// Inside a class, puts an entry behind those that make its source or lie on the way to its target; otherwise
    /// the order stays. Of entries that use each other in a circle the first stays first.
    fn follow_sources(&mut self) {
        self.stack.clear();
        let mut rank = 0;
        for at in 0..self.by_dir.len() {
            self.visit(at);
            // On the stack: the place of an item in that order, and the path whose entry it has to follow next: first
            // what has the same target and stands before it, then the paths above that, then its source and the paths
            // above that.
            while let Some(top) = self.stack.last_mut() {
                let (here, next, at_source) = (item_of(*top), (*top >> 32) as PathId, *top & AT_SOURCE != 0);
                let Some(sorted) = self.by_dir.get(here).copied() else { break };
                let Some(item) = self.items.get_mut(item_of(sorted)) else { break };
                if next == NOWHERE {
                    if at_source {
                        self.stack.pop();
                        item.placed = true;
                        item.rank = rank;
                        rank += 1;
                    } else {
                        *top = key(item.source, here as u32) | AT_SOURCE;
                    }
                    continue;
                }
                *top = key(self.paths.above(next), *top as u32);
                let is_own = next == item.dir && !at_source;
                if next == item.dir && at_source {
                    continue;
                }
                // The last of its class at that target.
                let target = (item.class as u64) << 60 | key(next, 0);
                let end = if is_own { here } else { sort::bound(&self.by_dir, target + key(1, 0)) };
                let before = end.wrapping_sub(1);
                let Some(sorted) = self.by_dir.get(before).filter(|sorted| **sorted >> 32 == target >> 32)
                else {
                    continue;
                };
                if self.items.get(item_of(*sorted)).is_some_and(|item| item.placed) {
                    // So are those that lie above it.
                    *top = key(NOWHERE, *top as u32);
                } else {
                    self.visit(before);
                }
            }
        }
        for at in 0..self.items.len() {
            // Each swap puts one item to its place; those before are at theirs.
            while let Some([here, .., there]) =
                self.items.get(at).map(|item| item.rank as usize).and_then(|to| self.items.get_mut(at..=to))
            {
                core::mem::swap(here, there);
            }
        }
    }

    fn visit(&mut self, at: usize) {
        let item = self.by_dir.get(at).and_then(|sorted| self.items.get_mut(item_of(*sorted)));
        if let Some(item) = item.filter(|item| !item.visited) {
            item.visited = true;
            // Each item is put there once.
            put(&mut self.stack, item.dir, at as u32);
        }
    }

    /// The items with this target.
    pub(super) fn items_at(&self, dir: PathId) -> Items<'_, 't> {
        self.items_in(dir, dir.wrapping_add(1))
    }

    /// The items with this target, or with one below.
    #[inline(never)]
    pub(super) fn items_from(&self, dir: PathId) -> Items<'_, 't> {
        self.items_in(dir, self.paths.end(dir))
    }

    /// The items with a target strictly below.
    pub(super) fn items_inside(&self, dir: PathId) -> Items<'_, 't> {
        self.items_in(dir.wrapping_add(1), self.paths.end(dir))
    }

    /// The items with a target from one on to before another.
    #[inline(never)]
    fn items_in(&self, from: PathId, to: PathId) -> Items<'_, 't> {
        Items { items: &self.items, keys: self.paths.part(&self.by_dir, from, to).iter() }
    }
}

/// Items with the same target, or with targets next to each other.
pub struct Items<'a, 't> {
    items: &'a [Item<'t>],
    keys: core::slice::Iter<'a, u64>,
}

impl<'a, 't> Iterator for Items<'a, 't> {
    type Item = &'a Item<'t>;

    #[inline(never)]
    fn next(&mut self) -> Option<&'a Item<'t>> {
        self.items.get(item_of(*self.keys.next()?))
    }
}

/// Entries with one target that are compared with a line of the record; so many lines for one target stay harmless.
const TWINS: usize = 64;

/// On the stack of [`Plan::follow_sources`]: the paths above the target are done.
const AT_SOURCE: u64 = 1 << 31;

/// A path and a number below 2³², to be sorted by.
pub(super) fn key(dir: PathId, number: u32) -> u64 {
    u64::from(dir) << 32 | u64::from(number)
}

/// One more key. They have room for all.
#[inline(never)]
pub(super) fn put(keys: &mut Keys<'_>, dir: PathId, number: u32) {
    let _ = keys.push(key(dir, number));
}

/// The item that a key names.
pub(super) fn item_of(key: u64) -> usize {
    (key & 0xf_ffff) as usize
}

/// Whether the source of an entry is a path that a plan can follow.
fn has_source(entry: &MountEntry<'_>) -> bool {
    path::is_absolute(entry.name)
        && entry.is_bind()
        && matches!(entry.kind(), Kind::Directory | Kind::File)
        && path::is_clean(entry.name)
}
