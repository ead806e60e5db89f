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
    let place = match mount::place_at(Some(dir), name) {
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
    if let Ok(Place { mount: Some(id), .. }) = mount::place_at(Some(fd), b"") {
        return Some(id);
    }
    let mut buffer = [0u8; 512];
    let text = file::read_fdinfo(fd, &mut buffer).ok()?;
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"))?;
    parse_u32(line.trim_ascii())
}

/// The id of the mount that is the root.
pub fn look_at_root() -> Option<u32> {
    match mount::place_at(None, b"/") {
        Ok(Place { mount: Some(id), .. }) => Some(id),
        _ => mount_id(&file::open(b"/", Open::PATH_DIR, 0).ok()?),
    }
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
    // Keeps the detach from failing because of copies of the mounts below, and from taking them along. When it is refused
    // the detach is tried all the same (L3).
    give_up(dir, name, shows);
    mount::unmount_at(dir, name, true)
}

/// See [`mount::give_up`]; in one call where `shows` allows for the calls of today.
pub fn give_up(dir: &Fd, name: &[u8], shows: bool) {
    if (!shows || mount::give_up_at(dir, name).is_err())
        && let Ok(top) = file::open_at(dir, name, Open::PATH, 0)
    {
        let _ = mount::give_up(&top, shows);
    }
}
