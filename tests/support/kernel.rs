// SPDX-License-Identifier: GPL-3.0-only
//! An older kernel, by what it lacks: every start of a program gets a seccomp(2) filter that hands the calls which came
//! after Linux 4.4 to a thread of the tests. It answers those that the asked-for version does not have, and flags of
//! calls that it does not know, as that version would, and lets the others through. What ours asked for is noted, and
//! `scripts/kernels` makes the table of `docs/kernel-features.md` from it.
//!
//! Three things that no filter can see in the arguments of a call are done by the thread: what statx(2) tells (it makes
//! the call itself and hands on what the older kernel knew), and whether the directory that a mount is to be attached to
//! lies in a mount that is not attached itself. What is not answered, because no call asks for it: the files of control
//! groups (`cgroup.freeze`, Linux 5.2).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags, openat};

use super::program::target;

/// A version of Linux, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    /// The version that `SNAP_UPDATE_NS_KERNEL` asks for: `5.15`, or `today` for what the machine has.
    pub fn asked() -> Option<Version> {
        let text = std::env::var("SNAP_UPDATE_NS_KERNEL").ok()?;
        if text == "today" {
            return Some(Version(u32::MAX, 0));
        }
        let (major, minor) = text.split_once('.').expect("SNAP_UPDATE_NS_KERNEL is a version, or today");
        let number = |part: &str| part.parse().expect("a version is two numbers");
        Some(Version(number(major), number(minor)))
    }

    /// Whether the programs run on a kernel that is older than this version, as far as is known.
    pub fn is_to_come(self) -> bool {
        Version::asked().is_some_and(|asked| asked < self)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.0 {
            u32::MAX => f.write_str("today"),
            _ => write!(f, "{}.{}", self.0, self.1),
        }
    }
}

/// Calls that came after Linux 4.4, with the version that brought them (syscalls(2), and the tables of numbers in the
/// kernel's source).
const CALLS: &[(libc::c_long, &str, Version)] = &[
    (libc::SYS_copy_file_range, "copy_file_range(2)", Version(4, 5)),
    (libc::SYS_preadv2, "preadv2(2)", Version(4, 6)),
    (libc::SYS_pwritev2, "pwritev2(2)", Version(4, 6)),
    (libc::SYS_statx, "statx(2)", Version(4, 11)),
    (424, "pidfd_send_signal(2)", Version(5, 1)),
    (425, "io_uring_setup(2)", Version(5, 1)),
    (426, "io_uring_enter(2)", Version(5, 1)),
    (427, "io_uring_register(2)", Version(5, 1)),
    (OPEN_TREE, "open_tree(2)", Version(5, 2)),
    (MOVE_MOUNT, "move_mount(2)", Version(5, 2)),
    (430, "fsopen(2)", Version(5, 2)),
    (431, "fsconfig(2)", Version(5, 2)),
    (432, "fsmount(2)", Version(5, 2)),
    (433, "fspick(2)", Version(5, 2)),
    (434, "pidfd_open(2)", Version(5, 3)),
    (435, "clone3(2)", Version(5, 3)),
    (436, "close_range(2)", Version(5, 9)),
    (437, "openat2(2)", Version(5, 6)),
    (438, "pidfd_getfd(2)", Version(5, 6)),
    (439, "faccessat2(2)", Version(5, 8)),
    (440, "process_madvise(2)", Version(5, 10)),
    (441, "epoll_pwait2(2)", Version(5, 11)),
    (442, "mount_setattr(2)", Version(5, 12)),
    (443, "quotactl_fd(2)", Version(5, 14)),
    (444, "landlock_create_ruleset(2)", Version(5, 13)),
    (445, "landlock_add_rule(2)", Version(5, 13)),
    (446, "landlock_restrict_self(2)", Version(5, 13)),
    (447, "memfd_secret(2)", Version(5, 14)),
    (448, "process_mrelease(2)", Version(5, 15)),
    (449, "futex_waitv(2)", Version(5, 16)),
    (450, "set_mempolicy_home_node(2)", Version(5, 17)),
    (451, "cachestat(2)", Version(6, 5)),
    (452, "fchmodat2(2)", Version(6, 6)),
    (453, "map_shadow_stack(2)", Version(6, 6)),
    (454, "futex_wake(2)", Version(6, 7)),
    (455, "futex_wait(2)", Version(6, 7)),
    (456, "futex_requeue(2)", Version(6, 7)),
    (457, "statmount(2)", Version(6, 8)),
    (458, "listmount(2)", Version(6, 8)),
    (459, "lsm_get_self_attr(2)", Version(6, 8)),
    (460, "lsm_set_self_attr(2)", Version(6, 8)),
    (461, "lsm_list_modules(2)", Version(6, 8)),
    (462, "mseal(2)", Version(6, 10)),
    (463, "setxattrat(2)", Version(6, 13)),
    (464, "getxattrat(2)", Version(6, 13)),
    (465, "listxattrat(2)", Version(6, 13)),
    (466, "removexattrat(2)", Version(6, 13)),
    (467, "open_tree_attr(2)", Version(6, 15)),
    (468, "file_getattr(2)", Version(6, 17)),
    (469, "file_setattr(2)", Version(6, 17)),
];

const OPEN_TREE: libc::c_long = 428;
const MOVE_MOUNT: libc::c_long = 429;

const STATX_MNT_ID: u32 = 0x1000;
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
const BENEATH: u64 = 0x200;

/// Something that a kernel has or has not, and what it answers when it has not.
struct Feature {
    name: &'static str,
    since: Version,
    without: Without,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Error(i32),
    /// statx(2) does not tell of mounts.
    NotTold,
}

/// The thread that answers, from one start of a program to the end of it and of what it started.
pub struct Kernel {
    child: UnixStream,
    thread: JoinHandle<()>,
}

/// The child's end.
pub struct Door {
    stream: UnixStream,
    filter: Vec<libc::sock_filter>,
}

impl Kernel {
    /// For the next start of a program; what it asks for is noted, or not.
    pub fn of(version: Version, noted: bool) -> io::Result<Kernel> {
        let (ours, child) = UnixStream::pair()?;
        let thread = thread::spawn(move || {
            // A program that could not be started has asked for nothing.
            let Some(listener) = receive(ours) else { return };
            let mut asked = BTreeSet::new();
            answer_all(&listener, version, &mut asked);
            if noted {
                note(&asked).expect("note what was asked for");
            }
        });
        Ok(Kernel { child, thread })
    }

    /// What the child needs.
    pub fn door(&self) -> io::Result<Door> {
        Ok(Door { stream: self.child.try_clone()?, filter: filter() })
    }

    /// To be called when the program has ended, and nothing holds a door any more.
    pub fn end(self) {
        drop(self.child);
        self.thread.join().expect("the kernel answers all");
    }
}

impl Door {
    /// Installs the filter, for this process and all that come from it; root's to do, between fork and exec.
    pub fn install(&self) -> io::Result<()> {
        let program =
            libc::sock_fprog { len: self.filter.len() as u16, filter: self.filter.as_ptr().cast_mut() };
        let (how, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
        // SAFETY: the kernel copies the program, which outlives the call.
        let listener = unsafe { libc::syscall(libc::SYS_seccomp, how, flags, &raw const program) };
        if listener < 0 {
            return Err(io::Error::last_os_error());
        }
        // The tests take a copy, and only then may it be closed by exec.
        let mut word = [0; 8];
        word[..4].copy_from_slice(&std::process::id().to_ne_bytes());
        word[4..].copy_from_slice(&(listener as i32).to_ne_bytes());
        (&self.stream).write_all(&word)?;
        (&self.stream).read_exact(&mut word[..1])
    }
}

/// Takes a copy of the child's descriptor of the filter.
fn receive(mut stream: UnixStream) -> Option<OwnedFd> {
    let mut word = [0; 8];
    stream.read_exact(&mut word).ok()?;
    let [pid, fd] = [0, 4].map(|at| i32::from_ne_bytes([word[at], word[at + 1], word[at + 2], word[at + 3]]));
    // SAFETY: numbers are passed, and the descriptors that come back are nobody else's.
    let listener = unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        assert!(process >= 0, "pidfd_open: {}", io::Error::last_os_error());
        let process = OwnedFd::from_raw_fd(process);
        let copy = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) as i32;
        assert!(copy >= 0, "pidfd_getfd: {}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(copy)
    };
    stream.write_all(&[1]).ok()?;
    Some(listener)
}

/// Hands every call of the list to the listener. What has the number of no call that is known here is unknown to every
/// version.
fn filter() -> Vec<libc::sock_filter> {
    let step = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let answer = |value| step(libc::BPF_RET | libc::BPF_K, value, 0, 0);
    let is = |value, skip| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, skip);
    // struct seccomp_data begins with the number.
    let mut steps = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for (number, _, _) in CALLS {
        steps.extend([is(*number as u32, 1), answer(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    steps.push(answer(libc::SECCOMP_RET_ALLOW));
    steps
}

/// Answers until nobody is left who could ask.
fn answer_all(listener: &OwnedFd, version: Version, asked: &mut BTreeSet<(&'static str, Version, bool)>) {
    loop {
        let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure is announced, and one is there.
        let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
        if ready > 0 && poll.revents & libc::POLLIN == 0 {
            return;
        }
        // SAFETY: the structure is numbers only, and the kernel wants it zeroed.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure has the size that the kernel fills.
        let got = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
        if got != 0 {
            continue; // whoever asked was killed
        }
        let mut reply = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags: 0 };
        let lacking = features(&call).into_iter().find(|feature| {
            let lacks = feature.since > version;
            asked.insert((feature.name, feature.since, !lacks));
            lacks
        });
        match lacking.map(|feature| feature.without) {
            None => reply.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Some(Without::Error(errno)) => reply.error = -errno,
            Some(Without::NotTold) => reply.error = statx_of_old(&call).map_or_else(|errno| -errno, |()| 0),
        }
        // SAFETY: the structure has the size that the kernel reads. An error means that who asked was killed.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const reply) };
    }
}

/// What a call asks for, the oldest first.
fn features(call: &libc::seccomp_notif) -> Vec<Feature> {
    let (number, arguments) = (libc::c_long::from(call.data.nr), call.data.args);
    let (_, name, since) = CALLS.iter().find(|known| known.0 == number).expect("only these are handed over");
    let mut features = vec![Feature { name, since: *since, without: Without::Error(libc::ENOSYS) }];
    let mut flag = |name, since, without| features.push(Feature { name, since, without });
    match number {
        libc::SYS_statx if arguments[3] as u32 & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE) != 0 => {
            flag("statx(2), `STATX_MNT_ID`, `STATX_ATTR_MOUNT_ROOT`", Version(5, 8), Without::NotTold);
        }
        MOVE_MOUNT if arguments[4] & BENEATH != 0 => {
            flag("move_mount(2), `MOVE_MOUNT_BENEATH`", Version(6, 5), Without::Error(libc::EINVAL));
        }
        MOVE_MOUNT if is_aside(call.pid, arguments[2] as i32) => {
            flag(
                "move_mount(2) into a mount that is not attached",
                Version(6, 15),
                Without::Error(libc::EINVAL),
            );
        }
        _ => {}
    }
    features
}

/// Directories of the machine, opened before any sandbox is built.
struct Machine {
    proc: File,
    notes: Option<File>,
}

fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| Machine {
        proc: File::open("/proc").expect("/proc"),
        notes: Version::asked().map(|version| {
            let place = target().join("kernels").join(version.to_string());
            fs::create_dir_all(&place).and_then(|()| File::open(place)).expect("a place for notes")
        }),
    })
}

/// To be called where the machine's own files are seen.
pub fn prepare() {
    machine();
}

/// Opens a file of /proc about a process.
fn about(pid: u32, name: &str, how: OFlags) -> rustix::io::Result<File> {
    Ok(openat(&machine().proc, format!("{pid}/{name}"), how | OFlags::CLOEXEC, Mode::empty())?.into())
}

fn text_about(pid: u32, name: &str) -> io::Result<String> {
    let mut text = String::new();
    about(pid, name, OFlags::RDONLY)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a descriptor lies in a mount that the process's namespace does not have.
fn is_aside(pid: u32, fd: i32) -> bool {
    let Ok(info) = text_about(pid, &format!("fdinfo/{fd}")) else { return false };
    let Some(mount) = info.lines().find_map(|line| line.strip_prefix("mnt_id:")) else { return false };
    let Ok(table) = text_about(pid, "mountinfo") else { return false };
    !table.lines().any(|line| line.split(' ').next() == Some(mount.trim()))
}

/// Makes the call for the one who asked, and hands on what was told before there was anything about mounts. The error
/// number, where there is one.
fn statx_of_old(call: &libc::seccomp_notif) -> Result<(), i32> {
    let [dir, path, flags, mask, place, _] = call.data.args;
    let memory = about(call.pid, "mem", OFlags::RDWR).map_err(|_| libc::ESRCH)?;
    let mut name = vec![0; libc::PATH_MAX as usize];
    let got = memory.read_at(&mut name, path).map_err(|_| libc::EFAULT)?;
    name.truncate(got);
    let end = name.iter().position(|byte| *byte == 0).ok_or(libc::ENAMETOOLONG)?;
    name.truncate(end + 1);
    let from = match (name[0], dir as i32) {
        (b'/', _) => "root".to_string(),
        (_, libc::AT_FDCWD) => "cwd".to_string(),
        (_, fd) => format!("fd/{fd}"),
    };
    let from = about(call.pid, &from, OFlags::PATH).map_err(|why| match why {
        rustix::io::Errno::NOENT => libc::EBADF,
        why => why.raw_os_error(),
    })?;
    let mut answer = [0_u64; 32];
    // The root of the process: no absolute link leads out of it in these tests.
    let relative = name.iter().position(|byte| *byte != b'/').unwrap_or(end).min(end);
    // SAFETY: the path ends in NUL, the answer has the size that the kernel fills, and both outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_statx,
            from.as_raw_fd(),
            name[relative..].as_ptr(),
            flags as i32 | libc::AT_EMPTY_PATH,
            mask as u32 & !STATX_MNT_ID,
            answer.as_mut_ptr(),
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO));
    }
    let mut bytes: Vec<u8> = answer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    // The mask of what is told is the first number, in four bytes.
    let told = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & !STATX_MNT_ID;
    bytes[..4].copy_from_slice(&told.to_ne_bytes());
    // The attributes, and which of them can be told.
    for at in [8, 56] {
        bytes[at..at + 8].copy_from_slice(&(answer[at / 8] & !STATX_ATTR_MOUNT_ROOT).to_ne_bytes());
    }
    bytes[144..152].fill(0); // the mount's number
    memory.write_all_at(&bytes, place).map_err(|_| libc::EFAULT)
}

/// One file for each thing that was asked for: its version, its name, and whether it was there.
fn note(asked: &BTreeSet<(&'static str, Version, bool)>) -> io::Result<()> {
    let place = machine().notes.as_ref().expect("a version is asked for");
    for (name, since, had) in asked {
        let word = if *had { "used" } else { "refused" };
        let file: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let (how, mode) = (OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC, Mode::from_raw_mode(0o644));
        let mut file = File::from(openat(place, format!("{file}.{word}"), how | OFlags::CLOEXEC, mode)?);
        file.write_all(format!("{since}\t{name}\t{word}\n").as_bytes())?;
    }
    Ok(())
}
