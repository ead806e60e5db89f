// SPDX-License-Identifier: GPL-3.0-only
//! Real changes of identity. The system calls change one thread only, so each test has a thread to spoil. Needs
//! root; says so and passes without.
#![allow(missing_docs)]

use snap_update_ns::error::Error;
use snap_update_ns::namespace::identity;
use snap_update_ns::text::Out;
use std::fs;
use std::io::Write;
use std::thread;

/// Says aloud, past the test runner's catching of output, that a test was not made.
fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

const USER: libc::c_long = 1234;
const GROUP: libc::c_long = 2345;
const CHOWN: u64 = 1 << 0;
const DAC_OVERRIDE: u64 = 1 << 1;
const SYS_ADMIN: u64 = 1 << 21;

fn sentence(error: Error<'_>) -> String {
    struct Text(Vec<u8>);
    impl Out for Text {
        fn put(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    let mut text = Text(Vec::new());
    error.write(b"acorn", &mut text);
    String::from_utf8(text.0).unwrap()
}

/// A line of this thread's status.
fn status(field: &str) -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn set(field: &str) -> u64 {
    u64::from_str_radix(&status(field), 16).unwrap()
}

/// Runs `test` on a thread of its own, when we are root.
fn as_root(test: impl FnOnce() + Send + 'static) {
    if status("Uid") != "0 0 0 0" {
        skip("needs root");
        return;
    }
    // A panic aborts in this package, so there is nothing to hand on.
    thread::spawn(test).join().unwrap();
}

fn call(number: libc::c_long, arguments: [libc::c_long; 3]) {
    let [one, two, three] = arguments;
    // SAFETY: the callers pass numbers, or pointers to what the call expects.
    assert_eq!(unsafe { libc::syscall(number, one, two, three) }, 0, "{}", std::io::Error::last_os_error());
}

/// What the set-uid snap-confine handed over.
fn set_uid_start() {
    let groups = [5u32, 7];
    call(libc::SYS_setgroups, [2, groups.as_ptr() as libc::c_long, 0]);
    call(libc::SYS_setresgid, [GROUP, 0, 0]);
    call(libc::SYS_setresuid, [USER, 0, 0]);
}

/// What today's snap-confine hands over: the user, and a few capabilities.
fn capability_start(capabilities: u64) {
    // SAFETY: no memory is passed.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
    call(libc::SYS_setresgid, [GROUP, GROUP, GROUP]);
    call(libc::SYS_setresuid, [USER, USER, USER]);
    let header = [0x2008_0522u32, 0];
    let bits = capabilities as u32;
    let data = [bits, bits, bits, 0, 0, 0];
    call(libc::SYS_capset, [header.as_ptr() as libc::c_long, data.as_ptr() as libc::c_long, 0]);
    for bit in (0..32).filter(|bit| bits & 1 << bit != 0) {
        // SAFETY: no memory is passed. PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE
        unsafe { libc::syscall(libc::SYS_prctl, 47, 2, bit, 0, 0) };
    }
    assert_eq!(set("CapAmb"), capabilities);
}

#[test]
fn a_set_uid_start_becomes_the_user_with_one_capability_and_one_group() {
    as_root(|| {
        set_uid_start();
        identity::require_capabilities().unwrap();
        identity::become_user().map_err(sentence).unwrap();
        assert_eq!(status("Uid"), "1234 1234 1234 1234");
        assert_eq!(status("Gid"), "2345 2345 2345 2345");
        assert_eq!(status("Groups"), "2345");
        assert_eq!((set("CapEff"), set("CapPrm"), set("CapInh")), (SYS_ADMIN, SYS_ADMIN, 0));
        assert_eq!(set("CapAmb"), 0);
    });
}

#[test]
fn a_start_with_ambient_capabilities_keeps_one_of_them_and_every_group() {
    as_root(|| {
        let groups = [5u32, 7];
        call(libc::SYS_setgroups, [2, groups.as_ptr() as libc::c_long, 0]);
        capability_start(SYS_ADMIN | CHOWN | DAC_OVERRIDE);
        identity::require_capabilities().unwrap();
        identity::become_user().map_err(sentence).unwrap();
        assert_eq!(status("Uid"), "1234 1234 1234 1234");
        assert_eq!(status("Groups"), "5 7");
        assert_eq!((set("CapEff"), set("CapPrm"), set("CapInh")), (SYS_ADMIN, SYS_ADMIN, 0));
        assert_eq!(set("CapAmb"), 0);
    });
}

#[test]
fn root_in_user_mode_stays_root_with_one_capability() {
    as_root(|| {
        identity::require_capabilities().unwrap();
        identity::become_user().map_err(sentence).unwrap();
        assert_eq!(status("Uid"), "0 0 0 0");
        assert_eq!((set("CapEff"), set("CapPrm"), set("CapInh")), (SYS_ADMIN, SYS_ADMIN, 0));
    });
}

#[test]
fn a_user_without_a_capability_is_told_which() {
    for (held, missing) in [
        (0, "CAP_SYS_ADMIN"),
        (CHOWN | DAC_OVERRIDE, "CAP_SYS_ADMIN"),
        (SYS_ADMIN | DAC_OVERRIDE, "CAP_CHOWN"),
        (SYS_ADMIN | CHOWN, "CAP_DAC_OVERRIDE"),
    ] {
        as_root(move || {
            capability_start(held);
            let error = identity::require_capabilities().map_err(sentence).unwrap_err();
            assert_eq!(error, format!("{missing} capability not in effective set: operation not permitted"));
        });
    }
}

#[test]
fn letting_go_of_what_one_does_not_have_is_refused() {
    as_root(|| {
        capability_start(CHOWN);
        let error = identity::become_user().map_err(sentence).unwrap_err();
        let says = "cannot enable capabilities after switching to real user: operation not permitted";
        assert_eq!(error, says);
    });
}
