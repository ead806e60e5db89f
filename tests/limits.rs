// SPDX-License-Identifier: GPL-3.0-only
//! Every capacity that an input can reach: exactly as much is taken, and with one more a sentence names the limit, the
//! mount table and the record being what they were. Lines of 65,535 bytes have stories of their own.

mod support;

use std::fs;
use std::io::Write;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use snap_update_ns::limits::{KEPT_MOUNTS, Limit, MOUNTINFO_LINES, PATH, PROFILE_ENTRIES, PROFILE_TEXT};
use support::program::{Program, Which};
use support::sandbox::{self, Outcome, Sandbox, in_sandbox};
use support::story::{FROM_SNAP_CONFINE, ROOTFS};

const BIND: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0\n";
/// Nothing of it is ever mounted: both are missing, and may be.
const NOWHERE: &str = "/nowhere /nowhere none bind,x-snapd.ignore-missing 0 0\n";

/// The world of one test.
struct World<'w> {
    sandbox: &'w Sandbox,
    program: &'w Program,
}

/// Tells a test in a sandbox, where there can be one.
fn tell(life: impl FnOnce(&World<'_>) + Send) {
    if let Err(why) = sandbox::possible() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let program = Program::find(Which::Ours).expect("the program under test");
    in_sandbox("acorn", |sandbox| life(&World { sandbox, program: &program }));
}

fn run(world: &World<'_>, desired: &str) -> Outcome {
    fs::write(world.sandbox.desired(), desired).expect("write the desired profile");
    world.sandbox.run(world.program, &FROM_SNAP_CONFINE)
}

fn table() -> String {
    fs::read_to_string("/proc/thread-self/mountinfo").expect("read the mount table")
}

fn record(world: &World<'_>) -> String {
    fs::read_to_string(world.sandbox.record()).expect("read the record")
}

/// One more than the limit: the sentence, a failure, and all as it was.
fn exceeds(world: &World<'_>, desired: &str, limit: &Limit, words: &str) {
    let before = (table(), record(world));
    let outcome = run(world, desired);
    let sentence = format!("more than {} {words}", limit.max);
    assert!(outcome.stdout.contains(&sentence), "{sentence}: {outcome:?}");
    assert_eq!(outcome.exit, "1", "{outcome:?}");
    assert!((table(), record(world)) == before, "nothing is touched");
}

/// As much as there may be.
fn fits(world: &World<'_>, desired: &str) {
    let outcome = run(world, desired);
    assert_eq!((outcome.exit.as_str(), outcome.stdout.as_str(), outcome.stderr.as_str()), ("0", "", ""));
}

/// Whether the entry is mounted.
fn is_mounted() -> bool {
    table().contains(" /opt/spare ")
}

#[test]
fn sixteen_mebibytes_of_text() {
    tell(|world| {
        let comments = "# 3456789abcdef\n".repeat(PROFILE_TEXT.max / 16);
        let text = |bytes: usize| format!("{BIND}#{}", &comments[..bytes - BIND.len() - 1]);
        exceeds(world, &text(PROFILE_TEXT.max + 1), &PROFILE_TEXT, "bytes in a mount profile");
        fits(world, &text(PROFILE_TEXT.max));
        assert!(is_mounted());
    });
}

#[test]
fn all_entries_of_a_profile() {
    tell(|world| {
        let lines = |count: usize| BIND.repeat(count);
        exceeds(world, &lines(PROFILE_ENTRIES.max + 1), &PROFILE_ENTRIES, "mount entries");
        fits(world, &lines(PROFILE_ENTRIES.max));
        assert!(is_mounted());
    });
}

#[test]
fn all_lines_of_a_record() {
    tell(|world| {
        // With the line of the root one too many could come on record.
        let lines = |count: usize| -> String {
            (0..count).map(|n| NOWHERE.replace("/nowhere", &format!("/nowhere/{n}"))).collect()
        };
        exceeds(world, &lines(PROFILE_ENTRIES.max), &PROFILE_ENTRIES, "mount entries");
        fits(world, &lines(PROFILE_ENTRIES.max - 1));
        assert_eq!(record(world), format!("{ROOTFS}\n"));
    });
}

#[test]
fn the_longest_path() {
    tell(|world| {
        let place = "/var/snap/acorn/common";
        let entry = |bytes: usize| {
            let mut dir = String::from(place);
            while dir.len() < bytes {
                let left = bytes - dir.len() - 1;
                // No component that would be empty.
                let name = if left > 255 { left.min(255 + 1) - 1 - usize::from(left == 256) } else { left };
                dir += "/";
                dir += &"p".repeat(name);
            }
            assert_eq!(dir.len(), bytes);
            (format!("/var/snap/acorn/common/a {dir} none bind 0 0\n"), dir)
        };
        let (desired, _) = entry(PATH.max + 1);
        let before = table();
        let outcome = run(world, &desired);
        assert!(outcome.stderr.contains("file name too long"), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert_eq!(table(), before);
        let (desired, dir) = entry(PATH.max);
        fits(world, &desired);
        assert!(table().contains(&dir));
        fits(world, "");
        assert_eq!(table(), before);
    });
}

/// Recursive, and passed over as it is missing.
const MISSING: &str = "/var/snap/acorn/common/a /nowhere/there none rbind,x-snapd.ignore-missing 0 0\n";

/// A record of more than the root: without it nobody looks at the mount table.
fn recorded() -> String {
    format!("{ROOTFS}\n{MISSING}")
}

/// Runs the program with a mount table of our making: a file over its own.
fn run_with_table(world: &World<'_>, text: &[u8]) -> Outcome {
    let file = "/run/mountinfo";
    fs::File::create(file).and_then(|mut file| file.write_all(text)).expect("write a mount table");
    fs::write(world.sandbox.desired(), MISSING).expect("write the desired profile");
    fs::write(world.sandbox.record(), recorded()).expect("write the record");
    let _lock = world.sandbox.hold(rustix::fs::FlockOperation::NonBlockingLockExclusive);
    let mut command: Command = world.sandbox.command(world.program, &FROM_SNAP_CONFINE);
    // SAFETY: between fork and exec only a system call is made.
    unsafe {
        use std::os::unix::process::CommandExt;
        command.pre_exec(|| Ok(mount_bind("/run/mountinfo", "/proc/self/mountinfo")?));
    }
    let done = command.output().expect("start the program");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome {
        exit: done.status.code().map_or_else(|| "signal".to_string(), |code| code.to_string()),
        stdout: text(done.stdout),
        stderr: text(done.stderr),
    }
}

/// A table with so many lines of one kind behind that of the root.
fn lines(count: usize, dir: &str) -> Vec<u8> {
    let mut text = b"1 0 0:1 / / rw - tmpfs tmpfs rw\n".to_vec();
    for at in 0..count - 1 {
        writeln!(text, "{} 1 0:1 / {dir}/{at} rw - tmpfs t rw", at + 2).expect("write to memory");
    }
    text
}

#[test]
fn a_mount_table_of_many_lines() {
    tell(|world| {
        let fits = |text: &[u8]| {
            let outcome = run_with_table(world, text);
            assert_eq!((outcome.exit.as_str(), outcome.stdout.as_str()), ("0", ""), "{}", outcome.stderr);
        };
        let exceeds = |text: &[u8], limit: &Limit, words: &str| {
            let outcome = run_with_table(world, text);
            assert_eq!(outcome.exit, "1");
            assert!(outcome.stdout.contains(&format!("more than {} {words}", limit.max)), "{outcome:?}");
            assert_eq!(record(world), recorded());
        };
        // Those below the target of a recursive bind are kept, others only read.
        fits(&lines(KEPT_MOUNTS.max, "/nowhere/there"));
        exceeds(
            &lines(KEPT_MOUNTS.max + 1, "/nowhere/there"),
            &KEPT_MOUNTS,
            "mounts around the profile's paths",
        );
        fits(&lines(MOUNTINFO_LINES.max, "/else"));
        exceeds(&lines(MOUNTINFO_LINES.max + 1, "/else"), &MOUNTINFO_LINES, "lines of mountinfo");
    });
}

#[test]
fn a_mimic_of_as_many_names_as_fit_the_record() {
    tell(|world| {
        let dir = "/etc/many";
        fs::create_dir(dir).expect("make a directory");
        mount("tmpfs", dir, "tmpfs", MountFlags::RDONLY, None).expect("mount a tmpfs");
        let writable = |writable: bool| {
            let flags = if writable { MountFlags::empty() } else { MountFlags::RDONLY };
            rustix::mount::mount_remount(dir, flags, "").expect("remount");
        };
        // Besides the lines of the children there are those of the root, of the tmpfs and of the entry.
        let most = PROFILE_ENTRIES.max - 3;
        writable(true);
        for at in 0..=most {
            std::os::unix::fs::symlink("nowhere", format!("{dir}/{at}")).expect("make a link");
        }
        writable(false);
        let desired = BIND.replace("/opt/spare", "/etc/many/new");
        let before = (table(), record(world));
        let outcome = run(world, &desired);
        assert!(outcome.stderr.contains("more than 65535 mount entries"), "{outcome:?}");
        assert!((table(), record(world)) == before, "nothing is covered");
        writable(true);
        fs::remove_file(format!("{dir}/0")).expect("remove a link");
        writable(false);
        fits(world, &desired);
        assert_eq!(fs::read_dir(dir).expect("list the mimic").count(), most + 1);
        fits(world, "");
        unmount(dir, UnmountFlags::DETACH).expect("unmount");
    });
}
