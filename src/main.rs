// SPDX-License-Identifier: GPL-3.0-only
//! The process: claim the memory, run, exit.
#![no_std]
#![no_main]

#[cfg(all(target_env = "musl", not(debug_assertions)))]
use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int};
use snap_update_ns::kernel::{only, process};
use snap_update_ns::update;

/// Where the kernel begins. On the stack are the number of arguments, pointers to them and, behind a null pointer, those to
/// the strings of the environment.
#[cfg(all(target_env = "musl", not(debug_assertions)))]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov rdi, [rsp]", "lea rsi, [rsp + 8]", "call {main}", "mov edi, eax", "call {end}", main = sym main, end = sym end);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("ldr x0, [sp]", "add x1, sp, 8", "bl {main}", "b {end}", main = sym main, end = sym end);
    #[cfg(target_arch = "arm")]
    naked_asm!("ldr r0, [sp]", "add r1, sp, 4", "bl {main}", "b {end}", main = sym main, end = sym end);
}

#[cfg(all(target_env = "musl", not(debug_assertions)))]
extern "C" fn end(status: c_int) -> ! {
    process::leave(status)
}

/// The C library's entry point, where there is one. Exit status 0 is success, 1 a failure that was said on standard output.
#[cfg_attr(any(not(target_env = "musl"), debug_assertions), unsafe(no_mangle))]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: `main` is called once. The environment lies behind the arguments and the null pointer at their end.
    let run = unsafe {
        process::set_environment(argv.add(argc as usize + 1));
        only::lend()
    };
    if argc < 1 {
        update::refuse_nameless();
        return 1;
    }
    let args = (1..argc as usize).map(|at| {
        // SAFETY: the kernel puts `argc` pointers to strings that end in NUL and last as long as the process.
        unsafe { CStr::from_ptr(*argv.add(at)) }.to_bytes()
    });
    c_int::from(!update::run(args, run))
}

/// memcmp(3), eight bytes at a time: musl's goes byte by byte, and paths begin alike.
///
/// # Safety
///
/// Both have so many bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> c_int {
    let word = |at: *const u8| {
        // SAFETY: see below.
        u64::from_be(unsafe { at.cast::<u64>().read_unaligned() })
    };
    let mut at = 0;
    // SAFETY: what is read lies within the first `len` bytes, and its place need not be a multiple of its size.
    unsafe {
        while at + 8 <= len {
            let (one, other) = (word(a.add(at)), word(b.add(at)));
            if one != other {
                return if one < other { -1 } else { 1 };
            }
            at += 8;
        }
        while at < len {
            let apart = c_int::from(*a.add(at)) - c_int::from(*b.add(at));
            if apart != 0 {
                return apart;
            }
            at += 1;
        }
    }
    0
}

/// strlen(3) in a few bytes: few strings are asked for their lengths.
///
/// # Safety
///
/// The string ends in NUL.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(string: *const c_char) -> usize {
    let mut len = 0;
    // SAFETY: the NUL was not reached yet.
    while unsafe { *string.add(len) } != 0 {
        len += 1;
    }
    len
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    process::leave(134)
}

/// Unoptimised builds refer to it (rust-lang/rust#56152).
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
