// SPDX-License-Identifier: GPL-3.0-only
//! Changes the mount namespace of a running snap.
//!
//! The whole program in one line:
//!
//! ```text
//! read → survey → plan → apply → record
//! ```
//!
//! * **read** the desired and the current mount profile: text into slices, no opinion yet
//! * **survey** the world: what is mounted, which targets exist (questions only)
//! * **plan** what has to change: a pure function of plain data
//! * **apply** the plan through a narrow door to the kernel, undoing what cannot be finished
//! * **record** what is now true, in one atomic rename
//!
//! The layers, each knowing only those above it; but [`kernel::only`] names what it has a place for:
//!
//! | layer | what it is |
//! | --- | --- |
//! | [`text`], [`limits`], [`error`], [`log`] | bytes, bounds, sentences |
//! | [`mount`], [`invocation`] | the vocabulary |
//! | [`plan`] | decisions: data in, data out |
//! | [`kernel`] | how Linux is asked; the only `unsafe` besides `main` |
//! | [`namespace`], [`apply`] | effects |
//! | [`update`] | the story |
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod apply;
pub mod error;
pub mod invocation;
pub mod kernel;
pub mod limits;
pub mod log;
pub mod mount;
pub mod namespace;
pub mod plan;
pub mod text;
pub mod update;
