// SPDX-License-Identifier: GPL-3.0-only
//! The three that take turns, and the pieces of work in which they do.

use std::fs;
use std::os::unix::fs::chown;
use std::time::Duration;

use super::clock::{Times, time, together};
use super::support::load::{self, Load, forget};
use super::support::program::{self, Which};
use super::support::sandbox::{self, Rights, Sandbox, USER};

/// Who takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    Floor,
    Ours,
    Original,
}
use Taker::{Floor, Original, Ours};

const TAKERS: [Taker; 3] = [Floor, Ours, Original];

/// The turns of so many rounds; each round is begun by another one.
fn turns(rounds: usize) -> impl Iterator<Item = Taker> {
    (0..rounds).flat_map(|round| (0..3).map(move |turn| TAKERS[(round + turn) % 3]))
}

/// Times of all three.
#[derive(Clone, Debug, Default)]
pub struct Trio {
    pub floor: Times,
    pub ours: Times,
    pub original: Times,
}

impl Trio {
    /// The same beside another floor.
    pub fn beside(&self, floor: &Times) -> Trio {
        Trio { floor: floor.clone(), ..self.clone() }
    }

    fn of(&mut self, who: Taker) -> &mut Times {
        match who {
            Floor => &mut self.floor,
            Ours => &mut self.ours,
            Original => &mut self.original,
        }
    }
}

/// What is measured of a piece of work.
#[derive(Default)]
pub struct Cycle {
    pub connect: Trio,
    /// An unchanged run; the floor reads the mount table.
    pub keep: Trio,
    pub disconnect: Trio,
    /// The calls that ours makes for connecting and disconnecting, by a program that does nothing else.
    pub calls: [Times; 2],
}

/// How often, and whether the original takes part.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub keeps: usize,
    pub original: bool,
}

/// Snaps that are updated at once, and what is mounted in each.
pub const MANY: usize = 50;
const EACH: Load = Load::Binds(20);

fn many(k: usize) -> String {
    format!("many{k:02}")
}

/// The programs, by descriptors, so that they can be started in any namespace; and where they are started.
pub struct Bench<'s> {
    sandbox: &'s Sandbox,
    programs: [String; 3],
}

impl<'s> Bench<'s> {
    /// Makes the namespaces of all snaps.
    pub fn new(sandbox: &'s Sandbox, programs: [String; 3]) -> Bench<'s> {
        sandbox.preserve();
        EACH.furnish();
        (0..MANY).for_each(|k| sandbox.preserve_copy(&many(k)));
        EACH.clear();
        sandbox::leave_this_cpu().expect("run on any CPU");
        Bench { sandbox, programs }
    }

    /// Connects, keeps and disconnects, again and again, all three in turn.
    pub fn cycle(&self, work: Load, effort: Effort) -> Cycle {
        work.furnish();
        let mounts = load::mounts();
        let [connect, disconnect] = work.floor();
        let mut cycle = Cycle::default();
        for who in turns(effort.rounds).filter(|who| effort.original || *who != Original) {
            forget(self.sandbox);
            self.desire(&work.desired());
            cycle.connect.of(who).push(self.start(who, &connect));
            assert_eq!(load::mounts(), mounts + work.mounts(), "{who:?} of {work:?}");
            for _ in 0..effort.keeps {
                cycle.keep.of(who).push(self.start(who, &["table".into()]));
            }
            self.desire("");
            cycle.disconnect.of(who).push(self.start(who, &disconnect));
            assert_eq!(load::mounts(), mounts, "{who:?} of {work:?}");
            if let (Floor, Some(calls)) = (who, work.calls()) {
                for (times, words) in cycle.calls.iter_mut().zip(&calls) {
                    times.push(self.start(Floor, words));
                }
                assert_eq!(load::mounts(), mounts, "the calls of {work:?}");
            }
        }
        work.clear();
        cycle
    }

    /// Nothing to do, with three entries on record, where the floor just ends; and how long it reads the mount table.
    pub fn nothing(&self, rounds: usize) -> (Trio, Times) {
        let work = Load::Binds(3);
        work.furnish();
        let [connect, disconnect] = work.floor();
        let (mut trio, mut table) = (Trio::default(), Times::default());
        for who in turns(rounds) {
            forget(self.sandbox);
            self.desire(&work.desired());
            self.start(who, &connect);
            for _ in 0..5 {
                trio.of(who).push(self.start(who, &[]));
                if who == Floor {
                    table.push(self.start(who, &["table".into()]));
                }
            }
            self.desire("");
            self.start(who, &disconnect);
        }
        work.clear();
        (trio, table)
    }

    /// Each start of a desktop program: its documents, and two directories in the home that are there already.
    pub fn user(&self, rounds: usize) -> Trio {
        let portal = format!("/run/user/{USER}/doc");
        let documents = format!("{portal}/by-app/snap.acorn");
        fs::create_dir_all(&documents).expect("make the documents");
        let binds = "$XDG_RUNTIME_DIR/doc/by-app/snap.acorn $XDG_RUNTIME_DIR/doc";
        let mut profile = format!("{binds} none bind,rw,x-snapd.ignore-missing 0 0\n");
        let mut bare = vec!["user".into(), USER.to_string(), documents, portal];
        for name in [".local", ".local/share"] {
            let path = format!("/home/user/{name}");
            fs::create_dir(&path).expect("make a directory of the user");
            chown(&path, Some(USER), Some(USER)).expect("give it to the user");
            let ensured = format!("none $HOME/{name} none x-snapd.kind=ensure-dir");
            profile += &format!("{ensured},x-snapd.must-exist-dir=$HOME 0 0\n");
            bare.push(path);
        }
        fs::write(self.sandbox.desired_by_user(), profile).expect("write the user's profile");
        let call = ["--from-snap-confine", "--user-mounts", &self.sandbox.name].map(String::from);
        let mut trio = Trio::default();
        for who in turns(rounds) {
            let argv = self.argv(who, if who == Floor { &bare } else { &call });
            let start = || time(&argv, &[("SNAP_REAL_HOME", "/home/user")]);
            trio.of(who).push(self.sandbox.in_copy_as(Rights::SetUid, start));
        }
        trio
    }

    /// Many snaps at once: how long it takes until the last of them has its mounts.
    pub fn many(&self, rounds: usize) -> Trio {
        let mut trio = Trio::default();
        for who in turns(rounds) {
            let update = |floor: &[String], desired: &str| {
                let of_one = |k| {
                    let name = many(k);
                    let place = self.sandbox.desired().with_file_name(format!("snap.{name}.fstab"));
                    fs::write(place, desired).expect("write a desired profile");
                    match who {
                        Floor => {
                            let joining = ["in".into(), format!("/run/snapd/ns/{name}.mnt")];
                            self.argv(who, &[&joining, floor].concat())
                        }
                        _ => self.argv(who, &[name]),
                    }
                };
                let commands: Vec<_> = (0..MANY).map(of_one).collect();
                self.sandbox.on_host(|| together(&commands))
            };
            let [connect, disconnect] = EACH.floor();
            for name in (0..MANY).map(many) {
                fs::write(format!("/run/snapd/ns/snap.{name}.fstab"), load::ROOTFS).expect("write a record");
            }
            trio.of(who).push(update(&connect, &EACH.desired()));
            update(&disconnect, "");
        }
        trio
    }

    /// Measures ours and the original once, each with the work to do, then with nothing to do, and then with all to be
    /// undone.
    pub fn once<T>(&self, work: Load, measure: impl Fn(&[String]) -> T) -> [[T; 3]; 2] {
        work.furnish();
        let done = [(Ours, Which::Ours), (Original, Which::Original)].map(|(who, which)| {
            forget(self.sandbox);
            self.desire(&work.desired());
            let run = || {
                self.sandbox.on_host(|| {
                    let path = program::path(which).canonicalize().expect("the program");
                    measure(&[path.to_string_lossy().into_owned(), self.sandbox.name.clone()])
                })
            };
            let [connect, keep] = [run(), run()];
            self.desire("");
            let all = [connect, keep, run()];
            // What cannot be measured was not done.
            self.start(who, &[]);
            all
        });
        work.clear();
        done
    }

    /// One start: the floor in the snap's namespace, the others on the host, from where they join it.
    fn start(&self, who: Taker, floor: &[String]) -> Duration {
        match who {
            Floor => time(&self.argv(who, floor), &[]),
            _ => {
                let argv = self.argv(who, std::slice::from_ref(&self.sandbox.name));
                self.sandbox.on_host(|| time(&argv, &[]))
            }
        }
    }

    fn argv(&self, who: Taker, words: &[String]) -> Vec<String> {
        let program = &self.programs[who as usize];
        [program].into_iter().chain(words).cloned().collect()
    }

    fn desire(&self, profile: &str) {
        fs::write(self.sandbox.desired(), profile).expect("write the desired profile");
    }
}
