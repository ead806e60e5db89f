// SPDX-License-Identifier: GPL-3.0-only
//! Where names may be created: under an unrestricted path, or on a tmpfs that is our own. Anywhere else the host,
//! or another snap, would see them: that is *trespassing*. On a read-only file system nobody can.
#![forbid(unsafe_code)]

use crate::kernel::Fd;
use crate::kernel::file::{self, FileSystem};
use crate::limits::PROFILE_ENTRIES;
use crate::text::path;

/// A directory's answer to "may a name be created here?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Free,
    /// Nobody can.
    ReadOnly,
    /// The host would see it.
    Trespass,
}

/// What is known of the places where we may write.
pub struct Ground<'t> {
    /// Paths that are free with everything below them.
    free: heapless::Vec<&'t [u8], 8>,
    /// Directories with a tmpfs on them that is on record, sorted.
    ours: &'t mut heapless::Vec<&'t [u8], { PROFILE_ENTRIES.max }>,
    /// `st_dev` of every tmpfs that was found to be ours.
    devices: &'t mut heapless::Vec<u64, { PROFILE_ENTRIES.max }>,
}

/// Room for that; lives in `.bss`.
pub struct Memory<'t> {
    ours: heapless::Vec<&'t [u8], { PROFILE_ENTRIES.max }>,
    devices: heapless::Vec<u64, { PROFILE_ENTRIES.max }>,
}

impl Memory<'_> {
    /// Empty room.
    pub const fn new() -> Self {
        Memory { ours: heapless::Vec::new(), devices: heapless::Vec::new() }
    }
}

impl Default for Memory<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'t> Ground<'t> {
    /// Knows of nothing.
    pub fn new(memory: &'t mut Memory<'t>) -> Self {
        let Memory { ours, devices } = memory;
        Ground { free: heapless::Vec::new(), ours, devices }
    }

    /// Takes the free paths of an update of the system profile, or of the user's: their home only, if it is usable.
    pub fn set_free(&mut self, paths: &[&'t [u8]]) {
        self.free.clear();
        for path in paths {
            let _ = self.free.push(path);
        }
    }

    /// Forgets every tmpfs.
    pub fn forget(&mut self) {
        self.ours.clear();
        self.devices.clear();
    }

    /// Trusts the tmpfs on a directory, which is on record. To be called in no particular order, and then
    /// [`Ground::sort`].
    pub fn trust(&mut self, dir: &'t [u8]) {
        // One for each entry at most.
        let _ = self.ours.push(dir);
    }

    /// Ends a series of [`Ground::trust`].
    pub fn sort(&mut self) {
        crate::text::sort::sort(self.ours, |a, b| a < b);
    }

    /// Trusts a tmpfs that was just mounted, by its device.
    pub fn trust_device(&mut self, dev: u64) {
        // When there are more than can be remembered, the rest is looked up by its path.
        let _ = self.devices.push(dev);
    }

    /// Whether a path may be created, wherever it lies.
    pub fn is_free(&self, path: &[u8]) -> bool {
        self.free.iter().any(|free| path::covers(free, path))
    }

    /// Whether a directory, open at `fd`, lies on a tmpfs of ours.
    pub fn is_ours(&mut self, fd: &Fd, dir: &[u8]) -> bool {
        file::file_system(fd).is_ok_and(|fs| fs.magic == FileSystem::TMPFS) && self.is_our_tmpfs(fd, dir)
    }

    fn is_our_tmpfs(&mut self, fd: &Fd, dir: &[u8]) -> bool {
        let Ok(stat) = file::stat(fd) else { return false };
        if self.devices.contains(&stat.dev) {
            return true;
        }
        let ours = self.ours.binary_search(&dir).is_ok();
        if ours {
            self.trust_device(stat.dev);
        }
        ours
    }

    /// May a name be created in this directory?
    pub fn ask(&mut self, fd: &Fd, dir: &[u8]) -> crate::kernel::Result<Answer> {
        if self.is_free(dir) {
            return Ok(Answer::Free);
        }
        let fs = file::file_system(fd)?;
        if fs.read_only || fs.magic == FileSystem::SQUASHFS {
            return Ok(Answer::ReadOnly);
        }
        let ours = fs.magic == FileSystem::TMPFS && self.is_our_tmpfs(fd, dir);
        Ok(if ours { Answer::Free } else { Answer::Trespass })
    }
}

/// The mode of a directory or file that is created at a path: a few places are shared between users or snaps.
/// Each component has its own (L13).
pub fn mode(at: &[u8]) -> u32 {
    // The part before the name of a snap, the part behind it, and the mode.
    const TMP: &str = "/var/lib/snapd/hostfs/tmp/snap-private-tmp/snap.";
    const HINTS: [(&str, &str, u32); 6] = [
        ("/tmp/.X11-unix", "", 0o1777),
        ("/var/lib/snapd/hostfs/tmp/snap-private-tmp", "", 0o700),
        (TMP, "*", 0o700),
        (TMP, "*/tmp", 0o1777),
        (TMP, "*/tmp/.X11-unix", 0o1777),
        ("/dev/shm/snap.", "*", 0o1777),
    ];
    for (before, behind, mode) in HINTS {
        let Some(rest) = at.strip_prefix(before.as_bytes()) else { continue };
        let name = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let matches = match behind.as_bytes() {
            [b'*', behind @ ..] => rest.get(name..) == Some(behind),
            _ => rest.is_empty(),
        };
        if matches {
            return mode;
        }
    }
    0o755
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
