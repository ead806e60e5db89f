// SPDX-License-Identifier: GPL-3.0-only
//! The door to the kernel: every system call of the program is made below this folder, and nowhere else is
//! there `unsafe` (but for the few lines of `main`).
//!
//! One function is one system call with its dangers already refused: close-on-exec and no-follow are not
//! parameters, a call that was interrupted is made again, casts end here. Paths are bytes without NUL; they are
//! copied into a buffer on the stack, and one that does not fit is `ENAMETOOLONG`, as the kernel would say.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char, c_int};

pub use crate::error::Errno;

pub mod file;
pub mod mount;
pub mod process;
pub(crate) mod sentences;

/// What a system call gives: its value, or the error number.
pub type Result<T> = core::result::Result<T, Errno>;

/// An open file descriptor that closes itself when dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Fd(c_int);

impl Fd {
    /// Takes over a descriptor number that the caller owns.
    pub(crate) fn own(raw: c_int) -> Self {
        Fd(raw)
    }

    /// The number, for a system call or a path below `/proc/self/fd`.
    pub(crate) fn raw(&self) -> c_int {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the number is ours alone (`Fd` is not `Copy`), so nobody uses it after this.
        unsafe { libc::close(self.0) };
    }
}

/// The error number of the call that just failed.
pub(crate) fn errno() -> Errno {
    // SAFETY: errno's location is valid for the life of the thread.
    Errno(unsafe { *libc::__errno_location() } as u16)
}

/// Turns "-1 and errno" into a `Result`.
pub(crate) fn check(value: c_int) -> Result<c_int> {
    if value == -1 { Err(errno()) } else { Ok(value) }
}

/// The same for calls that answer with a `long` or an `ssize_t`.
pub(crate) fn check_long(value: isize) -> Result<usize> {
    usize::try_from(value).map_err(|_| errno())
}

/// Bytes with a NUL behind them, on the stack.
pub(crate) struct Terminated<const N: usize> {
    bytes: [core::mem::MaybeUninit<u8>; N],
}

impl<const N: usize> Terminated<N> {
    /// Copies `text`; `ENAMETOOLONG` when it does not fit, `EINVAL` when it holds a NUL.
    pub(crate) fn new(text: &[u8]) -> Result<Self> {
        let mut bytes = [core::mem::MaybeUninit::uninit(); N];
        if text.len() >= N {
            return Err(Errno::ENAMETOOLONG);
        }
        if text.contains(&0) {
            return Err(Errno::EINVAL);
        }
        for (to, from) in bytes.iter_mut().zip(text.iter().chain(core::iter::once(&0))) {
            to.write(*from);
        }
        Ok(Terminated { bytes })
    }

    /// The C string.
    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// A whole path, `PATH_MAX` of limits.h.
pub(crate) type PathBuffer = Terminated<4096>;
/// One component of a path, `NAME_MAX` and its NUL.
pub(crate) type NameBuffer = Terminated<256>;

/// `/proc/self/fd/N`, or a name inside that directory: how mount(2) and umount2(2) are given a descriptor.
pub(crate) struct FdPath {
    bytes: [u8; FdPath::LONGEST],
}

impl FdPath {
    const LONGEST: usize = "/proc/self/fdinfo/2147483647/".len() + 256;

    /// The object behind the descriptor itself.
    pub(crate) fn of(fd: &Fd) -> Self {
        Self::build(b"/proc/self/fd/", fd, b"")
    }

    /// What /proc tells about the descriptor.
    pub(crate) fn info(fd: &Fd) -> Self {
        Self::build(b"/proc/self/fdinfo/", fd, b"")
    }

    /// A name in the directory behind the descriptor.
    pub(crate) fn inside(fd: &Fd, name: &[u8]) -> Result<Self> {
        if name.len() > 255 {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(Self::build(b"/proc/self/fd/", fd, name))
    }

    fn build(folder: &[u8], fd: &Fd, name: &[u8]) -> Self {
        let mut path = FdPath { bytes: [0; FdPath::LONGEST] };
        let mut digits = [0u8; "2147483647".len()];
        let mut used = 0;
        let mut rest = fd.0.unsigned_abs();
        for place in digits.iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        let number = digits.iter().skip(digits.len() - used);
        let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
        let all = folder.iter().chain(number).chain(slash).chain(name);
        // The longest of all still leaves a NUL behind it.
        for (to, from) in path.bytes.iter_mut().zip(all) {
            *to = *from;
        }
        path
    }

    /// The C string.
    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// The empty path, for calls with `AT_EMPTY_PATH`.
pub(crate) const EMPTY: &CStr = c"";
