// SPDX-License-Identifier: GPL-3.0-only
//! The document portal: a file system in user space (FUSE) that its user has mounted in his runtime directory, and that
//! nobody else may even look into, root included. The kernel asks for it that every user and group id of a process is the
//! owner's; a capability does not help. So the entry for it shows whether the program really becomes the user, whichever
//! way its rights came to it: from a set-uid snap-confine, or as three ambient capabilities.
#![allow(missing_docs)]

mod support;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use rustix::mount::MountFlags;
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use support::program::{self, Program, Which};
use support::sandbox::{self, Lock, Outcome, Place, Rights, Sandbox, Start, USER, in_sandbox};

const DOC: &str = "/run/user/1000/doc";
const ENTRIES: &str =
    "$XDG_RUNTIME_DIR/doc/by-app/snap.acorn $XDG_RUNTIME_DIR/doc none bind,rw,x-snapd.ignore-missing 0 0\n";

/// A portal with one document, for the snap `acorn`: the names on the way to it, and what it holds.
const WAY: [&str; 3] = ["by-app", "snap.acorn", "v"];
const TEXT: &[u8] = b"a document\n";

/// The part of the kernel's protocol that looking and reading take; fuse(4), `linux/fuse.h`.
mod protocol {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const FLUSH: u32 = 25;
    pub const INIT: u32 = 26;
    pub const OPENDIR: u32 = 27;
    pub const RELEASEDIR: u32 = 29;
    pub const INTERRUPT: u32 = 36;
    pub const BATCH_FORGET: u32 = 42;
}

/// Mounts the portal for the user, and answers for it until it is gone.
fn mount_portal() -> io::Result<()> {
    fs::create_dir(DOC)?;
    std::os::unix::fs::chown(DOC, Some(USER), Some(USER))?;
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let data = format!("fd={},rootmode=40000,user_id={USER},group_id={USER}", device.as_raw_fd());
    let data = std::ffi::CString::new(data)?;
    rustix::mount::mount("portal", DOC, "fuse", MountFlags::NOSUID | MountFlags::NODEV, data.as_c_str())?;
    thread::spawn(move || answer(device));
    Ok(())
}

fn answer(mut device: File) {
    let mut request = vec![0; 0x21000];
    while let Ok(length) = device.read(&mut request) {
        let number = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().expect("four bytes"));
        let (operation, unique, node) = (number(4), &request[8..16], number(16) as usize);
        let body = &request[40..length];
        let reply: Result<Vec<u8>, i32> = match operation {
            protocol::FORGET | protocol::BATCH_FORGET | protocol::INTERRUPT => continue,
            // Version 7.31, no flags, writes of 4096 bytes at most.
            protocol::INIT => Ok(words(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            protocol::LOOKUP => {
                let name = body.strip_suffix(&[0]).unwrap_or(body);
                match WAY.get(node - 1).filter(|known| known.as_bytes() == name) {
                    Some(_) => {
                        Ok([words(&[node as u32 + 1, 0, 0, 0, 1, 0, 1, 0, 0, 0]), attributes(node + 1)]
                            .concat())
                    }
                    None => Err(libc::ENOENT),
                }
            }
            protocol::GETATTR => Ok([words(&[1, 0, 0, 0]), attributes(node)].concat()),
            protocol::OPEN | protocol::OPENDIR => Ok(words(&[0; 4])),
            protocol::READ => Ok(TEXT.get(number(48) as usize..).unwrap_or(&[]).to_vec()),
            protocol::STATFS => Ok(words(&[0; 20])),
            protocol::FLUSH | protocol::RELEASE | protocol::RELEASEDIR => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        };
        let (errno, reply) = reply.map_or_else(|errno| (-errno, Vec::new()), |reply| (0, reply));
        let head = [(16 + reply.len() as u32).to_le_bytes(), errno.to_le_bytes()].concat();
        let _ = device.write(&[&head, unique, &reply].concat());
    }
}

/// Node 1 is the root, and each name on the way is the next node; the last is the document.
fn attributes(node: usize) -> Vec<u8> {
    let (mode, size) = if node > WAY.len() { (0o100_600, TEXT.len() as u32) } else { (0o40_700, 0) };
    // Number, size, blocks, three times, their nanoseconds; mode, links, user, group, device, block size, flags.
    let mut all = vec![node as u32, 0, size, 0];
    all.extend([0; 2 + 6 + 3]);
    all.extend([mode, 1, USER, USER, 0, 4096, 0]);
    words(&all)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Does something as the user, with nothing but his rights.
fn as_user<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let become_user = || -> rustix::io::Result<()> {
        let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
        set_thread_groups(&[group])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)
    };
    thread::scope(|scope| {
        let user = scope.spawn(move || {
            become_user().expect("become the user");
            act()
        });
        user.join().expect("what the user does")
    })
}

fn start(program: &Program, which: Which, rights: Rights, sandbox: &Sandbox) -> Outcome {
    fs::write(sandbox.desired_by_user(), ENTRIES).expect("write the desired profile");
    let start = Start {
        which,
        argv: &["--from-snap-confine", "--user-mounts", "acorn"],
        env: &[("XDG_RUNTIME_DIR", "/run/user/1000"), ("SNAP_REAL_HOME", "/home/user")],
        place: Place::Snap,
        lock: Lock::Exclusive,
        rights,
        inject: None,
        umask: 0,
        patience: Duration::from_secs(20),
    };
    sandbox.run(program, &start)
}

/// What the user sees of the portal's directory when the program has run.
fn seen(which: Which, rights: Rights) -> (Outcome, Result<String, io::ErrorKind>) {
    let program = Program::find(which).expect("the program");
    in_sandbox("acorn", |sandbox| {
        mount_portal().expect("mount the portal");
        let root = fs::read_dir(DOC).map(|_| ()).map_err(|why| why.kind());
        assert_eq!(root, Err(io::ErrorKind::PermissionDenied), "root may not look");
        let before = as_user(|| fs::read_to_string(format!("{DOC}/by-app/snap.acorn/v")));
        assert_eq!(before.expect("the user may"), "a document\n");
        let outcome = start(&program, which, rights, sandbox);
        (outcome, as_user(|| fs::read_to_string(format!("{DOC}/v"))).map_err(|why| why.kind()))
    })
}

fn impossible() -> bool {
    let why = match sandbox::possible() {
        Ok(()) if File::open("/dev/fuse").is_err() => "there is no /dev/fuse",
        Ok(()) => return false,
        Err(why) => why,
    };
    let _ = writeln!(io::stderr(), "SKIPPED {}: {why}", thread::current().name().unwrap_or("?"));
    true
}

#[test]
fn a_set_uid_start_gets_into_the_portal() {
    if impossible() {
        return;
    }
    for which in [Which::Original, Which::Ours] {
        let (outcome, text) = seen(which, Rights::SetUid);
        assert_eq!((outcome.exit.as_str(), outcome.stderr.as_str()), ("0", ""), "{which:?}: {outcome:?}");
        assert_eq!(text.as_deref(), Ok("a document\n"), "{which:?}");
    }
}

#[test]
fn a_start_with_three_capabilities_gets_into_the_portal() {
    // Debian's wants to be set-uid root: V10.
    if impossible() || program::is_rehearsal() {
        return;
    }
    let (outcome, text) = seen(Which::Ours, Rights::Ambient);
    assert_eq!((outcome.exit.as_str(), outcome.stderr.as_str()), ("0", ""), "{outcome:?}");
    assert_eq!(text.as_deref(), Ok("a document\n"));
}

#[test]
fn root_does_not_get_into_a_user_s_portal_and_says_so() {
    if impossible() {
        return;
    }
    for which in [Which::Original, Which::Ours] {
        let (outcome, text) = seen(which, Rights::Root);
        assert_eq!(outcome.exit, "0", "{which:?}: {outcome:?}");
        assert_eq!(text, Err(io::ErrorKind::NotFound), "{which:?}");
    }
}
