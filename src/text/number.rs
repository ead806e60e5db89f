// SPDX-License-Identifier: GPL-3.0-only
//! Decimal numbers: digits, nothing else. No blanks, no underscores, no other bases.
#![forbid(unsafe_code)]

/// A number with an optional sign.
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'-', digits @ ..] => 0i64.checked_sub_unsigned(parse_u64(digits)?),
        [b'+', digits @ ..] | digits => 0i64.checked_add_unsigned(parse_u64(digits)?),
    }
}

/// A number without a sign.
#[inline(never)]
pub fn parse_u64(bytes: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    if bytes.is_empty() { None } else { Some(number) }
}

/// A number without a sign that fits 32 bits, like a user id or the id of a mount.
pub fn parse_u32(bytes: &[u8]) -> Option<u32> {
    parse_u64(bytes)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn signed_numbers_reach_from_end_to_end() {
        assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_i64(b"+2"), Some(2));
        assert_eq!(parse_i64(b"-0"), Some(0));
        assert_eq!(parse_i64(b"0000000000000000000000001"), Some(1));
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u32(b"4294967295"), Some(u32::MAX));
        assert_eq!(parse_u32(b"4294967296"), None);
    }

    #[test]
    fn only_digits_are_a_number() {
        for text in ["", "+", "-", "1_0", "0x10", " 1", "1 ", "+-1", "--1", "1.0", "1e3", "\u{661}"] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        for text in ["+1", "-1", "-0", ""] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_standard_library_prints_is_read(number: i64) {
            prop_assert_eq!(parse_i64(number.to_string().as_bytes()), Some(number));
        }
    }
}
