// SPDX-License-Identifier: GPL-3.0-only
//! The process itself: identity, capabilities, namespaces, signals, locks, waiting, time, environment.
//!
//! The program has one thread. Identity is changed by the bare system calls: the C library's functions also
//! change the other threads, of which there are none. On 32-bit Arm they are the calls with 32-bit ids.

use super::{Errno, Fd, Result, check, check_long};
use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong};
use core::mem::MaybeUninit;

#[cfg(not(target_arch = "arm"))]
use libc::{SYS_setgroups as SYS_SETGROUPS, SYS_setresgid as SYS_SETRESGID, SYS_setresuid as SYS_SETRESUID};
#[cfg(target_arch = "arm")]
use libc::{
    SYS_setgroups32 as SYS_SETGROUPS, SYS_setresgid32 as SYS_SETRESGID, SYS_setresuid32 as SYS_SETRESUID,
};

/// getuid(2): who started us.
pub fn real_uid() -> u32 {
    // SAFETY: no memory is passed; the call cannot fail.
    unsafe { libc::getuid() }
}

/// geteuid(2): whose rights we have.
pub fn effective_uid() -> u32 {
    // SAFETY: no memory is passed; the call cannot fail.
    unsafe { libc::geteuid() }
}

/// getgid(2)
pub fn real_gid() -> u32 {
    // SAFETY: no memory is passed; the call cannot fail.
    unsafe { libc::getgid() }
}

/// getpid(2)
pub fn id() -> u32 {
    // SAFETY: no memory is passed; the call cannot fail.
    unsafe { libc::getpid() }.unsigned_abs()
}

/// setgroups(2): the only supplementary group is `gid` from here on.
pub fn set_only_group(gid: u32) -> Result<()> {
    let groups = [gid];
    // SAFETY: one group is announced and one is there.
    let done = unsafe { libc::syscall(SYS_SETGROUPS, groups.len(), groups.as_ptr()) };
    check_call(done)
}

/// setresgid(2): real, effective and saved group.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    check_call(unsafe { libc::syscall(SYS_SETRESGID, gid, gid, gid) })
}

/// setresuid(2): real, effective and saved user.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    check_call(unsafe { libc::syscall(SYS_SETRESUID, uid, uid, uid) })
}

fn check_call(value: c_long) -> Result<()> {
    check_long(value as isize).map(drop)
}

/// A set of capabilities, one bit each; capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u64);

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

/// `struct __user_cap_data_struct`; version 3 reads and writes **two** of them, the low and the high 32 bits.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// capget(2): the effective capabilities.
pub fn effective_capabilities() -> Result<Capabilities> {
    let mut header = CapabilityHeader::ours();
    let mut data = [CapabilityData::default(); 2];
    // SAFETY: version 3 writes two records, and there is room for two.
    check_call(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let [low, high] = data;
    Ok(Capabilities(u64::from(low.effective) | u64::from(high.effective) << 32))
}

/// capset(2): effective and permitted become `set`; nothing stays inheritable, and so nothing ambient.
pub fn set_capabilities(set: Capabilities) -> Result<()> {
    let mut header = CapabilityHeader::ours();
    let half = |bits: u32| CapabilityData { effective: bits, permitted: bits, inheritable: 0 };
    let data = [half(set.0 as u32), half((set.0 >> 32) as u32)];
    // SAFETY: version 3 reads two records, and two are there.
    check_call(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) })
}

/// prctl(2), `PR_SET_KEEPCAPS`: permitted capabilities survive the change from root to another user.
pub fn keep_capabilities() -> Result<()> {
    // SAFETY: no memory is passed.
    check_call(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) })
}

/// ioctl_ns(2), `NS_GET_NSTYPE`, Linux 4.11: whether the namespace file is that of a mount namespace; `ENOTTY`
/// on older kernels.
pub fn is_mount_namespace(file: &Fd) -> Result<bool> {
    // SAFETY: the request takes no argument.
    let kind = unsafe { libc::syscall(libc::SYS_ioctl, file.raw(), 0xb703 as c_ulong, 0) };
    check_long(kind as isize).map(|kind| kind == libc::CLONE_NEWNS as usize)
}

/// setns(2) into a mount namespace. Root and working directory become the namespace's root.
pub fn join_mount_namespace(file: &Fd) -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::setns(file.raw(), libc::CLONE_NEWNS) }).map(drop)
}

/// umask(2) of 0: files get exactly the mode that is asked for.
pub fn clear_umask() {
    // SAFETY: no memory is passed; the call cannot fail.
    unsafe { libc::umask(0) };
}

/// flock(2), exclusive, waiting for as long as it takes.
pub fn lock(file: &Fd) -> Result<()> {
    loop {
        // SAFETY: no memory is passed.
        match check(unsafe { libc::flock(file.raw(), libc::LOCK_EX) }) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop),
        }
    }
}

/// flock(2), exclusive, without waiting: false when somebody else holds it.
pub fn try_lock(file: &Fd) -> Result<bool> {
    // SAFETY: no memory is passed.
    match check(unsafe { libc::flock(file.raw(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Signals held back; they are delivered when this is dropped. `SIGKILL` and `SIGSTOP` cannot be held back.
pub struct SignalsHeld {
    before: libc::sigset_t,
}

/// sigprocmask(2): holds back every signal that can be. A program that died with processes frozen and a record
/// half true would be worse than one that is late in dying. To be called with the lock held and not before, so
/// that a wait for the lock can be ended by hand.
pub fn hold_signals() -> Result<SignalsHeld> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled by the call, which cannot fail for a valid pointer.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `all` is filled and `before` has the right size.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it filled the old set.
    Ok(SignalsHeld { before: unsafe { before.assume_init() } })
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        // SAFETY: the set is the one that sigprocmask gave; no old set is asked for.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.before, core::ptr::null_mut()) };
    }
}

/// sigprocmask(2): holds back `SIGPIPE` for good, so that a reader of our messages who went away makes a
/// failed write(2) and not a death in the middle of an update.
pub fn hold_broken_pipe() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled by the first call before the second and third use it; no old set is asked for.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), core::ptr::null_mut());
    }
}

/// poll(2) for `POLLPRI` on a file of a control group, for at most `milliseconds`. Returns also when there was
/// nothing, or a signal: the caller reads the file again in any case.
pub fn wait_for_change(file: &Fd, milliseconds: u64) {
    let mut poll = libc::pollfd { fd: file.raw(), events: libc::POLLPRI, revents: 0 };
    // SAFETY: one structure is announced and one is there.
    unsafe { libc::poll(&raw mut poll, 1, timeout(milliseconds)) };
}

/// poll(2) of nothing: sleeps, perhaps for less when there is a signal.
pub fn sleep(milliseconds: u64) {
    // SAFETY: no structure is announced.
    unsafe { libc::poll(core::ptr::null_mut(), 0, timeout(milliseconds)) };
}

fn timeout(milliseconds: u64) -> c_int {
    c_int::try_from(milliseconds).unwrap_or(c_int::MAX)
}

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
        self.seconds.saturating_mul(1000).saturating_add(u64::from(self.nanoseconds / 1_000_000))
    }
}

/// clock_gettime(2), `CLOCK_MONOTONIC`: never set, starts with the machine.
pub fn uptime() -> Moment {
    clock(libc::CLOCK_MONOTONIC)
}

/// clock_gettime(2), `CLOCK_REALTIME`: since 1970, UTC.
pub fn wall_clock() -> Moment {
    clock(libc::CLOCK_REALTIME)
}

fn clock(which: libc::clockid_t) -> Moment {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the structure has the right size.
    if unsafe { libc::clock_gettime(which, time.as_mut_ptr()) } != 0 {
        return Moment::default(); // cannot happen: both clocks always exist
    }
    // SAFETY: the call succeeded, so it filled the structure.
    let time = unsafe { time.assume_init() };
    Moment {
        seconds: u64::try_from(time.tv_sec).unwrap_or(0),
        nanoseconds: u32::try_from(time.tv_nsec).unwrap_or(0),
    }
}

/// `struct rlimit64`, the same on every machine.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ResourceLimit {
    soft: u64,
    hard: u64,
}

/// prlimit(2): as many open files as the hard limit allows. A refusal changes nothing and is not told.
///
/// The bare system call, because musl's setrlimit(2) brings its machinery for changing all threads.
pub fn raise_open_files() {
    let mut limit = ResourceLimit::default();
    let none: *const ResourceLimit = core::ptr::null();
    // SAFETY: no new limit is given, and there is room for the old one.
    let got = unsafe { libc::syscall(libc::SYS_prlimit64, 0, OPEN_FILES, none, &raw mut limit) };
    if got == 0 && limit.soft < limit.hard {
        limit.soft = limit.hard;
        // SAFETY: the new limit is there, and the old one is not asked for.
        unsafe { libc::syscall(libc::SYS_prlimit64, 0, OPEN_FILES, &raw const limit, none) };
    }
}

/// `RLIMIT_NOFILE`, whose type the C libraries do not agree on.
const OPEN_FILES: c_int = libc::RLIMIT_NOFILE as c_int;

/// The variables of the environment that are looked at. There is no way to ask for another: the environment
/// belongs to whoever started us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `SNAPD_DEBUG`: debug messages, please.
    Debug,
    /// `SNAP_REAL_HOME`: the user's home directory; only believed in user mode.
    RealHome,
    /// `TERM`: somebody is watching, so messages carry the time.
    Terminal,
}

impl Variable {
    /// Its name with the equals sign.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Variable::Debug => b"SNAPD_DEBUG=",
            Variable::RealHome => b"SNAP_REAL_HOME=",
            Variable::Terminal => b"TERM=",
        }
    }
}

unsafe extern "C" {
    /// environ(7): a NULL-terminated array of strings, or NULL.
    static mut environ: *const *const c_char;
}

/// The value of a variable, of the first where it is there twice. Strings without an equals sign, empty ones
/// too, are passed over.
pub fn variable(which: Variable) -> Option<&'static [u8]> {
    // SAFETY: read by value; the program has one thread and never changes its environment.
    let mut place = unsafe { environ };
    if place.is_null() {
        return None;
    }
    loop {
        // SAFETY: the array ends with NULL, and we stop there.
        let string = unsafe { *place };
        if string.is_null() {
            return None;
        }
        // SAFETY: every string of the environment ends in NUL and stays for the life of the process.
        let string = unsafe { CStr::from_ptr(string) }.to_bytes();
        if let Some(value) = string.strip_prefix(which.prefix()) {
            return Some(value);
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

/// write(2) until all is written or the stream takes no more; nothing could be said about that anywhere.
pub fn write_stream(stream: Stream, mut bytes: &[u8]) {
    let fd = match stream {
        Stream::Output => libc::STDOUT_FILENO,
        Stream::Error => libc::STDERR_FILENO,
    };
    while !bytes.is_empty() {
        // SAFETY: pointer and length are one slice's.
        let put = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match check_long(put) {
            Err(Errno::EINTR) => {}
            Err(_) | Ok(0) => return,
            Ok(put) => bytes = bytes.get(put..).unwrap_or_default(),
        }
    }
}

const _: () = assert!(size_of::<c_uint>() == 4, "ids are passed as unsigned int");
