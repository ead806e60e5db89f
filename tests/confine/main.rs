// SPDX-License-Identifier: GPL-3.0-only
//! Under the real snap-confine of Debian's package: does the drop-in drop in?
//!
//! Every scenario is a few lines of shell in a machine of its own (`world.sh`), once with the original
//! `snap-update-ns` in place and once with ours, and that with either version of control groups. What it prints must be
//! the same, and must contain what is written here. `updown` lets the two take turns in one namespace.
//!
//! What Debian's snap-confine 2.57.6 does not do, so that it is not shown here:
//!
//! | what | where else |
//! | --- | --- |
//! | a tmpfs as the root of the namespace, and a rootfs line in the record: it binds the base and writes no line | `tests/support/sandbox.rs` |
//! | starting the tool with three ambient capabilities instead of as root: it is set-uid | `tests/stories/contexts.rs`, `tests/portal.rs` |
//! | naming the user's home, which `ensure-dir` needs | `tests/stories/contexts.rs` |
//! | moving an app into a group of version 2: that is done by snapd and systemd | `world.sh` plays their part |
//! | AppArmor, where the kernel has none | – |

#[path = "../support/mod.rs"]
mod support;

mod layouts;
mod lives;
mod shapes;
mod updown;
mod users;
mod world;
