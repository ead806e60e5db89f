// SPDX-License-Identifier: GPL-3.0-only
//! What the tests share: a small world to live in ([`sandbox`]), what a process sees there ([`state`]), how a
//! program under test is found and started ([`program`]), how both are put into a few lines ([`story`]) and those into tests ([`telling`]), and work of any
//! size to be counted and measured ([`load`]).
//!
//! | variable | means | when unset |
//! | --- | --- | --- |
//! | `SNAP_UPDATE_NS` | the program under test | `dist/x86_64-unknown-linux-musl/snap-update-ns` |
//! | `SNAP_UPDATE_NS_ORIGINAL` | what it is compared with | `target/original/usr/lib/snapd/snap-update-ns` |
//! | `SNAP_UPDATE_NS_RUNNER` | an emulator to put in front of ours | none |
//! | `SNAP_UPDATE_NS_KERNEL` | a version of Linux, or `today`: what came later is unknown to the programs ([`kernel`]) | nothing is |
//! | `STORIES_SHOW` | print every state, and every system call that is counted | do not |
//!
//! The value `original` for `SNAP_UPDATE_NS` puts the original in both places: a check of the bench itself.
#![allow(dead_code, reason = "each test crate uses its own part")]

pub mod image;
pub mod kernel;
pub mod load;
pub mod program;
pub mod sandbox;
pub mod seccomp;
pub mod state;
pub mod story;
pub mod telling;
