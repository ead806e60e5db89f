// SPDX-License-Identifier: GPL-3.0-only
//! The opt-in log file against real files of every kind.
#![allow(missing_docs)]

use snap_update_ns::log::{Log, Run};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::PathBuf;
use std::process::Command;

/// Says aloud, past the test runner's catching of output, that a test was not made.
fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

const RUN: Run<'_> = Run { instance: b"acorn", from_snap_confine: true, user_mounts: false };
const FIRST: &str =
    "DEBUG: updating the mount namespace of snap \"acorn\", from snap-confine, system mounts\n";

struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sun-log-{}-{test}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Place(dir.join("snap.acorn.log"))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }

    /// Opens the file for its owner and says something.
    fn log(&self, owner: u32) {
        let mut log = Log::new(false);
        log.open_file(self.0.to_str().unwrap().as_bytes(), owner, RUN);
        log.warn(&|line| line.put(b"a warning"));
        log.debug(&|line| line.put(b"a detail"));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn me(place: &Place) -> u32 {
    fs::metadata(place.0.parent().unwrap()).unwrap().uid()
}

#[test]
fn a_file_that_is_there_gets_everything_behind_what_it_has() {
    let place = Place::new("there");
    fs::write(&place.0, "old text\n").unwrap();
    place.log(me(&place));
    assert_eq!(place.text(), format!("old text\n{FIRST}a warning\nDEBUG: a detail\n"));
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let place = Place::new("absent");
    place.log(me(&place));
    assert!(!place.0.exists());
}

#[test]
fn a_link_is_not_followed_and_a_fifo_neither_waited_for_nor_written_to() {
    let place = Place::new("kinds");
    let other = place.0.with_extension("other");
    fs::write(&other, "").unwrap();
    symlink(&other, &place.0).unwrap();
    place.log(me(&place));
    assert_eq!(fs::read_to_string(&other).unwrap(), "");
    fs::remove_file(&place.0).unwrap();
    assert!(Command::new("mkfifo").arg(&place.0).status().unwrap().success());
    place.log(me(&place));
    let reader = fs::File::options().read(true).write(true).open(&place.0).unwrap();
    place.log(me(&place));
    drop(reader);
}

#[test]
fn a_file_of_somebody_else_is_not_used() {
    let place = Place::new("foreign");
    fs::write(&place.0, "").unwrap();
    if chown(&place.0, Some(4321), None).is_err() {
        skip("needs root to give a file away");
        return;
    }
    place.log(0);
    assert_eq!(place.text(), "");
    place.log(4321);
    assert!(place.text().starts_with(FIRST));
}

#[test]
#[ignore = "run by the test of long lines, which catches its standard error"]
fn say_a_long_line() {
    let mut log = Log::new(false);
    let path = std::env::var("LOG_FILE").unwrap();
    // SAFETY: no memory is passed.
    log.open_file(path.as_bytes(), unsafe { libc::getuid() }, RUN);
    log.warn(&|line| {
        line.put(b"<");
        line.put("x".repeat(70_000).as_bytes());
        line.put(b">");
    });
}

#[test]
fn a_line_longer_than_any_buffer_is_not_cut() {
    let place = Place::new("long");
    fs::write(&place.0, "").unwrap();
    let said = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "say_a_long_line", "--ignored", "--nocapture"])
        .env("LOG_FILE", &place.0)
        .output()
        .unwrap();
    let expected = format!("{FIRST}<{}>\n", "x".repeat(70_000));
    assert_eq!(place.text(), expected);
    assert_eq!(String::from_utf8(said.stderr).unwrap(), expected);
}
