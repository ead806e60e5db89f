//! Links the C library for a binary without `std`: on musl nobody else names it (rust-lang/rust#58163).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-lc");
}
