// SPDX-License-Identifier: GPL-3.0-only
//! What is intended is what a process sees: random sequences of profiles, each step compared with a fresh namespace
//! that was given the same profile at once.
//!
//! After each step
//!
//! * everything looks as in the fresh namespace, inside and on the host, up to directories that are allowed to stay
//! * a bind that no other entry touches shows its source
//! * a second run changes nothing: neither mount table nor record nor notes
//!
//! and after the last the profile becomes empty, and the mount table is that of the start.
//!
//! | variable | means | when unset |
//! | --- | --- | --- |
//! | `INTENT_SEQUENCES` | how many sequences | 150 |
//! | `INTENT_SEED` | the seed of the first | 1 |
//! | `INTENT_KEEP_GOING` | how many wrong ones are shown before giving up | 1 |
//! | `INTENT_WITHOUT` | disturbances to leave out, with commas between | none |
//! | `INTENT_FULL` | 1,000 sequences | 150 |

#[path = "../support/mod.rs"]
mod support;

#[path = "../crash/calls.rs"]
#[allow(dead_code, reason = "the crash tests use the rest")]
mod calls;
#[path = "../crash/freezer.rs"]
#[allow(dead_code, reason = "the crash tests use the rest")]
mod freezer;
mod known;
mod sequence;
mod soak;
#[path = "../crash/tracer.rs"]
#[allow(dead_code, reason = "the crash tests use the rest")]
mod tracer;
mod world;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use sequence::{Disturb, Edit, Entry, Sequence, Step, Taste, generate};
use support::program::{Program, Which};
use world::{Context, NOTES, Nursery, Outcome, RECORD, ROOTFS, View, Watch, World};

/// What is wrong: a word for the kind of fault, and the story.
#[derive(Debug)]
struct Fault {
    class: &'static str,
    story: String,
}

fn fault<T>(class: &'static str, story: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { class, story: story.into() })
}

/// What a fresh namespace makes of a profile.
#[derive(Clone)]
struct Fresh {
    outcome: Outcome,
    view: View,
    mounts: Vec<String>,
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn every_sequence_of_profiles_ends_as_a_fresh_namespace_would() {
    if let Err(why) = support::sandbox::possible() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let count =
        number("INTENT_SEQUENCES").unwrap_or(if env::var_os("INTENT_FULL").is_some() { 1_000 } else { 150 });
    let first = number("INTENT_SEED").unwrap_or(1);
    let patience = number("INTENT_KEEP_GOING").unwrap_or(1);
    let done = thread::spawn(move || survey(first, count, patience)).join();
    let (wrong, honoured, report) = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    println!("{report}");
    assert!(honoured, "nearly all steps can be honoured, or nothing is being compared");
    assert_eq!(wrong, 0, "sequences that went wrong");
}

#[test]
fn what_went_wrong_once_stays_right() {
    if let Err(why) = support::sandbox::possible() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let tell = || {
        let program = Program::find(Which::Ours).expect("the program under test");
        let nursery = Nursery::new(program).expect("a namespace to build in");
        let mut wrong = 0;
        for (name, sequence) in known::known() {
            for by_snapd in [false, true] {
                if let Err(found) = live(&nursery, &Sequence { by_snapd, ..sequence.clone() }) {
                    println!("---- {name}: {}\n{}\n", found.class, found.story);
                    wrong += 1;
                }
            }
        }
        wrong
    };
    let wrong = thread::spawn(tell).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert_eq!(wrong, 0, "sequences that are wrong again");
}

/// How many went wrong, whether nearly all steps could be honoured, and a report.
fn survey(first: u64, count: u64, patience: u64) -> (u64, bool, String) {
    let program = Program::find(Which::Ours).expect("the program under test");
    let nursery = Nursery::new(program).expect("a namespace to build in");
    let start = Instant::now();
    let (mut wrong, mut steps, mut refused) = (0, 0, 0);
    let mut classes: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in first..first + count {
        let taste = Taste {
            disturb: seed % 2 == 0,
            edits: seed % 4 != 1,
            most_entries: [3, 6, 9][(seed % 3) as usize],
        };
        let sequence = generate(seed, taste);
        steps += sequence.steps.len();
        let found = match live(&nursery, &without_known(sequence.clone())) {
            Ok(with_refusals) => {
                refused += with_refusals;
                continue;
            }
            Err(found) => found,
        };
        wrong += 1;
        *classes.entry(found.class).or_default() += 1;
        let (small, found) = shrink(&nursery, without_known(sequence), found);
        println!("---- seed {seed}: {}\n{small}{}\n", found.class, found.story);
        if wrong >= patience {
            break;
        }
    }
    let report = format!(
        "{steps} steps of {count} sequences from seed {first}: {wrong} sequences wrong {classes:?}; \
         {refused} steps had an entry that cannot be honoured; {:.1} s",
        start.elapsed().as_secs_f32()
    );
    (wrong, refused * 10 <= steps, report)
}

/// Without the disturbances named in `INTENT_WITHOUT`, by a part of how they are written.
fn without_known(mut sequence: Sequence) -> Sequence {
    if let Ok(known) = env::var("INTENT_WITHOUT") {
        for step in &mut sequence.steps {
            step.disturb.retain(|what| !known.split(',').any(|word| format!("{what:?}").contains(word)));
        }
    }
    sequence
}

/// Leaves out what can be left out while the same kind of fault stays.
fn shrink(nursery: &Nursery, mut sequence: Sequence, mut found: Fault) -> (Sequence, Fault) {
    let mut tries = 0;
    loop {
        let mut smaller = None;
        for candidate in candidates(&sequence) {
            tries += 1;
            if let Err(again) = live(nursery, &candidate)
                && again.class == found.class
            {
                smaller = Some((candidate, again));
                break;
            }
        }
        match smaller {
            Some((better, again)) if tries < 300 => (sequence, found) = (better, again),
            _ => return (sequence, found),
        }
    }
}

fn candidates(sequence: &Sequence) -> Vec<Sequence> {
    let mut list = Vec::new();
    let mut with = |change: &dyn Fn(&mut Sequence)| {
        let mut candidate = sequence.clone();
        change(&mut candidate);
        if candidate != *sequence {
            list.push(candidate);
        }
    };
    with(&|s| s.by_snapd = false);
    for at in (0..sequence.steps.len()).rev() {
        with(&|s| {
            // What happened to the world stays.
            let edits = s.steps.remove(at).edits;
            if let Some(next) = s.steps.get_mut(at) {
                next.edits.splice(0..0, edits);
            }
        });
    }
    // An entry out of all steps, then out of one.
    let mut lines: Vec<&Entry> = sequence.steps.iter().flat_map(|step| &step.profile).collect();
    lines.sort_by_key(|entry| entry.to_string());
    lines.dedup();
    for line in lines {
        with(&|s| s.steps.iter_mut().for_each(|step| step.profile.retain(|entry| entry != line)));
    }
    for (at, step) in sequence.steps.iter().enumerate() {
        for edit in 0..step.edits.len() {
            with(&|s| {
                s.steps[at].edits.remove(edit);
            });
        }
        for disturb in 0..step.disturb.len() {
            with(&|s| drop(s.steps[at].disturb.remove(disturb)));
        }
        for entry in 0..step.profile.len() {
            with(&|s| drop(s.steps[at].profile.remove(entry)));
        }
        // Plainer entries.
        for entry in 0..step.profile.len() {
            let line = step.profile[entry].clone();
            for (from, to) in [
                (",ro", ""),
                ("rbind", "bind"),
                (",x-snapd.origin=overname", ""),
                (",x-snapd.origin=layout", ""),
            ] {
                with(&|s| {
                    for same in s.steps.iter_mut().flat_map(|step| &mut step.profile).filter(|e| **e == line)
                    {
                        same.options = same.options.replace(from, to);
                    }
                });
            }
        }
    }
    list
}

fn lines(profile: &[Entry]) -> String {
    profile.iter().map(|entry| format!("{entry}\n")).collect()
}

fn edit(edit: Edit) {
    match edit {
        Edit::ReplaceDirectory(path) => {
            let old =
                (0..).map(|n| format!("{path}.old{n}")).find(|old| !Path::new(old).exists()).expect("a name");
            fs::rename(path, &old).expect("rename");
            fs::create_dir(path).expect("create");
            fs::write(format!("{path}/v"), format!("instead of {old}")).expect("write");
        }
        Edit::ReplaceFile(path) => {
            let text = fs::read_to_string(path).expect("read");
            fs::write(format!("{path}~"), format!("{text}+")).expect("write");
            fs::rename(format!("{path}~"), path).expect("rename");
        }
    }
}

/// On the host's side, where no mount of the snap is in the way.
fn edit_on_host(world: &World, what: Edit) {
    world.on_disk(|| edit(what));
}

/// Whether something was disturbed for good.
fn disturb(what: &Disturb, world: &World) {
    match what {
        Disturb::Detach(dir) => {
            let _ = rustix::mount::unmount(dir.as_str(), rustix::mount::UnmountFlags::DETACH);
        }
        Disturb::Again(from, to) => {
            let _ = world::bind(Path::new(from), Path::new(to));
        }
        Disturb::Foreign(dir) => {
            let _ = world.foreign(Path::new(dir));
        }
        Disturb::Unlink(dir) => {
            if fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_symlink()) {
                let _ = fs::remove_file(dir);
            }
        }
        Disturb::LoseLine(dir) => {
            let text = fs::read_to_string(RECORD).unwrap_or_default();
            let rest: String = text
                .lines()
                .filter(|line| line.split(' ').nth(1) != Some(dir) || line.contains("synthetic"))
                .map(|line| format!("{line}\n"))
                .collect();
            fs::write(RECORD, rest).expect("write the record");
        }
        Disturb::LoseRecord => fs::write(RECORD, format!("{ROOTFS}\n")).expect("write the record"),
        Disturb::Reversed | Disturb::Twice => {
            let text = fs::read_to_string(RECORD).unwrap_or_default();
            let reversed: String = text.lines().rev().map(|line| format!("{line}\n")).collect();
            let text = if *what == Disturb::Twice { text } else { String::new() };
            fs::write(RECORD, text + &reversed).expect("write the record");
        }
        Disturb::LoseNotes => {
            let _ = fs::remove_file(NOTES);
        }
    }
}

/// Lives through a sequence. How many steps had an entry that cannot be honoured even in a fresh namespace?
fn live(nursery: &Nursery, sequence: &Sequence) -> Result<usize, Fault> {
    nursery.world(|world| {
        // snap-confine's namespace is new: nobody has mounted anything there that the record would not name.
        let forgets = |what: &Disturb| matches!(what, Disturb::LoseRecord | Disturb::LoseLine(_));
        let by_snapd = |step: &Step| sequence.by_snapd || step.disturb.iter().any(forgets);
        if sequence.steps.iter().any(by_snapd)
            && let Err(why) = world.preserve()
        {
            return fault("sandbox", format!("cannot preserve the namespace: {why}"));
        }
        let mut refused = 0;
        let mut edits: Vec<Edit> = Vec::new();
        let mut past = Past::default();
        let mut before: Vec<Entry> = Vec::new();
        let end = Step::default();
        for (at, step) in sequence.steps.iter().chain([&end]).enumerate() {
            for what in &step.edits {
                edit_on_host(world, *what);
                edits.push(*what);
            }
            let context = if by_snapd(step) { Context::Snapd } else { Context::SnapConfine };
            let forgotten = step.disturb.iter().any(forgets);
            // What is seen at a foreign mount's place is only known where one entry wants it, and no other is near: a
            // mimic over a directory above keeps what it covers, and then nobody can take the foreign mount away.
            let alone = |dir: &str| {
                let top = Path::new(dir).iter().nth(1);
                let near = |path: &str| Path::new(path).iter().nth(1) == top;
                let profile = &step.profile;
                profile.iter().filter(|entry| entry.dir == dir).count() == 1
                    && profile.iter().filter(|e| near(&e.dir) || (e.is_bind() && near(&e.name))).count() == 1
            };
            let record = fs::read_to_string(RECORD).unwrap_or_default();
            let is_mimic = |dir: &str| record.contains(&format!("tmpfs {dir} tmpfs x-snapd.synthetic"));
            let unclear = |what: &Disturb| match what {
                Disturb::Foreign(dir) => !alone(dir),
                // What is bound again by hand is what is seen then: another thing where the source is covered by now. And
                // over a mimic of the same directory, or of a source that was replaced, it cannot be told from what lies
                // beneath that.
                Disturb::Again(name, dir) => {
                    before.iter().any(|e| Path::new(name).starts_with(&e.dir))
                        || is_mimic(dir)
                        || edits.iter().any(|edit| matches!(edit, Edit::ReplaceDirectory(_)))
                }
                _ => false,
            };
            if step.disturb.iter().any(unclear) {
                return Ok(refused);
            }
            // Nobody could know what to take away; nor, without the record, parts of a mimic from an entry that shows the
            // same.
            let differ = |one: &[Entry], two: &[Entry]| one.iter().any(|entry| !two.contains(entry));
            let lost = step.disturb.contains(&Disturb::LoseRecord);
            if (forgotten && differ(&before, &step.profile)) || (lost && differ(&step.profile, &before)) {
                return Ok(refused);
            }
            if lost {
                past.forgotten += &record;
            }
            for what in step.disturb.iter().filter(|what| what.fits(&before)) {
                disturb(what, world);
            }
            before = step.profile.clone();
            past.profile(&step.profile);
            let fresh = fresh(nursery, &edits, &step.profile);
            check(nursery, world, context, step, &mut past, &fresh)
                .map_err(|f| Fault { story: format!("at step {}: {}", at + 1, f.story), ..f })?;
            refused += usize::from(fresh.outcome.exit != Some(0) || !fresh.outcome.stderr.is_empty());
            // An entry that failed may leave its source behind; what is forgotten stays as it is.
            if forgotten || fresh.outcome.exit != Some(0) || !fresh.outcome.stderr.is_empty() {
                break;
            }
            if step.disturb.iter().any(|what| matches!(what, Disturb::Foreign(_))) {
                world.take_foreign_away();
            }
        }
        Ok(refused)
    })
}

fn fresh(nursery: &Nursery, edits: &[Edit], profile: &[Entry]) -> Fresh {
    nursery.world(|world| {
        edits.iter().for_each(|what| edit_on_host(world, *what));
        fs::write(world.desired(), lines(profile)).expect("write the profile");
        let outcome = world.run(nursery, Context::SnapConfine, false);
        Fresh { outcome, view: world.view(), mounts: world.mounts() }
    })
}

/// What has happened so far, as far as it may leave traces.
#[derive(Default)]
struct Past {
    /// Names that directories which are left over may have.
    names: Vec<String>,
    /// Whether directories were made with another mode than mount points have.
    ensures: bool,
    /// A record that was lost.
    forgotten: String,
    /// What the runs said.
    log: Vec<String>,
}

impl Past {
    /// Whether a path may be there or not: directories on the way to a target, and what somebody has moved away.
    fn may_stay(&self, path: &str, how: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        path.contains(".old") || (how.starts_with("dir ") && self.names.iter().any(|known| known == name))
    }

    fn profile(&mut self, profile: &[Entry]) {
        self.ensures |= profile.iter().any(|entry| entry.has("x-snapd.kind=ensure-dir"));
        for entry in profile {
            let parent = Path::new(&entry.dir).parent().into_iter();
            let all = entry.is_bind().then(|| Path::new(&entry.name)).into_iter();
            let ensured = entry.has("x-snapd.kind=ensure-dir").then(|| Path::new(&entry.dir)).into_iter();
            for path in parent.chain(all).chain(ensured) {
                self.names.extend(path.iter().map(|name| name.to_string_lossy().into_owned()));
            }
        }
    }
}

fn check(
    nursery: &Nursery,
    world: &World,
    context: Context,
    step: &Step,
    past: &mut Past,
    fresh: &Fresh,
) -> Result<(), Fault> {
    fs::write(world.desired(), lines(&step.profile)).expect("write the profile");
    let outcome = world.run(nursery, context, true);
    past.log.push(outcome.log.clone());
    if outcome.exit.is_none() {
        return fault("crash", format!("{outcome:?}"));
    }
    let about = |what: String| {
        format!(
            "{what}\nit said: {}{}\nfresh said: {}{}\nthe mount table:\n{}the record:\n{}the runs:\n{}",
            outcome.stdout,
            outcome.stderr,
            fresh.outcome.stdout,
            fresh.outcome.stderr,
            world.news(),
            fs::read_to_string(RECORD).unwrap_or_default(),
            past.log.join("--\n")
        )
    };
    let honoured = fresh.outcome.exit == Some(0) && fresh.outcome.stderr.is_empty();
    if honoured && (outcome.exit != Some(0) || !outcome.stderr.is_empty()) {
        return fault("complains", about("it complains, but a fresh one does not".to_string()));
    }
    let view = world.view();
    if honoured {
        for entry in &step.profile {
            honour(entry, &step.profile)
                .map_err(|what| Fault { class: "not honoured", story: about(what) })?;
        }
        let differences = differences(&view, &fresh.view, past);
        if !differences.is_empty() {
            return fault("looks different", about(differences));
        }
    }
    if step.profile.is_empty() {
        // What was moved away on the host, with its directory, nobody finds any more.
        let mut mounts = world.mounts();
        mounts.retain(|line| !line.contains(".old"));
        if mounts != fresh.mounts {
            let extra: Vec<_> = mounts.iter().filter(|line| !fresh.mounts.contains(line)).collect();
            let lacking: Vec<_> = fresh.mounts.iter().filter(|line| !mounts.contains(line)).collect();
            return fault(
                "left over",
                about(format!("the mount table: extra {extra:#?}, lacking {lacking:#?}")),
            );
        }
    }
    if honoured {
        silence(nursery, world, context).map_err(|f| Fault { story: about(f.story), ..f })?;
    }
    Ok(())
}

/// A bind that no other entry touches shows its source, and a link has its text.
fn honour(entry: &Entry, profile: &[Entry]) -> Result<(), String> {
    if let Some(text) = entry.options.split(',').find_map(|word| word.strip_prefix("x-snapd.symlink=")) {
        let alone = !profile.iter().any(|e| e != entry && Path::new(&entry.dir).starts_with(&e.dir));
        let found = fs::read_link(&entry.dir).map(|found| found.to_string_lossy().into_owned());
        return match found {
            Ok(found) if found == text => Ok(()),
            _ if !alone => Ok(()),
            other => Err(format!("{} reads {other:?}", entry.dir)),
        };
    }
    if !entry.is_bind() {
        return Ok(());
    }
    let touches = |other: &Entry| {
        // Whatever lies in it may need a mimic over it.
        let touch =
            |path: &str| Path::new(path).starts_with(&other.dir) || Path::new(&other.dir).starts_with(path);
        let makes = |path: &str| other.is_bind() && Path::new(&other.name).starts_with(path);
        touch(&entry.dir) || touch(&entry.name) || makes(&entry.dir) || makes(&entry.name)
    };
    if profile.iter().any(|other| other != entry && touches(other)) {
        return Ok(());
    }
    let id = |path: &str| {
        fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).map_err(|why| why.kind())
    };
    match (id(&entry.name), id(&entry.dir)) {
        (Ok(source), Ok(target)) if source == target => Ok(()),
        (source, target) => Err(format!("{} is {target:?}, not {source:?} of {}", entry.dir, entry.name)),
    }
}

/// What looks different, but for directories that may stay.
fn differences(view: &View, fresh: &View, past: &Past) -> String {
    let mut text = String::new();
    let record = fs::read_to_string(RECORD).unwrap_or_default() + &past.forgotten;
    // A mimic stays while anything lives in it, also what could live without it.
    let is_mimic = |path: &str| record.contains(&format!("tmpfs {path} tmpfs x-snapd.synthetic"));
    let rights = |how: &str| how.rsplit(' ').next().map(String::from);
    let type_of = |how: &str| how.split(' ').next().map(String::from);
    for (path, how) in fresh {
        match view.get(path) {
            Some(ours) if ours == how => {}
            Some(ours) if is_mimic(path) && type_of(ours) == type_of(how) => {}
            None if past.may_stay(path, how) => {}
            // One that stayed has the mode with which it was made, and can be seen through any bind.
            Some(ours)
                if ours.starts_with("dir ")
                    && (past.may_stay(path, how) || past.ensures)
                    && rights(ours) == rights(how) => {}
            ours => text += &format!("{path}: {ours:?}, fresh: {how}\n"),
        }
    }
    for (path, how) in view.iter().filter(|(path, _)| !fresh.contains_key(*path)) {
        if !past.may_stay(path, how) {
            text += &format!("{path}: {how:?}, fresh: nothing\n");
        }
    }
    text
}

/// Runs once more: nothing may change.
fn silence(nursery: &Nursery, world: &World, context: Context) -> Result<(), Fault> {
    let stamp = |path: &str| {
        fs::metadata(path).map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size())).ok()
    };
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let texts = text(RECORD) + &text(NOTES);
    let before = (world::table(), stamp(RECORD), stamp(NOTES));
    let watch = Watch::new();
    let outcome = world.run(nursery, context, false);
    let after = (world::table(), stamp(RECORD), stamp(NOTES));
    if !outcome.stderr.is_empty() || !outcome.stdout.is_empty() || outcome.exit != Some(0) {
        return fault("second run complains", format!("{outcome:?}"));
    }
    if watch.has_changed() || before.0 != after.0 {
        let lines = |text: &str, other: &str| -> String {
            text.lines().filter(|line| !other.contains(line)).map(|line| format!("{line}\n")).collect()
        };
        let debug = world.run(nursery, context, true);
        return fault(
            "second run mounts",
            format!(
                "gone:\n{}new:\n{}a third run:\n{}",
                lines(&before.0, &after.0),
                lines(&after.0, &before.0),
                debug.log
            ),
        );
    }
    if before.1 != after.1 || before.2 != after.2 {
        return fault(
            "second run writes",
            format!("before:\n{texts}after:\n{}{}", text(RECORD), text(NOTES)),
        );
    }
    Ok(())
}
