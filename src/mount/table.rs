// SPDX-License-Identifier: GPL-3.0-only
//! The mount table as a model: what is visible at a path, and what it is that is seen there.
//!
//! mountinfo lists covered mounts like visible ones, in no order that could be relied on; so neither "the last
//! line with this mount point" nor "the longest prefix" answers. The model walks as the kernel does: from the
//! root's own mount, component by component, stepping onto a mount only if its parent is the mount stood on.
//!
//! Only lines that can change an answer are kept: those whose mount point is a prefix of a path that somebody
//! will ask about, or lies below a tree that is bound with everything in it.
#![forbid(unsafe_code)]

use super::{MountInfo, Options};
use crate::limits::{KEPT_MOUNTS, Limit, PATH};
use crate::text::arena::{Arena, Full};
use crate::text::{path, sort};

/// One line of the table, by its place in [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountRef(pub u32);

/// One mount, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'t> {
    /// Field 1.
    pub id: u32,
    /// Field 2.
    pub parent: u32,
    /// Field 3, to be compared with the same field of the same reading only.
    pub dev: (u32, u32),
    /// Field 4: what lies on top of the mount, inside its file system.
    pub root: &'t [u8],
    /// Field 5.
    pub dir: &'t [u8],
    /// Read-only by the mount's own flags or by its file system's.
    pub read_only: bool,
    /// Read-only by its own flags.
    pub is_bound_read_only: bool,
    /// `unbindable`: a recursive bind leaves it out.
    pub unbindable: bool,
    /// File system type.
    pub fstype: &'t [u8],
    /// What the plan has found out about it; see [`Table::mark`].
    mark: u8,
    /// In [`Table::by_dir`]: the first with the same mount point, and the first with the nearest mount point above it.
    place: u32,
    above: u32,
}

impl Mount<'_> {
    /// Whether it is a file system of this type, and the whole of it.
    pub fn is_whole(&self, fstype: &[u8]) -> bool {
        self.root == b"/" && self.fstype == fstype
    }

    /// Whether it has one of the marks.
    pub fn is_marked(&self, bits: u8) -> bool {
        self.mark & bits != 0
    }

    /// Whether what it shows was removed: the kernel says `//deleted`, which no path can contain.
    pub fn is_deleted(&self) -> bool {
        self.root.ends_with(b"//deleted")
    }
}

/// What is seen at a path: device, and path inside the file system in two parts that a slash joins.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'t> {
    dev: (u32, u32),
    root: &'t [u8],
    rest: &'t [u8],
}

impl PartialEq for Identity<'_> {
    fn eq(&self, other: &Self) -> bool {
        if (self.root, self.rest) == (other.root, other.rest) {
            return self.dev == other.dev;
        }
        let mut at = 0;
        loop {
            let byte = self.byte(at);
            if byte != other.byte(at) {
                return false;
            }
            if byte.is_none() {
                return self.dev == other.dev;
            }
            at += 1;
        }
    }
}

impl Identity<'_> {
    /// A byte of the whole path.
    #[inline(never)]
    fn byte(&self, at: usize) -> Option<u8> {
        let root = self.root.strip_suffix(b"/").unwrap_or(self.root);
        match at.checked_sub(root.len()) {
            None => root.get(at).copied(),
            Some(0) if !self.rest.is_empty() => Some(b'/'),
            Some(behind) => self.rest.get(behind.wrapping_sub(1)).copied(),
        }
    }
}

/// Marks on the lines, so that a walk can look beneath some of them.
pub mod marks {
    /// Made by an entry that comes later in the order of mounting.
    pub const COVER: u8 = 1;
    /// A part of a writable mimic.
    pub const PART: u8 = 2;
    /// The tmpfs of a writable mimic.
    pub const MIMIC: u8 = 4;
    /// Made by an entry of one of the profiles: to be taken away with it.
    pub const OURS: u8 = 8;
}

/// Mounts on one directory that are looked at; twenty interrupted runs of the original make as many.
pub const STACK: usize = 64;

/// The kept lines of one reading of mountinfo.
pub struct Table<'t> {
    mounts: &'t mut heapless::Vec<Mount<'t>, { KEPT_MOUNTS.max }>,
    /// The parent and the place in the other list, sorted.
    by_parent: &'t mut heapless::Vec<u64, { KEPT_MOUNTS.max }>,
    /// Sorted by mount point; of equals the later line is last.
    by_dir: &'t mut heapless::Vec<u32, { KEPT_MOUNTS.max }>,
    scratch: &'t mut heapless::Vec<u32, { KEPT_MOUNTS.max }>,
    root: Option<MountRef>,
}

/// Room for a table; lives in `.bss`.
pub struct Memory<'t> {
    mounts: heapless::Vec<Mount<'t>, { KEPT_MOUNTS.max }>,
    by_parent: heapless::Vec<u64, { KEPT_MOUNTS.max }>,
    by_dir: [heapless::Vec<u32, { KEPT_MOUNTS.max }>; 2],
}

impl Memory<'_> {
    /// Empty room.
    pub const fn new() -> Self {
        Memory {
            mounts: heapless::Vec::new(),
            by_parent: heapless::Vec::new(),
            by_dir: [const { heapless::Vec::new() }; 2],
        }
    }
}

impl Default for Memory<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a table could not be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// A named limit.
    Limit(&'static Limit),
    /// The arena.
    Arena,
}

impl From<Full> for Overflow {
    fn from(_: Full) -> Self {
        Overflow::Arena
    }
}

impl<'t> Table<'t> {
    /// A table without lines.
    pub const fn new(memory: &'t mut Memory<'t>) -> Self {
        let Memory { mounts, by_parent, by_dir: [by_dir, scratch] } = memory;
        Table { mounts, by_parent, by_dir, scratch, root: None }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.mounts.clear();
        self.by_parent.clear();
        self.by_dir.clear();
        self.root = None;
    }

    /// Keeps a line.
    pub fn keep(&mut self, line: &MountInfo<'_>, arena: &mut Arena<'t>) -> Result<(), Overflow> {
        let is_bound_read_only = line.options.has(b"ro");
        let mount = Mount {
            id: line.id,
            parent: line.parent,
            dev: (line.major, line.minor),
            root: arena.copy(line.root)?,
            dir: arena.copy(line.dir)?,
            read_only: is_bound_read_only || Options(line.super_options).has(b"ro"),
            is_bound_read_only,
            unbindable: line.unbindable,
            fstype: arena.copy(line.fstype)?,
            mark: 0,
            place: NOWHERE,
            above: NOWHERE,
        };
        self.mounts.push(mount).map_err(|_| Overflow::Limit(&KEPT_MOUNTS))
    }

    /// Builds the indices when all lines are in. `root` is the mount id of the process's root directory where the
    /// kernel told it; without it the table's own rule is used: the line at "/" whose parent is not listed.
    pub fn build(&mut self, root: Option<u32>) {
        let Table { mounts, by_parent, by_dir, scratch, root: start } = self;
        by_parent.clear();
        by_dir.clear();
        // All have as many as there are mounts, which fitted.
        for at in 0..mounts.len() as u32 {
            let _ = by_dir.push(at);
        }
        let _ = scratch.resize(by_dir.len(), 0);
        sort::merge_sort(by_dir, scratch, &|a, b| path::compare(dir(mounts, a), dir(mounts, b)).is_lt());
        // The directories on the way to the last one: the first with its mount point.
        let mut last = NOWHERE;
        for (at, place) in by_dir.iter().zip(0u32..) {
            let here = dir(mounts, *at);
            while let Some(open) = by_dir.get(last as usize).and_then(|at| mounts.get(*at as usize))
                && !path::covers(open.dir, here)
            {
                last = open.above;
            }
            let open = by_dir.get(last as usize).and_then(|at| mounts.get(*at as usize));
            let above = match open {
                Some(open) if open.dir == here => open.above,
                _ => core::mem::replace(&mut last, place),
            };
            if let Some(mount) = mounts.get_mut(*at as usize) {
                (mount.place, mount.above) = (last, above);
                let _ = by_parent.push(key(mount.parent, place));
            }
        }
        sort::sort_keys(by_parent);
        *start = None;
        for (mount, at) in mounts.iter().zip(0u32..) {
            let is_root = match root {
                Some(id) => mount.id == id,
                None => {
                    let is_parent = |m: &Mount<'_>| m.id == mount.parent && m.id != mount.id;
                    mount.dir == b"/" && !mounts.iter().any(is_parent)
                }
            };
            if is_root {
                *start = Some(MountRef(at));
            }
        }
    }

    /// Whether anything is known at all.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The line.
    #[inline(never)]
    pub fn get(&self, mount: MountRef) -> Option<&Mount<'t>> {
        self.mounts.get(mount.0 as usize)
    }

    /// Marks a line with bits of [`marks`].
    pub fn mark(&mut self, mount: MountRef, bits: u8) {
        if let Some(mount) = self.mounts.get_mut(mount.0 as usize) {
            mount.mark |= bits;
        }
    }

    /// Takes bits of [`marks`] from a line again.
    pub fn unmark(&mut self, mount: MountRef, bits: u8) {
        if let Some(mount) = self.mounts.get_mut(mount.0 as usize) {
            mount.mark &= !bits;
        }
    }

    /// Whether a line has one of the marks.
    pub fn is_marked(&self, mount: MountRef, bits: u8) -> bool {
        self.get(mount).is_some_and(|mount| mount.mark & bits != 0)
    }

    /// The mount on `dir` of the mount `on`, whatever covers it; none of those with a mark of `beneath`.
    pub fn child(&self, on: MountRef, dir: &[u8], beneath: u8) -> Option<MountRef> {
        let place = self.nearest(dir);
        self.there(place).filter(|there| there.dir == dir)?;
        self.child_among(on, place, beneath)
    }

    /// The same, with the place of the directory in [`Table::by_dir`].
    #[inline(never)]
    fn child_among(&self, on: MountRef, place: u32, beneath: u8) -> Option<MountRef> {
        let id = self.get(on)?.id;
        // The last of them.
        let mut at = sort::bound(self.by_parent, key(id, place));
        let mut child = None;
        while let Some(next) = self.by_parent.get(at).filter(|next| **next >> 32 == u64::from(id))
            && let Some(next) = self.by_dir.get(*next as u32 as usize).copied().map(MountRef)
            && self.get(next).is_some_and(|next| next.place == place)
        {
            child = Some(next);
            at += 1;
        }
        child.filter(|child| *child != on && !self.is_marked(*child, beneath))
    }

    /// The mount on the same directory that another lies on.
    pub fn beneath(&self, mount: &Mount<'t>) -> Option<MountRef> {
        let is_parent = |at: &&u32| self.get(MountRef(**at)).is_some_and(|other| other.id == mount.parent);
        self.listed(mount.dir, false).iter().find(is_parent).map(|at| MountRef(*at))
    }

    /// How many other mounts there are of the same thing at the same path, anywhere.
    pub fn twins(&self, of: MountRef) -> usize {
        let Some(dir) = self.get(of).map(|mount| mount.dir) else { return 0 };
        let shown = self.identity(of, dir);
        let same = |at: &&u32| self.identity(MountRef(**at), dir) == shown;
        self.listed(dir, false).iter().filter(same).count().saturating_sub(1)
    }

    /// The mounts on a directory, from the bottom; the first is the one that the directory lies on. Those with a mark
    /// of `beneath` are left out together with what is on them; `above` are the marks to look beneath on the way. Of
    /// more than [`STACK`] only the lowest are told.
    pub fn stack(&self, dir: &[u8], above: u8, beneath: u8) -> heapless::Vec<MountRef, STACK> {
        let mut stack = heapless::Vec::new();
        let Some(root) = self.root else { return stack };
        let nearest = self.nearest(dir);
        let own = self.there(nearest).filter(|there| there.dir == dir);
        // Nothing is mounted on "/" that could be reached.
        let on = own.map_or(nearest, |there| there.above);
        let mut next = Some(self.climb(root, b"/", on, above));
        while let Some(here) = next {
            if stack.push(here).is_err() {
                break;
            }
            next = own.and_then(|_| self.child_among(here, nearest, beneath));
        }
        stack
    }

    /// The mount that is visible at a clean absolute path, which need not exist, as it was before the mounts with a
    /// mark of `beneath` were made.
    pub fn visible(&self, at: &[u8], beneath: u8) -> Option<MountRef> {
        Some(self.walk(self.root?, b"/", at, beneath))
    }

    /// The same, starting on a mount that stands for `from`, which is a prefix of the path.
    pub fn walk(&self, start: MountRef, from: &[u8], at: &[u8], beneath: u8) -> MountRef {
        self.climb(start, from, self.nearest(at), beneath)
    }

    /// The same, to a place in [`Table::by_dir`].
    #[inline(never)]
    fn climb(&self, start: MountRef, from: &[u8], place: u32, beneath: u8) -> MountRef {
        let mut way = heapless::Vec::<u32, WAY>::new();
        let mut next = place;
        while let Some(there) = self.there(next).filter(|there| path::is_inside(there.dir, from)) {
            // A path has no more components.
            let _ = way.push(next);
            next = there.above;
        }
        let mut here = start;
        for place in way.iter().rev() {
            // A chain cannot be longer than this.
            for _ in 0..self.by_dir.len() {
                let Some(next) = self.child_among(here, *place, beneath) else { break };
                here = next;
            }
        }
        here
    }

    /// The place of the nearest mount point at or above a path, that of its first mount.
    #[inline(never)]
    fn nearest(&self, at: &[u8]) -> u32 {
        let mut place = self.first_from(at) as u32;
        if self.there(place).is_none_or(|there| there.dir != at) {
            place = place.wrapping_sub(1);
            while let Some(there) = self.there(place)
                && !path::covers(there.dir, at)
            {
                place = there.above;
            }
        }
        self.there(place).map_or(NOWHERE, |there| there.place)
    }

    /// The mount at a place in [`Table::by_dir`].
    #[inline(never)]
    fn there(&self, place: u32) -> Option<&Mount<'t>> {
        self.by_dir.get(place as usize).and_then(|at| self.get(MountRef(*at)))
    }

    /// The topmost mount whose mount point is this very path, as above; none where nothing is mounted there.
    pub fn mounted_at(&self, at: &[u8], beneath: u8) -> Option<MountRef> {
        let mount = self.visible(at, beneath)?;
        (self.get(mount)?.dir == at).then_some(mount)
    }

    /// What is seen at a path on a mount that is visible there.
    pub fn identity<'p>(&self, mount: MountRef, at: &'p [u8]) -> Option<Identity<'p>>
    where
        't: 'p,
    {
        let mount = self.get(mount)?;
        let rest = path::below(at, mount.dir)?;
        // A mount of something that is not a path, a namespace file, has nothing below it.
        (rest.is_empty() || mount.root.starts_with(b"/")).then_some(Identity {
            dev: mount.dev,
            root: mount.root,
            rest,
        })
    }

    /// The mounts whose mount point is a path, or also those below it, visible or not, in the order of their mount
    /// points.
    pub fn listed(&self, dir: &[u8], below: bool) -> &[u32] {
        let start = self.first_from(dir);
        let ours = |at: &&u32| {
            let there = self.get(MountRef(**at)).map(|mount| mount.dir).unwrap_or_default();
            if below { path::covers(dir, there) } else { there == dir }
        };
        let from = self.by_dir.get(start..).unwrap_or_default();
        from.get(..from.iter().take_while(ours).count()).unwrap_or_default()
    }

    /// How many mount points come before a path.
    fn first_from(&self, at: &[u8]) -> usize {
        let before = |place: usize| {
            let dir = self.by_dir.get(place).map(|at| dir(self.mounts, *at));
            dir.is_some_and(|dir| path::compare(dir, at).is_lt())
        };
        sort::partition(self.by_dir.len(), &before)
    }
}

/// No place.
const NOWHERE: u32 = u32::MAX;
/// Components in a path.
const WAY: usize = PATH.max / 2 + 1;

/// The mount point of a line.
#[inline(never)]
fn dir<'t>(mounts: &[Mount<'t>], at: u32) -> &'t [u8] {
    mounts.get(at as usize).map(|mount| mount.dir).unwrap_or_default()
}

/// A parent and a place in [`Table::by_dir`].
fn key(parent: u32, place: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(place)
}
