// SPDX-License-Identifier: GPL-3.0-only
//! The snap's mount namespace as a whole: who may change it, and that it holds still meanwhile.
//!
//! In the order of a run:
//!
//! * [`identity`]: is the caller allowed to, and with which rights does the program go on
//! * [`enter`]: is there a namespace at all; later, joining it
//! * [`lock`]: one update at a time for a snap; taken *before* the namespace is joined, released last
//! * [`freezer`]: the snap's processes stand still while paths are walked; thawed before the lock is released
//! * [`guard`]: thaws them should we die
#![forbid(unsafe_code)]

pub mod enter;
pub mod freezer;
pub mod guard;
pub mod identity;
pub mod lock;
