// SPDX-License-Identifier: GPL-3.0-only
//! No hostile process can win a race: names are swapped as fast as another processor can while the program works on
//! them, and a victim has to stay as it is. Nobody is frozen: processes of the host never are, and neither is anybody
//! in user mode.
//!
//! A round is one entry of a profile in one run of the program. Each thing that the program does ([`cases`]) is met
//! by each swap, by a process of the snap and by one of the host, both with openat2(2) and with paths walked by steps.
//! A round of mounting and one of unmounting follow each other; between them a run that nobody disturbs has to bring
//! everything to where it should be. What is known to be lost still ([`cases::awaited`]) is counted, and no failure.
//!
//! | variable | means | when unset |
//! | --- | --- | --- |
//! | `RACE_ROUNDS` | rounds of each swap by either process | 100; 5,000 with `RACE_LONG` |
//! | `RACE_LONG` | the long mode | the short one |
//! | `RACE_SEED` | which swaps | 1 |
//! | `RACE_ORIGINAL` | the original is raced, and every escape is a failure | ours |
//!
//! Figures go to `target/race/`. That the suite can lose is a test of its own: the original, which nobody has to
//! freeze here, does.

#[path = "../support/mod.rs"]
mod support;

mod arena;
mod cases;
mod meddler;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::Instant;

use arena::{Arena, Escape, Slot};
use cases::{Bait, CASES, Case, Context, Swap, awaited};
use libtest_mimic::{Arguments, Failed, Trial};
use meddler::Who;
use support::program::{self, Program, Which};
use support::sandbox::{self, Lock, Outcome, Place, Rights, Sandbox, Start, in_sandbox};
use support::seccomp::{NO_OPENAT2, Refused};
use support::story::{FROM_SNAP_CONFINE, ROOTFS};

/// The two ways in which a path is walked.
const WALKS: [(&str, Refused); 2] = [("openat2", &[]), ("by steps", NO_OPENAT2)];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if let Err(why) = sandbox::possible() {
        if !arguments.list {
            eprintln!("SKIPPED, all races: {why}");
        }
        libtest_mimic::run(&arguments, Vec::new()).exit();
    }
    let mut trials = Vec::new();
    for case in CASES {
        for (walk, refused) in WALKS {
            trials.push(Trial::test(format!("{}: {walk}", case.title), move || race(case, walk, refused)));
        }
    }
    for (walk, refused) in WALKS {
        let title = format!("the record, its notes, the log, the lock and the namespace: {walk}");
        trials.push(Trial::test(title.clone(), move || files(&title, refused)));
    }
    for (title, test) in ALONE {
        trials.push(Trial::test(*title, test));
    }
    trials.push(Trial::test("the suite can lose: the original does", the_original_loses));
    libtest_mimic::run(&arguments, trials).exit();
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn rounds() -> u64 {
    number("RACE_ROUNDS").unwrap_or(if env::var_os("RACE_LONG").is_some() { 5_000 } else { 100 })
}

fn which() -> Which {
    if env::var_os("RACE_ORIGINAL").is_some() { Which::Original } else { Which::Ours }
}

/// What came of the rounds of one swap by one process.
#[derive(Default)]
struct Tally {
    rounds: u64,
    runs: u64,
    swaps: u64,
    /// Sentences: refused entries, mostly. Where there are none, nobody met anybody.
    refusals: u64,
    escapes: BTreeMap<Escape, u64>,
    /// Runs that ended with another status than 0 or 1.
    broken: u64,
    stories: Vec<String>,
}

impl Tally {
    /// Counts what must not be, and keeps the first two of a kind.
    fn wrong(&mut self, kind: Escape, texts: impl Iterator<Item = String>) {
        for text in texts {
            let count = self.escapes.entry(kind).or_default();
            *count += 1;
            if *count <= 2 {
                self.stories.push(format!("run {}, {kind:?}: {text}", self.runs));
            }
        }
    }

    fn escaped(&self) -> u64 {
        self.escapes.values().sum()
    }

    /// Without what is only wrong, and no escape.
    fn lost(&self) -> u64 {
        self.escapes.iter().filter(|(kind, _)| **kind < Escape::Hidden).map(|(_, count)| count).sum()
    }

    fn line(&self) -> String {
        let mut line = format!(
            "{:6} rounds {:4} runs {:8} swaps {:6} refusals, escapes {}",
            self.rounds,
            self.runs,
            self.swaps,
            self.refusals,
            self.escaped()
        );
        for (kind, count) in &self.escapes {
            let _ = write!(line, " {kind:?}={count}");
        }
        line
    }
}

/// All swaps of one case.
fn race(case: &'static Case, walk: &str, refused: Refused) -> Result<(), Failed> {
    let which = if env::var_os("RACE_ORIGINAL").is_some() { Which::Original } else { Which::Ours };
    let program = Program::find(which)?;
    let mut report = String::new();
    let (mut escaped, mut stories) = (0, String::new());
    in_sandbox("acorn", |sandbox| {
        sandbox.preserve();
        let host = meddler::elsewhere();
        for swap in case.swaps {
            for who in [Who::Snap, Who::Host] {
                // A mount of the snap's namespace cannot be moved from another.
                if *swap == Swap::Mount && who == Who::Host {
                    continue;
                }
                let start = Instant::now();
                let mut races = Races { case, swap: *swap, who, which, refused, sandbox, host: &host };
                let tally = races.run(&program, rounds(), false);
                let _ = writeln!(
                    report,
                    "{swap:?} by {who:?}: {} ({} ms)",
                    tally.line(),
                    start.elapsed().as_millis()
                );
                escaped += tally.broken;
                for (kind, count) in &tally.escapes {
                    match awaited(*kind, *swap) {
                        None => escaped += count,
                        Some(what) => {
                            let _ = writeln!(report, "  {kind:?} waits for {what}");
                        }
                    }
                }
                tally.stories.iter().for_each(|story| {
                    let _ = writeln!(stories, "  {swap:?} by {who:?}: {story}");
                });
            }
        }
    });
    note(&format!("{}: {walk}", case.title), &report);
    match escaped {
        0 => Ok(()),
        _ => Err(format!("{escaped} escapes\n{report}{stories}").into()),
    }
}

/// Keeps the figures.
fn note(title: &str, text: &str) {
    let place = program::target().join("race");
    let name = title.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    fs::create_dir_all(&place)
        .and_then(|()| fs::write(place.join(name + ".txt"), format!("{title}\n{text}")))
        .expect("write the figures down");
    print!("{title}\n{text}");
}

/// The rounds of one swap by one process.
struct Races<'s> {
    case: &'static Case,
    swap: Swap,
    who: Who,
    which: Which,
    refused: Refused,
    sandbox: &'s Sandbox,
    host: &'s std::os::fd::OwnedFd,
}

impl Races<'_> {
    fn run(&mut self, program: &Program, rounds: u64, until_lost: bool) -> Tally {
        let mut tally = Tally::default();
        let seed = number("RACE_SEED").unwrap_or(1);
        while tally.rounds < rounds && !(until_lost && tally.lost() > 0) {
            self.cycle(program, seed.wrapping_add(tally.runs), &mut tally);
        }
        tally
    }

    /// A fresh arena; a run that mounts, and one that unmounts, both disturbed, with a quiet one behind each.
    fn cycle(&mut self, program: &Program, seed: u64, tally: &mut Tally) {
        let case = self.case;
        let mut arena = Arena::build(case, self.swap).expect("build the arena");
        let profile = case.profile(&arena.base, |at| arena.place(at));
        let is_mount = !["symlink", "ensure-dir"].iter().any(|kind| profile.contains(kind));
        if case.is_users() {
            fs::write(self.sandbox.desired_by_user(), &profile).expect("write the profile");
            self.disturbed(program, &arena, seed, tally);
            return;
        }
        fs::write(self.sandbox.record(), format!("{ROOTFS}\n")).expect("write the record");
        let _ = fs::remove_file(format!("{}.made", self.sandbox.record().display()));
        fs::write(self.sandbox.desired(), &profile).expect("write the profile");
        self.disturbed(program, &arena, seed, tally);
        self.start(program);
        let there = arena.news();
        if is_mount && self.swap.is_undone() {
            let wanted = profile.lines().filter(|line| {
                let target = arena::field(line, 1);
                !there.iter().any(|(at, _)| at == target)
            });
            tally.wrong(Escape::Missing, wanted.map(String::from));
        }
        if case.is_hosts() {
            tally.wrong(Escape::Hidden, arena.hidden().into_iter());
        }
        if case.bait != Bait::Nothing {
            arena.bait(case.bait).expect("put bait into the victim");
        }
        fs::write(self.sandbox.desired(), "").expect("write the profile");
        self.disturbed(program, &arena, seed.wrapping_add(3), tally);
        self.start(program);
        if self.swap.is_undone() {
            tally.wrong(Escape::Forgotten, arena.news().into_iter().map(|(_, line)| line));
        }
    }

    /// One run while names are swapped, and what is wrong after it.
    fn disturbed(&self, program: &Program, arena: &Arena, seed: u64, tally: &mut Tally) {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        let (outcome, swaps) =
            meddler::meddle(&arena.slots, self.who, self.host, seed, || self.start(program));
        arena.restore();
        tally.rounds += self.case.slots as u64;
        tally.runs += 1;
        tally.swaps += swaps;
        tally.refusals += outcome.stderr.lines().count() as u64;
        if !["0", "1"].contains(&outcome.exit.as_str()) {
            tally.broken += 1;
            tally.stories.push(format!("{outcome:?}"));
        }
        for (kind, text) in arena.escapes(self.case.is_read_only()) {
            tally.wrong(kind, [text].into_iter());
        }
    }

    fn start(&self, program: &Program) -> Outcome {
        let start = Start { which: self.which, refused: self.refused, ..FROM_SNAP_CONFINE };
        let start = match self.case.context {
            Context::SnapConfine => start,
            Context::Snapd => Start { argv: &["acorn"], place: Place::Host, lock: Lock::Free, ..start },
            Context::User => Start {
                argv: &["--from-snap-confine", "--user-mounts", "acorn"],
                env: &[("SNAP_REAL_HOME", "/home/user")],
                rights: Rights::SetUid,
                ..start
            },
        };
        self.sandbox.run(program, &start)
    }
}

/// The files in snapd's own directories, each swapped for a link to a file of somebody else's. A round is one run and
/// one of the files.
fn files(title: &str, refused: Refused) -> Result<(), Failed> {
    const FILES: [(&str, &str); 5] = [
        ("/run/snapd/ns", "snap.acorn.fstab"),
        ("/run/snapd/ns", "snap.acorn.fstab.made"),
        ("/run/snapd/ns", "snap.acorn.log"),
        ("/run/snapd/lock", "acorn.lock"),
        ("/run/snapd/ns", "acorn.mnt"),
    ];
    const VICTIM: &str = "/run/victim";
    let program = Program::find(which())?;
    let (mut wrong, mut report) = (Vec::new(), String::new());
    in_sandbox("acorn", |sandbox| {
        sandbox.preserve();
        let host = meddler::elsewhere();
        let look = || {
            let meta = fs::metadata(VICTIM).expect("look at the victim");
            let text = fs::read(VICTIM).expect("read the victim");
            (text, meta.mode(), meta.uid(), meta.ino())
        };
        let text =
            format!("{ROOTFS}\n/var/snap/acorn/common/e /var/snap/acorn/common/none none bind,rw 0 0\n");
        fs::write(VICTIM, text).expect("make a victim");
        fs::write("/run/snapd/ns/snap.acorn.log", "").expect("make a log");
        let before = look();
        let slots = FILES.map(|(dir, name)| {
            symlink(VICTIM, format!("{dir}/{name}.x")).expect("make a link");
            Slot::names(dir, name, &format!("{name}.x"))
        });
        let start = Start {
            argv: &["acorn"],
            place: Place::Host,
            lock: Lock::Free,
            which: which(),
            refused,
            ..FROM_SNAP_CONFINE
        };
        let (mut runs, mut swaps, mut failed) = (0, 0, 0);
        while runs * (FILES.len() as u64) < rounds() {
            let source = ["a", "b"][runs as usize % 2];
            let at = "/var/snap/acorn/common";
            let line = format!("{at}/{source} {at}/to none bind,rw 0 0\n");
            fs::write(sandbox.desired(), line).expect("write the profile");
            let one = &slots[runs as usize % slots.len()..][..1];
            let slots = if runs % 3 == 0 { &slots[..] } else { one };
            let (outcome, more) =
                meddler::meddle(slots, Who::Host, &host, runs, || sandbox.run(&program, &start));
            (runs, swaps) = (runs + 1, swaps + more);
            failed += u64::from(outcome.exit != "0");
            let now = look();
            if now != before {
                wrong.push(format!("run {runs}: the victim was {before:?} and is {now:?}"));
                break;
            }
            if !["0", "1"].contains(&outcome.exit.as_str()) {
                wrong.push(format!("run {runs}: {outcome:?}"));
            }
        }
        let rounds = runs * FILES.len() as u64;
        let _ = writeln!(
            report,
            "{rounds} rounds {runs} runs {swaps} swaps {failed} refusals, escapes {}",
            wrong.len()
        );
    });
    note(title, &report);
    if wrong.is_empty() { Ok(()) } else { Err(format!("{report}{}", wrong.join("\n")).into()) }
}

/// Runs the program on a few profiles; in the end the answer has to be yes.
fn alone(story: Story) -> Result<(), Failed> {
    let program = Program::find(which())?;
    let start =
        Start { argv: &["acorn"], place: Place::Host, lock: Lock::Free, which: which(), ..FROM_SNAP_CONFINE };
    let is_good = in_sandbox("acorn", |sandbox| {
        sandbox.preserve();
        story(&|profile| {
            fs::write(sandbox.desired(), format!("{profile}\n")).expect("write the profile");
            println!("{:?}", sandbox.run(&program, &start));
        })
    });
    if is_good { Ok(()) } else { Err("still so".into()) }
}

/// What happens, told with a way to bring the namespace to a profile.
type Story = fn(run: &dyn Fn(&str)) -> bool;

/// What is tested, and how.
type Alone = (&'static str, Test);
type Test = fn() -> Result<(), Failed>;

/// Faults that the races met and that need no race.
const ALONE: &[Alone] = &[("a mount whose way is barred stays on record", || {
    alone(|run| {
        const PLACE: &str = "/var/snap/acorn/common/p";
        run("/var/snap/acorn/common/a /var/snap/acorn/common/p/x none bind,rw 0 0");
        fs::rename(PLACE, format!("{PLACE}.moved")).expect("rename");
        symlink("/var/snap/acorn/common/b", PLACE).expect("make a link");
        run("");
        fs::remove_file(PLACE).expect("remove the link");
        fs::rename(format!("{PLACE}.moved"), PLACE).expect("rename");
        run("");
        !fs::exists(format!("{PLACE}/x/v")).expect("look")
    })
})];

/// The same races with the original: how long until the first escape.
fn the_original_loses() -> Result<(), Failed> {
    let program = Program::find(Which::Original)?;
    let mut report = String::new();
    let mut lost = 0;
    in_sandbox("acorn", |sandbox| {
        sandbox.preserve();
        let host = meddler::elsewhere();
        for case in CASES.iter().filter(|case| case.context == Context::Snapd && !case.swaps.is_empty()) {
            let mut races = Races {
                case,
                swap: Swap::Parent,
                who: Who::Snap,
                which: Which::Original,
                refused: &[],
                sandbox,
                host: &host,
            };
            let tally = races.run(&program, 500, true);
            lost += u64::from(tally.lost() > 0);
            let _ = writeln!(report, "{}: {}", case.title, tally.line());
        }
    });
    note("the original", &report);
    if lost == 0 { Err(format!("the original never lost:\n{report}").into()) } else { Ok(()) }
}
