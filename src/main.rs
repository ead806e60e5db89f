// SPDX-License-Identifier: GPL-3.0-only
//! The process: claim the memory, run, exit.
#![no_std]
#![no_main]

use core::ffi::{CStr, c_char, c_int};
use snap_update_ns::error::Error;
use snap_update_ns::limits::MEMORY;
use snap_update_ns::log;
use snap_update_ns::text::arena::Arena;
use snap_update_ns::update::{self, Memory, Profiles};

/// What everything is read into.
static mut TEXT: [u8; MEMORY.max] = [0; MEMORY.max];
/// The profiles.
static mut PROFILES: Profiles<'static> = Profiles::new();
/// Everything that is known.
static mut WORLD: Memory<'static> = Memory::new();

/// The C library's entry point. Exit status 0 is success, 1 a failure that was said on standard output.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let (text, profiles, world) = {
        let (text, profiles, world) = (&raw mut TEXT, &raw mut PROFILES, &raw mut WORLD);
        // SAFETY: `main` is called once, by the C library, before there is any other thread; nobody else names these
        // three, so the references are the only ones.
        unsafe { (&mut *text, &mut *profiles, &mut *world) }
    };
    if argc < 1 {
        log::fatal(&Error::plain("argv0 is corrupted"), b"");
        return 1;
    }
    let args = (1..argc as usize).map(|at| {
        // SAFETY: the kernel puts `argc` pointers to strings that end in NUL and last as long as the process.
        unsafe { CStr::from_ptr(*argv.add(at)) }.to_bytes()
    });
    c_int::from(!update::run(args, profiles, world, &mut Arena::new(text)))
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
