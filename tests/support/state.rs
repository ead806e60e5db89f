// SPDX-License-Identifier: GPL-3.0-only
//! What a process sees after a run, written as lines that can be compared: a map from *what* to *how it is*.
//!
//! | key | value |
//! | --- | --- |
//! | `exit`, `stdout` | of the run |
//! | `warning CHANGE` | how often stderr says that the change could not be made; the reason is nobody's contract |
//! | `view PATH` | type, mode, owner, read-only or not, content: as the snap sees it |
//! | `host PATH` | the same for the directories of the host |
//! | `mount PATH` | the last mount that the mount table has there |
//! | `layers PATH` | how many it has there |
//! | `freezer GROUP` | the state of the freezer groups of snaps |
//! | `record LINE` | how often the record has the line |
//! | `record file` | mode and owner of the record |
//! | `lock` | whether the snap's lock can be had |
//!
//! Nothing in it depends on the machine: devices are called by what they are, mount ids are left out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, StatVfsMountFlags, flock};

use super::sandbox::{Outcome, Sandbox};

/// Lines, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub lines: BTreeMap<String, String>,
    /// The record as it is on disk, for those who care about its order.
    pub record: String,
    /// Everything the run wrote to stderr: shown, never compared.
    pub stderr: String,
    /// Which file the record is: another one after every save.
    pub record_inode: Option<u64>,
    /// Which file it was before the run.
    pub record_inode_before: Option<u64>,
    /// The lines before the first run.
    pub at_first: BTreeMap<String, String>,
    /// The lines after the run before this one; before the first, those before it.
    pub before: BTreeMap<String, String>,
}

/// Part of a warning by which it is recognised; what comes before it differs from program to program.
const WARNING: &str = "cannot change mount namespace according to change";

/// Trees that belong to the machine, and inputs of the story.
const NOT_SEEN: &[&str] = &["/proc", "/sys", "/dev", "/run", "/var/lib/snapd/mount"];

impl State {
    /// Looks around in the sandbox after a run.
    pub fn after(outcome: &Outcome, sandbox: &Sandbox) -> State {
        let mut state = State { stderr: outcome.stderr.clone(), ..State::default() };
        state.set("exit", &outcome.exit);
        state.set("stdout", outcome.stdout.trim_end());
        for line in outcome.stderr.lines() {
            if let Some(at) = line.find(WARNING) {
                let change = &line[at + WARNING.len() + 1..];
                state.count(format!("warning {}", change.split("): ").next().unwrap_or(change)));
            }
        }
        for top in ["/", "/dev/shm", "/run/snapd", "/run/user"] {
            state.walk("view", Path::new(top), Path::new(top), NOT_SEEN);
        }
        state.walk("host", &sandbox.disk(), Path::new("/"), NOT_SEEN);
        state.mounts(sandbox);
        state.record(sandbox);
        state.freezers(&format!("snap.{}", sandbox.name));
        state.set("lock", lock(sandbox));
        state
    }

    fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.lines.insert(key.into(), value.into());
    }

    fn count(&mut self, key: String) {
        let times = self.lines.get(&key).and_then(|times| times.parse().ok()).unwrap_or(0);
        self.set(key, (times + 1_u32).to_string());
    }

    /// Describes `path` under the name `shown`, and everything below it.
    fn walk(&mut self, key: &str, path: &Path, shown: &Path, not_seen: &[&str]) {
        if !is_ours(shown) {
            self.set(format!("{key} {}", shown.display()), describe(path));
        }
        let is_directory = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        if !is_directory && key != "host" {
            return;
        }
        let Ok(names) = fs::read_dir(path) else { return };
        for name in names.filter_map(Result::ok).map(|entry| entry.file_name()) {
            let below = shown.join(&name);
            if !not_seen.iter().any(|not| Path::new(not) == below) {
                let path = path.join(&name);
                match fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                    true => self.walk(key, &path, &below, not_seen),
                    false if is_ours(&below) => {}
                    false => self.set(format!("{key} {}", below.display()), describe(&path)),
                }
            }
        }
    }

    fn mounts(&mut self, sandbox: &Sandbox) {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("read the mount table");
        let names = Names::of(&table, sandbox);
        let mut shm = false; // whether ours has been seen
        for line in table.lines() {
            let Some(mount) = Mount::parse(line) else { panic!("a line of mountinfo: {line}") };
            let machine = ["/proc", "/sys", "/dev"].iter().any(|top| Path::new(mount.point).starts_with(top));
            shm |= mount.device == *sandbox.shm.borrow();
            if !machine || (shm && mount.point == "/dev/shm") {
                let key = format!("mount {}", mount.point);
                let layer = mount.describe(&names);
                self.set(key, layer);
                self.count(format!("layers {}", mount.point));
            }
        }
    }

    fn record(&mut self, sandbox: &Sandbox) {
        match fs::symlink_metadata(sandbox.record()) {
            Err(why) => self.set("record file", why.kind().to_string()),
            Ok(meta) if !meta.is_file() => self.set("record file", "not a regular file"),
            Ok(meta) => {
                self.record_inode = Some(meta.ino());
                self.set(
                    "record file",
                    format!("{:04o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid()),
                );
                self.record = fs::read_to_string(sandbox.record()).unwrap_or_default();
                for line in self.record.clone().lines() {
                    self.count(format!("record {line}"));
                }
            }
        }
    }

    /// Control groups of snaps, in either version's hierarchy.
    fn freezers(&mut self, group_of_snap: &str) {
        for (tree, file) in [("/sys/fs/cgroup/freezer", "freezer.state"), ("/sys/fs/cgroup", "cgroup.freeze")]
        {
            for group in fs::read_dir(tree).into_iter().flatten().filter_map(Result::ok) {
                let name = group.file_name().to_string_lossy().into_owned();
                if let Some(text) =
                    name.starts_with(group_of_snap).then(|| fs::read_to_string(group.path().join(file)).ok())
                {
                    self.set(format!("freezer {name}"), text.unwrap_or_default().trim());
                }
            }
        }
    }

    /// The value of one line.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.get(key).map(String::as_str)
    }

    /// The lines that are not the same in both, as `(key, ours, theirs)`.
    pub fn differences<'s>(&'s self, theirs: &'s State) -> Vec<(&'s str, &'s str, &'s str)> {
        let mut keys: Vec<&str> = self.lines.keys().chain(theirs.lines.keys()).map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .map(|key| (key, self.get(key).unwrap_or("-"), theirs.get(key).unwrap_or("-")))
            .filter(|(_, ours, theirs)| ours != theirs)
            .collect()
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        for (key, value) in &self.lines {
            writeln!(f, "{key:<40} {value}")?;
        }
        write!(f, "{}{}", self.record, self.stderr)
    }
}

/// Files that only our program keeps: notes beside the record, which no other version reads.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.starts_with("/run/snapd/ns")
        && name.starts_with("snap.")
        && name.contains(".fstab.")
        && !name.ends_with('~')
        || (path.starts_with("/run/snapd/ns") && name.ends_with(".fstab"))
}

/// Type, mode, owner, read-only or not, content.
fn describe(path: &Path) -> String {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(why) => return why.kind().to_string(),
    };
    let kind = meta.file_type();
    if kind.is_symlink() {
        let to = fs::read_link(path).unwrap_or_default();
        return format!("link -> {} {}:{}", to.display(), meta.uid(), meta.gid());
    }
    let what = match () {
        () if kind.is_dir() => "dir".to_string(),
        () if kind.is_fifo() => "fifo".to_string(),
        () if kind.is_socket() => "socket".to_string(),
        () if kind.is_char_device() || kind.is_block_device() => "device".to_string(),
        () => match fs::read(path) {
            Ok(bytes) if bytes.len() > 100 => format!("file of {} bytes", bytes.len()),
            Ok(bytes) => format!("file {:?}", String::from_utf8_lossy(&bytes)),
            Err(why) => format!("file ({})", why.kind()),
        },
    };
    let rights = match rustix::fs::statvfs(path) {
        Ok(fs) if fs.f_flag.contains(StatVfsMountFlags::RDONLY) => "ro",
        Ok(_) => "rw",
        Err(_) => "?",
    };
    format!("{what} {:04o} {}:{} {rights}", meta.mode() & 0o7777, meta.uid(), meta.gid())
}

fn lock(sandbox: &Sandbox) -> &'static str {
    match File::options().write(true).open(sandbox.lock()) {
        Err(_) => "no file",
        Ok(file) => match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => "free",
            Err(_) => "held",
        },
    }
}

/// What the devices of a sandbox are called.
struct Names<'t> {
    image: &'t str,
    root: Option<&'t str>,
    run: Option<&'t str>,
    shm: std::cell::Ref<'t, String>,
    /// The fresh directories as their file system names them.
    disk: PathBuf,
}

impl<'t> Names<'t> {
    fn of(table: &'t str, sandbox: &'t Sandbox) -> Names<'t> {
        let first = |point: &str| table.lines().filter_map(Mount::parse).find(|mount| mount.point == point);
        let device = |point| first(point).map(|mount: Mount| mount.device);
        // A path on the machine ends as the root field of its bind does; what is before it belongs to the machine.
        let etc = first("/etc").map(|mount: Mount| PathBuf::from(mount.root));
        let disk = etc
            .as_deref()
            .and_then(Path::parent)
            .map_or_else(|| sandbox.disk_path.clone(), Path::to_path_buf);
        Names {
            image: &sandbox.image,
            root: device("/"),
            run: device("/run"),
            shm: sandbox.shm.borrow(),
            disk,
        }
    }
}

/// One line of mountinfo; fields as in proc_pid_mountinfo(5).
struct Mount<'t> {
    device: &'t str,
    root: &'t str,
    point: &'t str,
    options: &'t str,
    propagation: Vec<&'t str>,
    kind: &'t str,
    super_options: &'t str,
}

impl<'t> Mount<'t> {
    fn parse(line: &'t str) -> Option<Mount<'t>> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(2); // (1) mount id, (2) parent id
        let mut after = after.split(' ');
        Some(Mount {
            device: before.next()?,
            root: before.next()?,
            point: before.next()?,
            options: before.next()?,
            propagation: before.map(|field| field.split(':').next().unwrap_or(field)).collect(),
            kind: after.next()?,
            super_options: after.nth(1)?,
        })
    }

    fn describe(&self, names: &Names) -> String {
        let device = Some(self.device);
        let what = match Path::new(self.root).strip_prefix(&names.disk) {
            Ok(path) => format!("disk:/{}", path.display()),
            Err(_) if self.device == names.image => format!("image:{}", self.root),
            Err(_) if device == names.root => format!("root:{}", self.root),
            Err(_) if device == names.run => format!("run:{}", self.root),
            Err(_) if self.device == *names.shm => format!("shm:{}", self.root),
            // How wide inode numbers are is the kernel's choice, where nobody asked for it.
            Err(_) if self.kind == "tmpfs" => {
                format!("tmpfs:{} [{}]", self.root, self.super_options.replace(",inode64", ""))
            }
            Err(_) => format!("{}:{}", self.kind, self.root),
        };
        let mut words = vec![what.as_str(), self.options];
        words.extend(&self.propagation);
        words.join(" ")
    }
}
