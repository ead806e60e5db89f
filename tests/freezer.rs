// SPDX-License-Identifier: GPL-3.0-only
//! Freezing and thawing real control groups of both versions. Needs root and writable control groups; says so and
//! passes where there are none.
#![allow(missing_docs)]

use snap_update_ns::limits;
use snap_update_ns::log::Log;
use snap_update_ns::namespace::freezer::{Freezer, Frozen, Version};
use snap_update_ns::text::arena::Arena;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Says aloud, past the test runner's catching of output, that a test was not made.
fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// Where version 2 can be used, if anywhere.
fn unified() -> Option<&'static str> {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let found = roots.into_iter().find(|root| {
        let freezer = Freezer::new(root.as_bytes(), b"x");
        freezer.is_ok_and(|freezer| freezer.version() == Version::Two) && is_writable(root)
    });
    if found.is_none() {
        skip("needs root and a writable cgroup2 tree");
    }
    found
}

/// Where version 1 can be used, if anywhere.
fn freezer_controller() -> Option<&'static str> {
    let found = Some("/sys/fs/cgroup").filter(|_| is_writable("/sys/fs/cgroup/freezer"));
    if found.is_none() {
        skip("needs root and a writable tree of the freezer controller, version 1");
    }
    found
}

fn is_writable(tree: &str) -> bool {
    let probe = format!("{tree}/sun-probe-{}-{:?}", std::process::id(), thread::current().id());
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok()
}

/// A snap name that nobody else uses.
fn name(test: &str) -> String {
    format!("sun{}-{test}", std::process::id())
}

/// A control group with its processes; both are gone when this is dropped.
struct Group {
    path: PathBuf,
    children: Vec<Child>,
}

impl Group {
    fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        fs::create_dir_all(&path).unwrap();
        Group { path, children: Vec::new() }
    }

    /// A group with a process that sleeps for long.
    fn busy(path: impl Into<PathBuf>) -> Self {
        let mut group = Group::new(path);
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        fs::write(group.path.join("cgroup.procs"), child.id().to_string()).unwrap();
        group.children.push(child);
        group
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap()
    }

    /// What the kernel says, not what was asked for.
    fn is_frozen(&self) -> bool {
        match self.path.join("cgroup.events").exists() {
            true => self.read("cgroup.events").contains("frozen 1\n"),
            false => self.read("freezer.state") == "FROZEN\n",
        }
    }

    fn thaw(&self) {
        let _ = fs::write(self.path.join("cgroup.freeze"), "0");
        let _ = fs::write(self.path.join("freezer.state"), "THAWED");
    }

    fn freeze(&self) {
        let version_2 = self.path.join("cgroup.freeze");
        match version_2.exists() {
            true => fs::write(version_2, "1").unwrap(),
            false => fs::write(self.path.join("freezer.state"), "FROZEN").unwrap(),
        }
        eventually("the test's own freezing", || self.is_frozen());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.thaw();
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A directory of control groups that is removed with what is left in it.
struct Tree(PathBuf);

impl Tree {
    fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        fs::create_dir_all(&path).unwrap();
        Tree(path)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fn remove(path: &Path) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = fs::remove_dir(path);
        }
        remove(&self.0);
    }
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The sentence, as it reads for an instance.
fn sentence(instance: &str, error: snap_update_ns::error::Error<'_>) -> String {
    struct Text(Vec<u8>);
    impl snap_update_ns::text::Out for Text {
        fn put(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    let mut text = Text(Vec::new());
    error.write(instance.as_bytes(), &mut text);
    String::from_utf8(text.0).unwrap()
}

fn freeze(root: &str, instance: &str, frozen: &mut Frozen) -> Result<(), String> {
    let mut memory = vec![0; 65_536];
    let mut arena = Arena::new(&mut memory);
    let freezer =
        Freezer::new(root.as_bytes(), instance.as_bytes()).map_err(|error| sentence(instance, error))?;
    freezer.freeze(frozen, &mut arena, &mut Log::new(false)).map_err(|error| sentence(instance, error))
}

fn thaw(frozen: &mut Frozen) {
    frozen.thaw(&mut Arena::new(&mut [0; 1_000]), &mut Log::new(false));
}

#[test]
fn version_two_freezes_every_group_of_the_snap_and_no_other() {
    let Some(root) = unified() else { return };
    let snap = name("all");
    let tree = Tree::new(format!("{root}/{snap}"));
    let at = |path: String| Group::busy(tree.0.join(path));
    let ours = [
        at(format!("snap.{snap}.app-1.scope")),
        at(format!("a/b/c/snap.{snap}.svc.service")),
        at(format!("a/b/snap.{snap}.hook.configure-2.scope")),
    ];
    let others = [
        at(format!("snap.{snap}_two.app.scope")),
        at(format!("snap.{snap}x.app.scope")),
        at(format!("a/snap.{snap}.app.slice")),
    ];
    let mut frozen = Frozen::new();
    freeze(root, &snap, &mut frozen).unwrap();
    assert_eq!(frozen.groups(), 3);
    assert!(ours.iter().all(Group::is_frozen));
    assert!(!others.iter().any(Group::is_frozen));
    thaw(&mut frozen);
    eventually("thawed", || !ours.iter().any(Group::is_frozen));
}

#[test]
fn version_two_thaws_when_the_guard_is_dropped_and_only_what_it_froze() {
    let Some(root) = unified() else { return };
    let snap = name("drop");
    let group = Group::busy(format!("{root}/snap.{snap}.app.scope"));
    let mut frozen = Frozen::new();
    freeze(root, &snap, &mut frozen).unwrap();
    assert!(group.is_frozen());
    let later = Group::busy(format!("{root}/snap.{snap}.later.scope"));
    later.freeze();
    drop(frozen);
    eventually("thawed", || !group.is_frozen());
    assert!(later.is_frozen());
}

#[test]
fn version_two_forgives_a_group_that_goes_away_while_frozen() {
    let Some(root) = unified() else { return };
    let snap = name("gone");
    let mut group = Group::busy(format!("{root}/snap.{snap}.app.scope"));
    let mut frozen = Frozen::new();
    freeze(root, &snap, &mut frozen).unwrap();
    // A frozen process of version 2 can be killed.
    group.children[0].kill().unwrap();
    group.children[0].wait().unwrap();
    eventually("empty", || fs::remove_dir(&group.path).is_ok());
    thaw(&mut frozen);
    assert_eq!(frozen.groups(), 0);
}

#[test]
fn a_snap_without_processes_needs_no_freezing() {
    let roots = [unified(), freezer_controller()];
    for root in roots.into_iter().flatten() {
        let mut frozen = Frozen::new();
        freeze(root, &name("nobody"), &mut frozen).unwrap();
        assert_eq!(frozen.groups(), 0);
    }
}

#[test]
fn version_one_freezes_the_group_of_the_snap_and_no_other() {
    let Some(root) = freezer_controller() else { return };
    let snap = name("one");
    let ours = Group::busy(format!("{root}/freezer/snap.{snap}"));
    let other = Group::busy(format!("{root}/freezer/snap.{snap}_two"));
    let mut frozen = Frozen::new();
    freeze(root, &snap, &mut frozen).unwrap();
    assert!(ours.is_frozen());
    assert!(!other.is_frozen());
    thaw(&mut frozen);
    assert!(!ours.is_frozen());
    freeze(root, &snap, &mut frozen).unwrap();
    assert!(ours.is_frozen());
    drop(frozen);
    assert!(!ours.is_frozen());
}

#[test]
fn what_a_killed_predecessor_left_frozen_is_thawed() {
    let snap = name("stale");
    let mut memory = vec![0; 65_536];
    let mut arena = Arena::new(&mut memory);
    let mut log = Log::new(false);
    if let Some(root) = unified() {
        let forgotten = Group::busy(format!("{root}/snap.{snap}.app.scope"));
        let other = Group::busy(format!("{root}/snap.{snap}x.app.scope"));
        let tree = Tree::new(format!("{root}/{snap}.slice"));
        let deep = Group::busy(tree.0.join(format!("user@7.service/app.slice/snap.{snap}.svc.service")));
        forgotten.freeze();
        other.freeze();
        deep.freeze();
        Freezer::new(root.as_bytes(), snap.as_bytes()).unwrap().release_stale(&mut arena, &mut log);
        eventually("thawed", || !forgotten.is_frozen() && !deep.is_frozen());
        assert!(other.is_frozen());
    }
    if let Some(root) = freezer_controller() {
        let forgotten = Group::busy(format!("{root}/freezer/snap.{snap}"));
        forgotten.freeze();
        Freezer::new(root.as_bytes(), snap.as_bytes()).unwrap().release_stale(&mut arena, &mut log);
        eventually("thawed", || !forgotten.is_frozen());
    }
}

#[test]
fn a_tree_without_control_groups_is_version_one_and_no_tree_at_all_is_fatal() {
    let dir = std::env::temp_dir();
    let dir = dir.to_str().unwrap();
    assert_eq!(Freezer::new(dir.as_bytes(), b"x").unwrap().version(), Version::One);
    assert_eq!(freeze(dir, &name("none"), &mut Frozen::new()), Ok(()));
    let missing = format!("{dir}/{}", name("missing"));
    let error = freeze(&missing, "x", &mut Frozen::new()).unwrap_err();
    assert_eq!(error, "FreezeSnapProcesses not implemented");
}

#[test]
fn version_one_gives_up_with_the_state_it_saw() {
    // Any file can play the state: this one never says FROZEN.
    let snap = name("stuck");
    let root = std::env::temp_dir().join(&snap);
    let group = root.join(format!("freezer/snap.{snap}"));
    fs::create_dir_all(&group).unwrap();
    fs::write(group.join("freezer.state"), "FREEZING NOW\n").unwrap();
    let error = freeze(root.to_str().unwrap(), &snap, &mut Frozen::new()).unwrap_err();
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(
        error,
        format!(
            "cannot finish freezing processes of snap \"{snap}\" \
             (freezer state: FROZENNG NOW\n): context deadline exceeded"
        )
    );
}

#[test]
fn version_one_names_the_file_that_cannot_be_opened() {
    let snap = name("dir");
    let root = std::env::temp_dir().join(&snap);
    let state = root.join(format!("freezer/snap.{snap}/freezer.state"));
    fs::create_dir_all(&state).unwrap();
    let error = freeze(root.to_str().unwrap(), &snap, &mut Frozen::new()).unwrap_err();
    fs::remove_dir_all(&root).unwrap();
    let state = state.display();
    assert_eq!(error, format!("cannot freeze processes of snap \"{snap}\", open {state}: is a directory"));
}

/// Runs one of the ignored tests below in a process that sits in `group`.
fn run_inside(group: &Group, test: &str, root: &str, snap: &str) {
    let procs = group.path.join("cgroup.procs");
    let script = r#"echo $$ > "$0" && exec "$@""#;
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(&procs)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env("FREEZER_ROOT", root)
        .env("FREEZER_SNAP", snap)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..2_000 {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    // First the signal, then the thaw: it might freeze itself again.
    let _ = child.kill();
    let parent = Group { path: group.path.parent().unwrap().into(), children: Vec::new() };
    parent.thaw();
    std::mem::forget(parent); // somebody else removes it
    group.thaw();
    let _ = child.wait();
    panic!("the process froze itself");
}

#[test]
#[ignore = "run by the tests about the own group, inside of it"]
fn inside_the_group() {
    let root = std::env::var("FREEZER_ROOT").unwrap();
    let snap = std::env::var("FREEZER_SNAP").unwrap();
    let mut frozen = Frozen::new();
    freeze(&root, &snap, &mut frozen).unwrap();
    assert_eq!(frozen.groups(), 0);
}

#[test]
fn version_two_does_not_freeze_itself() {
    let Some(root) = unified() else { return };
    let snap = name("self");
    let own = Group::new(format!("{root}/snap.{snap}.app.scope"));
    run_inside(&own, "inside_the_group", root, &snap);
}

#[test]
fn version_two_does_not_freeze_a_group_above_itself() {
    let Some(root) = unified() else { return };
    let snap = name("above");
    let _above = Group::new(format!("{root}/snap.{snap}.app.scope"));
    let own = Group::new(format!("{root}/snap.{snap}.app.scope/delegated"));
    run_inside(&own, "inside_the_group", root, &snap);
}

#[test]
fn version_one_does_not_freeze_itself() {
    let Some(root) = freezer_controller() else { return };
    let snap = name("selfone");
    let own = Group::new(format!("{root}/freezer/snap.{snap}"));
    run_inside(&own, "inside_the_group", root, &snap);
}

#[test]
fn version_one_does_not_freeze_a_group_above_itself() {
    let Some(root) = freezer_controller() else { return };
    let snap = name("aboveone");
    let _above = Group::new(format!("{root}/freezer/snap.{snap}"));
    let own = Group::new(format!("{root}/freezer/snap.{snap}/inner"));
    run_inside(&own, "inside_the_group", root, &snap);
}

#[test]
fn as_many_groups_as_the_limit_are_frozen_and_one_more_is_an_error_with_all_thawed() {
    let Some(root) = unified() else { return };
    let snap = name("many");
    let tree = Tree::new(format!("{root}/{snap}"));
    for number in 0..limits::FREEZE_GROUPS.max {
        fs::create_dir(tree.0.join(format!("snap.{snap}.{number}.scope"))).unwrap();
    }
    let frozen_groups = || {
        let groups = fs::read_dir(&tree.0).unwrap().flatten().filter(|entry| entry.path().is_dir());
        groups.filter(|entry| fs::read(entry.path().join("cgroup.freeze")).unwrap() == b"1\n").count()
    };
    let mut frozen = Frozen::new();
    freeze(root, &snap, &mut frozen).unwrap();
    assert_eq!(frozen_groups(), limits::FREEZE_GROUPS.max);
    thaw(&mut frozen);
    assert_eq!(frozen_groups(), 0);
    fs::create_dir(tree.0.join(format!("snap.{snap}.more.scope"))).unwrap();
    let error = freeze(root, &snap, &mut frozen).unwrap_err();
    assert_eq!(
        error,
        format!(
            "cannot finish freezing processes of snap \"{snap}\": more than 2000 control groups to freeze"
        )
    );
    assert_eq!(frozen_groups(), 0);
}

#[test]
fn the_deepest_level_that_is_searched_is_frozen_and_one_below_is_not() {
    let Some(root) = unified() else { return };
    let snap = name("deep");
    let tree = Tree::new(format!("{root}/{snap}"));
    // The root and the test's own directory are two levels; a group is found in a directory on the last.
    let last = tree.0.join("d/".repeat(limits::CGROUP_LEVELS.max - 2));
    let found = Group::busy(last.join(format!("snap.{snap}.found.scope")));
    let missed = Group::busy(last.join(format!("d/snap.{snap}.missed.scope")));
    let mut frozen = Frozen::new();
    freeze(root, &snap, &mut frozen).unwrap();
    assert!(found.is_frozen());
    assert!(!missed.is_frozen());
}

#[test]
fn a_directory_of_a_thousand_groups_is_searched_to_its_end() {
    let Some(root) = unified() else { return };
    let snap = name("wide");
    let tree = Tree::new(format!("{root}/{snap}"));
    for number in 0..1_000 {
        let name = format!("a-unit-of-somebody-else-with-quite-a-long-name-{number}.service");
        fs::create_dir(tree.0.join(name)).unwrap();
    }
    let groups: Vec<Group> = (0..5)
        .map(|n| {
            Group::busy(tree.0.join(format!(
                "a-unit-of-somebody-else-with-quite-a-long-name-{}.service/snap.{snap}.{n}.scope",
                n * 249
            )))
        })
        .collect();
    let mut frozen = Frozen::new();
    freeze(root, &snap, &mut frozen).unwrap();
    assert_eq!(frozen.groups(), 5);
    assert!(groups.iter().all(Group::is_frozen));
}

/// A file system that lets nobody write, in this thread's own mount namespace: who tries sleeps uninterruptibly
/// and cannot be frozen.
struct Stuck {
    dir: PathBuf,
}

impl Stuck {
    fn new(snap: &str) -> Option<Self> {
        let dir = std::env::temp_dir().join(snap);
        // SAFETY: no memory is passed.
        let private = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
        fs::create_dir(&dir).unwrap();
        let stuck = Stuck { dir };
        let script = "mount --make-rprivate / && dd if=/dev/zero of=image bs=1M count=8 status=none && \
                      mkfs.ext4 -q image && mkdir m && mount -o loop image m && fsfreeze -f m";
        let made = private && stuck.shell(script);
        if !made {
            skip("needs root, loop devices, mkfs.ext4 and fsfreeze");
        }
        made.then_some(stuck)
    }

    fn shell(&self, script: &str) -> bool {
        Command::new("sh").args(["-c", script]).current_dir(&self.dir).status().unwrap().success()
    }

    /// A process of `group` that hangs in writing.
    fn catch(&self, group: &mut Group) {
        let script = r#"echo $$ > "$0/cgroup.procs" && exec touch m/file"#;
        let child =
            Command::new("sh").args(["-c", script]).arg(&group.path).current_dir(&self.dir).spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        // Many looks in a row: reading a program from disk is uninterruptible for a moment, too.
        let hangs = || fs::read_to_string(&stat).unwrap().contains("(touch) D");
        let pause = || thread::sleep(Duration::from_millis(5));
        eventually("hanging", || {
            (0..40).all(|_| {
                pause();
                hangs()
            })
        });
        group.children.push(child);
    }

    fn release(&self) {
        assert!(self.shell("fsfreeze -u m"));
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.shell("fsfreeze -u m 2>/dev/null; umount -l m 2>/dev/null; true");
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn version_two_gives_up_on_a_process_that_cannot_be_stopped_and_thaws_the_others() {
    let Some(root) = unified() else { return };
    let snap = name("uninterruptible");
    let mut group = Group::new(format!("{root}/snap.{snap}.app.scope"));
    let other = Group::busy(format!("{root}/snap.{snap}.other.scope"));
    let Some(stuck) = Stuck::new(&snap) else { return };
    stuck.catch(&mut group);
    let error = freeze(root, &snap, &mut Frozen::new()).unwrap_err();
    assert_eq!(
        error,
        format!(
            "cannot finish freezing processes of snap \"{snap}\": \
             cannot freeze processes in group \"{}\": context deadline exceeded",
            group.path.display()
        )
    );
    assert_eq!(group.read("cgroup.freeze"), "0\n");
    assert_eq!(other.read("cgroup.freeze"), "0\n");
}

#[test]
fn version_two_asks_again_when_somebody_else_thaws_a_group_that_is_waited_for() {
    let Some(root) = unified() else { return };
    let snap = name("again");
    let mut group = Group::new(format!("{root}/snap.{snap}.app.scope"));
    let Some(stuck) = Stuck::new(&snap) else { return };
    stuck.catch(&mut group);
    let mut frozen = Frozen::new();
    thread::scope(|scope| {
        let freezing = scope.spawn(|| freeze(root, &snap, &mut frozen));
        eventually("asked to freeze", || group.read("cgroup.freeze") == "1\n");
        fs::write(group.path.join("cgroup.freeze"), "0").unwrap();
        stuck.release();
        freezing.join().unwrap().unwrap();
    });
    assert_eq!(group.read("cgroup.freeze"), "1\n");
}
