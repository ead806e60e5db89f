// SPDX-License-Identifier: GPL-3.0-only
//! Where the sentences of errors are, so that a sentence is one pointer, and an error one number, and both cost little to
//! hand on.
//!
//! A place is handed out once and never given back; what does not fit is replaced by one sentence that says so. A run
//! that fails to the full has one for each entry, and a few.

use crate::error::{Sentence, says};
use crate::limits::PROFILE_ENTRIES;
use crate::text::packed::LINE_END;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, Ordering};

/// A text of the program: packed, with a NUL at its end.
#[derive(Clone, Copy, Debug)]
pub struct Says(*const u8);

impl PartialEq for Says {
    fn eq(&self, other: &Self) -> bool {
        let (mut a, mut b) = (*self, *other);
        loop {
            let code = a.next();
            if code != b.next() {
                return false;
            }
            if code.is_none() {
                return true;
            }
        }
    }
}

impl Eq for Says {}

// SAFETY: what it points to is never written to, and lasts for ever.
unsafe impl Sync for Says {}
// SAFETY: the same.
unsafe impl Send for Says {}

impl Says {
    /// A text that was packed. It has to end in a NUL.
    pub const fn new(packed: &'static [u8]) -> Self {
        assert!(matches!(packed, [.., 0]));
        Says(packed.as_ptr())
    }

    /// The line with that number, counted from 0, and all behind it; empty behind the last.
    #[inline(never)]
    pub fn line(self, number: usize) -> Says {
        let mut rest = self;
        for _ in 0..number {
            while rest.next().is_some_and(|code| code != LINE_END) {}
        }
        rest
    }

    /// The first line as it stands in the source.
    #[cfg(test)]
    pub(crate) fn unpacked(mut self) -> std::string::String {
        let mut text = std::string::String::new();
        while let Some(code) = self.next()
            && code != LINE_END
        {
            crate::text::packed::unpack(code, &mut text);
        }
        text
    }

    /// Its next byte; none at its end.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u8> {
        // SAFETY: it points into a text that ends in NUL, and is not moved behind that.
        let code = unsafe { *self.0 };
        if code == 0 {
            return None;
        }
        // SAFETY: this was not the NUL, so there is a byte behind it.
        self.0 = unsafe { self.0.add(1) };
        Some(code)
    }
}

const PLACES: usize = 2 * PROFILE_ENTRIES.max;

struct Store {
    used: AtomicU32,
    places: UnsafeCell<MaybeUninit<[Sentence<'static>; PLACES]>>,
}

// SAFETY: a place is written by the one who was handed its number, and only read afterwards.
unsafe impl Sync for Store {}

/// Behind what code refers to often, see `link.ld`.
#[cfg_attr(target_env = "musl", unsafe(link_section = ".bss.FIRST"))]
static STORE: Store = Store { used: AtomicU32::new(0), places: UnsafeCell::new(MaybeUninit::uninit()) };

static TOO_MANY: Sentence<'static> = Sentence::plain(says!("too many errors to tell them all"));

/// The number of a kept sentence, counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'t> {
    number: NonZeroU32,
    about: PhantomData<&'t [u8]>,
}

impl PartialEq for Kept<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Kept<'_> {}

/// Keeps a sentence for as long as what it is about.
pub(crate) fn keep(sentence: Sentence<'_>) -> Kept<'_> {
    let at = STORE.used.fetch_add(1, Ordering::Relaxed);
    if let Some(place) = place(at) {
        // SAFETY: the number is handed out to us alone; so nobody else writes to the place, and nobody reads it before the
        // number is handed on.
        unsafe { place.cast::<Sentence<'_>>().write(sentence) };
    }
    Kept { number: NonZeroU32::MIN.saturating_add(at), about: PhantomData }
}

impl<'t> Kept<'t> {
    /// The sentence.
    #[inline(never)]
    pub(crate) fn get(self) -> &'t Sentence<'t> {
        // SAFETY: there is no such number but by `keep`, which wrote a sentence of this lifetime to its place.
        place(self.number.get() - 1).map_or(&TOO_MANY, |place| unsafe { &*place.cast() })
    }
}

fn place(at: u32) -> Option<*mut Sentence<'static>> {
    let places = STORE.places.get().cast::<Sentence<'_>>();
    // SAFETY: it lies in the array.
    ((at as usize) < PLACES).then(|| unsafe { places.add(at as usize) })
}
