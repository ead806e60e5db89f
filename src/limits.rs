// SPDX-License-Identifier: GPL-3.0-only
//! Every capacity of the program, in one table, each with its reason.
//!
//! Capacity lies in `.bss` and costs nothing until it is touched. Nothing is ever cut short in silence: what
//! does not fit is an error that names its limit, and it is found before the namespace is changed.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error, Says, says};
use crate::text::arena::Full;

/// A capacity with the words that an error uses for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is said when it is exceeded.
    pub says: Says,
    /// The largest number that is accepted.
    pub max: usize,
}

impl Limit {
    /// The sentence for that.
    pub fn exceeded<'t>(&'static self) -> Error<'t> {
        Error::count(self.says, b"", Errno::NONE, self.max as u32)
    }
}

impl From<Full> for &Limit {
    fn from(_: Full) -> Self {
        &MEMORY
    }
}

impl From<Full> for Error<'_> {
    #[cold]
    #[inline(never)]
    fn from(_: Full) -> Self {
        MEMORY.exceeded()
    }
}

/// Mount entries in one profile. The kernel itself stops at 100,000 mounts in a namespace (`fs.mount-max`), and
/// an entry's number fits 16 bits.
pub const PROFILE_ENTRIES: Limit = Limit { says: says!("more than %n mount entries"), max: 65_535 };

/// Bytes of text in one profile: 65,535 lines of 256 bytes, four times what a long real line needs.
pub const PROFILE_TEXT: Limit = Limit { says: says!("more than %n bytes in a mount profile"), max: 16 << 20 };

/// Bytes in one line of a profile, without its end: what the original accepts. The canonical form of an entry is
/// held to the same limit, so that what we write can be read again by every version.
pub const PROFILE_LINE: Limit = Limit { says: says!("more than %n bytes in a line"), max: 65_535 };

/// Bytes in a path, without the NUL: `PATH_MAX` of limits.h less one.
pub const PATH: Limit = Limit { says: says!("more than %n bytes in a path"), max: 4_095 };

/// Bytes in one component of a path: `NAME_MAX` of limits.h.
pub const NAME: Limit = Limit { says: says!("more than %n bytes in a file name"), max: 255 };

/// Lines of mountinfo that are read. They are streamed; the number only bounds how long that may take. It is
/// above the kernel's own default of 100,000 mounts in a namespace.
pub const MOUNTINFO_LINES: Limit = Limit { says: says!("more than %n lines of mountinfo"), max: 1_000_000 };

/// Bytes in one line of mountinfo: two paths of `PATH_MAX` bytes, each escaped fourfold, and the options.
pub const MOUNTINFO_LINE: Limit =
    Limit { says: says!("more than %n bytes in a line of mountinfo"), max: 65_536 };

/// Lines of mountinfo that are kept: those on the way to a path of the profiles, or below one. The kernel's default
/// for all mounts of a namespace (`fs.mount-max`, Linux 4.9).
pub const KEPT_MOUNTS: Limit =
    Limit { says: says!("more than %n mounts around the profile's paths"), max: 100_000 };

/// Bytes for everything that is read or made up in a run: two profiles, the kept lines of mountinfo, the names in
/// mimicked directories. And for all lists, of which the largest that there can be take half of it.
pub const MEMORY: Limit = Limit { says: says!("more than %n bytes of working memory"), max: 192 << 20 };

/// Bytes in the canonical form of an entry, without the line's end: what every version can read again (L32).
pub const WRITTEN_ENTRY: Limit =
    Limit { says: says!("more than %n bytes in the line that would record it"), max: PROFILE_LINE.max };

/// Control groups of one snap that are frozen at once, one for each running program or service on a unified
/// hierarchy. Each needs two descriptors while it is waited for, and 4,096 is the smallest hard limit on open
/// files that Linux starts with (`INR_OPEN_MAX`).
pub const FREEZE_GROUPS: Limit = Limit { says: says!("more than %n control groups to freeze"), max: 2_000 };

/// Levels of the control group tree that are searched. systemd needs eight for a program in a user's session;
/// a container manager puts a handful above that.
pub const CGROUP_LEVELS: Limit = Limit { says: says!("more than %n levels of control groups"), max: 24 };

/// Milliseconds in which a snap's processes have to come to rest, all together: what snapd has always given
/// them. snap-confine's own patience is 30 seconds.
pub const FREEZE_MILLISECONDS: u64 = 3_000;
