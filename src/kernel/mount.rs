// SPDX-License-Identifier: GPL-3.0-only
//! Mounting and unmounting: mount(2) and umount2(2), by descriptor.
//!
//! Both calls know only paths. A descriptor is given to them as `/proc/self/fd/N`, which the kernel resolves to
//! the object itself: nothing can be swapped between the look and the use. AppArmor resolves it to the real path
//! before it matches, and compares the whole set of flags with its rules; so the flags here are exactly those
//! that snapd's profiles grant.

use super::{ANY, Errno, Fd, FdPath, HERE, PATH_BUFFER, Result, call, call_at, done, terminate, word};
use crate::mount::MountId;
use crate::text::{position, split};
use core::ffi::{CStr, c_int, c_long, c_ulong};
use core::mem::MaybeUninit;

/// Whether a call reaches the mounts below the one it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the mount itself.
    One,
    /// The mount and everything below it, `MS_REC`.
    Tree,
}

impl Reach {
    fn flag(self) -> c_ulong {
        match self {
            Reach::One => 0,
            Reach::Tree => libc::MS_REC,
        }
    }
}

/// mount(2) on what the descriptor names; `source` and `data` are the addresses of C strings, `data` may be 0.
#[inline(never)]
fn mount(source: usize, target: &Fd, fstype: usize, flags: c_ulong, data: usize) -> Result<()> {
    let target = FdPath::of(target);
    // SAFETY: every string ends in NUL and outlives the call; `data` is null or such a string.
    unsafe { done(libc::SYS_mount, source, target.raw(), word(fstype), word(flags as usize), word(data)) }
}

/// The address of a C string.
fn raw(text: &'static CStr) -> usize {
    text.as_ptr() as usize
}

/// Bind mount: what `source` names appears at `target`.
pub fn bind(source: &Fd, target: &Fd, reach: Reach) -> Result<()> {
    mount(FdPath::of(source).raw(), target, raw(c""), libc::MS_BIND | reach.flag(), 0)
}

/// Remounts the bind mount whose root is `target` read-only. The call sets the flags absolutely (mount(2)), so
/// nosuid, nodev and noexec that the mount has must be named in `keep` (`MS_` bits).
pub fn remount_read_only(target: &Fd, keep: u32) -> Result<()> {
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | c_ulong::from(keep);
    mount(raw(c"none"), target, raw(c""), flags, 0)
}

/// Mounts a new file system. `data` holds the options of the file system, joined with commas; empty for none.
pub fn new(source: &[u8], target: &Fd, fstype: &[u8], flags: u32, data: &[u8]) -> Result<()> {
    let (mut buffer, mut kind, mut text) = (PATH_BUFFER, [MaybeUninit::uninit(); 64], PATH_BUFFER);
    terminate(source, &mut buffer)?;
    terminate(fstype, &mut kind).map_err(|_| Errno::ENODEV)?;
    // The kernel reads at most a page of options.
    terminate(data, &mut text)?;
    let (source, fstype) = (buffer.as_ptr() as usize, kind.as_ptr() as usize);
    let data = if data.is_empty() { 0 } else { text.as_ptr() as usize };
    mount(source, target, fstype, c_ulong::from(flags), data)
}

/// Changes the propagation of the mount whose root is `target`: one of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`.
pub fn change_propagation(target: &Fd, propagation: u32, reach: Reach) -> Result<()> {
    mount(raw(c"none"), target, raw(c""), c_ulong::from(propagation) | reach.flag(), 0)
}

/// A copy of what is seen at a name in a directory, or of what the descriptor names when the name is empty: a mount that
/// is not attached anywhere yet. open_tree(2), Linux 5.2. A symbolic link is not followed.
pub fn copy(dir: &Fd, name: &[u8], reach: Reach) -> Result<Fd> {
    const OPEN_TREE_CLONE: c_int = 1;
    let recursive = if reach == Reach::Tree { AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: what follows are flags.
    unsafe { call_at(SYS_OPEN_TREE, dir.raw(), name, word(flags as usize | recursive), ANY, ANY) }
        .map(Fd::own)
}

/// Where a mount is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// On top of what is seen there.
    OnTop,
    /// Below the mount whose root that is, which still is all that is seen: `MOVE_MOUNT_BENEATH`, Linux 6.5.
    Beneath,
}

/// Attaches a mount that [`copy`] or [`new_tmpfs`] has made, at a name in a directory or at what the descriptor names
/// when the name is empty. The directory may lie in a mount that is not attached yet (Linux 6.15). move_mount(2), Linux
/// 5.2. A symbolic link is not followed.
pub fn attach(tree: &Fd, dir: &Fd, name: &[u8], how: Attach) -> Result<()> {
    let flags = EMPTY_PATHS | if how == Attach::Beneath { BENEATH } else { 0 };
    let mut buffer = PATH_BUFFER;
    terminate(name, &mut buffer)?;
    let name = buffer.as_ptr() as usize;
    // SAFETY: both paths end in NUL and outlive the call.
    unsafe { done(SYS_MOVE_MOUNT, tree.raw(), raw(c""), word(dir.raw()), word(name), word(flags)) }
}

/// A tmpfs that is not attached anywhere yet, with options as mount(2) has them: words with commas between, of up to 31
/// bytes each. fsopen(2), fsconfig(2), fsmount(2), Linux 5.2.
pub fn new_tmpfs(options: &[u8]) -> Result<Fd> {
    const CLOEXEC: usize = 1;
    const SET_STRING: usize = 1;
    const CREATE: usize = 6;
    const LONGEST_OPTION: usize = 31;
    // SAFETY: the name ends in NUL.
    let context = unsafe { call(SYS_FSOPEN, raw(c"tmpfs"), CLOEXEC, ANY, ANY, ANY) }.map(Fd::own)?;
    let mut options = split(options, b',');
    let mut next = Some(&b"source=tmpfs"[..]);
    while let Some(option) = next {
        // The equals sign becomes the end of the name; where there is none the value is empty.
        let mut text = [MaybeUninit::new(0); LONGEST_OPTION + 2];
        terminate(option, text.get_mut(..=LONGEST_OPTION).unwrap_or_default())?;
        let equals = position(option, b'=');
        if let Some(place) = text.get_mut(equals) {
            place.write(0);
        }
        let name = text.as_ptr() as usize;
        // SAFETY: both strings end in NUL and outlive the call: everything behind the option is 0, and one byte is there.
        unsafe {
            done(SYS_FSCONFIG, context.raw(), SET_STRING, word(name), word(name + equals + 1), word(0))
        }?;
        next = options.next();
    }
    // SAFETY: no memory is passed.
    unsafe {
        done(SYS_FSCONFIG, context.raw(), CREATE, word(0), word(0), word(0))?;
        call(SYS_FSMOUNT, context.raw(), CLOEXEC, word(0), ANY, ANY).map(Fd::own)
    }
}

/// Whether the kernel knows how to attach beneath: it looks at the flags of the call before it looks at the descriptors,
/// of which there are none here.
pub fn can_attach_beneath() -> bool {
    // SAFETY: both paths are empty, and end in NUL.
    let done = unsafe {
        done(
            SYS_MOVE_MOUNT,
            usize::MAX,
            raw(c""),
            word(usize::MAX),
            word(raw(c"")),
            word(EMPTY_PATHS | BENEATH),
        )
    };
    done == Err(Errno::new(libc::EBADF as u32))
}

const EMPTY_PATHS: usize = 0x44;
const BENEATH: usize = 0x200;

/// Whether a mount that is not attached yet can have mounts in it: Linux 6.15. It is tried.
pub fn can_mount_aside() -> bool {
    new_tmpfs(b"mode=0755").is_ok_and(|outer| {
        new_tmpfs(b"mode=0755").is_ok_and(|inner| attach(&inner, &outer, b"", Attach::OnTop).is_ok())
    })
}

const SYS_OPEN_TREE: c_long = 428;
const SYS_MOVE_MOUNT: c_long = 429;
const SYS_FSOPEN: c_long = 430;
const SYS_FSCONFIG: c_long = 431;
const SYS_FSMOUNT: c_long = 432;

/// Changes the propagation of the whole tree whose root is `target`, in front of its detaching: the copies that it has
/// elsewhere neither keep it nor go with it. `MS_UNBINDABLE` is that of `MS_PRIVATE`, and shows in mountinfo: a mount of
/// ours that has it was about to go when somebody killed us. AppArmor grants only `MS_PRIVATE`.
pub fn give_up(target: &Fd, shows: bool) -> Result<()> {
    // In one call without /proc: mount_setattr(2), Linux 5.12.
    if shows && set_attributes(target, AT_RECURSIVE, 0, libc::MS_UNBINDABLE).is_ok() {
        return Ok(());
    }
    let how = if shows { libc::MS_UNBINDABLE } else { libc::MS_PRIVATE };
    change_propagation(target, how as u32, Reach::Tree)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

const SYS_MOUNT_SETATTR: libc::c_long = 442;
const MOUNT_ATTR_RDONLY: u64 = 1;
const AT_RECURSIVE: usize = 0x8000;

/// Makes the mount whose root is `target`, or the tree below it, read-only, all or nothing, and leaves every other
/// flag alone: mount_setattr(2), Linux 5.12; `ENOSYS` before.
pub fn set_read_only(target: &Fd, reach: Reach) -> Result<()> {
    let recursive = match reach {
        Reach::One => 0,
        Reach::Tree => AT_RECURSIVE,
    };
    set_attributes(target, recursive, MOUNT_ATTR_RDONLY, 0)
}

#[inline(never)]
fn set_attributes(target: &Fd, reach: usize, set: u64, propagation: c_ulong) -> Result<()> {
    let attr = MountAttr { set, clear: 0, propagation: u64::from(propagation as u32), userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH as usize | reach;
    let (attr, size) = (&raw const attr as usize, size_of::<MountAttr>());
    // SAFETY: the empty path ends in NUL; the size is the structure's.
    unsafe { done(SYS_MOUNT_SETATTR, target.raw(), raw(c""), word(flags), word(attr), word(size)) }
}

/// Takes away the top mount at a name in a directory, if it is not in use. A symbolic link is not followed, and no
/// descriptor of the mount itself has to be open, which alone would make it busy.
pub fn unmount_at(dir: &Fd, name: &[u8]) -> Result<()> {
    unmount(&FdPath::inside(dir, name)?, libc::UMOUNT_NOFOLLOW)
}

/// Takes away what is mounted on top of what the descriptor names, or else the mount whose root it is, with all below
/// it: `MNT_DETACH`. In use or not.
pub fn detach(fd: &Fd) -> Result<()> {
    unmount(&FdPath::of(fd), libc::MNT_DETACH)
}

fn unmount(path: &FdPath, flags: c_int) -> Result<()> {
    // SAFETY: the path ends in NUL and outlives the call.
    unsafe { done(libc::SYS_umount2, path.raw(), flags as usize, ANY, ANY, ANY) }
}

/// Where an object lies among the mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its mount; absent before Linux 5.8 where /proc does not tell either.
    pub mount: Option<MountId>,
    /// Whether the object is the root of a mount; absent where the kernel does not say (before 5.8).
    pub mount_root: Option<bool>,
}

const STATX_MNT_ID: u32 = 0x1000;
const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;

/// `struct statx`, the part in front of what we read and the rest.
#[repr(C)]
struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    owner: [u8; 16],
    inode: u64,
    sizes: [u64; 2],
    attributes_mask: u64,
    times: [u8; 72],
    device: u64,
    mount: u64,
    spare: [u64; 13],
}

const _: () = assert!(size_of::<Statx>() == 256 && core::mem::offset_of!(Statx, mount) == 144);
const _: () = assert!(core::mem::offset_of!(Statx, inode) == 32);

/// The place of what the descriptor names. Where the call is refused nothing is told.
pub fn place_of(fd: &Fd) -> Place {
    place_at(fd.raw(), b"")
}

/// The place of the process's root.
pub fn place_of_root() -> Place {
    place_at(HERE, b"/")
}

/// Whether there is the root of a mount at an absolute path, with the very object that is at `source`, and whether that mount
/// has `MS_RDONLY` just as these flags. No file system is asked for anything that the kernel knows by itself, but links in
/// directory position are followed. False also where the kernel does not tell: before statmount(2), Linux 6.8.
pub fn shows(source: &[u8], target: &[u8], flags: u32) -> bool {
    const BASIC: u64 = 2;
    const MASK: u32 = libc::STATX_INO | STATX_MNT_ID_UNIQUE;
    let (source, target) = (look(HERE, source, MASK), look(HERE, target, MASK));
    // `struct mnt_id_req` of 24 bytes; of the first nine words of `struct statmount` the last are the flags.
    let asked = [24, target.mount, BASIC];
    let mut answer = MaybeUninit::<[u64; 9]>::uninit();
    let (from, to) = (asked.as_ptr() as usize, answer.as_mut_ptr() as usize);
    // SAFETY: both arrays outlive the call, which fills no more than it is told.
    let done = unsafe { done(SYS_STATMOUNT, from, to, word(size_of_val(&answer)), word(0), ANY) };
    target.attributes & target.attributes_mask & STATX_ATTR_MOUNT_ROOT != 0
        && (target.device, target.inode) == (source.device, source.inode)
        && done.is_ok()
        // SAFETY: the call succeeded, so it filled the array.
        && (unsafe { answer.assume_init() }[8] ^ u64::from(flags)) & MOUNT_ATTR_RDONLY == 0
}

const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
const SYS_STATMOUNT: c_long = 457;

/// statx(2), Linux 4.11, of a path, or of the descriptor itself when that is empty; all zeros where it fails. Links are not
/// followed, nothing is automounted, and no file system is waited for that has told of the object before.
#[inline(never)]
fn look(dir: usize, path: &[u8], mask: u32) -> Statx {
    const FLAGS: i32 =
        libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    let mut answer = MaybeUninit::<Statx>::zeroed();
    let place = answer.as_mut_ptr() as usize;
    // SAFETY: `answer` has the size the call fills.
    let _ = unsafe {
        call_at(libc::SYS_statx, dir, path, word(FLAGS as usize), word(mask as usize), word(place))
    };
    // SAFETY: all bit patterns are valid, and it was zeroed before the call, which writes nothing where it fails.
    unsafe { answer.assume_init() }
}

/// The place of a path, or of the descriptor itself when that is empty.
#[inline(never)]
fn place_at(dir: usize, path: &[u8]) -> Place {
    let answer = look(dir, path, STATX_MNT_ID);
    Place {
        // An emulator may hand on the mask and not what it tells of.
        mount: MountId::new(if answer.mask & STATX_MNT_ID != 0 { answer.mount as u32 } else { 0 }),
        mount_root: (answer.attributes_mask & STATX_ATTR_MOUNT_ROOT != 0)
            .then_some(answer.attributes & STATX_ATTR_MOUNT_ROOT != 0),
    }
}
