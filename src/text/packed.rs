// SPDX-License-Identifier: GPL-3.0-only
//! Sentences at half their size: pairs of bytes that occur often are written as one byte. It is done by the compiler; the
//! sentences stand in the source as they are read.
#![forbid(unsafe_code)]

/// The first byte that stands for a pair; so do all behind it and, from 0 on, those in front of the blank. No text has such
/// letters, but for the line end.
const FIRST: u8 = b'z' + 1;

/// How many bytes these are.
const CODES: usize = 256 - (FIRST - b' ') as usize;

/// The pair that each of them stands for; those for NUL and the line end are never found. A pair can be made of earlier
/// ones: so a byte can be a whole word. Any table is right; this one is short for our sentences, and was found by taking
/// one of the most frequent pairs again and again.
const PAIRS: &[u8; 2 * CODES] = b"\
    t o{ane n|re: }\x7finunnamos \x85pon\x86\x84roilofct} di\x80\x8epasyatemitorthf\x8cs\x88erc\x82d esg c\x89\x83 \
    \x81Zusst\x8a{\x8d ara loed\x99~\x94~\x9cc\x8at\x98\x8f\x83\x9fp\x8b\x90\x91up\x85mopk leeny /\x9aN\xa2\x9b o \
    \x9a c~h l\x83\xb2\x97e\x9dex\x92\x98\x80e\x80\xacl \x9ese\x87Q \x86r\xc6z\xad\xc7a{li\x98~c\xc9\xb8 \xbad\xd4/\
    f\xcd~\xafw\x96\xcc\xd7\xa3~\x8b\xb3/rdebyL.as\xb5\xd3\xa6\xbeouN\x81\xd9\xcbg\xdb\xdc\x84pl, \x89 \xd2\xca\xa0t\
    \xb8t\x97 \x80a\xb1\xeb\x9adce\xb4~\xe7\xd5\x7f\xa8v~\xe2V\x9c\xda\xba.\xa9ci\x87\x94i\xdet\xa7gmp%%\x99e\
    \x9e\x92\xb4\x02abt\xbd\xfd\xca\xc2\xb9ti\x81N%%alx-\xf9\xdfn{m\xa3\xa3\x9bc \xf1.\x93m\xa5\x03ns\x9cs\xbe\xf3\
    a\x87t\xff\xf4\x15\x0c\x12ne\xd8\xc0/\x19ca";

/// What byte stands for a gap, by its letter, and the other way round. No text has such a byte itself.
pub(crate) const fn gap(letter: u8) -> u8 {
    letter ^ b'?'
}

/// Whether a byte stands for a gap.
const fn is_gap(code: u8) -> bool {
    matches!(gap(code), b'b' | b'e' | b'i' | b'n' | b'p' | b'q' | b's')
}

/// What a byte stands for, if it stands for a pair.
pub(crate) fn pair(code: u8) -> Option<[u8; 2]> {
    PAIRS.as_chunks().0.get(usize::from(code.wrapping_sub(FIRST))).copied()
}

/// Packs a text and puts a NUL behind it; and how many bytes that are.
pub(crate) const fn pack<const ROOM: usize>(text: &str) -> ([u8; ROOM], usize) {
    let text = text.as_bytes();
    let mut packed = [0; ROOM];
    let mut len = 0;
    let mut from = 0;
    while from < text.len() {
        let is_gap_next = text[from] == b'%';
        from += is_gap_next as usize;
        packed[len] = if is_gap_next { gap(text[from]) } else { text[from] };
        assert!(matches!(text[from], b'\n' | b' '..FIRST) && is_gap(packed[len]) == is_gap_next);
        from += 1;
        len += 1;
    }
    let mut code = 0;
    while code < CODES {
        let (first, second) = (PAIRS[2 * code], PAIRS[2 * code + 1]);
        let (mut from, mut to) = (0, 0);
        while from < len {
            let found = from + 1 < len && packed[from] == first && packed[from + 1] == second;
            packed[to] = if found { FIRST.wrapping_add(code as u8) } else { packed[from] };
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
    match pair(code).filter(|_| code != b'\n') {
        Some(pair) => pair.into_iter().for_each(|code| unpack(code, into)),
        None if is_gap(code) => into.extend(['%', gap(code).into()]),
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
            let known = |code: &u8| matches!(usize::from(code.wrapping_sub(FIRST)), made if made < at || made >= CODES);
            assert!(pair.iter().all(known), "{at}: {pair:?}");
        }
    }
}
