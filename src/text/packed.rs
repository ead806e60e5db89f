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
/// is right; this one is short for our sentences, and was found by taking one of the most frequent pairs again and again.
const PAIRS: &[u8; 2 * (256 - LETTERS.len())] = b"\
    :\t,\t(445DA*C\x19\tFE048,4(;4K635,96(54;9(:02-\t,4+0*QWJH*O9*[-T,3*(,8G\x05+\tNL850:9M:/58?\tcA5U(8(\tO\t`\t*:\
    \x11fC\t,+I\t25\x01a;6f\t]B56SBK36d.\t*Bc:grI~N8Yp9\t1\t5\t9?/\t\x84h,>2I(APg2,2\t+\x1120J,,bZJV\t\x95{\x93@B\
    \x81gB-\x98\x04\t\x83\x99=eRBq\x91+,.d\x01G8Lz\x96\x02\x10kx)?9:\x9d\x9c\xa2w62X:\x11\xa45;\\nV:h\t\x0e\tJ((9Q\t\
    *,|BH\x9f}\xb0\xa7\x06u*\xae\xa0f+Em0\x85\x8ai|O().;<B36q\x10:0:\x87\x9e\x89\xc2Px\xb8S0j\xcbR`\xa8:(\x85*\t9B(2\
    G\x01\xbe\x10\xd0nH94,4A],\xc7\xa6:\xc6\x883\xbd43R\x0f\xd6\xdf9>\xe1\xaa\xd7\x8c\x86\xe0A0\xa9\x0e\xe35<*\x89\
    \xe9o(+\x8b\xe7\xacC,2\xeeG\x11\xdd\xa1<H\xa5\x01\t1,\xce\x7f*/\x02a-\xa9\x8a?5\x87:\xfb\xab\tu=\xe4t";

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
