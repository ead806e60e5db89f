// SPDX-License-Identifier: GPL-3.0-only
//! Where the races are run: a file system with many equal places, and a victim that none of them is.
//!
//! | path in it | what it is |
//! | --- | --- |
//! | `src/dir` `src/file` | what is bound |
//! | `t/N` `tf/N` | targets that nobody meddles with: directories, files |
//! | `sN/g/p/…` | place N; `g`, `p` or what is in `p` is swapped |
//! | `victim/…` `victim/p/…` | the same names as in a place, and a mount of its own |
//! | `own` | what the victim's mount shows |
//!
//! Nothing in the victim may be mounted over, shown elsewhere, made, removed or changed, and its mount has to stay as
//! it is. Where a place is swapped for a real directory (`p.d`), that is on the profile's path while it is there: then
//! only the file and the mount that it brought along have to stay as they were.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, RenameFlags, renameat_with, statat};
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, move_mount};

use crate::cases::{Bait, Case, Swap};
use crate::support::sandbox::USER;

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Escape {
    /// Something is mounted in the victim.
    MountedOver,
    /// Something of the victim is mounted elsewhere.
    Shown,
    /// The victim's mount is gone.
    Unmounted,
    /// The victim's mount has other flags, or another propagation.
    MountChanged,
    /// There is a new name in the victim.
    Made,
    /// A name of the victim's is gone.
    Removed,
    /// Owner, mode or content of something of the victim's is another.
    Touched,
    /// What is to be read-only is mounted and can be written to.
    Writable,
    /// A directory of the host does not show what it holds, after a run that nobody disturbed.
    Hidden,
    /// An entry is not mounted after a run that nobody disturbed.
    Missing,
    /// A mount is neither wanted nor on record, and so will never go.
    Forgotten,
}

/// The file system.
pub struct Arena {
    pub base: String,
    pub slots: Vec<Slot>,
    dev: String,
    /// The mounts that were there, by id.
    mounts: HashMap<u32, String>,
    /// The victim, by path.
    victim: BTreeMap<String, String>,
    has_directories: bool,
    /// What comes into the place of something brings a mount with it, which is on the path then.
    brings_mounts: bool,
    /// Directories of the host in which nothing may be made, as they are below all mounts; and what is in them.
    grounds: Vec<(OwnedFd, Vec<String>)>,
}

/// What somebody meddles with.
pub enum Slot {
    /// Two names that are swapped.
    Names {
        dir: OwnedFd,
        name: CString,
        other: CString,
        /// What has the name when nobody meddles; nothing where it is not there then.
        inode: Option<u64>,
    },
    /// A mount that goes to and fro between a path and where it is at home.
    Mount { mount: OwnedFd, home: OwnedFd, path: String, away: AtomicBool },
}

impl Slot {
    pub fn names(dir: &str, name: &str, other: &str) -> Slot {
        let dir: OwnedFd = File::open(dir).expect("open a place").into();
        let [name, other] = [name, other].map(|text| CString::new(text).expect("a name"));
        let inode = statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| stat.st_ino);
        Slot::Names { dir, name, other, inode }
    }

    fn mount(home: &str, from: &str, path: String) -> io::Result<Slot> {
        fs::create_dir(home)?;
        let below: OwnedFd = File::open(home)?.into();
        rustix::mount::mount_bind(from, home)?;
        let mount = File::open(home)?.into();
        Ok(Slot::Mount { mount, home: below, path, away: AtomicBool::new(false) })
    }

    /// Swaps the two, where one of them is missing the other gets its name; or moves the mount.
    pub fn swap(&self) {
        match self {
            Slot::Names { dir, name, other, .. } => {
                let rename = |from: &CString, to: &CString, how| {
                    renameat_with(dir.as_fd(), from, dir.as_fd(), to, how)
                };
                if rename(name, other, RenameFlags::EXCHANGE) == Err(rustix::io::Errno::NOENT)
                    && rename(name, other, RenameFlags::NOREPLACE).is_err()
                {
                    let _ = rename(other, name, RenameFlags::NOREPLACE);
                }
            }
            Slot::Mount { mount, home, path, away } => {
                let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                let was_away = away.fetch_xor(true, Ordering::Relaxed);
                let _ = match was_away {
                    false => move_mount(mount, "", CWD, path.as_str(), empty),
                    true => move_mount(mount, "", home, "", empty | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH),
                };
            }
        }
    }

    /// Puts the right one back.
    pub fn restore(&self) {
        match self {
            Slot::Names { inode: None, .. } => {}
            Slot::Names { dir, name, inode: Some(inode), .. } => {
                let now = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| stat.st_ino);
                if now != Ok(*inode) {
                    self.swap();
                }
            }
            Slot::Mount { away, .. } => {
                if away.load(Ordering::Relaxed) {
                    self.swap();
                }
            }
        }
    }
}

impl Arena {
    /// Takes away what is left of the last one, and builds another.
    pub fn build(case: &Case, swap: Swap) -> io::Result<Arena> {
        let base = format!("{}/arena", case.ground);
        clear(&base);
        fs::create_dir_all(&base)?;
        rustix::mount::mount("tmpfs", &base, "tmpfs", MountFlags::empty(), c"mode=0755")?;
        for name in ["src/dir", "own", "t", "tf"] {
            fs::create_dir_all(format!("{base}/{name}"))?;
        }
        fs::write(format!("{base}/src/dir/v"), "source")?;
        fs::write(format!("{base}/src/file"), "source")?;
        fs::write(format!("{base}/own/v"), "own")?;
        for place in ["victim", "victim/p"] {
            let place = format!("{base}/{place}");
            furnish(&place, "file")?;
            own_mount(&base, &place)?;
        }
        let user = case.is_users().then_some(USER);
        let mut slots = Vec::new();
        for at in 0..case.slots {
            fs::create_dir(format!("{base}/t/{at}"))?;
            File::create(format!("{base}/tf/{at}"))?;
            let [slot, g] = [format!("{base}/s{at}"), format!("{base}/s{at}/g")];
            let p = format!("{g}/p");
            furnish(&p, "file")?;
            for path in [&slot, &g, &p] {
                chown(path, user, user)?;
            }
            slots.push(match swap {
                Swap::Grandparent => {
                    symlink(format!("{base}/victim"), format!("{slot}/g.x"))?;
                    Slot::names(&slot, "g", "g.x")
                }
                Swap::Parent => {
                    symlink(format!("{base}/victim/p"), format!("{g}/p.x"))?;
                    Slot::names(&g, "p", "p.x")
                }
                Swap::Directory => {
                    let other = format!("{g}/p.d");
                    furnish(&other, "other")?;
                    own_mount(&base, &other)?;
                    Slot::names(&g, "p", "p.d")
                }
                Swap::Leaf => {
                    symlink(format!("{base}/victim/p/{}", case.like), format!("{p}/leaf.x"))?;
                    Slot::names(&p, case.leaf, "leaf.x")
                }
                Swap::Child => {
                    symlink(format!("{base}/victim/p/d/file"), format!("{p}/{}/file.x", case.leaf))?;
                    Slot::names(&format!("{p}/{}", case.leaf), "file", "file.x")
                }
                Swap::Safe(depth) => {
                    // All slots have these names in common.
                    if at > 0 {
                        continue;
                    }
                    let place = if depth == 0 { "/tmp".to_string() } else { "/tmp/.snap".to_string() };
                    let name = if depth == 0 { ".snap" } else { "etc" };
                    fs::create_dir_all(format!("{place}/{name}"))?;
                    symlink(format!("{base}/victim"), format!("{place}/{name}.x"))?;
                    Slot::names(&place, name, &format!("{name}.x"))
                }
                Swap::Mount => Slot::mount(
                    &format!("{slot}/home"),
                    &format!("{base}/own"),
                    format!("{p}/{}", case.leaf),
                )?,
            });
        }
        let dev = fs::metadata(&base)?.dev();
        let dev = format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
        let has_directories = swap == Swap::Directory;
        let mut arena = Arena {
            base,
            slots,
            dev,
            mounts: HashMap::new(),
            victim: BTreeMap::new(),
            has_directories,
            brings_mounts: matches!(swap, Swap::Directory | Swap::Mount),
            grounds: Vec::new(),
        };
        if case.is_hosts() {
            for at in 0..case.slots {
                let place = arena.place(at);
                for ground in [format!("{place}/d"), format!("{place}.d/d")] {
                    let Ok(ground) = File::open(ground) else { continue };
                    let ground = OwnedFd::from(ground);
                    let names = names(&ground);
                    arena.grounds.push((ground, names));
                }
            }
        }
        arena.mounts = lines().collect();
        arena.victim = arena.look();
        Ok(arena)
    }

    /// The directory in which an entry of place `at` has its target or its source.
    pub fn place(&self, at: usize) -> String {
        format!("{}/s{at}/g/p", self.base)
    }

    /// Puts into the victim, and into what a place is swapped for, what the program has made in the places.
    pub fn bait(&mut self, bait: Bait) -> io::Result<()> {
        let mut places = vec![format!("{}/victim", self.base), format!("{}/victim/p", self.base)];
        if self.has_directories {
            places.extend((0..self.slots.len()).map(|at| format!("{}.d", self.place(at))));
        }
        for place in places {
            let at = format!("{place}/new");
            if fs::symlink_metadata(&at).is_ok() {
                continue;
            }
            match bait {
                Bait::Nothing => {}
                Bait::Directory => fs::create_dir(at)?,
                Bait::File => drop(File::create(at)?),
                Bait::Link(to) => symlink(to, at)?,
            }
        }
        self.victim = self.look();
        Ok(())
    }

    /// Nobody meddles any more: everything has its own name again.
    pub fn restore(&self) {
        self.slots.iter().for_each(Slot::restore);
    }

    /// The mounts that were not there in the beginning: mount point and line.
    pub fn news(&self) -> Vec<(String, String)> {
        lines()
            .filter(|(id, line)| !self.mounts.contains_key(id) && self.is_near(line))
            .map(|(_, line)| (field(&line, 4).to_string(), line))
            .collect()
    }

    fn is_near(&self, line: &str) -> bool {
        field(line, 4).starts_with(&self.base)
            || field(line, 2) == self.dev
            || field(line, 4).starts_with("/tmp/.snap")
    }

    /// Everything that must not be.
    pub fn escapes(&self, read_only: bool) -> Vec<(Escape, String)> {
        let mut found = Vec::new();
        let now: HashMap<u32, String> = lines().collect();
        let victim = format!("{}/victim/", self.base);
        for (id, was) in self.mounts.iter().filter(|(_, line)| self.is_near(line)) {
            match now.get(id) {
                None => found.push((Escape::Unmounted, was.clone())),
                Some(is) if is != was => found.push((Escape::MountChanged, format!("{was} => {is}"))),
                Some(_) => {}
            }
        }
        for (at, line) in self.news() {
            let root = field(&line, 3);
            if at.starts_with(&victim) {
                found.push((Escape::MountedOver, line.clone()));
            }
            let is_victims = root.starts_with("/victim") || (root.starts_with("/own") && !self.brings_mounts);
            if field(&line, 2) == self.dev && is_victims {
                found.push((Escape::Shown, line.clone()));
            }
            if read_only && !field(&line, 5).split(',').any(|word| word == "ro") {
                found.push((Escape::Writable, line));
            }
        }
        let now = self.look();
        for (path, was) in &self.victim {
            match now.get(path) {
                None => found.push((Escape::Removed, path.clone())),
                Some(is) if is != was => found.push((Escape::Touched, format!("{path}: {was} => {is}"))),
                Some(_) => {}
            }
        }
        for (ground, were) in &self.grounds {
            let now = names(ground);
            for name in now.iter().filter(|name| !were.contains(name)) {
                found.push((Escape::Made, format!("{name} in a directory of the host with {were:?}")));
            }
            for name in were.iter().filter(|name| !now.contains(name)) {
                found.push((Escape::Removed, format!("{name} of a directory of the host")));
            }
        }
        let made = now.iter().filter(|(path, _)| !self.victim.contains_key(*path));
        found.extend(made.map(|(path, is)| (Escape::Made, format!("{path}: {is}"))));
        found
    }

    /// Directories of the host that do not show what they hold.
    pub fn hidden(&self) -> Vec<String> {
        let places = (0..self.slots.len()).map(|at| self.place(at));
        let other = |place: &str| self.has_directories.then(|| format!("{place}.d/d/other"));
        places
            .flat_map(|place| [Some(format!("{place}/d/file")), other(&place)])
            .flatten()
            .filter(|path| !fs::read_to_string(path).is_ok_and(|text| text == "precious"))
            .collect()
    }

    /// The victim as it is.
    fn look(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        look(Path::new(&format!("{}/victim", self.base)), &mut seen);
        look(Path::new(&format!("{}/own", self.base)), &mut seen);
        if self.has_directories {
            for at in 0..self.slots.len() {
                let place = format!("{}.d", self.place(at));
                for path in [place.clone(), format!("{place}/file")] {
                    describe(Path::new(&path), &mut seen);
                }
            }
        }
        seen
    }
}

/// What a directory holds, below all mounts.
fn names(dir: &OwnedFd) -> Vec<String> {
    let path = format!("/proc/thread-self/fd/{}/.", dir.as_raw_fd());
    let names = fs::read_dir(path).expect("list a directory of the host");
    let mut names: Vec<String> =
        names.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Takes away what the arena and the program have mounted.
fn clear(base: &str) {
    for place in ["/tmp/.snap", base] {
        let mounts: Vec<String> = lines().map(|(_, line)| field(&line, 4).to_string()).collect();
        for at in mounts.iter().rev().filter(|at| Path::new(at).starts_with(place)) {
            let _ = rustix::mount::unmount(at.as_str(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
    }
    for name in ["/tmp/.snap", "/tmp/.snap.x"] {
        let _ = fs::remove_file(name);
        let _ = fs::remove_dir_all(name);
    }
}

/// What is in a place, and in the victim; the directory that a mimic covers has a file of this name.
fn furnish(place: &str, name: &str) -> io::Result<()> {
    let covered = format!("d/{name}");
    for name in ["empty", "mount", "d/sub"] {
        fs::create_dir_all(format!("{place}/{name}"))?;
    }
    for (name, text) in [("file", "precious"), ("hollow", ""), (&covered, "precious")] {
        fs::write(format!("{place}/{name}"), text)?;
    }
    symlink("elsewhere", format!("{place}/link"))?;
    symlink("elsewhere", format!("{place}/d/link"))
}

/// The victim's mount: it can be written to, and is shared with itself, so that a change of either shows.
fn own_mount(base: &str, place: &str) -> io::Result<()> {
    let at = format!("{place}/mount");
    rustix::mount::mount_bind(format!("{base}/own"), &at)?;
    Ok(rustix::mount::mount_change(&at, MountPropagationFlags::SHARED)?)
}

fn look(path: &Path, seen: &mut BTreeMap<String, String>) {
    describe(path, seen);
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if meta.is_dir() {
        let names = fs::read_dir(path).expect("list the victim");
        for name in names.filter_map(Result::ok) {
            look(&name.path(), seen);
        }
    }
}

fn describe(path: &Path, seen: &mut BTreeMap<String, String>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let content = match () {
        () if meta.is_symlink() => format!("-> {}", fs::read_link(path).unwrap_or_default().display()),
        () if meta.is_file() => fs::read_to_string(path).unwrap_or_default(),
        () => String::new(),
    };
    let how = format!("{:o} {}:{} {content:?}", meta.mode(), meta.uid(), meta.gid());
    seen.insert(path.display().to_string(), how);
}

/// The mount table, by mount id.
fn lines() -> impl Iterator<Item = (u32, String)> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("read the mount table");
    let lines: Vec<String> = table.lines().map(String::from).collect();
    lines.into_iter().map(|line| (field(&line, 0).parse().expect("a mount id"), line))
}

pub fn field(line: &str, at: usize) -> &str {
    line.split(' ').nth(at).unwrap_or_default()
}
