// SPDX-License-Identifier: GPL-3.0-only
//! Whether a name is a mount point, and of which mount.
#![forbid(unsafe_code)]

use crate::kernel::file::{self, Open};
use crate::kernel::mount::{self, Place};
use crate::kernel::{Errno, Fd, Result};
use crate::text::number::parse_u32;

/// The mount that is on top at a name in a directory, and whether the name is its mount point. Asked of statx(2)
/// where it tells (Linux 5.8), of `/proc/self/fdinfo` elsewhere (3.15).
pub fn look(dir: &Fd, name: &[u8]) -> Result<Place> {
    let place = match mount::place_at(dir, name) {
        Ok(place) => place,
        Err(Errno::ENOSYS | Errno::EPERM) => Place { mount: None, mount_root: None },
        Err(errno) => return Err(errno),
    };
    if place.mount.is_some() && place.mount_root.is_some() {
        return Ok(place);
    }
    let here = file::open_at(dir, name, Open::PATH, 0)?;
    let mount = place.mount.or_else(|| mount_id(&here));
    let mount_root = place.mount_root.or_else(|| Some(mount? != mount_id(dir)?));
    Ok(Place { mount, mount_root })
}

/// The id of the mount on which an open object lies.
pub fn mount_id(fd: &Fd) -> Option<u32> {
    if let Ok(Place { mount: Some(id), .. }) = mount::place_at(fd, b"") {
        return Some(id);
    }
    let mut buffer = [0u8; 512];
    let text = file::read_fdinfo(fd, &mut buffer).ok()?;
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"))?;
    parse_u32(line.trim_ascii())
}

/// Whether a name in a directory is a mount point. Where neither statx(2) nor /proc tells, it is taken for one: then
/// the next call finds out.
pub fn is_mount_root(dir: &Fd, name: &[u8]) -> Result<bool> {
    Ok(look(dir, name)?.mount_root.unwrap_or(true))
}

/// Takes away the top mount at a name in a directory, with all below it, in one step (`MNT_DETACH`). `shows` as in
/// [`mount::give_up`].
#[inline(never)]
pub fn detach(dir: &Fd, name: &[u8], shows: bool) -> Result<()> {
    if let Ok(top) = file::open_at(dir, name, Open::PATH, 0) {
        // Keeps the detach from failing because of copies of the mounts below, and from taking them along. When it is
        // refused the detach is tried all the same (L3).
        let _ = mount::give_up(&top, shows);
    }
    mount::unmount_at(dir, name, true)
}
