// SPDX-License-Identifier: GPL-3.0-only
//! Sorting in place without recursion and without a way to panic, which the sort of `core` does not promise.
#![forbid(unsafe_code)]

/// Sorts the list so that nothing stands behind something it is to come `before`: heapsort, at most about
/// 2 n log₂ n questions. Not stable: let `before` break ties.
pub fn sort<T: Copy>(list: &mut [T], mut before: impl FnMut(&T, &T) -> bool) {
    let len = list.len();
    for root in (0..len / 2).rev() {
        sink(list, root, len, &mut before);
    }
    for end in (1..len).rev() {
        // The top of the heap is the last of what is left.
        if let (Some(&top), Some(&bottom)) = (list.first(), list.get(end)) {
            put(list, 0, bottom);
            put(list, end, top);
        }
        sink(list, 0, end, &mut before);
    }
}

/// Restores the heap below `root` in the first `end` places: no child comes behind its parent.
fn sink<T: Copy>(list: &mut [T], root: usize, end: usize, before: &mut impl FnMut(&T, &T) -> bool) {
    let Some(&sinking) = list.get(root) else { return };
    let mut hole = root;
    while let Some(&left) = list.get(..end).unwrap_or_default().get(2 * hole + 1) {
        let mut child = 2 * hole + 1;
        let mut last = left;
        if let Some(&right) = list.get(..end).unwrap_or_default().get(child + 1)
            && before(&left, &right)
        {
            child += 1;
            last = right;
        }
        if !before(&sinking, &last) {
            break;
        }
        put(list, hole, last);
        hole = child;
    }
    put(list, hole, sinking);
}

fn put<T>(list: &mut [T], at: usize, item: T) {
    if let Some(place) = list.get_mut(at) {
        *place = item;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn lists_of_none_one_and_two_are_sorted() {
        for list in [&mut [][..], &mut [1], &mut [1, 2], &mut [2, 1], &mut [1, 1]] {
            let mut expected = list.to_vec();
            expected.sort();
            sort(list, |a, b| a < b);
            assert_eq!(list, expected);
        }
    }

    #[test]
    fn the_number_of_questions_is_bounded_also_for_lists_in_order() {
        const LEN: u32 = 50_000;
        let bound = 2 * LEN * (LEN.ilog2() + 1);
        for make in [|n| n, |n| LEN - n, |_| 7, |n| n % 10, |n: u32| n.wrapping_mul(2_654_435_761)] {
            let mut list: Vec<u32> = (0..LEN).map(make).collect();
            let mut questions = 0;
            sort(&mut list, |a, b| {
                questions += 1;
                a < b
            });
            assert!(list.is_sorted());
            assert!(questions <= bound, "{questions} > {bound}");
        }
    }

    #[test]
    fn an_inconsistent_order_still_ends_and_loses_nothing() {
        let mut list: Vec<u8> = (0..100).collect();
        let mut flip = false;
        sort(&mut list, |_, _| {
            flip = !flip;
            flip
        });
        list.sort();
        assert_eq!(list, (0..100).collect::<Vec<u8>>());
    }

    proptest! {
        #[test]
        fn sorting_agrees_with_the_standard_library(mut list in prop::collection::vec(0u16..50, 0..200)) {
            let mut expected = list.clone();
            expected.sort();
            sort(&mut list, |a, b| a < b);
            prop_assert_eq!(list, expected);
        }
    }
}
