// SPDX-License-Identifier: GPL-3.0-only
//! What is said on the way, one line at a time.
//!
//! Warnings and debug lines go to standard error; nothing parses them. The one sentence of a fatal error goes to
//! standard output, where snapd and snap-confine expect it. An administrator who wants to know more creates the
//! opt-in log file: as long as it exists, everything goes there, too.
//!
//! A line is written with one write(2) when it fits the buffer, in pieces when it does not; it is never cut.
#![forbid(unsafe_code)]

use crate::error::{Errno, Error, Says, Within, says};
use crate::kernel::Fd;
use crate::kernel::file::{self, FileType, Open};
use crate::kernel::process::{self, Stream, Variable};
use crate::kernel::writer::Writer;
use crate::text::{Out, has_part};
use core::mem::ManuallyDrop;

/// The log of one run. It is handed down as a value; there is no other.
#[derive(Debug)]
pub struct Log {
    debug: bool,
    /// Open until the process ends.
    file: Option<ManuallyDrop<Fd>>,
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
    /// A log as the environment and the kernel's command line want it; that is read into `buffer`, as far as it fits.
    ///
    /// `/proc/cmdline` is read at every start where `SNAPD_DEBUG` does not say yes: three system calls of about a
    /// microsecond each, and with `snapd.debug=1` there an administrator sees every start of every snap, which no
    /// user's environment could bring about.
    pub fn from_surroundings(buffer: &mut [u8]) -> Self {
        Log {
            debug: process::variable(Variable::Debug).is_some_and(is_true) || debug_on_command_line(buffer),
            file: None,
        }
    }

    /// A log of standard error only.
    pub const fn new(debug: bool) -> Self {
        Log { debug, file: None }
    }

    /// Joins in the opt-in log file, if somebody created it: an ordinary file of root or of `owner`. In user mode
    /// that is the user, who has to be able to write to it; otherwise it is root again, 0. The file is appended
    /// to, never created, and neither a link nor a fifo is followed. From here on everything is said in full. To be called once it is known that there is a namespace to update, for in snapd's
    /// case the path is one inside it.
    pub fn open_file(&mut self, path: &[u8], owner: u32, run: Run<'_>) {
        let mut says = says!("cannot open log file %q: %e");
        let opened = file::open(path, Open::APPEND).and_then(|fd| {
            let stat = file::stat(&fd)?;
            if stat.kind == FileType::Regular && (stat.uid == 0 || stat.uid == owner) {
                return Ok(fd);
            }
            says = says!("cannot use log file %q: not a regular file of root or of the user");
            Err(Errno::NONE)
        });
        let sentence = match opened {
            Ok(fd) => {
                *self = Log { debug: true, file: Some(ManuallyDrop::new(fd)) };
                let place = 2 * usize::from(run.from_snap_confine) + usize::from(run.user_mounts);
                Error::about(RUNS.line(place), run.instance).within(Within::Updating)
            }
            Err(Errno::ENOENT) => return,
            Err(errno) => Error::call(says, path, errno),
        };
        self.detail(sentence);
    }

    /// Whether debug lines are written.
    pub fn is_debug(&self) -> bool {
        self.debug
    }

    /// Writes a line that is always wanted.
    pub fn warn(&mut self, say: &dyn Fn(&mut dyn Out)) {
        line(Stream::Error, self.file.as_deref(), says!(""), say);
    }

    /// Writes a line for those who want to know everything; `say` is not called when nobody does.
    pub fn debug(&mut self, say: &dyn Fn(&mut dyn Out)) {
        if self.debug {
            line(Stream::Error, self.file.as_deref(), says!("DEBUG: "), say);
        }
    }

    /// Writes a sentence that is always wanted. It does not name the instance by `%i`.
    #[inline(never)]
    pub fn warning(&mut self, sentence: Error<'_>) {
        tell(Stream::Error, self.file.as_deref(), says!(""), sentence, b"");
    }

    /// Writes a sentence for those who want to know everything. It does not name the instance by `%i`.
    #[inline(never)]
    pub fn detail(&mut self, sentence: Error<'_>) {
        if self.debug {
            tell(Stream::Error, self.file.as_deref(), says!("DEBUG: "), sentence, b"");
        }
    }
}

/// The runs that there are, each with a line end.
const RUNS: Says = says!(
    "snapd, system mounts\n",
    "snapd, user mounts\n",
    "snap-confine, system mounts\n",
    "snap-confine, user mounts\n",
);

/// Says the fatal sentence, `cannot update snap namespace: …`, on standard output. `instance` is empty while
/// it is not known.
pub fn fatal(error: Error<'_>, instance: &[u8]) {
    tell(Stream::Output, None, says!("cannot update snap namespace: "), error, instance);
}

#[inline(never)]
fn tell(stream: Stream, file: Option<&Fd>, start: Says, sentence: Error<'_>, instance: &[u8]) {
    line(stream, file, start, &|line| sentence.write(instance, line));
}

#[inline(never)]
fn line(stream: Stream, file: Option<&Fd>, start: Says, say: &dyn Fn(&mut dyn Out)) {
    let stream = stream.fd();
    let mut line = Writer::new(&stream, file);
    let out: &mut dyn Out = &mut line;
    out.says(start);
    say(out);
    out.put(b"\n");
    // A full disk must not stop an update, and there is nowhere left to complain.
    let _ = line.finish();
}

/// The words that `SNAPD_DEBUG` says yes with, white space around them aside.
fn is_true(value: &[u8]) -> bool {
    has_part(b"1 t T TRUE true True", b' ', value.trim_ascii())
}

fn debug_on_command_line(buffer: &mut [u8]) -> bool {
    let read = file::open(b"/proc/cmdline", Open::READ).and_then(|fd| file::read(&fd, buffer));
    let len = read.unwrap_or_default() as usize;
    has_debug_word(buffer.get(..len).unwrap_or_default())
}

fn has_debug_word(command_line: &[u8]) -> bool {
    has_part(command_line.trim_ascii(), b' ', b"snapd.debug=1")
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
