// SPDX-License-Identifier: GPL-3.0-only
//! The story of a run, from top to bottom.
#![forbid(unsafe_code)]

use core::mem::ManuallyDrop;

use crate::apply::create::Owner;
use crate::apply::ground::Ground;
use crate::apply::mimic;
use crate::apply::notes::{self, Notes};
use crate::apply::survey::{self, Text};
use crate::apply::walk::Walker;
use crate::apply::{self, Apply, Results, save};
use crate::error::{Errno, Error, Result, Says, Within, compose, says};
use crate::invocation::{Invocation, Name, Names};
use crate::kernel::file::{self, Open};
use crate::kernel::mount;
use crate::kernel::only::Only;
use crate::kernel::process::{self, Variable};
use crate::limits::MEMORY;
use crate::log::{self, Log};

use crate::mount::MountEntry;
use crate::mount::profile::{self, ExpandFault};
use crate::mount::table::Table;
use crate::namespace::freezer::{self, Freezer, Frozen};
use crate::namespace::{enter, identity, lock};
use crate::plan::{Action, Plan, Profile, State, Step};
use crate::text::arena::Arena;
use crate::text::{lines, path, split};

/// What a run works with; there is nothing in it yet.
#[allow(missing_docs, reason = "the types tell")]
pub struct Run {
    pub desired: &'static mut Profile<'static>,
    pub record: &'static mut Profile<'static>,
    pub work: Work,
}

/// What a plan is made of, and performed with.
#[allow(missing_docs, reason = "the types tell")]
pub struct Work {
    pub plan: Only<Plan<'static>>,
    pub table: Only<Table<'static>>,
    pub notes: Only<Notes<'static>>,
    pub results: Only<Results<'static>>,
    pub arena: Only<Arena<'static>>,
    pub log: Only<Log>,
    pub ground: Only<Ground<'static>>,
    pub walker: Only<Walker<'static>>,
    pub frozen: Only<Frozen>,
}

/// Does what the arguments (without the program's name) ask for, and says what stands in the way of that. True on
/// success; that there is no namespace is success.
pub fn run(args: impl Iterator<Item = &'static [u8]>, run: Run) -> bool {
    let mut args = args;
    let mut invocation = Invocation::default();
    let done = identity::require_capabilities()
        .and_then(|()| invocation.read(&mut args))
        .and_then(|()| update(&invocation, run));
    if let Err(error) = done {
        log::fatal(error, invocation.instance);
    }
    done.is_ok()
}

/// Says that not even our own name is among the arguments.
pub fn refuse_nameless() {
    log::fatal(Error::plain(says!("argv0 is corrupted")), b"");
}

fn update(invocation: &Invocation<'static>, mut run: Run) -> Result<'static, ()> {
    if invocation.has_uid {
        return Err(Error::plain(says!(
            "cannot update the mount namespace of a user: option -u is not supported"
        )));
    }
    let uid = if invocation.user_mounts { process::real_uid() } else { 0 };
    let names = Names::new(invocation.names(uid, &mut run.work.arena)?);
    match invocation.user_mounts {
        true => {
            process::hold_broken_pipe();
            identity::become_user()?;
            open_log(invocation, &names, uid, &mut run.work);
            user(&names, uid, run)
        }
        false => system(invocation, &names, run),
    }
}

fn open_log(invocation: &Invocation<'_>, names: &Names<'_>, owner: u32, work: &mut Work) {
    let log = &mut *work.log;
    *log = Log::from_surroundings(work.arena.free());
    let run = log::Run {
        instance: invocation.instance,
        from_snap_confine: invocation.from_snap_confine,
        user_mounts: invocation.user_mounts,
    };
    log.open_file(names.get(Name::Log), owner, run);
}

/// Brings the snap's namespace to its desired profile, and records that.
#[inline(never)]
fn system(invocation: &Invocation<'static>, names: &Names<'static>, run: Run) -> Result<'static, ()> {
    let Run { desired, record: recorded, mut work } = run;
    let instance = invocation.instance;
    let joins = !invocation.from_snap_confine;
    if joins && !enter::find(names.get(Name::Namespace), false)? {
        return Ok(());
    }
    // The lock comes before the namespace: while others hold it they may put another namespace in its place (L31).
    // It ends with the process, after everything else.
    let _held = ManuallyDrop::new(lock::acquire(names.get(Name::Lock), invocation.from_snap_confine)?);
    // What is desired is read on the host: a mimic over `/var/lib` that a kill left half-filled hides it in the namespace.
    read_profile(
        &mut Text::new(names.get(Name::Desired)),
        desired,
        0,
        &mut work.arena,
        Within::LoadingDesired,
    )?;
    if joins && !enter::find(names.get(Name::Namespace), true)? {
        return Ok(());
    }
    let freezer = Freezer::new(freezer::ROOT, instance)?;
    open_log(invocation, names, 0, &mut work);
    process::hold_signals();
    freezer.release_stale(&mut work.arena, &mut work.log);

    let mut old = Old {
        record: Text::new(names.get(Name::Record)),
        notes: Text { before: Some(b""), ..Text::new(names.get(Name::Notes)) },
    };
    let noted = old.notes.read(true, &mut work.arena).or_else(|_| old.notes.read(true, &mut work.arena));
    let intents = lines(old.notes.text);
    read_profile(&mut old.record, recorded, intents, &mut work.arena, Within::LoadingRecord)?;
    work.plan.recorded = recorded.len();
    // What can never be read is no notes. After any other failure all would count as never noted.
    match noted {
        Err(error) if matches!(error.errno, Errno::EIO | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) => {
            return Err(error.within(Within::LoadingRecord));
        }
        _ => {
            let text = core::mem::take(&mut old.notes.text);
            let walker = &mut work.walker;
            work.notes.parse(
                text,
                recorded,
                old.record.version,
                &mut work.arena,
                &mut |entry, made, arena| {
                    // In a namespace that is gone with the one who intended it; but not what he had made.
                    if !joins {
                        mimic::forget(entry, made, walker, arena);
                    }
                },
            );
        }
    }
    // The namespace that snap-confine has just made holds none of our mounts; a record without its root is that of an earlier
    // one, which ended before it was complete.
    if !joins && recorded.iter().all(|line| line.dir != b"/") {
        recorded.clear();
    }
    work.plan.begin(recorded, desired, &mut work.arena);
    work.ground.free = split(compose(FREE, instance, invocation.snap_name(), &mut work.arena)?, b' ');
    // Who is asked later, and only if anything is mounted.
    let user = Owner { uid: 0, gid: 0 };
    carry_out(work, invocation.from_snap_confine, user, Some((&freezer, &old)))
}

/// The system's own places that are the snap's, and those shared by design; the snap's directory by the name of its instance
/// and by its own.
const FREE: Says = says!("/tmp /var/snap /dev/shm /run/systemd /var/lib/snapd/hostfs/tmp /snap/%s /snap/%b");

/// What was on disk.
struct Old<'t> {
    record: Text<'t>,
    notes: Text<'t>,
}

/// Makes the plan and performs it, in system mode on processes that are held still; and records what came of it.
#[inline(never)]
fn carry_out(
    work: Work,
    confined: bool,
    user: Owner,
    system: Option<(&Freezer<'static>, &Old<'static>)>,
) -> Result<'static, ()> {
    let Work { mut plan, mut table, notes, mut results, mut arena, mut log, .. } = work;
    let Work { mut ground, mut walker, frozen, .. } = work;
    make_plan(&mut plan, &mut table, &mut ground, &mut walker, &mut arena, &mut log, confined)?;
    results.claim(&plan, &mut arena);
    arena.check()?;
    let (fresh_calls, journal) = (!confined, None);
    let beneath = fresh_calls && plan.changes_anything() && mount::can_attach_beneath();
    let apply = &mut Apply {
        plan: plan.share(),
        table: table.share(),
        ground,
        notes: notes.share(),
        results,
        arena,
        log,
        walker,
        confined,
        fresh_calls,
        beneath,
        journal,
        freezer: system.map(|(freezer, _)| freezer),
        frozen,
        user,
    };
    apply.check_room()?;
    let Some((_, old)) = system else { return apply.run() };
    let name = old.notes.at;
    if apply.plan.changes_anything() {
        process::clear_umask();
        apply.user.uid = process::effective_uid();
        // What a kill would leave is known to the next run.
        save::append(name, &|w| notes::write_intents(&apply.plan, old.record.version, w)).map_err(saving)?;
        apply.journal = Some(name);
        // With the calls of old there is one in almost everything.
        if !fresh_calls || apply.plan.has_gap(beneath, &|| fresh_calls && mount::can_mount_aside()) {
            apply.freeze()?;
        }
    }
    let done = apply.run();
    apply.frozen.thaw(&mut apply.arena, &mut apply.log);
    // snap-confine gives up, and the namespace with it.
    if confined {
        done?;
    }
    // The truth, also after a failure. The record first: what was intended counts until it is true. Where nothing was, the
    // notes: without them an entry counts as another version's.
    let notes_first = apply.journal.is_none();
    let saved =
        record(apply, old, notes_first).and_then(|()| record(apply, old, !notes_first)).map_err(saving);
    if let (Err(_), Err(unsaved)) = (&done, &saved) {
        apply.log.warning(*unsaved);
    }
    done?;
    saved
}

/// Saves the new record, or the notes beside it.
#[inline(never)]
fn record<'t>(apply: &Apply<'_, 't>, old: &Old<'t>, notes: bool) -> Result<'t, ()> {
    let file = if notes { &old.notes } else { &old.record };
    // What was noted in this run is behind what was there before.
    let before = file.before.filter(|_| !notes || apply.journal.is_none());
    save::update(file.at, before, &|w| apply.write(notes, w))
}

fn saving(error: Error<'_>) -> Error<'_> {
    error.within(Within::SavingRecord)
}

/// Applies the user's own mounts to the namespace of one program that is about to start. Nothing is recorded.
fn user(names: &Names<'static>, uid: u32, run: Run) -> Result<'static, ()> {
    let Run { desired, mut work, .. } = run;
    let arena = &mut *work.arena;
    process::clear_umask();
    let gid = process::real_gid();
    let home = home();
    let usable = home.ok();

    read_profile(&mut Text::new(names.get(Name::Desired)), desired, 0, arena, Within::LoadingDesired)?;
    for entry in desired.iter_mut() {
        match profile::expand_in_place(entry, usable, names.get(Name::RuntimeDir), arena) {
            Ok(()) => {}
            Err(ExpandFault::Full) => return Err(MEMORY.exceeded()),
            Err(ExpandFault::NoHome) => {
                return Err(home.map_or_else(|bad| bad_home(entry, bad, arena), |_| MEMORY.exceeded()));
            }
        }
    }
    work.plan.begin(&[], desired, arena);
    if let Some(home) = usable {
        work.ground.free = split(home, 0);
    }
    carry_out(work, true, Owner { uid, gid }, None)
}

/// The questions and the moves of a plan, in their order.
#[inline(never)]
fn make_plan<'t>(
    plan: &mut Plan<'t>,
    table: &mut Table<'t>,
    ground: &mut Ground<'t>,
    walker: &mut Walker<'t>,
    arena: &mut Arena<'t>,
    log: &mut Log,
    confined: bool,
) -> Result<'t, ()> {
    // Where nothing of ours can be, nobody has to look: AppArmor would refuse it, and log that, at every start.
    let asks = if confined { plan.record.len() > 1 } else { !survey::all_is_settled(plan) };
    if asks {
        survey::mounts(plan, table, ground, walker, arena, log, confined)?;
    }
    plan.judge(table);
    if plan.misses_anything() {
        apply::trust(plan, table, ground, false)?;
        survey::targets(plan, ground, walker);
    }
    plan.decide();
    say_conflicts(plan, log);
    if log.is_debug() {
        plan.each_line(&mut |step, entry, about| {
            log.debug(&|line| {
                line.says(step.says());
                entry.write(line);
                if let Some(about @ [_, ..]) = about {
                    line.says(if step == Step::Mount { says!("  # over ") } else { says!("  # for ") });
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
            Action::Unknown => (says!("cannot mount an entry of unknown kind: "), None),
            Action::Duplicate => match plan.winner(item).filter(|winner| !winner.same(entry)) {
                None => continue,
                winner => (says!("cannot mount on a target that an earlier entry has: "), winner),
            },
            Action::Mount(_) if item.state == State::Absent && item.mount.is_some() => {
                log.detail(Error::about(
                    says!("mounting over what somebody else has mounted at %q"),
                    entry.dir,
                ));
                continue;
            }
            Action::Mount(_) if entry.is_bind() && entry.options.ignored_on_bind().next().is_some() => {
                (says!("a bind mount cannot honour all options of "), None)
            }
            _ => continue,
        };
        log.warn(&|line| {
            line.says(says);
            entry.write(line);
            if let Some(winner) = winner {
                line.says(says!("; it has "));
                winner.write(line);
            }
        });
    }
}

/// Reads a profile; a missing one is empty. Behind it there is room for so many `more` entries.
fn read_profile<'t>(
    file: &mut Text<'t>,
    into: &mut Profile<'t>,
    more: usize,
    arena: &mut Arena<'t>,
    loading: Within,
) -> Result<'t, ()> {
    file.read(matches!(loading, Within::LoadingRecord), arena)
        .and_then(|()| {
            into.claim(lines(file.text) + more, arena);
            arena.check()?;
            profile::parse(core::mem::take(&mut file.text), into)
        })
        .map_err(|error| error.within(loading))
}

/// The user's home, as snap-confine names it; or why it cannot be used.
fn home() -> Result<'static, &'static [u8]> {
    let value = process::variable(Variable::RealHome).unwrap_or_default();
    let mut errno = Errno::NONE;
    let says = if value.is_empty() {
        says!("cannot allow empty path")
    } else if !path::is_clean(value) {
        says!("cannot allow unclean path")
    } else if !path::is_absolute(value) {
        says!("cannot allow relative path")
    } else {
        errno = match file::open(value, Open::READ_DIR) {
            Ok(_) => return Ok(value),
            Err(Errno::ELOOP) => Errno::ENOTDIR,
            Err(errno) => errno,
        };
        says!("%e")
    };
    Err(Error::call(says, value, errno).within(Within::UsingHome))
}

fn bad_home<'t>(entry: &MountEntry<'t>, bad: Error<'_>, arena: &mut Arena<'t>) -> Error<'t> {
    let text = arena.write(&|out| {
        entry.write(out);
        bad.write(b"", out);
    });
    Error::about(says!("cannot expand mount entry (%s"), text.unwrap_or_default())
}
