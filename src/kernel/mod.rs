// SPDX-License-Identifier: GPL-3.0-only
//! The door to the kernel: every system call of the program is made below this folder, and nowhere else is
//! there `unsafe` (but for the few lines of `main`).
//!
//! One function is one system call with its dangers already refused: close-on-exec and no-follow are not
//! parameters, a call that was interrupted is made again, casts end here. Paths are bytes without NUL; they are
//! copied into a buffer on the stack, and one that does not fit is `ENAMETOOLONG`, as the kernel would say.
//!
//! Calls are made by their numbers and not by the C library's functions. Those do more than we want (they look for
//! newer variants of a call, or speak to all threads), and one way through one door is a quarter of the code. Where
//! 32-bit Arm has another number or structure, it is written beside.
#![allow(unsafe_code)]

use crate::text::{Out, SHORT, Short};
use core::arch::asm;
use core::ffi::c_long;
use core::mem::MaybeUninit;

pub use crate::error::Errno;

pub mod file;
pub mod list;
#[cfg(all(target_arch = "aarch64", target_env = "musl", not(debug_assertions)))]
mod memory;
pub mod mount;
pub mod only;
pub mod process;
pub(crate) mod sentences;
pub mod writer;

/// What a system call gives: its value, or the error number. Values are 32 bits wide, as error numbers are: then a
/// result is two registers. Ours are descriptors, and counts of bytes below 2 GiB, which is the most that Linux moves
/// in one call.
pub type Result<T> = core::result::Result<T, Errno>;

/// An open file descriptor that closes itself when dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Fd(u32);

impl Fd {
    /// Takes over a descriptor number that the caller owns.
    pub(crate) fn own(raw: u32) -> Self {
        Fd(raw)
    }

    /// The number, for a system call; a register of it.
    pub(crate) fn raw(&self) -> usize {
        self.0 as usize
    }
}

impl Drop for Fd {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: the number is ours alone (`Fd` is not `Copy`), so nobody uses it after this. Linux has freed it
        // even where close(2) was interrupted: so it is not made again.
        unsafe { trap(libc::SYS_close, self.raw(), 0, ANY, ANY, ANY) };
    }
}

/// `AT_FDCWD` as a register.
pub(crate) const HERE: usize = libc::AT_FDCWD as usize;

/// What is passed to a call behind its second argument; it need not be there.
pub(crate) type Word = MaybeUninit<usize>;

/// What is passed behind the last argument that a call has: whatever is in the register.
pub(crate) const ANY: Word = MaybeUninit::uninit();

/// An argument.
pub(crate) fn word(value: usize) -> Word {
    MaybeUninit::new(value)
}

/// A system call, made again when a signal interrupted it.
///
/// # Safety
///
/// The arguments are what the call of this number expects: pointers to live memory of the size that it reads or
/// writes, strings with a NUL at their end.
#[inline(never)]
pub(crate) unsafe fn call(number: c_long, a: usize, b: usize, c: Word, d: Word, e: Word) -> Result<u32> {
    loop {
        // SAFETY: the caller answers for the arguments.
        let value = unsafe { trap(number, a, b, c, d, e) };
        // Everything else is a value.
        if !(-4095..0).contains(&value) {
            return Ok(value as u32);
        }
        let errno = Errno::new(value.unsigned_abs() as u32);
        if errno != Errno::EINTR {
            return Err(errno);
        }
    }
}

/// The call itself, by the instruction for it: what it gives is a value, or an error number below 0.
///
/// # Safety
///
/// That of [`call`].
#[inline(always)]
unsafe fn trap(number: c_long, a: usize, b: usize, c: Word, d: Word, e: Word) -> c_long {
    let value;
    // SAFETY: these are the registers of the kernel's convention, and it keeps all but those that are named; for the
    // memory the caller answers.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "syscall", inlateout("rax") number => value, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, lateout("rcx") _, lateout("r11") _, options(nostack)
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "svc 0", in("x8") number, inlateout("x0") a => value, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack)
        );
        // The number's register is the frame pointer of Thumb code, and cannot be named.
        #[cfg(target_arch = "arm")]
        asm!(
            "mov {kept}, r7", "mov r7, {number}", "svc 0", "mov r7, {kept}", kept = out(reg) _, number = in(reg) number,
            inlateout("r0") a => value, in("r1") b, in("r2") c, in("r3") d, in("r4") e, options(nostack)
        );
    }
    value
}

/// The same for calls whose value means nothing.
///
/// # Safety
///
/// That of [`call`].
#[inline(never)]
pub(crate) unsafe fn done(number: c_long, a: usize, b: usize, c: Word, d: Word, e: Word) -> Result<()> {
    // SAFETY: the caller answers for the arguments.
    unsafe { call(number, a, b, c, d, e) }.map(drop)
}

/// The family of openat(2): a system call with a directory, a path and up to three further arguments.
///
/// # Safety
///
/// The further arguments are what the call of this number expects behind a directory and a path.
#[inline(never)]
pub(crate) unsafe fn call_at(
    number: c_long,
    dir: usize,
    path: &[u8],
    c: Word,
    d: Word,
    e: Word,
) -> Result<u32> {
    let mut buffer = PATH_BUFFER;
    terminate(path, &mut buffer)?;
    // SAFETY: the path ends in NUL and outlives the call; the caller answers for the rest.
    unsafe { call(number, dir, buffer.as_ptr() as usize, c, d, e) }
}

/// Copies as many bytes as both have.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    // SAFETY: both have as many, and what is lent to be changed is lent to nobody else.
    unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from.as_ptr(), to.len().min(from.len())) };
}

/// Room for a C string of up to `PATH_MAX` of limits.h, on the stack.
pub(crate) const PATH_BUFFER: [MaybeUninit<u8>; 4096] = [MaybeUninit::uninit(); 4096];

/// Copies `text` and a NUL behind it; `ENAMETOOLONG` when that does not fit, `EINVAL` when it holds a NUL.
#[inline(never)]
pub(crate) fn terminate(text: &[u8], buffer: &mut [MaybeUninit<u8>]) -> Result<()> {
    let Some((end, room)) = buffer.get_mut(..=text.len()).and_then(<[_]>::split_last_mut) else {
        return Err(Errno::ENAMETOOLONG);
    };
    for (to, from) in room.iter_mut().zip(text) {
        if *from == 0 {
            return Err(Errno::EINVAL);
        }
        to.write(*from);
    }
    end.write(0);
    Ok(())
}

// The longest path below `/proc/self`: a name inside a directory, and the NUL.
const _: () = assert!("/proc/self/fdinfo/2147483647/".len() + 256 <= SHORT);

/// `/proc/self/fd/N`, or a name inside that directory, with a NUL: how mount(2) and umount2(2) are given a
/// descriptor.
pub(crate) struct FdPath(Short);

impl FdPath {
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

    #[inline(never)]
    fn build(folder: &[u8], fd: &Fd, name: &[u8]) -> Self {
        let mut path = FdPath(Short::new());
        // The longest of all fits.
        let out: &mut dyn Out = &mut path.0;
        out.put(folder);
        out.number(fd.raw() as u64);
        if !name.is_empty() {
            out.put(b"/");
            out.put(name);
        }
        out.put(b"\0");
        path
    }

    /// The C string, as a register.
    pub(crate) fn raw(&self) -> usize {
        self.0.as_ptr() as usize
    }
}
