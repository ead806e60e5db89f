// SPDX-License-Identifier: GPL-3.0-only
//! How many system calls a run makes. Time depends on the machine and is for people (`scripts/bench`); calls can be
//! counted exactly. A bound may only go down, to its goal and below.
//!
//! What a run costs in all depends on the control groups of the machine, so there is a directory of version 1 with
//! none of the snap's in it. What one more costs is the difference between two sizes, and depends on nothing.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rustix::fs::FlockOperation;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use support::load::{self, Load, ROOTFS, calls, forget};
use support::program::{self, Program, Which};
use support::sandbox::{self, Sandbox, in_sandbox};

/// Calls that may be made, in hundredths.
struct Bound {
    what: &'static str,
    reached: usize,
    goal: usize,
}

/// Work of any size.
type OfSize = fn(usize) -> Load;

const fn bound(what: &'static str, reached: usize, goal: usize) -> Bound {
    Bound { what, reached, goal }
}

/// A run that has nothing to do, with three entries on record: from execve to exit_group.
const NOTHING: Bound = bound("nothing to do, 3 entries on record", 36_00, 40_00);

/// Each entry more, or each child of a mimic more. An entry that stays costs its share of reading the mount table.
const GROWTH: [(OfSize, [Bound; 3]); 3] = [
    (Load::Binds, [bound("connect", 4_05, 6_00), bound("keep", 5, 5), bound("disconnect", 5_05, 6_00)]),
    (
        Load::MadeBinds,
        [
            bound("make the target and connect", 8_05, 6_00),
            bound("keep what was made", 5, 5),
            bound("disconnect and remove", 6_05, 6_00),
        ],
    ),
    (
        Load::Mimic,
        [
            bound("child of a mimic", 4_05, 4_00),
            bound("keep a child of a mimic", 5, 5),
            bound("undo a child of a mimic", 5, 5),
        ],
    ),
];

/// Each control group of anybody's on a unified hierarchy, in a run that has nothing to do.
const GROUP: Bound = bound("group of somebody else, nothing to do", 5, 0);

/// Sizes of which the difference is what one entry more costs.
const SMALL: usize = 100;
const LARGE: usize = 300;

#[test]
fn no_run_makes_more_system_calls_than_it_did() {
    if let Err(why) = sandbox::possible() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    if program::is_emulated() {
        eprintln!("SKIPPED: an emulator makes calls of its own");
        return;
    }
    in_sandbox("acorn", |sandbox| {
        // Without what this machine has mounted in /sys, so that the mount table is read in one page.
        unmount("/sys", UnmountFlags::DETACH).expect("unmount /sys");
        load::tmpfs("/sys");
        fs::create_dir_all("/sys/fs/cgroup/freezer").expect("make a hierarchy without groups");
        sandbox.preserve();
        let [_, nothing, _] = live(sandbox, Load::Binds(3));
        let mut fine = within(&nothing, 1, &NOTHING);
        for (work, bounds) in &GROWTH {
            let (small, large) = (live(sandbox, work(SMALL)), live(sandbox, work(LARGE)));
            for (phase, bound) in bounds.iter().enumerate() {
                let more = difference(&small[phase], &large[phase]);
                fine &= within(&more, LARGE - SMALL, bound);
            }
        }
        assert!(fine, "more system calls than before, see above");
    });
}

#[test]
fn groups_of_others_cost_no_more_than_they_did() {
    if sandbox::possible().is_err() || program::is_emulated() {
        eprintln!("SKIPPED: needs root, and no emulator");
        return;
    }
    in_sandbox("acorn", |sandbox| {
        if let Err(why) = mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MountFlags::empty(), None) {
            eprintln!("SKIPPED: no unified hierarchy: {why}");
            return;
        }
        sandbox.preserve();
        let [small, large] = [SMALL, LARGE].map(|count| {
            let _groups = Groups::make(count);
            live(sandbox, Load::Binds(3))
        });
        let more = difference(&small[1], &large[1]);
        assert!(within(&more, LARGE - SMALL, &GROUP), "more system calls than before, see above");
    });
}

/// AppArmor profiles of before 2026 do not grant it, and log that it was asked for.
#[test]
fn a_start_by_snap_confine_does_not_ask_for_the_mount_table() {
    if sandbox::possible().is_err() || program::is_emulated() {
        eprintln!("SKIPPED: needs root, and no emulator");
        return;
    }
    let program = Program::find(Which::Ours).expect("our program");
    in_sandbox("acorn", move |sandbox| {
        let tool = program.command().0;
        let asks = |words: &[&str]| {
            let words = words.iter().map(|word| word.replace("TOOL", &tool));
            sandbox.on_host(|| load::transcript(&words.collect::<Vec<_>>())).contains("mountinfo")
        };
        let inside = ["nsenter", "--mount=/run/snapd/ns/acorn.mnt", "TOOL", "--from-snap-confine", "acorn"];
        sandbox.preserve();
        let work = Load::Binds(3);
        fs::write(sandbox.desired(), work.desired()).expect("write the desired profile");
        let lock = sandbox.hold(FlockOperation::NonBlockingLockExclusive);
        // The root is on record; nothing is; the start before this one did not come to its end.
        for record in [ROOTFS, "", &work.desired()] {
            work.furnish();
            let before = load::mounts();
            forget(sandbox);
            fs::write(sandbox.record(), record).expect("write the record");
            assert!(!asks(&inside), "it asked, with this on record:\n{record}");
            assert_eq!(load::mounts(), before + work.mounts(), "with this on record:\n{record}");
            work.clear();
        }
        drop(lock);
        assert!(asks(&["TOOL", "acorn"]), "snapd's own run should have asked");
    });
}

/// Where the kernel tells of single mounts: statmount(2), Linux 6.8.
#[test]
fn what_is_settled_needs_no_mount_table() {
    if sandbox::possible().is_err() || program::is_emulated() {
        eprintln!("SKIPPED: needs root, and no emulator");
        return;
    }
    // SAFETY: without addresses nothing is read or written.
    let done = unsafe { libc::syscall(457, 0, 0, 0, 0) };
    if done == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        eprintln!("SKIPPED: no statmount(2)");
        return;
    }
    in_sandbox("acorn", |sandbox| {
        sandbox.preserve();
        let tool = program::path(Which::Ours).to_string_lossy().into_owned();
        let asks = || {
            let words = [tool.clone(), sandbox.name.clone()];
            sandbox.on_host(|| load::transcript(&words)).contains("mountinfo")
        };
        let work = Load::Binds(3);
        work.furnish();
        let before = load::mounts();
        let desire =
            |profile: &str| fs::write(sandbox.desired(), profile).expect("write the desired profile");
        let is_there = |count: usize, what: &str| assert_eq!(load::mounts(), before + count, "{what}");
        let read_only = work.desired().replace("bind,rw", "bind,ro");
        let [first, others] =
            [read_only.split_inclusive('\n').next(), read_only.split_once('\n').map(|two| two.1)];
        let target = first.and_then(|line| line.split(' ').nth(1)).expect("a target").to_string();
        desire(&read_only);
        assert!(asks(), "nothing is there yet");
        is_there(3, "connected");
        assert!(!asks(), "all is as it was recorded");
        // Each of these shows in a mount by itself.
        mount_remount(&target, MountFlags::BIND, c"").expect("make it writable");
        assert!(asks(), "it is writable");
        assert!(!asks(), "it is read-only again");
        unmount(&target, UnmountFlags::DETACH).expect("unmount");
        assert!(asks(), "it is gone");
        is_there(3, "it is back");
        mount_bind("/usr", &target).expect("cover it");
        assert!(asks(), "somebody has mounted on it");
        is_there(5, "ours is mounted over that");
        unmount(&target, UnmountFlags::DETACH).expect("unmount ours");
        unmount(&target, UnmountFlags::DETACH).expect("unmount that of somebody else");
        assert!(!asks(), "all is as it was recorded");
        // And these in the profiles.
        desire(&others.expect("two lines").replace("bind,ro", "rbind,ro"));
        assert!(asks(), "one is not desired, two are recursive");
        assert!(asks(), "what lies below their sources has to be looked for");
        desire("");
        assert!(asks(), "none is desired");
        is_there(0, "disconnected");
        assert!(!asks(), "nothing is there, and nothing is desired");
        work.clear();
    });
}

/// Control groups without processes.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make(count: usize) -> Groups {
        let top = PathBuf::from(format!("/sys/fs/cgroup/counts-{}", std::process::id()));
        let inner: Vec<_> = (0..count).map(|k| top.join(format!("other-{k}.service"))).collect();
        let groups = Groups([top].into_iter().chain(inner).collect());
        groups.0.iter().for_each(|path| fs::create_dir(path).expect("make a control group"));
        groups
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

/// The calls of connecting, of a second run without a change, and of disconnecting; by snapd, from the host.
fn live(sandbox: &Sandbox, work: Load) -> [Vec<String>; 3] {
    work.furnish();
    let before = load::mounts();
    forget(sandbox);
    let tool = program::path(Which::Ours).to_string_lossy().into_owned();
    let run = |desired: String, mounts: usize| {
        fs::write(sandbox.desired(), desired).expect("write the desired profile");
        let calls = sandbox.on_host(|| calls(&[tool.clone(), sandbox.name.clone()]));
        assert_eq!(load::mounts(), before + mounts, "{work:?}");
        calls
    };
    let (desired, mounts) = (work.desired(), work.mounts());
    let done = [run(desired.clone(), mounts), run(desired, mounts), run(String::new(), 0)];
    work.clear();
    done
}

/// The calls that the larger run makes and the smaller does not.
fn difference(small: &[String], large: &[String]) -> Vec<String> {
    let mut more = large.to_vec();
    for name in small {
        if let Some(at) = more.iter().position(|other| other == name) {
            more.swap_remove(at);
        }
    }
    more
}

/// Says how many calls were made for each of `count`, and whether that is within the bound.
fn within(calls: &[String], count: usize, bound: &Bound) -> bool {
    let mut by_name = BTreeMap::<&str, usize>::new();
    for name in calls {
        *by_name.entry(name).or_default() += 1;
    }
    let decimal = |hundredths: usize| format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let (what, made) = (bound.what, (calls.len() * 100).div_ceil(count));
    println!(
        "{what}: {} calls, bound {}, goal {}",
        decimal(made),
        decimal(bound.reached),
        decimal(bound.goal)
    );
    for (name, times) in by_name.iter().filter(|(_, times)| **times >= count.div_ceil(2)) {
        println!("    {} {name}", decimal(times * 100 / count));
    }
    made <= bound.reached
}
