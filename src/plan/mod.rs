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

use core::cell::Cell;

use crate::error::{Error, Says, says, worded};
use crate::kernel::list::List;
use crate::mount::table::{Mount, MountRef, Table};
use crate::mount::{Flags, Kind, MountEntry, MountId, Origin};
use crate::text::paths::{Mark, NOWHERE, PathId, Paths};
use crate::text::sort;

mod diff;
mod needed;
mod order;

pub use order::Items;

/// How many entries are looked at one by one at most: that takes three calls for each, and the mount table one for many lines.
const LOOKED_AT: usize = 64;

/// A mount profile: its entries in the order of the file.
pub type Profile<'t> = List<'t, MountEntry<'t>>;

/// Numbers, or pairs of numbers, with room to be sorted.
pub type Keys<'t> = List<'t, u64>;

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
    /// Another desired entry has the same target and comes first.
    Duplicate,
    /// Has a kind that nobody knows.
    Unknown,
}

/// How much of a path was made: its length up to and including the first component that had been missing; 0 when
/// everything was there.
pub type Made = u32;

/// What was created for an entry, so that it can be taken back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// Of the target's path.
    pub target: Made,
    /// Of the source's path.
    pub source: Made,
}

/// What came of an item.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'t> {
    /// Nothing: it is not to be mounted, or need not be.
    Nothing,
    /// What is on record could not be taken away.
    Stays,
    /// It can be mounted.
    Ready(Ready),
    /// It could not be made ready; what of the target's path was made for it and could not be taken back.
    Failed(Error<'t>, Made),
    /// It is mounted, or its target could not be taken back; what of the target's path was made for it.
    Mounted(Made),
    /// It is not mounted, but its target, which was made once, is still there.
    Left,
}

/// An entry of either profile, or of both.
#[derive(Clone, Debug)]
pub struct Item<'t> {
    /// The entry; the desired one where it is desired.
    pub entry: &'t MountEntry<'t>,
    /// Its number in the record.
    pub record: Option<u16>,
    /// Whether it is desired.
    pub desired: bool,
    /// Its pass.
    pub class: Class,
    /// What it needs at its target.
    pub kind: Kind,
    /// What is there of it.
    pub state: State,
    /// The mount that is it, or is in its place.
    pub mount: MountRef,
    /// Whether the tmpfs of a mimic covers that mount.
    pub hidden: bool,
    /// Where its target is missing: the nearest directory above it that exists.
    pub under: Option<&'t [u8]>,
    /// How it is mounted.
    pub flags: Flags,
    /// Whether what is at its target is no directory, although it needs one, or could not be looked at.
    pub is_odd: bool,
    /// Whether a writable mimic has to cover that directory before the target can be created.
    pub needs_mimic: bool,
    /// What becomes of it.
    pub action: Action,
    /// The round in which its target can be made ready: what lies above is mounted by then. At its source others may
    /// have to be mounted still.
    pub opens: Cell<u32>,
    /// What is there of it stays until what is bound at its target in this run has taken its place.
    pub replaced: Cell<bool>,
    /// While the plan is performed: the mount that goes when another has taken its place.
    pub goes: Cell<Option<MountId>>,
    /// While the plan is performed: what came of it so far.
    pub outcome: Cell<Outcome<'t>>,
    /// Its place among the items.
    rank: u32,
    dir: PathId,
    source: PathId,
    /// It is in effect, but covers what an earlier entry needs, and has to go for a moment.
    moves: bool,
    /// It is being put behind those that it depends on, and it has its place; while the order is made.
    visited: bool,
    placed: bool,
}

impl Item<'_> {
    /// Whether it is on record, of which so many lines are more than intents.
    fn is_recorded(&self, lines: usize) -> bool {
        self.record.is_some_and(|line| usize::from(line) < lines)
    }

    /// Its kind as a mark of a path, of which 0 is none.
    #[inline(always)]
    fn kind_mark(&self) -> u32 {
        self.kind as u32 + 1
    }

    /// Whether it is there only to be seen in the namespace's mount table (and not a link, say).
    pub(crate) fn is_mount(&self) -> bool {
        matches!(self.kind, Kind::Directory | Kind::File)
    }

    /// Whether it is a recursive bind of a path that a plan can follow.
    fn is_recursive(&self) -> bool {
        self.source != NOWHERE && self.flags.recursive()
    }

    /// Whether it will be there when the plan is performed.
    pub fn is_wanted(&self) -> bool {
        self.desired && matches!(self.action, Action::Keep | Action::Mount(_))
    }

    /// Whether the survey has seen its target, a directory or a file, or that it can be made; in what is there still when
    /// that is done.
    #[inline(never)]
    pub fn is_seen(&self) -> bool {
        self.is_mount()
            && !self.is_odd
            && self.opens.get() == 0
            && !self.needs_mimic
            && (self.under.is_none() || !self.entry.ignore_missing())
    }

    /// The round in which it is mounted; the last of all for what is not mounted.
    pub fn round(&self) -> u32 {
        match self.action {
            Action::Mount(round) => round,
            _ => u32::MAX,
        }
    }
}

/// A writable mimic on record.
#[derive(Clone, Debug)]
pub struct Mimic<'t> {
    /// The record's line of its tmpfs.
    pub line: u16,
    /// The tmpfs, where the table shows it.
    pub mount: MountRef,
    /// Whether the table shows it whole; true where nothing can be known.
    pub whole: bool,
    /// Whether it has to go; no more when that has failed.
    pub goes: Cell<bool>,
    /// Whether another one lies over the same directory, too.
    pub twin: bool,
    /// The id of the desired entry that keeps it, where that is not the one on record.
    pub heir: Option<&'t [u8]>,
    dir: PathId,
}

/// One step of taking away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// What is there of an item.
    Item(u32),
    /// A mimic: its tmpfs, and all parts with it.
    Mimic(u32),
}

/// Who is told of a step, its entry and the path that it is about, if any.
pub type Line<'l, 't> = dyn FnMut(Step, &MountEntry<'t>, Option<&[u8]>) + 'l;

worded! {
    /// What a line of a printed plan says, in front of an entry.
    Step:
    Unmount "plan: unmount "
    MountAgain "plan: unmount, to be mounted again: "
    UnmountMimic "plan: unmount with all its parts "
    Adopt "plan: adopt "
    Keep "plan: keep "
    Skip "plan: skip "
    Mount "plan: mount "
}

/// Everything that is decided on.
pub struct Plan<'t> {
    /// What was mounted by the last run, as its record says.
    pub record: &'t [MountEntry<'t>],
    /// How many of these lines are the record's, at most; those behind it are what a killed run was about to mount.
    pub recorded: usize,
    /// The entries of both profiles, in the order of mounting.
    pub items: List<'t, Item<'t>>,
    /// The mimics on record.
    pub mimics: List<'t, Mimic<'t>>,
    /// The steps of taking away, in their order.
    pub removals: List<'t, Removal>,
    /// The items to mount, in the order of the list of changes (base text, 6.6).
    pub mounts: Keys<'t>,
    /// The same items in the order of their rounds.
    pub schedule: Keys<'t>,
    /// The same items in the order in which their targets are made ready, round by round.
    pub readying: Keys<'t>,
    /// All targets, and behind them the sources.
    pub paths: Paths<'t>,
    /// How many entries there are in both profiles.
    count: usize,
    parts: Keys<'t>,
    by_dir: Keys<'t>,
    stack: Keys<'t>,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> Plan<'t> {
    /// An empty plan.
    pub const fn new() -> Self {
        Plan {
            record: &[],
            recorded: usize::MAX,
            items: List::new(),
            mimics: List::new(),
            removals: List::new(),
            mounts: List::new(),
            schedule: List::new(),
            readying: List::new(),
            paths: Paths::new(),
            count: 0,
            parts: List::new(),
            by_dir: List::new(),
            stack: List::new(),
        }
    }

    /// Calls `each` for the record's lines of a mimic's parts, by number. The mimic is named by its place.
    #[inline(never)]
    pub fn each_part(&self, mimic: u32, each: &mut dyn FnMut(u16)) {
        let parts = sort::from(&self.parts, order::key(mimic, 0)).iter();
        parts.take_while(|part| **part >> 32 == u64::from(mimic)).for_each(|part| each(*part as u16));
    }

    /// A line of the record.
    pub fn line(&self, at: u16) -> Option<&'t MountEntry<'t>> {
        self.record.get(usize::from(at))
    }

    /// Whether a mount point lies below the source or the target of a recursive bind, which then has to show it, too.
    /// To be asked between [`Plan::begin`] and [`Plan::decide`].
    pub fn binds_from_above(&self, dir: &[u8]) -> bool {
        let nearest = self.paths.nearest(dir);
        self.paths.at(Mark::Coming, nearest) > 0 || self.paths.mark_above(Mark::Coming, nearest) > 0
    }

    /// Whether the target of an item that is taken away is used again as it is: by a desired entry that needs the same
    /// kind of thing there, while nothing above it changes; or as the source of one.
    pub fn leaves_target_of(&self, item: &Item<'t>) -> bool {
        let moves = self.paths.mark_above(Mark::Changed, item.dir) > 0 || self.is_uncovered(item);
        self.paths.at(Mark::Coming, item.dir) == item.kind_mark()
            || !moves
                && self.items_at(item.dir).any(|other| {
                    let fits = other.kind == item.kind
                        || (other.kind == Kind::EnsureDir && item.kind == Kind::Directory);
                    fits && other.is_wanted()
                })
    }

    /// Whether a mimic goes that lies above the target of an item.
    #[inline(never)]
    pub fn is_uncovered(&self, item: &Item<'t>) -> bool {
        self.paths.mark_above(Mark::Gone, item.dir) > 0
    }

    /// Whether no entry on record has the target of an item.
    #[inline(never)]
    pub fn is_new(&self, item: &Item<'t>) -> bool {
        !self.items_at(item.dir).any(|other| other.record.is_some())
    }

    /// All items with the target of one.
    pub fn with_target_of(&self, item: &Item<'t>) -> Items<'_, 't> {
        self.items_at(item.dir)
    }

    /// Whether anything is mounted below the target of an item in this run.
    pub fn has_mounts_inside(&self, item: &Item<'t>) -> bool {
        self.items_inside(item.dir).any(|other| matches!(other.action, Action::Mount(_)))
    }

    /// The desired entry that is mounted in place of a duplicate.
    pub fn winner(&self, item: &Item<'t>) -> Option<&'t MountEntry<'t>> {
        let mut others = self.items_at(item.dir);
        others.find(|other| other.is_wanted() && other.kind != Kind::EnsureDir).map(|item| item.entry)
    }

    /// Calls `each` for every directory on which the record has a tmpfs that is there, with the id of its mount where the
    /// table tells it: the namespace's root, mimics, and entries of that type; only those that stay, if `staying`.
    pub fn each_tmpfs(
        &self,
        table: &Table<'t>,
        staying: bool,
        each: &mut dyn FnMut(&'t [u8], Option<MountId>),
    ) {
        let mut take = |line: &MountEntry<'t>, mount: MountRef| {
            let whole = |mount: &&Mount<'t>| mount.dir == line.dir && mount.is_whole(b"tmpfs");
            let id = table.get(mount).filter(whole).and_then(|mount| MountId::new(mount.id));
            if line.fstype == b"tmpfs" && (id.is_some() || table.is_empty()) {
                each(line.dir, id);
            }
        };
        for line in self.record.iter().filter(|line| line.origin() == Origin::Rootfs) {
            take(line, table.visible(line.dir, 0));
        }
        for mimic in self.mimics.iter().filter(|mimic| !(staying && mimic.goes.get())) {
            self.line(mimic.line).into_iter().for_each(|line| take(line, mimic.mount));
        }
        for item in self.items.iter().filter(|item| item.record.is_some()) {
            if !staying || item.action == Action::Keep {
                take(item.entry, item.mount);
            }
        }
    }

    /// Whether what is on record is what is desired, and nothing was only intended: the namespace's root, and nothing but
    /// binds without what lies below their sources; and no more than may be looked at one by one.
    pub fn is_of_lone_binds(&self) -> bool {
        let (count, lines) = (self.items.len(), self.record.len());
        let is_lone = |item: &Item<'t>| item.desired && item.record.is_some() && item.flags.lone_bind();
        count <= LOOKED_AT && lines == count + 1 && lines == self.recorded && self.items.iter().all(is_lone)
    }

    /// Whether there is anything but mounts that stay.
    pub fn misses_anything(&self) -> bool {
        let stays = |item: &Item<'_>| item.desired && item.state == State::InEffect && item.is_mount();
        !self.items.iter().all(stays)
    }

    /// Whether a process could look at a moment at which something is missing that was there before and is there
    /// afterwards: then the snap's processes are held still. `replaces` tells whether mounts take the place of others in
    /// one step, `whole` whether mimics appear whole.
    pub fn has_gap(&self, replaces: bool, whole: &dyn Fn() -> bool) -> bool {
        let comes = |item: &Item<'t>| matches!(item.action, Action::Mount(_));
        let is_gap = |removal: &Removal| match *removal {
            Removal::Mimic(_) => !self.mounts.is_empty(),
            Removal::Item(at) => self
                .items
                .get(at as usize)
                .is_some_and(|item| !(replaces && item.replaced.get()) && self.items_at(item.dir).any(comes)),
        };
        self.removals.iter().any(is_gap)
            || (self.items.iter().any(|item| item.needs_mimic && comes(item)) && !whole())
    }

    /// Whether anything has to be done to the namespace.
    pub fn changes_anything(&self) -> bool {
        !self.removals.is_empty() || !self.mounts.is_empty()
    }

    /// Calls `line` for every step with its entry and the path that it is about, if any: first what is taken away, then
    /// what stays, then what is mounted.
    pub fn each_line(&self, line: &mut Line<'_, 't>) {
        for removal in self.removals.iter() {
            let (step, entry) = match *removal {
                Removal::Item(at) => match self.items.get(at as usize) {
                    Some(item) if item.desired => (Step::MountAgain, Some(item.entry)),
                    item => (Step::Unmount, item.map(|item| item.entry)),
                },
                Removal::Mimic(at) => {
                    let mimic = self.mimics.get(at as usize);
                    (Step::UnmountMimic, mimic.and_then(|mimic| self.line(mimic.line)))
                }
            };
            if let Some(entry) = entry {
                line(step, entry, None);
            }
        }
        for item in self.items.iter() {
            let step = match item.action {
                Action::Keep if item.record.is_none() => Step::Adopt,
                Action::Keep => Step::Keep,
                Action::Duplicate | Action::Unknown => Step::Skip,
                Action::Unmount | Action::Mount(_) => continue,
            };
            line(step, item.entry, None);
        }
        for mimic in self.mimics.iter().filter(|mimic| !mimic.goes.get()) {
            if let Some(entry) = self.line(mimic.line) {
                line(Step::Keep, entry, mimic.heir);
            }
        }
        for at in self.mounts.iter() {
            if let Some(item) = self.items.get(*at as usize) {
                line(Step::Mount, item.entry, item.under.filter(|_| item.needs_mimic));
            }
        }
    }
}
