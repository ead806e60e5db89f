// SPDX-License-Identifier: GPL-3.0-only
//! A mount profile: text in the manner of fstab(5), cut into entries where it stands.
//!
//! * A line ends in LF; white space at both its ends does not count, and that is the white space of Unicode.
//! * A line that is empty or begins with `#` says nothing.
//! * Fields are separated by spaces and tabs alone. The first that begins with `#` and all behind it is a comment.
//! * Three to six fields are source, target, type, options, freq and passno. Of seven and more the last two are
//!   freq and passno, and all from the fourth up to those are the options, with single spaces between.
//! * Inside a field blanks and backslashes are [escaped](crate::text::escape).
#![forbid(unsafe_code)]

pub use super::expand::{ExpandFault, expand, expand_in_place};
use super::{About, MountEntry, Options};
use crate::error::{Errno, Error, Result, Says, says};
use crate::kernel::list::List;
use crate::limits::{PROFILE_ENTRIES, PROFILE_LINE};
use crate::text::escape::cut_field;
use crate::text::number::parse_i64;
use crate::text::path::{self, put};
use crate::text::{cut, find, place, position};

/// Cuts the text into entries, in place and in the order of its lines, and appends them.
///
/// Targets come out [clean](path::clean), sources as they are. A target that begins with a variable is left as it
/// is when cleaning would climb above that (`$HOME/../x`); [`expand`] cleans it.
///
/// # Errors
///
/// The first line that is no entry, or is longer than [`PROFILE_LINE`]; more entries than [`PROFILE_ENTRIES`] or
/// than there is room for. The text is the caller's to limit.
pub fn parse<'t>(text: &'t mut [u8], into: &mut List<'t, MountEntry<'t>>) -> Result<'t, ()> {
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let line = cut(&mut rest, b'\n');
        if line.len() > PROFILE_LINE.max {
            return Err(Error::count(TOO_LONG, b"", Errno::NONE, number));
        }
        parse_line(line, into)?;
    }
    Ok(())
}

const TOO_LONG: Says = says!("line %n is longer than 65535 bytes");
const _: () = assert!(PROFILE_LINE.max == 65_535, "TOO_LONG names the limit");

/// One line, without its end.
#[inline(never)]
fn parse_line<'t>(line: &'t mut [u8], into: &mut List<'t, MountEntry<'t>>) -> Result<'t, ()> {
    let line = trim(line);
    let (len, count) = tidy(line);
    if count == 0 {
        return Ok(());
    }
    if count < 3 {
        return Err(Error::count(says!("expected at least 3 fields, found %n"), b"", Errno::NONE, count));
    }
    let mut rest = line.get_mut(..len).unwrap_or_default();
    // (1) source, (2) target, (3) type
    let mut entry = MountEntry {
        name: cut_field(&mut rest, END),
        dir: target(cut_field(&mut rest, END)),
        fstype: cut_field(&mut rest, END),
        options: Options(b""),
        about: About::NONE,
        freq: 0,
        passno: 0,
    };
    // (4) options: one field, or of seven and more fields all but the five others
    for _ in 6..count {
        let end = position(rest, END);
        if let Some(end) = rest.get_mut(end) {
            *end = b' ';
        }
    }
    entry.options = Options(cut_field(&mut rest, END));
    // Most have the same as one just before: those of a mimic are of two kinds.
    let mut near = into.iter().rev().take(2);
    entry.about = match near.find(|near| near.options == entry.options) {
        Some(near) => near.about,
        None => entry.options.about(),
    };
    // (5) freq, (6) passno
    integer(cut(&mut rest, END), &mut entry.freq, says!("cannot parse dump frequency: %q"))?;
    integer(rest, &mut entry.passno, says!("cannot parse check pass number: %q"))?;
    if into.len() >= PROFILE_ENTRIES.max || into.push(entry).is_err() {
        return Err(PROFILE_ENTRIES.exceeded());
    }
    Ok(())
}

/// What stands between the fields of a tidy line; it cannot be in one.
const END: u8 = b'\n';

/// Moves the fields up to a comment to the front, with one [`END`] between each two. Returns how many bytes they
/// are then, and how many fields.
fn tidy(line: &mut [u8]) -> (usize, u32) {
    let (mut at, mut len, mut count) = (0, 0, 0);
    while let Some(byte) = line.get(at).copied().filter(|byte| *byte != b'#') {
        if is_blank(byte) {
            at += 1;
            continue;
        }
        // There was a blank before it, or nothing at all.
        if count > 0 {
            put(line, &mut len, END);
        }
        count += 1;
        let start = at;
        while line.get(at).is_some_and(|byte| !is_blank(*byte)) {
            at += 1;
            at += find(line.get(at..).unwrap_or_default(), b' ', b' ');
        }
        if len == start {
            // As it is mostly.
            len = at;
        }
        for from in start.max(len)..at {
            let byte = line.get(from).copied().unwrap_or_default();
            put(line, &mut len, byte);
        }
    }
    (len, count)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads a number, if there is one; what is to be said if it is none.
#[inline(never)]
fn integer<'t>(field: &'t [u8], into: &mut i64, fault: Says) -> Result<'t, ()> {
    if !field.is_empty() {
        *into = parse_i64(field).ok_or_else(|| Error::about(fault, field))?;
    }
    Ok(())
}

fn target(dir: &mut [u8]) -> &[u8] {
    if super::expand::behind_variable(dir).is_some() && place(dir, b'/', b"..").is_some() {
        return dir;
    }
    path::cleaned(dir)
}

/// Takes white space off both ends: that of Unicode, in UTF-8.
fn trim(line: &mut [u8]) -> &mut [u8] {
    let mut rest = line;
    let mut len = 1;
    while len <= 3 && !matches!((rest.first(), rest.last()), (Some(b'!'..=b'~'), Some(b'!'..=b'~'))) {
        if is_space(rest.get(..len)) {
            rest = rest.get_mut(len..).unwrap_or_default();
            len = 1;
        } else if let Some(before) = rest.len().checked_sub(len)
            && is_space(rest.get(before..))
        {
            rest = rest.get_mut(..before).unwrap_or_default();
            len = 1;
        } else {
            len += 1;
        }
    }
    rest
}

/// Whether these bytes are one character of white space: the White_Space property of Unicode.
fn is_space(utf8: Option<&[u8]>) -> bool {
    // A leading 1 keeps zeros from being lost.
    let number = utf8.unwrap_or_default().iter().fold(1u32, |number, byte| number << 8 | u32::from(*byte));
    matches!(
        number,
        0x1_09..=0x1_0D
            | 0x1_20
            | 0x1_C285                   // U+0085
            | 0x1_C2A0                   // U+00A0
            | 0x1E1_9A80                 // U+1680
            | 0x1E2_8080..=0x1E2_808A    // U+2000 to U+200A
            | 0x1E2_80A8                 // U+2028
            | 0x1E2_80A9                 // U+2029
            | 0x1E2_80AF                 // U+202F
            | 0x1E2_819F                 // U+205F
            | 0x1E3_8080                 // U+3000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::arena::Arena;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::format;
    use std::string::String;

    type Bytes = std::vec::Vec<u8>;

    fn parsed(text: &[u8]) -> core::result::Result<std::vec::Vec<MountEntry<'static>>, String> {
        let text = Box::leak(text.to_vec().into_boxed_slice());
        let mut entries = room(64);
        match parse(text, &mut entries) {
            Ok(()) => Ok(entries.iter().copied().collect()),
            Err(error) => {
                let mut sentence = Bytes::new();
                error.write(b"", &mut sentence);
                Err(String::from_utf8(sentence).unwrap())
            }
        }
    }

    fn room(most: usize) -> List<'static, MountEntry<'static>> {
        let mut list = List::new();
        list.claim(most, &mut Arena::new(Bytes::leak(std::vec![0; 100 * (most + 1)])));
        list
    }

    fn one(text: &str) -> MountEntry<'static> {
        let entries = parsed(text.as_bytes()).unwrap();
        assert_eq!(entries.len(), 1, "{text:?}");
        entries[0]
    }

    fn rewritten(text: &str) -> String {
        let mut lines = Bytes::new();
        for entry in parsed(text.as_bytes()).unwrap() {
            entry.write(&mut lines);
            lines.push(b'\n');
        }
        String::from_utf8(lines).unwrap()
    }

    fn fault(text: &str) -> String {
        parsed(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_line_of_six_fields_is_an_entry() {
        assert_eq!(
            one("/snap/birch/3/data /snap/acorn/1/plat none bind,ro 1 2\n"),
            MountEntry {
                name: b"/snap/birch/3/data",
                dir: b"/snap/acorn/1/plat",
                fstype: b"none",
                options: Options(b"bind,ro"),
                about: Options(b"bind,ro").about(),
                freq: 1,
                passno: 2,
            }
        );
    }

    #[test]
    fn missing_fields_are_no_options_and_zero() {
        let three = one("a /b c");
        assert_eq!((three.options, three.freq, three.passno), (Options(b""), 0, 0));
        let four = one("a /b c rw");
        assert_eq!((four.options, four.freq, four.passno), (Options(b"rw"), 0, 0));
        let five = one("a /b c rw 7");
        assert_eq!((five.freq, five.passno), (7, 0));
    }

    #[test]
    fn a_comment_begins_with_a_field_and_not_inside_one() {
        assert_eq!(rewritten("tmpfs /mnt/a tmpfs rw 0 0 # hi"), "tmpfs /mnt/a tmpfs rw 0 0\n");
        assert_eq!(rewritten("tmpfs /mnt/a tmpfs #rw 0 0"), "tmpfs /mnt/a tmpfs defaults 0 0\n");
        assert_eq!(rewritten("na#me#1 /a# tmpfs r#w"), "na#me#1 /a# tmpfs r#w 0 0\n");
        assert_eq!(rewritten("a /b none x y 1 2 # 7 8"), "a /b none x\\040y 1 2\n");
        assert_eq!(fault("tmpfs /mnt/a # tmpfs rw"), "expected at least 3 fields, found 2");
        assert_eq!(fault("a #"), "expected at least 3 fields, found 1");
    }

    #[test]
    fn lines_that_say_nothing_are_skipped() {
        assert_eq!(rewritten(""), "");
        assert_eq!(rewritten("\n\n \t\r\n# a b\n  # c d e\n\u{a0}#x\n\u{85}\u{2003}\n"), "");
    }

    #[test]
    fn white_space_of_all_kinds_is_trimmed_from_lines() {
        for space in [
            " ", "\t", "\u{b}", "\u{c}", "\r", "\u{85}", "\u{a0}", "\u{1680}", "\u{2000}", "\u{2005}",
            "\u{200a}", "\u{2028}", "\u{2029}", "\u{202f}", "\u{205f}", "\u{3000}",
        ] {
            let line = format!("{space}{space} a /b none rw 0 0{space} {space}");
            assert_eq!(rewritten(&line), "a /b none rw 0 0\n", "{space:?}");
        }
        for letter in ["\u{180e}", "\u{200b}", "\u{feff}", "\u{1f}", "\u{2060}"] {
            assert_eq!(one(&format!("{letter} /b none")).name, letter.as_bytes());
        }
        assert_eq!(parsed(b"\xe2\x80 /b none rw\xc2").unwrap()[0].options.0, b"rw\xc2");
    }

    #[test]
    fn only_space_and_tab_separate_fields() {
        let entry = one("\t a\u{b}b \t /x\u{a0}y\tnone\r\n");
        assert_eq!(entry.name, b"a\x0bb");
        assert_eq!(entry.dir, "/x\u{a0}y".as_bytes());
        assert_eq!(entry.fstype, b"none");
    }

    #[test]
    fn lines_may_end_in_cr_lf_or_in_nothing() {
        assert_eq!(rewritten("a /b c rw 0 0\r\nd /e f"), "a /b c rw 0 0\nd /e f defaults 0 0\n");
    }

    #[test]
    fn escapes_are_decoded_in_every_field() {
        let entry = one(r"a\040b /c\011d e\012f g\134040,h\040i");
        assert_eq!((entry.name, entry.dir, entry.fstype), (&b"a b"[..], &b"/c\td"[..], &b"e\nf"[..]));
        assert_eq!(entry.options.iter().collect::<std::vec::Vec<_>>(), [&br"g\040"[..], b"h i"]);
        assert_eq!(rewritten(r"a /\043 c"), "a /\\134043 c defaults 0 0\n");
    }

    #[test]
    fn numbers_have_an_optional_sign_and_no_other_syntax() {
        assert_eq!(rewritten("a /b c rw -1 +2"), "a /b c rw -1 2\n");
        assert_eq!(fault("a /b c rw 1_0 0"), "cannot parse dump frequency: \"1_0\"");
        assert_eq!(fault("a /b c rw 0 0x1"), "cannot parse check pass number: \"0x1\"");
        assert_eq!(
            fault("a /b c rw 9223372036854775808"),
            "cannot parse dump frequency: \"9223372036854775808\""
        );
        assert_eq!(fault("a /b c rw x y"), "cannot parse dump frequency: \"x\"");
    }

    #[test]
    fn seven_fields_and_more_have_their_numbers_at_the_end() {
        assert_eq!(rewritten("a /b none bind,ro x y 0 0"), "a /b none bind,ro\\040x\\040y 0 0\n");
        let entry = one("tmpfs /t tmpfs size=1m,\t \tmode=0711 0 0");
        assert_eq!(entry.options.iter().collect::<std::vec::Vec<_>>(), [&b"size=1m"[..], b" mode=0711"]);
        assert_eq!(fault("a /b none rw 0 0 x"), "cannot parse check pass number: \"x\"");
        assert_eq!(fault("a /b none rw 0 x 0"), "cannot parse dump frequency: \"x\"");
        assert_eq!(one(r"a /b none x\134 040 1 2").options.0, br"x\ 040");
    }

    #[test]
    fn too_few_fields_are_counted() {
        assert_eq!(fault("a"), "expected at least 3 fields, found 1");
        assert_eq!(fault("a /b c\na /b"), "expected at least 3 fields, found 2");
    }

    #[test]
    fn targets_are_cleaned_and_sources_are_not() {
        assert_eq!(rewritten("/s//x/ /var/cups/ none bind"), "/s//x/ /var/cups none bind 0 0\n");
        assert_eq!(one("a /x/../../y/. none").dir, b"/y");
        assert_eq!(one("a $HOME//x/ none").dir, b"$HOME/x");
        assert_eq!(one("a $HOME/../x none").dir, b"$HOME/../x");
        assert_eq!(one("a $HOMES/../x none").dir, b"x");
        assert_eq!(one(r"a /a\040/..//b\134 none").dir, br"/b\");
    }

    #[test]
    fn the_longest_line_is_accepted_and_one_byte_more_is_refused() {
        let fixed = "a / none rw 0 0".len();
        for (max, end) in [(PROFILE_LINE.max, ""), (PROFILE_LINE.max, "\n")] {
            let line = format!("# 1\na /{} none rw 0 0{end}", "x".repeat(max - fixed));
            assert_eq!(parsed(line.as_bytes()).unwrap().len(), 1);
            let line = format!("# 1\na /{} none rw 0 0{end}", "x".repeat(max - fixed + 1));
            assert_eq!(fault(&line), "line 2 is longer than 65535 bytes");
        }
        assert_eq!(fault(&"#".repeat(PROFILE_LINE.max + 1)), "line 1 is longer than 65535 bytes");
    }

    #[test]
    fn the_canonical_form_can_be_longer_than_the_line() {
        let line = format!("a /{} none", "\\".repeat(PROFILE_LINE.max - "a / none".len()));
        let entry = one(&line);
        assert!(entry.written_len() > PROFILE_LINE.max);
    }

    #[test]
    fn the_largest_profile_is_accepted_and_one_entry_more_is_refused() {
        for (count, done) in
            [(PROFILE_ENTRIES.max, Ok(())), (PROFILE_ENTRIES.max + 1, Err(PROFILE_ENTRIES.exceeded()))]
        {
            let text = Bytes::leak("a /b c\n".repeat(count).into_bytes());
            let mut entries = room(PROFILE_ENTRIES.max + 1);
            assert_eq!(parse(text, &mut entries), done);
            assert_eq!(entries.len(), PROFILE_ENTRIES.max);
        }
    }

    fn field() -> impl Strategy<Value = String> {
        r"[ab/.#\\0134 \t\n\u{a0}é]{1,8}".prop_filter("comments are no field", |text| !text.starts_with('#'))
    }

    proptest! {
        #[test]
        fn parsing_undoes_writing(
            fields in prop::collection::vec((field(), field(), field(), field(), any::<i64>(), any::<i64>()), 0..8),
        ) {
            let mut text = Bytes::new();
            let mut dirs = std::vec::Vec::new();
            for (_, dir, ..) in &fields {
                let mut dir = dir.clone().into_bytes();
                let len = path::clean(&mut dir);
                dir.truncate(len);
                dirs.push(dir);
            }
            let mut entries = std::vec::Vec::new();
            for ((name, _, fstype, options, freq, passno), dir) in fields.iter().zip(&dirs) {
                // A canonical line cannot keep these: they are white space at its front, or comments.
                prop_assume!(!name.starts_with('\u{a0}') && !dir.starts_with(b"#"));
                entries.push(MountEntry {
                    name: name.as_bytes(),
                    dir,
                    fstype: fstype.as_bytes(),
                    options: Options(options.as_bytes()),
                    about: Options(options.as_bytes()).about(),
                    freq: *freq,
                    passno: *passno,
                });
            }
            for entry in &entries {
                entry.write(&mut text);
                text.push(b'\n');
            }
            prop_assert_eq!(parsed(&text).unwrap(), entries);
        }

        #[test]
        fn no_text_can_upset_the_parser(text in r"[a-c#/,\\04 \t\r\n\u{2003}0-9-]{0,120}") {
            if let Ok(entries) = parsed(text.as_bytes()) {
                for entry in entries {
                    prop_assert!(path::is_clean(entry.dir));
                }
            }
        }

        #[test]
        fn no_bytes_can_upset_the_parser(text: Bytes) {
            let _ = parsed(&text);
        }

        #[test]
        fn writing_twice_is_writing_once(text in r"([a-c#/\\04]{1,4}[ \t]{1,2}){1,9}") {
            if parsed(text.as_bytes()).is_ok() {
                let once = rewritten(&text);
                prop_assert_eq!(rewritten(&once), once.clone());
            }
        }
    }
}
