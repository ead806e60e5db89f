// SPDX-License-Identifier: GPL-3.0-only
//! Sentences at half their size: pairs of bytes that occur often are written as one byte. It is done by the compiler; the
//! sentences stand in the source as they are read.
#![forbid(unsafe_code)]

/// What the first bytes stand for: the end, the gaps of a sentence, each by its letter, and, from [`LINE_END`] on, the
/// letters of our sentences. There are no others.
const LETTERS: &[u8; 65] = b"\0qspneib\n #'(),-./0134569:;=ABCDEFGIPSU_abcdefghiklmnopqrstuvwxyz";

/// What ends a line.
pub(crate) const LINE_END: u8 = 8;

/// The pair that each further byte stands for. A pair can be made of earlier ones: so a byte can be a whole word. Any table
/// is right that has no pair with [`LINE_END`]; this one is short for our sentences. It was found by taking one of the most
/// frequent pairs again and again, and then by giving some up for others, thousands of times.
const PAIRS: &[u8; 2 * (256 - LETTERS.len())] = b"\
    0:2,,*99:/,93585,4,+4(-0+\t2\t,8K6049?(:C:*(5458*V+0Y8TWZ[\\?6(;94,<0?\t(9K31\t9::0-f(8i.\x0e\t,36245(+.\
    \t5<:\t(\t9PO\tt+*/\x04\t=A\x02\x1020U4*,*\t}D9\t(4\x81\t6HE\x82\x83\x7fI:F\tm\x81;4G8V\t\x11tX:)?\x85\
    \x875\t_u,@+,5;\x11v^85-\x97\t;6nrQp25\x9c*S0/\ty\x9f0fqu|\x9a\xa39F^d\xa502.H\xa8\x99G\x89\xaar\xaa:R3\
    \xab\xa6LB\xaf\t^E:\x905\x908,\xb4\x92-\xb5\xb4(;3I\tc\t_Ow\t,>\xbd\xa1J\tQ\t\x8c\x1049\xc1z\x01\t}\t-H5\
    6\x95\x11W\t\xc7\xb9:\xb3t\t2Q\x98\xcc\xce\x060\x80\xcde\x93a30n\t\xae\xc5,\tS\xd6E\xd6_\xd6d\xd6()\xd6\
    \x84\x8a\xdc<\xd6\xa3\xd9\xcc\xda9\xd6\xddx)\xd6\x118\xe4\x89\xe5\xc8>\x0f\xe6\xc2v\x10\xe7\xe9:O\x0e\
    \xeaRf\x9as\x19\t\xef\x05\x01\xf0S\t*\xb4\xa3\xf3\xf4\xd7\x01\xef\t\xf1363_\xef\x01\x02\xf0(2,2\x88\xef\
    \xf9r";

/// What a byte stands for, if it stands for a pair.
pub(crate) fn pair(code: u8) -> Option<[u8; 2]> {
    PAIRS.as_chunks().0.get(usize::from(code).wrapping_sub(LETTERS.len())).copied()
}

/// Its letter, if it stands for one; and whether that is the letter of a gap.
pub(crate) fn letter(code: u8) -> (&'static [u8], bool) {
    let at = usize::from(code);
    (LETTERS.as_chunks::<1>().0.get(at).map_or(b"", |letter| letter), code < LINE_END)
}

/// The byte for a letter, or for a gap.
const fn code(letter: u8, is_gap: bool) -> u8 {
    let (mut at, end) = if is_gap { (1, LINE_END as usize) } else { (LINE_END as usize, LETTERS.len()) };
    while LETTERS[at] != letter {
        at += 1;
        assert!(at < end);
    }
    at as u8
}

/// Packs a text and puts a NUL behind it; and how many bytes that are.
pub(crate) const fn pack<const ROOM: usize>(text: &str) -> ([u8; ROOM], usize) {
    let text = text.as_bytes();
    let mut packed = [0; ROOM];
    let mut len = 0;
    let mut from = 0;
    while from < text.len() {
        let is_gap = text[from] == b'%';
        from += is_gap as usize;
        packed[len] = code(text[from], is_gap);
        from += 1;
        len += 1;
    }
    let mut pair = 0;
    while 2 * pair < PAIRS.len() {
        let (first, second) = (PAIRS[2 * pair], PAIRS[2 * pair + 1]);
        let (mut from, mut to) = (0, 0);
        while from < len {
            let found = from + 1 < len && packed[from] == first && packed[from + 1] == second;
            packed[to] = if found { (LETTERS.len() + pair) as u8 } else { packed[from] };
            from += if found { 2 } else { 1 };
            to += 1;
        }
        len = to;
        pair += 1;
    }
    packed[len] = 0;
    (packed, len + 1)
}

/// The front of what [`pack`] gave.
pub(crate) const fn front<const LEN: usize>(packed: &[u8]) -> [u8; LEN] {
    *packed.first_chunk().unwrap()
}

/// Writes what a byte stands for.
#[cfg(test)]
pub(crate) fn unpack(code: u8, into: &mut std::string::String) {
    match (pair(code), letter(code)) {
        (Some(pair), _) => pair.into_iter().for_each(|code| unpack(code, into)),
        (None, ([letter], true)) => into.extend(['%', char::from(*letter)]),
        (None, (letter, _)) => into.extend(letter.iter().map(|letter| char::from(*letter))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn what_was_packed_is_there_again() {
        for text in
            ["", "a", "%q", "cannot open directory %q: %e", "a line\nand another\n", "zzzzzzz", "nnnnnnannn"]
        {
            let (packed, len) = pack::<64>(text);
            let mut unpacked = String::new();
            packed[..len - 1].iter().for_each(|code| unpack(*code, &mut unpacked));
            assert_eq!((unpacked.as_str(), packed[len - 1]), (text, 0));
        }
    }

    #[test]
    fn a_pair_is_made_of_bytes_and_of_earlier_pairs() {
        for (at, pair) in PAIRS.as_chunks::<2>().0.iter().enumerate() {
            assert!(pair.iter().all(|code| usize::from(*code) < LETTERS.len() + at), "{at}: {pair:?}");
        }
    }
}
