// SPDX-License-Identifier: GPL-3.0-only
//! Errors are sentences: what could not be done, to which thing, and why.
//!
//! Lower case, no full stop, paths quoted with odd bytes escaped: `cannot create directory "/x": read-only file
//! system`. Where snapd shows a sentence of the original to its users, ours is the same sentence.
#![forbid(unsafe_code)]

use crate::kernel::sentences::{self, Kept};
use crate::text::arena::{Arena, Full};
use crate::text::{Out, packed};
use core::num::NonZeroU32;

pub use crate::kernel::sentences::Says;

/// A text of the program, or several: then each has a line end.
macro_rules! says {
    ($($text:expr),+ $(,)?) => {
        const {
            const TEXT: &str = concat!($($text),+);
            const PACKED: ([u8; TEXT.len() + 1], usize) = $crate::text::packed::pack(TEXT);
            const FRONT: &[u8] = &$crate::text::packed::front::<{ PACKED.1 }>(&PACKED.0);
            $crate::kernel::sentences::Says::new(FRONT)
        }
    };
}
pub(crate) use says;

/// An enumeration of things that each have a text.
macro_rules! worded {
    ($(#[$about:meta])* $things:ident: $($thing:ident $text:literal)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the words tell")]
        pub enum $things { $($thing),* }

        impl $things {
            /// The words for people.
            pub fn says(self) -> Says {
                const TEXTS: Says = says!($($text, "\n"),*);
                TEXTS.line(self as usize)
            }
        }
    };
}
pub(crate) use worded;

/// The result of whatever can fail with a sentence.
pub type Result<'t, T> = core::result::Result<T, Error<'t>>;

/// A sentence with gaps; the bytes it is about are borrowed, mostly from the arena.
///
/// The gaps of [`Sentence::says`] are filled when it is written: `%q` is [`Sentence::one`] in quotes, `%s` is it bare,
/// `%p` is the first [`Sentence::number`] bytes of it in quotes (a directory above it), `%n` is [`Sentence::number`]
/// itself, `%e` is the text of [`Sentence::errno`] and `%i` the snap's instance name in quotes; `%b` is that bare, or
/// whatever else is given in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence<'t> {
    /// The sentence with its gaps.
    pub says: Says,
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
    pub const fn plain(says: Says) -> Self {
        Sentence { says, one: b"", number: 0, errno: Errno::NONE, within: Within::Nothing }
    }

    /// Writes the sentence, without a line end. `instance` is the snap's, where it is known.
    pub fn write(&self, instance: &[u8], w: &mut dyn Out) {
        let mut filler = Filler { sentence: self, instance, w };
        filler.line(self.within.says());
        filler.line(self.says);
    }
}

/// Writes a sentence.
struct Filler<'f, 't> {
    sentence: &'f Sentence<'t>,
    instance: &'f [u8],
    w: &'f mut dyn Out,
}

impl Filler<'_, '_> {
    /// The first line.
    fn line(&mut self, lines: Says) {
        let mut rest = lines;
        while let Some(code) = rest.next()
            && code != packed::LINE_END
        {
            self.put(code);
        }
    }

    #[inline(never)]
    fn put(&mut self, code: u8) {
        let mut code = code;
        while let Some([first, second]) = packed::pair(code) {
            self.put(first);
            code = second;
        }
        let Sentence { one, number, .. } = *self.sentence;
        let w = &mut *self.w;
        let (letter, is_gap) = packed::letter(code);
        let (bytes, quoted) = match letter {
            _ if !is_gap => (letter, false),
            b"q" => (one, true),
            b"s" => (one, false),
            b"p" => (one.get(..number as usize).unwrap_or(one), true),
            b"n" => return w.number(number.into()),
            b"e" => return self.errno(self.sentence.errno.0.get()),
            b"b" => (self.instance, false),
            _ => (self.instance, true),
        };
        if quoted { w.quoted(bytes) } else { w.put(bytes) }
    }

    /// The text of strerror(3) in the C locale, in lower case; `errno N` where it is not in our table.
    fn errno(&mut self, errno: u32) {
        let at = NUMBERS.iter().take_while(|number| u32::from(**number) != errno).count();
        self.line(TEXTS.line(at));
        if at == NUMBERS.len() {
            self.w.number(errno.into());
        }
    }
}

/// A text with one or two others in its gaps, kept in the arena: `%s` and `%b`.
#[inline(never)]
pub fn compose<'t>(
    says: Says,
    one: &[u8],
    other: &[u8],
    arena: &mut Arena<'t>,
) -> core::result::Result<&'t [u8], Full> {
    arena.write(&|w| Sentence { one, ..Sentence::plain(says) }.write(other, w))
}

/// A kept sentence: a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'t>(Kept<'t>);

impl<'t> core::ops::Deref for Error<'t> {
    type Target = Sentence<'t>;

    fn deref(&self) -> &Sentence<'t> {
        self.0.get()
    }
}

impl<'t> Error<'t> {
    /// A sentence about nothing in particular.
    pub fn plain(says: Says) -> Self {
        Self::call(says, b"", Errno::NONE)
    }

    /// A sentence about one thing.
    pub fn about(says: Says, one: &'t [u8]) -> Self {
        Self::call(says, one, Errno::NONE)
    }

    /// A sentence about one thing that the system refused.
    pub fn call(says: Says, one: &'t [u8], errno: Errno) -> Self {
        Self::count(says, one, errno, 0)
    }

    /// A sentence about one thing and a number.
    pub fn count(says: Says, one: &'t [u8], errno: Errno, number: u32) -> Self {
        Self::whole(says, one, errno, number, Within::Nothing)
    }

    #[cold]
    #[inline(never)]
    fn whole(says: Says, one: &'t [u8], errno: Errno, number: u32, within: Within) -> Self {
        Error(sentences::keep(Sentence { says, one, number, errno, within }))
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
        Self::whole(self.says, self.one, self.errno, number, within)
    }
}

worded! {
    /// What was going on when something failed; said in front of the sentence. Of a directory that could not be covered
    /// what failed is itself, or lies in it.
    Within:
    Nothing ""
    OpeningLock "cannot open lock file for mount namespace of snap %i: "
    LoadingDesired "cannot load desired mount profile of snap %i: "
    LoadingRecord "cannot load current mount profile of snap %i: "
    SavingRecord "cannot save current mount profile of snap %i: "
    Freezing "cannot freeze processes of snap %i, "
    FinishingFreezing "cannot finish freezing processes of snap %i: "
    CoveringDirectory "cannot create writable mimic over %p: "
    Updating "updating the mount namespace of snap %q, from "
    UsingHome "): cannot use invalid home directory %q: "
}

/// An error number of errno(3), as Linux numbers them on x86, arm and arm64 alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(NonZeroU32);

macro_rules! errnos {
    ($($name:ident $number:literal $text:literal)*) => {
        #[allow(missing_docs)]
        impl Errno { $(pub const $name: Errno = Errno::new($number);)* }

        /// The numbers that have a text.
        const NUMBERS: &[u8] = &[$($number),*];
        /// Their texts in the same order, each with a line end; behind them what is said of all others, in front of the number.
        const TEXTS: Says = says!($($text, "\n",)* "errno ");
    };
}

errnos! {
    NONE 255 "success"
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
    pub const EINTR: Errno = Errno::new(4);

    /// The error of this number, which is not 0.
    pub const fn new(number: u32) -> Self {
        Errno(match NonZeroU32::new(number) {
            Some(number) => number,
            None => NonZeroU32::MAX,
        })
    }
}
