// SPDX-License-Identifier: GPL-3.0-only
//! The process: claim the memory, run, exit.
#![no_std]
#![no_main]

use core::ffi::{CStr, c_char, c_int};
use snap_update_ns::error::Error;
use snap_update_ns::limits::MEMORY;
use snap_update_ns::log;
use snap_update_ns::update::{self, Memory, Run};

/// What everything is read into.
#[unsafe(link_section = ".bss.FAR")]
static mut TEXT: [u8; MEMORY.max] = [0; MEMORY.max];
/// Room for everything that is known.
#[unsafe(link_section = ".bss.FAR")]
static mut ROOM: Memory<'static> = Memory::new();
/// The run, which knows where all that is.
static mut RUN: Run<'static> = {
    let (room, text) = (&raw mut ROOM, &raw mut TEXT);
    // SAFETY: nobody else names these two, so the references are the only ones.
    unsafe { Run::new(&mut *room, &mut *text) }
};

/// The C library's entry point. Exit status 0 is success, 1 a failure that was said on standard output.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let run = &raw mut RUN;
    // SAFETY: `main` is called once, by the C library, before there is any other thread; nobody else names `RUN`, so the
    // reference is the only one.
    let run = unsafe { &mut *run };
    if argc < 1 {
        log::fatal(&Error::plain("argv0 is corrupted"), b"");
        return 1;
    }
    let args = (1..argc as usize).map(|at| {
        // SAFETY: the kernel puts `argc` pointers to strings that end in NUL and last as long as the process.
        unsafe { CStr::from_ptr(*argv.add(at)) }.to_bytes()
    });
    c_int::from(!update::run(args, run))
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
