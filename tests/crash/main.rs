// SPDX-License-Identifier: GPL-3.0-only
//! Never caught half-way: every story is ended at each of its system calls, and each call is made to fail in every way
//! that it can; the next run must make everything whole, and the run after that give everything up again.
//!
//! Judged is by state, next to the same story undisturbed: what a process in the namespace sees, the mount table (as a
//! tree, without ids), the record, what is left on the host's disk and in `/run`.
//!
//! | trial | what befalls the program, and what comes then |
//! | --- | --- |
//! | `bench/…` | none: the bench itself |
//! | `STORY/kill` | SIGKILL where a call begins; the guard thaws within a second |
//! | `STORY/kill+guard` | SIGKILL for both; the next run thaws |
//! | `STORY/once` | a call fails once |
//! | `STORY/forever` | a call fails, and so does every later one of its kind |
//! | `STORY/guard` | SIGKILL for the guard alone |
//! | `STORY/kill>original` | SIGKILL for both, and the next runs are Debian's |
//! | `STORY/kill>nothing` | SIGKILL for both, and nothing is wished any more |
//!
//! A case is named by a trial and a place: `mimic-on/kill@57`, `mimic-on/once@57:EIO`. What was wrong is noted in
//! `target/crash/`.
//!
//! | variable | means |
//! | --- | --- |
//! | `CRASH_ALL` | every call and every error, not a sample |
//! | `CRASH_SAMPLES` | so many times as large a sample |
//! | `CRASH_ONLY` | stories and trials, separated by spaces; all others are left out |
//! | `CRASH_LIES` | also errors that say that what is there is not there |
//! | `CRASH_CASE` | this case alone, told at length |

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod calls;
mod case;
mod freezer;
mod stories;
mod table;
mod tracer;

use std::env;

use libtest_mimic::{Arguments, Failed, Trial};
use nix::errno::Errno;

use calls::Call;
use case::{Bench, Course, Next, judge};
use freezer::Freezer;
use stories::{How, Story, stories};
use support::program::{self, Program, Which};
use support::sandbox::{self, Image};
use table::Row;
use tracer::{Blow, Watchdog};

/// A family of cases of one story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Family {
    name: &'static str,
    /// How many of its cases are told when there is not time for all.
    sample: usize,
    next: Next,
    /// What must be built before its trials can pass: until then they are told with `--ignored` only.
    awaits: Option<&'static str>,
}

const FAMILIES: &[Family] = &[
    Family { name: "kill", sample: 60, next: Next::Ours, awaits: None },
    Family { name: "kill+guard", sample: 60, next: Next::Ours, awaits: None },
    Family { name: "once", sample: 40, next: Next::Ours, awaits: None },
    Family { name: "forever", sample: 20, next: Next::Ours, awaits: None },
    Family { name: "guard", sample: 20, next: Next::Ours, awaits: None },
    Family {
        name: "kill>original",
        sample: 15,
        next: Next::Original,
        awaits: Some("a record that is true at every moment"),
    },
    Family { name: "kill>nothing", sample: 30, next: Next::Nothing, awaits: None },
];

/// One place and one blow.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    blow: Blow,
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1); // mounting is machine-wide work
    let listing = arguments.list;
    let impossible = match sandbox::possible() {
        Err(why) => Some(why),
        Ok(()) if !cfg!(target_arch = "x86_64") => Some("calls are told apart on x86_64 only"),
        Ok(()) if program::is_emulated() => Some("an emulator makes calls of its own"),
        Ok(()) => None,
    };
    if let Some(why) = impossible {
        if !listing {
            eprintln!("SKIPPED, all crashes: {why}");
        }
        libtest_mimic::run(&arguments, Vec::new()).exit();
    }
    if let Ok(case) = env::var("CRASH_CASE") {
        tell_one(&case);
        return;
    }
    if !listing && !arguments.include_ignored && !arguments.ignored {
        for family in FAMILIES {
            if let Some(what) = family.awaits {
                eprintln!("SKIPPED, waits for {what}: all crashes of the family {}", family.name);
            }
        }
    }
    let only = env::var("CRASH_ONLY").unwrap_or_default();
    let mut trials = if only.is_empty() { bench::trials() } else { Vec::new() };
    for story in stories() {
        for family in FAMILIES {
            // Debian's knows another protocol for users, and adopts nothing; and nobody can give up what ours has not
            // adopted yet.
            let unknown = story.how == How::User && family.next == Next::Original;
            if unknown || (story.name.ends_with("adoption") && family.next != Next::Ours) {
                continue;
            }
            let name = format!("{}/{}", story.name, family.name);
            let mut wanted = only.split_whitespace().peekable();
            if wanted.peek().is_some() && !wanted.any(|wanted| wanted == story.name || wanted == name) {
                continue;
            }
            // What is set aside under snap-confine lies in /tmp, and stays where it cannot be removed at all.
            let apart = story.how == How::SnapConfine && family.name == "forever";
            let awaits =
                family.awaits.or(apart.then_some("a place of safe-keeping that can always be removed"));
            let story = story.name;
            trials.push(Trial::test(name, move || tell(story, *family)).with_ignored_flag(awaits.is_some()));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !listing {
        print!("{}", table::read());
    }
    conclusion.exit();
}

/// A story on its bench.
fn with_bench<T>(name: &str, act: impl FnOnce(&Bench) -> T) -> T {
    let story: Story = stories().into_iter().find(|story| story.name == name).expect("a story of this name");
    let image = Image::mount_once().expect("mount the image");
    let freezer = Freezer::new(story.instance, story.second_version).expect("a group of processes");
    let ours = Program::find(Which::Ours).expect("the program");
    let original = Program::find(Which::Original).ok();
    let dog = Watchdog::new();
    let bench = Bench {
        image: &image,
        story: &story,
        ours: &ours,
        original: original.as_ref(),
        freezer: &freezer,
        dog: &dog,
    };
    let done = act(&bench);
    drop(freezer);
    image.unmount();
    done
}

/// All cases of a family, or a sample.
fn places(story: &Story, family: Family, reference: &Course) -> Vec<Place> {
    let all = env::var_os("CRASH_ALL").is_some();
    let calls = &reference.trace.as_ref().expect("a trace").calls;
    let mut places = Vec::new();
    let forks = |call: &Call| call.name.contains("fork") || call.name.contains("clone");
    let forked = calls.iter().position(forks).unwrap_or(calls.len());
    let written = calls.iter().rposition(|call| call.name.starts_with("rename")).map_or(0, |last| last + 1);
    for (call, at) in calls.iter().zip(1..) {
        if family.name == "guard" {
            if at > forked + 1 && (all || call.is_deed()) {
                places.push(Place { at, blow: Blow::Orphan });
            }
            continue;
        }
        if story.how == How::SnapConfine && family.next == Next::Nothing && at > written {
            // It is done; what it has made for that stays when the namespace goes, as with the original.
            break;
        }
        if family.name.starts_with("kill") {
            // Before a call that changes nothing it is as it is before the next one.
            if all || call.is_deed() {
                places.push(Place { at, blow: Blow::Kill { guard: family.name != "kill" } });
            }
            continue;
        }
        for &errno in call.errors() {
            let forever = family.name == "forever";
            // Where the record has been lost, nothing but the table tells what is there.
            let is_blind = matches!(errno, Errno::EACCES | Errno::EPERM)
                && story.name.ends_with("adoption")
                && call.about.contains("mountinfo");
            if (is_blind || call.would_lie(errno, forever)) && env::var_os("CRASH_LIES").is_none() {
                continue;
            }
            // What is interrupted for ever is asked for ever.
            if !forever || errno != Errno::EINTR {
                places.push(Place { at, blow: Blow::Fail { errno, forever } });
            }
        }
    }
    let times = env::var("CRASH_SAMPLES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    // What a kernel of old does differently shows in fewer.
    let sample = family.sample * times / if story.refused.is_empty() { 1 } else { 3 };
    if all || places.len() <= sample {
        return places;
    }
    (0..sample).filter_map(|n| places.get(n * places.len() / sample).copied()).collect()
}

fn tell(story: &str, family: Family) -> Result<(), Failed> {
    if family.next == Next::Original && Program::find(Which::Original).is_err() {
        eprintln!("SKIPPED, there is no original (scripts/fetch-original): {story}/{}", family.name);
        return Ok(());
    }
    with_bench(story, |bench| {
        let reference = bench.reference(family.next);
        check(bench, family, &reference)?;
        let places = places(bench.story, family, &reference);
        let mut row = Row::new(story, family.name, reference.trace.as_ref().map_or(0, |trace| trace.forked));
        for place in places {
            let course = bench.live(Some((place.at, place.blow)), family.next);
            let faults = judge(place.blow, &course, &reference);
            row.count(&case_name(story, family, place), place.blow, &course, &reference, faults);
        }
        row.note();
        match row.is_good() {
            true => Ok(()),
            false => Err(Failed::from(row.report())),
        }
    })
}

/// The undisturbed story must be what it is taken for.
fn check(bench: &Bench, family: Family, reference: &Course) -> Result<(), String> {
    let name = bench.story.name;
    let trace = reference.trace.as_ref().ok_or("no trace")?;
    if let Some(call) = trace.calls.iter().find(|call| !call.is_known()) {
        return Err(format!("{name}: a call that is not on the list: {call}"));
    }
    if reference.struck.get("exit") != Some("0") {
        return Err(format!("{name}: undisturbed, it fails: {}", reference.said));
    }
    if reference.frozen_at_once || reference.frozen_later {
        return Err(format!("{name}: undisturbed, it leaves processes frozen"));
    }
    if family.next == Next::Ours {
        let next = reference.next.as_ref().ok_or("no next run")?;
        if let Some((_, what)) = case::compare(next, &reference.struck).into_iter().next() {
            return Err(format!("{name}: undisturbed, the next run changes something: {what}"));
        }
    }
    let start = case::table_only(&reference.start);
    let end = case::table_only(&reference.given_up);
    if let Some((key, is, should)) = end.differences(&start).into_iter().next()
        && family.next != Next::Original
    {
        return Err(format!(
            "{name}: undisturbed, the table of the start does not come back: {key} {is} {should}"
        ));
    }
    Ok(())
}

fn case_name(story: &str, family: Family, place: Place) -> String {
    let at = match place.blow {
        Blow::Kill { .. } | Blow::Orphan => place.at.to_string(),
        Blow::Fail { errno, .. } => format!("{}:{errno:?}", place.at),
    };
    format!("{story}/{}@{at}", family.name)
}

/// Tells one case at length.
fn tell_one(case: &str) {
    let (trial, at) = case.split_once('@').expect("STORY/FAMILY@CALL or STORY/FAMILY@CALL:ERRNO");
    let (story, family) = trial.split_once('/').expect("STORY/FAMILY");
    let family = *FAMILIES.iter().find(|known| known.name == family).expect("a family of this name");
    with_bench(story, |bench| {
        let reference = bench.reference(family.next);
        if let Err(why) = check(bench, family, &reference) {
            println!("{why}");
        }
        let calls = &reference.trace.as_ref().expect("a trace").calls;
        for (call, at) in calls.iter().zip(1..) {
            println!("{at:>5} {}{call}", if call.is_deed() { "* " } else { "  " });
        }
        let (at, errno) = at.split_once(':').map_or((at, None), |(at, errno)| (at, Some(errno)));
        let at: usize = at.parse().expect("the number of a call");
        let blow = match errno {
            None if family.name == "guard" => Blow::Orphan,
            None => Blow::Kill { guard: family.name != "kill" },
            Some(name) => {
                let errors = calls.iter().flat_map(|call| call.errors());
                let errno = errors.copied().find(|errno| format!("{errno:?}") == name);
                Blow::Fail { errno: errno.expect("an errno"), forever: family.name == "forever" }
            }
        };
        let course = bench.live(Some((at, blow)), family.next);
        let struck = course.trace.as_ref().and_then(|trace| trace.struck.as_ref());
        println!("\nstruck: {}", struck.map_or("nothing".to_string(), ToString::to_string));
        println!("ended: {:?}, said: {}", course.struck.get("exit"), course.said);
        println!("\nrecord after the blow:\n{}", course.struck.record);
        for fault in judge(blow, &course, &reference) {
            println!("{fault}");
        }
        if let Some(next) = &course.next {
            println!("\nnext run: {:?} {}\nrecord:\n{}", next.get("exit"), next.stderr, next.record);
        }
        println!("given up: {:?} {}", course.given_up.get("exit"), course.given_up.stderr);
        if env::var_os("CRASH_SHOW").is_some() {
            println!("--- undisturbed\n{}--- struck\n{}", reference.struck, course.struck);
        }
    });
}
