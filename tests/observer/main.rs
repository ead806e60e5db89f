// SPDX-License-Identifier: GPL-3.0-only
//! Live without a gap: processes of the snap look at paths as fast as they can while its namespace is updated, and
//! count what they do not find.
//!
//! The program joins the namespace, as snapd has it do, again and again. Every kind of change ([`kinds`]) is counted
//! apart: paths that the update does not concern, paths behind an entry that is replaced (there has to be the old or
//! the new, never neither), and the names in directories. So are the circumstances: observers that the program can
//! freeze and that it cannot, and kernels that do not know the newer calls for mounting.
//!
//! Where a kind is known to be without a gap, one error is a failure ([`kinds::Kind::gapless`]); elsewhere they are
//! only counted, and so are updates that fail. Where none has failed, nothing may be missing between the updates.
//!
//! | variable | means | when unset |
//! | --- | --- | --- |
//! | `OBSERVER_UPDATES` | updates of each kind | 24; 10,000 with `OBSERVER_LONG`, and 2,000 without the newer calls |
//! | `OBSERVER_LONG` | the long mode | the short one |
//! | `OBSERVER_ONLY` | kinds: a part of a title | all of them |
//!
//! The table goes to `target/observer.txt`.

#[path = "../support/mod.rs"]
mod support;

mod eye;
mod kinds;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::Duration;

use eye::{BETWEEN, Count, Eyes, Watch};
use kinds::{Gapless, KINDS, Kind};
use libtest_mimic::{Arguments, Failed, Trial};
use snap_update_ns::kernel::mount::{can_attach_beneath, can_mount_aside};
use support::program::{self, Program, Which};
use support::sandbox::{self, Lock, Place, Sandbox, Start, in_sandbox};
use support::seccomp::{Refused, newer};
use support::story::{FROM_SNAP_CONFINE, ROOTFS};

/// In what circumstances the program runs.
#[derive(Clone, Copy)]
struct Circumstances {
    title: &'static str,
    refused: Refused,
    frozen: bool,
}

const CIRCUMSTANCES: &[Circumstances] = &[
    Circumstances { title: "not frozen", refused: &[], frozen: false },
    Circumstances { title: "frozen", refused: &[], frozen: true },
    Circumstances { title: "newer calls unknown (ENOSYS)", refused: &newer(libc::ENOSYS), frozen: false },
    Circumstances { title: "newer calls forbidden (EPERM)", refused: &newer(libc::EPERM), frozen: false },
    Circumstances {
        title: "newer calls misunderstood (EINVAL)",
        refused: &newer(libc::EINVAL),
        frozen: false,
    },
];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if let Err(why) = sandbox::possible() {
        if !arguments.list {
            eprintln!("SKIPPED, all observers: {why}");
        }
        libtest_mimic::run(&arguments, Vec::new()).exit();
    }
    let trials = CIRCUMSTANCES.iter().map(|now| Trial::test(now.title, move || observe(now))).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn updates(now: &Circumstances) -> u64 {
    let asked = env::var("OBSERVER_UPDATES").ok().and_then(|number| number.parse().ok());
    asked.unwrap_or(match (env::var_os("OBSERVER_LONG").is_some(), now.refused.is_empty()) {
        (false, _) => 24,
        (true, true) => 10_000,
        (true, false) => 2_000,
    })
}

/// What was counted in one phase of one kind.
#[derive(Default)]
struct Tally {
    updates: u64,
    /// Updates that had something to say, and the first that they said.
    failed: u64,
    said: Option<String>,
    looks: u64,
    same: u64,
    replaced: u64,
    names: u64,
    stat: u64,
    open: u64,
    read: u64,
    text: u64,
}

impl Tally {
    fn add(&mut self, eyes: &Eyes, phase: usize, watches: &[Watch]) {
        for (at, watch) in watches.iter().enumerate() {
            let count = |what| eyes.count(phase, at, what);
            self.looks += count(Count::Looks);
            let errors = [Count::Stat, Count::Open, Count::Read, Count::Text].map(count);
            let sum = errors.iter().sum::<u64>();
            match watch {
                Watch::Same(..) => self.same += sum,
                Watch::Replaced(..) => self.replaced += sum,
                Watch::Names(..) => self.names += sum + count(Count::Name),
            }
            for (all, one) in
                [&mut self.stat, &mut self.open, &mut self.read, &mut self.text].into_iter().zip(errors)
            {
                *all += one;
            }
        }
    }

    fn errors(&self) -> u64 {
        self.same + self.replaced + self.names
    }

    fn row(&self, title: &str, gapless: bool) -> String {
        format!(
            "{title:40} {:7} {:6} {:9} {:9} {:9} {:9}   {:8} {:8} {:8} {:8}  {}\n",
            self.updates,
            self.failed,
            self.looks,
            self.same,
            self.replaced,
            self.names,
            self.stat,
            self.open,
            self.read,
            self.text,
            if gapless { "none allowed" } else { "" },
        )
    }
}

/// All kinds in one set of circumstances.
fn observe(now: &'static Circumstances) -> Result<(), Failed> {
    let program = Program::find(Which::Ours)?;
    let mut table = format!(
        "{:40} {:>7} {:>6} {:>9} {:>9} {:>9} {:>9}   {:>8} {:>8} {:>8} {:>8}\n",
        now.title,
        "updates",
        "failed",
        "looks",
        "unchanged",
        "replaced",
        "names",
        "stat",
        "open",
        "read",
        "text"
    );
    let (mut wrong, mut said_all) = (String::new(), String::new());
    let only = env::var("OBSERVER_ONLY").unwrap_or_default();
    for kind in KINDS.iter().filter(|kind| kind.titles.iter().any(|title| title.contains(&only))) {
        let tallies = in_sandbox("acorn", |sandbox| change(sandbox, &program, now, kind))?;
        let [first, second, between] = tallies;
        let mut failed = 0;
        let mut rows = vec![(kind.titles[0], first, kind.gapless[0])];
        if kind.titles[0] == kind.titles[1] {
            let first = &mut rows[0].1;
            first.updates += second.updates;
            first.failed += second.failed;
            first.said = first.said.take().or(second.said);
            for (all, one) in [
                (&mut first.looks, second.looks),
                (&mut first.same, second.same),
                (&mut first.replaced, second.replaced),
                (&mut first.names, second.names),
                (&mut first.stat, second.stat),
                (&mut first.open, second.open),
                (&mut first.read, second.read),
                (&mut first.text, second.text),
            ] {
                *all += one;
            }
        } else {
            rows.push((kind.titles[1], second, kind.gapless[1]));
        }
        for (title, tally, gapless) in rows {
            let gapless = now.frozen
                || match gapless {
                    Gapless::NotYet => false,
                    Gapless::WithNewerCalls => {
                        now.refused.is_empty() && can_attach_beneath() && can_mount_aside()
                    }
                    Gapless::Always => true,
                };
            table += &tally.row(title, gapless);
            failed += tally.failed;
            if let Some(said) = &tally.said {
                let _ = writeln!(said_all, "  {title}: {}", said.trim());
            }
            if gapless && tally.errors() + tally.failed > 0 {
                let _ = writeln!(wrong, "{title}: {} errors, {} failed", tally.errors(), tally.failed);
            }
        }
        if failed == 0 && between.errors() > 0 {
            let _ = writeln!(wrong, "{}: {} errors between updates", kind.titles[0], between.errors());
        }
    }
    table += &said_all;
    note(now.title, &table);
    if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong}{table}").into()) }
}

/// Updates the namespace to the one profile and the other, in turns, and counts.
fn change(
    sandbox: &Sandbox,
    program: &Program,
    now: &Circumstances,
    kind: &Kind,
) -> Result<[Tally; 3], String> {
    sandbox.preserve();
    fs::write(sandbox.record(), format!("{ROOTFS}\n")).expect("write the record");
    (kind.prepare)();
    let start = Start {
        argv: &["acorn"],
        place: Place::Host,
        lock: Lock::Free,
        refused: now.refused,
        ..FROM_SNAP_CONFINE
    };
    let update = |profile: &str| {
        let lines = profile.lines().map(|line| format!("{}\n", line.trim()));
        fs::write(sandbox.desired(), lines.collect::<String>()).expect("write the profile");
        let outcome = sandbox.run(program, &start);
        let is_good = outcome.exit == "0" && outcome.stderr.is_empty();
        (!is_good).then(|| format!("exit {}, {}{}", outcome.exit, outcome.stdout, outcome.stderr))
    };
    update(kind.profiles[1]);
    let eyes = Eyes::open(kind.watch).map_err(|why| format!("cannot observe: {why}"))?;
    let _group = now.frozen.then(|| Group::with(eyes.pids()));
    while eyes.looks() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let mut tallies = [Tally::default(), Tally::default(), Tally::default()];
    for at in 0..updates(now) as usize {
        (kind.before)();
        eyes.during(at % 2);
        let said = update(kind.profiles[at % 2]);
        eyes.between();
        let tally = &mut tallies[at % 2];
        tally.updates += 1;
        tally.failed += u64::from(said.is_some());
        tally.said = tally.said.take().or(said);
    }
    for (phase, tally) in tallies.iter_mut().enumerate() {
        tally.add(&eyes, phase, kind.watch);
    }
    debug_assert_eq!(tallies.len(), BETWEEN + 1);
    Ok(tallies)
}

/// The control group in which the program looks for the snap's processes.
struct Group(String);

impl Group {
    fn with(pids: &[i32]) -> Group {
        let v1 = "/sys/fs/cgroup/freezer";
        let group = match fs::exists(v1) {
            Ok(true) => format!("{v1}/snap.acorn"),
            _ => "/sys/fs/cgroup/snap.acorn.app.scope".to_string(),
        };
        fs::create_dir(&group).expect("make a group");
        for pid in pids {
            fs::write(format!("{group}/cgroup.procs"), pid.to_string()).expect("move a process");
        }
        Group(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = &self.0;
        let _ = fs::write(format!("{group}/freezer.state"), "THAWED");
        let _ = fs::write(format!("{group}/cgroup.freeze"), "0");
        let above = std::path::Path::new(group).parent().expect("a group above");
        let pids = fs::read_to_string(format!("{group}/cgroup.procs")).unwrap_or_default();
        for pid in pids.lines() {
            let _ = fs::write(above.join("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(group);
    }
}

/// Keeps the table, and puts all together that there are.
fn note(title: &str, table: &str) {
    let target = program::target();
    let place = target.join("observer");
    let name = |title: &str| title.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-") + ".txt";
    let all = |()| -> std::io::Result<()> {
        fs::write(place.join(name(title)), table)?;
        let tables = CIRCUMSTANCES
            .iter()
            .filter_map(|now| fs::read_to_string(place.join(name(now.title))).ok())
            .collect::<Vec<_>>();
        fs::write(target.join("observer.txt"), tables.join("\n"))
    };
    fs::create_dir_all(&place).and_then(all).expect("write the table down");
    println!("{table}");
}
