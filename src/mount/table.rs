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

use crate::kernel::list::List;
use crate::limits::{KEPT_MOUNTS, Limit};
use crate::text::arena::Arena;
use crate::text::path;
use crate::text::paths::{NOWHERE, PathId, Paths};

/// One line of the table, by its place in [`Table`]; or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountRef(pub u32);

impl MountRef {
    /// No line: nothing is known of it, it has no marks, and nothing lies on it.
    pub const NONE: Self = MountRef(NOWHERE);

    /// Whether it is none.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Whether it is one.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// One line of the mount table, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'t> {
    /// Field 1: tells mounts apart while they last; used again as soon as one is gone.
    pub id: u32,
    /// Field 2: the mount it is attached to; itself for the root of the namespace. That mount need not be listed.
    pub parent: u32,
    /// Field 3: the device of the file system, with its major number in the upper half; to be compared with the same field
    /// of the same reading only.
    pub dev: u64,
    /// Field 4: what of the file system is mounted. Mostly a path in it; `mnt:[4026531840]` and the like for a namespace;
    /// `PATH//deleted` for what is gone.
    pub root: &'t [u8],
    /// Field 5: the mount point, as seen from our root directory.
    pub dir: &'t [u8],
    /// Read-only by the mount's own flags or by its file system's.
    pub read_only: bool,
    /// Read-only by its own flags.
    pub is_bound_read_only: bool,
    /// `unbindable`: a recursive bind leaves it out.
    pub unbindable: bool,
    /// File system type.
    pub fstype: &'t [u8],
    /// What the plan has found out about it: of [`marks`]; see [`Table::mark`].
    pub mark: u8,
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
    dev: u64,
    root: &'t [u8],
    rest: &'t [u8],
}

impl PartialEq for Identity<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.dev == other.dev && (self.is_split_before(other) || other.is_split_before(self))
    }
}

impl Identity<'_> {
    /// Whether both are the same path, of which the other's first part is at least as long.
    #[inline(never)]
    fn is_split_before(&self, other: &Self) -> bool {
        path::below(other.root, self.root).is_some_and(|between| match between {
            [] => self.rest == other.rest,
            _ => path::below(self.rest, between) == Some(other.rest),
        })
    }
}

/// Marks on the lines, so that a walk can look beneath some of them.
pub mod marks {
    /// Made by an entry that comes later in the order of mounting.
    pub const COVER: u8 = SEEN | HIDDEN | BURIED;
    /// Such a mount that no mimic covers.
    pub const SEEN: u8 = 1;
    /// Such a mount that one covers.
    pub const HIDDEN: u8 = 16;
    /// Such a mount beneath one of somebody else's, or of an earlier entry.
    pub const BURIED: u8 = 32;
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
    mounts: List<'t, Mount<'t>>,
    /// The mount points.
    dirs: Paths<'t>,
    root: MountRef,
}

impl Default for Table<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> Table<'t> {
    /// A table without lines.
    pub const fn new() -> Self {
        Table { mounts: List::new(), dirs: Paths::new(), root: MountRef::NONE }
    }

    /// Sees that there is room for so many lines.
    pub fn claim(&mut self, most: usize, arena: &mut Arena<'t>) {
        self.mounts.claim(most, arena);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.mounts.clear();
        self.root = MountRef::NONE;
    }

    /// Keeps a line, of which the mount point is somewhere already or is copied; or tells the limit that it is over.
    pub fn keep(
        &mut self,
        line: &Mount<'_>,
        dir: Option<&'t [u8]>,
        arena: &mut Arena<'t>,
    ) -> Result<(), &'static Limit> {
        let mount = Mount {
            root: arena.copy(line.root)?,
            dir: match dir {
                Some(dir) => dir,
                None => arena.copy(line.dir)?,
            },
            fstype: arena.copy(line.fstype)?,
            ..*line
        };
        self.mounts.push(mount).map_err(|_| &KEPT_MOUNTS)
    }

    /// Builds the indices when all lines are in. `root` is the mount id of the process's root directory where the
    /// kernel told it; without it the table's own rule is used: the line at "/" whose parent is not listed.
    pub fn build(&mut self, root: Option<u32>, arena: &mut Arena<'t>) {
        let Table { mounts, dirs, root: start } = self;
        dirs.claim(mounts.len(), arena);
        *start = MountRef::NONE;
        // All have as many as there are mounts, which fitted.
        (0..mounts.len()).for_each(|at| dirs.add(at));
        dirs.build(&|at| mounts.get(at as usize).map_or(b"", |mount| mount.dir));
        for (mount, at) in mounts.iter().zip(0u32..) {
            let is_root = match root {
                Some(id) => mount.id == id,
                None => {
                    let is_parent = |m: &Mount<'_>| m.id == mount.parent && m.id != mount.id;
                    mount.dir == b"/" && !mounts.iter().any(is_parent)
                }
            };
            if is_root {
                *start = MountRef(at);
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

    /// Whether a line has one of the marks.
    fn is_marked(&self, mount: MountRef, bits: u8) -> bool {
        self.get(mount).is_some_and(|mount| mount.is_marked(bits))
    }

    /// The mount on `dir` of the mount `on`, whatever covers it; none of those with a mark of `beneath`.
    pub fn child(&self, on: MountRef, dir: &[u8], beneath: u8) -> MountRef {
        self.child_at(on, self.dirs.find(dir), beneath)
    }

    /// The same, with the number of the directory.
    #[inline(never)]
    fn child_at(&self, on: MountRef, dir: PathId, beneath: u8) -> MountRef {
        let Some(id) = self.get(on).map(|mount| mount.id) else { return MountRef::NONE };
        let here = self.dirs.part(self.dirs.numbers(), dir, dir.wrapping_add(1));
        // Of equals the later line is last. There are few.
        for child in here.iter().rev().map(|at| MountRef(*at as u32)) {
            if self.get(child).is_some_and(|mount| mount.parent == id) {
                return if child == on || self.is_marked(child, beneath) { MountRef::NONE } else { child };
            }
        }
        MountRef::NONE
    }

    /// The mount on the same directory that another lies on.
    pub fn beneath(&self, mount: &Mount<'t>) -> MountRef {
        let is_parent = |at: &MountRef| self.get(*at).is_some_and(|other| other.id == mount.parent);
        self.listed(mount.dir, false).find(is_parent).unwrap_or(MountRef::NONE)
    }

    /// How many other mounts there are of the same thing at the same path, anywhere.
    #[inline(never)]
    pub fn twins(&self, of: MountRef) -> usize {
        let Some(dir) = self.get(of).map(|mount| mount.dir) else { return 0 };
        let same = |at: &MountRef| self.shows(of, dir, *at, dir) == Some(true);
        self.listed(dir, false).filter(same).count().saturating_sub(1)
    }

    /// The mounts on a directory, from the bottom; the first is the one that the directory lies on, if there are more.
    /// Those with a mark of `beneath` are left out together with what is on them; `above` are the marks to look beneath on
    /// the way. Of more than [`STACK`] only the lowest are told.
    pub fn stack(&self, dir: &[u8], above: u8, beneath: u8) -> heapless::Vec<MountRef, STACK> {
        let mut stack = heapless::Vec::new();
        let own = self.dirs.find(dir);
        if own == NOWHERE {
            return stack;
        }
        let mut here = self.climb(self.root, b"/", self.dirs.above(own), above);
        while here.is_some() && stack.push(here).is_ok() {
            here = self.child_at(here, own, beneath);
        }
        stack
    }

    /// The mount that is visible at a clean absolute path, which need not exist, as it was before the mounts with a
    /// mark of `beneath` were made.
    pub fn visible(&self, at: &[u8], beneath: u8) -> MountRef {
        self.walk(self.root, b"/", at, beneath)
    }

    /// The same, starting on a mount that stands for `from`, which is a prefix of the path.
    pub fn walk(&self, start: MountRef, from: &[u8], at: &[u8], beneath: u8) -> MountRef {
        self.climb(start, from, self.dirs.nearest(at), beneath)
    }

    /// The same, to the nearest mount point.
    #[inline(never)]
    fn climb(&self, start: MountRef, from: &[u8], dir: PathId, beneath: u8) -> MountRef {
        // Both are on the way to the same path.
        if self.dirs.path(dir).is_none_or(|dir| dir.len() <= from.len()) {
            return start;
        }
        // As deep as a path has components.
        let mut here = self.climb(start, from, self.dirs.above(dir), beneath);
        // A chain cannot be longer than this.
        for _ in self.dirs.part(self.dirs.numbers(), dir, dir.wrapping_add(1)) {
            let next = self.child_at(here, dir, beneath);
            if next.is_none() {
                break;
            }
            here = next;
        }
        here
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

    /// Whether the same is seen at a path on one mount as at another on another; none where the first is nothing that could
    /// be compared.
    #[inline(never)]
    pub fn shows(&self, one: MountRef, at: &[u8], other: MountRef, there: &[u8]) -> Option<bool> {
        let identity = self.identity(one, at)?;
        Some(self.identity(other, there) == Some(identity))
    }

    /// The mounts whose mount point is a path, or also those below it, visible or not, in the order of their mount
    /// points.
    pub fn listed(&self, dir: &[u8], below: bool) -> impl Iterator<Item = MountRef> {
        let start = self.dirs.first_from(dir);
        let mut end = start;
        while self
            .dirs
            .path(end)
            .is_some_and(|there| if below { path::covers(dir, there) } else { dir == there })
        {
            end += 1;
        }
        self.dirs.part(self.dirs.numbers(), start, end).iter().map(|at| MountRef(*at as u32))
    }
}
