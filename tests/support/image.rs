// SPDX-License-Identifier: GPL-3.0-only
//! The squashfs image that every sandbox mounts: a base snap, and a few snaps with a word in each that says where
//! it came from. It is made once by mksquashfs(1), from the list below, and kept beside the build.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One name in the image.
enum Node {
    Dir,
    /// Mode and owner other than 0755 0:0.
    Own(u32, u32, u32),
    File(&'static str),
    Link(&'static str),
    Fifo,
}
use Node::{Dir, Fifo, File, Link, Own};

/// The image. `base` is the base snap; `acorn` is the snap that the stories are about, `birch` gives content.
const TREE: &[(&str, Node)] = &[
    ("base/opt/alias", Link("readme")),
    ("base/opt/box/file", File("boxed")),
    ("base/opt/box/fifo", Fifo),
    ("base/opt/depot/inner/v", File("inner")),
    ("base/opt/private", Own(0o700, 108, 4)),
    ("base/opt/private/v", File("private")),
    ("base/opt/readme", File("read me")),
    ("base/opt/spare/v", File("spare")),
    ("base/srv/site/v", File("site")),
    ("base/usr/bin/true", File("")),
    ("base/usr/lib/engine/v", File("engine")),
    ("base/usr/share/doc/v", File("base doc")),
    ("base/usr/share/fonts/v", File("base fonts")),
    ("base/usr/share/man/v", File("base man")),
    ("base/usr/share/zone", Link("doc")),
    ("base/var/cache", Dir),
    ("base/var/lib/snapd", Dir),
    ("base/var/log", Dir),
    ("base/var/snap", Dir),
    ("base/var/spool/vault/v", File("vault")),
    ("snaps/acorn/1/bin/run", File("acorn 1")),
    ("snaps/acorn/1/data/v", File("acorn data 1")),
    ("snaps/acorn/1/import", Dir),
    ("snaps/acorn/1/lib/v", File("acorn lib 1")),
    ("snaps/acorn/1/settings", File("acorn settings 1")),
    ("snaps/acorn/2/bin/run", File("acorn 2")),
    ("snaps/acorn/2/data/v", File("acorn data 2")),
    ("snaps/acorn/2/import", Dir),
    ("snaps/acorn/2/lib/v", File("acorn lib 2")),
    ("snaps/acorn/2/settings", File("acorn settings 2")),
    ("snaps/birch/1/export/sub", Dir),
    ("snaps/birch/1/export/v", File("birch export 1")),
    ("snaps/birch/1/flat/v", File("birch flat 1")),
    ("snaps/birch/1/more/v", File("birch more 1")),
    ("snaps/birch/2/export/sub", Dir),
    ("snaps/birch/2/export/v", File("birch export 2")),
    ("snaps/birch/2/more/v", File("birch more 2")),
    ("snaps/maple_blue/7/data/v", File("maple blue 7")),
    ("snaps/maple_blue/7/lib/v", File("maple blue lib 7")),
];

/// The path of the image, made now if the list above has changed since it was last made.
pub fn path() -> PathBuf {
    let target = super::program::target();
    let image = target.join(format!("bench-{:016x}.squashfs", fingerprint()));
    if !image.exists() {
        make(&target, &image);
    }
    image
}

fn make(target: &Path, image: &Path) {
    let place = tempfile::tempdir_in(target).expect("a directory to build the image in");
    let tree = place.path().join("tree");
    for (name, node) in TREE {
        let path = tree.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("create a parent");
        match node {
            Dir => fs::create_dir_all(&path).expect("create a directory"),
            Own(mode, uid, gid) => {
                fs::create_dir_all(&path).expect("create a directory");
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("chmod");
                chown(&path, Some(*uid), Some(*gid)).expect("chown");
            }
            File(text) => fs::write(&path, text).expect("write a file"),
            Link(to) => symlink(to, &path).expect("make a symlink"),
            Fifo => rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o644),
                0,
            )
            .expect("make a fifo"),
        }
    }
    let made = place.path().join("image");
    let done = Command::new("mksquashfs")
        .arg(&tree)
        .arg(&made)
        .args(["-quiet", "-no-progress", "-noappend", "-comp", "gzip"])
        .output()
        .expect("mksquashfs is installed by scripts/setup");
    assert!(done.status.success(), "mksquashfs: {}", String::from_utf8_lossy(&done.stderr));
    fs::rename(&made, image).expect("put the image into place");
}

/// Changes whenever the list does; FNV-1a.
fn fingerprint() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, node) in TREE {
        let content = match node {
            Dir => "directory".to_string(),
            Own(mode, uid, gid) => format!("{mode:o} {uid}:{gid}"),
            File(text) => format!("file {text}"),
            Link(to) => format!("-> {to}"),
            Fifo => "fifo".to_string(),
        };
        for byte in name.bytes().chain(content.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
