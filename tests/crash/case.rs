// SPDX-License-Identifier: GPL-3.0-only
//! One case: a story that is struck once, what a process sees then, after the next run, and after everything is given
//! up again; and how that compares with the story that nobody disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use rustix::fs::{FlockOperation, MemfdFlags, memfd_create};

use crate::freezer::Freezer;
use crate::stories::{How, Step, Story};
use crate::support::program::{Program, Which};
use crate::support::sandbox::{Image, Lock, Outcome, Place, Rights, Sandbox, Start, in_sandbox_of};
use crate::support::state::State;
use crate::tracer::{self, Blow, End, Trace, Watchdog};

/// How soon a guard must have thawed everybody after the program was ended.
const GUARD_PATIENCE: Duration = Duration::from_secs(1);

/// What comes after the blow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Next {
    /// Ours, with the same wishes; and then without any.
    Ours,
    /// Debian's, likewise.
    Original,
    /// Ours, and nothing is wished any more.
    Nothing,
}

/// What is needed for any number of cases.
pub struct Bench<'b> {
    pub image: &'b Image,
    pub story: &'b Story,
    pub ours: &'b Program,
    pub original: Option<&'b Program>,
    pub freezer: &'b Freezer,
    pub dog: &'b Watchdog,
}

/// How everything looks at the stations of a case.
#[derive(Debug, Default)]
pub struct Course {
    /// Before anything was wished for.
    pub start: State,
    /// Just before the run that is struck.
    pub before: State,
    /// After it.
    pub struck: State,
    /// Whether it keeps a record.
    pub recorded: bool,
    /// What that run printed.
    pub said: String,
    /// After the next run, if there is one with the same wishes.
    pub next: Option<State>,
    /// After Debian's run where ours was never started.
    pub alone: Option<State>,
    /// When nothing is wished any more.
    pub given_up: State,
    /// Whether processes were still frozen after the blow, when the guard has had its time.
    pub frozen_at_once: bool,
    /// How long they were after the program's end, as far as that was waited for.
    pub frozen_for: Duration,
    /// Whether they were after the next run.
    pub frozen_later: bool,
    pub guard_stayed: bool,
    pub trace: Option<Trace>,
}

/// What is wrong after a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// The program did not end by itself.
    Hung,
    /// Something is not there that should be, or is not what it should be.
    Lost,
    /// Processes are frozen.
    Frozen,
    /// Something is there that should not be.
    Leaked,
    /// The record says something else than the mount table.
    Untrue,
    /// Something was not done, and no word of it.
    Silent,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    pub wrong: Wrong,
    pub when: &'static str,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.wrong, self.when, self.what)
    }
}

impl Bench<'_> {
    /// Lives the story in a world of its own.
    pub fn live(&self, blow: Option<(usize, Blow)>, next: Next) -> Course {
        self.freezer.thaw();
        let course = in_sandbox_of(self.image, self.story.instance, |sandbox| {
            Life { bench: self, sandbox }.live(blow, next)
        });
        self.freezer.thaw();
        course
    }

    /// The undisturbed story.
    pub fn reference(&self, next: Next) -> Course {
        let mut course = self.live(None, next);
        if next == Next::Original {
            // Ours comes no further than its first call.
            let alone = self.live(Some((1, Blow::Kill { guard: true })), next);
            course.alone = alone.next;
        }
        course
    }
}

struct Life<'l> {
    bench: &'l Bench<'l>,
    sandbox: &'l Sandbox,
}

impl Life<'_> {
    fn live(&self, blow: Option<(usize, Blow)>, next: Next) -> Course {
        let Bench { story, ours, freezer, .. } = *self.bench;
        let mut course = Course {
            start: self.look(&Outcome::nothing()),
            recorded: story.how != How::User,
            ..Course::default()
        };
        for step in &story.before {
            match step {
                Step::Happen(what) => what(self.sandbox),
                Step::Wish(profile) => {
                    self.wish(profile);
                    let outcome = self.run(ours, How::Snapd);
                    assert_eq!(outcome.exit, "0", "{}: what was before failed: {outcome:?}", story.name);
                }
            }
        }
        self.wish(&story.desired);
        let second = match next {
            Next::Original => self.bench.original.expect("the original"),
            Next::Ours | Next::Nothing => ours,
        };
        match story.how {
            How::User => self.sandbox.in_copy(|| self.strike(blow, &mut course)),
            How::Snapd | How::SnapConfine => self.strike(blow, &mut course),
        }
        // Afterwards it is snapd who starts it; but first snap-confine again, when that did not come to its end.
        let how = if story.how == How::User { How::User } else { How::Snapd };
        if story.how == How::SnapConfine && course.struck.get("exit") != Some("0") {
            self.sandbox.rebuild().expect("build another namespace");
            if next == Next::Nothing {
                self.wish("");
            }
            self.run(second, How::SnapConfine);
        }
        if next != Next::Nothing {
            course.next = Some(self.run_and_look(second, how));
            course.frozen_later = !freezer.is_thawed();
        }
        self.wish("");
        course.given_up = self.run_and_look(second, how);
        course.frozen_later |= !freezer.is_thawed();
        course
    }

    fn wish(&self, profile: &str) {
        let path = match self.bench.story.how {
            How::User => self.sandbox.desired_by_user(),
            How::Snapd | How::SnapConfine => self.sandbox.desired(),
        };
        fs::write(path, profile).expect("write the desired profile");
    }

    /// The run that the story is about.
    fn strike(&self, blow: Option<(usize, Blow)>, course: &mut Course) {
        let Bench { story, ours, freezer, dog, .. } = *self.bench;
        self.preserve_for(story.how);
        let (command, streams, held) = self.command(ours, story.how);
        course.before = self.look(&Outcome::nothing());
        let mut trace = tracer::trace(command, blow, dog).expect("trace the program");
        drop(held);
        // Without a guard nobody thaws them.
        if !matches!(blow, Some((_, Blow::Kill { guard: true } | Blow::Orphan))) {
            // A guard that was born just now waits to be let go by its tracer.
            course.frozen_for = freezer.thaws_within(GUARD_PATIENCE, &mut || trace.guards.look());
        }
        course.guard_stayed = !trace.guards.end_within(GUARD_PATIENCE);
        course.frozen_at_once = !freezer.is_thawed();
        let outcome = outcome_of(&trace.end, streams);
        course.said = format!("{}{}", outcome.stdout, outcome.stderr);
        if trace.end == End::Exit(0) {
            self.preserve_for(How::Snapd); // what snap-confine built and filled, it keeps
        }
        course.struck = self.look(&outcome);
        // A start that fails takes the namespace with it, and leaves no record of that.
        course.recorded &= story.how != How::SnapConfine || trace.end == End::Exit(0);
        course.trace = Some(trace);
    }

    fn run_and_look(&self, program: &Program, how: How) -> State {
        let act = |life: &Life| {
            let outcome = life.run(program, how);
            life.look(&outcome)
        };
        match how {
            How::User => self.sandbox.in_copy(|| act(self)),
            How::Snapd | How::SnapConfine => act(self),
        }
    }

    /// snapd finds a namespace where there is one.
    fn preserve_for(&self, how: How) {
        let place = format!("/run/snapd/ns/{}.mnt", self.sandbox.name);
        if how == How::Snapd && self.bench.story.how != How::User && !fs::exists(place).unwrap_or(false) {
            self.sandbox.preserve();
        }
    }

    /// Runs a program undisturbed.
    fn run(&self, program: &Program, how: How) -> Outcome {
        self.preserve_for(how);
        let (command, streams, held) = self.command(program, how);
        let end = tracer::run(command, self.bench.dog).expect("start the program");
        drop(held);
        outcome_of(&end, streams)
    }

    fn command(&self, program: &Program, how: How) -> (Command, [File; 2], Option<File>) {
        let argv: &[&str] = match (how, self.bench.story.instance) {
            (How::Snapd, "acorn") => &["acorn"],
            (How::Snapd, _) => &["maple_blue"],
            (How::SnapConfine, "acorn") => &["--from-snap-confine", "acorn"],
            (How::SnapConfine, _) => &["--from-snap-confine", "maple_blue"],
            (How::User, _) => &["--from-snap-confine", "--user-mounts", "acorn"],
        };
        let start = Start {
            which: Which::Ours,
            argv,
            env: match how {
                How::User => &[("XDG_RUNTIME_DIR", "/run/user/1000"), ("SNAP_REAL_HOME", "/home/user")],
                How::Snapd | How::SnapConfine => &[],
            },
            place: if how == How::Snapd { Place::Host } else { Place::Snap },
            lock: Lock::Free,
            rights: if how == How::User { Rights::Ambient } else { Rights::Root },
            inject: None,
            refused: self.bench.story.refused,
            umask: 0,
            patience: Duration::ZERO,
        };
        let mut command = self.sandbox.command(program, &start);
        let streams = [(); 2]
            .map(|()| File::from(memfd_create("stream", MemfdFlags::CLOEXEC).expect("a place for a stream")));
        command.stdin(Stdio::null());
        command.stdout(streams[0].try_clone().expect("stdout"));
        command.stderr(streams[1].try_clone().expect("stderr"));
        let held = (how != How::Snapd).then(|| self.sandbox.hold(FlockOperation::NonBlockingLockExclusive));
        (command, streams, held)
    }

    /// What a process sees, with the mounts as a tree: none may hide behind another.
    fn look(&self, outcome: &Outcome) -> State {
        let mut state = State::after(outcome, self.sandbox);
        let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("read the mount table");
        for chain in tree(&table) {
            *state.lines.entry(format!("tree {chain}")).or_default() += "x";
        }
        state
    }
}

fn outcome_of(end: &End, streams: [File; 2]) -> Outcome {
    let [stdout, stderr] = streams.map(|mut stream| {
        let mut bytes = Vec::new();
        stream.rewind().and_then(|()| stream.read_to_end(&mut bytes)).expect("read a stream");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let exit = match end {
        End::Exit(code) => code.to_string(),
        End::Killed(signal) => format!("signal {}", *signal as i32),
        End::Hung => "hung".to_string(),
    };
    Outcome { exit, stdout, stderr }
}

/// Every mount of the table by the mount points on the way to it.
fn tree(table: &str) -> Vec<String> {
    let machine = ["/proc", "/sys", "/dev"];
    let mut places: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split(' ').take(5).collect();
        if let [id, parent, _, _, point] = fields[..] {
            places.insert(id, (parent, point));
        }
    }
    let ours = places.values().filter(|(_, point)| {
        !machine
            .iter()
            .any(|top| *point == *top || point.strip_prefix(top).is_some_and(|rest| rest.starts_with('/')))
    });
    ours.map(|place| {
        let mut chain = vec![place.1];
        let mut above = places.get(place.0);
        while let Some((parent, point)) = above {
            chain.push(point);
            above = places.get(parent).filter(|_| chain.len() < 50);
        }
        chain.reverse();
        chain.join(">")
    })
    .collect()
}

/// What is wrong in a case, next to the undisturbed course of the same story.
pub fn judge(blow: Blow, course: &Course, reference: &Course) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |wrong, when, what: String| faults.push(Fault { wrong, when, what });
    let trace = course.trace.as_ref();
    let has_guard = reference.trace.as_ref().is_some_and(|trace| trace.forked > 0);
    let with_guard = !matches!(blow, Blow::Kill { guard: true } | Blow::Orphan);
    if blow == Blow::Orphan {
        // The program does not need its guard.
        for (wrong, what) in compare(&course.struck, &reference.struck) {
            fault(wrong, "after the guard's end", what);
        }
        if course.frozen_at_once {
            fault(Wrong::Frozen, "after the guard's end", "processes of the snap".to_string());
        }
        if trace.is_none_or(|trace| trace.end != End::Exit(0)) {
            fault(
                Wrong::Hung,
                "after the guard's end",
                format!("the program ended with {:?}", course.struck.get("exit")),
            );
        }
    }
    if with_guard && has_guard && course.frozen_at_once {
        fault(Wrong::Frozen, "a second after the blow", "processes of the snap".to_string());
    }
    if course.guard_stayed && with_guard {
        fault(Wrong::Hung, "a second after the blow", "the guard is still there".to_string());
    }
    if course.frozen_later {
        fault(Wrong::Frozen, "after the next run", "processes of the snap".to_string());
    }
    if let Blow::Fail { errno, forever } = blow {
        match trace.map(|trace| &trace.end) {
            Some(End::Exit(0 | 1)) => {}
            end => fault(Wrong::Hung, "after the blow", format!("the program ended with {end:?}")),
        }
        if course.frozen_at_once && !(with_guard && has_guard) {
            fault(Wrong::Frozen, "after the blow", "processes of the snap".to_string());
        }
        if course.struck.get("lock") == Some("held") {
            fault(Wrong::Hung, "after the blow", "the lock is held".to_string());
        }
        // A record that cannot be saved is not true; that has to be said.
        let unsaved = course.said.contains("cannot save current mount profile");
        let recorded = course.recorded && !unsaved;
        let struck = trace.and_then(|trace| trace.struck.as_ref());
        let mute = forever && struck.is_some_and(|call| call.name == "write" || call.name == "writev");
        let recorded = recorded && !mute;
        if !course.recorded && !unsaved && course.struck.record != course.before.record {
            fault(Wrong::Untrue, "after the blow", "a record of a namespace that is gone".to_string());
        }
        let before = untruths(&course.before, &course.start);
        for what in untruths(&course.struck, &course.start).into_iter().filter(|_| recorded) {
            if before.contains(&what) {
                continue;
            }
            fault(Wrong::Untrue, "after the blow", what);
        }
        let missed = compare(&course.struck, &reference.struck).into_iter().next();
        if let Some((_, what)) = missed
            && !mute
            && !says(&course.said, errno)
        {
            fault(Wrong::Silent, "after the blow", format!("{what}; said was {:?}", course.said.trim()));
        }
    }
    if let Some(alone) = &reference.alone {
        if let (Some(next), Some(wanted)) = (&course.next, &reference.next) {
            for what in lost_by_original(next, wanted, alone) {
                fault(Wrong::Lost, "after Debian's next run", what);
            }
        }
        return faults;
    }
    if let (Some(next), Some(wanted)) = (&course.next, &reference.next) {
        for (wrong, what) in compare(next, wanted) {
            fault(wrong, "after the next run", what);
        }
    }
    // Parents of targets stay for good; but they need not be there when nobody came so far as to make them.
    let mut end = reference.given_up.clone();
    if reference.next.is_none() {
        end.lines.retain(|key, _| {
            course.given_up.lines.contains_key(key) || reference.start.lines.contains_key(key)
        });
    }
    for (wrong, what) in compare(&course.given_up, &end) {
        fault(wrong, "when all is given up", what);
    }
    faults.sort_by_key(|fault| fault.wrong);
    faults
}

/// Whether a sentence tells of this error and what it is about: a path, a quoted name, or the file that the original's
/// sentence calls by its purpose.
fn says(said: &str, errno: Errno) -> bool {
    let reason = errno.desc().to_lowercase();
    let reason = reason.split(" (").next().unwrap_or_default();
    let words = said.to_lowercase();
    // The original's sentence, which has nothing to add.
    let fixed = words.contains("freezesnapprocesses not implemented");
    let reason = words.contains(reason)
        || words.contains(&own_words(errno))
        // What is not there, or is no way to anything, is told in other words.
        || errno == Errno::ENOENT
        || errno == Errno::ELOOP
        || (errno == Errno::EROFS && words.contains("read-only"));
    fixed
        || reason
            && ["/", "\"", "mountinfo", "mount namespace", "control groups", "capabilities"]
                .iter()
                .any(|thing| words.contains(thing))
}

/// What the program calls errors for which the libraries have no common words.
fn own_words(errno: Errno) -> String {
    match errno {
        Errno::EIO => "input/output error",
        Errno::ENOMEM => "cannot allocate memory",
        Errno::EBUSY => "device or resource busy",
        Errno::ELOOP => "too many levels of symbolic links",
        Errno::EINTR => "interrupted system call",
        Errno::EAGAIN => "resource temporarily unavailable",
        other => return other.desc().to_lowercase(),
    }
    .to_string()
}

/// What differs, and what that means for those who are in the namespace. The exit status counts in undisturbed runs
/// only, and the words never.
pub fn compare(found: &State, wanted: &State) -> Vec<(Wrong, String)> {
    let undisturbed = found.get("exit").is_some_and(|exit| exit == "0" || exit == "1");
    let mut differences = Vec::new();
    let (found, wanted) = (owners_left_out(found), owners_left_out(wanted));
    for (key, is, should) in found.differences(&wanted) {
        let (kind, _) = key.split_once(' ').unwrap_or((key, ""));
        let more =
            |is: &str, should: &str| is.len() > should.len() || (is.len() == should.len() && is > should);
        let wrong = match kind {
            "stdout" | "warning" | "freezer" => continue,
            "exit" if undisturbed => Wrong::Lost,
            "exit" => continue,
            "record" => Wrong::Untrue,
            "lock" => continue,
            _ if should == "-" => Wrong::Leaked,
            // Where originals were kept safe; nobody misses it.
            "view" | "host" if key.contains(" /tmp/.snap") => continue,
            _ if is == "-" => Wrong::Lost,
            "layers" | "tree" if more(is, should) => Wrong::Leaked,
            _ => Wrong::Lost,
        };
        differences.push((wrong, format!("{key}: {is} instead of {should}")));
    }
    differences.sort_by_key(|(wrong, _)| *wrong);
    differences
}

/// A state whose record does not say for which entry a mimic is there: that may be any of those that need it.
fn owners_left_out(state: &State) -> State {
    const OWNER: &str = "x-snapd.needed-by=";
    let mut lines = BTreeMap::new();
    for (key, value) in &state.lines {
        let key = match key.split_once(OWNER).filter(|_| key.starts_with("record ")) {
            Some((before, after)) => {
                let rest = after.find([',', ' ']).map_or("", |end| &after[end..]);
                format!("{before}{OWNER}*{rest}")
            }
            None => key.clone(),
        };
        lines.insert(key, value.clone());
    }
    State { lines, ..State::default() }
}

/// What is missing after Debian's run: what it would have shown in none of two cases, when ours had come to its end,
/// and when ours had not been there. What is too much is its own affair.
fn lost_by_original(found: &State, after_ours: &State, alone: &State) -> Vec<String> {
    let mut lost = Vec::new();
    for (key, is, should) in found.differences(after_ours) {
        let seen = key.starts_with("view ") && !key.starts_with("view /run/") && !key.contains(" /tmp/.snap");
        if (seen || key == "exit") && should != "-" && alone.get(key).unwrap_or("-") != is {
            lost.push(format!("{key}: {is} instead of {should}"));
        }
    }
    lost
}

/// Of a state only the mount table.
pub fn table_only(state: &State) -> State {
    let mut table = State::default();
    for (key, value) in &state.lines {
        if ["mount ", "layers ", "tree "].iter().any(|kind| key.starts_with(kind)) {
            table.lines.insert(key.clone(), value.clone());
        }
    }
    table
}

/// Where the record and the mount table say different things.
fn untruths(state: &State, start: &State) -> Vec<String> {
    let layers = |state: &State, point: &str| {
        state.get(&format!("layers {point}")).and_then(|count| count.parse::<usize>().ok()).unwrap_or(0)
    };
    let mut recorded = BTreeSet::new();
    let mut trees = Vec::new();
    let mut wrong = Vec::new();
    for line in state.record.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, dir, fstype, options, ..] = fields[..] else { continue };
        if options.contains("rootfs") {
            continue;
        }
        recorded.insert(dir);
        if options.split(',').any(|option| option == "rbind") {
            trees.push(format!("{dir}/"));
        }
        let linked = options.contains("kind=symlink") || options.contains("kind=ensure-dir");
        // A place that was made for it, or what is left of the way to it, and could not be removed: the next run has to
        // know.
        let is_left = ["view", "host"].iter().any(|kind| {
            let mut keys = Path::new(dir).ancestors().map(|place| format!("{kind} {}", place.display()));
            keys.find(|key| state.get(key).is_some()).is_some_and(|key| start.get(&key).is_none())
        });
        if !linked && !is_left && layers(state, dir) <= layers(start, dir) {
            wrong.push(format!("on record and not mounted: {fstype} {dir}"));
        }
    }
    for (key, count) in &state.lines {
        let Some(point) = key.strip_prefix("layers ") else { continue };
        let count = count.parse::<usize>().unwrap_or(0);
        let known = recorded.contains(point) || trees.iter().any(|tree| point.starts_with(tree.as_str()));
        if count > layers(start, point) && !known {
            wrong.push(format!("mounted and not on record: {point}"));
        }
    }
    wrong
}

impl Outcome {
    /// Of no run at all.
    pub fn nothing() -> Outcome {
        Outcome { exit: String::new(), stdout: String::new(), stderr: String::new() }
    }
}
