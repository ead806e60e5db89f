// SPDX-License-Identifier: GPL-3.0-only
//! The model of the mount table against the kernel: random tables in private namespaces, every answer of the model
//! compared with what the kernel says of the same path.
//!
//! | variable | means | when unset |
//! | --- | --- | --- |
//! | `TABLES` | how many tables | 500 |
//! | `TABLES_SEED` | the seed of the first | 1 |
//! | `TABLES_FULL` | 10,000 tables | 500 |
//!
//! Each table is made by a forked child in a namespace of its own, which vanishes with it. Shared mounts multiply:
//! there are at most [`SHARED_MOUNTS`] steps that mount once one is shared, and no more than [`MOST_LINES`] lines.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::mount::{MountFlags, MountPropagationFlags as Propagation, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use snap_update_ns::mount::info::parse_line;
use snap_update_ns::mount::table::{MountRef, Table};
use snap_update_ns::text::arena::Arena;

/// Steps that may mount something after the first mount has become shared.
const SHARED_MOUNTS: u32 = 12;
/// Lines of the machine's own table come on top.
const MOST_LINES: usize = 220;
/// Names in the trees: with everything that mountinfo escapes, and with what sorts around a slash.
const NAMES: &[&str] = &["a", "b", "c", "a-1", "x y", "h#", "b\\s", "t\tb", "n\nl", "deleted"];

/// Where the trees are: a directory of the test's own, on which each child mounts a tmpfs that always stays. Whatever a
/// step renames or removes is on that.
fn work() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("tables")
}

/// What one child has found.
#[derive(Default)]
struct Found {
    lines: u64,
    paths: u64,
    pairs: u64,
    equal: u64,
    wrong: String,
}

#[test]
fn the_model_answers_as_the_kernel_does() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can make mount namespaces");
        return;
    }
    fs::create_dir_all(work()).expect("a directory to mount on");
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("TABLES").unwrap_or(if env::var_os("TABLES_FULL").is_some() { 10_000 } else { 500 });
    let first = number("TABLES_SEED").unwrap_or(1);
    let start = Instant::now();
    let mut all = Found::default();
    let (mut largest, mut wrong) = (0, 0);
    for seed in first..first + count {
        let found = in_child(seed).unwrap_or_else(|why| panic!("table {seed}: {why}"));
        all.lines += found.lines;
        all.paths += found.paths;
        all.pairs += found.pairs;
        all.equal += found.equal;
        largest = largest.max(found.lines);
        if !found.wrong.is_empty() {
            wrong += 1;
            println!("table {seed}:\n{}", found.wrong);
            if wrong >= 3 {
                break;
            }
        }
    }
    println!(
        "{count} tables from seed {first}: {} lines, the largest {largest}; {} paths compared; {} pairs of paths, {} of them \
         the same object; {wrong} tables with disagreements; {:.1} s",
        all.lines,
        all.paths,
        all.pairs,
        all.equal,
        start.elapsed().as_secs_f32()
    );
    assert_eq!(wrong, 0, "tables of which model and kernel say different things");
    assert!(all.equal > count, "binds are among what is compared");
}

/// Makes a table in a child, and compares there.
fn in_child(seed: u64) -> io::Result<Found> {
    let (read, write) = rustix::pipe::pipe()?;
    // SAFETY: the child only goes on in this function, and ends in it.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(read);
        let text = match live(seed) {
            Ok(found) => {
                format!("{} {} {} {}\n{}", found.lines, found.paths, found.pairs, found.equal, found.wrong)
            }
            Err(why) => format!("failed: {why}"),
        };
        let _ = File::from(write).write_all(text.as_bytes());
        // SAFETY: nothing is left to be done.
        unsafe { libc::_exit(0) };
    }
    drop(write);
    let mut text = Vec::new();
    File::from(read).read_to_end(&mut text)?;
    // SAFETY: the child is ours, and nobody else waits for it.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let text = String::from_utf8_lossy(&text).into_owned();
    let (numbers, wrong) = text.split_once('\n').ok_or_else(|| io::Error::other(text.clone()))?;
    let mut numbers = numbers.split(' ').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    Ok(Found { lines: next(), paths: next(), pairs: next(), equal: next(), wrong: wrong.to_string() })
}

/// splitmix64
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// The machine's /proc, held open: it is not there any more under another root.
struct Proc(OwnedFd);

impl Proc {
    fn table(&self) -> io::Result<Vec<u8>> {
        let fd = rustix::fs::openat(&self.0, "self/mountinfo", OFlags::RDONLY, Mode::empty())?;
        let mut text = Vec::new();
        File::from(fd).read_to_end(&mut text)?;
        Ok(text)
    }
}

fn live(seed: u64) -> io::Result<Found> {
    // SAFETY: a namespace of this process's own.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    rustix::mount::mount_change("/", Propagation::PRIVATE | Propagation::REC)?;
    let proc = Proc(rustix::fs::open("/proc", OFlags::PATH, Mode::empty())?);
    rustix::process::chdir("/")?;
    let mut dice = Dice(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let work = work();
    tmpfs(&work, &mut dice)?;
    let device = fs::metadata(&work)?.dev();
    furnish(&work, &mut dice, 3)?;
    let mut log = Vec::new();
    let with_propagation = dice.below(3) == 0;
    let mut shared = false;
    let mut left = SHARED_MOUNTS;
    // Now and then a large one.
    let most = if seed.is_multiple_of(5) { 150 } else { 50 };
    for _ in 0..5 + dice.below(most) {
        let text = proc.table()?;
        let lines = text.split(|byte| *byte == b'\n').count();
        if (shared && left == 0) || lines > MOST_LINES {
            break;
        }
        left -= u32::from(shared);
        // Nothing of the machine's is ever changed.
        if fs::metadata(&work)?.dev() != device {
            break;
        }
        let done = step(&mut dice, &work, &text, with_propagation, &mut shared);
        log.push(done);
    }
    let root = ending(&mut dice, &work, &mut log)?;
    let text = proc.table()?;
    let mut found = compare(&text, &root, &mut dice)?;
    if !found.wrong.is_empty() {
        found.wrong += &format!("steps: {log:#?}\n{}\n", String::from_utf8_lossy(&text));
    }
    Ok(found)
}

fn tmpfs(at: &Path, dice: &mut Dice) -> io::Result<()> {
    let data = CString::new("mode=0755")?;
    // A source that is empty is an empty field.
    let source = if dice.below(3) == 0 { "" } else { "so#u r" };
    Ok(rustix::mount::mount(source, at, "tmpfs", MountFlags::empty(), data.as_c_str())?)
}

fn furnish(at: &Path, dice: &mut Dice, depth: usize) -> io::Result<()> {
    for _ in 0..2 + dice.below(4) {
        let name = NAMES[dice.below(NAMES.len())];
        let path = at.join(name);
        if dice.below(4) == 0 {
            let _ = File::options().create_new(true).write(true).open(&path);
        } else if fs::create_dir(&path).is_ok() && depth > 0 {
            furnish(&path, dice, depth - 1)?;
        }
    }
    Ok(())
}

/// What can be seen below a directory, without going too far.
fn seen(at: &Path, depth: usize, list: &mut Vec<(PathBuf, bool)>) {
    let Ok(names) = fs::read_dir(at) else { return };
    for entry in names.filter_map(Result::ok) {
        if list.len() > 600 {
            return;
        }
        let path = entry.path();
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        list.push((path.clone(), is_dir));
        if is_dir && depth > 0 {
            seen(&path, depth - 1, list);
        }
    }
}

/// One step; what it was, and whether it could be done.
fn step(dice: &mut Dice, work: &Path, table: &[u8], with_propagation: bool, shared: &mut bool) -> String {
    let mut all = Vec::new();
    seen(work, 4, &mut all);
    all.sort();
    let dirs: Vec<&PathBuf> = all.iter().filter(|(_, is_dir)| *is_dir).map(|(path, _)| path).collect();
    let files: Vec<&PathBuf> = all.iter().filter(|(_, is_dir)| !*is_dir).map(|(path, _)| path).collect();
    let points: Vec<PathBuf> =
        points(table).into_iter().filter(|path| path.starts_with(work) && path != work).collect();
    let nothing = work.join("nothing"); // has none of the names, so every step with it fails
    let dir = |dice: &mut Dice| -> &PathBuf { dirs.get(dice.below(dirs.len())).copied().unwrap_or(&nothing) };
    let file =
        |dice: &mut Dice| -> &PathBuf { files.get(dice.below(files.len())).copied().unwrap_or(&nothing) };
    let point = |dice: &mut Dice| -> &PathBuf { points.get(dice.below(points.len())).unwrap_or(&nothing) };
    let (what, done) = match dice.below(16) {
        0 | 1 => {
            let at = dir(dice);
            let done = tmpfs(at, dice).and_then(|()| furnish(at, dice, 1));
            (format!("tmpfs {at:?}"), done)
        }
        2..=4 => {
            let (from, to) = (dir(dice), dir(dice));
            (format!("bind {from:?} {to:?}"), rustix::mount::mount_bind(from, to).map_err(Into::into))
        }
        5 => {
            let (from, to) = (dir(dice), dir(dice));
            let done = match *shared && (to.starts_with(from) || from.starts_with(to)) {
                true => Err(io::ErrorKind::Other.into()),
                false => rustix::mount::mount_bind_recursive(from, to).map_err(Into::into),
            };
            (format!("rbind {from:?} {to:?}"), done)
        }
        6 => {
            let (from, to) = (file(dice), file(dice));
            (format!("bind file {from:?} {to:?}"), rustix::mount::mount_bind(from, to).map_err(Into::into))
        }
        7 => {
            let at = dir(dice);
            (format!("bind on itself {at:?}"), rustix::mount::mount_bind(at, at).map_err(Into::into))
        }
        8 => {
            let (from, to) = (point(dice), dir(dice));
            (format!("move {from:?} {to:?}"), rustix::mount::mount_move(from, to).map_err(Into::into))
        }
        9 => {
            let at = point(dice);
            (format!("unmount {at:?}"), rustix::mount::unmount(at, UnmountFlags::empty()).map_err(Into::into))
        }
        10 => {
            let at = point(dice);
            (format!("detach {at:?}"), rustix::mount::unmount(at, UnmountFlags::DETACH).map_err(Into::into))
        }
        11 if with_propagation => {
            let at = point(dice);
            let how =
                [Propagation::SHARED, Propagation::DOWNSTREAM, Propagation::PRIVATE, Propagation::UNBINDABLE];
            let how = how[dice.below(how.len())];
            *shared |= how == Propagation::SHARED;
            (format!("{how:?} {at:?}"), rustix::mount::mount_change(at, how).map_err(Into::into))
        }
        11 | 12 => {
            let from = dir(dice);
            let to = from.with_file_name(NAMES[dice.below(NAMES.len())]);
            (format!("rename {from:?} {to:?}"), fs::rename(from, to))
        }
        13 => {
            let (from, to) = (file(dice), file(dice));
            (format!("rename file {from:?} {to:?}"), fs::rename(from, to))
        }
        14 => {
            let at = dir(dice);
            (format!("remove {at:?}"), fs::remove_dir_all(at))
        }
        _ => {
            let at = dir(dice);
            (format!("furnish {at:?}"), furnish(at, dice, 1))
        }
    };
    format!("{what}: {}", done.map_or_else(|why| why.to_string(), |()| "done".to_string()))
}

/// What becomes of the root in the end. The tree of the test is found at the path that is returned.
fn ending(dice: &mut Dice, work: &Path, log: &mut Vec<String>) -> io::Result<PathBuf> {
    let mut all = Vec::new();
    seen(work, 1, &mut all);
    all.sort();
    let somewhere = |dice: &mut Dice| {
        let dirs: Vec<&PathBuf> = all.iter().filter(|(_, is_dir)| *is_dir).map(|(path, _)| path).collect();
        dirs.get(dice.below(dirs.len())).map_or_else(|| work.to_path_buf(), |path| path.to_path_buf())
    };
    let how = dice.below(8);
    let root = match how {
        0 | 1 => work.to_path_buf(),
        2 | 3 => {
            let root = if how == 2 { work.to_path_buf() } else { somewhere(dice) };
            rustix::process::chroot(&root)?;
            rustix::process::chdir("/")?;
            if dice.below(2) == 0 {
                // It comes to lie over the root, and a path that starts at "/" does not see it.
                let _ = tmpfs(Path::new("/"), dice);
            }
            PathBuf::from("/")
        }
        4 | 5 => {
            rustix::process::chdir(work)?;
            // A shared mount cannot be a root that others are put on.
            rustix::mount::mount_change("/", Propagation::PRIVATE | Propagation::REC)?;
            if let Err(why) = rustix::process::pivot_root(".", ".") {
                log.push(format!("pivot_root: {why}"));
                rustix::process::chdir("/")?;
                return Ok(work.to_path_buf());
            }
            rustix::mount::unmount(".", UnmountFlags::DETACH)?;
            rustix::process::chdir("/")?;
            if how == 5 {
                let _ = tmpfs(Path::new("/"), dice);
                let _ = tmpfs(Path::new("/"), dice);
            }
            PathBuf::from("/")
        }
        6 => {
            // SAFETY: a namespace of this process's own.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
            work.to_path_buf()
        }
        _ => {
            let this = File::open("/proc/self/ns/mnt")?;
            move_into_link_name_space(this.as_fd(), Some(LinkNameSpaceType::Mount))?;
            work.to_path_buf()
        }
    };
    log.push(format!("ending {how}, looking at {root:?}"));
    Ok(root)
}

/// The mount points of a table.
fn points(table: &[u8]) -> Vec<PathBuf> {
    let lines = table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .filter_map(|line| {
            let mut line = line.to_vec();
            parse_line(&mut line).map(|info| PathBuf::from(OsStr::from_bytes(info.dir)))
        })
        .collect()
}

/// What the kernel says of a path, without following a link at its end.
struct Truth {
    mount: u64,
    inode: (u32, u32, u64),
}

fn ask(path: &Path) -> Option<Truth> {
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).ok()?;
    let wanted = StatxFlags::MNT_ID | StatxFlags::BASIC_STATS;
    let stat = rustix::fs::statx(&fd, "", AtFlags::EMPTY_PATH, wanted).ok()?;
    (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(Truth {
        mount: stat.stx_mnt_id,
        inode: (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino),
    })
}

fn compare(text: &[u8], root: &Path, dice: &mut Dice) -> io::Result<Found> {
    let mut found = Found::default();
    let mut arena = Arena::new(Vec::leak(vec![0; 4 << 20]));
    let mut table = Table::new();
    table.claim(text.len(), &mut arena);
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut copy = line.to_vec();
        match parse_line(&mut copy) {
            None => found.wrong += &format!("not a line: {:?}\n", String::from_utf8_lossy(line)),
            Some(info) => {
                table.keep(&info, None, &mut arena).map_err(|why| io::Error::other(format!("{why:?}")))?
            }
        }
        found.lines += 1;
    }
    let here = ask(Path::new("/")).ok_or_else(|| io::Error::other("the root cannot be asked"))?;
    table.build(u32::try_from(here.mount).ok(), &mut arena);
    if table.is_empty() {
        // A chroot in a plain directory without mounts: nothing is listed, nothing is known.
        return Ok(found);
    }

    let mut paths: BTreeSet<PathBuf> = BTreeSet::from([PathBuf::from("/")]);
    let mut list = Vec::new();
    seen(root, 5, &mut list);
    paths.extend(list.into_iter().map(|(path, _)| path));
    for point in points(text) {
        paths.extend(point.ancestors().map(PathBuf::from));
    }
    let mut objects: Vec<(&Path, MountRef, Truth)> = Vec::new();
    for path in &paths {
        let Some(truth) = ask(path) else { continue };
        found.paths += 1;
        let mount = table.visible(path.as_os_str().as_bytes(), 0);
        let id = table.get(mount).map(|line| u64::from(line.id));
        if id != Some(truth.mount) {
            found.wrong += &format!("{path:?}: model {id:?}, kernel {}\n", truth.mount);
        } else {
            objects.push((path, mount, truth));
        }
    }
    // What was removed has no path; what is odd has no identity.
    objects.retain(|(path, mount, _)| {
        table.get(*mount).is_some_and(|line| !line.is_deleted())
            && table.identity(*mount, path.as_os_str().as_bytes()).is_some()
    });
    // Neighbours by inode, neighbours by the model's own words, and a few at random.
    let words = |(path, mount, _): &(&Path, MountRef, Truth)| {
        let line = table.get(*mount)?;
        let rest = path.strip_prefix(Path::new(OsStr::from_bytes(line.dir))).ok()?;
        let whole = Path::new(OsStr::from_bytes(line.root)).join(rest);
        Some((line.dev, whole))
    };
    let mut order: Vec<usize> = (0..objects.len()).collect();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    order.sort_by_key(|at| objects[*at].2.inode);
    pairs.extend(order.windows(2).map(|pair| (pair[0], pair[1])));
    order.sort_by_key(|at| words(&objects[*at]));
    pairs.extend(order.windows(2).map(|pair| (pair[0], pair[1])));
    pairs.extend((0..objects.len()).map(|_| (dice.below(objects.len()), dice.below(objects.len()))));
    for (one, two) in pairs {
        let same = objects[one].2.inode == objects[two].2.inode;
        let identity = |at: usize| {
            let (path, mount, _) = &objects[at];
            table.identity(*mount, path.as_os_str().as_bytes())
        };
        found.pairs += 1;
        found.equal += u64::from(same && one != two);
        if (identity(one) == identity(two)) != same {
            found.wrong += &format!(
                "{:?} and {:?} are {}: {:?} {:?}\n",
                objects[one].0,
                objects[two].0,
                if same { "the same, but not for the model" } else { "the same for the model only" },
                identity(one),
                identity(two)
            );
        }
    }
    Ok(found)
}
