// SPDX-License-Identifier: GPL-3.0-only
//! What is said on the way, one line at a time.
//!
//! Warnings and debug lines go to standard error; nothing parses them. The one sentence of a fatal error goes to
//! standard output, where snapd and snap-confine expect it. An administrator who wants to know more creates the
//! opt-in log file: as long as it exists, everything goes there, too.
//!
//! A line is written with one write(2) when it fits the buffer, in pieces when it does not; it is never cut.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error};
use crate::kernel::file::{self, FileType, Open};
use crate::kernel::process::{self, Moment, Stream, Variable};
use crate::kernel::{self, Fd};
use crate::limits;
use crate::text::Out;
use heapless::Vec;

/// Bytes gathered before they are written: a sentence with a whole path in it.
const LINE_BUFFER: usize = 5_000;

/// The log of one run. It is handed down as a value; there is no other.
#[derive(Debug)]
pub struct Log {
    debug: bool,
    stamps: bool,
    file: Option<Fd>,
}

/// Who started us and for what: the first line of the log file.
#[derive(Clone, Copy, Debug)]
pub struct Run<'t> {
    /// The snap's instance name.
    pub instance: &'t [u8],
    /// Started by snap-confine, in the namespace already.
    pub from_snap_confine: bool,
    /// The user's mounts and not the system's.
    pub user_mounts: bool,
}

impl Log {
    /// A log as the environment and the kernel's command line want it.
    ///
    /// `/proc/cmdline` is read at every start where `SNAPD_DEBUG` does not say yes: three system calls of about a
    /// microsecond each, and with `snapd.debug=1` there an administrator sees every start of every snap, which no
    /// user's environment could bring about.
    pub fn from_surroundings() -> Self {
        Log {
            debug: process::variable(Variable::Debug).is_some_and(is_true) || debug_on_command_line(),
            stamps: process::variable(Variable::Terminal).is_some_and(|value| !value.is_empty()),
            file: None,
        }
    }

    /// A log of standard error only.
    pub const fn new(debug: bool, stamps: bool) -> Self {
        Log { debug, stamps, file: None }
    }

    /// Joins in the opt-in log file, if somebody created it: an ordinary file of root or of `owner`. In user mode
    /// that is the user, who has to be able to write to it; otherwise it is root again, 0. The file is appended
    /// to, never created, and neither a link nor a fifo is followed. From here on everything is said in full and
    /// without time stamps. To be called once it is known that there is a namespace to update, for in snapd's
    /// case the path is one inside it.
    pub fn open_file(&mut self, path: &[u8], owner: u32, run: Run<'_>) {
        let opened = file::open(path, Open::APPEND, 0).and_then(|fd| file::stat(&fd).map(|stat| (fd, stat)));
        match opened {
            Ok((fd, stat)) if stat.kind == FileType::Regular && (stat.uid == 0 || stat.uid == owner) => {
                *self = Log { debug: true, stamps: false, file: Some(fd) };
                self.debug(&|line| {
                    line.put(b"updating the mount namespace of snap ");
                    line.quoted(run.instance);
                    line.put(if run.from_snap_confine { b", from snap-confine" } else { b", from snapd" });
                    line.put(if run.user_mounts { b", user mounts" } else { b", system mounts" });
                });
            }
            Ok(_) => self.debug(&|line| {
                line.put(b"cannot use log file ");
                line.quoted(path);
                line.put(b": not a regular file of root or of the user");
            }),
            Err(Errno::ENOENT) => {}
            Err(errno) => {
                self.debug(&|line| Error::call("cannot open log file %q: %e", path, errno).write(b"", line))
            }
        }
    }

    /// Whether debug lines are written.
    pub fn is_debug(&self) -> bool {
        self.debug
    }

    /// Writes a line that is always wanted.
    pub fn warn(&mut self, say: &dyn Fn(&mut dyn Out)) {
        let mut line = self.line();
        say(&mut line);
        line.end();
    }

    /// Writes a line for those who want to know everything; `say` is not called when nobody does.
    pub fn debug(&mut self, say: &dyn Fn(&mut dyn Out)) {
        if self.debug {
            let mut line = self.line();
            line.put(b"DEBUG: ");
            say(&mut line);
            line.end();
        }
    }

    fn line(&self) -> Line<'_> {
        let mut line = Line { stream: Stream::Error, file: self.file.as_ref(), buffer: Vec::new() };
        if self.stamps {
            stamp(process::wall_clock(), &mut line);
        }
        line
    }
}

/// Writes one line to standard output: the fatal sentence.
pub fn stdout_line(say: &dyn Fn(&mut dyn Out)) {
    let mut line = Line { stream: Stream::Output, file: None, buffer: Vec::new() };
    say(&mut line);
    line.end();
}

/// Says the fatal sentence, `cannot update snap namespace: …`, on standard output. `instance` is empty while
/// it is not known.
pub fn fatal(error: &Error<'_>, instance: &[u8]) {
    stdout_line(&|line| {
        line.put(b"cannot update snap namespace: ");
        error.write(instance, line);
    });
}

/// One line that is being written.
#[derive(Debug)]
pub struct Line<'l> {
    stream: Stream,
    file: Option<&'l Fd>,
    buffer: Vec<u8, LINE_BUFFER>,
}

impl Line<'_> {
    fn end(mut self) {
        self.put(b"\n");
        self.flush();
    }

    fn flush(&mut self) {
        process::write_stream(self.stream, &self.buffer);
        if let Some(fd) = self.file {
            // A full disk must not stop an update, and there is nowhere left to complain.
            let _ = file::write_all(fd, &self.buffer);
        }
        self.buffer.clear();
    }
}

impl Out for Line<'_> {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.buffer.is_full() {
                self.flush();
            }
            let room = LINE_BUFFER - self.buffer.len();
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, b""));
            // `now` is no longer than the room that was left.
            let _ = self.buffer.extend_from_slice(now);
            bytes = later;
        }
    }
}

/// The words that `SNAPD_DEBUG` says yes with, white space around them aside.
fn is_true(value: &[u8]) -> bool {
    matches!(value.trim_ascii(), b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True")
}

fn debug_on_command_line() -> bool {
    let mut buffer = [0; limits::KERNEL_COMMAND_LINE.max];
    has_debug_word(read_command_line(&mut buffer).unwrap_or_default())
}

fn read_command_line(buffer: &mut [u8]) -> kernel::Result<&[u8]> {
    let fd = file::open(b"/proc/cmdline", Open::READ, 0)?;
    let got = file::read(&fd, buffer)?;
    Ok(buffer.get(..got).unwrap_or_default())
}

fn has_debug_word(command_line: &[u8]) -> bool {
    command_line.split(u8::is_ascii_whitespace).any(|word| word == b"snapd.debug=1")
}

/// Writes `YYYY/MM/DD HH:MM:SS.uuuuuu `, in UTC: the snap's namespace may have another idea of the time zone.
fn stamp(now: Moment, w: &mut dyn Out) {
    let (days, second) = (now.seconds / 86_400, now.seconds % 86_400);
    let (year, month, day) = date(days);
    let parts = [
        (year, 4, "/"),
        (month, 2, "/"),
        (day, 2, " "),
        (second / 3_600, 2, ":"),
        (second / 60 % 60, 2, ":"),
        (second % 60, 2, "."),
        (u64::from(now.nanoseconds / 1_000), 6, " "),
    ];
    for (number, width, behind) in parts {
        let mut least = 10;
        for _ in 1..width {
            if number < least {
                w.put(b"0");
            }
            least *= 10;
        }
        w.number(number);
        w.put(behind.as_bytes());
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, in cycles of 400 years or 146,097
/// days; 1970-01-01 is day 719,468 of that count.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn six_words_turn_debugging_on_and_nothing_else_does() {
        for yes in ["1", "t", "T", "TRUE", "true", "True", " 1\n", "\ttrue "] {
            assert!(is_true(yes.as_bytes()), "{yes:?}");
        }
        for no in ["", "0", "yes", "tRUE", "11", "1 1", "false"] {
            assert!(!is_true(no.as_bytes()), "{no:?}");
        }
    }

    #[test]
    fn the_kernel_command_line_is_searched_for_a_whole_word() {
        assert!(has_debug_word(b"quiet snapd.debug=1 ro\n"));
        assert!(has_debug_word(b"snapd.debug=1"));
        assert!(!has_debug_word(b"snapd.debug=10 xsnapd.debug=1 snapd.debug=0"));
    }

    fn stamped(seconds: u64, nanoseconds: u32) -> String {
        let mut text = Vec::new();
        stamp(Moment { seconds, nanoseconds }, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_stamp_has_fixed_width_and_the_right_day() {
        assert_eq!(stamped(0, 0), "1970/01/01 00:00:00.000000 ");
        assert_eq!(stamped(951_782_399, 1_000), "2000/02/28 23:59:59.000001 ");
        assert_eq!(stamped(951_782_400, 999_999_999), "2000/02/29 00:00:00.999999 ");
        assert_eq!(stamped(951_868_800, 0), "2000/03/01 00:00:00.000000 ");
        assert_eq!(stamped(1_795_388_645, 123_456_789), "2026/11/22 23:04:05.123456 ");
        assert_eq!(stamped(4_107_542_399, 0), "2100/02/28 23:59:59.000000 ");
        assert_eq!(stamped(4_107_542_400, 0), "2100/03/01 00:00:00.000000 ");
    }

    #[test]
    fn every_day_of_a_cycle_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(date(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
