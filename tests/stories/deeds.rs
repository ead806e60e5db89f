// SPDX-License-Identifier: GPL-3.0-only
//! What happens between runs: small deeds in the snap's namespace, each of which must succeed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

/// Writes a file, with its parents.
pub fn write(path: &str, text: &str) {
    fs::create_dir_all(Path::new(path).parent().expect("a parent")).expect("create the parents");
    fs::write(path, text).expect("write a file");
}

/// Makes a directory, with its parents.
pub fn mkdir(path: &str) {
    fs::create_dir_all(path).expect("create a directory");
}

/// Makes a symbolic link.
pub fn ln(to: &str, path: &str) {
    symlink(to, path).expect("make a symbolic link");
}

/// Makes a fifo.
pub fn mkfifo(path: &str) {
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).expect("make a fifo");
}

/// Removes a file.
pub fn rm(path: &str) {
    fs::remove_file(path).expect("remove a file");
}

/// Removes a directory and all in it.
pub fn rmtree(path: &str) {
    fs::remove_dir_all(path).expect("remove a directory");
}

/// Renames.
pub fn mv(from: &str, to: &str) {
    fs::rename(from, to).expect("rename");
}

/// Changes a mode.
pub fn chmod(path: &str, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("change a mode");
}

/// Changes an owner.
pub fn chown(path: &str, id: u32) {
    std::os::unix::fs::chown(path, Some(id), Some(id)).expect("change an owner");
}

/// Mounts a tmpfs with one file `v`.
pub fn tmpfs(path: &str, text: &str) {
    rustix::mount::mount("tmpfs", path, "tmpfs", MountFlags::empty(), None).expect("mount a tmpfs");
    write(&format!("{path}/v"), text);
}

/// Binds one directory or file on another.
pub fn bind(from: &str, at: &str) {
    rustix::mount::mount_bind(from, at).expect("bind");
}

/// Makes one mount read-only.
pub fn read_only(path: &str) {
    rustix::mount::mount_remount(path, MountFlags::BIND | MountFlags::RDONLY, "").expect("remount read-only");
}

/// Detaches what is mounted.
pub fn detach(path: &str) {
    rustix::mount::unmount(path, UnmountFlags::DETACH).expect("unmount");
}

/// Makes one mount writable.
pub fn writable(path: &str) {
    rustix::mount::mount_remount(path, MountFlags::BIND, "").expect("remount writable");
}

/// Lets what is mounted in it be seen in its copies.
pub fn share(path: &str) {
    rustix::mount::mount_change(path, rustix::mount::MountPropagationFlags::SHARED).expect("share a mount");
}

/// Marks a mount as one that is about to go.
pub fn doom(path: &str) {
    rustix::mount::mount_change(path, rustix::mount::MountPropagationFlags::UNBINDABLE)
        .expect("give up a mount");
}

/// Replaces a file as an editor does.
pub fn replace(path: &str, text: &str) {
    write(&format!("{path}~"), text);
    mv(&format!("{path}~"), path);
}
