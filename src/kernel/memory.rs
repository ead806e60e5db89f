// SPDX-License-Identifier: GPL-3.0-only
//! Copying and filling on aarch64, which the compiler asks for by these names. musl's are made for speed, and ten times as
//! large; what is copied here is short.

use core::arch::naked_asm;

/// memcpy(3)
///
/// # Safety
///
/// The memory at both pointers has this length, and does not overlap.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    naked_asm!(
        "mov x3, x0",
        "2: subs x2, x2, 8",
        "b.lo 3f",
        "ldr x4, [x1], 8",
        "str x4, [x3], 8",
        "b 2b",
        "3: add x2, x2, 8",
        "4: cbz x2, 5f",
        "ldrb w4, [x1], 1",
        "strb w4, [x3], 1",
        "sub x2, x2, 1",
        "b 4b",
        "5: ret",
    )
}

/// memset(3)
///
/// # Safety
///
/// The memory at the pointer has this length.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    naked_asm!(
        "and x1, x1, 0xff",
        "mov x4, 0x0101010101010101",
        "mul x4, x1, x4",
        "mov x3, x0",
        "2: subs x2, x2, 8",
        "b.lo 3f",
        "str x4, [x3], 8",
        "b 2b",
        "3: add x2, x2, 8",
        "4: cbz x2, 5f",
        "strb w4, [x3], 1",
        "sub x2, x2, 1",
        "b 4b",
        "5: ret",
    )
}
