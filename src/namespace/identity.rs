// SPDX-License-Identifier: GPL-3.0-only
//! Identity: what the caller must have brought, and what the program lets go of before it serves a user.
//!
//! snap-confine has started us in two ways over the years. Until 2024 it was set-uid root: the real ids are the
//! user's, the effective ones root's, and we become the user ourselves. Since 2026 it hands over the user's ids
//! and three ambient capabilities, and we only let go of two. Which of them it was shows in the ids alone.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error, Result};
use crate::kernel::process::{self, Capabilities};

/// Refuses an ordinary caller without the capabilities that every mode needs. Root passes unasked. Comes before
/// the arguments are looked at.
pub fn require_capabilities() -> Result<'static, ()> {
    if process::real_uid() == 0 {
        return Ok(());
    }
    let effective = process::effective_capabilities().map_err(failed("cannot query capabilities: %e"))?;
    match missing(effective) {
        Some(says) => Err(Error::call(says, b"", Errno::EPERM)),
        None => Ok(()),
    }
}

/// The sentence for the first capability that is missing.
fn missing(effective: Capabilities) -> Option<&'static str> {
    [
        (Capabilities::SYS_ADMIN, "CAP_SYS_ADMIN capability not in effective set: %e"),
        (Capabilities::CHOWN, "CAP_CHOWN capability not in effective set: %e"),
        (Capabilities::DAC_OVERRIDE, "CAP_DAC_OVERRIDE capability not in effective set: %e"),
    ]
    .into_iter()
    .find(|(needed, _)| !effective.has(*needed))
    .map(|(_, says)| says)
}

/// How snap-confine hands over a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// Set-uid root: we still have to become the user.
    SetUid,
    /// Ambient capabilities, or root itself: the ids are as they shall be.
    Ambient,
}

fn protocol(real: u32, effective: u32) -> Protocol {
    // A real uid of 0 has no user to become.
    if real == 0 || real == effective { Protocol::Ambient } else { Protocol::SetUid }
}

/// User mode: from here on the program has the rights of the real user, and `CAP_SYS_ADMIN` to mount. So
/// directories are created and looked up with the user's own permissions; a FUSE mount of the user would not
/// even let root in.
pub fn become_user() -> Result<'static, ()> {
    if protocol(process::real_uid(), process::effective_uid()) == Protocol::SetUid {
        let (uid, gid) = (process::real_uid(), process::real_gid());
        let needed = Capabilities::SYS_ADMIN.and(Capabilities::SETUID).and(Capabilities::SETGID);
        process::set_capabilities(needed).map_err(failed("cannot set permitted capabilities mask: %e"))?;
        process::keep_capabilities()
            .map_err(failed("cannot tell kernel to keep capabilities over setuid: %e"))?;
        process::set_only_group(gid).map_err(failed("cannot drop supplementary groups: %e"))?;
        process::set_gid(gid).map_err(failed("cannot switch to real group ID: %e"))?;
        process::set_uid(uid).map_err(failed("cannot switch to real user ID: %e"))?;
    }
    process::set_capabilities(Capabilities::SYS_ADMIN)
        .map_err(failed("cannot enable capabilities after switching to real user: %e"))
}

fn failed(says: &'static str) -> impl Fn(Errno) -> Error<'static> {
    move |errno| Error::call(says, b"", errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_capability_is_named() {
        let admin = Capabilities::SYS_ADMIN;
        let all = admin.and(Capabilities::CHOWN).and(Capabilities::DAC_OVERRIDE);
        let name = |set| missing(set).map(|says| says.split(' ').next().unwrap());
        assert_eq!(name(Capabilities::NONE), Some("CAP_SYS_ADMIN"));
        assert_eq!(name(Capabilities::CHOWN), Some("CAP_SYS_ADMIN"));
        assert_eq!(name(admin), Some("CAP_CHOWN"));
        assert_eq!(name(admin.and(Capabilities::CHOWN)), Some("CAP_DAC_OVERRIDE"));
        assert_eq!(name(all), None);
    }

    #[test]
    fn only_a_set_uid_start_by_a_user_has_a_user_to_become() {
        assert_eq!(protocol(0, 0), Protocol::Ambient);
        assert_eq!(protocol(1000, 1000), Protocol::Ambient);
        assert_eq!(protocol(1000, 0), Protocol::SetUid);
        assert_eq!(protocol(0, 1000), Protocol::Ambient);
    }
}
