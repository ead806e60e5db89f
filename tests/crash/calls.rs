// SPDX-License-Identifier: GPL-3.0-only
//! System calls by name: which of them change anything, and with which errors each can fail.

use std::fs;
use std::io::Read;
use std::io::{Seek, SeekFrom};

use nix::errno::Errno::{self, *};
use nix::libc::{self, user_regs_struct};
use nix::unistd::Pid;

/// A call where it begins.
#[derive(Clone, Debug)]
pub struct Call {
    pub number: i64,
    pub name: String,
    /// What of its arguments can be told.
    pub about: String,
    flags: u64,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}({})", self.name, self.about)
    }
}

/// How an argument is told.
#[derive(Clone, Copy)]
enum As {
    Path,
    Fd,
    Hex,
    Number,
    /// Bytes; the next argument says how many.
    Bytes,
}
use As::{Bytes, Fd, Hex, Number, Path};

const ON_FILES: &[Errno] = &[EIO, ENOMEM, EACCES, ENOENT, ELOOP];
const ON_NAMES: &[Errno] = &[EIO, ENOMEM, ENOSPC, EPERM, EACCES, EROFS, ENOENT, ELOOP];
const ON_REMOVAL: &[Errno] = &[EIO, ENOMEM, EBUSY, EPERM, EACCES, EROFS, ENOENT, ELOOP];
const ON_OPENING: &[Errno] = &[EIO, ENOMEM, EACCES, EPERM, ENOENT, ELOOP, EMFILE, EINTR];
const ON_MAKING: &[Errno] = &[EIO, ENOMEM, ENOSPC, EACCES, EPERM, EROFS, ENOENT, ELOOP, EMFILE, EINTR];
const ON_MOUNTING: &[Errno] = &[EIO, ENOMEM, ENOSPC, EBUSY, EPERM, EACCES, EINVAL, EROFS, ENOENT, ELOOP];
const ON_UNMOUNTING: &[Errno] = &[ENOMEM, EBUSY, EPERM, EACCES, EINVAL, ENOENT, ELOOP];
const ON_OWNERS: &[Errno] = &[EIO, ENOMEM, EPERM, EROFS];
const NONE: &[Errno] = &[];

/// What is known of the calls that the program makes: number, name, arguments, and errors that the kernel can really
/// give for it.
const KNOWN: &[(i64, &str, &[As], &[Errno])] = &[
    (libc::SYS_read, "read", &[Fd], &[EIO, ENOMEM, EINTR]),
    (libc::SYS_pread64, "pread64", &[Fd], &[EIO, ENOMEM, EINTR]),
    (libc::SYS_write, "write", &[Fd, Bytes], &[EIO, ENOMEM, ENOSPC, EPERM, EINTR]),
    (libc::SYS_writev, "writev", &[Fd], &[EIO, ENOMEM, ENOSPC, EPERM, EINTR]),
    (libc::SYS_open, "open", &[Path, Hex], ON_OPENING),
    (libc::SYS_openat, "openat", &[Fd, Path, Hex], ON_OPENING),
    (libc::SYS_openat2, "openat2", &[Fd, Path], ON_OPENING),
    (libc::SYS_close, "close", &[Fd], &[EIO, EINTR]),
    (libc::SYS_stat, "stat", &[Path], ON_FILES),
    (libc::SYS_lstat, "lstat", &[Path], ON_FILES),
    (libc::SYS_fstat, "fstat", &[Fd], &[EIO, ENOMEM]),
    (libc::SYS_newfstatat, "newfstatat", &[Fd, Path], ON_FILES),
    (libc::SYS_statx, "statx", &[Fd, Path], ON_FILES),
    (libc::SYS_statfs, "statfs", &[Path], ON_FILES),
    (libc::SYS_fstatfs, "fstatfs", &[Fd], &[EIO, ENOMEM]),
    (libc::SYS_lseek, "lseek", &[Fd, Number], NONE),
    (libc::SYS_getdents64, "getdents64", &[Fd], &[EIO, ENOMEM, ENOENT]),
    (libc::SYS_readlink, "readlink", &[Path], &[EIO, ENOMEM, EACCES, EINVAL, ENOENT, ELOOP]),
    (libc::SYS_readlinkat, "readlinkat", &[Fd, Path], &[EIO, ENOMEM, EACCES, EINVAL, ENOENT, ELOOP]),
    (libc::SYS_mount, "mount", &[Path, Path, Path, Hex, Path], ON_MOUNTING),
    (libc::SYS_umount2, "umount2", &[Path, Hex], ON_UNMOUNTING),
    (
        libc::SYS_mount_setattr,
        "mount_setattr",
        &[Fd, Path, Hex],
        &[ENOMEM, EBUSY, EPERM, EACCES, EINVAL, ENOENT],
    ),
    (libc::SYS_open_tree, "open_tree", &[Fd, Path, Hex], &[ENOMEM, ENOSPC, EPERM, EINVAL, ENOENT, EMFILE]),
    (libc::SYS_move_mount, "move_mount", &[Fd, Path, Fd, Path, Hex], ON_MOUNTING),
    (libc::SYS_fsopen, "fsopen", &[Path], &[ENOMEM, EPERM, EMFILE]),
    (libc::SYS_fsconfig, "fsconfig", &[Fd, Number, Path, Path], &[ENOMEM, EPERM, EINVAL, EBUSY]),
    (libc::SYS_fsmount, "fsmount", &[Fd], &[ENOMEM, EPERM, EINVAL, EMFILE]),
    (libc::SYS_mkdir, "mkdir", &[Path, Hex], ON_NAMES),
    (libc::SYS_mkdirat, "mkdirat", &[Fd, Path, Hex], ON_NAMES),
    (libc::SYS_rmdir, "rmdir", &[Path], ON_REMOVAL),
    (libc::SYS_unlink, "unlink", &[Path], ON_REMOVAL),
    (libc::SYS_unlinkat, "unlinkat", &[Fd, Path, Hex], ON_REMOVAL),
    (libc::SYS_symlinkat, "symlinkat", &[Path, Fd, Path], ON_NAMES),
    (libc::SYS_linkat, "linkat", &[Fd, Path, Fd, Path], ON_NAMES),
    (libc::SYS_mknodat, "mknodat", &[Fd, Path, Hex], ON_NAMES),
    (libc::SYS_rename, "rename", &[Path, Path], ON_NAMES),
    (
        libc::SYS_renameat,
        "renameat",
        &[Fd, Path, Fd, Path],
        &[EIO, ENOMEM, ENOSPC, EBUSY, EPERM, EACCES, EROFS, ENOENT],
    ),
    (
        libc::SYS_renameat2,
        "renameat2",
        &[Fd, Path, Fd, Path],
        &[EIO, ENOMEM, ENOSPC, EBUSY, EPERM, EACCES, EROFS, ENOENT],
    ),
    (libc::SYS_chmod, "chmod", &[Path, Hex], ON_OWNERS),
    (libc::SYS_fchmod, "fchmod", &[Fd, Hex], ON_OWNERS),
    (libc::SYS_fchmodat, "fchmodat", &[Fd, Path, Hex], ON_OWNERS),
    (libc::SYS_chown, "chown", &[Path, Number, Number], ON_OWNERS),
    (libc::SYS_fchown, "fchown", &[Fd, Number, Number], ON_OWNERS),
    (libc::SYS_fchownat, "fchownat", &[Fd, Path, Number, Number], ON_OWNERS),
    (libc::SYS_ftruncate, "ftruncate", &[Fd, Number], &[EIO, EPERM, EINTR]),
    (libc::SYS_fsync, "fsync", &[Fd], &[EIO, ENOSPC, EINVAL, EROFS]),
    (libc::SYS_fdatasync, "fdatasync", &[Fd], &[EIO, ENOSPC, EINVAL, EROFS]),
    (libc::SYS_flock, "flock", &[Fd, Number], &[ENOMEM, EINTR]),
    (457, "statmount", &[], &[ENOMEM, EPERM, EINVAL, ENOENT]),
    (libc::SYS_setns, "setns", &[Fd, Hex], &[ENOMEM, EPERM, EINVAL]),
    (libc::SYS_unshare, "unshare", &[Hex], &[ENOMEM, ENOSPC, EPERM]),
    (libc::SYS_ioctl, "ioctl", &[Fd, Hex], &[EINVAL, EPERM]),
    (libc::SYS_fcntl, "fcntl", &[Fd, Number, Number], &[EMFILE, EINVAL]),
    (libc::SYS_dup, "dup", &[Fd], &[EMFILE]),
    (libc::SYS_pipe, "pipe", &[], &[ENOMEM, EMFILE]),
    (libc::SYS_pipe2, "pipe2", &[], &[ENOMEM, EMFILE]),
    (libc::SYS_poll, "poll", &[], &[ENOMEM, EINVAL, EINTR]),
    (libc::SYS_ppoll, "ppoll", &[], &[ENOMEM, EINVAL, EINTR]),
    (libc::SYS_fork, "fork", &[], &[ENOMEM, EAGAIN]),
    (libc::SYS_vfork, "vfork", &[], &[ENOMEM, EAGAIN]),
    (libc::SYS_clone, "clone", &[Hex], &[ENOMEM, EAGAIN, EPERM]),
    (libc::SYS_clone3, "clone3", &[], &[ENOMEM, EAGAIN, EPERM]),
    (libc::SYS_wait4, "wait4", &[Number], &[EINTR]),
    (libc::SYS_waitid, "waitid", &[Number], &[EINTR]),
    (libc::SYS_kill, "kill", &[Number, Number], &[EPERM]),
    (libc::SYS_capget, "capget", &[], &[EPERM, EINVAL]),
    (libc::SYS_capset, "capset", &[], &[EPERM, EINVAL]),
    (libc::SYS_setgroups, "setgroups", &[Number], &[ENOMEM, EPERM]),
    (libc::SYS_setuid, "setuid", &[Number], &[EAGAIN, EPERM]),
    (libc::SYS_setgid, "setgid", &[Number], &[EPERM]),
    (libc::SYS_setresuid, "setresuid", &[Number, Number, Number], &[EAGAIN, EPERM]),
    (libc::SYS_setresgid, "setresgid", &[Number, Number, Number], &[EPERM]),
    (libc::SYS_setfsuid, "setfsuid", &[Number], NONE),
    (libc::SYS_setfsgid, "setfsgid", &[Number], NONE),
    (libc::SYS_prctl, "prctl", &[Number, Number], &[EPERM, EINVAL]),
    (libc::SYS_prlimit64, "prlimit64", &[Number, Number], &[EPERM]),
    (libc::SYS_getrlimit, "getrlimit", &[Number], NONE),
    (libc::SYS_setrlimit, "setrlimit", &[Number], &[EPERM]),
    (libc::SYS_nanosleep, "nanosleep", &[], &[EINTR]),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", &[], &[EINTR]),
    (libc::SYS_rt_sigaction, "rt_sigaction", &[Number], NONE),
    (libc::SYS_rt_sigprocmask, "rt_sigprocmask", &[Number], NONE),
    (libc::SYS_arch_prctl, "arch_prctl", &[Hex], NONE),
    (libc::SYS_set_tid_address, "set_tid_address", &[], NONE),
    (libc::SYS_set_robust_list, "set_robust_list", &[], NONE),
    (libc::SYS_gettid, "gettid", &[], NONE),
    (libc::SYS_getpid, "getpid", &[], NONE),
    (libc::SYS_getppid, "getppid", &[], NONE),
    (libc::SYS_getuid, "getuid", &[], NONE),
    (libc::SYS_geteuid, "geteuid", &[], NONE),
    (libc::SYS_getgid, "getgid", &[], NONE),
    (libc::SYS_getegid, "getegid", &[], NONE),
    (libc::SYS_umask, "umask", &[Hex], NONE),
    (libc::SYS_clock_gettime, "clock_gettime", &[Number], NONE),
    (libc::SYS_brk, "brk", &[Hex], NONE),
    (libc::SYS_mmap, "mmap", &[], NONE),
    (libc::SYS_munmap, "munmap", &[], NONE),
    (libc::SYS_mprotect, "mprotect", &[], NONE),
    (libc::SYS_exit, "exit", &[Number], NONE),
    (libc::SYS_exit_group, "exit_group", &[Number], NONE),
];

/// Calls after which the world may be another.
const DEEDS: &[&str] = &[
    "write",
    "writev",
    "mount",
    "umount2",
    "mount_setattr",
    "move_mount",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "symlinkat",
    "linkat",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "ftruncate",
    "flock",
    "setns",
    "fork",
    "vfork",
    "clone",
    "clone3",
    "kill",
    "exit_group",
];

const CREATES: u64 = libc::O_CREAT as u64;

impl Call {
    /// What a stopped process is about to ask for.
    pub fn read(pid: Pid, regs: &user_regs_struct) -> Call {
        let number = regs.orig_rax.cast_signed();
        let arguments = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
        let known = KNOWN.iter().find(|known| known.0 == number);
        let told = known.map_or(&[][..], |known| known.2);
        let about: Vec<String> = told
            .iter()
            .zip(arguments)
            .enumerate()
            .map(|(at, (how, value))| tell(pid, *how, value, arguments.get(at + 1).copied().unwrap_or(0)))
            .collect();
        let flags = match number {
            libc::SYS_open => arguments[1],
            libc::SYS_openat => arguments[2],
            // The structure that the third argument points to begins with them.
            libc::SYS_openat2 => memory(pid, arguments[2], 8)
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_ne_bytes),
            _ => 0,
        };
        Call {
            number,
            name: known.map_or_else(|| format!("call {number}"), |known| known.1.to_string()),
            about: about.join(", "),
            flags,
        }
    }

    /// Whether the world may be another after it.
    pub fn is_deed(&self) -> bool {
        DEEDS.contains(&self.name.as_str()) || self.flags & CREATES != 0
    }

    /// Errors that the kernel can really give.
    pub fn errors(&self) -> &'static [Errno] {
        match KNOWN.iter().find(|known| known.0 == self.number) {
            Some(_) if self.flags & CREATES != 0 => ON_MAKING,
            // What is no file of a file system has no space to run out of, and asks nobody's leave.
            Some(_) if self.is_write() && self.about.starts_with("pipe:") => &[EINTR],
            Some(_) if self.is_write() && self.about.starts_with("/sys/") => &[ENOMEM, EINTR],
            Some(known) => known.3,
            None => &[ENOMEM, EPERM, EINVAL],
        }
    }

    /// Whether an error says that something is not there, or is something else, that is there: a call that succeeds
    /// when nobody disturbs it gives this only when somebody else takes the thing away. What `forever` is a mount point for
    /// unlinkat(2) has something mounted on it.
    pub fn would_lie(&self, errno: Errno, forever: bool) -> bool {
        match errno {
            ENOENT | ELOOP => true,
            EBUSY => forever && self.name == "unlinkat",
            EINVAL => ["umount2", "readlink", "readlinkat", "setns"].contains(&self.name.as_str()),
            _ => false,
        }
    }

    fn is_write(&self) -> bool {
        self.name == "write" || self.name == "writev"
    }

    /// Whether it is on the list above.
    pub fn is_known(&self) -> bool {
        KNOWN.iter().any(|known| known.0 == self.number)
    }
}

fn tell(pid: Pid, how: As, value: u64, next: u64) -> String {
    match how {
        Hex => format!("{value:#x}"),
        Number => value.cast_signed().to_string(),
        Path if value == 0 => "-".to_string(),
        Path => path(pid, value),
        Fd if value as i32 == libc::AT_FDCWD => ".".to_string(),
        Fd => fs::read_link(format!("/proc/{pid}/fd/{value}"))
            .map_or_else(|_| value.to_string(), |path| path.display().to_string()),
        Bytes => {
            let bytes = memory(pid, value, next.min(32) as usize).unwrap_or_default();
            format!("{:?}", String::from_utf8_lossy(&bytes))
        }
    }
}

/// A path; what a descriptor's name leads to is told as well.
fn path(pid: Pid, at: u64) -> String {
    let text = memory(pid, at, 256).unwrap_or_default();
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text).into_owned();
    match text.strip_prefix("/proc/self/fd/") {
        Some(fd) => {
            let (fd, rest) = fd.split_once('/').map_or((fd, ""), |(fd, rest)| (fd, rest));
            let to = fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap_or_default();
            format!("{:?}", to.join(rest).display().to_string().trim_end_matches('/'))
        }
        None => format!("{text:?}"),
    }
}

/// As much as there is of the memory at an address, up to a length.
fn memory(pid: Pid, at: u64, len: usize) -> Option<Vec<u8>> {
    let mut file = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = vec![0; len];
    let got = file.read(&mut bytes).ok()?;
    bytes.truncate(got);
    Some(bytes)
}
