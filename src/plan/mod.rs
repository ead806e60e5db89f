// SPDX-License-Identifier: GPL-3.0-only
//! What has to change: desired, recorded and real in, an ordered list of steps out.
//!
//! A plan is made in four moves, each a function of plain data; the questions between them are the survey's:
//!
//! 1. [`Plan::begin`]: the two profiles become [`Item`]s in the order of mounting
//! 2. [`Plan::judge`]: the mount table says for each what of it is in effect
//! 3. the survey tells for what is absent where its target would have to be created
//! 4. [`Plan::decide`]: keep, unmount, mount
//!
//! **Order of mounting.** Overname entries, then interfaces' entries, then layouts; inside a class a directory
//! before what lies in it, and a target before an entry that uses it as its source. An entry *depends* on every
//! earlier one whose target is comparable with (the same as, above or below) its own target or its source.
//!
//! **What is redone.** An entry that is in effect stays unless something it depends on changes. Then it is taken
//! away first and mounted again afterwards: so a layout always shows what is there now.
#![forbid(unsafe_code)]

use crate::limits::PROFILE_ENTRIES;
use crate::mount::table::{MountRef, Table, marks};
use crate::mount::{Kind, MountEntry, Origin};
use crate::text::Out;
use paths::{Marks, PathId, Paths};

mod diff;
mod needed;
mod order;
pub mod paths;

/// A mount profile: its entries in the order of the file.
pub type Profile<'t> = heapless::Vec<MountEntry<'t>, { PROFILE_ENTRIES.max }>;

/// Entries of two profiles.
const ITEMS: usize = 2 * PROFILE_ENTRIES.max;

/// Which pass an entry belongs to; ordered as the passes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Parallel instances: everything else happens below these.
    Overname,
    /// Content, host directories, user mounts.
    Interface,
    /// Layouts show what the others have mounted.
    Layout,
}

impl Class {
    /// All of them, in order.
    pub const ALL: [Class; 3] = [Class::Overname, Class::Interface, Class::Layout];

    /// The class of an entry. An origin that nobody knows counts as none (N6).
    pub fn of(entry: &MountEntry<'_>) -> Self {
        match entry.origin() {
            Origin::Overname => Class::Overname,
            Origin::Layout => Class::Layout,
            Origin::Interface | Origin::Rootfs => Class::Interface,
        }
    }
}

/// What the mount table and the file system say of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is what a process sees, or would see if a later entry did not cover it.
    InEffect,
    /// Something of ours is there, but not what is wanted.
    Different,
    /// Nothing of it is there.
    Absent,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stays as it is, and on record; an unrecorded one is adopted.
    Keep,
    /// Is taken away.
    Unmount,
    /// Is mounted, in the round of this number, after what is there of it was taken away.
    Mount(u32),
    /// Another desired entry (number) has the same target and comes first.
    Duplicate(u32),
    /// Has a kind that nobody knows.
    Unknown,
}

/// Where the target of an absent entry would be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing<'t> {
    /// The nearest directory above it that exists.
    pub under: &'t [u8],
    /// Whether a writable mimic has to cover that directory first.
    pub mimic: bool,
}

/// An entry of either profile, or of both.
#[derive(Clone, Copy, Debug)]
pub struct Item<'t> {
    /// Its number in the record.
    pub record: Option<u16>,
    /// Its number in the desired profile.
    pub desired: Option<u16>,
    /// Its pass.
    pub class: Class,
    /// What is there of it.
    pub state: State,
    /// The mount that is it, or is in its place.
    pub mount: Option<MountRef>,
    /// Whether the tmpfs of a mimic covers that mount.
    pub hidden: bool,
    /// Whether its target exists; `None` when it does, or when nobody asked.
    pub missing: Option<Missing<'t>>,
    /// What becomes of it.
    pub action: Action,
    dir: PathId,
    source: Option<PathId>,
    visited: bool,
}

/// A writable mimic on record.
#[derive(Clone, Copy, Debug)]
pub struct Mimic {
    /// The record's line of its tmpfs.
    pub record: u16,
    /// The tmpfs, where the table shows it.
    pub mount: Option<MountRef>,
    /// Whether the table shows it whole; true where nothing can be known.
    pub whole: bool,
    /// Whether it has to go.
    pub goes: bool,
    /// The desired entry that keeps it, where that is not the one on record.
    pub heir: Option<u16>,
    class: Class,
    dir: PathId,
    parts: (u32, u32),
}

/// One step of taking away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// What is there of an item.
    Item(u32),
    /// A mimic: its tmpfs, and all parts with it.
    Mimic(u32),
}

/// Everything that is decided on; lives in `.bss`.
pub struct Plan<'t> {
    /// What was mounted by the last run, as its record says.
    pub record: Profile<'t>,
    /// What should be mounted.
    pub desired: Profile<'t>,
    /// The entries of both, in the order of mounting.
    pub items: heapless::Vec<Item<'t>, ITEMS>,
    /// The mimics on record.
    pub mimics: heapless::Vec<Mimic, { PROFILE_ENTRIES.max }>,
    /// The steps of taking away, in their order.
    pub removals: heapless::Vec<Removal, ITEMS>,
    /// The items to mount, in the order of the list of changes (base text, 6.6); rounds are in the items.
    pub mounts: heapless::Vec<u32, { PROFILE_ENTRIES.max }>,
    /// The same items in the order of their rounds.
    pub schedule: heapless::Vec<u32, { PROFILE_ENTRIES.max }>,
    /// All targets and sources.
    pub paths: Paths<'t>,
    parts: heapless::Vec<u16, { PROFILE_ENTRIES.max }>,
    by_dir: heapless::Vec<u32, ITEMS>,
    stack: heapless::Vec<(u32, u32), ITEMS>,
    scratch: heapless::Vec<Item<'t>, ITEMS>,
    changed: Marks,
    gone: Marks,
    coming: Marks,
}

impl<'t> Plan<'t> {
    /// An empty plan.
    pub const fn new() -> Self {
        Plan {
            record: Profile::new(),
            desired: Profile::new(),
            items: heapless::Vec::new(),
            mimics: heapless::Vec::new(),
            removals: heapless::Vec::new(),
            mounts: heapless::Vec::new(),
            schedule: heapless::Vec::new(),
            paths: Paths::new(),
            parts: heapless::Vec::new(),
            by_dir: heapless::Vec::new(),
            stack: heapless::Vec::new(),
            scratch: heapless::Vec::new(),
            changed: Marks::new(),
            gone: Marks::new(),
            coming: Marks::new(),
        }
    }

    /// The entry behind an item: the desired one where it is desired.
    pub fn entry(&self, item: &Item<'t>) -> Option<&MountEntry<'t>> {
        match (item.desired, item.record) {
            (Some(at), _) => self.desired.get(usize::from(at)),
            (None, Some(at)) => self.record.get(usize::from(at)),
            (None, None) => None,
        }
    }

    /// The item of a number, and its entry.
    pub fn item(&self, at: u32) -> Option<(&Item<'t>, &MountEntry<'t>)> {
        let item = self.items.get(at as usize)?;
        Some((item, self.entry(item)?))
    }

    /// The record's lines of a mimic's parts.
    pub fn parts(&self, mimic: &Mimic) -> &[u16] {
        let (start, end) = mimic.parts;
        self.parts.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether a mount point lies below the source or the target of a recursive bind, which then has to show it, too.
    /// To be asked between [`Plan::begin`] and [`Plan::decide`].
    pub fn binds_from_above(&self, dir: &[u8]) -> bool {
        self.coming.above(&self.paths, dir) > 0
    }

    /// Whether the target of an item that is taken away is used again as it is: by a desired entry that needs the same
    /// kind of thing there, while nothing above it changes.
    pub fn leaves_target_of(&self, at: u32) -> bool {
        let Some((item, entry)) = self.item(at) else { return false };
        if self.changed.above(&self.paths, entry.dir) > 0 || self.gone.above(&self.paths, entry.dir) > 0 {
            return false;
        }
        let key = |at: &u32| self.items.get(*at as usize).map(|i| i.dir);
        let start = self.by_dir.partition_point(|at| key(at) < Some(item.dir));
        let (_, from) = self.by_dir.split_at_checked(start).unwrap_or_default();
        from.iter().take_while(|at| key(at) == Some(item.dir)).any(|at| {
            self.item(*at).is_some_and(|(other, wanted)| {
                matches!(other.action, Action::Keep | Action::Mount(_)) && wanted.kind() == entry.kind()
            })
        })
    }

    /// Calls `each` for every directory on which the record has a tmpfs that is there: the namespace's root, mimics, and
    /// entries of that type; only for those that stay, if `staying`.
    pub fn each_tmpfs(&self, table: &Table<'t>, staying: bool, mut each: impl FnMut(&'t [u8])) {
        // A tmpfs of somebody else that lies on top is not to be trusted for the path's sake (L26).
        let ours = |dir: &[u8]| {
            table.is_empty()
                || table.visible(dir, 0).is_some_and(|top| {
                    let known = dir == b"/" || table.is_marked(top, marks::COVER | marks::MIMIC);
                    known && table.get(top).is_some_and(|mount| mount.dir == dir && mount.fstype == b"tmpfs")
                })
        };
        let mut take = |line: Option<&MountEntry<'t>>| {
            if let Some(line) = line.filter(|line| line.fstype == b"tmpfs" && ours(line.dir)) {
                each(line.dir);
            }
        };
        for line in self.record.iter().filter(|line| line.origin() == Origin::Rootfs) {
            take(Some(line));
        }
        for mimic in self.mimics.iter().filter(|mimic| !(staying && mimic.goes)) {
            take(self.record.get(usize::from(mimic.record)));
        }
        for item in self.items.iter().filter(|item| item.record.is_some()) {
            if !staying || item.action == Action::Keep {
                take(self.entry(item));
            }
        }
    }

    /// Whether anything has to be done to the namespace.
    pub fn changes_anything(&self) -> bool {
        !self.removals.is_empty() || !self.mounts.is_empty()
    }

    /// Writes one step a line: first what is taken away, then what stays, then what is mounted.
    pub fn write(&self, w: &mut dyn Out) {
        self.each_line(|verb, entry, remark, about| {
            w.put(verb.as_bytes());
            w.put(b" ");
            entry.write(w);
            if !remark.is_empty() {
                w.put(b"  # ");
                w.put(remark.as_bytes());
                w.put(about);
            }
            w.put(b"\n");
        });
    }

    /// Calls `line` for every step with its verb, its entry and a remark.
    pub fn each_line(&self, mut line: impl FnMut(&str, &MountEntry<'t>, &str, &[u8])) {
        for removal in &self.removals {
            match *removal {
                Removal::Item(at) => {
                    let Some((item, entry)) = self.item(at) else { continue };
                    let again =
                        if matches!(item.action, Action::Mount(_)) { "mounted again later" } else { "" };
                    line("unmount", entry, again, b"");
                }
                Removal::Mimic(at) => {
                    let mimic = self.mimics.get(at as usize);
                    let Some(entry) = mimic.and_then(|m| self.record.get(usize::from(m.record))) else {
                        continue;
                    };
                    line("unmount", entry, "with all its parts", b"");
                }
            }
        }
        for item in &self.items {
            let Some(entry) = self.entry(item) else { continue };
            match item.action {
                Action::Keep if item.record.is_none() => line("keep", entry, "was not on record", b""),
                Action::Keep => line("keep", entry, "", b""),
                Action::Duplicate(_) => line("skip", entry, "an earlier entry has the same target", b""),
                Action::Unknown => line("skip", entry, "unknown kind", b""),
                Action::Unmount | Action::Mount(_) => {}
            }
        }
        for mimic in self.mimics.iter().filter(|m| !m.goes) {
            let Some(entry) = self.record.get(usize::from(mimic.record)) else { continue };
            let heir = mimic.heir.and_then(|at| self.desired.get(usize::from(at)));
            match heir {
                Some(heir) => line("keep", entry, "now for ", heir.id()),
                None => line("keep", entry, "", b""),
            }
        }
        for at in &self.mounts {
            let Some((item, entry)) = self.item(*at) else { continue };
            match item.missing {
                Some(Missing { under, mimic: true }) => line("mount", entry, "with a mimic over ", under),
                _ => line("mount", entry, "", b""),
            }
        }
    }
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether an entry is there only to be seen in the namespace's mount table (and not a link, say).
fn is_mount(entry: &MountEntry<'_>) -> bool {
    matches!(entry.kind(), Kind::Directory | Kind::File)
}
