// SPDX-License-Identifier: GPL-3.0-only
//! Identity: what the caller must have brought, and what the program lets go of before it serves a user.
//!
//! snap-confine has started us in two ways over the years. Until 2024 it was set-uid root: the real ids are the
//! user's, the effective ones root's, and we become the user ourselves. Since 2026 it hands over the user's ids
//! and three ambient capabilities, and we only let go of two. Which of them it was shows in the ids alone.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error, Result, Says, says};
use crate::kernel;
use crate::kernel::process::{self, Capabilities};

/// Refuses an ordinary caller without the capabilities that every mode needs. Root passes unasked. Comes before
/// the arguments are looked at.
pub fn require_capabilities() -> Result<'static, ()> {
    if process::real_uid() == 0 {
        return Ok(());
    }
    let effective = process::effective_capabilities()
        .map_err(|errno| Error::call(says!("cannot query capabilities: %e"), b"", errno))?;
    match missing(effective) {
        Some(name) => {
            Err(Error::call(says!("CAP_%s capability not in effective set: %e"), name, Errno::EPERM))
        }
        None => Ok(()),
    }
}

/// The first capability that every mode needs and that is missing.
fn missing(effective: Capabilities) -> Option<&'static [u8]> {
    if !effective.has(Capabilities::SYS_ADMIN) {
        Some(b"SYS_ADMIN")
    } else if !effective.has(Capabilities::CHOWN) {
        Some(b"CHOWN")
    } else if !effective.has(Capabilities::DAC_OVERRIDE) {
        Some(b"DAC_OVERRIDE")
    } else {
        None
    }
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
    let mut says = says!("");
    drop_rights(&mut says).map_err(|errno| Error::call(says, b"", errno))
}

/// `says` is the sentence for the step that failed.
fn drop_rights(says: &mut Says) -> kernel::Result<()> {
    let uid = process::real_uid();
    if protocol(uid, process::effective_uid()) == Protocol::SetUid {
        let gid = process::real_gid();
        *says = says!("cannot set permitted capabilities mask: %e");
        process::set_capabilities(
            Capabilities::SYS_ADMIN.and(Capabilities::SETUID).and(Capabilities::SETGID),
        )?;
        *says = says!("cannot tell kernel to keep capabilities over setuid: %e");
        process::keep_capabilities()?;
        *says = says!("cannot drop supplementary groups: %e");
        process::set_only_group(gid)?;
        *says = says!("cannot switch to real group ID: %e");
        process::set_gid(gid)?;
        *says = says!("cannot switch to real user ID: %e");
        process::set_uid(uid)?;
    }
    *says = says!("cannot enable capabilities after switching to real user: %e");
    process::set_capabilities(Capabilities::SYS_ADMIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_capability_is_named() {
        let admin = Capabilities::SYS_ADMIN;
        let all = admin.and(Capabilities::CHOWN).and(Capabilities::DAC_OVERRIDE);
        assert_eq!(missing(Capabilities::NONE), Some(&b"SYS_ADMIN"[..]));
        assert_eq!(missing(Capabilities::CHOWN), Some(&b"SYS_ADMIN"[..]));
        assert_eq!(missing(admin), Some(&b"CHOWN"[..]));
        assert_eq!(missing(admin.and(Capabilities::CHOWN)), Some(&b"DAC_OVERRIDE"[..]));
        assert_eq!(missing(all), None);
    }

    #[test]
    fn only_a_set_uid_start_by_a_user_has_a_user_to_become() {
        assert_eq!(protocol(0, 0), Protocol::Ambient);
        assert_eq!(protocol(1000, 1000), Protocol::Ambient);
        assert_eq!(protocol(1000, 0), Protocol::SetUid);
        assert_eq!(protocol(0, 1000), Protocol::Ambient);
    }
}
