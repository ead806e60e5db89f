// SPDX-License-Identifier: GPL-3.0-only
//! Performing a plan: take away, mount, and know what is there in the end.
//!
//! Mounting goes in rounds. In each, first all targets and sources are made ready, with mimics where they are needed,
//! and then everything is mounted: so a mimic is complete before anything is mounted inside the directory that it
//! covers, and no target is looked for before what lies above it is mounted.
#![forbid(unsafe_code)]

pub mod create;
pub mod entry;
pub mod ground;
pub mod mimic;
pub mod notes;
pub mod place;
pub mod save;
pub mod survey;
pub mod walk;

use crate::error::{Error, Result};
use crate::limits::{MEMORY, PROFILE_ENTRIES};
use crate::log::Log;
use crate::mount::table::Table;
use crate::mount::{MountEntry, Options};
use crate::plan::{Action, Class, Plan, Removal, State};
use crate::text::Out;
use crate::text::arena::Arena;
use create::Owner;
use entry::{Failure, Ready};
use ground::Ground;
use mimic::{Children, Mimics};
use notes::Notes;
use walk::Walker;

/// What came of an item.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    ready: Ready,
    /// It could not be made ready: the number of its failure, counted from 1.
    failed: u32,
    /// It is mounted.
    mounted: bool,
    /// What is on record could not be taken away.
    stays: bool,
}

/// Results of a run, as large as they can be; lives in `.bss`.
pub struct Results<'t> {
    outcomes: heapless::Vec<Outcome, { 2 * PROFILE_ENTRIES.max }>,
    failures: heapless::Vec<Failure<'t>, { PROFILE_ENTRIES.max }>,
    /// New synthetic entries, with the class of the entry that they were made for.
    synthetic: heapless::Vec<(Class, MountEntry<'t>), { PROFILE_ENTRIES.max }>,
    /// The lines of the old record that stay.
    kept: heapless::Vec<bool, { PROFILE_ENTRIES.max }>,
    children: Children<'t>,
}

impl Results<'_> {
    /// None.
    pub const fn new() -> Self {
        Results {
            outcomes: heapless::Vec::new(),
            failures: heapless::Vec::new(),
            synthetic: heapless::Vec::new(),
            kept: heapless::Vec::new(),
            children: heapless::Vec::new(),
        }
    }
}

impl<'t> Results<'t> {
    fn keep(&mut self, line: Option<u16>) {
        if let Some(kept) = line.and_then(|line| self.kept.get_mut(usize::from(line))) {
            *kept = true;
        }
    }
}

/// Options with another entry's id behind `needed-by`.
fn rename_owner<'t>(options: &[u8], owner: &[u8], arena: &mut Arena<'t>) -> Option<&'t [u8]> {
    const NEEDED_BY: &[u8] = b"x-snapd.needed-by=";
    let at = options.windows(NEEDED_BY.len()).position(|word| word == NEEDED_BY)? + NEEDED_BY.len();
    let (before, from) = options.split_at_checked(at)?;
    let end = from.iter().position(|byte| *byte == b',').unwrap_or(from.len());
    arena.concat(&[before, owner, from.get(end..)?]).ok()
}

impl Default for Results<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Everything at hand while a plan is performed.
pub struct Apply<'a, 't> {
    /// What to do.
    pub plan: &'a mut Plan<'t>,
    /// What was mounted before.
    pub table: &'a Table<'t>,
    /// Where names may be created.
    pub ground: &'a mut Ground<'t>,
    /// What was created by former runs.
    pub notes: &'a Notes<'t>,
    /// What comes of it.
    pub results: &'a mut Results<'t>,
    /// Made-up text.
    pub arena: &'a mut Arena<'t>,
    /// Warnings.
    pub log: &'a mut Log,
    /// Opens paths.
    pub walker: &'a Walker,
    /// Started by snap-confine, so perhaps under AppArmor.
    pub confined: bool,
    /// Who directories in a home belong to; in system mode root, or who started us.
    pub user: Owner,
}

/// Trusts what the record and the table call ours; what only stays, if `staying`.
pub fn trust<'t>(plan: &Plan<'t>, table: &Table<'t>, ground: &mut Ground<'t>, staying: bool) {
    ground.forget();
    plan.each_tmpfs(table, staying, &mut |dir| ground.trust(dir));
    ground.sort();
}

/// Takes synthetic entries for one class.
struct Synthetic<'r, 't> {
    list: &'r mut heapless::Vec<(Class, MountEntry<'t>), { PROFILE_ENTRIES.max }>,
    class: Class,
    room: usize,
}

impl<'t> mimic::Record<'t> for Synthetic<'_, 't> {
    fn room(&self) -> usize {
        self.room.saturating_sub(self.list.len())
    }

    fn put(&mut self, entry: MountEntry<'t>) {
        // There is room: it was asked for.
        let _ = self.list.push((self.class, entry));
    }
}

impl<'t> Apply<'_, 't> {
    /// Makes a writable mimic over `dir` on behalf of an entry.
    fn cover(&mut self, dir: &'t [u8], entry: &MountEntry<'t>) -> Result<'t, ()> {
        let Results { children, synthetic, .. } = &mut *self.results;
        let room = PROFILE_ENTRIES.max.saturating_sub(self.plan.record.len() + self.plan.mounts.len());
        let mut record = Synthetic { list: synthetic, class: Class::of(entry), room };
        let mut mimics = Mimics {
            children,
            arena: self.arena,
            ground: self.ground,
            walker: self.walker,
            set_aside: self.confined,
        };
        mimics.cover(dir, entry.id(), &mut record)?;
        self.log.debug(&|line| {
            line.put(b"made a writable mimic over ");
            line.quoted(dir);
        });
        Ok(())
    }

    /// Whether what is to be recorded fits a record, before anything is touched.
    pub fn check_room(&self) -> Result<'t, ()> {
        let adopted =
            self.plan.items.iter().filter(|i| i.record.is_none() && i.action == Action::Keep).count();
        let lines = self.plan.record.len() + self.plan.mounts.len() + adopted;
        if lines > PROFILE_ENTRIES.max {
            return Err(PROFILE_ENTRIES.exceeded());
        }
        Ok(())
    }

    /// Performs the plan. What fails is warned of and the rest goes on; the first failure of a layout, or of the
    /// renaming of an instance, is returned. What is recorded afterwards is true in any case.
    pub fn run(&mut self) -> Result<'t, ()> {
        self.results.outcomes.clear();
        // As many as there are items.
        let _ = self.results.outcomes.resize_default(self.plan.items.len());
        self.results.failures.clear();
        self.results.synthetic.clear();
        self.keep_lines()?;
        for at in 0..self.plan.removals.len() {
            match self.plan.removals.get(at) {
                Some(Removal::Item(item)) => self.remove(*item),
                Some(Removal::Mimic(mimic)) => self.remove_mimic(*mimic),
                None => break,
            }
        }
        let Apply { plan, table, ground, .. } = self;
        trust(plan, table, ground, true);
        self.mount_all()
    }

    /// Marks the lines of the record that stay as they are. The lines of a mimic that serves another entry from now on
    /// are written anew.
    fn keep_lines(&mut self) -> Result<'t, ()> {
        let Apply { plan, results, arena, .. } = self;
        results.kept.clear();
        let _ = results.kept.resize(plan.record.len(), false);
        for (entry, kept) in plan.record.iter().zip(&mut results.kept) {
            *kept = entry.origin() == crate::mount::Origin::Rootfs;
        }
        for item in plan.items.iter().filter(|item| item.action == Action::Keep) {
            results.keep(item.record);
        }
        for (mimic, at) in plan.mimics.iter().zip(0u32..).filter(|(mimic, _)| !mimic.goes) {
            for line in plan.parts(at).chain(core::iter::once(mimic.line)) {
                results.keep(Some(line));
            }
            let Some(heir) = mimic.heir else { continue };
            for line in core::iter::once(mimic.line).chain(plan.parts(at)) {
                let Some(entry) = plan.line(line) else { continue };
                let options = rename_owner(entry.options.0, heir, arena).ok_or(MEMORY.exceeded())?;
                // One for each line at most, and there is room for one more than there are lines.
                let _ = results
                    .synthetic
                    .push((Class::Overname, MountEntry { options: Options(options), ..*entry }));
                if let Some(kept) = results.kept.get_mut(usize::from(line)) {
                    *kept = false;
                }
            }
        }
        Ok(())
    }

    fn warn(&mut self, action: &str, entry: &MountEntry<'t>, error: &Error<'t>) {
        self.log.warn(&|line| {
            line.put(b"cannot change mount namespace according to change ");
            line.put(action.as_bytes());
            line.put(b" (");
            entry.write(line);
            line.put(b"): ");
            error.write(b"", line);
        });
    }

    fn tell(&mut self, action: &str, entry: &MountEntry<'t>) {
        self.log.debug(&|line| {
            line.put(action.as_bytes());
            line.put(b" ");
            entry.write(line);
        });
    }

    fn outcome(&mut self, at: u32) -> Option<&mut Outcome> {
        self.results.outcomes.get_mut(at as usize)
    }

    fn remove(&mut self, at: u32) {
        let Some(&item) = self.plan.items.get(at as usize) else { return };
        let expected = item.mount.and_then(|mount| self.table.get(mount)).map(|line| line.id);
        // What the table does not show is not there; what is there then belongs to another entry.
        let there = item.state != State::Absent || self.table.is_empty();
        let done = if there { self.unmount(item.entry, expected) } else { Ok(false) };
        match done {
            Ok(_) => {
                self.tell("unmounted", item.entry);
                if !self.plan.leaves_target_of(&item) {
                    self.clean_up(item.entry);
                }
            }
            Err(error) => {
                self.warn("unmount", item.entry, &error);
                if let Some(outcome) = self.outcome(at) {
                    outcome.stays = true;
                }
                // Still there, so still on record (L4).
                self.results.keep(item.record);
            }
        }
    }

    fn remove_mimic(&mut self, at: u32) {
        let Some(mimic) = self.plan.mimics.get(at as usize).copied() else { return };
        let Some(entry) = self.plan.line(mimic.line) else { return };
        match mimic::uncover(self.walker, entry.dir) {
            Ok(()) => self.tell("unmounted", entry),
            Err(error) => {
                self.warn("unmount", entry, &error);
                for line in self.plan.parts(at).chain(core::iter::once(mimic.line)) {
                    self.results.keep(Some(line));
                }
            }
        }
    }

    fn mount_all(&mut self) -> Result<'t, ()> {
        let mut fatal: Option<Error<'t>> = None;
        let mut is_fatal = false;
        let mut start = 0;
        while let Some(round) = self.plan.schedule.get(start).map(|at| self.round(*at)) {
            let mut end = start;
            while self.plan.schedule.get(end).is_some_and(|at| self.round(*at) == round) {
                end += 1;
            }
            for place in start..end {
                self.make_ready(place);
            }
            for place in start..end {
                if let Some(error) = self.mount_one(place, &mut is_fatal) {
                    fatal = fatal.or(Some(error));
                }
            }
            // Without the renaming of the instance everything else would go to the wrong place.
            if fatal.is_some() && self.is_overname(start) {
                break;
            }
            start = end;
        }
        fatal.map_or(Ok(()), Err)
    }

    fn round(&self, at: u32) -> u32 {
        self.plan.items.get(at as usize).map_or(u32::MAX, |item| item.round())
    }

    fn is_overname(&self, place: usize) -> bool {
        let item = self.plan.schedule.get(place).and_then(|at| self.plan.items.get(*at as usize));
        item.is_some_and(|item| item.class == Class::Overname)
    }

    fn make_ready(&mut self, place: usize) {
        let Some(&at) = self.plan.readying.get(place) else { return };
        let Some(entry) = self.plan.items.get(at as usize).map(|item| item.entry) else { return };
        if self.outcome(at).is_some_and(|outcome| outcome.stays) {
            return;
        }
        match self.prepare(entry) {
            Ok(ready) => {
                if let Some(outcome) = self.outcome(at) {
                    outcome.ready = ready;
                }
            }
            Err(failure) => {
                // At most one for each entry.
                let _ = self.results.failures.push(failure);
                let number = self.results.failures.len() as u32;
                if let Some(outcome) = self.outcome(at) {
                    outcome.failed = number;
                }
            }
        }
    }

    /// Mounts what is ready, and reports what is not. The error of the first entry that must not fail is
    /// returned.
    fn mount_one(&mut self, place: usize, is_fatal: &mut bool) -> Option<Error<'t>> {
        let &at = self.plan.schedule.get(place)?;
        let item = self.plan.items.get(at as usize)?;
        let (class, entry) = (item.class, item.entry);
        let outcome = *self.outcome(at)?;
        if outcome.stays {
            return None;
        }
        let error = if outcome.failed > 0 {
            match *self.results.failures.get(outcome.failed as usize - 1)? {
                Failure::IgnoredMissing if class == Class::Layout => {
                    Error::plain("mount source or target are missing")
                }
                Failure::IgnoredMissing => return None,
                Failure::Error(error) => error,
            }
        } else {
            match self.perform(entry) {
                Ok(()) => {
                    self.outcome(at)?.mounted = true;
                    self.tell("mounted", entry);
                    return None;
                }
                Err(error) => {
                    self.take_back(entry, outcome.ready);
                    error
                }
            }
        };
        if class != Class::Interface && !*is_fatal {
            // Said on standard output in the end.
            *is_fatal = true;
            return Some(error);
        }
        self.warn("mount", entry, &error);
        None
    }

    /// Writes the new record: the lines that stay, in their old order; then, class by class, all new synthetic
    /// entries and all new entries.
    pub fn write_record(&self, w: &mut dyn Out) {
        let mut write = |entry: &MountEntry<'t>| {
            entry.write(w);
            w.put(b"\n");
        };
        for (entry, kept) in self.plan.record.iter().zip(&self.results.kept) {
            if *kept {
                write(entry);
            }
        }
        for class in Class::ALL {
            for (_, entry) in self.results.synthetic.iter().filter(|(of, _)| *of == class) {
                write(entry);
            }
            self.each_new(class, &mut |entry, _| write(entry));
        }
    }

    /// Calls `each` for every entry of a class that is new on record, with what is known of its target: whether it
    /// was made for it.
    fn each_new(&self, class: Class, each: &mut dyn FnMut(&MountEntry<'t>, Option<bool>)) {
        for item in self.plan.items.iter().filter(|item| item.class == class) {
            if item.record.is_none() && item.action == Action::Keep {
                each(item.entry, Some(false));
            }
        }
        for at in self.plan.mounts.iter() {
            let Some(item) = self.plan.items.get(*at as usize) else { continue };
            let Some(outcome) = self.results.outcomes.get(*at as usize) else { continue };
            if item.class == class && outcome.mounted && !outcome.stays {
                // What was made for it once is still made for it.
                let made = outcome.ready.target > 0 || self.notes.find(item.entry.dir) == Some(true);
                each(item.entry, Some(made));
            }
        }
    }

    /// Writes the new notes: of every entry on record of which something is known.
    pub fn write_notes(&self, w: &mut dyn Out) {
        for (entry, kept) in self.plan.record.iter().zip(&self.results.kept) {
            if let Some(made) = self.notes.find(entry.dir).filter(|_| *kept && !entry.is_synthetic()) {
                Notes::write(w, entry.dir, made);
            }
        }
        for class in Class::ALL {
            self.each_new(class, &mut |entry, made| {
                if let Some(made) = made {
                    Notes::write(w, entry.dir, made);
                }
            });
        }
    }
}
