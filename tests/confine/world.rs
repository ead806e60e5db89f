// SPDX-License-Identifier: GPL-3.0-only
//! A machine of its own for each scenario: `world.sh` furnishes it, and what it prints there is judged here.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::program::{self, Which, target};
use crate::support::sandbox;

/// Revisions of snaps. `core99` is the base; a mode of 0755 is for directories and programs.
const SNAPS: [(&str, &[(&str, &str)]); 7] = [
    (
        "core99_1",
        &[
            ("meta/snap.yaml", "name: core99\nversion: 1\ntype: base\n"),
            ("etc/nsswitch.conf", ""),
            ("opt/spare/v", "spare\n"),
            ("opt/spare/w", "spare too\n"),
            ("opt/readme", "read me\n"),
            ("srv/site/v", "site\n"),
            ("usr/share/doc/v", "base doc\n"),
            ("usr/share/man/v", "base man\n"),
        ],
    ),
    (
        "core99_2",
        &[
            ("meta/snap.yaml", "name: core99\nversion: 2\ntype: base\n"),
            ("etc/nsswitch.conf", ""),
            ("opt/spare/v", "spare of the second base\n"),
            ("opt/readme", "read me again\n"),
            ("usr/share/doc/v", "second base doc\n"),
        ],
    ),
    // The root of Ubuntu Core; its programs are the machine's, mounted on /usr.
    (
        "core_1",
        &[
            ("meta/snap.yaml", "name: core\nversion: 1\ntype: os\n"),
            ("etc/group", "root:x:0:\n"),
            ("etc/hostname", ""),
            ("etc/hosts", ""),
            ("etc/nsswitch.conf", ""),
            ("etc/os-release", ""),
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            ("opt/spare/v", "core's spare\n"),
            ("opt/readme", "core's read me\n"),
            ("srv/site/v", "core's site\n"),
        ],
    ),
    (
        "acorn_1",
        &[
            ("meta/snap.yaml", ACORN),
            ("bin/look", LOOK),
            ("bin/serve", SERVE),
            ("lib/v", "acorn lib\n"),
            ("settings", "acorn settings\n"),
            ("import/.keep", ""),
        ],
    ),
    (
        "acorn_2",
        &[
            ("meta/snap.yaml", ACORN),
            ("bin/look", LOOK),
            ("bin/serve", SERVE),
            ("lib/v", "acorn lib 2\n"),
            ("settings", "acorn settings 2\n"),
            ("import/.keep", ""),
        ],
    ),
    (
        "birch_1",
        &[
            ("meta/snap.yaml", "name: birch\nversion: 1\nbase: core99\n"),
            ("export/v", "birch export\n"),
            ("more/v", "birch more\n"),
        ],
    ),
    (
        "birch_2",
        &[
            ("meta/snap.yaml", "name: birch\nversion: 2\nbase: core99\n"),
            ("export/v", "birch export 2\n"),
            ("more/v", "birch more 2\n"),
        ],
    ),
];

const ACORN: &str = "name: acorn\nversion: 1\nbase: core99\napps:\n  look:\n    command: bin/look\n  serve:\n    command: bin/serve\n";

/// Directories that snap-confine wants in a base.
const PLACES: &str = "dev etc/alternatives etc/ssl home root proc sys tmp run snap media mnt lib/modules lib/firmware srv \
    usr/bin usr/lib/snapd usr/src var/snap var/lib/snapd var/lib/extrausers var/tmp var/log bin";

/// Directories of Ubuntu Core's root.
const PLACES_OF_CORE: &str = "dev etc/alternatives etc/modprobe.d etc/ssh etc/ssl etc/systemd etc/udev/rules.d home images \
    media mnt proc root run snap sys tmp usr var/lib/extrausers var/lib/snapd var/log var/snap var/tmp writable";

/// The app: shows what it sees.
const LOOK: &str = include_str!("look");

/// The service: shows what it sees whenever it is asked.
const SERVE: &str = include_str!("serve");

/// What is told of a world besides the scenario.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Which program is in place at first.
    pub first: Which,
    /// The version of control groups.
    pub cgroups: u8,
    /// What the machine is: `classic`, `core16`, `container` and so on.
    pub shape: &'a str,
    /// What comes before a container is entered.
    pub prepare: &'a str,
}

impl World<'_> {
    /// An ordinary machine.
    pub const CLASSIC: World<'static> =
        World { first: Which::Ours, cgroups: 1, shape: "classic", prepare: "" };
}

/// Runs the scenario with both programs, once with each version of control groups; both must print the same, and all
/// of `must_have`.
pub fn scenario(script: &str, must_have: &[&str]) {
    for cgroups in [1, 2] {
        scenario_with(cgroups, script, must_have);
    }
}

/// The same with one version of control groups.
pub fn scenario_with(cgroups: u8, script: &str, must_have: &[&str]) {
    scenario_in(World { cgroups, ..World::CLASSIC }, script, must_have);
}

/// The same in any world.
pub fn scenario_in(world: World<'_>, script: &str, must_have: &[&str]) {
    if impossible() {
        return;
    }
    let theirs = live(World { first: Which::Original, ..world }, script);
    let ours = live(World { first: Which::Ours, ..world }, script);
    has("the original", &theirs, must_have);
    has("ours", &ours, must_have);
    same("ours", &ours, "the original", &theirs);
}

/// Runs the scenario with ours only, where ours is better on purpose.
pub fn scenario_of_ours(script: &str, must_have: &[&str]) {
    if impossible() || program::is_rehearsal() {
        return;
    }
    for cgroups in [1, 2] {
        let ours = live(World { cgroups, ..World::CLASSIC }, script);
        has("ours", &ours, must_have);
    }
}

/// Whether no world can be made here; says why.
pub fn impossible() -> bool {
    let possible = sandbox::possible();
    if let Err(why) = possible {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED {}: {why}", std::thread::current().name().unwrap_or("?"));
    }
    possible.is_err()
}

/// What was printed must contain each of these.
pub fn has(who: &str, text: &str, must_have: &[&str]) {
    for wanted in must_have {
        assert!(text.contains(wanted), "{who} should show {wanted:?}:\n{text}");
    }
}

/// Two texts must be the same; tells where they are not.
pub fn same(one: &str, left: &str, other: &str, right: &str) {
    if left == right {
        return;
    }
    let mut differences = String::new();
    let (left, right): (Vec<&str>, Vec<&str>) = (left.lines().collect(), right.lines().collect());
    for (sign, these, those) in [("-", &left, &right), ("+", &right, &left)] {
        for (number, line) in these.iter().enumerate() {
            let count = |lines: &[&str]| lines.iter().filter(|other| *other == line).count();
            if count(these) != count(those) {
                writeln!(differences, "{sign} {:3} {line}", number + 1).expect("write to a string");
            }
        }
    }
    panic!("- {one}, + {other}:\n{differences}\n{one}:\n{}", left.join("\n"));
}

/// Runs the scenario in a new world.
pub fn live(world: World<'_>, script: &str) -> String {
    let [ours, theirs] = [Which::Ours, Which::Original].map(|which| {
        let tool = program::path(which);
        assert!(
            tool.exists(),
            "{} is missing: scripts/build or scripts/fetch-original makes it",
            tool.display()
        );
        tool
    });
    let place = tempfile::tempdir_in(images()).expect("a place for the world");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "bash"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/confine/world.sh"));
    command.env("PLACE", place.path()).env("PACKAGE", target().join("original"));
    command.env("OURS", ours).env("THEIRS", theirs).env("CGROUPS", world.cgroups.to_string());
    command.env("SHAPE", world.shape).env("PREPARE", world.prepare);
    command.env("FIRST", if world.first == Which::Ours { "ours" } else { "theirs" });
    // SAFETY: between fork and exec the child makes one system call.
    unsafe {
        use std::os::unix::process::CommandExt;
        command.pre_exec(sandbox::stay_on_this_cpu);
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

/// The directory with the images, made anew whenever what is written here changes.
fn images() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (SNAPS, PLACES, PLACES_OF_CORE).hash(&mut hasher);
    let images = target().join(format!("confine-{:016x}", hasher.finish()));
    fs::create_dir_all(&images).expect("a directory for images");
    for (name, files) in SNAPS {
        if !images.join(format!("{name}.squashfs")).exists() {
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
    let link = |to: &str, from: &str| symlink(to, tree.join(from)).expect("make a symbolic link");
    let places = match name {
        "core_1" => PLACES_OF_CORE,
        _ if name.starts_with("core") => PLACES,
        _ => "",
    };
    for path in places.split_whitespace() {
        fs::create_dir_all(tree.join(path)).expect("create a directory");
    }
    if places == PLACES {
        fs::copy("/bin/busybox", tree.join("bin/busybox"))
            .expect("busybox-static is installed by scripts/setup");
        ["sh", "cat", "ls", "id"].iter().for_each(|applet| link("busybox", &format!("bin/{applet}")));
    }
    if places == PLACES_OF_CORE {
        ["bin", "lib", "lib64", "sbin"].iter().for_each(|name| link(&format!("usr/{name}"), name));
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
