// SPDX-License-Identifier: GPL-3.0-only
//! How the binary is linked: which C library, and what the linker may leave out.
//!
//! Everything the bytes of a release depend on is here, in `link.ld`, `.cargo/config.toml`, `Cargo.toml` and
//! `rust-toolchain.toml`; the scripts add no flag of their own. `docs/build.md` has the figures behind it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=link.ld");

    // Without `std` nobody else names the C library (rust-lang/rust#58163).
    println!("cargo::rustc-link-arg-bins=-lc");

    if env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        println!("cargo::rerun-if-env-changed=MUSL_LIBDIR");
        start_files();
        leave_out();
    }
}

/// Names musl's directory and, for what is not a release, its start files; a release starts itself (`src/main.rs`).
///
/// `.cargo/config.toml` tells rustc not to do it (`link-self-contained=no`): rustc brings no musl at all for armv7.
fn start_files() {
    let dir = musl();
    if env::var("PROFILE").as_deref() != Ok("release") {
        for file in ["crt1.o", "crti.o", "crtn.o"] {
            println!("cargo::rustc-link-arg={}", dir.join(file).display());
        }
    }
    println!("cargo::rustc-link-arg=-L{}", dir.display());
    for flag in ["-no-pie", "-znoexecstack"] {
        println!("cargo::rustc-link-arg={flag}");
    }
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("arm") {
        unwinder();
    }
}

/// Lets programs with `std` (the tests) link for armv7: `std` asks for the unwinder by the name `unwind`, which comes
/// with other targets; Debian has one as libgcc. The release refers to neither.
fn unwinder() {
    let dir = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    fs::write(dir.join("libunwind.a"), "INPUT(-lgcc_eh -lgcc)\n").unwrap();
    for dir in [dir, "/usr/lib/gcc-cross/arm-linux-gnueabihf/12".into()] {
        println!("cargo::rustc-link-arg=-L{}", dir.display());
    }
}

/// Nothing can unwind through us, and nobody looks up our symbols.
fn leave_out() {
    let script = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("link.ld");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    for flag in ["--no-eh-frame-hdr", "--build-id=none", "-znorelro"] {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
}

/// The directory of musl's `libc.a`: the one that comes with the target's standard library, or Debian's where there
/// is none.
fn musl() -> PathBuf {
    if let Some(dir) = env::var_os("MUSL_LIBDIR") {
        return dir.into();
    }
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("arm") {
        return "/usr/lib/arm-linux-musleabihf".into();
    }
    let target = env::var("TARGET").unwrap();
    let rustc = env::var_os("RUSTC").unwrap();
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", &target]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("self-contained")
}
