// SPDX-License-Identifier: GPL-3.0-only
//! From two profiles to items in the order of mounting.
#![forbid(unsafe_code)]

use super::{Action, Class, Item, Mimic, Plan, State};
use crate::mount::{Kind, MountEntry, Origin};
use crate::text::{path, sort};
use core::cmp::Ordering;

/// The source of an entry as a path that a plan can follow: only a bind has one.
pub(super) fn source<'t>(entry: &MountEntry<'t>) -> Option<&'t [u8]> {
    let is_path = path::is_absolute(entry.name) && path::is_clean(entry.name);
    (super::is_mount(entry) && entry.is_bind() && is_path).then_some(entry.name)
}

fn is_part(entry: &MountEntry<'_>) -> bool {
    entry.is_synthetic() && entry.fstype != b"tmpfs"
}

impl<'t> Plan<'t> {
    /// The first move: [`Plan::record`] and [`Plan::desired`] become [`Plan::items`] and [`Plan::mimics`]. Targets
    /// are clean already. Where two desired entries have one target, the first in the order of mounting wins.
    pub fn begin(&mut self) {
        self.items.clear();
        self.mimics.clear();
        self.parts.clear();
        self.removals.clear();
        self.mounts.clear();
        self.schedule.clear();
        self.paths.clear();
        for entry in self.record.iter().chain(&self.desired) {
            self.paths.add(entry.dir);
            if let Some(source) = source(entry) {
                self.paths.add(source);
            }
        }
        self.paths.build();
        self.find_mimics();
        self.take_desired();
        self.take_record();
        self.sort_items();
        self.follow_sources();
    }

    /// Whether the record keeps this entry whatever is desired.
    fn stays(entry: &MountEntry<'_>) -> bool {
        entry.origin() == Origin::Rootfs
    }

    fn find_mimics(&mut self) {
        for (entry, at) in self.record.iter().zip(0u16..) {
            if is_part(entry) {
                let _ = self.parts.push(at);
            }
        }
        let record = &self.record;
        let place = |at: u16| record.get(usize::from(at)).map(|e| path::parent(e.dir)).unwrap_or_default();
        sort::sort(&mut self.parts, |a, b| {
            path::compare(place(*a), place(*b)).then(a.cmp(b)) == Ordering::Less
        });
        for (entry, at) in self.record.iter().zip(0u16..) {
            let Some(dir) = self.paths.find(entry.dir) else { continue };
            if !entry.is_synthetic() || is_part(entry) {
                continue;
            }
            let less = |wanted| move |part: &u16| path::compare(place(*part), entry.dir) < wanted;
            let start = self.parts.partition_point(less(Ordering::Equal)) as u32;
            let end = self.parts.partition_point(less(Ordering::Greater)) as u32;
            let _ = self.mimics.push(Mimic {
                record: at,
                mount: None,
                whole: true,
                goes: false,
                heir: None,
                class: Class::Interface,
                dir,
                parts: (start, end),
            });
        }
    }

    fn push_item(&mut self, entry: &MountEntry<'t>, record: Option<u16>, desired: Option<u16>) {
        let Some(dir) = self.paths.find(entry.dir) else { return };
        let source = source(entry).and_then(|source| self.paths.find(source));
        // As many as there are entries, which fitted.
        let _ = self.items.push(Item {
            record,
            desired,
            class: Class::of(entry),
            state: State::Absent,
            mount: None,
            hidden: false,
            missing: None,
            action: Action::Keep,
            dir,
            source,
            visited: false,
        });
    }

    fn take_desired(&mut self) {
        for at in 0..self.desired.len() {
            let (Some(&entry), Ok(number)) = (self.desired.get(at), u16::try_from(at)) else { break };
            self.push_item(&entry, None, Some(number));
        }
        // Who comes first at each target?
        self.list_by_dir();
        let mut first: Option<u32> = None;
        for place in 0..self.by_dir.len() {
            let Some(&at) = self.by_dir.get(place) else { break };
            let Some((item, entry)) = self.item(at) else { continue };
            let (dir, kind) = (item.dir, entry.kind());
            let is_root = entry.dir == b"/" && self.record.iter().any(|e| Self::stays(e) && e.dir == b"/");
            let winner = first.filter(|first| self.items.get(*first as usize).is_some_and(|i| i.dir == dir));
            let action = match (kind, winner) {
                (Kind::Unknown, _) => Action::Unknown,
                _ if is_root => Action::Duplicate(at),
                // Making sure of a directory is no mount: it goes with anything.
                (Kind::EnsureDir, _) => Action::Keep,
                (_, Some(winner)) => Action::Duplicate(winner),
                (_, None) => {
                    first = Some(at);
                    Action::Keep
                }
            };
            if let Some(item) = self.items.get_mut(at as usize) {
                item.action = action;
            }
        }
    }

    pub(super) fn list_by_dir(&mut self) {
        self.by_dir.clear();
        for at in 0..self.items.len() as u32 {
            let _ = self.by_dir.push(at);
        }
        let items = &self.items;
        let key = |at: u32| items.get(at as usize).map(|i| (i.dir, i.class, at));
        sort::sort(&mut self.by_dir, |a, b| key(*a) < key(*b));
    }

    /// Each record entry goes with the desired entry that equals it, or becomes an item of its own.
    fn take_record(&mut self) {
        let desired = self.items.len();
        self.gone.reset(&self.paths);
        for mimic in &self.mimics {
            self.gone.raise(mimic.dir, 1);
        }
        for at in 0..self.record.len() {
            let (Some(&entry), Ok(number)) = (self.record.get(at), u16::try_from(at)) else { break };
            let belongs_to_mimic = entry.is_synthetic()
                && (entry.fstype == b"tmpfs" || {
                    self.paths.find(path::parent(entry.dir)).is_some_and(|dir| self.gone.at(dir) > 0)
                });
            if Self::stays(&entry) || belongs_to_mimic || matches!(entry.kind(), Kind::Unknown) {
                continue;
            }
            let Some(dir) = self.paths.find(entry.dir) else { continue };
            let key = |item: &u32| self.items.get(*item as usize).map(|i| i.dir);
            let start = self.by_dir.partition_point(|item| key(item) < Some(dir));
            let (_, from) = self.by_dir.split_at_checked(start).unwrap_or_default();
            let twin = from.iter().take_while(|item| key(item) == Some(dir)).find(|item| {
                self.item(**item).is_some_and(|(i, e)| {
                    i.record.is_none() && matches!(i.action, Action::Keep) && e.same(&entry)
                })
            });
            match twin.copied().and_then(|twin| self.items.get_mut(twin as usize)) {
                Some(item) => item.record = Some(number),
                None => self.push_item(&entry, Some(number), None),
            }
        }
        for item in self.items.iter_mut().skip(desired) {
            item.action = Action::Unmount;
        }
    }

    /// By class, then a directory before what lies in it; of equals the recorded one first, then directories that
    /// are only to be there, then the order of the file.
    fn sort_items(&mut self) {
        let desired = &self.desired;
        let rank = |i: &Item<'t>| match i.desired {
            None => (0, i.record),
            Some(at) => match desired.get(usize::from(at)).map(|e| e.kind()) {
                Some(Kind::EnsureDir) => (1, i.desired),
                _ => (2, i.desired),
            },
        };
        sort::sort(&mut self.items, |a, b| (a.class, a.dir, rank(a)) < (b.class, b.dir, rank(b)));
    }

    /// Inside a class, puts an entry behind those that make its source or lie on the way to its target; otherwise
    /// the order stays. Of entries that use each other in a circle the first stays first.
    fn follow_sources(&mut self) {
        self.scratch.clear();
        self.stack.clear();
        for at in 0..self.items.len() as u32 {
            self.visit(at);
            while let Some((here, step)) = self.stack.last_mut() {
                let (here, now) = (*here, *step);
                *step += 1;
                match self.prerequisite(here, now) {
                    Some(Some(before)) => self.visit(before),
                    Some(None) => {}
                    None => {
                        self.stack.pop();
                        if let Some(item) = self.items.get(here as usize) {
                            let _ = self.scratch.push(*item);
                        }
                    }
                }
            }
        }
        core::mem::swap(&mut self.items, &mut self.scratch);
        // Duplicates name their winner by its place, which may have changed.
        self.name_winners();
        self.class_mimics();
        self.coming.reset(&self.paths);
        for at in 0..self.items.len() {
            let Some((item, entry)) = self.item(at as u32) else { break };
            if let Some(source) = item.source.filter(|_| entry.options.flags().recursive) {
                let dir = item.dir;
                self.coming.raise(source, 1);
                self.coming.raise(dir, 1);
            }
        }
    }

    /// A mimic belongs to the class of the entry that it was made for.
    fn class_mimics(&mut self) {
        for at in 0..self.mimics.len() {
            let owner = self.mimics.get(at).and_then(|m| self.record.get(usize::from(m.record)));
            let owner = owner.and_then(|line| self.paths.find(line.needed_by()?));
            let class = owner.and_then(|dir| self.first_at(dir)).map(|item| item.class);
            if let (Some(class), Some(mimic)) = (class, self.mimics.get_mut(at)) {
                mimic.class = class;
            }
        }
    }

    /// The first item of all with this target; [`Plan::list_by_dir`] is up to date.
    fn first_at(&self, dir: super::PathId) -> Option<&Item<'t>> {
        let key = |item: &u32| self.items.get(*item as usize).map(|i| i.dir);
        let start = self.by_dir.partition_point(|item| key(item) < Some(dir));
        let item = self.items.get(*self.by_dir.get(start)? as usize)?;
        (item.dir == dir).then_some(item)
    }

    fn visit(&mut self, at: u32) {
        if let Some(item) = self.items.get_mut(at as usize).filter(|item| !item.visited) {
            item.visited = true;
            // Each item is put there once.
            let _ = self.stack.push((at, 0));
        }
    }

    /// The `step`-th item that `at` may have to follow; `None` behind the last.
    fn prerequisite(&self, at: u32, step: u32) -> Option<Option<u32>> {
        let (item, entry) = self.item(at)?;
        let (target, source) = (entry.dir, source(entry).unwrap_or_default());
        let mut on_the_way =
            path::prefixes(target).filter(|prefix| prefix.len() < target.len()).chain(path::prefixes(source));
        let prefix = on_the_way.nth(step as usize)?;
        let Some(dir) = self.paths.find(prefix) else { return Some(None) };
        let key = |i: &Item<'t>| (i.class, i.dir);
        let start = self.items.partition_point(|i| key(i) < (item.class, dir));
        // The last item of this target: a desired one, if there is any.
        let (_, from) = self.items.split_at_checked(start).unwrap_or_default();
        let same = from.partition_point(|i| key(i) <= (item.class, dir));
        let last = (start + same) as u32;
        Some((same > 0 && dir != item.dir).then(|| last.saturating_sub(1)))
    }

    fn name_winners(&mut self) {
        self.list_by_dir();
        let mut winner: Option<u32> = None;
        for place in 0..self.by_dir.len() {
            let Some(&at) = self.by_dir.get(place) else { break };
            let Some((item, entry)) = self.item(at) else { continue };
            if item.desired.is_none() || matches!(entry.kind(), Kind::EnsureDir) {
                continue;
            }
            match (item.action, winner) {
                (Action::Keep, _) => winner = Some(at),
                (Action::Duplicate(_), Some(winner)) => {
                    if let Some(item) = self.items.get_mut(at as usize) {
                        item.action = Action::Duplicate(winner);
                    }
                }
                _ => {}
            }
        }
    }
}
