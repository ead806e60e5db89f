// SPDX-License-Identifier: GPL-3.0-only
//! How fast are we? Ours and Debian's original, as multiples of the floor: a program that makes just the system calls
//! that the work is made of (`floor.c`). All three take turns, in the same namespace, in the same run.
//!
//! Started by scripts/bench, as root: `--quick` leaves out the large sizes. Nothing here is a test.

mod clock;
mod report;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::os::fd::AsRawFd;
use std::time::Duration;

use clock::{Times, instructions, peak, time, together};
use report::Report;
use support::load::{self, Load, forget};
use support::program::{self, Program, Which};
use support::sandbox::{self, Rights, Sandbox, USER, in_sandbox};

/// Who takes turns.
const TAKERS: [Taker; 3] = [Taker::Floor, Taker::Ours, Taker::Original];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    Floor,
    Ours,
    Original,
}

/// Snaps that are updated at once, and what is mounted in each.
const MANY: usize = 50;
const MANY_BINDS: usize = 20;

fn many(k: usize) -> String {
    format!("many{k:02}")
}

/// Times of all three.
#[derive(Clone, Debug, Default)]
pub struct Trio {
    floor: Times,
    ours: Times,
    original: Times,
}

impl Trio {
    fn of(&mut self, who: Taker) -> &mut Times {
        match who {
            Taker::Floor => &mut self.floor,
            Taker::Ours => &mut self.ours,
            Taker::Original => &mut self.original,
        }
    }
}

/// The programs, by descriptors, so that they can be started in any namespace.
struct Bench<'s> {
    sandbox: &'s Sandbox,
    floor: String,
    ours: String,
    original: String,
}

/// What is measured of a piece of work.
#[derive(Default)]
struct Cycle {
    connect: Trio,
    /// An unchanged run; the floor reads the mount table.
    keep: Trio,
    disconnect: Trio,
}

/// How often, and by whom.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    keeps: usize,
    original: bool,
}

impl Bench<'_> {
    fn argv(&self, who: Taker, words: &[&str]) -> Vec<String> {
        let program = match who {
            Taker::Floor => &self.floor,
            Taker::Ours => &self.ours,
            Taker::Original => &self.original,
        };
        [program.as_str()].iter().chain(words).map(|word| word.to_string()).collect()
    }

    /// One start: the floor in the snap's namespace, the others on the host, from where they join it.
    fn start(&self, who: Taker, floor: &[&str]) -> Duration {
        match who {
            Taker::Floor => time(&self.argv(who, floor), &[]),
            _ => self.sandbox.on_host(|| time(&self.argv(who, &[&self.sandbox.name]), &[])),
        }
    }

    /// Connects, keeps and disconnects, again and again, all three in turn.
    fn cycle(&self, work: Load, effort: Effort) -> Cycle {
        work.furnish();
        let empty = load::mounts();
        let mut cycle = Cycle::default();
        let floor = work.floor();
        let floor = floor.each_ref().map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
        for round in 0..effort.rounds {
            for turn in 0..TAKERS.len() {
                let who = TAKERS[(round + turn) % TAKERS.len()];
                if who == Taker::Original && !effort.original {
                    continue;
                }
                forget(self.sandbox);
                self.desire(&work.desired());
                cycle.connect.of(who).push(self.start(who, &floor[0]));
                assert_eq!(load::mounts(), empty + work.mounts(), "{who:?} of {work:?}");
                for _ in 0..effort.keeps {
                    cycle.keep.of(who).push(self.start(who, &["table"]));
                }
                self.desire("");
                cycle.disconnect.of(who).push(self.start(who, &floor[1]));
                assert_eq!(load::mounts(), empty, "{who:?} of {work:?}");
            }
        }
        work.clear();
        cycle
    }

    /// Nothing to do, with three entries on record; the floor does nothing. Beside it, reading the mount table.
    fn nothing(&self, rounds: usize) -> (Trio, Times) {
        let work = Load::Binds(3);
        work.furnish();
        let (mut trio, mut table) = (Trio::default(), Times::default());
        for round in 0..rounds {
            for turn in 0..TAKERS.len() {
                let who = TAKERS[(round + turn) % TAKERS.len()];
                forget(self.sandbox);
                self.desire(&work.desired());
                if who != Taker::Floor {
                    self.start(who, &[]);
                }
                for _ in 0..5 {
                    trio.of(who).push(self.start(who, &[]));
                    if who == Taker::Floor {
                        table.push(self.start(who, &["table"]));
                    }
                }
                self.desire("");
                if who != Taker::Floor {
                    self.start(who, &[]);
                }
            }
        }
        work.clear();
        (trio, table)
    }

    /// Every start of a desktop program: its documents, and two directories in the home that are there already.
    fn user(&self, rounds: usize) -> Trio {
        let run = format!("/run/user/{USER}");
        let (documents, portal) = (format!("{run}/doc/by-app/snap.acorn"), format!("{run}/doc"));
        fs::create_dir_all(&documents).expect("make the documents");
        let directories = ["/home/user/.local", "/home/user/.local/share"];
        for path in directories {
            fs::create_dir(path).expect("make a directory of the user");
            std::os::unix::fs::chown(path, Some(USER), Some(USER)).expect("give it to the user");
        }
        let mut profile = format!(
            "$XDG_RUNTIME_DIR/doc/by-app/snap.acorn $XDG_RUNTIME_DIR/doc none bind,rw,x-snapd.ignore-missing 0 0\n"
        );
        for name in [".local", ".local/share"] {
            profile +=
                &format!("none $HOME/{name} none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME 0 0\n");
        }
        fs::write(self.sandbox.desired_by_user(), profile).expect("write the user's profile");
        let mut trio = Trio::default();
        let id = USER.to_string();
        for round in 0..rounds {
            for turn in 0..TAKERS.len() {
                let who = TAKERS[(round + turn) % TAKERS.len()];
                let argv = match who {
                    Taker::Floor => {
                        self.argv(who, &["user", &id, &documents, &portal, directories[0], directories[1]])
                    }
                    _ => self.argv(who, &["--from-snap-confine", "--user-mounts", &self.sandbox.name]),
                };
                let env = [("SNAP_REAL_HOME", "/home/user")];
                trio.of(who).push(self.sandbox.in_copy(Rights::SetUid, || time(&argv, &env)));
            }
        }
        trio
    }

    /// Many snaps at once: each with so many binds. Until the last of them is done, and the throughput follows.
    fn many(&self, rounds: usize) -> Trio {
        let work = Load::Binds(MANY_BINDS);
        let names: Vec<_> = (0..MANY).map(many).collect();
        let files = |name: &str| {
            let record = format!("/run/snapd/ns/snap.{name}.fstab");
            (format!("/var/lib/snapd/mount/snap.{name}.fstab"), record)
        };
        let mut trio = Trio::default();
        for round in 0..rounds {
            for turn in 0..TAKERS.len() {
                let who = TAKERS[(round + turn) % TAKERS.len()];
                let commands = |way: usize| -> Vec<_> {
                    let words = &work.floor()[way];
                    let words: Vec<_> = words.iter().map(String::as_str).collect();
                    names
                        .iter()
                        .map(|name| match who {
                            Taker::Floor => {
                                let namespace = format!("/run/snapd/ns/{name}.mnt");
                                self.argv(who, &[&["in", &namespace], &words[..]].concat())
                            }
                            _ => self.argv(who, &[name]),
                        })
                        .collect()
                };
                for name in &names {
                    fs::write(files(name).0, work.desired()).expect("write a desired profile");
                    fs::write(files(name).1, load::ROOTFS).expect("write a record");
                }
                let times = self.sandbox.on_host(|| together(&commands(0)));
                trio.of(who).push(*times.iter().max().expect("the last"));
                for name in &names {
                    fs::write(files(name).0, "").expect("write a desired profile");
                }
                self.sandbox.on_host(|| together(&commands(1)));
            }
        }
        trio
    }

    /// Measures ours and the original once, each with the work to do and then with nothing to do.
    fn once<T>(&self, work: Load, measure: impl Fn(&[String]) -> T) -> [[T; 2]; 2] {
        work.furnish();
        let done = [(Taker::Ours, Which::Ours), (Taker::Original, Which::Original)].map(|(who, which)| {
            forget(self.sandbox);
            self.desire(&work.desired());
            let both = self.sandbox.on_host(|| {
                let path = program::path(which).canonicalize().expect("the program");
                let argv = [path.to_string_lossy().into_owned(), self.sandbox.name.clone()];
                [measure(&argv), measure(&argv)]
            });
            self.desire("");
            self.start(who, &[]);
            both
        });
        work.clear();
        done
    }

    fn desire(&self, profile: &str) {
        fs::write(self.sandbox.desired(), profile).expect("write the desired profile");
    }
}

/// The rounds that a size is worth.
fn effort(count: usize, quick: bool) -> Effort {
    let rounds = match count {
        ..=1_000 => 9,
        ..=4_000 => 7,
        _ => 3,
    };
    Effort { rounds: if quick { rounds.min(5) } else { rounds }, keeps: 2, original: count <= 10_000 }
}

fn measure(bench: &Bench<'_>, quick: bool, report: &mut Report) {
    let (nothing, table) = bench.nothing(if quick { 15 } else { 40 });
    report.row("nothing to do, 3 entries on record", "start and end", 1.5, &nothing);
    report.row("the same", "and read the mount table", 0.0, &Trio { floor: table, ..nothing });

    let sizes: &[usize] = if quick { &[100, 1_000, 4_000] } else { &[100, 1_000, 4_000, 10_000, 50_000] };
    for &size in sizes {
        let cycle = bench.cycle(Load::Binds(size), effort(size, quick));
        let of = |verb: &str| format!("{verb} {}", report::thousands(size));
        if matches!(size, 1_000 | 4_000) {
            report.row(&of("connect"), "the mount calls", 1.3, &cycle.connect);
        }
        if size == 4_000 {
            report.row(&of("keep"), "read the mount table", 1.5, &cycle.keep);
        }
        report.growth(
            size,
            [("connect", &cycle.connect), ("keep", &cycle.keep), ("disconnect", &cycle.disconnect)],
        );
    }
    for size in [1_000, 4_000] {
        let of = |verb: &str| format!("{verb} {}", report::thousands(size));
        let cycle = bench.cycle(Load::MadeBinds(size), effort(size, quick));
        report.row(&of("make targets and connect"), "mkdir and mount calls", 0.0, &cycle.connect);
        report.row(&of("disconnect and remove"), "unmounts and removals", 1.3, &cycle.disconnect);
    }
    for size in [1_000, 4_000] {
        let of = |verb: &str| format!("{verb} {}", report::thousands(size));
        let cycle = bench.cycle(Load::Mimic(size), effort(size, quick));
        report.row(&of("mimic of"), "the calls of one mimic", 1.3, &cycle.connect);
        report.row(&of("undo the mimic of"), "one detach", 1.5, &cycle.disconnect);
    }
    report.row(
        "user mounts of a desktop program",
        "become the user, bind, mkdir",
        1.5,
        &bench.user(if quick { 20 } else { 60 }),
    );

    let many = bench.many(if quick { 3 } else { 9 });
    report.row("50 snaps at once, 20 binds each", "join and mount", 0.0, &many);
    report.throughput(MANY, &many);

    if !quick {
        let busy = "/var/lib/snapd/hostfs";
        load::furnish_unrelated(busy, 20_000);
        time(&bench.argv(Taker::Floor, &["connect", busy, "20000"]), &[]);
        let (nothing, table) = bench.nothing(9);
        report.row(
            "nothing to do beside 20,000 other mounts",
            "read the mount table",
            0.0,
            &Trio { floor: table, ..nothing },
        );
        let cycle = bench.cycle(Load::Binds(1_000), effort(1_000, true));
        report.row("connect 1,000 beside 20,000 other mounts", "the mount calls", 0.0, &cycle.connect);
        load::clear_unrelated(busy);
    }

    let (three, large, wide) = (Load::Binds(3), Load::Binds(4_000), Load::Mimic(4_000));
    let [small, large, wide] = [three, large, wide].map(|work| bench.once(work, peak));
    report.memory("nothing to do", small.map(|both| both[1]));
    report.memory("connect 4,000", large.map(|both| both[0]));
    report.memory("keep 4,000", large.map(|both| both[1]));
    report.memory("mimic of 4,000", wide.map(|both| both[0]));
    let (three, thousand, four) = (Load::Binds(3), Load::Binds(1_000), Load::Binds(4_000));
    report.instructions("nothing to do", bench.once(three, instructions).map(|both| both[1]));
    report.instructions("connect 1,000", bench.once(thousand, instructions).map(|both| both[0]));
    if !quick {
        report.instructions("keep 4,000", bench.once(four, instructions).map(|both| both[1]));
    }
}

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    if let Err(why) = sandbox::possible() {
        eprintln!("speed: {why}");
        return;
    }
    let place = program::target().join("bench");
    let mut report = Report::default();
    let quick = has("--quick");
    let floor = fs::File::open(place.join("floor")).expect("the floor; scripts/bench builds it");
    rustix::io::fcntl_setfd(&floor, rustix::io::FdFlags::empty()).expect("keep the descriptor");
    let programs = [Which::Ours, Which::Original].map(|which| Program::find(which).expect("a program"));
    in_sandbox("acorn", |sandbox| {
        sandbox.preserve();
        Load::Binds(MANY_BINDS).furnish();
        (0..MANY).for_each(|k| sandbox.preserve_copy(&many(k)));
        Load::Binds(MANY_BINDS).clear();
        sandbox::leave_this_cpu().expect("run on any CPU");
        let [ours, original] = &programs;
        let bench = Bench {
            sandbox,
            floor: format!("/proc/self/fd/{}", floor.as_raw_fd()),
            ours: ours.command().0,
            original: original.command().0,
        };
        measure(&bench, quick, &mut report);
    });
    println!("{}", report.markdown());
    fs::write(place.join("performance.md"), report.markdown()).expect("write the table");
    fs::write(place.join("performance.svg"), report.svg()).expect("draw the chart");
}
