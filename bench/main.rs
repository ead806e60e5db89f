// SPDX-License-Identifier: GPL-3.0-only
//! How fast are we? Ours and Debian's original, as multiples of the floor: a program that makes just the system calls
//! that the work is made of (`floor.c`). All three take turns, in the same namespace, in the same run.
//!
//! ```text
//! speed [--quick] [PART...]     without a part, all of them; --quick: fewer rounds, and no large sizes
//! ```
//!
//! Started by scripts/bench, as root. Nothing here is a test. While the file named by `BENCH_LOCK` is locked by somebody
//! else, no part is begun: for machines that others measure on, too.

mod clock;
mod report;
#[path = "../tests/support/mod.rs"]
mod support;
mod takers;

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use clock::{instructions, peak};
use report::{Report, thousands};
use support::load::{self, Load};
use support::program::{self, Program, Which};
use support::sandbox::{self, in_sandbox};
use takers::{Bench, Effort, MANY};

/// A part of what is measured; all of it, or less when it has to be quick.
type Part = fn(&Bench<'_>, bool, &mut Report);

const PARTS: [(&str, Part); 9] = [
    ("nothing", nothing),
    ("binds", binds),
    ("made", made),
    ("mimics", mimics),
    ("user", user),
    ("many", many),
    ("busy", busy),
    ("memory", memory),
    ("instructions", in_user_space),
];

fn nothing(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    let (trio, table) = bench.nothing(if quick { 15 } else { 40 });
    report.row("nothing to do, 3 entries on record", "start and end", 1.5, &trio);
    report.row("the same", "and read the mount table", 0.0, &trio.beside(&table));
}

fn binds(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    let sizes: &[usize] = if quick { &[100, 1_000, 4_000] } else { &[100, 1_000, 4_000, 10_000, 50_000] };
    for &size in sizes {
        let cycle = bench.cycle(Load::Binds(size), effort(size, quick));
        if matches!(size, 1_000 | 4_000) {
            report.row(&of("connect", size), "the mount calls", 1.3, &cycle.connect);
            let [connect, disconnect] = &cycle.calls;
            report.row("the same", "the calls that ours makes", 0.0, &cycle.connect.beside(connect));
            report.row(&of("disconnect", size), "the unmounts", 1.3, &cycle.disconnect);
            report.row("the same", "the calls that ours makes", 0.0, &cycle.disconnect.beside(disconnect));
        }
        if size == 4_000 {
            report.row(&of("keep", size), "read the mount table", 1.5, &cycle.keep);
        }
        report.growth(size, &cycle);
    }
}

fn made(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    for size in [1_000, 4_000] {
        let cycle = bench.cycle(Load::MadeBinds(size), effort(size, quick));
        report.row(&of("make targets and connect", size), "mkdir and mount calls", 0.0, &cycle.connect);
        report.row(&of("disconnect and remove", size), "unmounts and removals", 1.3, &cycle.disconnect);
    }
}

fn mimics(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    for size in [1_000, 4_000] {
        let cycle = bench.cycle(Load::Mimic(size), effort(size, quick));
        report.row(&of("mimic of", size), "the calls of one mimic", 1.3, &cycle.connect);
        report.row(&of("undo the mimic of", size), "one detach", 1.5, &cycle.disconnect);
    }
}

fn user(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    let trio = bench.user(if quick { 20 } else { 60 });
    report.row("user mounts of a desktop program", "become the user, bind, mkdir", 1.5, &trio);
}

fn many(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    let trio = bench.many(if quick { 3 } else { 9 });
    report.row("50 snaps at once, 20 binds each", "join and mount", 0.0, &trio);
    report.throughput(MANY, &trio);
}

fn busy(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    if quick {
        return;
    }
    let others = load::Unrelated::mount("/var/lib/snapd/hostfs", 20_000);
    let (trio, table) = bench.nothing(9);
    let work = "nothing to do beside 20,000 other mounts";
    report.row(work, "read the mount table", 0.0, &trio.beside(&table));
    let cycle = bench.cycle(Load::Binds(1_000), effort(1_000, true));
    report.row("connect 1,000 beside 20,000 other mounts", "the mount calls", 0.0, &cycle.connect);
    drop(others);
}

fn memory(bench: &Bench<'_>, _: bool, report: &mut Report) {
    let [small, large, wide] =
        [Load::Binds(3), Load::Binds(4_000), Load::Mimic(4_000)].map(|work| bench.once(work, peak));
    report.memory("nothing to do", small.map(|all| all[1]));
    report.memory("connect 4,000", large.map(|all| all[0]));
    report.memory("keep 4,000", large.map(|all| all[1]));
    report.memory("disconnect 4,000", large.map(|all| all[2]));
    report.memory("mimic of 4,000", wide.map(|all| all[0]));
    report.memory("undo the mimic of 4,000", wide.map(|all| all[2]));
}

fn in_user_space(bench: &Bench<'_>, _: bool, report: &mut Report) {
    let [small, large, wide] =
        [Load::Binds(3), Load::Binds(1_000), Load::Mimic(1_000)].map(|work| bench.once(work, instructions));
    report.instructions("nothing to do", small.map(|all| all[1]));
    report.instructions("connect 1,000", large.map(|all| all[0]));
    report.instructions("keep 1,000", large.map(|all| all[1]));
    report.instructions("disconnect 1,000", large.map(|all| all[2]));
    report.instructions("mimic of 1,000", wide.map(|all| all[0]));
    report.instructions("undo the mimic of 1,000", wide.map(|all| all[2]));
}

/// The effort that a size is worth.
fn effort(size: usize, quick: bool) -> Effort {
    let rounds = match size {
        10_000.. => 3,
        _ if quick => 5,
        _ => 9,
    };
    Effort { rounds, keeps: 2, original: size <= 10_000 }
}

fn of(verb: &str, size: usize) -> String {
    format!("{verb} {}", thousands(size))
}

fn main() {
    let (options, wanted): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let quick = options.iter().any(|word| word == "--quick");
    if let Err(why) = sandbox::possible() {
        eprintln!("speed: {why}");
        std::process::exit(1);
    }
    let place = program::target().join("bench");
    let floor = File::open(place.join("floor")).expect("the floor; scripts/bench builds it");
    rustix::io::fcntl_setfd(&floor, rustix::io::FdFlags::empty()).expect("keep the descriptor");
    let [ours, original] =
        [Which::Ours, Which::Original].map(|which| Program::find(which).expect("a program"));
    let lock = std::env::var_os("BENCH_LOCK").map(|path| File::open(path).expect("open the lock"));

    let mut report = Report::default();
    in_sandbox("acorn", |sandbox| {
        let programs =
            [format!("/proc/self/fd/{}", floor.as_raw_fd()), ours.command().0, original.command().0];
        let bench = Bench::new(sandbox, programs);
        let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
        for (_, part) in PARTS.iter().filter(|(name, _)| chosen(name)) {
            let how = |operation| lock.as_ref().map(|file| rustix::fs::flock(file, operation).expect("lock"));
            how(rustix::fs::FlockOperation::LockExclusive);
            part(&bench, quick, &mut report);
            how(rustix::fs::FlockOperation::Unlock);
        }
    });
    print!("{}", report.markdown());
    fs::write(place.join("performance.md"), report.markdown()).expect("write the tables");
    fs::write(place.join("performance.svg"), report.svg()).expect("draw the chart");
}
