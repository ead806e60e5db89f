// SPDX-License-Identifier: GPL-3.0-only
//! The process itself: identity, capabilities, namespaces, signals, locks, waiting, time, environment.
//!
//! The program has one thread. Identity is changed by the bare system calls: the C library's functions also
//! change the other threads, of which there are none. On 32-bit Arm they are the calls with 32-bit ids.

use super::{ANY, Fd, Result, call, done, word};
use core::ffi::{CStr, c_char, c_int, c_long};
use core::mem::ManuallyDrop;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

#[cfg(not(target_arch = "arm"))]
use libc::{
    SYS_geteuid as SYS_GETEUID, SYS_getgid as SYS_GETGID, SYS_getuid as SYS_GETUID,
    SYS_setgroups as SYS_SETGROUPS, SYS_setresgid as SYS_SETRESGID, SYS_setresuid as SYS_SETRESUID,
};
#[cfg(target_arch = "arm")]
use libc::{
    SYS_geteuid32 as SYS_GETEUID, SYS_getgid32 as SYS_GETGID, SYS_getuid32 as SYS_GETUID,
    SYS_setgroups32 as SYS_SETGROUPS, SYS_setresgid32 as SYS_SETRESGID, SYS_setresuid32 as SYS_SETRESUID,
};

/// A call with no arguments, or with two that are 0, which cannot fail.
#[inline(never)]
fn simple(number: c_long) -> u32 {
    // SAFETY: the callers name calls that are passed no memory.
    unsafe { call(number, 0, 0, ANY, ANY, ANY) }.unwrap_or_default()
}

/// getuid(2): who started us.
pub fn real_uid() -> u32 {
    simple(SYS_GETUID)
}

/// geteuid(2): whose rights we have.
pub fn effective_uid() -> u32 {
    simple(SYS_GETEUID)
}

/// getgid(2)
pub fn real_gid() -> u32 {
    simple(SYS_GETGID)
}

/// setgroups(2): the only supplementary group is `gid` from here on.
pub fn set_only_group(gid: u32) -> Result<()> {
    // SAFETY: one group is announced and one is there.
    unsafe { done(SYS_SETGROUPS, 1, &raw const gid as usize, ANY, ANY, ANY) }
}

/// setresgid(2): real, effective and saved group.
pub fn set_gid(gid: u32) -> Result<()> {
    let id = gid as usize;
    // SAFETY: no memory is passed.
    unsafe { done(SYS_SETRESGID, id, id, word(id), ANY, ANY) }
}

/// setresuid(2): real, effective and saved user.
pub fn set_uid(uid: u32) -> Result<()> {
    let id = uid as usize;
    // SAFETY: no memory is passed.
    unsafe { done(SYS_SETRESUID, id, id, word(id), ANY, ANY) }
}

/// A set of capabilities, one bit each, of the first 32; capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// No capability.
    pub const NONE: Capabilities = Capabilities(0);
    /// `CAP_CHOWN`: give files away.
    pub const CHOWN: Capabilities = Capabilities(1 << 0);
    /// `CAP_DAC_OVERRIDE`: pass permission bits.
    pub const DAC_OVERRIDE: Capabilities = Capabilities(1 << 1);
    /// `CAP_SETGID`: change groups.
    pub const SETGID: Capabilities = Capabilities(1 << 6);
    /// `CAP_SETUID`: change user.
    pub const SETUID: Capabilities = Capabilities(1 << 7);
    /// `CAP_SYS_ADMIN`: mount.
    pub const SYS_ADMIN: Capabilities = Capabilities(1 << 21);

    /// Both sets together.
    pub const fn and(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }
}

/// `struct __user_cap_header_struct`
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

impl CapabilityHeader {
    /// `_LINUX_CAPABILITY_VERSION_3`, this process. The kernel writes the version back, so it is made anew.
    const fn ours() -> Self {
        CapabilityHeader { version: 0x2008_0522, pid: 0 }
    }
}

/// Two of `struct __user_cap_data_struct`: effective, permitted and inheritable ones, the low 32 bits and then the high ones.
type CapabilityData = [u32; 6];

/// capget(2): the effective capabilities.
pub fn effective_capabilities() -> Result<Capabilities> {
    let mut header = CapabilityHeader::ours();
    let mut data: CapabilityData = [0; 6];
    // SAFETY: version 3 writes two records, and there is room for two.
    unsafe { done(libc::SYS_capget, &raw mut header as usize, data.as_mut_ptr() as usize, ANY, ANY, ANY) }?;
    let [effective, ..] = data;
    Ok(Capabilities(effective))
}

/// capset(2): effective and permitted become `set`; nothing stays inheritable, and so nothing ambient.
pub fn set_capabilities(set: Capabilities) -> Result<()> {
    let mut header = CapabilityHeader::ours();
    let data: CapabilityData = [set.0, set.0, 0, 0, 0, 0];
    // SAFETY: version 3 reads two records, and two are there.
    unsafe { done(libc::SYS_capset, &raw mut header as usize, data.as_ptr() as usize, ANY, ANY, ANY) }
}

/// prctl(2), `PR_SET_KEEPCAPS`: permitted capabilities survive the change from root to another user.
pub fn keep_capabilities() -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { done(libc::SYS_prctl, libc::PR_SET_KEEPCAPS as usize, 1, ANY, ANY, ANY) }
}

/// setns(2) into a mount namespace. Root and working directory become the namespace's root.
pub fn join_mount_namespace(file: &Fd) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { done(libc::SYS_setns, file.raw(), libc::CLONE_NEWNS as usize, ANY, ANY, ANY) }
}

/// umask(2) of 0: files get exactly the mode that is asked for.
pub fn clear_umask() {
    simple(libc::SYS_umask);
}

/// flock(2), exclusive: waits for as long as it takes, or not at all; `EAGAIN` when somebody else holds it then.
pub fn lock(file: &Fd, wait: bool) -> Result<()> {
    let how = if wait { libc::LOCK_EX } else { libc::LOCK_EX | libc::LOCK_NB };
    // SAFETY: no memory is passed.
    unsafe { done(libc::SYS_flock, file.raw(), how as usize, ANY, ANY, ANY) }
}

/// The kernel's set of signals: signal N is bit N - 1, on every machine of ours.
type Signals = u64;

/// rt_sigprocmask(2), the bare system call: holds back these signals for good. It cannot fail.
fn hold(set: Signals) {
    let (how, new) = (libc::SIG_BLOCK as usize, &raw const set as usize);
    // SAFETY: the set has the size that is told, and the old one is not asked for.
    let _ = unsafe { done(libc::SYS_rt_sigprocmask, how, new, word(0), word(size_of::<Signals>()), ANY) };
}

/// sigprocmask(2): holds back every signal that can be, which are all but `SIGKILL` and `SIGSTOP`. A program that died with
/// processes frozen and a record half true would be worse than one that does not die: soon it ends by itself, and says by its
/// status what it did. To be called with the lock held and not before, so that a wait for the lock can be ended by hand.
pub fn hold_signals() {
    hold(Signals::MAX);
}

/// sigprocmask(2): holds back `SIGPIPE`, so that a reader of our messages who went away makes a
/// failed write(2) and not a death in the middle of an update.
pub fn hold_broken_pipe() {
    hold(1 << (libc::SIGPIPE - 1));
}

/// ppoll(2) for `POLLPRI` on a file of a control group, for at most `milliseconds`, less than a second. Returns also when there was
/// nothing: the caller reads the file again in any case.
pub fn wait_for_change(file: &Fd, milliseconds: u64) {
    wait(file.raw(), milliseconds);
}

/// ppoll(2) for `POLLPRI` on a file of /proc, without waiting: whether what it tells has changed since it was opened.
pub fn has_changed(file: &Fd) -> bool {
    wait(file.raw(), 0)
}

/// ppoll(2) of nothing: sleeps, for less than a second.
pub fn sleep(milliseconds: u64) {
    wait(NOBODY, milliseconds);
}

/// What fork(2) made of us.
#[derive(Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's number.
    Parent(u32),
}

/// fork(2), by clone(2) without flags but the signal of a child's end.
pub fn fork() -> Result<Fork> {
    // SAFETY: without CLONE_VM the child has memory of its own and returns on a copy of this stack.
    let child = unsafe { call(libc::SYS_clone, libc::SIGCHLD as usize, 0, word(0), word(0), word(0)) }?;
    Ok(if child == 0 { Fork::Child } else { Fork::Parent(child) })
}

/// pipe2(2): the end to read from, and the end to write to. Both are closed on exec.
pub fn pipe() -> Result<(Fd, Fd)> {
    let mut ends: [c_int; 2] = [0; 2];
    // SAFETY: two numbers are written, and there is room for two.
    unsafe { done(libc::SYS_pipe2, ends.as_mut_ptr() as usize, libc::O_CLOEXEC as usize, ANY, ANY, ANY) }?;
    let [read, write] = ends;
    Ok((Fd::own(read as u32), Fd::own(write as u32)))
}

/// wait4(2): until this child has ended.
pub fn wait_for(child: u32) {
    // SAFETY: the status is not asked for. An error means that there is no such child (any more).
    let _ = unsafe { call(libc::SYS_wait4, child as usize, 0, word(0), word(0), ANY) };
}

/// setpgid(2): what is sent to the starter's group of processes no longer reaches this one. It stays in its session: a
/// new one would be scheduled apart from all others (sched(7), autogroups), and may get its turn late.
pub fn leave_group() {
    // It fails only for the leader of a session, which a new process is not.
    simple(libc::SYS_setpgid);
}

/// Closes every descriptor that `keeps` does not name, whoever opened it. For a new process that shall hold on to nothing
/// of its parent's. close_range(2), Linux 5.9, for all behind the last that is kept; elsewhere for as many as a process usually has.
pub fn close_all(keeps: &dyn Fn(&Fd) -> bool) {
    const SYS_CLOSE_RANGE: c_long = 436;
    let mut number = 0;
    let mut kept = 0;
    while number < MOST_FILES {
        let fd = Fd::own(number);
        number += 1;
        if keeps(&fd) {
            core::mem::forget(fd);
            kept = number;
        } else {
            drop(fd);
            if number > kept + NEAR {
                // SAFETY: no memory is passed; nobody uses the numbers behind the kept ones after this.
                let closed =
                    unsafe { call(SYS_CLOSE_RANGE, number as usize, u32::MAX as usize, word(0), ANY, ANY) };
                if closed.is_ok() {
                    return;
                }
            }
        }
    }
}

/// The descriptors that a process closes one by one.
const MOST_FILES: u32 = 8_192;
/// How many descriptors in a row none of which is kept are taken for the end of those that are.
const NEAR: u32 = 64;

/// exit_group(2).
pub fn leave(status: c_int) -> ! {
    loop {
        // SAFETY: it never returns, and nothing of the library has to be ended.
        let _ = unsafe { call(libc::SYS_exit_group, status as usize, 0, ANY, ANY, ANY) };
    }
}

/// A descriptor that poll(2) passes over.
const NOBODY: usize = usize::MAX;

fn wait(fd: usize, milliseconds: u64) -> bool {
    let mut poll = libc::pollfd { fd: fd as c_int, events: libc::POLLPRI, revents: 0 };
    // All are shorter than a second.
    let mut time: Time = [0, milliseconds as c_long * 1_000_000];
    let (poll, time) = (&raw mut poll as usize, &raw mut time as usize);
    // SAFETY: one structure is announced and one is there; the time has the kernel's form; there is no set of
    // signals.
    unsafe { call(libc::SYS_ppoll, poll, 1, word(time), word(0), word(0)) }.is_ok_and(|ready| ready > 0)
}

/// `struct timespec` as these calls have it: seconds and nanoseconds. On 32-bit Arm it lasts for 68 years, from the
/// machine's start.
type Time = [c_long; 2];

/// A moment of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Whole seconds.
    pub seconds: u64,
    /// Nanoseconds in the second.
    pub nanoseconds: u32,
}

impl Moment {
    /// Milliseconds from the clock's start.
    pub fn milliseconds(self) -> u64 {
        self.seconds * 1_000 + u64::from(self.nanoseconds / 1_000_000)
    }
}

/// clock_gettime(2), `CLOCK_MONOTONIC`: never set, starts with the machine. It cannot fail.
pub fn uptime() -> Moment {
    let mut time: Time = [0; 2];
    // SAFETY: the structure has the kernel's form.
    let _ = unsafe {
        call(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC as usize, &raw mut time as usize, ANY, ANY, ANY)
    };
    let [seconds, nanoseconds] = time;
    Moment { seconds: seconds as u64, nanoseconds: nanoseconds as u32 }
}

/// `struct rlimit64`, the same on every machine.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ResourceLimit {
    soft: u64,
    hard: u64,
}

/// prlimit(2): as many open files as the hard limit allows. A refusal changes nothing and is not told.
pub fn raise_open_files() {
    const OPEN_FILES: usize = libc::RLIMIT_NOFILE as usize;
    let mut limit = ResourceLimit::default();
    let place = &raw mut limit as usize;
    // SAFETY: no new limit is given, and there is room for the old one.
    if unsafe { done(libc::SYS_prlimit64, 0, OPEN_FILES, word(0), word(place), ANY) }.is_ok() {
        limit.soft = limit.hard;
        // SAFETY: the new limit is there, and the old one is not asked for.
        let _ = unsafe {
            done(libc::SYS_prlimit64, 0, OPEN_FILES, word(&raw const limit as usize), word(0), ANY)
        };
    }
}

/// The variables of the environment that are looked at. There is no way to ask for another: the environment
/// belongs to whoever started us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `SNAPD_DEBUG`: debug messages, please.
    Debug,
    /// `SNAP_REAL_HOME`: the user's home directory; only believed in user mode.
    RealHome,
}

impl Variable {
    /// Its name with the equals sign.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Variable::Debug => b"SNAPD_DEBUG=",
            Variable::RealHome => b"SNAP_REAL_HOME=",
        }
    }
}

/// environ(7): a NULL-terminated array of strings; NULL while nobody has told where it is.
static ENVIRONMENT: AtomicPtr<*const c_char> = AtomicPtr::new(null_mut());

/// Tells where the environment is.
///
/// # Safety
///
/// It is an array of strings that ends in NULL; all last for the life of the process, and nobody changes them.
pub unsafe fn set_environment(strings: *const *const c_char) {
    ENVIRONMENT.store(strings.cast_mut(), Ordering::Relaxed);
}

/// The value of a variable, of the first where it is there twice. Strings without an equals sign, empty ones
/// too, are passed over.
pub fn variable(which: Variable) -> Option<&'static [u8]> {
    let mut place = ENVIRONMENT.load(Ordering::Relaxed);
    if place.is_null() {
        return None;
    }
    loop {
        // SAFETY: the array ends with NULL, and we stop there.
        let string = unsafe { *place };
        if string.is_null() {
            return None;
        }
        let prefix = which.prefix();
        // SAFETY: every string of the environment ends in NUL, which is in no prefix: nothing behind it is looked at.
        if prefix.iter().zip(0..).all(|(byte, at)| *byte == unsafe { *string.add(at) } as u8) {
            // SAFETY: it has this prefix, ends in NUL and stays for the life of the process.
            return Some(unsafe { CStr::from_ptr(string.add(prefix.len())) }.to_bytes());
        }
        // SAFETY: this element was not the NULL at the end, so there is one behind it.
        place = unsafe { place.add(1) };
    }
}

/// The two streams that are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl Stream {
    /// Its descriptor, which stays open.
    pub fn fd(self) -> ManuallyDrop<Fd> {
        ManuallyDrop::new(Fd::own(match self {
            Stream::Output => libc::STDOUT_FILENO as u32,
            Stream::Error => libc::STDERR_FILENO as u32,
        }))
    }
}
