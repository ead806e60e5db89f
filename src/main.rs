// SPDX-License-Identifier: GPL-3.0-only
//! The process: claim the memory, run, exit.
#![no_std]
#![no_main]

use core::ffi::{c_char, c_int};

/// The C library's entry point.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: abort(3) takes nothing and never returns.
    unsafe { libc::abort() }
}

/// Unoptimised builds refer to it (rust-lang/rust#56152).
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
