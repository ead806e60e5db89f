// SPDX-License-Identifier: GPL-3.0-only
//! Errors are sentences: what could not be done, to which thing, and why.
//!
//! Lower case, no full stop, paths quoted with odd bytes escaped: `cannot create directory "/x": read-only file
//! system`. Where snapd shows a sentence of the original to its users, ours is the same sentence.
#![forbid(unsafe_code)]

use crate::text::Out;

/// The result of whatever can fail with a sentence.
pub type Result<'t, T> = core::result::Result<T, Error<'t>>;

/// A sentence with gaps. `Copy`, a dozen words; the bytes it quotes are borrowed from the arena.
///
/// The gaps of [`Error::says`] are filled when it is written: `%q` is [`Error::one`] in quotes, `%s` is it bare,
/// `%Q` and `%S` are the same of [`Error::two`], `%n` is [`Error::number`], `%e` is the text of [`Error::errno`],
/// `%%` is a percent sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'t> {
    /// Said before the sentence, with the gap `%q` or `%s` for [`Error::around`]; empty for none.
    pub within: &'static str,
    /// What [`Error::within`] is about.
    pub around: &'t [u8],
    /// The sentence with its gaps.
    pub says: &'static str,
    /// The first thing it is about.
    pub one: &'t [u8],
    /// The second thing it is about.
    pub two: &'t [u8],
    /// A number it is about: a count, a line, a limit.
    pub number: u64,
    /// Why the system said no; [`Errno::NONE`] when it did not.
    pub errno: Errno,
}

impl<'t> Error<'t> {
    /// An empty sentence, to be filled with struct update syntax.
    pub const NONE: Error<'t> =
        Error { within: "", around: b"", says: "", one: b"", two: b"", number: 0, errno: Errno::NONE };

    /// A sentence about nothing in particular.
    pub const fn plain(says: &'static str) -> Self {
        Error { says, ..Self::NONE }
    }

    /// A sentence about one thing.
    pub const fn about(says: &'static str, one: &'t [u8]) -> Self {
        Error { says, one, ..Self::NONE }
    }

    /// A sentence about one thing that the system refused.
    pub const fn call(says: &'static str, one: &'t [u8], errno: Errno) -> Self {
        Error { says, one, errno, ..Self::NONE }
    }

    /// The same error, said as the reason of a larger one.
    pub const fn within(self, within: &'static str, around: &'t [u8]) -> Self {
        Error { within, around, ..self }
    }

    /// Writes the sentence, without a line end.
    pub fn write<W: Out + ?Sized>(&self, w: &mut W) {
        self.fill(self.within, self.around, w);
        self.fill(self.says, self.one, w);
    }

    fn fill<W: Out + ?Sized>(&self, says: &str, one: &[u8], w: &mut W) {
        let mut gap = false;
        for byte in says.bytes() {
            if !gap {
                gap = byte == b'%';
                if !gap {
                    w.put(&[byte]);
                }
                continue;
            }
            gap = false;
            match byte {
                b'q' => w.quoted(one),
                b's' => w.put(one),
                b'Q' => w.quoted(self.two),
                b'S' => w.put(self.two),
                b'n' => w.number(self.number),
                b'e' => self.errno.write(w),
                other => w.put(&[other]),
            }
        }
    }
}

/// An error number of errno(3), as Linux numbers them on x86, arm and arm64 alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u16);

macro_rules! errnos {
    ($($name:ident $number:literal $text:literal)*) => {
        #[allow(missing_docs)]
        impl Errno { $(pub const $name: Errno = Errno($number);)* }

        impl Errno {
            /// The text of strerror(3) in the C locale, in lower case; the number where it is not in our table.
            pub fn text(self) -> Option<&'static str> {
                match self.0 { $($number => Some($text),)* _ => None }
            }
        }
    };
}

errnos! {
    NONE 0 "success"
    EPERM 1 "operation not permitted"
    ENOENT 2 "no such file or directory"
    EINTR 4 "interrupted system call"
    EIO 5 "input/output error"
    ENXIO 6 "no such device or address"
    EBADF 9 "bad file descriptor"
    EAGAIN 11 "resource temporarily unavailable"
    ENOMEM 12 "cannot allocate memory"
    EACCES 13 "permission denied"
    EFAULT 14 "bad address"
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
    EMLINK 31 "too many links"
    EPIPE 32 "broken pipe"
    ERANGE 34 "numerical result out of range"
    EDEADLK 35 "resource deadlock avoided"
    ENAMETOOLONG 36 "file name too long"
    ENOSYS 38 "function not implemented"
    ENOTEMPTY 39 "directory not empty"
    ELOOP 40 "too many levels of symbolic links"
    EOVERFLOW 75 "value too large for defined data type"
    EOPNOTSUPP 95 "operation not supported"
    ETIMEDOUT 110 "connection timed out"
    ENOTCONN 107 "transport endpoint is not connected"
    ESTALE 116 "stale file handle"
    EDQUOT 122 "disk quota exceeded"
}

impl Errno {
    /// Writes the text, or `errno N`.
    pub fn write<W: Out + ?Sized>(self, w: &mut W) {
        match self.text() {
            Some(text) => w.put(text.as_bytes()),
            None => {
                w.put(b"errno ");
                w.number(self.0.into());
            }
        }
    }
}
