// SPDX-License-Identifier: GPL-3.0-only
//! The octal escapes of fstab(5): blanks and backslashes inside a field.
//!
//! Space `\040`, tab `\011`, newline `\012` and backslash `\134`; no others, in either direction.
#![forbid(unsafe_code)]

use core::cell::Cell;

use super::Out;

/// Decodes a field in place and returns its new length. One pass, whose output is not looked at again: `\134040`
/// is `\040`. Whatever else begins with a backslash stays as it is.
pub fn unescape(field: &mut [u8]) -> usize {
    decode(field, blank)
}

/// The same with `\043` for `#` besides, which the kernel writes in the type and source fields of mountinfo.
pub(crate) fn unescape_hash(field: &mut [u8]) -> usize {
    decode(field, |digits| if digits == *b"043" { Some(b'#') } else { blank(digits) })
}

fn blank(digits: [u8; 3]) -> Option<u8> {
    match &digits {
        b"040" => Some(b' '),
        b"011" => Some(b'\t'),
        b"012" => Some(b'\n'),
        b"134" => Some(b'\\'),
        _ => None,
    }
}

fn decode(field: &mut [u8], escaped: impl Fn([u8; 3]) -> Option<u8>) -> usize {
    let cells = Cell::from_mut(field).as_slice_of_cells();
    let mut unread = cells;
    let mut len = 0;
    for place in cells {
        let byte = match unread {
            [backslash, a, b, c, behind @ ..]
                if backslash.get() == b'\\'
                    && let Some(byte) = escaped([a.get(), b.get(), c.get()]) =>
            {
                unread = behind;
                byte
            }
            [first, behind @ ..] => {
                unread = behind;
                first.get()
            }
            [] => break,
        };
        place.set(byte);
        len += 1;
    }
    len
}

/// Writes a field with its escapes.
pub fn write_escaped(w: &mut dyn Out, bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let plain = rest.iter().take_while(|&&byte| escape(byte).is_none()).count();
        let Some((plain, special)) = rest.split_at_checked(plain) else { return };
        w.put(plain);
        let [byte, behind @ ..] = special else { return };
        w.put(escape(*byte).unwrap_or_default());
        rest = behind;
    }
}

/// The length of what [`write_escaped`] writes.
pub fn escaped_len(bytes: &[u8]) -> usize {
    bytes.iter().map(|&byte| escape(byte).map_or(1, |text| text.len())).sum()
}

fn escape(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b' ' => Some(b"\\040"),
        b'\t' => Some(b"\\011"),
        b'\n' => Some(b"\\012"),
        b'\\' => Some(b"\\134"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn unescaped(field: &[u8]) -> Vec<u8> {
        let mut field = field.to_vec();
        let len = unescape(&mut field);
        field.truncate(len);
        field
    }

    fn escaped(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        write_escaped(&mut text, bytes);
        text
    }

    #[test]
    fn exactly_four_escapes_are_decoded() {
        assert_eq!(unescaped(br"a\040b\011c\012d\134e"), b"a b\tc\nd\\e");
        for literal in
            [&br"\043"[..], br"\", br"\04", br"\04x", br"\0400"[..3].as_ref(), br"\x20", br"\n", b"", b"#"]
        {
            assert_eq!(unescaped(literal), literal);
        }
    }

    #[test]
    fn what_was_decoded_is_not_decoded_again() {
        assert_eq!(unescaped(br"a\134040b"), br"a\040b");
        assert_eq!(unescaped(br"\\040"), b"\\ ");
    }

    #[test]
    fn a_literal_escape_of_the_hash_round_trips() {
        assert_eq!(escaped(br"\043"), br"\134043");
        assert_eq!(unescaped(br"\134043"), br"\043");
    }

    #[test]
    fn the_hash_is_decoded_only_where_it_is_asked_for() {
        let mut field = *br"so\043u\040r\134043";
        let len = unescape_hash(&mut field);
        assert_eq!(&field[..len], br"so#u r\043");
    }

    proptest! {
        #[test]
        fn unescaping_undoes_escaping(bytes: Vec<u8>) {
            let text = escaped(&bytes);
            prop_assert_eq!(text.len(), escaped_len(&bytes));
            prop_assert!(!text.iter().any(|b| b" \t\n".contains(b)));
            prop_assert_eq!(unescaped(&text), bytes);
        }

        #[test]
        fn blanks_and_backslashes_in_rows_survive(text in r"[ \t\n\\#a0134]{0,40}") {
            prop_assert_eq!(unescaped(&escaped(text.as_bytes())), text.as_bytes());
        }
    }
}
