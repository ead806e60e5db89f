// SPDX-License-Identifier: GPL-3.0-only
//! Errors are sentences: what could not be done, to which thing, and why.
//!
//! Lower case, no full stop, paths quoted with odd bytes escaped: `cannot create directory "/x": read-only file
//! system`. Where snapd shows a sentence of the original to its users, ours is the same sentence.
#![forbid(unsafe_code)]

use crate::kernel::sentences;
use crate::text::{Out, split};

/// The result of whatever can fail with a sentence.
pub type Result<'t, T> = core::result::Result<T, Error<'t>>;

/// A sentence with gaps; the bytes it is about are borrowed, mostly from the arena.
///
/// The gaps of [`Sentence::says`] are filled when it is written: `%q` is [`Sentence::one`] in quotes, `%s` is it bare,
/// `%p` is the first [`Sentence::number`] bytes of it in quotes (a directory above it), `%n` is [`Sentence::number`]
/// itself, `%e` is the text of [`Sentence::errno`] and `%i` the snap's instance name in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence<'t> {
    /// The sentence with its gaps.
    pub says: &'static str,
    /// What it is about.
    pub one: &'t [u8],
    /// A number it is about: a count, a line, a limit, a length.
    pub number: u32,
    /// Why the system said no; [`Errno::NONE`] when it did not.
    pub errno: Errno,
    /// The larger undertaking that it is the reason for.
    pub within: Within,
}

impl Sentence<'_> {
    /// A sentence about nothing in particular.
    pub const fn plain(says: &'static str) -> Self {
        Sentence { says, one: b"", number: 0, errno: Errno::NONE, within: Within::Nothing }
    }

    /// Writes the sentence, without a line end. `instance` is the snap's, where it is known.
    pub fn write(&self, instance: &[u8], w: &mut dyn Out) {
        self.fill(nth(WITHIN, self.within as usize), instance, w);
        self.fill(self.says.as_bytes(), instance, w);
    }

    #[inline(never)]
    fn fill(&self, says: &[u8], instance: &[u8], w: &mut dyn Out) {
        let mut parts = split(says, b'%');
        w.put(parts.next().unwrap_or_default());
        for part in parts {
            let Some((gap, behind)) = part.split_first() else { continue };
            match gap {
                b'q' => w.quoted(self.one),
                b's' => w.put(self.one),
                b'p' => w.quoted(self.one.get(..self.number as usize).unwrap_or(self.one)),
                b'n' => w.number(self.number.into()),
                b'e' => self.errno.write(w),
                _ => w.quoted(instance),
            }
            w.put(behind);
        }
    }
}

/// A kept sentence: one pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'t>(&'t Sentence<'t>);

impl<'t> core::ops::Deref for Error<'t> {
    type Target = Sentence<'t>;

    fn deref(&self) -> &Sentence<'t> {
        self.0
    }
}

/// What was going on when something failed; said in front of the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are below")]
pub enum Within {
    Nothing,
    OpeningLock,
    LoadingDesired,
    LoadingRecord,
    SavingRecord,
    Freezing,
    FinishingFreezing,
    CoveringDirectory,
    Updating,
}

impl<'t> Error<'t> {
    /// A sentence about nothing in particular.
    pub fn plain(says: &'static str) -> Self {
        Self::call(says, b"", Errno::NONE)
    }

    /// A sentence about one thing.
    pub fn about(says: &'static str, one: &'t [u8]) -> Self {
        Self::call(says, one, Errno::NONE)
    }

    /// A sentence about one thing that the system refused.
    pub fn call(says: &'static str, one: &'t [u8], errno: Errno) -> Self {
        Self::count(says, one, errno, 0)
    }

    /// A sentence about one thing and a number.
    #[cold]
    #[inline(never)]
    pub fn count(says: &'static str, one: &'t [u8], errno: Errno, number: u32) -> Self {
        Error(sentences::keep(Sentence { says, one, number, errno, within: Within::Nothing }))
    }

    /// The same error, as the reason of a larger one.
    pub fn within(self, within: Within) -> Self {
        self.inside(within, self.number)
    }

    /// The same error, as the reason why a directory above could not be covered; its path has this length.
    pub fn within_directory(self, len: usize) -> Self {
        self.inside(Within::CoveringDirectory, if self.number == 0 { len as u32 } else { self.number })
    }

    #[cold]
    #[inline(never)]
    fn inside(self, within: Within, number: u32) -> Self {
        Error(sentences::keep(Sentence { within, number, ..*self.0 }))
    }
}

/// The words of [`Within`] in its order, each with a line end. Of a directory that could not be covered what failed is
/// itself, or lies in it.
const WITHIN: &str = concat!(
    "\n",
    "cannot open lock file for mount namespace of snap %i: \n",
    "cannot load desired mount profile of snap %i: \n",
    "cannot load current mount profile of snap %i: \n",
    "cannot save current mount profile of snap %i: \n",
    "cannot freeze processes of snap %i, \n",
    "cannot finish freezing processes of snap %i: \n",
    "cannot create writable mimic over %p: \n",
    "updating the mount namespace of snap %q, from \n",
);

/// The line with that number, counted from 0; empty behind the last.
pub(crate) fn nth(lines: &'static str, number: usize) -> &'static [u8] {
    let mut lines = split(lines.as_bytes(), b'\n');
    for _ in 0..number {
        lines.next();
    }
    lines.next().unwrap_or_default()
}

/// An error number of errno(3), as Linux numbers them on x86, arm and arm64 alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u32);

macro_rules! errnos {
    ($($name:ident $number:literal $text:literal)*) => {
        #[allow(missing_docs)]
        impl Errno { $(pub const $name: Errno = Errno($number);)* }

        /// The numbers that have a text.
        const NUMBERS: &[u8] = &[$($number),*];
        /// Their texts in the same order, each with a line end.
        const TEXTS: &str = concat!($($text, "\n"),*);
    };
}

errnos! {
    NONE 0 "success"
    EPERM 1 "operation not permitted"
    ENOENT 2 "no such file or directory"
    EIO 5 "input/output error"
    ENXIO 6 "no such device or address"
    EAGAIN 11 "resource temporarily unavailable"
    ENOMEM 12 "cannot allocate memory"
    EACCES 13 "permission denied"
    ENOTBLK 15 "block device required"
    EBUSY 16 "device or resource busy"
    EEXIST 17 "file exists"
    EXDEV 18 "invalid cross-device link"
    ENODEV 19 "no such device"
    ENOTDIR 20 "not a directory"
    EISDIR 21 "is a directory"
    EINVAL 22 "invalid argument"
    ENFILE 23 "too many open files in system"
    EMFILE 24 "too many open files"
    EFBIG 27 "file too large"
    ENOSPC 28 "no space left on device"
    EROFS 30 "read-only file system"
    ENAMETOOLONG 36 "file name too long"
    ENOSYS 38 "function not implemented"
    ENOTEMPTY 39 "directory not empty"
    ELOOP 40 "too many levels of symbolic links"
    EOPNOTSUPP 95 "operation not supported"
    ETIMEDOUT 110 "connection timed out"
    ENOTCONN 107 "transport endpoint is not connected"
    ESTALE 116 "stale file handle"
    EDQUOT 122 "disk quota exceeded"
}

impl Errno {
    /// Never seen above the door to the kernel: a call that was interrupted is made again.
    pub const EINTR: Errno = Errno(4);

    /// The text of strerror(3) in the C locale, in lower case; empty where it is not in our table.
    pub fn text(self) -> &'static [u8] {
        let at = NUMBERS.iter().take_while(|number| u32::from(**number) != self.0).count();
        nth(TEXTS, at)
    }

    /// Writes the text, or `errno N`.
    #[inline(never)]
    pub fn write(self, w: &mut dyn Out) {
        let text = self.text();
        w.put(text);
        if text.is_empty() {
            w.put(b"errno ");
            w.number(self.0.into());
        }
    }
}
