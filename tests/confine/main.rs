// SPDX-License-Identifier: GPL-3.0-only
//! Under the real snap-confine of Debian's package: does the drop-in drop in?
//!
//! Every scenario is a few lines of shell in a machine of its own (`world.sh`), once with the original
//! `snap-update-ns` in place and once with ours. What it prints must be the same, and must contain what is written here.

#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::program::{self, Which, target};
use support::sandbox;

/// Files of the three snaps. `core99` is the base; a mode of 0755 is for directories and programs.
const SNAPS: [(&str, &[(&str, &str)]); 3] = [
    (
        "core99",
        &[
            ("meta/snap.yaml", "name: core99\nversion: 1\ntype: base\n"),
            ("etc/nsswitch.conf", ""),
            ("opt/spare/v", "spare\n"),
            ("opt/readme", "read me\n"),
            ("usr/share/doc/v", "base doc\n"),
        ],
    ),
    (
        "acorn",
        &[
            (
                "meta/snap.yaml",
                "name: acorn\nversion: 1\nbase: core99\napps:\n  look:\n    command: bin/look\n",
            ),
            ("bin/look", LOOK),
            ("lib/v", "acorn lib\n"),
            ("import/.keep", ""),
        ],
    ),
    (
        "birch",
        &[
            ("meta/snap.yaml", "name: birch\nversion: 1\nbase: core99\n"),
            ("export/v", "birch export\n"),
            ("more/v", "birch more\n"),
        ],
    ),
];

/// Directories that snap-confine wants in a base.
const PLACES: &str = "dev etc/alternatives etc/ssl home root proc sys tmp run snap media mnt lib/modules lib/firmware srv \
    usr/bin usr/lib/snapd usr/src var/snap var/lib/snapd var/lib/extrausers var/tmp var/log bin";

/// The app: shows what it sees.
const LOOK: &str = r#"#!/bin/sh
echo "uid $(id -u)"
for name in "$@"; do
    if [ -d "$name" ]; then echo "$name:" $(ls "$name"); else echo "$name: $(cat "$name" 2>&1)"; fi
done
"#;

/// Runs the scenario with both programs; both must print the same, and all of `must_have`.
fn scenario(script: &str, must_have: &[&str]) {
    if let Err(why) = sandbox::possible() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let theirs = live(Which::Original, script);
    let ours = live(Which::Ours, script);
    for text in must_have {
        assert!(theirs.contains(text), "the original should show {text:?}:\n{theirs}");
        assert!(ours.contains(text), "ours should show {text:?}:\n{ours}");
    }
    assert_eq!(ours, theirs, "left: ours; right: the original");
}

/// Runs the scenario with ours only, where ours is better on purpose.
fn scenario_of_ours(script: &str, must_have: &[&str]) {
    if let Err(why) = sandbox::possible() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    if program::is_rehearsal() {
        return;
    }
    let ours = live(Which::Ours, script);
    for text in must_have {
        assert!(ours.contains(text), "ours should show {text:?}:\n{ours}");
    }
}

fn live(which: Which, script: &str) -> String {
    let tool = program::path(which);
    assert!(tool.exists(), "{} is missing: scripts/build or scripts/fetch-original makes it", tool.display());
    let images = images();
    let place = tempfile::tempdir_in(&images).expect("a place for the world");
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/confine/world.sh");
    let group = Group::new();
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--cgroup",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
        "bash",
    ]);
    command.arg(world).arg(place.path()).arg(target().join("original")).arg(tool);
    let procs = group.path.join("cgroup.procs");
    // SAFETY: between fork and exec the child opens and writes one file.
    unsafe {
        use std::os::unix::process::CommandExt;
        command.pre_exec(move || sandbox::stay_on_this_cpu().and_then(|()| fs::write(&procs, "0")));
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare, from util-linux");
    child.stdin.take().expect("its input").write_all(script.as_bytes()).expect("hand over the scenario");
    let done = child.wait_with_output().expect("wait for the scenario");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "the scenario broke: {}\n{text}\n{complaints}", done.status);
    text
}

/// A freezer group that is the root of the scenario's own view, so that groups of snaps are made below it.
struct Group {
    path: PathBuf,
}

impl Group {
    fn new() -> Group {
        let path = PathBuf::from(format!("/sys/fs/cgroup/freezer/bench-{}", std::process::id()));
        fs::create_dir_all(&path).expect("make a freezer group");
        Group { path }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for below in fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok) {
            let _ = fs::remove_dir(below.path());
        }
        let _ = fs::remove_dir(&self.path);
    }
}

/// The directory with the images, made once.
fn images() -> PathBuf {
    let images = target().join("confine");
    if !images.join("birch.squashfs").exists() {
        fs::create_dir_all(&images).expect("a directory for images");
        for (name, files) in SNAPS {
            make(&images, name, files);
        }
    }
    images
}

fn make(images: &Path, name: &str, files: &[(&str, &str)]) {
    let place = tempfile::tempdir_in(images).expect("a place to build an image in");
    let tree = place.path().join("tree");
    for (path, text) in files {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("create a directory");
        fs::write(&path, text).expect("write a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("change a mode");
    }
    if name == "core99" {
        for path in PLACES.split_whitespace() {
            fs::create_dir_all(tree.join(path)).expect("create a directory");
        }
        fs::copy("/bin/busybox", tree.join("bin/busybox"))
            .expect("busybox-static is installed by scripts/setup");
        for applet in ["sh", "cat", "ls", "id"] {
            symlink("busybox", tree.join("bin").join(applet)).expect("make a symbolic link");
        }
    }
    let image = images.join(format!("{name}.squashfs"));
    let made = place.path().join("image");
    let output = File::create(place.path().join("log")).expect("a log");
    let done = Command::new("mksquashfs")
        .args([&tree, &made])
        .args(["-quiet", "-no-progress", "-noappend", "-all-root", "-comp", "gzip"])
        .stdout(output)
        .status()
        .expect("mksquashfs is installed by scripts/setup");
    assert!(done.success(), "mksquashfs: {done}");
    fs::rename(&made, &image).expect("put the image into place");
}

#[test]
fn the_first_start_builds_the_namespace_and_the_second_joins_it() {
    scenario(
        r"
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        start /snap/acorn/1/import/v
        rm /var/lib/snapd/mount/snap.acorn.fstab # a second start does not look
        start /snap/acorn/1/import/v
        record
        mounts /snap/acorn/1/
        discard
        rm -f /run/snapd/ns/*.made # our notes may stay: they say nothing about a new namespace
        ls /run/snapd/ns
        ",
        &[
            "uid 0\n/snap/acorn/1/import/v: birch export\nstart: 0\nuid 0\n/snap/acorn/1/import/v: birch export\nstart: 0\n",
        ],
    );
}

#[test]
fn content_comes_and_goes_while_the_namespace_lives() {
    scenario(
        r"
        start /snap/acorn/1/import
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        inside /snap/acorn/1/import/v
        desire '/snap/birch/1/more /snap/acorn/1/import none bind,ro 0 0'
        refresh
        inside /snap/acorn/1/import/v
        desire ''
        refresh
        inside /snap/acorn/1/import
        record
        mounts /snap/acorn/1/
        ",
        &[
            "refresh: 0\nuid 0\n/snap/acorn/1/import/v: birch export\n",
            "/snap/acorn/1/import/v: birch more\n",
        ],
    );
}

#[test]
fn a_layout_is_made_with_a_mimic_and_taken_down_again() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0' \
            'none /opt/link none x-snapd.kind=symlink,x-snapd.symlink=spare,x-snapd.origin=layout 0 0'
        start /opt /opt/fresh/v /opt/spare/v /opt/link/v /opt/readme
        record
        mounts /opt
        desire ''
        refresh
        inside /opt /opt/spare/v
        record
        mounts /opt
        ",
        &[
            "/opt: fresh link readme spare\n/opt/fresh/v: common data\n/opt/spare/v: spare\n/opt/link/v: spare\n",
            "/opt: readme spare\n",
        ],
    );
}

#[test]
fn a_layout_on_the_host_s_etc_is_not_seen_by_the_host() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /etc/acorn none rbind,rw,x-snapd.origin=layout 0 0'
        start /etc/acorn/v /etc/hosts
        ls /etc
        ",
        &["/etc/acorn/v: common data\n/etc/hosts: host hosts\nstart: 0\n"],
    );
}

#[test]
fn a_faulty_layout_stops_the_start_and_nothing_is_preserved() {
    scenario(
        r"
        desire '/opt/readme /opt/spare none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt | grep -v 'cannot change mount namespace'
        ls /run/snapd/ns/*.mnt 2>/dev/null || echo 'nothing is preserved'
        desire ''
        start /opt
        ",
        &[
            "cannot update snap namespace: cannot use \"/opt/readme\" as bind-mount source: not a directory\n",
            "snap-update-ns failed with code 1",
            "nothing is preserved\n",
            "uid 0\n/opt: readme spare\nstart: 0\n",
        ],
    );
}

#[test]
fn an_ordinary_user_has_mounts_of_his_own() {
    scenario(
        r"
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        desire_by_user '/snap/birch/1/more /opt/spare none bind,ro 0 0' \
            '$XDG_RUNTIME_DIR/doc/by-app/snap.acorn $XDG_RUNTIME_DIR/doc none bind,rw,x-snapd.ignore-missing 0 0'
        start_as_user /opt/spare/v /snap/acorn/1/import/v
        start_as_user /opt/spare/v
        inside /opt/spare/v
        record
        ls -l /run/snapd/ns/snap.acorn.fstab | cut -d' ' -f1,3,4
        ",
        &[
            "uid 1000\n/opt/spare/v: birch more\n/snap/acorn/1/import/v: birch export\nstart: 0\n",
            "uid 0\n/opt/spare/v: spare\n",
        ],
    );
}

#[test]
fn a_home_that_an_older_snap_confine_does_not_name_is_missed_aloud() {
    scenario_of_ours(
        r"
        desire_by_user 'none $HOME/.local/share/acorn none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME 0 0'
        start_as_user /home/user
        ls -dn /home/user/.local/share/acorn 2>&1 | cut -d' ' -f1,3,4
        ",
        // Debian's snap-confine is older than the variable that says where the home is.
        &["cannot use invalid home directory \"\": cannot allow empty path", "start: 1\n"],
    );
}

#[test]
fn running_processes_are_thawed_after_a_refresh() {
    scenario(
        r"
        start /opt
        mkdir -p /sys/fs/cgroup/freezer/snap.acorn
        sleep 600 &
        echo $! > /sys/fs/cgroup/freezer/snap.acorn/cgroup.procs
        desire '/snap/birch/1/export /snap/acorn/1/import none bind,ro 0 0'
        refresh
        cat /sys/fs/cgroup/freezer/snap.acorn/freezer.state
        kill %1
        ",
        &["refresh: 0\nTHAWED\n"],
    );
}

#[test]
fn a_namespace_that_was_discarded_is_built_again() {
    scenario(
        r"
        desire '/var/snap/acorn/common/data /opt/fresh none rbind,rw,x-snapd.origin=layout 0 0'
        start /opt/fresh/v
        discard
        start /opt/fresh/v
        record
        discard
        refresh
        ",
        &["start: 0\ndiscard: 0\nuid 0\n/opt/fresh/v: common data\nstart: 0\n", "discard: 0\nrefresh: 0\n"],
    );
}
