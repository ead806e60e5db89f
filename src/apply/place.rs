// SPDX-License-Identifier: GPL-3.0-only
//! Whether something is a mount point, and of which mount.
#![forbid(unsafe_code)]

use crate::kernel::file::{self, Open};
use crate::kernel::mount::{self, Place};
use crate::kernel::{Fd, Result};
use crate::mount::MountId;
use crate::text::number::parse_u32;
use crate::text::split;

/// The mount on which an open object lies, and whether the object is its root; `parent` is the directory in which it was
/// found. Asked of statx(2) where it tells (Linux 5.8), of `/proc/self/fdinfo` elsewhere (3.15).
pub fn look(parent: &Fd, top: &Fd) -> Place {
    let mut place = mount::place_of(top);
    if place.mount.is_none() {
        place.mount = mount_id(top);
    }
    if place.mount_root.is_none()
        && let (Some(id), Some(above)) = (place.mount, mount_id(parent))
    {
        place.mount_root = Some(id != above);
    }
    place
}

/// The id of the mount on which an open object lies.
pub fn mount_id(fd: &Fd) -> Option<MountId> {
    let place = mount::place_of(fd);
    if place.mount.is_some() {
        return place.mount;
    }
    let mut buffer = [0u8; 512];
    let len = file::read_fdinfo(fd, &mut buffer).ok()?;
    let id = split(buffer.get(..len as usize)?, b'\n').find_map(|line| line.strip_prefix(b"mnt_id:\t"))?;
    MountId::new(parse_u32(id)?)
}

/// The id of the mount that is the root.
pub fn look_at_root() -> Option<MountId> {
    mount::place_of_root().mount.or_else(|| mount_id(&file::open(b"/", Open::PATH_DIR).ok()?))
}

/// Takes away the mount of which this is the root, with all below it, in one step (`MNT_DETACH`). `shows` as in
/// [`mount::give_up`].
#[inline(never)]
pub fn detach(top: &Fd, shows: bool) -> Result<()> {
    // Keeps the detach from failing because of copies of the mounts below, and from taking them along. When it is refused
    // the detach is tried all the same (L3).
    let _ = mount::give_up(top, shows);
    mount::detach(top)
}
