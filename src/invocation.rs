// SPDX-License-Identifier: GPL-3.0-only
//! The command line: whose mounts are updated, on whose behalf; and the names of the files that follow from that.
//!
//! ```text
//! snap-update-ns [--from-snap-confine] [--user-mounts] [-u UID] INSTANCE
//! ```
#![forbid(unsafe_code)]

use crate::error::{Error, Result, Says, Sentence, says, worded};
use crate::text::arena::{Arena, Full};
use crate::text::number::parse_u64;
use crate::text::{place, split};

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Invocation<'t> {
    /// The snap instance whose mounts are updated: a valid name.
    pub instance: &'t [u8],
    /// snap-confine has called: we are in the mount namespace already, and the lock is held by it.
    pub from_snap_confine: bool,
    /// The mounts of one user are made, not those of the snap.
    pub user_mounts: bool,
    /// `-u` was given, with a number. What it should do was never settled.
    pub has_uid: bool,
}

worded! {
    /// What is wrong with a command line.
    Fault:
    Option "unsupported option"
    NoUid "-u requires an argument"
    Uid "cannot parse user id"
    UidRange "cannot parse user id: numerical result out of range"
    UidSign "user id cannot be negative"
    Names "too many positional arguments"
    NoName "snap name not provided"
    Underscores "snap instance name can contain only one underscore"
    Start "snap name cannot start with a dash"
    End "snap name cannot end with a dash"
    Dashes "snap name cannot contain two consecutive dashes"
    Letters "snap name must use lower case letters, digits or dashes"
    NoLetter "snap name must contain at least one letter"
    Short "snap name must be longer than 1 character"
    Long "snap name must be shorter than 40 characters"
    Key "instance key must use lower case letters or digits"
    NoKey "instance key must contain at least one letter or digit"
    LongKey "instance key must be shorter than 10 characters"
}

/// The options, in the order in which they are known below.
const OPTIONS: &[u8] = b"--from-snap-confine --user-mounts -u";

#[inline(never)]
fn read<'t>(
    args: &mut dyn Iterator<Item = &'t [u8]>,
    into: &mut Invocation<'t>,
) -> core::result::Result<(), Fault> {
    let mut has_instance = false;
    while let Some(arg) = args.next() {
        match place(OPTIONS, b' ', arg) {
            Some(0) => into.from_snap_confine = true,
            Some(1) => into.user_mounts = true,
            Some(_) => {
                parse_uid(args.next().ok_or(Fault::NoUid)?)?;
                into.has_uid = true;
            }
            None if arg.first() == Some(&b'-') => return Err(Fault::Option),
            None if has_instance => return Err(Fault::Names),
            None => (into.instance, has_instance) = (arg, true),
        }
    }
    if !has_instance {
        return Err(Fault::NoName);
    }
    check_instance_name(into.instance)
}

/// A user id, in the words of strtoul(3): a sign is allowed, and a negative number is told apart only by being too
/// large.
fn parse_uid(text: &[u8]) -> core::result::Result<u64, Fault> {
    let sign = text.first().copied().unwrap_or(0);
    let digits = text.get(usize::from(matches!(sign, b'-' | b'+'))..).unwrap_or_default();
    let mut len = 0;
    while digits.get(len).is_some_and(u8::is_ascii_digit) {
        len += 1;
    }
    match parse_u64(digits.get(..len).unwrap_or_default()) {
        None if len > 0 => Err(Fault::UidRange),
        Some(number) if len == digits.len() => {
            let is_negative = number > i64::MAX as u64 || (sign == b'-' && number > 0);
            if is_negative { Err(Fault::UidSign) } else { Ok(number) }
        }
        _ => Err(Fault::Uid),
    }
}

/// Only this much of an instance name is looked at. The longest that is valid has 51 bytes.
const LOOKED_AT: usize = 52;

/// The rules for a part of an instance name, and what is wrong when one is broken.
struct Part {
    /// Single dashes inside are allowed, but there has to be a letter.
    is_name: bool,
    least: u8,
    most: u8,
    odd: Fault,
    short: Fault,
    long: Fault,
}

static NAME: Part =
    Part { is_name: true, least: 2, most: 40, odd: Fault::Letters, short: Fault::Short, long: Fault::Long };
static KEY: Part =
    Part { is_name: false, least: 1, most: 10, odd: Fault::Key, short: Fault::NoKey, long: Fault::LongKey };

/// Whether a snap can have this instance name: `S` or `S_K`.
///
/// `S`, the snap name, has 2 to 40 lower case letters, digits and single dashes inside, at least one of them a
/// letter; `K`, the instance key, has 1 to 10 lower case letters and digits.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_instance_name(name: &[u8]) -> core::result::Result<(), Fault> {
    let name = name.get(..LOOKED_AT).unwrap_or(name);
    let mut parts = split(name, b'_');
    let (snap, key) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return Err(Fault::Underscores);
    }
    check(snap, &NAME)?;
    key.map_or(Ok(()), |key| check(key, &KEY))
}

#[inline(never)]
fn check(text: &[u8], part: &Part) -> core::result::Result<(), Fault> {
    let mut has_letter = !part.is_name;
    let mut before = 0;
    for &byte in text {
        match byte {
            b'a'..=b'z' => has_letter = true,
            b'0'..=b'9' => {}
            b'-' if part.is_name => match before {
                0 => return Err(Fault::Start),
                b'-' => return Err(Fault::Dashes),
                _ => {}
            },
            _ => return Err(part.odd),
        }
        before = byte;
    }
    match text.len() {
        _ if before == b'-' => Err(Fault::End),
        _ if !has_letter => Err(Fault::NoLetter),
        len if len < part.least.into() => Err(part.short),
        len if len > part.most.into() => Err(part.long),
        _ => Ok(()),
    }
}

/// The files of an invocation. All but the first are found in the namespace of the snap, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The mount namespace itself, held by a mount.
    Namespace,
    /// The lock of this instance.
    Lock,
    /// The desired mount profile, written by snapd: of the snap, or of its users.
    Desired,
    /// The current mount profile, written by us. That of a user is only a name: it is neither read nor written.
    Record,
    /// The notes beside it.
    Notes,
    /// The log, written to when it is there.
    Log,
    /// The directory of the user's session; empty for a snap.
    RuntimeDir,
}

/// The absolute paths of these, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'t>([&'t [u8]; 7]);

impl<'t> Names<'t> {
    /// The names in a text, with blanks between.
    pub fn new(text: &'t [u8]) -> Self {
        let mut names = split(text, b' ');
        Names(core::array::from_fn(|_| names.next().unwrap_or_default()))
    }

    /// The path of one.
    pub fn get(&self, which: Name) -> &'t [u8] {
        self.0.get(which as usize).copied().unwrap_or_default()
    }
}

impl<'t> Invocation<'t> {
    /// Understands the arguments, without the first, which is the name of the program. They are read from left to
    /// right, and the first fault is told; the instance name is looked at last.
    pub fn read(&mut self, args: &mut dyn Iterator<Item = &'t [u8]>) -> Result<'t, ()> {
        read(args, self).map_err(|fault| Error::plain(fault.says()))
    }

    /// The instance name without the instance key.
    pub fn snap_name(&self) -> &'t [u8] {
        split(self.instance, b'_').next().unwrap_or_default()
    }

    /// What sets this instance apart from others of the same snap.
    pub fn instance_key(&self) -> Option<&'t [u8]> {
        split(self.instance, b'_').nth(1)
    }

    /// The text of [`Names`], for the user with this id where they differ.
    pub fn names<'a>(&self, uid: u32, arena: &mut Arena<'a>) -> core::result::Result<&'a [u8], Full> {
        let says = if self.user_mounts { FILES_OF_USER } else { FILES_OF_SNAP };
        let names = Sentence { one: self.instance, number: uid, ..Sentence::plain(says) };
        arena.write(&|w| names.write(b"", w))
    }
}

/// The names of the files in the order of [`Names`], with blanks between, and the gaps of a [`Sentence`].
const FILES_OF_SNAP: Says = says!(
    "/run/snapd/ns/%s.mnt ",
    "/run/snapd/lock/%s.lock ",
    "/var/lib/snapd/mount/snap.%s.fstab ",
    "/run/snapd/ns/snap.%s.fstab ",
    "/run/snapd/ns/snap.%s.fstab.made ",
    "/run/snapd/ns/snap.%s.log"
);
const FILES_OF_USER: Says = says!(
    "/run/snapd/ns/%s.mnt ",
    "/run/snapd/lock/%s.lock ",
    "/var/lib/snapd/mount/snap.%s.user-fstab ",
    "/run/snapd/ns/snap.%s.%n.user-fstab ",
    "/run/snapd/ns/snap.%s.%n.user-fstab.made ",
    "/run/snapd/ns/snap.%s.user.%n.log ",
    "/run/user/%n"
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn parsed<'t>(args: &[&'t str]) -> core::result::Result<Invocation<'t>, String> {
        let mut invocation = Invocation::default();
        let read = invocation.read(&mut args.iter().map(|arg| arg.as_bytes()));
        read.map(|()| invocation).map_err(|error| {
            let mut sentence = Vec::new();
            error.write(b"", &mut sentence);
            String::from_utf8(sentence).unwrap()
        })
    }

    fn fault(args: &[&str]) -> String {
        parsed(args).unwrap_err()
    }

    #[test]
    fn options_may_stand_anywhere_and_be_repeated() {
        let plain =
            Invocation { instance: b"acorn", from_snap_confine: false, user_mounts: false, has_uid: false };
        assert_eq!(parsed(&["acorn"]), Ok(plain));
        assert_eq!(
            parsed(&["acorn", "--from-snap-confine", "--from-snap-confine"]),
            Ok(Invocation { from_snap_confine: true, ..plain })
        );
        assert_eq!(
            parsed(&["--user-mounts", "acorn", "--from-snap-confine", "--user-mounts"]),
            Ok(Invocation { from_snap_confine: true, user_mounts: true, ..plain })
        );
        assert_eq!(parsed(&["-u", "1000", "acorn", "-u", "7"]), Ok(Invocation { has_uid: true, ..plain }));
    }

    #[test]
    fn everything_else_with_a_dash_is_refused() {
        for option in ["-", "--", "-h", "--help", "-u5", "--user-mounts=1", "--from-snap-confine ", "-U"] {
            assert_eq!(fault(&[option, "acorn"]), "unsupported option", "{option}");
        }
    }

    #[test]
    fn there_is_exactly_one_name() {
        assert_eq!(fault(&[]), "snap name not provided");
        assert_eq!(fault(&["--user-mounts"]), "snap name not provided");
        assert_eq!(fault(&["acorn", "birch"]), "too many positional arguments");
        assert_eq!(fault(&["", ""]), "too many positional arguments");
        assert_eq!(fault(&[""]), "snap name must contain at least one letter");
    }

    #[test]
    fn the_first_fault_from_the_left_is_told_and_the_name_last() {
        assert_eq!(fault(&["A", "B", "-x"]), "too many positional arguments");
        assert_eq!(fault(&["A", "-x"]), "unsupported option");
        assert_eq!(fault(&["A", "-u"]), "-u requires an argument");
        assert_eq!(fault(&["-u", "x"]), "cannot parse user id");
    }

    #[test]
    fn a_user_id_is_read_like_an_unsigned_machine_word() {
        let read = |text: &str| parse_uid(text.as_bytes()).map_err(|fault| fault.says().unpacked());
        let range = "cannot parse user id: numerical result out of range";
        for (text, outcome) in [
            ("0", Ok(0)),
            ("042", Ok(42)),
            ("+5", Ok(5)),
            ("-0", Ok(0)),
            ("4294967296", Ok(4_294_967_296)),
            ("9223372036854775807", Ok(i64::MAX as u64)),
            ("9223372036854775808", Err("user id cannot be negative")),
            ("18446744073709551615", Err("user id cannot be negative")),
            ("18446744073709551616", Err(range)),
            ("-18446744073709551616", Err(range)),
            ("18446744073709551616x", Err(range)),
            ("-1", Err("user id cannot be negative")),
        ] {
            assert_eq!(read(text), outcome.map_err(String::from), "{text}");
        }
        for text in
            ["", "-", "+", "1x", "0x10", "42 ", "1_0", " 5", "\t5", "\x0b5", "\r5", "\n5", "\x0c5", "+-5"]
        {
            assert_eq!(read(text), Err("cannot parse user id".into()), "{text:?}");
        }
        assert_eq!(parsed(&["-u", "acorn"]).unwrap_err(), "cannot parse user id");
    }

    const UNDERSCORES: &str = "snap instance name can contain only one underscore";
    const START: &str = "snap name cannot start with a dash";
    const END: &str = "snap name cannot end with a dash";
    const DASHES: &str = "snap name cannot contain two consecutive dashes";
    const LETTERS: &str = "snap name must use lower case letters, digits or dashes";
    const NO_LETTER: &str = "snap name must contain at least one letter";
    const SHORT: &str = "snap name must be longer than 1 character";
    const LONG: &str = "snap name must be shorter than 40 characters";
    const KEY: &str = "instance key must use lower case letters or digits";
    const NO_KEY: &str = "instance key must contain at least one letter or digit";
    const LONG_KEY: &str = "instance key must be shorter than 10 characters";

    #[test]
    fn instance_names_are_valid_or_say_what_is_wrong() {
        let forty = "a".repeat(40);
        let all: [(&str, Option<&str>); 36] = [
            ("aa", None),
            ("11a", None),
            ("a-b-1", None),
            (&forty, None),
            (&std::format!("{forty}_bbbbbbbbbb"), None),
            ("aa_0", None),
            ("a", Some(SHORT)),
            ("a_x", Some(SHORT)),
            ("1", Some(NO_LETTER)),
            ("", Some(NO_LETTER)),
            ("_aa", Some(NO_LETTER)),
            ("12", Some(NO_LETTER)),
            ("1-2", Some(NO_LETTER)),
            ("aa_", Some(NO_KEY)),
            ("aa__c", Some(UNDERSCORES)),
            ("aa_b_c", Some(UNDERSCORES)),
            ("__", Some(UNDERSCORES)),
            ("aa_B", Some(KEY)),
            ("aa_b-c", Some(KEY)),
            ("aa_bbbbbbbbbbb", Some(LONG_KEY)),
            (&std::format!("{forty}a"), Some(LONG)),
            (&std::format!("{}_x_y", "a".repeat(60)), Some(LONG)),
            (&std::format!("{forty}_bbbbbbbbbb_X"), Some(UNDERSCORES)),
            (&std::format!("{forty}_bbbbbbbbbbbb_X"), Some(LONG_KEY)),
            (&std::format!("{}-a", "a".repeat(51)), Some(END)),
            ("-aa", Some(START)),
            ("aa-", Some(END)),
            ("a-_x", Some(END)),
            ("a--", Some(DASHES)),
            ("a--b", Some(DASHES)),
            ("Aa", Some(LETTERS)),
            ("a.b", Some(LETTERS)),
            ("../a", Some(LETTERS)),
            ("a b", Some(LETTERS)),
            ("aé", Some(LETTERS)),
            ("aa\0", Some(LETTERS)),
        ];
        for (name, wrong) in all {
            let fault = check_instance_name(name.as_bytes()).err();
            let fault = fault.map(|fault| fault.says().unpacked());
            assert_eq!(fault.as_deref(), wrong, "{name:?}");
        }
    }

    #[test]
    fn an_instance_name_has_a_snap_name_and_perhaps_a_key() {
        let with_key = parsed(&["maple_blue"]).unwrap();
        assert_eq!((with_key.snap_name(), with_key.instance_key()), (&b"maple"[..], Some(&b"blue"[..])));
        let without = parsed(&["acorn"]).unwrap();
        assert_eq!((without.snap_name(), without.instance_key()), (&b"acorn"[..], None));
    }

    #[test]
    fn the_files_of_the_snap_are_named_after_the_instance() {
        let mut room = [0; 512];
        let invocation = parsed(&["maple_blue"]).unwrap();
        let names = Names::new(invocation.names(1000, &mut Arena::new(&mut room)).unwrap());
        let expected: [&[u8]; 7] = [
            b"/run/snapd/ns/maple_blue.mnt",
            b"/run/snapd/lock/maple_blue.lock",
            b"/var/lib/snapd/mount/snap.maple_blue.fstab",
            b"/run/snapd/ns/snap.maple_blue.fstab",
            b"/run/snapd/ns/snap.maple_blue.fstab.made",
            b"/run/snapd/ns/snap.maple_blue.log",
            b"",
        ];
        assert_eq!(names, Names(expected));
        assert_eq!(names.get(Name::Namespace), expected[0]);
        assert_eq!(names.get(Name::RuntimeDir), expected[6]);
    }

    #[test]
    fn the_files_of_a_user_bear_the_user_id() {
        let mut room = [0; 512];
        let invocation = parsed(&["--user-mounts", "acorn"]).unwrap();
        let names = Names::new(invocation.names(u32::MAX, &mut Arena::new(&mut room)).unwrap());
        assert_eq!(names.get(Name::Desired), b"/var/lib/snapd/mount/snap.acorn.user-fstab");
        assert_eq!(names.get(Name::Record), b"/run/snapd/ns/snap.acorn.4294967295.user-fstab");
        assert_eq!(names.get(Name::Log), b"/run/snapd/ns/snap.acorn.user.4294967295.log");
        assert_eq!(names.get(Name::RuntimeDir), b"/run/user/4294967295");
        assert_eq!(invocation.names(0, &mut Arena::new(&mut [0; 60])), Err(Full));
    }
}
