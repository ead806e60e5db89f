// SPDX-License-Identifier: GPL-3.0-only
//! A story: what happens to one snap's mount namespace, told twice, once with the original and once with ours.
//!
//! A story is data. Between its runs, profiles are written and the world is disturbed; after every run the two
//! [`State`]s must be equal. Where ours is meant to be different, the run says so: which row of
//! `docs/compatibility.md` it is, which lines of the state it may change, and what ours must look like instead. Every other
//! difference fails, and so does a difference that was announced and did not come.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::kernel::Version;
use super::program::{self, Program, Which};
use super::sandbox::{Lock, Outcome, Place, Rights, Sandbox, Start, in_sandbox};
use super::state::State;

/// Steps in a sandbox, under a name that is a sentence.
pub struct Story {
    pub title: &'static str,
    pub instance: &'static str,
    /// Told only where the program runs on the machine itself.
    pub natively: bool,
    steps: Vec<Step>,
}

enum Step {
    Desire(String),
    DesireByUser(String),
    Record(String),
    Disturb(fn(&Sandbox)),
    Run(Run),
}

/// A run, and what is expected of it.
struct Run {
    start: Start,
    /// Preserve the namespace first, so that the program can find and join it.
    both: Vec<Expect>,
    rows: Vec<Row>,
    ignored: Vec<&'static str>,
}

/// An intended difference.
struct Row {
    id: &'static str,
    /// Beginnings of the keys that may differ; after an equals sign, a whole key.
    keys: Vec<&'static str>,
    ours: Vec<Expect>,
    /// What the kernel must have for it.
    since: Version,
}

/// One thing that must be so after a run.
#[derive(Clone, Debug)]
pub enum Expect {
    /// The line with this key begins like this.
    Is(String, String),
    /// There is no line whose key begins like this.
    Not(String),
    /// There are so many layers of mounts at the path.
    Layers(&'static str, usize),
    /// So many warnings were written.
    Warnings(usize),
    /// The record has no line but that of the root.
    OnlyRoot,
    /// The record is exactly this, line for line.
    Record(&'static [&'static str]),
    /// Some line of the record begins and ends like this.
    Line(&'static str, &'static str),
    /// stdout has this in it.
    Says(&'static str),
    /// stderr is empty.
    Quiet,
    /// The record is the same file as before the run: it was not written.
    NotSaved,
    /// stderr has this in it.
    Mutters(&'static str),
    /// Neither the mount table nor what is seen nor the record's lines have changed since the last run.
    Same,
    /// The mount table is that of the beginning, and so is what is seen of everything but the snap's own data.
    AsAtFirst,
}

/// What became of a story that one program has told alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// A word for each kind of fault, in the order in which they were met; none when all is as expected.
    pub words: Vec<&'static str>,
    /// The faults themselves.
    pub faults: String,
}

/// The snap sees a file with this text.
pub fn file(path: &str, text: &str) -> Expect {
    Expect::Is(format!("view {path}"), format!("file {text:?} "))
}

/// The snap sees a directory.
pub fn dir(path: &str) -> Expect {
    Expect::Is(format!("view {path}"), "dir ".to_string())
}

/// The snap sees a directory with this mode, owner and group: `0755 0:0`.
pub fn dir_as(path: &str, how: &str) -> Expect {
    Expect::Is(format!("view {path}"), format!("dir {how}"))
}

/// The snap sees a symbolic link to `to`.
pub fn link(path: &str, to: &str) -> Expect {
    Expect::Is(format!("view {path}"), format!("link -> {to} "))
}

/// The snap sees nothing there.
pub fn gone(path: &str) -> Expect {
    Expect::Not(format!("view {path}"))
}

/// The host has something there.
pub fn host(path: &str, how: &str) -> Expect {
    Expect::Is(format!("host {path}"), how.to_string())
}

/// The host has nothing there.
pub fn host_gone(path: &str) -> Expect {
    Expect::Not(format!("host {path}"))
}

/// The run ended with this status.
pub fn exit(status: &str) -> Expect {
    Expect::Is("exit".to_string(), status.to_string())
}

/// stdout is exactly this.
pub fn stdout(text: &str) -> Expect {
    Expect::Is("stdout".to_string(), text.to_string())
}

/// stdout has this in it.
pub fn says(text: &'static str) -> Expect {
    Expect::Says(text)
}

/// stderr is empty.
pub fn quiet() -> Expect {
    Expect::Quiet
}

/// The record was not written.
pub fn not_saved() -> Expect {
    Expect::NotSaved
}

/// stderr has this in it.
pub fn mutters(text: &'static str) -> Expect {
    Expect::Mutters(text)
}

/// The run has changed nothing since the one before it.
pub fn same() -> Expect {
    Expect::Same
}

/// Mounts, and the view of all but the snap's own data, are those of the beginning.
pub fn as_at_first() -> Expect {
    Expect::AsAtFirst
}

/// So many mounts lie at the path.
pub fn layers(path: &'static str, count: usize) -> Expect {
    Expect::Layers(path, count)
}

/// So many warnings were written.
pub fn warnings(count: usize) -> Expect {
    Expect::Warnings(count)
}

/// The record has no line but that of the root.
pub fn only_root() -> Expect {
    Expect::OnlyRoot
}

/// The record has exactly these lines, in this order.
pub fn record(lines: &'static [&'static str]) -> Expect {
    Expect::Record(lines)
}

/// The record has a line for this target.
pub fn recorded(target: &str) -> Expect {
    Expect::Line("", Box::leak(format!(" {target} ").into_boxed_str()))
}

/// The record has no line for this target.
pub fn unrecorded(target: &str) -> Expect {
    Expect::Not(format!("record * {target} "))
}

/// Any line of the state.
pub fn line(key: &str, value: &str) -> Expect {
    Expect::Is(key.to_string(), value.to_string())
}

/// The line that every record begins with.
pub const ROOTFS: &str = "tmpfs / tmpfs x-snapd.origin=rootfs 0 0";

/// snap-confine starts the program (context B).
pub const FROM_SNAP_CONFINE: Start = Start {
    which: Which::Ours,
    argv: &["--from-snap-confine", "acorn"],
    env: &[],
    place: Place::Snap,
    lock: Lock::Exclusive,
    rights: Rights::Root,
    inject: None,
    refused: &[],
    umask: 0,
    patience: Duration::from_secs(20),
};

/// Begins a story about the snap `acorn`.
pub fn story(title: &'static str) -> Story {
    Story { title, instance: "acorn", natively: false, steps: Vec::new() }
}

impl Story {
    /// The story is about another instance.
    pub fn of(mut self, instance: &'static str) -> Story {
        self.instance = instance;
        self
    }

    /// The story needs what qemu-user 7.2 does not give: mount ids from statx(2), or setns(2), which the kernel
    /// refuses to its threads.
    pub fn natively(mut self) -> Story {
        self.natively = true;
        self
    }

    /// snapd writes the desired profile; lines are separated by newlines, surrounding space does not matter.
    pub fn desire(self, profile: &str) -> Story {
        self.step(Step::Desire(tidy(profile)))
    }

    /// snapd writes the desired profile, byte for byte.
    pub fn desire_exactly(self, profile: impl Into<String>) -> Story {
        self.step(Step::Desire(profile.into()))
    }

    /// snapd writes the desired profile of per-user mounts.
    pub fn desire_by_user(self, profile: &str) -> Story {
        self.step(Step::DesireByUser(tidy(profile)))
    }

    /// Somebody writes the record.
    pub fn recorded(self, profile: &str) -> Story {
        self.step(Step::Record(tidy(profile)))
    }

    /// Something happens.
    pub fn disturb(self, what: fn(&Sandbox)) -> Story {
        self.step(Step::Disturb(what))
    }

    /// snap-confine starts the program (context B).
    pub fn run(self) -> Story {
        self.start(FROM_SNAP_CONFINE)
    }

    /// snapd starts the program on the host (context A); [`preserve`] comes before it.
    pub fn refresh(self) -> Story {
        self.start(Start { argv: &["acorn"], place: Place::Host, lock: Lock::Free, ..FROM_SNAP_CONFINE })
    }

    /// A set-uid snap-confine starts the program for the user (context C, old protocol).
    pub fn run_for_user(self) -> Story {
        self.start(Start {
            argv: &["--from-snap-confine", "--user-mounts", "acorn"],
            env: &[("XDG_RUNTIME_DIR", "/run/elsewhere"), ("SNAP_REAL_HOME", "/home/user")],
            rights: Rights::SetUid,
            ..FROM_SNAP_CONFINE
        })
    }

    /// The program is started with these arguments, inside, with the lock free.
    pub fn call(self, argv: &'static [&'static str]) -> Story {
        self.start(Start { argv, lock: Lock::Free, ..FROM_SNAP_CONFINE })
    }

    fn start(self, start: Start) -> Story {
        self.step(Step::Run(Run { start, both: Vec::new(), rows: Vec::new(), ignored: Vec::new() }))
    }

    /// Changes how the last run is started.
    pub fn with(mut self, change: fn(&mut Start)) -> Story {
        change(&mut self.last_run().start);
        self
    }

    /// The last run is the original's in either telling: what came before or comes after is the question.
    pub fn by_original(self) -> Story {
        self.with(|start| start.which = Which::Original)
    }

    /// What must be so after the last run with either program.
    pub fn both(mut self, expect: impl IntoIterator<Item = Expect>) -> Story {
        self.last_run().both.extend(expect);
        self
    }

    /// Ours differs after the last run, on purpose: the row, the keys (by their beginnings), and what ours is like.
    pub fn differs<const K: usize>(
        mut self,
        id: &'static str,
        keys: [&'static str; K],
        ours: impl IntoIterator<Item = Expect>,
    ) -> Story {
        let row = Row { id, keys: keys.to_vec(), ours: ours.into_iter().collect(), since: Version(0, 0) };
        self.last_run().rows.push(row);
        self
    }

    /// The last difference needs something of the kernel, which has it since this version. On older ones there is none.
    pub fn since(mut self, version: Version) -> Story {
        if let Some(row) = self.last_run().rows.last_mut() {
            row.since = version;
        }
        self
    }

    /// Keys that do not matter after the last run.
    pub fn ignoring<const K: usize>(mut self, keys: [&'static str; K]) -> Story {
        self.last_run().ignored.extend(keys);
        self
    }

    fn step(mut self, step: Step) -> Story {
        self.steps.push(step);
        self
    }

    fn last_run(&mut self) -> &mut Run {
        let run = self.steps.iter_mut().rev().find_map(|step| match step {
            Step::Run(run) => Some(run),
            _ => None,
        });
        run.expect("a run comes first")
    }

    /// The rows of intended differences that the story announces.
    pub fn rows(&self) -> Vec<&'static str> {
        self.runs().flat_map(|run| run.rows.iter().map(|row| row.id)).collect()
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.steps.iter().filter_map(|step| match step {
            Step::Run(run) => Some(run),
            _ => None,
        })
    }

    /// Tells the story twice and compares: the rows of intended differences that it met, or what is wrong.
    pub fn tell(&self) -> Result<Vec<&'static str>, String> {
        let theirs = self.live(Which::Original)?;
        let ours = self.live(Which::Ours)?;
        let mut rows = self.rows();
        let mut wrong = String::new();
        for (step, ((run, ours), theirs)) in self.runs().zip(&ours).zip(&theirs).enumerate() {
            let faults = run.judge(ours, theirs);
            if !faults.is_empty() {
                wrong += &format!("after run {}:\n{faults}", step + 1);
                wrong +=
                    &format!("  stderr of ours: {:?}\n  of the original: {:?}\n", ours.stderr, theirs.stderr);
            }
        }
        rows.sort_unstable();
        rows.dedup();
        match wrong.is_empty() {
            true => Ok(rows),
            false => Err(wrong),
        }
    }

    /// Tells the story with one program, and judges by what is expected of both. What is wrong before the first
    /// disturbance is no verdict on what follows: then the program cannot even begin.
    pub fn tell_alone(&self, which: Which) -> Result<Verdict, String> {
        let states = self.live(which)?;
        let mut verdict = Verdict { words: Vec::new(), faults: String::new() };
        let first = |wanted: fn(&Step) -> bool| self.steps.iter().position(wanted).unwrap_or(usize::MAX);
        let runs_first =
            first(|step| matches!(step, Step::Run(_))) < first(|step| matches!(step, Step::Disturb(_)));
        let mut begins = runs_first && self.steps.iter().any(|step| matches!(step, Step::Disturb(_)));
        let mut states = states.iter().zip(1..);
        for step in &self.steps {
            match step {
                Step::Disturb(_) => begins = false,
                Step::Run(run) => {
                    let Some((state, number)) = states.next() else { break };
                    for (expect, fault) in run.both.iter().filter_map(|e| Some((e, e.fault(state)?))) {
                        let word = if begins { "cannot begin" } else { expect.word(state) };
                        if !verdict.words.contains(&word) {
                            verdict.words.push(word);
                        }
                        verdict.faults += &format!(
                            "  after run {number}, {word}: {fault}\n    stderr: {:?}\n",
                            state.stderr
                        );
                    }
                }
                _ => {}
            }
        }
        Ok(verdict)
    }

    fn live(&self, which: Which) -> Result<Vec<State>, String> {
        let original = Program::find(Which::Original)?;
        let program = Program::find(which)?;
        Ok(in_sandbox(self.instance, |sandbox| {
            let mut states: Vec<State> = Vec::new();
            let at_first = State::after(&Outcome::default(), sandbox).lines;
            for step in &self.steps {
                match step {
                    Step::Desire(text) => {
                        std::fs::write(sandbox.desired(), text).expect("write the desired profile")
                    }
                    Step::DesireByUser(text) => {
                        std::fs::write(sandbox.desired_by_user(), text).expect("write the desired profile");
                    }
                    Step::Record(text) => std::fs::write(sandbox.record(), text).expect("write the record"),
                    Step::Disturb(what) => what(sandbox),
                    Step::Run(run) => {
                        let program = if run.start.which == Which::Original { &original } else { &program };
                        let inode = || Some(std::fs::symlink_metadata(sandbox.record()).ok()?.ino());
                        let before = inode();
                        let outcome: Outcome = sandbox.run(program, &run.start);
                        let mut state = State::after(&outcome, sandbox);
                        state.record_inode_before = before;
                        state.before =
                            states.last().map_or_else(|| at_first.clone(), |last| last.lines.clone());
                        state.at_first = at_first.clone();
                        if std::env::var_os("STORIES_SHOW").is_some() {
                            eprintln!("=== {which:?}, {:?}\n{state}", run.start.argv);
                        }
                        states.push(state);
                    }
                }
            }
            states
        }))
    }
}

impl Run {
    /// What is wrong with ours, and with the expectations; empty when all is well.
    fn judge(&self, ours: &State, theirs: &State) -> String {
        let rehearsal = program::is_rehearsal();
        let rows: Vec<&Row> = self.rows.iter().filter(|row| !rehearsal && !row.since.is_to_come()).collect();
        let mut faults = String::new();
        for expect in &self.both {
            for (who, state) in [("the original", theirs), ("ours", ours)] {
                if let Some(fault) = expect.fault(state) {
                    faults += &format!("  {who}: {fault}\n");
                }
            }
        }
        let begins = |key: &str, beginnings: &[&str]| {
            beginnings.iter().any(|beginning| match beginning.strip_prefix('=') {
                Some(whole) => key == whole,
                None => key.starts_with(beginning),
            })
        };
        let differences = ours.differences(theirs);
        for (key, ours, theirs) in &differences {
            let announced = rows.iter().any(|row| begins(key, &row.keys));
            if !announced && !begins(key, &self.ignored) {
                faults += &format!("  {key}\n      ours: {ours}\n    theirs: {theirs}\n");
            }
        }
        for row in rows {
            if !differences.iter().any(|(key, _, _)| begins(key, &row.keys)) && !row.keys.is_empty() {
                faults += &format!("  {}: announced, but there is no such difference\n", row.id);
            }
            for fault in row.ours.iter().filter_map(|expect| expect.fault(ours)) {
                faults += &format!("  {}: {fault}\n", row.id);
            }
        }
        faults
    }
}

impl Expect {
    /// Why the state is not as expected.
    fn fault(&self, state: &State) -> Option<String> {
        match self {
            Expect::Is(key, value) => {
                let found = state.get(key).unwrap_or("nothing");
                let ok = if key == "exit" || key == "stdout" {
                    found == value
                } else {
                    found.starts_with(value.as_str())
                };
                (!ok).then(|| format!("{key} should be {value:?}, and is {found:?}"))
            }
            Expect::Not(key) => {
                let found = match key.strip_prefix("record *") {
                    Some(target) => {
                        state.record.lines().find(|line| line.contains(target)).map(str::to_string)
                    }
                    None => state.lines.keys().find(|found| *found == key).cloned(),
                };
                found.map(|found| format!("{found:?} should not be there"))
            }
            Expect::Layers(path, count) => {
                let found =
                    state.get(&format!("layers {path}")).and_then(|count| count.parse().ok()).unwrap_or(0);
                (found != *count).then(|| format!("{path} should have {count} mounts, and has {found}"))
            }
            Expect::Warnings(count) => {
                let found: usize = state
                    .lines
                    .iter()
                    .filter(|(key, _)| key.starts_with("warning "))
                    .filter_map(|(_, times)| times.parse::<usize>().ok())
                    .sum();
                (found != *count).then(|| format!("there should be {count} warnings, and there are {found}"))
            }
            Expect::Record(lines) => {
                let found: Vec<&str> = state.record.lines().collect();
                (found != *lines)
                    .then(|| format!("the record should be\n{}\nand is\n{}", lines.join("\n"), state.record))
            }
            Expect::OnlyRoot => {
                let found = state.record.lines().find(|line| *line != ROOTFS);
                found.map(|line| format!("the record should be empty, and has {line:?}"))
            }
            Expect::Line(start, part) => {
                let found = state.record.lines().any(|line| line.starts_with(start) && line.contains(part));
                (!found).then(|| format!("the record should have a line for{part}and is\n{}", state.record))
            }
            Expect::Quiet => {
                (!state.stderr.is_empty()).then(|| format!("stderr should be empty: {:?}", state.stderr))
            }
            Expect::NotSaved => (state.record_inode != state.record_inode_before)
                .then(|| "the record should not have been written".to_string()),
            Expect::Mutters(text) => (!state.stderr.contains(text))
                .then(|| format!("stderr should have {text:?} in it, and is {:?}", state.stderr)),
            Expect::Same => {
                let changes = |key: &str| {
                    ["mount ", "layers ", "view ", "host ", "record"]
                        .iter()
                        .any(|start| key.starts_with(start))
                };
                let faults = differences(&state.before, &state.lines, &changes);
                (!faults.is_empty()).then(|| format!("nothing should have changed: {faults}"))
            }
            Expect::AsAtFirst => {
                let stays = |key: &str| match key.split_once(' ') {
                    Some(("mount" | "layers", _)) => true,
                    Some(("view" | "host", path)) => {
                        !["/tmp", "/var/snap", "/run"].iter().any(|top| path.starts_with(top))
                    }
                    _ => false,
                };
                let faults = differences(&state.at_first, &state.lines, &stays);
                (!faults.is_empty()).then(|| format!("all should be as it was at first: {faults}"))
            }
            Expect::Says(text) => {
                let found = state.get("stdout").unwrap_or_default();
                (!found.contains(text))
                    .then(|| format!("stdout should have {text:?} in it, and is {found:?}"))
            }
        }
    }
}

impl Expect {
    /// What a state is called that is not as expected.
    fn word(&self, state: &State) -> &'static str {
        let more = |path: &str, count: usize| {
            state.get(&format!("layers {path}")).and_then(|count| count.parse().ok()).unwrap_or(0) > count
        };
        match self {
            Expect::Is(key, _) if key == "exit" || key == "stdout" => "fails",
            Expect::Is(key, _) if state.get(key).is_none() => "lost",
            Expect::Is(..) => "still wrong",
            Expect::Not(key) if key.starts_with("record") => "record wrong",
            Expect::Not(_) | Expect::AsAtFirst => "left over",
            Expect::Layers(path, count) if more(path, *count) => "stacked",
            Expect::Layers(..) => "lost",
            Expect::Warnings(0) | Expect::Quiet => "complains",
            Expect::Warnings(_) | Expect::Says(_) | Expect::Mutters(_) => "silent",
            Expect::Record(_) | Expect::OnlyRoot | Expect::Line(..) => "record wrong",
            Expect::Same => "restless",
            Expect::NotSaved => "writes",
        }
    }
}

/// The lines that are not the same, of those whose keys matter.
fn differences(
    one: &BTreeMap<String, String>,
    two: &BTreeMap<String, String>,
    matters: &dyn Fn(&str) -> bool,
) -> String {
    let keys: BTreeSet<&String> = one.keys().chain(two.keys()).filter(|key| matters(key)).collect();
    keys.into_iter()
        .filter(|key| one.get(*key) != two.get(*key))
        .map(|key| format!("{key}: {:?}, now {:?}; ", one.get(key), two.get(key)))
        .collect()
}

/// One entry a line, without the indentation of the source.
fn tidy(profile: &str) -> String {
    profile.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

/// The snap's namespace is put where snapd finds it.
pub fn preserve(sandbox: &Sandbox) {
    sandbox.preserve();
}
