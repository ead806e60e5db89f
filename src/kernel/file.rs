// SPDX-License-Identifier: GPL-3.0-only
//! Files and directories: open(2) and its family, relative to a descriptor, following nothing.
//!
//! Everything is opened close-on-exec. Only the functions with *follow* in their name follow a symbolic link in
//! the last component.

use super::{EMPTY, Errno, Fd, FdPath, NameBuffer, PathBuffer, Result, check, check_long};
use core::ffi::{c_int, c_uint, c_ulong};
use core::mem::MaybeUninit;

/// What an object is, from `st_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A device, a fifo or a socket.
    Special,
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
}

/// What fstatfs(2) tells of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// `f_type`, one of the magic numbers of statfs(2).
    pub magic: u32,
    /// `ST_RDONLY`: the mount or the file system is read-only.
    pub read_only: bool,
    /// `ST_NOSUID`, `ST_NODEV` and `ST_NOEXEC`, which have the numbers of `MS_NOSUID` and its neighbours.
    pub restrictions: u32,
}

impl FileSystem {
    /// squashfs
    pub const SQUASHFS: u32 = 0x7371_7368;
    /// tmpfs
    pub const TMPFS: u32 = 0x0102_1994;
    /// The unified control group hierarchy.
    pub const CGROUP2: u32 = 0x6367_7270;
    /// Namespace files, `/proc/PID/ns/*` and their bind mounts.
    pub const NSFS: u32 = 0x6e73_6673;
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
    /// For reading and writing, created when absent.
    pub const LOCK: Open = Open(libc::O_RDWR | libc::O_CREAT | libc::O_NOCTTY | libc::O_NONBLOCK);
    /// A new file for reading and writing; `EEXIST` when the name is taken.
    pub const NEW: Open = Open(libc::O_RDWR | libc::O_CREAT | libc::O_EXCL);
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
pub fn open(path: &[u8], how: Open, mode: u32) -> Result<Fd> {
    open_flags(libc::AT_FDCWD, &PathBuffer::new(path)?, how.0 | libc::O_NOFOLLOW, mode)
}

/// Opens an absolute path, following links everywhere, also in the last component.
pub fn open_follow(path: &[u8], how: Open) -> Result<Fd> {
    open_flags(libc::AT_FDCWD, &PathBuffer::new(path)?, how.0, 0)
}

fn open_flags<const N: usize>(
    dir: c_int,
    path: &super::Terminated<N>,
    flags: c_int,
    mode: u32,
) -> Result<Fd> {
    loop {
        // SAFETY: the path ends in NUL and outlives the call.
        let fd = unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC, mode as c_uint) };
        match check(fd) {
            Err(Errno::EINTR) => {}
            done => return done.map(Fd::own),
        }
    }
}

/// Opens one name in a directory.
pub fn open_at(dir: &Fd, name: &[u8], how: Open, mode: u32) -> Result<Fd> {
    open_flags(dir.raw(), &NameBuffer::new(name)?, how.0 | libc::O_NOFOLLOW, mode)
}

/// Opens an absolute path with no symbolic link anywhere in it, in one call: openat2(2), Linux 5.6.
/// `ELOOP` when a directory in it is a link; the last component may be one, and is then opened itself
/// (`O_PATH`). `ENOSYS` on older kernels.
pub fn open_no_symlinks(path: &[u8], how: Open) -> Result<Fd> {
    let path = PathBuffer::new(path)?;
    let how = OpenHow {
        flags: (how.0 | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    loop {
        // SAFETY: path and structure outlive the call, and the size is the structure's.
        let fd = unsafe {
            libc::syscall(
                SYS_OPENAT2,
                libc::AT_FDCWD,
                path.as_ptr(),
                &raw const how,
                core::mem::size_of::<OpenHow>(),
            )
        };
        match check(fd as c_int) {
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            done => return done.map(Fd::own),
        }
    }
}

/// fstat(2); works on `O_PATH` descriptors since Linux 3.6.
pub fn stat(fd: &Fd) -> Result<Stat> {
    stat_flags(fd.raw(), EMPTY.as_ptr(), libc::AT_EMPTY_PATH)
}

/// fstatat(2) of a name in a directory; a link is looked at itself.
pub fn stat_at(dir: &Fd, name: &[u8]) -> Result<Stat> {
    let name = NameBuffer::new(name)?;
    stat_flags(dir.raw(), name.as_ptr(), libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT)
}

/// lstat(2) of an absolute path: links in directory position are followed.
pub fn lstat(path: &[u8]) -> Result<Stat> {
    let path = PathBuffer::new(path)?;
    stat_flags(libc::AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT)
}

fn stat_flags(dir: c_int, path: *const core::ffi::c_char, flags: c_int) -> Result<Stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: every caller's path ends in NUL and outlives the call; `stat` has the right size.
    check(unsafe { libc::fstatat(dir, path, stat.as_mut_ptr(), flags) })?;
    // SAFETY: the call succeeded, so it filled the structure.
    let stat = unsafe { stat.assume_init() };
    Ok(Stat {
        dev: stat.st_dev,
        ino: stat.st_ino,
        kind: match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => FileType::Directory,
            libc::S_IFREG => FileType::Regular,
            libc::S_IFLNK => FileType::Symlink,
            _ => FileType::Special,
        },
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
    })
}

/// `struct statfs` as musl has it, and the GNU library on 64-bit machines; the libc crate hides `f_flags`.
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

/// fstatfs(2)
pub fn file_system(fd: &Fd) -> Result<FileSystem> {
    let mut fs = MaybeUninit::<StatFs>::uninit();
    // SAFETY: `StatFs` has the size and layout of the C library's structure.
    check(unsafe { libc::fstatfs(fd.raw(), fs.as_mut_ptr().cast()) })?;
    // SAFETY: the call succeeded, so it filled the structure.
    let fs = unsafe { fs.assume_init() };
    Ok(FileSystem {
        magic: fs.kind as u32,
        read_only: fs.flags & 1 != 0,
        restrictions: fs.flags as u32 & 0xe,
    })
}

/// read(2) into `buffer`; 0 at the end of the file.
pub fn read(fd: &Fd, buffer: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: pointer and length are one slice's.
        let got = unsafe { libc::read(fd.raw(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check_long(got) {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// The text of `/proc/self/fdinfo/N` (proc_pid_fdinfo(5)), as far as it fits.
pub fn read_fdinfo<'b>(fd: &Fd, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let path = super::FdPath::info(fd);
    // SAFETY: the path ends in NUL and outlives the call.
    let info = Fd::own(check(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })?);
    let got = read(&info, buffer)?;
    Ok(buffer.get(..got).unwrap_or_default())
}

/// write(2) until everything is written.
pub fn write_all(fd: &Fd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are one slice's.
        let put = unsafe { libc::write(fd.raw(), bytes.as_ptr().cast(), bytes.len()) };
        match check_long(put) {
            Err(Errno::EINTR) => {}
            Err(other) => return Err(other),
            Ok(0) => return Err(Errno::EIO),
            Ok(put) => bytes = bytes.get(put..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// mkdirat(2); the caller's umask is 0.
pub fn make_directory(dir: &Fd, name: &[u8], mode: u32) -> Result<()> {
    let name = NameBuffer::new(name)?;
    // SAFETY: the name ends in NUL and outlives the call.
    check(unsafe { libc::mkdirat(dir.raw(), name.as_ptr(), mode as libc::mode_t) }).map(drop)
}

/// symlinkat(2)
pub fn make_symlink(dir: &Fd, name: &[u8], text: &[u8]) -> Result<()> {
    let (name, text) = (NameBuffer::new(name)?, PathBuffer::new(text)?);
    // SAFETY: both strings end in NUL and outlive the call.
    check(unsafe { libc::symlinkat(text.as_ptr(), dir.raw(), name.as_ptr()) }).map(drop)
}

/// readlinkat(2) of an open link (`O_PATH`); the text is cut at the buffer's end, as the call does.
pub fn read_link<'b>(fd: &Fd, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    // SAFETY: the empty path ends in NUL; pointer and length are one slice's.
    let got = unsafe { libc::readlinkat(fd.raw(), EMPTY.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let got = check_long(got)?;
    Ok(buffer.get(..got).unwrap_or_default())
}

/// readlink(2) of `/proc/self/fd/N`: where the object behind the descriptor is by now, for a sentence.
pub fn path_of<'b>(fd: &Fd, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let link = FdPath::of(fd);
    // SAFETY: the path ends in NUL and outlives the call; pointer and length are one slice's.
    let got =
        unsafe { libc::readlinkat(libc::AT_FDCWD, link.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let got = check_long(got)?;
    Ok(buffer.get(..got).unwrap_or_default())
}

/// fchownat(2) of the object behind the descriptor, `O_PATH` and links included.
pub fn chown(fd: &Fd, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: the empty path ends in NUL.
    check(unsafe { libc::fchownat(fd.raw(), EMPTY.as_ptr(), uid, gid, libc::AT_EMPTY_PATH) }).map(drop)
}

/// fchownat(2) of a name in a directory; a link is changed itself.
pub fn chown_at(dir: &Fd, name: &[u8], uid: u32, gid: u32) -> Result<()> {
    let name = NameBuffer::new(name)?;
    // SAFETY: the name ends in NUL and outlives the call.
    check(unsafe { libc::fchownat(dir.raw(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

/// fchmod(2)
pub fn chmod(fd: &Fd, mode: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::fchmod(fd.raw(), mode as libc::mode_t) }).map(drop)
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
    let name = NameBuffer::new(name)?;
    // SAFETY: the name ends in NUL and outlives the call.
    check(unsafe { libc::unlinkat(dir.raw(), name.as_ptr(), flags) }).map(drop)
}

/// renameat(2) inside one directory.
pub fn rename(dir: &Fd, from: &[u8], to: &[u8]) -> Result<()> {
    let (from, to) = (NameBuffer::new(from)?, NameBuffer::new(to)?);
    // SAFETY: both names end in NUL and outlive the call.
    check(unsafe { libc::renameat(dir.raw(), from.as_ptr(), dir.raw(), to.as_ptr()) }).map(drop)
}

/// fsync(2)
pub fn sync(fd: &Fd) -> Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::fsync(fd.raw()) }).map(drop)
}

/// One name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'b> {
    /// The name; never `.` or `..`.
    pub name: &'b [u8],
    /// What it is; absent where the file system does not say (`DT_UNKNOWN`).
    pub kind: Option<FileType>,
    /// Where the next entry is, for [`seek`].
    pub next: i64,
}

/// getdents64(2): calls `each` for what one call brought into `buffer`; false at the end of the directory.
/// `each` ends the run early by answering false, and gets no further entry then.
pub fn list(dir: &Fd, buffer: &mut [u8], mut each: impl FnMut(DirEntry<'_>) -> bool) -> Result<bool> {
    // SAFETY: pointer and length are one slice's.
    let got = unsafe { libc::syscall(libc::SYS_getdents64, dir.raw(), buffer.as_mut_ptr(), buffer.len()) };
    let got = check_long(got as isize)?;
    // struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name
    let mut rest = buffer.get(..got).unwrap_or_default();
    while let (Some(Ok(off)), Some(&[low, high])) =
        (rest.get(8..16).map(<[u8; 8]>::try_from), rest.first_chunk::<18>().and_then(|c| c.last_chunk::<2>()))
    {
        let len = usize::from(u16::from_ne_bytes([low, high]));
        let (Some(record), Some(behind)) = (rest.get(..len), rest.get(len..)) else { break };
        rest = behind;
        let name = record.get(19..).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let kind = match record.get(18).copied().unwrap_or(libc::DT_UNKNOWN) {
            libc::DT_DIR => Some(FileType::Directory),
            libc::DT_REG => Some(FileType::Regular),
            libc::DT_LNK => Some(FileType::Symlink),
            libc::DT_UNKNOWN => None,
            _ => Some(FileType::Special),
        };
        if !each(DirEntry { name, kind, next: i64::from_ne_bytes(off) }) {
            return Ok(true);
        }
        if len == 0 {
            break;
        }
    }
    Ok(got != 0)
}

/// lseek(2) from the start of the file, or to a place that [`DirEntry::next`] named.
pub fn seek(fd: &Fd, place: i64) -> Result<()> {
    // SAFETY: no memory is passed.
    let at = unsafe { libc::lseek(fd.raw(), place as libc::off_t, libc::SEEK_SET) };
    if at == -1 { Err(super::errno()) } else { Ok(()) }
}
