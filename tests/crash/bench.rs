// SPDX-License-Identifier: GPL-3.0-only
//! Whether the bench itself can be trusted: small programs whose fate is known, each struck in one way.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::calls::Call;
use crate::tracer::{self, Blow, End, Trace, Watchdog};

/// What must hold before any case is believed.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("bench/a program that nobody strikes ends by itself", undisturbed),
        Trial::test("bench/a call that fails does not reach the kernel", failing),
        Trial::test("bench/a guard outlives the program, and ends when it is done", with_guard),
        Trial::test("bench/a guard that stays is found", guard_that_stays),
        Trial::test("bench/a guard is ended with the program", both_ended),
    ]
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn trace(command: Command, blow: Option<(usize, Blow)>) -> Result<Trace, Failed> {
    Ok(tracer::trace(command, blow, &Watchdog::new())?)
}

/// The number of the first call of this name.
fn find(calls: &[Call], names: &[&str]) -> Result<usize, Failed> {
    let found = calls.iter().position(|call| names.contains(&call.name.as_str()));
    found.map(|at| at + 1).ok_or_else(|| Failed::from(format!("no call {names:?}")))
}

fn holds(what: bool, or: &str) -> Result<(), Failed> {
    match what {
        true => Ok(()),
        false => Err(Failed::from(or)),
    }
}

fn undisturbed() -> Result<(), Failed> {
    let seen = trace(sh("exit 7"), None)?;
    holds(seen.end == End::Exit(7), "the exit status is not that of the program")?;
    holds(seen.calls.last().is_some_and(|call| call.name == "exit_group"), "the last call is missing")
}

fn failing() -> Result<(), Failed> {
    let place = tempfile::tempdir()?;
    let made = place.path().join("made");
    let mkdir = || {
        let mut command = Command::new("/bin/mkdir");
        command.arg(&made).stderr(Stdio::null());
        command
    };
    let seen = trace(mkdir(), None)?;
    holds(made.exists(), "undisturbed, the directory is not made")?;
    fs::remove_dir(&made)?;
    let at = find(&seen.calls, &["mkdir", "mkdirat"])?;
    let seen = trace(mkdir(), Some((at, Blow::Fail { errno: Errno::EROFS, forever: false })))?;
    holds(!made.exists(), "the directory is made although the call failed")?;
    holds(seen.end == End::Exit(1), "the program did not see the error")?;
    holds(seen.struck.is_some_and(|call| call.about.contains("made")), "another call was struck")
}

fn with_guard() -> Result<(), Failed> {
    let mut seen = trace(sh("sleep 0.1 & exit 0"), None)?;
    holds(seen.forked == 1, "the guard was not seen")?;
    holds(!seen.guards.end_within(Duration::ZERO), "the guard is gone too early")?;
    holds(seen.guards.end_within(Duration::from_secs(5)), "the guard does not end")
}

fn guard_that_stays() -> Result<(), Failed> {
    let mut seen = trace(sh("sleep 100 & exit 0"), None)?;
    holds(!seen.guards.end_within(Duration::from_millis(100)), "the guard is not seen to stay")
}

fn both_ended() -> Result<(), Failed> {
    const SCRIPT: &str = "sleep 0.3 & wait";
    let at = find(&trace(sh(SCRIPT), None)?.calls, &["wait4", "rt_sigsuspend"])?;
    for (guard, gone) in [(true, true), (false, false)] {
        let mut seen = trace(sh(SCRIPT), Some((at, Blow::Kill { guard })))?;
        holds(seen.end == End::Killed(Signal::SIGKILL), "the program was not ended")?;
        holds(seen.guards.end_within(Duration::from_millis(100)) == gone, "the guard fared otherwise")?;
    }
    Ok(())
}
