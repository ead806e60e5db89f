// SPDX-License-Identifier: GPL-3.0-only
//! What is read from the environment of a real process.
#![allow(missing_docs)]

use snap_update_ns::kernel::process::{self, Variable};
use snap_update_ns::log::Log;
use std::io::Write;
use std::process::Command;

/// Says aloud, past the test runner's catching of output, that a test was not made.
fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// Runs one of the ignored tests with exactly these variables, and gives what it says on standard error.
fn run(test: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// What the start of the program does: it tells where the environment is.
fn start() {
    unsafe extern "C" {
        static environ: *const *const std::ffi::c_char;
    }
    // SAFETY: it is the C library's array, and nobody changes it in the children of these tests.
    unsafe { process::set_environment(environ) };
}

#[test]
#[ignore = "run by the tests below"]
fn tell() {
    start();
    let value = |which| process::variable(which).map(|value| String::from_utf8_lossy(value));
    eprint!("{:?}", [Variable::Debug, Variable::RealHome].map(value));
}

#[test]
#[ignore = "run by the tests below"]
fn log() {
    start();
    let mut log = Log::from_surroundings(&mut [0; 4_096]);
    log.warn(&|line| line.put(b"warning"));
    log.debug(&|line| line.put(b"detail"));
}

#[test]
fn a_variable_is_found_by_its_whole_name() {
    let variables = [
        ("SNAP_REAL_HOME", "/home/a=b"),
        ("SNAPD_DEBUG", ""),
        ("XSNAPD_DEBUG", "x"),
        ("SNAPD_DEBUGGER", "y"),
    ];
    assert_eq!(run("tell", &variables), r#"[Some(""), Some("/home/a=b")]"#);
    assert_eq!(run("tell", &[]), "[None, None]");
}

#[test]
fn debugging_is_asked_for_and_a_terminal_changes_nothing() {
    if std::fs::read_to_string("/proc/cmdline").unwrap().contains("snapd.debug") {
        skip("this machine was started with snapd.debug");
        return;
    }
    assert_eq!(run("log", &[]), "warning\n");
    assert_eq!(run("log", &[("SNAPD_DEBUG", "0"), ("TERM", "")]), "warning\n");
    assert_eq!(run("log", &[("SNAPD_DEBUG", " true ")]), "warning\nDEBUG: detail\n");
    let watched = run("log", &[("SNAPD_DEBUG", "1"), ("TERM", "linux")]);
    assert_eq!(watched, "warning\nDEBUG: detail\n");
}
