// SPDX-License-Identifier: GPL-3.0-only
//! Where the sentences of errors are kept, so that an error itself is one pointer and costs little to hand upwards.
//!
//! A place is handed out once and never given back; what does not fit is replaced by one sentence that says so. A run
//! that fails to the full has one for each entry, and a few.

use crate::error::Sentence;
use crate::limits::PROFILE_ENTRIES;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

const PLACES: usize = 2 * PROFILE_ENTRIES.max;

struct Store {
    used: AtomicUsize,
    places: UnsafeCell<MaybeUninit<[Sentence<'static>; PLACES]>>,
}

// SAFETY: a place is written by the one who was handed its number, and only read afterwards.
unsafe impl Sync for Store {}

#[unsafe(link_section = ".bss.FIRST")]
static STORE: Store = Store { used: AtomicUsize::new(0), places: UnsafeCell::new(MaybeUninit::uninit()) };

static TOO_MANY: Sentence<'static> = Sentence::plain("too many errors to tell them all");

/// Keeps a sentence for as long as what it is about.
pub(crate) fn keep(sentence: Sentence<'_>) -> &Sentence<'_> {
    let at = STORE.used.fetch_add(1, Ordering::Relaxed);
    if at >= PLACES {
        return &TOO_MANY;
    }
    let places = STORE.places.get().cast::<Sentence<'_>>();
    // SAFETY: the place lies in the array, and its number is handed out to us alone; so nobody else writes to it, and
    // nobody reads it before it is handed on. The reference says nothing beyond the sentence's own lifetime.
    unsafe {
        let place = places.add(at);
        place.write(sentence);
        &*place
    }
}
