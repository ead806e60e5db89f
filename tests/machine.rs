// SPDX-License-Identifier: GPL-3.0-only
//! Where machines differ: the kernel's structures in 32 and 64 bits, sizes, inode numbers and times beyond 32 bits,
//! unaligned memory, pages of 64 KiB. What our own calls tell is compared with what the standard library tells. Runs
//! natively, under QEMU and in the machines that `scripts/boot` boots.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use snap_update_ns::kernel::Fd;
use snap_update_ns::kernel::file::{self, FileSystem, FileType, Open, Stat};
use snap_update_ns::kernel::process;

fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target)
}

fn place() -> tempfile::TempDir {
    let target = target();
    fs::create_dir_all(&target).expect("a directory for what is built");
    tempfile::tempdir_in(target).expect("a directory of our own")
}

fn open(path: &Path, how: Open) -> Fd {
    file::open(path.as_os_str().as_bytes(), how).expect("open it")
}

/// All that is told of a file must be what the standard library says.
fn same(path: &Path) -> Stat {
    let ours = file::stat(&open(path, Open::PATH)).expect("stat");
    let theirs = fs::symlink_metadata(path).expect("stat");
    assert_eq!(ours, file::lstat(path.as_os_str().as_bytes()).expect("lstat"));
    assert_eq!((ours.dev, ours.ino, ours.size), (theirs.dev(), theirs.ino(), theirs.size()));
    assert_eq!((ours.uid, ours.gid, ours.mode), (theirs.uid(), theirs.gid(), theirs.mode() & 0o7777));
    ours
}

#[test]
fn owner_mode_device_and_number_of_a_file_are_where_the_kernel_puts_them() {
    let place = place();
    let path = place.path().join("file");
    fs::write(&path, "text").expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).expect("chmod");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(0x0123_4567), Some(0x0765_4321)).expect("chown");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).expect("chmod");
    }
    let stat = same(&path);
    assert_eq!((stat.kind, stat.size, stat.mode), (FileType::Regular, 4, 0o4751));
    assert_eq!(same(place.path()).kind, FileType::Directory);
    assert_eq!(same(Path::new("/dev/null")).kind, FileType::Special);
    assert_eq!(same(Path::new("/proc/self/exe")).kind, FileType::Symlink);
}

#[test]
fn a_file_beyond_four_gigabytes_is_opened_and_measured() {
    const SIZE: u64 = (5 << 30) + 7;
    let place = place();
    let path = place.path().join("large");
    let mut large = File::create(&path).expect("create");
    large.seek(SeekFrom::Start(SIZE - 1)).and_then(|_| large.write_all(b"x")).expect("write far behind");
    assert_eq!(same(&path).size, SIZE);
    drop(open(&path, Open::READ)); // EOVERFLOW without O_LARGEFILE
}

#[test]
fn a_time_is_told_to_the_nanosecond() {
    let place = place();
    let path = place.path().join("file");
    fs::write(&path, "").expect("write");
    let told = fs::metadata(&path).expect("stat");
    let wanted = (told.ctime() as u64).wrapping_mul(1_000_000_000).wrapping_add(told.ctime_nsec() as u64);
    let ours = same(&path).changed;
    // The machines that scripts/boot boots make this test a second time, in 2040.
    assert_eq!(ours, wanted, "{}", told.ctime());
}

#[test]
fn an_inode_number_beyond_32_bits_is_told_whole() {
    // An overlay with layers of two file systems puts the layer's number into the highest bits.
    const SCRIPT: &str = r#"
        mount -t tmpfs lower "$1" && mkdir "$1/a" "$1/m" && mkdir "$1/b" && mount -t tmpfs lower "$1/b" && echo > "$1/b/far" &&
        mount -t overlay -o "xino=on,lowerdir=$1/a:$1/b" overlay "$1/m" && exec "$2" --exact --ignored --nocapture tell_of
    "#;
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount an overlay");
    }
    let place = place();
    let test = std::env::current_exe().expect("the test's own path");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
        .args([place.path(), &test])
        .env("TELL_OF", place.path().join("m/far"))
        .output()
        .expect("unshare, from util-linux");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if text.contains("mount: ") {
        return skip(text.trim());
    }
    assert!(output.status.success(), "{text}");
    let number: u64 =
        text.lines().find_map(|line| line.strip_prefix("inode ")).expect(&text).parse().expect(&text);
    if cfg!(target_pointer_width = "32") && u32::try_from(number).is_ok() {
        return skip("a 32-bit kernel gives no such number to an overlay's file");
    }
    assert!(number > u64::from(u32::MAX), "the test shows nothing: {number}");
}

#[test]
#[ignore = "run by the test above"]
fn tell_of() {
    let path = std::env::var_os("TELL_OF").expect("a path");
    println!("\ninode {}", same(Path::new(&path)).ino);
}

#[test]
fn a_file_system_is_known_by_its_number_and_flags() {
    let place = place();
    let wanted = rustix::fs::statvfs(place.path()).expect("statvfs").f_flag;
    let here = open(place.path(), Open::PATH);
    let (magic, flags) = (file::magic(&here).expect("statfs"), file::flags(&here).expect("statfs"));
    let by_path = file::magic_of(place.path().as_os_str().as_bytes()).expect("statfs");
    assert_eq!(magic, by_path);
    assert_eq!(magic, rustix::fs::statfs(place.path()).expect("statfs").f_type as u32);
    assert_eq!(u64::from(flags & FileSystem::RESTRICTIONS), wanted.bits() & 0xe);
    assert_eq!(flags & FileSystem::READ_ONLY != 0, wanted.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    let own = file::magic(&file::open_follow(b"/proc/self/ns/mnt", Open::READ).expect("open"));
    assert_eq!(own, Ok(FileSystem::NSFS));
    if file::magic_of(b"/dev/shm").expect("statfs of /dev/shm") != FileSystem::TMPFS {
        return skip("/dev/shm is no tmpfs");
    }
    let shm = file::flags(&open(Path::new("/dev/shm"), Open::PATH)).expect("statfs of /dev/shm");
    let wanted = rustix::fs::statvfs("/dev/shm").expect("statvfs").f_flag;
    assert_eq!(u64::from(shm & FileSystem::RESTRICTIONS), wanted.bits() & 0xe);
}

#[test]
fn names_are_found_in_memory_of_any_alignment() {
    let place = place();
    let names: BTreeSet<String> = (1..60).map(|length| "n".repeat(length)).collect();
    for name in &names {
        fs::write(place.path().join(name), "").expect("write");
    }
    for offset in 0..8 {
        let mut buffer = [0; 1024];
        let dir = open(place.path(), Open::READ_DIR);
        let mut found = BTreeSet::new();
        file::list(&dir, &mut buffer[offset..], |entry| {
            assert_eq!(entry.kind, Some(FileType::Regular));
            found.insert(String::from_utf8_lossy(entry.name).into_owned())
        })
        .expect("list");
        assert_eq!(found, names, "at {offset}");
    }
}

#[test]
fn the_clock_that_only_goes_forward_does() {
    let uptime = || fs::read_to_string("/proc/uptime").expect("/proc/uptime");
    let seconds =
        |text: String| text.split('.').next().and_then(|whole| whole.parse::<u64>().ok()).expect("a number");
    let (before, now, after) = (seconds(uptime()), process::uptime(), seconds(uptime()));
    assert!(now.nanoseconds < 1_000_000_000);
    // /proc counts from the start of the machine, also while it slept; the other clock does not.
    assert!(now.seconds <= after + 1, "{before} {now:?} {after}");
    assert!(process::uptime() >= now);
}

/// Machines with pages of 64 KiB can only start what is laid out for them.
#[test]
fn releases_for_arm_start_with_pages_of_64_kibibytes() {
    for name in ["aarch64-unknown-linux-musl", "armv7-unknown-linux-musleabihf"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name).join("snap-update-ns");
        let Ok(elf) = fs::read(&path) else {
            skip(&format!("{} is missing: scripts/build makes it", path.display()));
            continue;
        };
        let wide = elf[4] == 2;
        let number = |at: usize, bytes: usize| {
            elf[at..at + bytes].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let (table, size, count) = match wide {
            true => (number(32, 8), number(54, 2), number(56, 2)),
            false => (number(28, 4), number(42, 2), number(44, 2)),
        };
        let mut last = None;
        for at in (0..count).map(|at| (table + at * size) as usize).filter(|at| number(*at, 4) == 1) {
            let (offset, address, length) = match wide {
                true => (number(at + 8, 8), number(at + 16, 8), number(at + 40, 8)),
                false => (number(at + 4, 4), number(at + 8, 4), number(at + 20, 4)),
            };
            assert_eq!(offset % 0x1_0000, address % 0x1_0000, "{name}");
            // Nor do two segments, which have other rights, share such a page.
            assert!(last.is_none_or(|last| address / 0x1_0000 > last), "{name}");
            last = Some((address + length - 1) / 0x1_0000);
        }
        assert!(last.is_some(), "{name} has no segments");
    }
}
