// SPDX-License-Identifier: GPL-3.0-only
//! Signals are held back to the end. What happens to a process is seen from outside.
#![allow(missing_docs)]

use snap_update_ns::kernel::file;
use snap_update_ns::kernel::process::{self, Stream};
use std::process::{Command, ExitStatus, Stdio};

fn run(test: &str, stderr: Stdio) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--test-threads=1"])
        .stdout(Stdio::null())
        .stderr(stderr)
        .status()
        .unwrap()
}

fn raise(signal: i32) {
    // SAFETY: no memory is passed.
    unsafe { libc::raise(signal) };
}

#[test]
#[ignore = "run by a test below"]
fn hold_and_leave() {
    process::hold_signals();
    raise(libc::SIGTERM);
    raise(libc::SIGINT);
    std::process::exit(7);
}

#[test]
#[ignore = "run by a test below"]
fn talk_to_nobody() {
    // The standard library ignores the signal; a plain process has its default.
    // SAFETY: no memory is passed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    process::hold_broken_pipe();
    let _ = file::write_all(&Stream::Error.fd(), b"is anybody there?\n");
    std::process::exit(7);
}

#[test]
fn a_held_signal_does_not_kill() {
    assert_eq!(run("hold_and_leave", Stdio::inherit()).code(), Some(7));
}

#[test]
fn a_reader_who_went_away_does_not_kill() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(run("talk_to_nobody", writer.into()).code(), Some(7));
}
