// SPDX-License-Identifier: GPL-3.0-only
//! Sentences at half their size: pairs of bytes that occur often are written as one byte. It is done by the compiler; the
//! sentences stand in the source as they are read.
#![forbid(unsafe_code)]

/// How many bytes stand for a pair: those that are no ASCII.
const CODES: usize = 128;

/// The pair that each of them stands for. A pair can be made of earlier ones: so a byte can be a whole word. Any table is
/// right; this one is short for our sentences, and was found by taking the most frequent pair again and again.
const PAIRS: &[u8; 2 * CODES] = b"\
    t e anno %\x83\x80c\x82\x86\x85reinouths :\x84orna\
    er\x8deon\x8anpam\x93roilte\x8fpuss\x99at: off\x97\
    en\x9e \x95\x80es\x84qy d ara it\x90 \x89 dict\x9f\x81\x9c\x81\
    stp\x96g op%q\x8fm\x8b\x82\x89\xb2\x87cn lolec\x81sel\x89c\x92\
    m\x8ede\xad\x8e\xac\x88\xc3\xc2\x94\x8b\xc0\x81\xc6\xb6\xb8\x88\xc8\xaf\x8b\x81\x88e\xcbztol a\x80\
    \xc7\x84\xd0\xb9\xb1c\xa4\x91\x8c\xab\x8apsyr\xd5g\xd7f\xccex\xb3\xa0\xa1\x9b\x9a\x81mpch\
    as\xd2\xa3\xc4y\x92 k \xe1\xbd\xdc\x84\xe6i\xb5\x81\x95t\x8e \x88a\x85\xa8y\x98suli\
    b\xed\xbft\xa7g\xa0t\x9ci\x9b \x87\xddv\x81uns\x91i\x8cce, \xf5\xe8\xdb \xd6m";

/// What a byte stands for, if it stands for a pair.
pub(crate) fn pair(code: u8) -> Option<[u8; 2]> {
    PAIRS.as_chunks().0.get(usize::from(code).wrapping_sub(CODES)).copied()
}

/// Packs a text and puts a NUL behind it; and how many bytes that are.
pub(crate) const fn pack<const ROOM: usize>(text: &str) -> ([u8; ROOM], usize) {
    assert!(text.is_ascii() && text.len() < ROOM);
    let mut packed = [0; ROOM];
    let mut len = text.len();
    packed.split_at_mut(len).0.copy_from_slice(text.as_bytes());
    let mut code = 0;
    while code < CODES {
        let (first, second) = (PAIRS[2 * code], PAIRS[2 * code + 1]);
        let (mut from, mut to) = (0, 0);
        while from < len {
            let found = from + 1 < len && packed[from] == first && packed[from + 1] == second;
            packed[to] = if found { (CODES + code) as u8 } else { packed[from] };
            from += if found { 2 } else { 1 };
            to += 1;
        }
        len = to;
        code += 1;
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
    match pair(code) {
        Some(pair) => pair.into_iter().for_each(|code| unpack(code, into)),
        None => into.push(code.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn what_was_packed_is_there_again() {
        for text in
            ["", "a", "%q", "cannot open directory %q: %e", "a line\nand another\n", "~~~~~~~", "nnnnnnannn"]
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
            assert!(pair.iter().all(|code| usize::from(*code) < CODES + at), "{at}: {pair:?}");
        }
    }
}
