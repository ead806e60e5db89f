// SPDX-License-Identifier: GPL-3.0-only
//! A small snap's namespace that is built in a few milliseconds, so that each step of each sequence can have a fresh
//! one to be compared with.
//!
//! | place | what it is |
//! | --- | --- |
//! | `/` | tmpfs, named by the rootfs line of the record |
//! | `/opt` `/srv` `/usr` `/var` | directories of the base, a real squashfs |
//! | `/snap/SNAP/REVISION` | directories of the same image |
//! | `/etc` `/snap` `/tmp` `/var/snap` `/var/lib/snapd` | another tmpfs, which is not on record: the host |
//! | `/var/snap/acorn/common/tree/below` | a third tmpfs, for recursive binds |
//! | `/run` | tmpfs, shared with the host's namespace |
//! | `/dev` `/proc` `/sys` | the machine's |

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use rustix::fs::{FlockOperation, StatVfsMountFlags, flock};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::support::image;
use crate::support::program::{self, Program};

/// The snap whose namespace it is.
pub const SNAP: &str = "acorn";
pub const RECORD: &str = "/run/snapd/ns/snap.acorn.fstab";
pub const NOTES: &str = "/run/snapd/ns/snap.acorn.fstab.made";
pub const ROOTFS: &str = "tmpfs / tmpfs x-snapd.origin=rootfs 0 0";
const LOCK: &str = "/run/snapd/lock/acorn.lock";

/// Where the image and the building site are mounted, in namespaces of the test only: an empty directory of the
/// build's.
static SITE: LazyLock<PathBuf> = LazyLock::new(|| {
    let site = program::target().join("intent");
    fs::create_dir_all(&site).expect("a directory to mount on");
    site.canonicalize().expect("the directory's own path")
});

/// A namespace in which the image is mounted, from which all worlds are made.
pub struct Nursery {
    namespace: OwnedFd,
    program: Program,
}

/// How the program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// By snapd: it joins the namespace.
    Snapd,
    /// By snap-confine, which holds the lock.
    SnapConfine,
}

/// One namespace; the thread that built it lives in it.
pub struct World {
    host: OwnedFd,
    /// The host's tmpfs, without what is mounted on it.
    disk: OwnedFd,
    /// The mount table at the beginning.
    start: Vec<String>,
}

/// What one run answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// What the log says besides.
    pub log: String,
}

/// What is seen: path to description.
pub type View = BTreeMap<String, String>;

impl Nursery {
    /// To be called in a thread of its own, which moves to a namespace of its own.
    pub fn new(program: Program) -> io::Result<Nursery> {
        let image = image::path();
        unshare()?;
        tmpfs(&SITE, "mode=0755")?;
        fs::create_dir(site("image"))?;
        let done = Command::new("mount")
            .args(["-t", "squashfs", "-o", "ro,loop"])
            .arg(image)
            .arg(site("image"))
            .output()?;
        if !done.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned()));
        }
        Ok(Nursery { namespace: this_namespace()?, program })
    }

    fn command(&self, debug: bool) -> Command {
        let (path, first) = self.program.command();
        let mut command = Command::new(path);
        command.arg0("snap-update-ns").args(first.iter()).env_clear();
        command.env("SNAPD_DEBUG", if debug { "1" } else { "0" });
        command
    }

    /// Builds a world in a thread of its own and lives there.
    pub fn world<T: Send>(&self, life: impl FnOnce(&World) -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let world = World::build(self).expect("build a world");
                life(&world)
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl World {
    fn build(nursery: &Nursery) -> io::Result<World> {
        // A namespace can be bound only in an older one, and they are numbered by processor.
        let mut one = rustix::thread::CpuSet::new();
        one.set(0);
        let _ = rustix::thread::sched_setaffinity(None, &one);
        // SAFETY: a working directory and a namespace of the thread's own do no harm to others.
        unsafe { unshare_unsafe(UnshareFlags::FS) }?;
        move_into_link_name_space(nursery.namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
        unshare()?;
        // The image stays; everything else is this world's own.
        for name in ["disk", "root", "run"] {
            let _ = fs::create_dir(site(name));
            tmpfs(&site(name), "mode=0755")?;
        }
        let disk_path = site("disk");
        furnish(&disk_path)?;
        let disk = OwnedFd::from(File::open(&disk_path)?);
        for name in ["snapd", "snapd/ns", "snapd/lock"] {
            fs::create_dir(site("run").join(name))?;
        }
        bind(&site("run"), Path::new("/run"))?;
        bind(&disk_path.join("var/lib"), Path::new("/var/lib"))?;
        let host = this_namespace()?;

        unshare()?;
        let root = site("root");
        for name in ["dev", "etc", "opt", "proc", "run", "snap", "srv", "sys", "tmp", "usr", "var"] {
            fs::create_dir(root.join(name))?;
        }
        for name in ["opt", "srv", "usr", "var"] {
            bind(&site("image/base").join(name), &root.join(name))?;
        }
        for name in ["etc", "snap", "tmp", "var/snap", "var/lib/snapd"] {
            bind(&disk_path.join(name), &root.join(name))?;
        }
        for path in ["acorn/1", "birch/1", "birch/2"] {
            bind(&site("image/snaps").join(path), &root.join("snap").join(path))?;
        }
        let below = root.join("var/snap/acorn/common/tree/below");
        tmpfs(&below, "mode=0755")?;
        fs::write(below.join("v"), "below")?;
        bind(Path::new("/run"), &root.join("run"))?;
        for name in ["dev", "proc"] {
            bind(&Path::new("/").join(name), &root.join(name))?;
        }
        // The freezer's control groups are asked for.
        rustix::mount::mount_bind_recursive("/sys", root.join("sys"))?;
        rustix::process::chdir(&root)?;
        rustix::process::pivot_root(".", ".")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        fs::write(RECORD, format!("{ROOTFS}\n"))?;
        Ok(World { host, disk, start: table().lines().map(String::from).collect() })
    }

    /// The program as snapd starts it, on the host's side.
    pub fn command(&self, nursery: &Nursery, debug: bool) -> Command {
        let mut command = nursery.command(debug);
        command.arg(SNAP).stdin(Stdio::null());
        let host = self.host.as_raw_fd();
        // SAFETY: between fork and exec only system calls are made.
        unsafe {
            command.pre_exec(move || {
                let host = std::os::fd::BorrowedFd::borrow_raw(host);
                move_into_link_name_space(host, Some(LinkNameSpaceType::Mount))?;
                Ok(rustix::process::chdir("/")?)
            });
        }
        command
    }

    /// Runs the program, which finds the lock held or free as its context wants it.
    pub fn run(&self, nursery: &Nursery, context: Context, debug: bool) -> Outcome {
        let mut lock = None;
        let mut command = match context {
            Context::SnapConfine => {
                let file = File::options()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(LOCK)
                    .expect("open the lock");
                flock(&file, FlockOperation::NonBlockingLockExclusive).expect("the lock is free");
                lock = Some(file);
                let mut command = nursery.command(debug);
                command.args(["--from-snap-confine", SNAP]);
                command
            }
            Context::Snapd => self.command(nursery, debug),
        };
        let done = command.stdin(Stdio::null()).output().expect("start the program");
        drop(lock);
        let said = String::from_utf8_lossy(&done.stderr);
        let lines = |wanted| -> String {
            let mine = said.lines().filter(|line| line.starts_with("DEBUG:") == wanted);
            mine.map(|line| format!("{line}\n")).collect()
        };
        Outcome {
            exit: done.status.code(),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: lines(false),
            log: lines(true),
        }
    }

    /// The desired profile, where snapd writes it, whatever lies over the same place in the snap's namespace.
    pub fn desired(&self) -> PathBuf {
        format!("/proc/thread-self/fd/{}/var/lib/snapd/mount/snap.{SNAP}.fstab", self.disk.as_raw_fd()).into()
    }

    /// Binds the namespace where snapd looks for it.
    pub fn preserve(&self) -> io::Result<()> {
        let snap = this_namespace()?;
        let link = format!("/proc/thread-self/fd/{}", snap.as_raw_fd());
        enter(&self.host)?;
        let name = format!("/run/snapd/ns/{SNAP}.mnt");
        let done = File::create(&name).and_then(|_| Ok(rustix::mount::mount_bind(&link, &name)?));
        enter(&snap)?;
        done
    }

    /// Does something on the host's side, where the same paths have no mounts of the snap.
    pub fn on_disk<T>(&self, act: impl FnOnce() -> T) -> T {
        let snap = this_namespace().expect("this namespace");
        enter(&self.host).expect("enter the host's namespace");
        rustix::process::chroot(site("disk")).expect("look at the disk alone");
        let done = act();
        enter(&snap).expect("come back");
        done
    }

    /// The lines of the mount table that were not there in the beginning.
    pub fn news(&self) -> String {
        let is_new = |line: &&str| !self.start.iter().any(|old| old == line);
        table().lines().filter(is_new).map(|line| format!("{line}\n")).collect()
    }

    /// Binds something of somebody else's there.
    pub fn foreign(&self, at: &Path) -> io::Result<()> {
        bind(Path::new("/usr/share/man"), at)
    }

    /// Takes away what [`World::foreign`] has bound, and what lies on it.
    pub fn take_foreign_away(&self) {
        for _ in 0..20 {
            let table = table();
            // A mimic over the directory above has it as a part.
            let is_foreign = |line: &&str| {
                field(line, 3).ends_with("/usr/share/man") && field(line, 4) != "/usr/share/man"
            };
            let Some(line) = table.lines().rfind(is_foreign) else {
                return;
            };
            if rustix::mount::unmount(field(line, 4), UnmountFlags::DETACH).is_err() {
                return;
            }
        }
    }

    /// Everything that a process sees, and everything on the host's side.
    pub fn view(&self) -> View {
        let mut view = View::new();
        look("", Path::new("/"), Path::new("/"), &mut view);
        let disk = format!("/proc/thread-self/fd/{}/.", self.disk.as_raw_fd());
        look("host:", Path::new(&disk), Path::new("/"), &mut view);
        view
    }

    /// The mount table without numbers: device by its role, root, place, options; sorted.
    pub fn mounts(&self) -> Vec<String> {
        let table = table();
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for (point, name) in [("/", "root"), ("/opt", "image"), ("/var/snap", "disk"), ("/run", "run")] {
            if let Some(line) = table.lines().find(|line| field(line, 4) == point) {
                names.entry(field(line, 2)).or_insert(name);
            }
        }
        let mut mounts: Vec<String> = table
            .lines()
            .map(|line| {
                let fstype = line.split_once(" - ").map_or("", |(_, rest)| field(rest, 0));
                let device = names.get(field(line, 2)).copied().unwrap_or(fstype);
                format!("{} {}:{} {}", field(line, 4), device, field(line, 3), field(line, 5))
            })
            .collect();
        mounts.sort();
        mounts
    }
}

fn field(line: &str, at: usize) -> &str {
    line.split(' ').nth(at).unwrap_or_default()
}

/// mountinfo as it is.
pub fn table() -> String {
    fs::read_to_string("/proc/thread-self/mountinfo").expect("read the mount table")
}

/// Notices changes of the mount table, also those that are undone again.
pub struct Watch(File);

impl Watch {
    pub fn new() -> Watch {
        let mut file = File::open("/proc/thread-self/mountinfo").expect("open the mount table");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read the mount table");
        Watch(file)
    }

    pub fn has_changed(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLPRI, revents: 0 };
        // SAFETY: one live pollfd.
        let ready = unsafe { libc::poll(&mut poll, 1, 0) };
        ready > 0
    }
}

const NOT_SEEN: &[&str] = &["/proc", "/sys", "/dev", "/run", "/var/lib/snapd", "/tmp/.snap"];

fn look(key: &str, path: &Path, shown: &Path, view: &mut View) {
    let meta = fs::symlink_metadata(path);
    view.insert(format!("{key}{}", shown.display()), describe(path, meta.as_ref()));
    if !meta.is_ok_and(|meta| meta.is_dir()) {
        return;
    }
    let Ok(names) = fs::read_dir(path) else { return };
    for name in names.filter_map(Result::ok).map(|entry| entry.file_name()) {
        let below = shown.join(&name);
        if !NOT_SEEN.iter().any(|not| Path::new(not) == below) {
            look(key, &path.join(&name), &below, view);
        }
    }
}

fn describe(path: &Path, meta: Result<&fs::Metadata, &io::Error>) -> String {
    let meta = match meta {
        Ok(meta) => meta,
        Err(why) => return why.kind().to_string(),
    };
    let kind = meta.file_type();
    let what = match () {
        () if kind.is_symlink() => {
            return format!("link -> {}", fs::read_link(path).unwrap_or_default().display());
        }
        () if kind.is_dir() => "dir".to_string(),
        () if kind.is_fifo() => "fifo".to_string(),
        () => match fs::read(path) {
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

/// The host.
fn furnish(disk: &Path) -> io::Result<()> {
    for path in [
        "etc/foo.d",
        "etc/sub",
        "snap/acorn/1",
        "snap/birch/1",
        "snap/birch/2",
        "tmp",
        "var/lib/snapd/mount",
        "var/snap/acorn/common/tree/below",
        "var/snap/birch/common/shared",
    ] {
        fs::create_dir_all(disk.join(path))?;
    }
    fs::set_permissions(disk.join("tmp"), Permissions::from_mode(0o1777))?;
    for name in ["a", "b", "c", "d"] {
        let dir = disk.join("var/snap/acorn/common").join(name);
        fs::create_dir(&dir)?;
        fs::write(dir.join("v"), format!("common {name}"))?;
    }
    for (path, text) in [
        ("etc/hosts", "hosts"),
        ("etc/sub/v", "etc sub"),
        ("var/snap/acorn/common/conf", "conf"),
        ("var/snap/acorn/common/tree/v", "tree"),
        ("var/snap/birch/common/shared/v", "shared"),
    ] {
        fs::write(disk.join(path), text)?;
    }
    symlink("hosts", disk.join("etc/link"))
}

fn site(name: &str) -> PathBuf {
    SITE.join(name)
}

fn unshare() -> io::Result<()> {
    // SAFETY: only the mount namespace is unshared; descriptors and memory stay as they are.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", private)?)
}

fn this_namespace() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/mnt")?.into())
}

fn enter(namespace: &OwnedFd) -> io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(rustix::process::chdir("/")?)
}

/// Mounts a tmpfs.
pub fn tmpfs(at: &Path, data: &str) -> io::Result<()> {
    let data = std::ffi::CString::new(data)?;
    Ok(rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::empty(), data.as_c_str())?)
}

/// Binds one directory or file on another.
pub fn bind(from: &Path, at: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_bind(from, at)?)
}
