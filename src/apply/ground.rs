// SPDX-License-Identifier: GPL-3.0-only
//! Where names may be created: under an unrestricted path, or on a tmpfs that is our own. Anywhere else the host,
//! or another snap, would see them: that is *trespassing*. On a read-only file system nobody can.
#![forbid(unsafe_code)]

use crate::kernel::file::{self, FileSystem};
use crate::kernel::{Errno, Fd};
use crate::limits::PROFILE_ENTRIES;
use crate::text::{Split, path, split};

/// What is known of the places where we may write; lives in `.bss`.
pub struct Ground<'t> {
    /// Paths that are free with everything below them.
    pub free: Split<'t>,
    /// `st_dev` of every tmpfs that is ours.
    devices: heapless::Vec<u64, { PROFILE_ENTRIES.max }>,
}

impl Default for Ground<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> Ground<'t> {
    /// Knows of nothing.
    pub const fn new() -> Self {
        Ground { free: Split::NONE, devices: heapless::Vec::new() }
    }

    /// Forgets every tmpfs.
    pub fn forget(&mut self) {
        self.devices.clear();
    }

    /// Trusts a tmpfs, by its device.
    #[inline(never)]
    pub fn trust_device(&mut self, dev: u64) {
        // Where there are more than can be remembered, the last are not trusted.
        let _ = self.devices.push(dev);
    }

    /// Whether a path may be created, wherever it lies.
    fn is_free(&self, path: &[u8]) -> bool {
        let mut free = self.free;
        free.any(|free| path::covers(free, path))
    }

    /// Whether a file system is a tmpfs of ours.
    #[expect(clippy::manual_contains, reason = "made for speed, and ten times as large")]
    #[inline(never)]
    pub fn trusts(&self, dev: u64) -> bool {
        self.devices.iter().any(|known| *known == dev)
    }

    /// May a name be created in this open directory, on the way to `target`? The error is `EROFS` where nobody can, also
    /// under a free path, and `NONE` where the host would see it. A squashfs says itself that it is read-only (statfs(2)).
    pub fn ask(&self, fd: &Fd, target: &[u8]) -> crate::kernel::Result<()> {
        if file::flags(fd)? & FileSystem::READ_ONLY != 0 {
            Err(Errno::EROFS)
        } else if self.is_free(target) || self.trusts(file::stat(fd)?.dev) {
            Ok(())
        } else {
            Err(Errno::NONE)
        }
    }
}

/// The mode of a directory or file that is created at a path: a few places are shared between users or snaps.
/// Each component has its own (L13).
#[inline(never)]
pub fn mode(at: &[u8]) -> u32 {
    const TMP: &[u8] = b"/var/lib/snapd/hostfs/tmp/snap-private-tmp";
    // The first few are root's own, the others everybody's.
    let (at, places, mut own): (_, &[u8], i32) = match at.strip_prefix(TMP) {
        Some(inside) => (inside, b" /snap.* /snap.*/tmp /snap.*/tmp/.X11-unix", 2),
        None => (at, b"/tmp/.X11-unix /dev/shm/snap.*", 0),
    };
    for place in split(places, b' ') {
        if is_like(at, place) {
            return if own > 0 { 0o700 } else { 0o1777 };
        }
        own -= 1;
    }
    0o755
}

/// Whether a path is this one, in which an asterisk stands for the rest of a component.
fn is_like(path: &[u8], like: &[u8]) -> bool {
    let mut rest = path.iter();
    for byte in like {
        if *byte == b'*' {
            while rest.as_slice().first().is_some_and(|byte| *byte != b'/') {
                rest.next();
            }
        } else if rest.next() != Some(byte) {
            return false;
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::mode;

    #[test]
    fn each_component_of_a_private_tmp_has_its_own_mode() {
        let tmp = "/var/lib/snapd/hostfs/tmp/snap-private-tmp";
        for (path, wanted) in [
            ("", 0o700),
            ("/snap.birch", 0o700),
            ("/snap.birch/tmp", 0o1777),
            ("/snap.birch/tmp/.X11-unix", 0o1777),
            ("/snap.birch/tmp/other", 0o755),
            ("/birch", 0o755),
        ] {
            assert_eq!(mode(std::format!("{tmp}{path}").as_bytes()), wanted, "{path}");
        }
    }

    #[test]
    fn shared_memory_of_a_snap_is_for_everybody() {
        assert_eq!(mode(b"/dev/shm/snap.acorn"), 0o1777);
        assert_eq!(mode(b"/dev/shm/snap.acorn/x"), 0o755);
        assert_eq!(mode(b"/dev/shm/acorn"), 0o755);
    }

    #[test]
    fn everything_else_is_755() {
        assert_eq!(mode(b"/opt/fresh"), 0o755);
        assert_eq!(mode(b"/tmp/.X11-unix"), 0o1777);
    }
}
