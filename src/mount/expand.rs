// SPDX-License-Identifier: GPL-3.0-only
//! The variables of a profile for users: `$HOME` and `$XDG_RUNTIME_DIR`.
#![forbid(unsafe_code)]

use super::{Kind, MountEntry};
use crate::text::arena::{Arena, Full};
use crate::text::path;

const HOME: &[u8] = b"$HOME";
const RUNTIME_DIR: &[u8] = b"$XDG_RUNTIME_DIR";

/// Why the variables of an entry could not be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpandFault {
    /// The entry needs the home directory, which cannot be used.
    NoHome,
    /// The arena has no room for the paths.
    Full,
}

impl From<Full> for ExpandFault {
    fn from(_: Full) -> Self {
        ExpandFault::Full
    }
}

/// Replaces the variables of an entry for a user.
///
/// A variable counts at the very start of a field, in front of a `/` or alone. `$HOME` is known only to entries of
/// kind ensure-dir, in the target and in the first `x-snapd.must-exist-dir`; `$XDG_RUNTIME_DIR` to all, in source
/// and target. `home` is `None` when it cannot be used, which is a fault only if the entry needs it. Both
/// directories are clean; the new target is, too.
pub fn expand<'t>(
    entry: MountEntry<'t>,
    home: Option<&'t [u8]>,
    runtime_dir: &'t [u8],
    arena: &mut Arena<'t>,
) -> core::result::Result<MountEntry<'t>, ExpandFault> {
    let mut entry = entry;
    expand_in_place(&mut entry, home, runtime_dir, arena)?;
    Ok(entry)
}

/// The same for an entry where it is. When it fails, the entry is of no use any more.
#[inline(never)]
pub fn expand_in_place<'t>(
    entry: &mut MountEntry<'t>,
    home: Option<&'t [u8]>,
    runtime_dir: &'t [u8],
    arena: &mut Arena<'t>,
) -> core::result::Result<(), ExpandFault> {
    if entry.kind() == Kind::EnsureDir {
        replace(&mut entry.dir, HOME, home, arena)?;
        let dir = entry.must_exist_dir().unwrap_or_default();
        if tail(dir, HOME).is_some() {
            let variable = dir.get(..HOME.len()).unwrap_or_default();
            entry.options = entry.options.replaced(variable, home.ok_or(ExpandFault::NoHome)?, arena)?;
        }
    }
    replace(&mut entry.name, RUNTIME_DIR, Some(runtime_dir), arena)?;
    replace(&mut entry.dir, RUNTIME_DIR, Some(runtime_dir), arena)?;
    if !path::is_clean(entry.dir) {
        entry.dir = path::cleaned(arena.copy(entry.dir)?);
    }
    Ok(())
}

/// Puts a value in the place of the variable at the start of a field, if that is there.
#[inline(never)]
fn replace<'t>(
    field: &mut &'t [u8],
    variable: &[u8],
    value: Option<&[u8]>,
    arena: &mut Arena<'t>,
) -> core::result::Result<(), ExpandFault> {
    if let Some(tail) = tail(field, variable) {
        *field = arena.concat(&[value.ok_or(ExpandFault::NoHome)?, tail])?;
    }
    Ok(())
}

/// What follows the variable at the start of a field.
fn tail<'p>(field: &'p [u8], variable: &[u8]) -> Option<&'p [u8]> {
    field.strip_prefix(variable).filter(|tail| matches!(tail.first(), None | Some(b'/')))
}

/// What follows a variable at the start of a field, whichever it is.
pub(super) fn behind_variable(field: &[u8]) -> Option<&[u8]> {
    tail(field, HOME).or_else(|| tail(field, RUNTIME_DIR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::list::List;
    use crate::mount::profile;
    use crate::text::arena::Arena;
    use std::boxed::Box;

    fn one(line: &str) -> MountEntry<'static> {
        let text = Box::leak(line.as_bytes().to_vec().into_boxed_slice());
        let mut entries = List::new();
        entries.claim(1, &mut Arena::new(std::vec::Vec::leak(std::vec![0; 200])));
        profile::parse(text, &mut entries).unwrap();
        entries[0]
    }

    const ENSURE: &str =
        "none $HOME/.local/share none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME 0 0";

    fn expanded(
        line: &str,
        home: Option<&'static str>,
    ) -> core::result::Result<MountEntry<'static>, ExpandFault> {
        let mut arena = Arena::new(Box::leak(Box::new([0; 256])));
        expand(one(line), home.map(str::as_bytes), b"/run/user/1000", &mut arena)
    }

    #[test]
    fn the_home_is_expanded_for_directories_to_be_made() {
        let entry = expanded(ENSURE, Some("/home/u")).unwrap();
        assert_eq!(entry.dir, b"/home/u/.local/share");
        assert_eq!(entry.must_exist_dir(), Some(&b"/home/u"[..]));
        assert_eq!(entry.options.0, b"x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=/home/u");

        let line = "none $HOME none a,x-snapd.must-exist-dir=$HOME/x,x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME";
        let entry = expanded(line, Some("/h")).unwrap();
        let options = "a,x-snapd.must-exist-dir=/h/x,x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOME";
        assert_eq!((entry.dir, entry.options.0), (&b"/h"[..], options.as_bytes()));

        let entry = expanded("none $HOME/../x none x-snapd.kind=ensure-dir", Some("/home/u")).unwrap();
        assert_eq!(entry.dir, b"/home/x");
        let entry = expanded("none $HOME/x none x-snapd.kind=ensure-dir", Some("/")).unwrap();
        assert_eq!(entry.dir, b"/x");
    }

    #[test]
    fn the_home_is_needed_only_where_it_is_expanded() {
        assert_eq!(expanded(ENSURE, None), Err(ExpandFault::NoHome));
        for line in [
            "$HOME/a $HOME/b none bind",
            "$HOME/a /b none x-snapd.kind=ensure-dir",
            "none /a$HOME none x-snapd.kind=ensure-dir,x-snapd.must-exist-dir=$HOMES",
            "none $HOMEX/b none x-snapd.kind=ensure-dir",
            "none /b none x-snapd.must-exist-dir=$HOME",
        ] {
            assert_eq!(expanded(line, None), Ok(one(line)), "{line}");
        }
    }

    #[test]
    fn the_runtime_directory_is_expanded_in_source_and_target() {
        let entry =
            expanded("$XDG_RUNTIME_DIR/doc/by-app/snap.N $XDG_RUNTIME_DIR/doc none bind,rw", None).unwrap();
        assert_eq!(entry.name, b"/run/user/1000/doc/by-app/snap.N");
        assert_eq!(entry.dir, b"/run/user/1000/doc");
        assert_eq!(expanded("$XDG_RUNTIME_DIR /b none", None).unwrap().name, b"/run/user/1000");
        let line = "$XDG_RUNTIME_DIRS/a /a/$XDG_RUNTIME_DIR none $XDG_RUNTIME_DIR";
        assert_eq!(expanded(line, None), Ok(one(line)));
    }

    #[test]
    fn expanding_says_when_the_arena_is_full() {
        let mut room = [0; 10];
        let fault =
            expand(one(ENSURE), Some(b"/home/u"), b"/run/user/0", &mut Arena::new(&mut room)).unwrap_err();
        assert_eq!(fault, ExpandFault::Full);
    }
}
