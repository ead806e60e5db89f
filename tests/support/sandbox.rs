// SPDX-License-Identifier: GPL-3.0-only
//! A snap's mount namespace without snapd.
//!
//! A sandbox is a thread with two private mount namespaces. The *host* namespace is a copy of the machine's with
//! its own tmpfs on `/run` and a `/var/lib` of its own; a tool that joins a namespace by itself starts there. The *snap* namespace has a root of
//! its own, built as snap-confine builds it; the thread lives in it, so ordinary file functions see what the
//! snap sees. Both vanish with the thread (unshare(2), pivot_root(2)).
//!
//! | place | what it is |
//! | --- | --- |
//! | `/` | tmpfs, named by the rootfs line of the record |
//! | `/opt` `/srv` `/usr` `/var` | directories of the base, a real squashfs on a loop device |
//! | `/snap/SNAP/REVISION` | directories of the same image |
//! | `/etc` `/home` `/root` `/snap` `/tmp` `/var/snap` `/var/lib/snapd` | fresh directories on the machine's disk: a host that must not be trespassed on |
//! | `/run` | tmpfs, the same in both namespaces, as `/var/lib/snapd` is |
//! | `/dev/shm` | tmpfs |
//! | `/dev` `/proc` `/sys` | the machine's; the trees of control groups begin at a group of the sandbox's own |

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, LinkNameSpaceType, Uid, UnshareFlags,
    configure_capability_in_ambient_set, move_into_link_name_space, set_capabilities, set_keep_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid, unshare_unsafe,
};

use super::image;
use super::kernel::{self, Door, Kernel, Version};
use super::program::{Program, Which};
use super::seccomp::{Filter, Refused};

/// The user of per-user stories.
pub const USER: u32 = 1000;

/// Runs `life` in a fresh sandbox for the instance `name`, in a thread of its own.
pub fn in_sandbox<T: Send>(name: &str, life: impl FnOnce(&Sandbox) -> T + Send) -> T {
    in_sandbox_of(&Image::File(image::path()), name, life)
}

/// Where a sandbox has its squashfs image from.
#[derive(Clone, Debug)]
pub enum Image {
    /// The file, to be mounted.
    File(PathBuf),
    /// Where it is mounted already, in the mount namespace of the caller, who sees to the freezer's tree himself.
    Mounted(PathBuf),
}

impl Image {
    /// Mounts the image in a mount namespace that this thread has for itself from now on: for many sandboxes.
    pub fn mount_once() -> io::Result<Image> {
        stay_on_this_cpu()?;
        unshare()?;
        let at = super::program::target().join("image");
        fs::create_dir_all(&at)?;
        loop_mount(&image::path(), &at)?;
        Ok(Image::Mounted(at))
    }

    /// Undoes [`Image::mount_once`].
    pub fn unmount(&self) {
        if let Image::Mounted(at) = self {
            let _ = rustix::mount::unmount(at, UnmountFlags::DETACH);
        }
    }
}

/// As [`in_sandbox`], with an image that may serve many sandboxes.
pub fn in_sandbox_of<T: Send>(image: &Image, name: &str, life: impl FnOnce(&Sandbox) -> T + Send) -> T {
    let nursery = super::program::target().join("sandboxes");
    fs::create_dir_all(&nursery).expect("a directory for sandboxes");
    let place = tempfile::tempdir_in(&nursery).expect("a directory for the sandbox");
    thread::scope(|scope| {
        scope
            .spawn(|| {
                let sandbox = Sandbox::build(place.path(), image, name).expect("build the sandbox");
                life(&sandbox)
            })
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether sandboxes can be built here, and if not, why.
pub fn possible() -> Result<(), &'static str> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err("only root can make mount namespaces and mount a squashfs"),
    }
}

/// The world of one story.
pub struct Sandbox {
    /// Instance name of the snap.
    pub name: String,
    /// The path of [`Sandbox::disk`] on the machine, for recognising it in the mount table.
    pub disk_path: PathBuf,
    /// The device of the tmpfs on `/dev/shm`, as the mount table writes it; what lies below it is the machine's.
    pub shm: RefCell<String>,
    /// The device of the squashfs image, likewise.
    pub image: String,
    host: OwnedFd,
    snap: RefCell<OwnedFd>,
    disk: OwnedFd,
    /// Where the parts of the world are, for the host.
    world: PathBuf,
    /// The group that stands for the root of the freezer's tree, so that sandboxes freeze processes of their own.
    _freezer: Option<Top>,
    /// What is to be done when the story is over.
    afterwards: RefCell<Vec<Box<dyn FnOnce()>>>,
}

/// One start of a program.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub which: Which,
    pub argv: &'static [&'static str],
    pub env: &'static [(&'static str, &'static str)],
    pub place: Place,
    pub lock: Lock,
    pub rights: Rights,
    /// What strace(1) shall spoil: values of its `-e inject=`, separated by semicolons.
    pub inject: Option<&'static str>,
    /// Calls that the kernel does not know.
    pub refused: Refused,
    pub umask: u32,
    /// How long it may take before it is called hung and killed. Generous: it is not a measurement.
    pub patience: Duration,
}

/// In which namespace a program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Snap,
    Host,
}

/// Who has the snap's lock while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    Free,
    /// Somebody else, as flock(2) names it.
    Exclusive,
    Shared,
}

/// As whom a program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Root,
    /// Real uid of the user, effective uid 0: started by a set-uid snap-confine.
    SetUid,
    /// The user with three ambient capabilities: started by a snap-confine with file capabilities.
    Ambient,
    /// The user with two of the three: CHOWN is missing.
    WithoutChown,
    /// The user with nothing.
    Nothing,
}

/// What a run left behind besides the world.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Exit status, `signal N` or `hung`.
    pub exit: String,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    fn build(place: &Path, image: &Image, name: &str) -> io::Result<Sandbox> {
        stay_on_this_cpu()?;
        kernel::prepare();
        let disk_path = place.join("disk");
        furnish(&disk_path)?;
        let disk = OwnedFd::from(File::open(&disk_path)?);

        unshare()?;
        let world = place.join("world");
        fs::create_dir(&world)?;
        tmpfs(&world, "mode=0755")?;
        let dir = |name: &str| -> io::Result<PathBuf> {
            let path = world.join(name);
            fs::create_dir(&path)?;
            Ok(path)
        };
        let (squash, run, _) = (dir("image")?, dir("run")?, dir("root")?);
        match image {
            Image::File(file) => loop_mount(file, &squash)?,
            Image::Mounted(at) => bind(at, &squash)?,
        }
        tmpfs(&run, "mode=0755")?;
        for (path, mode) in [
            ("snapd", 0o755),
            ("snapd/ns", 0o755),
            ("snapd/lock", 0o755),
            ("user", 0o755),
            ("user/1000", 0o700),
        ] {
            fs::create_dir(run.join(path))?;
            fs::set_permissions(run.join(path), Permissions::from_mode(mode))?;
        }
        chown(run.join("user/1000"), Some(USER), Some(USER))?;
        bind(&run, Path::new("/run"))?;
        bind(&disk_path.join("var/lib"), Path::new("/var/lib"))?;
        let freezer = match image {
            Image::File(_) => Top::new("/sys/fs/cgroup/freezer").ok(),
            Image::Mounted(_) => None,
        };
        let host = this_namespace()?;

        let snap = build_snap(&world, &disk_path)?;
        let (shm, image) = (RefCell::new(device("/dev/shm")?), device("/opt")?);
        let sandbox = Sandbox {
            name: name.to_string(),
            disk_path,
            shm,
            image,
            host,
            snap: RefCell::new(snap),
            disk,
            world,
            _freezer: freezer,
            afterwards: RefCell::default(),
        };
        sandbox.record_the_root()?;
        Ok(sandbox)
    }

    fn record_the_root(&self) -> io::Result<()> {
        fs::write(self.record(), "tmpfs / tmpfs x-snapd.origin=rootfs 0 0\n")
    }

    /// The desired profile, where snapd writes it, whatever lies over the same place in the snap's namespace.
    pub fn desired(&self) -> PathBuf {
        self.disk().join(format!("var/lib/snapd/mount/snap.{}.fstab", self.name))
    }

    /// The desired profile of per-user mounts, likewise.
    pub fn desired_by_user(&self) -> PathBuf {
        self.disk().join(format!("var/lib/snapd/mount/snap.{}.user-fstab", self.name))
    }

    /// The current profile.
    pub fn record(&self) -> PathBuf {
        format!("/run/snapd/ns/snap.{}.fstab", self.name).into()
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        format!("/run/snapd/lock/{}.lock", self.name).into()
    }

    /// The machine's side of the fresh directories: no mount of the snap's namespace shows there.
    pub fn disk(&self) -> PathBuf {
        format!("/proc/thread-self/fd/{}/.", self.disk.as_raw_fd()).into()
    }

    /// Has something done when the story is over.
    pub fn afterwards(&self, what: impl FnOnce() + 'static) {
        self.afterwards.borrow_mut().push(Box::new(what));
    }

    /// Does something on the host's side, in the host's mount namespace.
    pub fn on_host<T>(&self, act: impl FnOnce() -> T) -> T {
        enter(&self.host).expect("enter the host's namespace");
        let done = act();
        enter(&self.snap.borrow()).expect("come back to the snap's namespace");
        done
    }

    /// The snap's namespace is thrown away, and snap-confine builds another: what is on disk and in `/run` stays.
    pub fn rebuild(&self) -> io::Result<()> {
        enter(&self.host)?;
        *self.snap.borrow_mut() = build_snap(&self.world, &self.disk_path)?;
        *self.shm.borrow_mut() = device("/dev/shm")?;
        self.record_the_root()
    }

    /// Does something in a copy of the snap's namespace, as snap-confine makes one for the mounts of a user.
    pub fn in_copy<T>(&self, act: impl FnOnce() -> T) -> T {
        unshare().expect("copy the namespace");
        let copy = this_namespace().expect("the copy");
        let snap = self.snap.replace(copy);
        let done = act();
        enter(&snap).expect("come back to the snap's namespace");
        *self.snap.borrow_mut() = snap;
        done
    }

    /// Binds the snap's namespace where snapd looks for it.
    pub fn preserve(&self) {
        let name = format!("/run/snapd/ns/{}.mnt", self.name);
        let link = format!("/proc/thread-self/fd/{}", self.snap.borrow().as_raw_fd());
        self.on_host(|| {
            File::create(&name).expect("create the namespace file");
            rustix::mount::mount_bind(&link, &name).expect("preserve the namespace");
        });
    }

    /// Makes a copy of the snap's namespace for another instance, and binds it where snapd looks for it.
    pub fn preserve_copy(&self, instance: &str) {
        unshare().expect("copy the snap's namespace");
        let copy = this_namespace().expect("open the copy");
        enter(&self.snap.borrow()).expect("come back to the snap's namespace");
        let (link, name) =
            (format!("/proc/thread-self/fd/{}", copy.as_raw_fd()), format!("/run/snapd/ns/{instance}.mnt"));
        self.on_host(|| {
            File::create(&name).expect("create the namespace file");
            rustix::mount::mount_bind(&link, &name).expect("preserve the copy");
        });
    }

    /// Does something as when a user's program starts: in a copy of the snap's namespace of its own, with such rights.
    pub fn in_copy_as<T: Send>(&self, rights: Rights, act: impl FnOnce() -> T + Send) -> T {
        let life = || {
            unshare().expect("copy the snap's namespace");
            assume(rights).expect("take on the rights");
            act()
        };
        thread::scope(|scope| scope.spawn(life).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs a program to its end.
    pub fn run(&self, program: &Program, start: &Start) -> Outcome {
        let held = match start.lock {
            Lock::Free => None,
            Lock::Exclusive => Some(self.hold(FlockOperation::NonBlockingLockExclusive)),
            Lock::Shared => Some(self.hold(FlockOperation::NonBlockingLockShared)),
        };
        let mut streams = [(); 2]
            .map(|()| File::from(memfd_create("stream", MemfdFlags::CLOEXEC).expect("a place for a stream")));
        let kernel = Version::asked().map(|version| {
            // strace(1) and nsenter(1) ask for this and that themselves.
            let noted = program.which == Which::Ours && start.inject.is_none();
            Kernel::of(version, noted).expect("an older kernel")
        });
        let door = kernel.as_ref().map(|kernel| kernel.door().expect("a door of the older kernel"));
        let mut command = self.command_behind(door, program, start);
        command.stdin(Stdio::null());
        command.stdout(streams[0].try_clone().expect("stdout"));
        command.stderr(streams[1].try_clone().expect("stderr"));
        let exit = match command.spawn() {
            Ok(child) => wait(child, start.patience),
            Err(why) => format!("not started: {why}"),
        };
        drop(command);
        if let Some(kernel) = kernel {
            kernel.end();
        }
        drop(held);
        let [stdout, stderr] = streams.each_mut().map(|stream| {
            let mut bytes = Vec::new();
            stream.rewind().and_then(|()| stream.read_to_end(&mut bytes)).expect("read a stream");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Outcome { exit, stdout, stderr }
    }

    /// Takes the snap's lock on somebody else's behalf.
    pub fn hold(&self, how: FlockOperation) -> File {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.lock())
            .expect("open the lock");
        flock(&file, how).expect("the lock is free before a run");
        file
    }

    /// A program that is ready to be started.
    pub fn command(&self, program: &Program, start: &Start) -> Command {
        self.command_behind(None, program, start)
    }

    /// The same, on an older kernel.
    fn command_behind(&self, door: Option<Door>, program: &Program, start: &Start) -> Command {
        let (path, first) = program.command();
        let place = match (start.place, start.inject) {
            (Place::Host, _) | (_, Some(_)) => self.host.as_raw_fd(),
            (Place::Snap, None) => self.snap.borrow().as_raw_fd(),
        };
        // strace lives on the host, and nsenter(1) brings what it traces into the snap's namespace.
        let mut command = match start.inject {
            None => Command::new(&path),
            Some(inject) => {
                let mut strace = Command::new("strace");
                strace.args(["-f", "-qq", "-o", "/dev/null"]);
                for one in inject.split(';') {
                    strace.args(["-e", &format!("inject={one}")]);
                }
                strace.arg("nsenter");
                if start.place == Place::Snap {
                    rustix::io::fcntl_setfd(&*self.snap.borrow(), rustix::io::FdFlags::empty())
                        .expect("keep a descriptor");
                    strace.arg(format!("--mount=/proc/self/fd/{}", self.snap.borrow().as_raw_fd()));
                }
                strace.arg("--").arg(&path);
                strace
            }
        };
        if start.inject.is_none() {
            command.arg0("snap-update-ns");
        }
        command.args(first.as_deref().map(OsStr::new)).args(start.argv);
        command.env_clear().env("SNAPD_DEBUG", "0").envs(start.env.iter().copied());
        if start.inject.is_some() {
            command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        }
        let (rights, umask, filter) = (start.rights, start.umask, Filter::new(start.refused));
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                let place = std::os::fd::BorrowedFd::borrow_raw(place);
                move_into_link_name_space(place, Some(LinkNameSpaceType::Mount))?;
                rustix::process::chdir("/")?;
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
                filter.install()?;
                if let Some(door) = &door {
                    door.install()?;
                }
                assume(rights)
            });
        }
        command
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for what in self.afterwards.take() {
            what();
        }
        // There nothing is mounted over the group that is to be removed now.
        let _ = enter(&self.host);
    }
}

/// A control group that stands for the root of its tree, in the mount namespace that it was made in and in the copies.
/// It is gone when this is dropped.
pub struct Top {
    above: File,
    name: String,
}

impl Top {
    /// Makes a group below the root of a tree, and mounts it over the root.
    pub fn new(tree: &str) -> io::Result<Top> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let top = Top { above: File::open(tree)?, name: format!("sandbox-{}-{made}", std::process::id()) };
        let group = Path::new(tree).join(&top.name);
        fs::create_dir(&group)?;
        bind(&group, Path::new(tree))?;
        Ok(top)
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        // A group stays busy for a moment when the last of its processes or groups has gone.
        for _ in 0..500 {
            match rustix::fs::unlinkat(&self.above, &self.name, rustix::fs::AtFlags::REMOVEDIR) {
                Err(rustix::io::Errno::BUSY) => thread::sleep(Duration::from_millis(2)),
                _ => return,
            }
        }
    }
}

/// Builds a snap's namespace from the parts of the world, and enters it; to be called in the host's.
fn build_snap(world: &Path, disk_path: &Path) -> io::Result<OwnedFd> {
    let (squash, run, root) = (world.join("image"), world.join("run"), world.join("root"));
    unshare()?;
    tmpfs(&root, "mode=0755")?;
    for name in
        ["dev", "etc", "home", "opt", "proc", "root", "run", "snap", "srv", "sys", "tmp", "usr", "var"]
    {
        fs::create_dir(root.join(name))?;
    }
    symlink("usr/lib", root.join("lib"))?;
    for name in ["opt", "srv", "usr", "var"] {
        bind(&squash.join("base").join(name), &root.join(name))?;
    }
    for name in ["etc", "home", "root", "snap", "tmp", "var/snap", "var/lib/snapd"] {
        bind(&disk_path.join(name), &root.join(name))?;
    }
    for snap in fs::read_dir(squash.join("snaps"))? {
        let snap = snap?.file_name();
        for revision in fs::read_dir(squash.join("snaps").join(&snap))? {
            let path = Path::new(&snap).join(revision?.file_name());
            bind(&squash.join("snaps").join(&path), &root.join("snap").join(&path))?;
        }
    }
    bind(&run, &root.join("run"))?;
    for name in ["dev", "proc", "sys"] {
        rustix::mount::mount_bind_recursive(Path::new("/").join(name), root.join(name))?;
    }
    tmpfs(&root.join("dev/shm"), "mode=01777")?;
    rustix::process::chdir(&root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    this_namespace()
}

/// The device of a path, as the mount table writes it.
fn device(path: &str) -> io::Result<String> {
    let device = fs::metadata(path)?.dev();
    Ok(format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
}

/// Takes on the rights with which a program starts; called between fork and exec.
fn assume(rights: Rights) -> io::Result<()> {
    let three = CapabilitySet::SYS_ADMIN | CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE;
    let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
    let ambient = match rights {
        Rights::Root => return Ok(()),
        Rights::SetUid => {
            set_thread_groups(&[group])?;
            set_thread_res_gid(group, Gid::ROOT, Gid::ROOT)?;
            set_thread_res_uid(user, Uid::ROOT, Uid::ROOT)?;
            return Ok(());
        }
        Rights::Ambient => three,
        Rights::WithoutChown => three.difference(CapabilitySet::CHOWN),
        Rights::Nothing => CapabilitySet::empty(),
    };
    set_keep_capabilities(true)?;
    set_thread_groups(&[group])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    set_capabilities(None, CapabilitySets { effective: ambient, permitted: ambient, inheritable: ambient })?;
    for one in [CapabilitySet::SYS_ADMIN, CapabilitySet::CHOWN, CapabilitySet::DAC_OVERRIDE] {
        if ambient.contains(one) {
            configure_capability_in_ambient_set(one, true)?;
        }
    }
    Ok(())
}

fn wait(mut child: Child, patience: Duration) -> String {
    let start = Instant::now();
    loop {
        match child.try_wait().expect("wait for the program") {
            Some(status) => {
                return match (status.code(), status.signal()) {
                    (Some(code), _) => code.to_string(),
                    (None, signal) => format!("signal {}", signal.unwrap_or(0)),
                };
            }
            None if start.elapsed() > patience => {
                child.kill().and_then(|()| child.wait()).expect("end the program");
                return "hung".to_string();
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// The fresh directories on the disk, as a host has them.
fn furnish(disk: &Path) -> io::Result<()> {
    for (path, mode) in [
        ("etc/sub", 0o755),
        ("etc/foo.d", 0o755),
        ("home/user", 0o755),
        ("root", 0o700),
        ("snap/acorn/1", 0o755),
        ("snap/acorn/2", 0o755),
        ("snap/birch/1", 0o755),
        ("snap/birch/2", 0o755),
        ("snap/maple", 0o755),
        ("snap/maple_blue/7", 0o755),
        ("tmp", 0o1777),
        ("var/lib/snapd/hostfs", 0o755),
        ("var/lib/snapd/mount", 0o755),
        ("var/snap/acorn/common", 0o755),
        ("var/snap/birch/common/shared", 0o755),
        ("var/snap/maple", 0o755),
        ("var/snap/maple_blue/common", 0o755),
    ] {
        fs::create_dir_all(disk.join(path))?;
        fs::set_permissions(disk.join(path), Permissions::from_mode(mode))?;
    }
    chown(disk.join("home/user"), Some(USER), Some(USER))?;
    for name in ["a", "b", "c", "d", "e"] {
        let dir = disk.join("var/snap/acorn/common").join(name);
        fs::create_dir(&dir)?;
        fs::write(dir.join("v"), format!("common {name}"))?;
    }
    fs::write(disk.join("var/snap/acorn/common/conf"), "common conf")?;
    fs::write(disk.join("var/snap/birch/common/shared/v"), "birch shared")?;
    fs::write(disk.join("var/snap/maple_blue/common/v"), "maple blue common")?;
    fs::write(disk.join("etc/hosts"), "localhost")?;
    fs::write(disk.join("etc/sub/v"), "etc sub")?;
    for (snap, revision) in [("acorn", "1"), ("birch", "1"), ("maple_blue", "7")] {
        symlink(revision, disk.join("snap").join(snap).join("current"))?;
    }
    Ok(())
}

/// Keeps this thread, and what it starts, on one CPU. Linux 6.18 numbers mount namespaces in batches for each CPU,
/// and refuses to bind a namespace whose number is lower than that of the one in which it is bound.
pub fn stay_on_this_cpu() -> io::Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(rustix::thread::sched_getcpu());
    Ok(rustix::thread::sched_setaffinity(None, &cpus)?)
}

/// Lets this thread, and what it starts, run on any CPU again.
pub fn leave_this_cpu() -> io::Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    (0..rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| cpus.set(cpu));
    Ok(rustix::thread::sched_setaffinity(None, &cpus)?)
}

/// A mount namespace of this thread's own, from which nothing propagates.
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
    use std::os::fd::AsFd;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(rustix::process::chdir("/")?)
}

fn tmpfs(at: &Path, data: &str) -> io::Result<()> {
    let data = std::ffi::CString::new(data)?;
    Ok(rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::empty(), data.as_c_str())?)
}

fn bind(from: &Path, at: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_bind(from, at)?)
}

/// Mounts the image through mount(8), which finds a loop device and lets it go with the mount.
fn loop_mount(image: &Path, at: &Path) -> io::Result<()> {
    let done = Command::new("mount").args(["-t", "squashfs", "-o", "ro,loop"]).arg(image).arg(at).output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned())),
    }
}
