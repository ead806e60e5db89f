// SPDX-License-Identifier: GPL-3.0-only
//! Under the real snap-confine of Debian's package: does the drop-in drop in?
//!
//! Every scenario is a few lines of shell in a machine of its own (`world.sh`), once with the original
//! `snap-update-ns` in place and once with ours, and that with either version of control groups. What it prints must be
//! the same, and must contain what is written here.

#[path = "../support/mod.rs"]
mod support;

mod layouts;
mod lives;
mod shapes;
mod updown;
mod users;
mod world;
