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

use crate::error::{Error, Result, Says, says};
use crate::kernel::Errno;
use crate::kernel::file::{self, FileSystem, Open};
use crate::kernel::list::List;
use crate::kernel::mount;
use crate::kernel::only::{Only, Shared};
use crate::limits::{PROFILE_ENTRIES, WRITTEN_ENTRY};
use crate::log::Log;
use crate::mount::table::{MountRef, Table, marks};
use crate::mount::{Kind, MountEntry, MountId, Options, Origin};
use crate::namespace::freezer::{Freezer, Frozen};
use crate::plan::{Action, Class, Item, Keys, Made, Mimic, Outcome, Plan, Ready, Removal, State};
use crate::text::Out;
use crate::text::arena::Arena;
use create::Owner;
use ground::Ground;
use mimic::Children;
use notes::Notes;
use walk::Walker;

/// New synthetic entries.
type Synthetic<'t> = List<'t, (Class, MountEntry<'t>)>;

/// Adds a new synthetic entry, for which there is room: it was asked for.
#[inline(never)]
fn put_on_record<'t>(synthetic: &mut Synthetic<'t>, class: Class, entry: MountEntry<'t>) {
    let _ = synthetic.push((class, entry));
}

/// Results of a run.
pub struct Results<'t> {
    children: Children<'t>,
    /// Their places, by name.
    by_name: Keys<'t>,
    /// New synthetic entries, with the class of the entry that they were made for.
    synthetic: Synthetic<'t>,
    /// The lines of the old record that stay, with their options from now on.
    kept: List<'t, Option<Options<'t>>>,
}

impl<'t> Results<'t> {
    /// None.
    pub const fn new() -> Self {
        Results { synthetic: List::new(), kept: List::new(), children: List::new(), by_name: List::new() }
    }

    /// Sees that there is room for all that can come of a plan.
    pub fn claim(&mut self, plan: &Plan<'t>, arena: &mut Arena<'t>) {
        self.kept.claim(plan.record.len(), arena);
        let most = if plan.changes_anything() { PROFILE_ENTRIES.max } else { 0 };
        self.synthetic.claim(most, arena);
        self.children.claim(most, arena);
        self.by_name.claim(2 * most, arena);
    }
}

impl Default for Results<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// When something is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// It is seen.
    Seen,
    /// A mimic hid it; that, and every copy that a later mimic made of it, is gone now.
    Hidden,
    /// It failed: what lay in the way may be gone, and a call that failed once may do it now.
    Again,
}

/// Everything at hand while a plan is performed.
pub struct Apply<'a, 't> {
    /// What to do.
    pub plan: Shared<'a, Plan<'t>>,
    /// What was mounted before.
    pub table: Shared<'a, Table<'t>>,
    /// Where names may be created.
    pub ground: Only<Ground<'t>>,
    /// What was created by former runs.
    pub notes: Shared<'a, Notes<'t>>,
    /// What comes of it.
    pub results: Only<Results<'t>>,
    /// Made-up text.
    pub arena: Only<Arena<'t>>,
    /// Warnings.
    pub log: Only<Log>,
    /// The way to every path.
    pub walker: Only<Walker<'t>>,
    /// Started by snap-confine, so perhaps under AppArmor.
    pub confined: bool,
    /// Mounts are made aside and attached in one step. Not under AppArmor, which grants only the calls of old; and there
    /// nobody lives in the namespace yet.
    pub fresh_calls: bool,
    /// Mounts take the place of others in one step.
    pub beneath: bool,
    /// The notes' file, in which is written what is about to be mounted.
    pub journal: Option<&'t [u8]>,
    /// What holds the snap's processes still, where anybody can; and who is held still.
    pub freezer: Option<&'a Freezer<'t>>,
    /// See there.
    pub frozen: Only<Frozen>,
    /// Who directories in a home belong to; in system mode root, or who started us.
    pub user: Owner,
}

/// Trusts what the record and the table call ours, if it still is what is seen there; what only stays, if `staying`.
///
/// # Errors
///
/// One that cannot be looked at, although it may be there: to take it for a foreign one would be to cover it once more.
#[inline(never)]
pub fn trust<'t>(
    plan: &Plan<'t>,
    table: &Table<'t>,
    ground: &mut Ground<'t>,
    staying: bool,
) -> Result<'t, ()> {
    ground.forget();
    let mut done = Ok(());
    plan.each_tmpfs(table, staying, &mut |dir, id| {
        let looked = walk::open(dir, Open::PATH).and_then(|fd| {
            let is_tmpfs = file::magic(&fd)? == FileSystem::TMPFS;
            // Where the id cannot be told, it is what the table showed.
            if is_tmpfs && (id.is_none() || place::mount_id(&fd).is_none_or(|now| Some(now) == id)) {
                ground.trust_device(file::stat(&fd)?.dev);
            }
            Ok(())
        });
        match looked {
            Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => done = Err(Error::call(says!("cannot inspect %q: %e"), dir, errno)),
        }
    });
    done
}

/// Calls `each` for the record's lines of a mimic: that of the tmpfs, and those of its parts.
#[inline(never)]
fn lines_of(plan: &Plan<'_>, at: u32, mimic: &Mimic<'_>, each: &mut dyn FnMut(u16)) {
    each(mimic.line);
    plan.each_part(at, each);
}

impl<'t> Apply<'_, 't> {
    /// Whether what is to be recorded fits a record, before anything is touched.
    pub fn check_room(&self) -> Result<'t, ()> {
        let adopted = self.plan.items.iter().filter(|item| is_adopted(item)).count();
        self.check_room_for(adopted)
    }

    /// Whether what is to be recorded leaves room for so many lines.
    #[inline(never)]
    fn check_room_for(&self, more: usize) -> Result<'t, ()> {
        let lines = self.plan.record.len() + self.plan.mounts.len() + self.results.synthetic.len();
        if lines + more > PROFILE_ENTRIES.max { Err(PROFILE_ENTRIES.exceeded()) } else { Ok(()) }
    }

    /// Holds the snap's processes still from here on, where that is not done already.
    #[inline(never)]
    pub fn freeze(&mut self) -> Result<'t, ()> {
        match self.freezer.take() {
            Some(freezer) => freezer.freeze(&mut self.frozen, &mut self.arena, &mut self.log),
            None => Ok(()),
        }
    }

    /// Performs the plan. What fails is warned of and the rest goes on; the first failure of a layout, or of the
    /// renaming of an instance, is returned. What is recorded afterwards is true in any case.
    pub fn run(&mut self) -> Result<'t, ()> {
        let plan = self.plan.lent();
        self.results.synthetic.clear();
        self.keep_lines();
        for pass in [Pass::Seen, Pass::Hidden, Pass::Again] {
            for removal in plan.removals.iter() {
                match *removal {
                    Removal::Item(at) => {
                        if let Some(item) = plan.items.get(at as usize) {
                            self.remove(item, pass);
                        }
                    }
                    Removal::Mimic(at) => self.remove_mimic(at, false, pass),
                }
            }
            if pass == Pass::Seen {
                for (mimic, at) in plan.mimics.iter().zip(0u32..).filter(|(mimic, _)| mimic.goes.get()) {
                    let copies = self.table.twins(mimic.mount);
                    for _ in 0..copies {
                        self.remove_mimic(at, true, pass);
                    }
                }
            }
        }
        let trusted = match plan.mounts.is_empty() {
            true => Ok(()),
            false => trust(plan, &self.table, &mut self.ground, true),
        };
        if let Err(error) = trusted {
            // Nothing is mounted then; and what was made for what is to come is taken back.
            plan.items.iter().for_each(|item| item.outcome.set(Outcome::Failed(error, 0)));
        }
        let mounted = self.mount_all();
        let done = trusted.and(mounted);
        // What waits beneath comes to light, the outermost first: with that goes what lies on it.
        self.walker.forget();
        for removal in plan.removals.iter().rev() {
            if let Removal::Item(at) = *removal
                && let Some(item) = plan.items.get(at as usize)
            {
                self.remove_replaced(item);
            }
        }
        done
    }

    #[inline(never)]
    fn keep(&mut self, line: u16, stays: bool) {
        let line = usize::from(line);
        if let (Some(kept), Some(entry)) = (self.results.kept.get_mut(line), self.plan.record.get(line)) {
            *kept = stays.then_some(entry.options);
        }
    }

    /// Marks the lines of the record that stay. Those of a mimic that serves another entry from now on name that one; they
    /// keep their place: of two mimics the earlier one lies beneath.
    fn keep_lines(&mut self) {
        let plan = self.plan.lent();
        let kept = &mut self.results.kept;
        kept.clear();
        // As many as there are lines.
        for entry in plan.record {
            let _ = kept.push((entry.origin() == Origin::Rootfs).then_some(entry.options));
        }
        for item in plan.items.iter().filter(|item| item.action == Action::Keep) {
            if let Some(line) = item.record {
                self.keep(line, true);
            }
        }
        for (mimic, at) in plan.mimics.iter().zip(0u32..).filter(|(mimic, _)| !mimic.goes.get()) {
            lines_of(plan, at, mimic, &mut |line| {
                self.keep(line, true);
                if let (Some(heir), Some(Some(options))) =
                    (mimic.heir, self.results.kept.get_mut(usize::from(line)))
                    && let Some(owner) = options.value(b"x-snapd.needed-by")
                {
                    // Without room the next run finds an heir once more.
                    *options = options.replaced(owner, heir, &mut self.arena).unwrap_or(*options);
                }
            });
        }
    }

    #[inline(never)]
    fn warn(&mut self, action: Says, entry: &MountEntry<'t>, error: Error<'t>) {
        self.log.warn(&|line| {
            line.says(says!("cannot change mount namespace according to change "));
            line.says(action);
            entry.write(line);
            line.says(says!("): "));
            error.write(b"", line);
        });
    }

    #[inline(never)]
    fn tell(&mut self, action: Says, entry: &MountEntry<'t>) {
        self.log.debug(&|line| {
            line.says(action);
            entry.write(line);
        });
    }

    /// Takes away what is there of an item, if it is time for that.
    fn remove(&mut self, item: &Item<'t>, pass: Pass) {
        let due = match item.outcome.get() {
            Outcome::Stays => Pass::Again,
            _ if item.hidden => Pass::Hidden,
            _ => Pass::Seen,
        };
        if pass != due {
            return;
        }
        let done = self.try_remove(item, pass);
        self.note(item, done.is_err());
        if let Err(error) = done
            && pass == Pass::Again
        {
            self.warn(says!("unmount ("), item.entry, error);
        }
    }

    /// Takes away what is there of an item; not at once if another is to take the place of its mount.
    #[inline(never)]
    fn try_remove(&mut self, item: &Item<'t>, pass: Pass) -> Result<'t, ()> {
        let plan = self.plan.lent();
        let mut last = None;
        let is_there;
        if self.table.is_empty() || item.mount.is_none() {
            // A link; or what the table does not show, which is not there: what is there then belongs to another entry.
            let is_link = item.kind == Kind::Symlink && plan.leaves_target_of(item);
            let is_wanted = is_link
                && plan.winner(item).is_some_and(|winner| winner.symlink_text() == item.entry.symlink_text());
            is_there = (self.table.is_empty() || item.state != State::Absent) && !is_wanted;
            if !is_there && item.record.is_some() && self.may_come_back(item.entry.dir) {
                // Moved away with its directory, perhaps, to come back later.
                return Err(Error::call(says!("cannot unmount %q: %e"), item.entry.dir, Errno::ENOTDIR));
            }
        } else {
            // All layers of it, from the top; but what another entry has beneath it stays.
            let others = |mount: MountRef| {
                let is_other = |other: &Item<'t>| other.mount == mount && other.mount != item.mount;
                !plan.with_target_of(item).any(is_other)
            };
            let table = self.table.lent();
            let mut layer = item.mount;
            while let Some(line) = table.get(layer).filter(|_| others(layer)) {
                if line.is_marked(marks::OURS)
                    && let Some(above) = core::mem::replace(&mut last, MountId::new(line.id))
                {
                    self.unmount(item, Some(above))?;
                }
                layer = table.beneath(line);
            }
            is_there = last.is_some();
            if self.beneath && item.replaced.get() && is_there {
                item.goes.set(last);
                return Ok(());
            }
        }
        if is_there {
            self.unmount(item, last)?;
        }
        if !plan.leaves_target_of(item) {
            // Of a place on which somebody has mounted nothing is ours any more.
            match self.clean_up(item) {
                Err(error) if error.errno == Errno::EBUSY && pass == Pass::Again => {}
                done => done?,
            }
        }
        self.tell(says!("unmounted "), item.entry);
        Ok(())
    }

    /// Notes whether what is there of an item stays. Then it stays on record, too (L4).
    fn note(&mut self, item: &Item<'t>, stays: bool) {
        item.outcome.set(if stays { Outcome::Stays } else { Outcome::Nothing });
        if let Some(line) = item.record {
            self.keep(line, stays);
        }
    }

    /// The mount that goes when an item's has taken its place.
    #[inline(never)]
    fn replaced(&self, item: &Item<'t>) -> Option<MountId> {
        self.plan.with_target_of(item).find_map(|item| item.goes.get())
    }

    /// Takes away the mounts whose place an item's has taken, or was to take.
    fn remove_all_replaced(&mut self, item: &Item<'t>) {
        let plan = self.plan.lent();
        plan.with_target_of(item).for_each(|item| self.remove_replaced(item));
    }

    /// Takes away the mount of an item whose place another has taken; if it still is there: it may have gone with what
    /// it lay on. It is given up already, and not once more: who looks at that very moment has to begin again, and would be
    /// on his way through it when it goes, and miss what is mounted on it.
    fn remove_replaced(&mut self, item: &Item<'t>) {
        let id = item.goes.take();
        if id.is_none() {
            return;
        }
        self.walker.changed(item.entry.dir);
        let done = match self.walker.open(item.entry.dir) {
            Ok(top) if place::mount_id(&top) == id => mount::detach(&top),
            Ok(_) | Err(Errno::ENOENT) => return,
            Err(errno) => Err(errno),
        };
        match done {
            Ok(()) => self.tell(says!("unmounted "), item.entry),
            Err(errno) => {
                self.warn(
                    says!("unmount ("),
                    item.entry,
                    Error::call(says!("cannot unmount %q: %e"), item.entry.dir, errno),
                );
                self.note(item, true);
            }
        }
    }

    /// See [`survey::may_be_there`].
    fn may_come_back(&self, dir: &[u8]) -> bool {
        survey::may_be_there(dir, &self.table, &self.ground, &self.walker)
    }

    /// Takes away a mimic, if it is time for that, or a copy of it; it stays on record while something else lies on it.
    fn remove_mimic(&mut self, at: u32, copy: bool, pass: Pass) {
        let plan = self.plan.lent();
        let Some(mimic) = plan.mimics.get(at as usize) else { return };
        let Some(entry) = plan.line(mimic.line) else { return };
        // One that stayed may have lain beneath an entry that another mimic hid.
        let stays = matches!(self.results.kept.get(usize::from(mimic.line)), Some(Some(_)));
        if !copy && stays == (pass == Pass::Seen) {
            return;
        }
        let mount = self.table.get(mimic.mount).filter(|_| !copy);
        // What the table does not show is not there: what is there then was there before.
        let is_gone = mount.is_none() && !copy && !self.table.is_empty();
        let done = if is_gone {
            Ok(())
        } else {
            self.take_away(entry, None, mount.and_then(|mount| MountId::new(mount.id)))
        };
        if let Err(errno) = done
            && errno != Errno::NONE
            && pass == Pass::Again
        {
            // What is still to be mounted there is mounted in it: another one on top would hide it from the next run.
            mimic.goes.set(false);
            self.warn(
                says!("unmount ("),
                entry,
                Error::call(says!("cannot unmount %q: %e"), entry.dir, errno),
            );
        }
        let stays = done.is_err();
        if !stays && !copy {
            self.tell(says!("unmounted "), entry);
        }
        lines_of(plan, at, mimic, &mut |line| self.keep(line, stays));
    }

    fn mount_all(&mut self) -> Result<'t, ()> {
        let plan = self.plan.lent();
        let step = |list: &[u64], place: usize| {
            let at = *list.get(place)?;
            plan.items.get(at as usize)
        };
        let mut fatal: Option<Error<'t>> = None;
        let (mut start, mut ready) = (0, 0);
        while let Some(first) = step(&plan.schedule, start) {
            let round = first.round();
            // Targets first, as soon as what lies above them is mounted: so mimics are there before anything is mounted
            // in the directories that they cover. Sources have to wait for what makes them.
            while let Some(item) = step(&plan.readying, ready)
                && item.opens.get() <= round
            {
                self.make_ready(item, false);
                ready += 1;
            }
            let mut end = start;
            while let Some(item) = step(&plan.schedule, end)
                && item.round() == round
            {
                self.make_ready(item, true);
                end += 1;
            }
            let mut class = first.class;
            while start < end
                && let Some(item) = step(&plan.schedule, start)
            {
                class = item.class;
                self.mount_one(item, &mut fatal);
                start += 1;
            }
            // Without the renaming of the instance everything else would go to the wrong place.
            if fatal.is_some() && class == Class::Overname {
                break;
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    /// Makes ready the target of an item, or its source behind that. Nothing is looked at where that was done already;
    /// but sources of layouts may have to be made, and that before anything is mounted.
    fn make_ready(&mut self, item: &Item<'t>, source: bool) {
        let mut ready = Ready::default();
        let done = match (source, item.outcome.get()) {
            (false, Outcome::Nothing) if item.entry.is_too_long() => Err(Some(WRITTEN_ENTRY.exceeded())),
            (false, Outcome::Nothing) => {
                self.prepare_target(item, item.is_seen()).map(|target| ready.target = target)
            }
            (true, Outcome::Ready(target)) if !item.is_seen() || item.class == Class::Layout => {
                ready = target;
                self.prepare_source(item, &mut ready)
            }
            _ => return,
        };
        let outcome = match done {
            Ok(()) => Outcome::Ready(ready),
            Err(None) if ready.target == 0 => Outcome::Nothing,
            Err(None) => Outcome::Mounted(ready.target),
            Err(Some(error)) => Outcome::Failed(error, ready.target),
        };
        item.outcome.set(outcome);
    }

    /// Mounts what is ready, and reports what is not; the error of the first entry that must not fail by `fatal`, to
    /// be said on standard output in the end.
    #[inline(never)]
    fn mount_one(&mut self, item: &Item<'t>, fatal: &mut Option<Error<'t>>) {
        let mut left = 0;
        let old = self.replaced(item);
        let mut outcome = item.outcome.get();
        if old.is_none()
            && !self.table.is_empty()
            && !self.plan.is_new(item)
            && self.may_come_back(item.entry.dir)
        {
            let error = Error::call(says!("cannot mount at %q: %e"), item.entry.dir, Errno::ESTALE);
            outcome = Outcome::Failed(error, 0);
        }
        let done = match outcome {
            Outcome::Failed(error, made) => {
                left = made;
                Err(Some(error))
            }
            Outcome::Ready(ready) => self.try_mount(item, old, ready, &mut left),
            _ => return,
        };
        let error = match done {
            Ok(()) => {
                item.outcome.set(Outcome::Mounted(left));
                return self.tell(says!("mounted "), item.entry);
            }
            Err(None) => return item.outcome.set(Outcome::Nothing),
            Err(Some(error)) => error,
        };
        // What is left is on record, so that the next run takes it back.
        item.outcome.set(if left == 0 { Outcome::Nothing } else { Outcome::Mounted(left) });
        // It may have been there all the time.
        if let Some(line) = item.record
            && self.may_come_back(item.entry.dir)
        {
            self.keep(line, true);
        }
        // Nothing takes the place of what was there, and what is mounted on that would go with it.
        self.remove_all_replaced(item);
        // Made for another entry with this target, and left for this one: it is on no record any more.
        if self.notes.find(item.entry.dir) == Some(true) && self.clean_up(item).is_err() && left == 0 {
            item.outcome.set(Outcome::Left);
        }
        if item.class != Class::Interface && fatal.is_none() {
            *fatal = Some(error);
        } else {
            self.warn(says!("mount ("), item.entry, error);
        }
    }

    /// Mounts what is ready; what is left of the target's path is what was made of it, or on failure what could not be taken
    /// back.
    fn try_mount(
        &mut self,
        item: &Item<'t>,
        old: Option<MountId>,
        mut ready: Ready,
        left: &mut Made,
    ) -> core::result::Result<(), Option<Error<'t>>> {
        let mut seen = item.is_seen();
        let error = loop {
            let error = match self.perform(item, old) {
                Ok(()) => {
                    *left = ready.target;
                    return Ok(());
                }
                Err(error) => error,
            };
            if !seen || !matches!(error.errno, Errno::NONE | Errno::ENOENT | Errno::ENOTDIR) {
                break Some(error);
            }
            // Something is not as it was seen: step by step, then, and with the right words.
            seen = false;
            match self.prepare_target(item, false) {
                Ok(target) => ready.target = ready.target.max(target),
                Err(failed) => break failed,
            }
            if let Err(failed) = self.prepare_source(item, &mut ready) {
                *left = ready.target;
                return Err(failed);
            }
        };
        *left = self.take_back(item, ready);
        Err(error)
    }

    /// Writes the new record: the lines that stay, in their old order; then, class by class, all new synthetic
    /// entries and all new entries. Or the new notes: of every entry on record of which something is known, and of what is left
    /// for one that failed.
    pub fn write(&self, notes: bool, w: &mut dyn Out) {
        self.each_recorded(notes, &mut |entry, was_noted, made| {
            if !notes {
                entry.write(w);
                w.put(b"\n");
                return;
            }
            let noted = if was_noted { self.notes.find(entry.dir) } else { None };
            if let Some(made) = noted.or(made) {
                Notes::write(w, entry.dir, made);
            }
        });
    }

    /// Calls `each` for every entry that is on record from now on, or only in the `notes`, with what is known of its target,
    /// whether it was made for it: what former runs have noted, if they may have; else what follows.
    fn each_recorded(&self, notes: bool, each: &mut dyn FnMut(&MountEntry<'t>, bool, Option<bool>)) {
        for (entry, kept) in self.plan.record.iter().zip(self.results.kept.iter()) {
            if let Some(options) = *kept {
                each(&MountEntry { options, ..*entry }, !entry.is_synthetic(), None);
            }
        }
        for class in &Class::ALL {
            for (of, entry) in self.results.synthetic.iter() {
                if of == class {
                    each(entry, false, None);
                }
            }
            for item in self.plan.items.iter() {
                if item.class == *class && is_adopted(item) {
                    each(item.entry, true, Some(false));
                }
            }
            for at in self.plan.mounts.iter() {
                let Some(item) = self.plan.items.get(*at as usize).filter(|item| item.class == *class) else {
                    continue;
                };
                match item.outcome.get() {
                    Outcome::Mounted(target) => {
                        // What was made for it once is still made for it, if it does not go with a mimic; what nobody knows
                        // stays unknown.
                        let is_made = target > 0;
                        let anew = is_made || self.plan.is_uncovered(item);
                        each(item.entry, !anew, (anew || self.plan.is_new(item)).then_some(is_made));
                    }
                    Outcome::Left if notes => each(item.entry, true, None),
                    _ => {}
                }
            }
        }
    }
}

/// Whether an item is in effect, and comes on record by that.
fn is_adopted(item: &Item<'_>) -> bool {
    item.record.is_none() && item.action == Action::Keep
}
