// SPDX-License-Identifier: GPL-3.0-only
//! The octal escapes of fstab(5): blanks and backslashes inside a field.
//!
//! Space `\040`, tab `\011`, newline `\012` and backslash `\134`; no others, in either direction.
#![forbid(unsafe_code)]

use super::path::put;
use super::{Out, cut, cut_at, find};

/// Takes the first field off a line, with what separates it from the next, and decodes it in place. One pass, whose
/// output is not looked at again: `\134040` is `\040`. Whatever else begins with a backslash stays as it is.
#[inline(never)]
pub fn cut_field<'l>(line: &mut &'l mut [u8], separator: u8) -> &'l mut [u8] {
    decode(line, separator, b" \t\n\\")
}

/// The same with `\043` for `#` besides, which the kernel writes in the type and source fields of mountinfo.
pub(crate) fn cut_field_hash<'l>(line: &mut &'l mut [u8], separator: u8) -> &'l mut [u8] {
    decode(line, separator, b" \t\n\\#")
}

#[inline(never)]
fn decode<'l>(line: &mut &'l mut [u8], separator: u8, escaped: &[u8]) -> &'l mut [u8] {
    // What is in front of the first stays where it is.
    let mut from = find(line, b'\\', b'!');
    if line.get(from) == Some(&separator) {
        return cut_at(line, from);
    }
    let mut len = from;
    let field = cut(line, separator);
    while let Some(mut byte) = field.get(from).copied() {
        if byte == b'\\' {
            let behind = field.get(from..).and_then(<[u8]>::first_chunk);
            for meant in escaped {
                if behind == Some(&octal(*meant)) {
                    byte = *meant;
                    from += 3;
                    break;
                }
            }
        }
        from += 1;
        put(field, &mut len, byte);
    }
    field.get_mut(..len).unwrap_or_default()
}

/// The escape of a byte.
#[inline(never)]
fn octal(byte: u8) -> [u8; 4] {
    let bits = u32::from(byte);
    let digits = bits << 10 & 0x3_00_00 | bits << 5 & 0x7_00 | bits & 0x7;
    (u32::from_be_bytes(*br"\000") | digits).to_be_bytes()
}

/// Writes a field with its escapes.
#[inline(never)]
pub fn write_escaped(w: &mut dyn Out, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((plain, behind)) = rest.split_at_checked(find(rest, b'\\', b'!')) {
        w.put(plain);
        let Some((byte, behind)) = behind.split_first() else { break };
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => w.put(&octal(*byte)),
            _ => w.put(&[*byte]),
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn unescaped(field: &[u8]) -> Vec<u8> {
        cut_field(&mut &mut field.to_vec()[..], b'\n').to_vec()
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
        assert_eq!(cut_field_hash(&mut &mut field[..], b' '), br"so#u r\043");
    }

    proptest! {
        #[test]
        fn unescaping_undoes_escaping(bytes: Vec<u8>) {
            let text = escaped(&bytes);
            prop_assert!(!text.iter().any(|b| b" \t\n".contains(b)));
            prop_assert_eq!(unescaped(&text), bytes);
        }

        #[test]
        fn blanks_and_backslashes_in_rows_survive(text in r"[ \t\n\\#a0134]{0,40}") {
            prop_assert_eq!(unescaped(&escaped(text.as_bytes())), text.as_bytes());
        }
    }
}
