// SPDX-License-Identifier: GPL-3.0-only
//! The story of a run, from top to bottom.
#![forbid(unsafe_code)]

use crate::apply::create::Owner;
use crate::apply::ground::{self, Ground};
use crate::apply::notes::{self, Notes};
use crate::apply::walk::Walker;
use crate::apply::{self, Apply, Results, save, survey};
use crate::error::{Errno, Error, Result, Within};
use crate::invocation::{self, Invocation, Names};
use crate::kernel::file::{self, Open};
use crate::kernel::process::{self, Variable};
use crate::limits::MEMORY;
use crate::log::{self, Log, Run};

use crate::mount::MountEntry;
use crate::mount::profile::{self, ExpandFault};
use crate::mount::table::{self, Table};
use crate::namespace::freezer::{self, Freezer, Frozen};
use crate::namespace::{enter, identity, lock};
use crate::plan::{self, Action, Plan, Profile};
use crate::text::arena::{Arena, Full};
use crate::text::{Out, path, write_number, write_quoted};

/// The profiles as they are read.
pub struct Profiles<'t> {
    desired: Profile<'t>,
    record: Profile<'t>,
}

impl Profiles<'_> {
    /// Empty ones.
    pub const fn new() -> Self {
        Profiles { desired: Profile::new(), record: Profile::new() }
    }
}

impl Default for Profiles<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// All memory of the program besides what is read; lives in `.bss`.
pub struct Memory<'t> {
    plan: plan::Memory<'t>,
    table: table::Memory<'t>,
    ground: ground::Memory<'t>,
    notes: notes::List<'t>,
    results: Results<'t>,
}

/// What is known in a run.
struct World<'t> {
    plan: Plan<'t>,
    table: Table<'t>,
    ground: Ground<'t>,
    notes: Notes<'t>,
    results: &'t mut Results<'t>,
    walker: Walker,
}

impl Memory<'_> {
    /// Empty memory.
    pub const fn new() -> Self {
        Memory {
            plan: plan::Memory::new(),
            table: table::Memory::new(),
            ground: ground::Memory::new(),
            notes: notes::List::new(),
            results: Results::new(),
        }
    }
}

impl Default for Memory<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> World<'t> {
    fn new(memory: &'t mut Memory<'t>) -> Self {
        let Memory { plan, table, ground, notes, results } = memory;
        World {
            plan: Plan::new(plan),
            table: Table::new(table),
            ground: Ground::new(ground),
            notes: Notes::new(notes),
            results,
            walker: Walker::new(),
        }
    }
}

fn full<'t>(_: Full) -> Error<'t> {
    MEMORY.exceeded()
}

/// Does what the arguments (without the program's name) ask for, and says what stands in the way of that. True on
/// success; that there is no namespace is success.
pub fn run<'t>(
    args: impl Iterator<Item = &'t [u8]>,
    profiles: &'t mut Profiles<'t>,
    memory: &'t mut Memory<'t>,
    arena: &mut Arena<'t>,
) -> bool {
    process::hold_broken_pipe();
    let mut instance: &[u8] = b"";
    let done =
        identity::require_capabilities().and_then(|()| invocation::parse(args)).and_then(|invocation| {
            instance = invocation.instance;
            update(invocation, profiles, &mut World::new(memory), arena)
        });
    if let Err(error) = &done {
        log::fatal(error, instance);
    }
    done.is_ok()
}

fn update<'t>(
    invocation: Invocation<'t>,
    profiles: &'t mut Profiles<'t>,
    world: &mut World<'t>,
    arena: &mut Arena<'t>,
) -> Result<'t, ()> {
    if invocation.uid.is_some() {
        return Err(Error::plain("cannot update the mount namespace of a user: option -u is not supported"));
    }
    let names = invocation.names(process::real_uid(), arena).map_err(full)?;
    match invocation.user_mounts {
        true => {
            identity::become_user()?;
            user(&names, &mut profiles.desired, world, arena, open_log(&invocation, &names))
        }
        false => system(invocation, &names, profiles, world, arena),
    }
}

fn open_log(invocation: &Invocation<'_>, names: &Names<'_>) -> Log {
    let mut log = Log::from_surroundings();
    let run = Run {
        instance: invocation.instance,
        from_snap_confine: invocation.from_snap_confine,
        user_mounts: invocation.user_mounts,
    };
    log.open_file(names.log, process::real_uid(), run);
    log
}

/// Brings the snap's namespace to its desired profile, and records that.
fn system<'t>(
    invocation: Invocation<'t>,
    names: &Names<'t>,
    profiles: &'t mut Profiles<'t>,
    world: &mut World<'t>,
    arena: &mut Arena<'t>,
) -> Result<'t, ()> {
    let instance = invocation.instance;
    let joins = !invocation.from_snap_confine;
    if joins && !enter::look(names.namespace)? {
        return Ok(());
    }
    // The lock comes before the namespace: while others hold it they may put another namespace in its place (L31).
    let _held = lock::acquire(names.lock_dir, names.lock, invocation.from_snap_confine)?;
    if joins && !enter::join(names.namespace)? {
        return Ok(());
    }
    let freezer = Freezer::new(freezer::ROOT, instance)?;
    let mut log = open_log(&invocation, names);
    process::clear_umask();
    let _signals = process::hold_signals();
    freezer.release_stale(&mut log);

    let World { plan, table, ground, notes, results, walker } = world;
    read_profile(names.desired, &mut profiles.desired, arena)
        .map_err(|e| e.within(Within::LoadingDesired))?;
    let recorded = read_profile(names.record, &mut profiles.record, arena)
        .map_err(|e| e.within(Within::LoadingRecord))?;
    let notes_name = arena.concat(&[names.record_name, notes::SUFFIX]).map_err(full)?;
    let notes_path = arena.concat(&[names.record, notes::SUFFIX]).map_err(full)?;
    let mut noted: &[u8] = b"";
    // Notes that cannot be read are no notes.
    if let Ok(Some(text)) = survey::read(notes_path, arena) {
        noted = arena.concat(&[text]).map_err(full)?;
        notes.parse(text);
    }

    plan.begin(&profiles.record, &profiles.desired);
    ground.set_free(&free_paths(&invocation, arena)?);
    make_plan(plan, table, ground, walker, arena, &mut log)?;

    let confined = invocation.from_snap_confine;
    let user = Owner { uid: process::effective_uid(), gid: 0 };
    let changes = plan.changes_anything();
    let mut apply =
        Apply { plan, table, ground, notes, results, arena, log: &mut log, walker, confined, user };
    apply.check_room()?;
    let mut frozen = Frozen::new();
    if changes {
        freezer.freeze(&mut frozen, apply.arena, apply.log)?;
    }
    let done = apply.run();
    let saved = save_record(&apply, names, recorded, noted, (notes_name, notes_path));
    frozen.thaw(apply.log);
    done?;
    saved.map_err(|e| e.within(Within::SavingRecord))
}

/// Saves the truth, also after a failure; what is on disk already is not written again.
fn save_record<'t>(
    apply: &Apply<'_, 't>,
    names: &Names<'t>,
    recorded: Option<&[u8]>,
    noted: &[u8],
    (notes_name, notes_path): (&[u8], &'t [u8]),
) -> Result<'t, ()> {
    // The notes first: a note without its entry does no harm.
    if !save::is_same(noted, &|w| apply.write_notes(w)) {
        save::replace(names.record_dir, notes_name, notes_path, &|w| apply.write_notes(w))?;
    }
    match recorded {
        Some(recorded) if save::is_same(recorded, &|w| apply.write_record(w)) => Ok(()),
        _ => save::replace(names.record_dir, names.record_name, names.record, &|w| apply.write_record(w)),
    }
}

/// Applies the user's own mounts to the namespace of one program that is about to start. Nothing is recorded.
fn user<'t>(
    names: &Names<'t>,
    desired: &'t mut Profile<'t>,
    world: &mut World<'t>,
    arena: &mut Arena<'t>,
    mut log: Log,
) -> Result<'t, ()> {
    process::clear_umask();
    let (uid, gid) = (process::real_uid(), process::real_gid());
    let home = home();

    let World { plan, table, ground, notes, results, walker } = world;
    read_profile(names.desired, desired, arena).map_err(|e| e.within(Within::LoadingDesired))?;
    let mut digits = heapless::Vec::<u8, 20>::new();
    write_number(&mut digits, uid.into());
    let runtime_dir = arena.concat(&[b"/run/user/", &digits]).map_err(full)?;
    for entry in &mut *desired {
        match profile::expand(*entry, home.ok(), runtime_dir, arena) {
            Ok(expanded) => *entry = expanded,
            Err(ExpandFault::Full) => return Err(MEMORY.exceeded()),
            Err(ExpandFault::NoHome) => return Err(bad_home(entry, home, arena)),
        }
    }
    plan.begin(&[], desired);
    if let Ok(home) = home {
        ground.set_free(&[home]);
    }
    make_plan(plan, table, ground, walker, arena, &mut log)?;
    let user = Owner { uid, gid };
    let mut apply =
        Apply { plan, table, ground, notes, results, arena, log: &mut log, walker, confined: true, user };
    apply.check_room()?;
    apply.run()
}

/// The questions and the moves of a plan, in their order.
fn make_plan<'t>(
    plan: &mut Plan<'t>,
    table: &mut Table<'t>,
    ground: &mut Ground<'t>,
    walker: &Walker,
    arena: &mut Arena<'t>,
    log: &mut Log,
) -> Result<'t, ()> {
    survey::mounts(plan, table, arena, log)?;
    plan.judge(table);
    apply::trust(plan, table, ground, false);
    survey::targets(plan, ground, walker);
    plan.decide();
    say_conflicts(plan, log);
    if log.is_debug() {
        plan.each_line(&mut |verb, entry, about| {
            log.debug(&|line| {
                line.put(b"plan: ");
                line.put(verb.as_bytes());
                line.put(b" ");
                entry.write(line);
                if !about.is_empty() {
                    line.put(if verb == "mount" { b"  # over " } else { b"  # for " });
                    line.put(about);
                }
            });
        });
    }
    Ok(())
}

/// Says which desired entries cannot be honoured, or not wholly.
fn say_conflicts(plan: &Plan<'_>, log: &mut Log) {
    for item in plan.items.iter().filter(|item| item.desired) {
        let entry = item.entry;
        let (says, winner) = match item.action {
            Action::Unknown => ("cannot mount an entry of unknown kind: ", None),
            Action::Duplicate => match plan.winner(item).filter(|winner| !winner.same(entry)) {
                None => continue,
                winner => ("cannot mount on a target that an earlier entry has: ", winner),
            },
            Action::Mount(_) if entry.is_bind() && entry.options.ignored_on_bind().next().is_some() => {
                ("a bind mount cannot honour all options of ", None)
            }
            _ => continue,
        };
        log.warn(&|line| {
            line.put(says.as_bytes());
            entry.write(line);
            if let Some(winner) = winner {
                line.put(b"; it has ");
                winner.write(line);
            }
        });
    }
}

/// Reads a profile; a missing one is empty. What is returned is its text as it was, for comparing.
fn read_profile<'t>(
    at: &'t [u8],
    into: &mut Profile<'t>,
    arena: &mut Arena<'t>,
) -> Result<'t, Option<&'t [u8]>> {
    into.clear();
    let Some(text) = survey::read(at, arena)? else { return Ok(None) };
    let before = arena.concat(&[text]).map_err(full)?;
    profile::parse(text, into)?;
    Ok(Some(before))
}

/// Where the system's update may create names: the snap's own places, and those shared by design.
fn free_paths<'t>(invocation: &Invocation<'t>, arena: &mut Arena<'t>) -> Result<'t, [&'t [u8]; 7]> {
    let of_instance = arena.concat(&[b"/snap/", invocation.instance]).map_err(full)?;
    let of_snap = match invocation.instance_key() {
        Some(_) => arena.concat(&[b"/snap/", invocation.snap_name()]).map_err(full)?,
        None => of_instance,
    };
    Ok([
        b"/tmp",
        b"/var/snap",
        of_instance,
        of_snap,
        b"/dev/shm",
        b"/run/systemd",
        b"/var/lib/snapd/hostfs/tmp",
    ])
}

/// Why a home directory cannot be used.
#[derive(Clone, Copy)]
struct BadHome {
    value: &'static [u8],
    rule: &'static str,
    errno: Errno,
}

/// The user's home, as snap-confine names it.
fn home() -> core::result::Result<&'static [u8], BadHome> {
    let value = process::variable(Variable::RealHome).unwrap_or_default();
    let bad = |rule| Err(BadHome { value, rule, errno: Errno::NONE });
    if value.is_empty() {
        return bad("cannot allow empty path");
    }
    if !path::is_clean(value) {
        return bad("cannot allow unclean path");
    }
    if !path::is_absolute(value) {
        return bad("cannot allow relative path");
    }
    match file::open(value, Open::READ_DIR, 0) {
        Ok(_) => Ok(value),
        Err(Errno::ELOOP) => Err(BadHome { value, rule: "", errno: Errno::ENOTDIR }),
        Err(errno) => Err(BadHome { value, rule: "", errno }),
    }
}

fn bad_home<'t>(
    entry: &MountEntry<'t>,
    home: core::result::Result<&'static [u8], BadHome>,
    arena: &mut Arena<'t>,
) -> Error<'t> {
    let Err(bad) = home else { return Error::plain("") };
    struct Free<'f>(&'f mut [u8], usize);
    impl Out for Free<'_> {
        fn put(&mut self, bytes: &[u8]) {
            for (to, from) in self.0.iter_mut().skip(self.1).zip(bytes) {
                *to = *from;
                self.1 += 1;
            }
        }
    }
    let mut free = Free(arena.free(), 0);
    entry.write(&mut free);
    free.put(b"): cannot use invalid home directory ");
    write_quoted(&mut free, bad.value);
    free.put(b": ");
    free.put(bad.rule.as_bytes());
    let len = free.1;
    let text: &'t [u8] = arena.take(len).map_or(b"", |text| text);
    let says = if bad.errno == Errno::NONE {
        "cannot expand mount entry (%s"
    } else {
        "cannot expand mount entry (%s%e"
    };
    Error::call(says, text, bad.errno)
}
