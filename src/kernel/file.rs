// SPDX-License-Identifier: GPL-3.0-only
//! Files and directories: open(2) and its family, relative to a descriptor, following nothing.
//!
//! Everything is opened close-on-exec. Only the functions with *follow* in their name follow a symbolic link in
//! the last component.

use super::{ANY, Errno, Fd, FdPath, HERE, PATH_BUFFER, Result, call, call_at, done, terminate, word};
use crate::text::position;
use core::ffi::{c_int, c_long, c_ulong};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileType {
    /// A directory.
    Directory = libc::DT_DIR,
    /// A regular file.
    Regular = libc::DT_REG,
    /// A symbolic link.
    Symlink = libc::DT_LNK,
    /// A device, a fifo or a socket.
    Special = libc::DT_SOCK,
}

impl FileType {
    /// The type of this number: one of the `DT_` numbers, which are the upper four bits of `st_mode`, too.
    fn of(number: u8) -> Self {
        match number {
            libc::DT_DIR => FileType::Directory,
            libc::DT_REG => FileType::Regular,
            libc::DT_LNK => FileType::Symlink,
            _ => FileType::Special,
        }
    }
}

/// What fstatat(2) tells, in fixed widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `st_dev`
    pub dev: u64,
    /// `st_ino`
    pub ino: u64,
    /// The kind of object.
    pub kind: FileType,
    /// The twelve permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// `st_ctime` in nanoseconds: when it was last changed.
    pub changed: u64,
}

/// What fstatfs(2) tells of a file system: its magic numbers, `f_type`, and its flags, `f_flags`.
pub struct FileSystem;

impl FileSystem {
    /// tmpfs
    pub const TMPFS: u32 = 0x0102_1994;
    /// The unified control group hierarchy.
    pub const CGROUP2: u32 = 0x6367_7270;
    /// Namespace files, `/proc/PID/ns/*` and their bind mounts.
    pub const NSFS: u32 = 0x6e73_6673;
    /// `ST_RDONLY`: the mount or the file system is read-only.
    pub const READ_ONLY: u32 = 1;
    /// `ST_NOSUID`, `ST_NODEV` and `ST_NOEXEC`, which have the numbers of `MS_NOSUID` and its neighbours.
    pub const RESTRICTIONS: u32 = 0xe;
}

/// How a file is opened; always close-on-exec and never following a link in the last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open(c_int);

impl Open {
    /// Only to be named by the descriptor, `O_PATH`: needs no permission on the object and wakes no device.
    pub const PATH: Open = Open(libc::O_PATH);
    /// `O_PATH`, and it must be a directory.
    pub const PATH_DIR: Open = Open(libc::O_PATH | libc::O_DIRECTORY);
    /// For listing a directory.
    pub const READ_DIR: Open = Open(libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NONBLOCK);
    /// For reading; never waits for the other end of a fifo.
    pub const READ: Open = Open(libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY);
    /// For writing to what exists; never waits for the other end of a fifo.
    pub const WRITE: Open = Open(libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY);
    /// For writing to the end of what exists.
    pub const APPEND: Open = Open(libc::O_WRONLY | libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOCTTY);
    /// For writing to the end of a file, created when absent.
    pub const JOURNAL: Open = Open(Open::APPEND.0 | libc::O_CREAT);
    /// For reading and writing, created when absent.
    pub const LOCK: Open = Open(libc::O_RDWR | libc::O_CREAT | libc::O_NOCTTY | libc::O_NONBLOCK);
    /// A new file for reading and writing; `EEXIST` when the name is taken.
    pub const NEW: Open = Open(libc::O_RDWR | libc::O_CREAT | libc::O_EXCL);
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start<'f>(usize, PhantomData<&'f Fd>);

impl<'f> Start<'f> {
    /// At the process's root: it is an absolute one.
    pub const ROOT: Start<'static> = Start(HERE, PhantomData);

    /// At an open directory.
    pub fn at(dir: &'f Fd) -> Self {
        Start(dir.raw(), PhantomData)
    }
}

/// openat2(2)'s `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const SYS_OPENAT2: libc::c_long = 437;
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;

/// Opens an absolute path from the process's root. Links in directory position are followed.
#[inline(never)]
pub fn open(path: &[u8], how: Open) -> Result<Fd> {
    create(path, how, 0)
}

/// The same; what it creates has this mode.
pub fn create(path: &[u8], how: Open, mode: u32) -> Result<Fd> {
    open_flags(HERE, path, how.0 | libc::O_NOFOLLOW, mode)
}

/// Opens one name in a directory, or an absolute path.
pub fn open_from(dir: Start<'_>, path: &[u8], how: Open) -> Result<Fd> {
    open_flags(dir.0, path, how.0 | libc::O_NOFOLLOW, 0)
}

/// Opens an absolute path, following links everywhere, also in the last component.
pub fn open_follow(path: &[u8], how: Open) -> Result<Fd> {
    open_flags(HERE, path, how.0, 0)
}

/// Opens one name in a directory.
#[inline(never)]
pub fn open_at(dir: &Fd, name: &[u8], how: Open) -> Result<Fd> {
    create_at(dir, name, how, 0)
}

/// The same; what it creates has this mode.
#[inline(never)]
pub fn create_at(dir: &Fd, name: &[u8], how: Open, mode: u32) -> Result<Fd> {
    open_flags(dir.raw(), name, how.0 | libc::O_NOFOLLOW, mode)
}

#[inline(never)]
fn open_flags(dir: usize, path: &[u8], flags: c_int, mode: u32) -> Result<Fd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_LARGEFILE;
    // SAFETY: flags and mode are what openat(2) takes.
    unsafe { call_at(libc::SYS_openat, dir, path, word(flags as usize), word(mode as usize), ANY) }
        .map(Fd::own)
}

/// Opens a path with no symbolic link anywhere in it, in one call: openat2(2), Linux 5.6. `ELOOP` when a
/// directory in it is a link; the last component may be one, and is then opened itself (`O_PATH`). `ENOSYS` on older kernels.
pub fn open_no_symlinks(dir: Start<'_>, path: &[u8], how: Open) -> Result<Fd> {
    let how = OpenHow {
        flags: (how.0 | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    loop {
        // SAFETY: the structure outlives the call, and the size is the structure's.
        let opened = unsafe {
            call_at(SYS_OPENAT2, dir.0, path, word(&raw const how as usize), word(size_of::<OpenHow>()), ANY)
        };
        match opened {
            Err(Errno::EAGAIN) => {}
            done => return done.map(Fd::own),
        }
    }
}

#[cfg(target_arch = "arm")]
const SYS_FSTATAT: c_long = libc::SYS_fstatat64;
#[cfg(not(target_arch = "arm"))]
const SYS_FSTATAT: c_long = libc::SYS_newfstatat;

/// The structure is the kernel's own on our 64-bit machines. On 32-bit Arm so is that of musl's first years, which
/// is the one the libc crate knows: `struct stat64` in the kernel.
type KernelStat = libc::stat;
#[cfg(target_arch = "arm")]
const _: () = {
    assert!(size_of::<KernelStat>() == 104);
    assert!(core::mem::offset_of!(KernelStat, st_mode) == 16);
    assert!(core::mem::offset_of!(KernelStat, st_size) == 48);
    assert!(core::mem::offset_of!(KernelStat, st_ino) == 96);
};

/// A link is looked at itself, and nothing is automounted.
const AS_IT_IS: c_int = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;

/// fstat(2); works on `O_PATH` descriptors since Linux 3.6.
pub fn stat(fd: &Fd) -> Result<Stat> {
    stat_flags(fd.raw(), b"", libc::AT_EMPTY_PATH)
}

/// fstatat(2) of a name in a directory; a link is looked at itself.
pub fn stat_at(dir: &Fd, name: &[u8]) -> Result<Stat> {
    stat_flags(dir.raw(), name, AS_IT_IS)
}

/// lstat(2) of an absolute path: links in directory position are followed.
pub fn lstat(path: &[u8]) -> Result<Stat> {
    stat_flags(HERE, path, AS_IT_IS)
}

#[inline(never)]
fn stat_flags(dir: usize, path: &[u8], flags: c_int) -> Result<Stat> {
    let mut stat = MaybeUninit::<KernelStat>::uninit();
    // SAFETY: `stat` has the size that the kernel fills.
    unsafe { call_at(SYS_FSTATAT, dir, path, word(stat.as_mut_ptr() as usize), word(flags as usize), ANY) }?;
    // SAFETY: the call succeeded, so it filled the structure.
    let stat = unsafe { stat.assume_init() };
    Ok(Stat {
        dev: stat.st_dev,
        ino: stat.st_ino,
        kind: FileType::of((stat.st_mode >> 12) as u8),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        changed: (stat.st_ctime as u64).wrapping_mul(1_000_000_000).wrapping_add(stat.st_ctime_nsec as u64),
    })
}

/// `struct statfs` of the kernel; on 32-bit Arm its `struct statfs64`. The libc crate hides `f_flags`.
#[repr(C)]
struct StatFs {
    kind: c_ulong,
    block_size: c_ulong,
    counts: [u64; 5],
    id: [c_int; 2],
    name_len: c_ulong,
    fragment_size: c_ulong,
    flags: c_ulong,
    spare: [c_ulong; 4],
}

const _: () = assert!(size_of::<StatFs>() == size_of::<libc::statfs>());

/// statfs(2): the magic number of the file system. Links are followed.
#[inline(never)]
pub fn magic_of(path: &[u8]) -> Result<u32> {
    let mut buffer = PATH_BUFFER;
    #[cfg(not(target_arch = "arm"))]
    const NUMBER: c_long = libc::SYS_statfs;
    #[cfg(target_arch = "arm")]
    const NUMBER: c_long = libc::SYS_statfs64;
    terminate(path, &mut buffer)?;
    stat_fs(NUMBER, buffer.as_ptr() as usize, false)
}

/// fstatfs(2): the magic number of the file system.
pub fn magic(fd: &Fd) -> Result<u32> {
    file_system(fd, false)
}

/// fstatfs(2): the flags of the mount and the file system, `ST_`.
pub fn flags(fd: &Fd) -> Result<u32> {
    file_system(fd, true)
}

fn file_system(fd: &Fd, flags: bool) -> Result<u32> {
    #[cfg(not(target_arch = "arm"))]
    const NUMBER: c_long = libc::SYS_fstatfs;
    #[cfg(target_arch = "arm")]
    const NUMBER: c_long = libc::SYS_fstatfs64;
    stat_fs(NUMBER, fd.raw(), flags)
}

#[inline(never)]
fn stat_fs(number: c_long, what: usize, flags: bool) -> Result<u32> {
    let mut fs = MaybeUninit::<StatFs>::uninit();
    let place = fs.as_mut_ptr() as usize;
    // On 32-bit Arm the size comes in front. (Padded; the kernel knows both sizes.)
    let (second, third) = if cfg!(target_arch = "arm") { (size_of::<StatFs>(), place) } else { (place, 0) };
    // SAFETY: `what` is a descriptor or a string that ends in NUL and outlives the call; `StatFs` has the size and layout of
    // the kernel's structure.
    unsafe { call(number, what, second, word(third), ANY, ANY) }?;
    // SAFETY: the call succeeded, so it filled the structure.
    let fs = unsafe { fs.assume_init() };
    Ok(if flags { fs.flags } else { fs.kind } as u32)
}

/// read(2) into `buffer`; 0 at the end of the file.
#[inline(never)]
pub fn read(fd: &Fd, buffer: &mut [u8]) -> Result<u32> {
    // SAFETY: pointer and length are one slice's.
    unsafe { call(libc::SYS_read, fd.raw(), buffer.as_mut_ptr() as usize, word(buffer.len()), ANY, ANY) }
}

/// The text of `/proc/self/fdinfo/N` (proc_pid_fdinfo(5)), as far as it fits. Gives its length.
pub fn read_fdinfo(fd: &Fd, buffer: &mut [u8]) -> Result<u32> {
    let path = FdPath::info(fd);
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
    // SAFETY: the path ends in NUL and outlives the call.
    let info = unsafe { call(libc::SYS_openat, HERE, path.raw(), word(flags), word(0), ANY) }.map(Fd::own)?;
    read(&info, buffer)
}

/// write(2) until everything is written.
pub fn write_all(fd: &Fd, bytes: &[u8]) -> Result<()> {
    write_number(fd.raw(), bytes)
}

/// write(2) to the descriptor of this number until everything is written.
pub(super) fn write_number(fd: usize, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are one slice's.
        match unsafe { call(libc::SYS_write, fd, bytes.as_ptr() as usize, word(bytes.len()), ANY, ANY) }? {
            0 => return Err(Errno::EIO),
            put => bytes = bytes.get(put as usize..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// mkdirat(2); the caller's umask is 0.
pub fn make_directory(dir: &Fd, name: &[u8], mode: u32) -> Result<()> {
    // SAFETY: what follows is a mode.
    unsafe { call_at(libc::SYS_mkdirat, dir.raw(), name, word(mode as usize), ANY, ANY) }.map(drop)
}

/// mknodat(2) of an empty regular file; the caller's umask is 0.
pub fn make_file(dir: &Fd, name: &[u8], mode: u32) -> Result<()> {
    // SAFETY: what follows are a mode and no device.
    unsafe {
        call_at(libc::SYS_mknodat, dir.raw(), name, word((libc::S_IFREG | mode) as usize), word(0), ANY)
    }
    .map(drop)
}

/// mkdir(2) of an absolute path: links in directory position are followed.
pub fn make_directory_path(path: &[u8], mode: u32) -> Result<()> {
    // SAFETY: what follows is a mode.
    unsafe { call_at(libc::SYS_mkdirat, HERE, path, word(mode as usize), ANY, ANY) }.map(drop)
}

/// symlinkat(2)
pub fn make_symlink(dir: &Fd, name: &[u8], text: &[u8]) -> Result<()> {
    let (mut first, mut second) = (PATH_BUFFER, PATH_BUFFER);
    terminate(text, &mut first)?;
    terminate(name, &mut second)?;
    let (text, name) = (first.as_ptr() as usize, second.as_ptr() as usize);
    // SAFETY: both strings end in NUL and outlive the call.
    unsafe { done(libc::SYS_symlinkat, text, dir.raw(), word(name), ANY, ANY) }
}

/// renameat(2) inside one directory.
pub fn rename(dir: &Fd, from: &[u8], to: &[u8]) -> Result<()> {
    let mut buffer = PATH_BUFFER;
    terminate(to, &mut buffer)?;
    let to = buffer.as_ptr() as usize;
    // SAFETY: what follows are a directory and a string that ends in NUL and outlives the call.
    unsafe { call_at(libc::SYS_renameat, dir.raw(), from, word(dir.raw()), word(to), ANY) }.map(drop)
}

/// readlinkat(2) of an open link (`O_PATH`); the text is cut at the buffer's end, as the call does. Gives its length.
pub fn read_link(fd: &Fd, buffer: &mut [u8]) -> Result<u32> {
    link_text(fd.raw(), c"".as_ptr() as usize, buffer)
}

/// readlink(2) of `/proc/self/fd/N`: where the object behind the descriptor is by now, for a sentence. Gives its length.
pub fn path_of(fd: &Fd, buffer: &mut [u8]) -> Result<u32> {
    link_text(HERE, FdPath::of(fd).raw(), buffer)
}

/// `path` is the address of a C string.
fn link_text(dir: usize, path: usize, buffer: &mut [u8]) -> Result<u32> {
    // SAFETY: both callers' paths end in NUL and outlive the call; pointer and length are one slice's.
    unsafe {
        call(libc::SYS_readlinkat, dir, path, word(buffer.as_mut_ptr() as usize), word(buffer.len()), ANY)
    }
}

/// fchownat(2) of the object behind the descriptor, `O_PATH` and links included.
pub fn chown(fd: &Fd, uid: u32, gid: u32) -> Result<()> {
    chown_at_or(fd, b"", uid, gid, libc::AT_EMPTY_PATH)
}

/// fchownat(2) of a name in a directory; a link is changed itself.
pub fn chown_at(dir: &Fd, name: &[u8], uid: u32, gid: u32) -> Result<()> {
    chown_at_or(dir, name, uid, gid, libc::AT_SYMLINK_NOFOLLOW)
}

fn chown_at_or(dir: &Fd, name: &[u8], uid: u32, gid: u32, flags: c_int) -> Result<()> {
    // SAFETY: what follows are two ids and flags.
    unsafe {
        call_at(
            libc::SYS_fchownat,
            dir.raw(),
            name,
            word(uid as usize),
            word(gid as usize),
            word(flags as usize),
        )
    }
    .map(drop)
}

/// fchmod(2); not of an `O_PATH` descriptor.
pub fn chmod(fd: &Fd, mode: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { done(libc::SYS_fchmod, fd.raw(), mode as usize, ANY, ANY, ANY) }
}

/// unlinkat(2) of something that is not a directory.
pub fn unlink(dir: &Fd, name: &[u8]) -> Result<()> {
    unlink_flags(dir, name, 0)
}

/// unlinkat(2) of an empty directory.
pub fn remove_directory(dir: &Fd, name: &[u8]) -> Result<()> {
    unlink_flags(dir, name, libc::AT_REMOVEDIR)
}

fn unlink_flags(dir: &Fd, name: &[u8], flags: c_int) -> Result<()> {
    // SAFETY: what follows are flags.
    unsafe { call_at(libc::SYS_unlinkat, dir.raw(), name, word(flags as usize), ANY, ANY) }.map(drop)
}

/// fsync(2)
pub fn sync(fd: &Fd) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { done(libc::SYS_fsync, fd.raw(), 0, ANY, ANY, ANY) }
}

/// One name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'b> {
    /// The name; never `.` or `..`.
    pub name: &'b [u8],
    /// What it is; absent where the file system does not say (`DT_UNKNOWN`).
    pub kind: Option<FileType>,
}

/// getdents64(2): calls `each` for all names in the directory, or until it answers false. `buffer` is for what one call
/// brings.
pub fn list(dir: &Fd, buffer: &mut [u8], mut each: impl FnMut(DirEntry<'_>) -> bool) -> Result<()> {
    list_each(dir, buffer, &mut each)
}

#[inline(never)]
fn list_each(dir: &Fd, buffer: &mut [u8], each: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
    loop {
        // SAFETY: pointer and length are one slice's.
        let got = unsafe {
            call(libc::SYS_getdents64, dir.raw(), buffer.as_mut_ptr() as usize, word(buffer.len()), ANY, ANY)
        }?;
        if got == 0 {
            return Ok(());
        }
        // struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name
        let mut rest = buffer.get(..got as usize).unwrap_or_default();
        while let Some((&[.., low, high, kind], behind)) = rest.split_first_chunk::<19>() {
            let name = behind.get(..position(behind, 0)).unwrap_or_default();
            let kind = if kind == libc::DT_UNKNOWN { None } else { Some(FileType::of(kind)) };
            if !matches!(name, b"." | b"..") && !each(DirEntry { name, kind }) {
                return Ok(());
            }
            // None is empty.
            let len = u16::from_ne_bytes([low, high]).max(1);
            rest = rest.get(usize::from(len)..).unwrap_or_default();
        }
    }
}

/// lseek(2) to the start of the file.
pub fn rewind(fd: &Fd) -> Result<()> {
    // SAFETY: no memory is passed.
    unsafe { done(libc::SYS_lseek, fd.raw(), 0, word(libc::SEEK_SET as usize), ANY, ANY) }
}
