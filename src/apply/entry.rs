// SPDX-License-Identifier: GPL-3.0-only
//! One entry: make ready its target and source, mount it, take it away.
#![forbid(unsafe_code)]

use super::create::{self, What};
use super::walk::Walker;
use super::{Apply, place, survey};
use crate::error::{Error, Result, Says, says};
use crate::kernel::file::{self, FileSystem, FileType, Open};
use crate::kernel::mount::{self, Attach, Reach};
use crate::kernel::{Errno, Fd, process};
use crate::mount::{Kind, MountEntry, MountId};
use crate::plan::{Class, Item, Made, Ready};
use crate::text::path;

/// How much of a path was made. Without an error it is missing, and the entry says to pass over it then.
pub type Prepared<'t, T> = core::result::Result<T, Option<Error<'t>>>;

/// A mount that is being made.
struct New<'n, 't> {
    item: &'n Item<'t>,
    /// Where it is attached.
    how: Attach,
    /// What is said if it fails now.
    says: Says,
    /// The root of the copy that is attached there, if one was made.
    copy: Option<Fd>,
}

impl New<'_, '_> {
    /// How its ends are opened.
    fn open(&self) -> Open {
        if self.item.kind == Kind::Directory { Open::PATH_DIR } else { Open::PATH }
    }

    /// What is at its name in the directory.
    #[inline(never)]
    fn target(&self, parent: &Fd) -> crate::kernel::Result<Fd> {
        file::open_at(parent, path::name(self.item.entry.dir), self.open())
    }

    /// One of its ends, if that is no link; the error is `NONE`.
    #[inline(never)]
    fn checked(&self, end: crate::kernel::Result<Fd>) -> crate::kernel::Result<Fd> {
        let end = end?;
        let is_link = self.item.kind != Kind::Directory && file::stat(&end)?.kind == FileType::Symlink;
        if is_link { Err(Errno::NONE) } else { Ok(end) }
    }
}

/// How long a new mount is waited for that cannot be made read-only because somebody just wrote, or noted the time at which
/// he read.
const BUSY_MILLISECONDS: u32 = 100;

/// A file system's data, joined.
type Data = heapless::Vec<u8, 4095>;

impl<'t> Apply<'_, 't> {
    /// Makes ready the target of an entry, with a mimic where it is needed: how much of its path was made. A link, or
    /// directories that are only to be there, are done then. What was `seen` is not looked at. On failure nothing of it is
    /// left.
    pub(super) fn prepare_target(&mut self, item: &Item<'t>, seen: bool) -> Prepared<'t, Made> {
        let (entry, kind) = (item.entry, item.kind);
        if seen && item.under.is_none() {
            return Ok(0);
        }
        if seen && let Ok(made) = self.make(entry.dir, false, item) {
            return Ok(made);
        }
        let missing = is_missing(&self.walker, item, false)?;
        if (missing || kind == Kind::Symlink) && entry.ignore_missing() {
            return Err(ignored(item));
        }
        // What will be refused for its source is refused before anything is made for it.
        if item.is_mount() && item.flags.bind() {
            is_missing(&self.walker, item, true)?;
        }
        if !missing {
            return Ok(0);
        }
        if kind == Kind::EnsureDir {
            let anchor = entry.must_exist_dir().unwrap_or(b".");
            create::ensure_directory(entry.dir, anchor, self.user, self.journal.is_some())?;
            return Ok(0);
        }
        Ok(self.make(entry.dir, true, item)?)
    }

    /// The same for its source, when the target is ready: how much of its path was made. On failure what is left of the target's
    /// path.
    pub(super) fn prepare_source(&mut self, item: &Item<'t>, ready: &mut Ready) -> Prepared<'t, ()> {
        if !item.is_mount() || !item.flags.bind() {
            return Ok(());
        }
        let made = match is_missing(&self.walker, item, true) {
            Ok(false) => return Ok(()),
            Ok(true) if item.entry.ignore_missing() => Err(ignored(item)),
            Ok(true) => self.make(item.entry.name, item.class == Class::Layout, item).map_err(Some),
            Err(error) => Err(Some(error)),
        };
        match made {
            Ok(made) => ready.source = made,
            Err(_) => ready.target = self.take_back(item, *ready),
        }
        made.map(drop)
    }

    /// Takes back what was created for an entry that could not be mounted; what is left of the target.
    pub fn take_back(&mut self, item: &Item<'t>, ready: Ready) -> Made {
        create::take_back(item.entry.name, What(Some(item)), &mut self.walker, ready.source);
        let done = create::take_back(item.entry.dir, What(Some(item)), &mut self.walker, ready.target);
        if done { 0 } else { ready.target }
    }

    /// Creates a path, covering with a mimic the directory in which that is not possible.
    fn make(&mut self, at: &'t [u8], may_cover: bool, item: &Item<'t>) -> Result<'t, Made> {
        let mut covered = 0;
        loop {
            let mut cure = 0;
            let done = create::create(at, What(Some(item)), &mut self.walker, &mut self.ground, &mut cure);
            // A mimic over "/" would put an empty root on top of everything (L10).
            if !may_cover || cure == covered || cure <= b"/".len() {
                return done;
            }
            self.cover(at.get(..cure).unwrap_or_default(), item.entry)?;
            covered = cure;
        }
    }

    /// Performs the mount of a prepared entry. On failure nothing of it is left. `old` is the id of the mount that it
    /// takes the place of: where the kernel can do that, a process that looks sees the old one or the new one at any
    /// moment, and never neither.
    pub fn perform(&mut self, item: &Item<'t>, old: Option<MountId>) -> Result<'t, ()> {
        let entry = item.entry;
        if !item.is_mount() {
            return Ok(());
        }
        let mut new = New { item, how: Attach::OnTop, says: says!("cannot mount at %q: %e"), copy: None };
        let done = self.in_parent(entry.dir, &mut |apply, parent| apply.mount(&mut new, parent, old));
        done.map_err(|errno| Error::call(new.says, entry.dir, errno))?;
        if new.how == Attach::OnTop {
            // It is gone with what it lay on; its id may be that of another by now.
            self.plan.lent().with_target_of(item).for_each(|item| item.goes.set(None));
        }
        let waits = self.plan.has_mounts_inside(item);
        if !waits || !new.copy.is_some_and(|copy| self.walker.wait(entry.dir, copy)) {
            self.remove_all_replaced(item);
        }
        Ok(())
    }

    /// Makes a new mount at its name in a directory. The descriptor of a copy's root is given back.
    #[inline(never)]
    fn mount(
        &mut self,
        new: &mut New<'_, 't>,
        parent: &Fd,
        old: Option<MountId>,
    ) -> crate::kernel::Result<()> {
        let (entry, flags) = (new.item.entry, new.item.flags);
        let name = path::name(entry.dir);
        // A directory is bound by its name in the directory that holds it: in half the time, for mount(2) asks /proc where its
        // ends are. A link is not followed, and is no directory. When that fails the long way tells why.
        let is_plain = flags.bind() && flags.propagation() == 0 && new.item.kind == Kind::Directory;
        if self.fresh_calls
            && is_plain
            && old.is_none()
            && self.walker.is_plain()
            && let Ok(from) = self.walker.take_parent(entry.name)
        {
            let done = attach_copy(new.item, &from, path::name(entry.name), parent, name, Attach::OnTop);
            self.walker.keep(path::parent(entry.name), from);
            if done.is_ok() {
                return Ok(());
            }
        }
        let mut target = new.checked(new.target(parent))?;
        if old.is_some() && place::mount_id(&target) == old {
            new.how = Attach::Beneath;
            // From here on the table shows that it is about to go, should somebody kill us.
            let _ = mount::give_up(&target, true);
        }
        if flags.bind() {
            let source = new.checked(self.walker.open_as(entry.name, new.open()))?;
            loop {
                // What the descriptor of a mount point names is its root, not its place.
                let copied = match new.how {
                    Attach::Beneath => attach_copy(new.item, &source, b"", parent, name, Attach::Beneath),
                    Attach::OnTop if self.fresh_calls && flags.read_only() => {
                        attach_copy(new.item, &source, b"", &target, b"", Attach::OnTop)
                    }
                    Attach::OnTop => Err(Errno::NONE),
                };
                if let Ok(copy) = copied {
                    new.copy = Some(copy);
                    break;
                }
                if new.how == Attach::OnTop {
                    // With the calls of old: made read-only where it is seen already.
                    mount::bind(&source, &target, reach(flags.recursive()))?;
                    break;
                }
                // Not on top of the old one: that would make what it shows, the old source, a mount point, which nobody
                // can rename or remove. So the old one goes first.
                new.how = Attach::OnTop;
                self.remove_all_replaced(new.item);
                target = new.checked(new.target(parent))?;
            }
        } else {
            self.mount_new(new, &target)?;
        }
        let done = self.finish(new, parent, &target);
        if done.is_err() {
            // A mount that could not be completed is taken away (L11), and what still lies on it.
            let _ = mount::detach(&target);
            if new.how == Attach::Beneath {
                let _ = mount::detach(&target);
            }
        }
        done
    }

    /// Makes a new mount that is no bind mount.
    fn mount_new(&self, new: &mut New<'_, 't>, target: &Fd) -> crate::kernel::Result<()> {
        let entry = new.item.entry;
        let mut data = Data::new();
        if !self.join_data(entry, &mut data) {
            new.says = says!("cannot mount at %q: more than 4095 bytes of options");
            return Err(Errno::EINVAL);
        }
        mount::new(entry.name, target, entry.fstype, new.item.flags.mount(), &data)
    }

    /// What is left to do to a mount that is attached.
    fn finish(&mut self, new: &mut New<'_, 't>, parent: &Fd, target: &Fd) -> crate::kernel::Result<()> {
        let (entry, flags) = (new.item.entry, new.item.flags);
        let reads = flags.bind() && flags.read_only() && new.copy.is_none();
        let is_tmpfs = !flags.bind() && entry.fstype == b"tmpfs";
        if !reads && !is_tmpfs && flags.propagation() == 0 {
            return Ok(());
        }
        let opened;
        let top = match &new.copy {
            Some(copy) => copy,
            None => {
                opened = new.target(parent)?;
                // What is seen there now has to be what was mounted: nobody may swap the name meanwhile.
                let id = place::mount_id(target);
                if id.is_some() && id == place::mount_id(&opened) {
                    return Err(Errno::ESTALE);
                }
                &opened
            }
        };
        if reads {
            new.says = says!("cannot remount %q read-only: %e");
            self.make_read_only(entry.dir, top, reach(flags.recursive()))?;
        }
        if is_tmpfs {
            self.ground.trust_device(file::stat(top)?.dev);
        }
        if flags.propagation() != 0 {
            new.says = says!("cannot change propagation of %q: %e");
            mount::change_propagation(top, flags.propagation(), reach(flags.propagation_recursive()))?;
        }
        Ok(())
    }

    /// Joins the options of the file system itself; false when they do not fit. A tmpfs belongs to root, whoever
    /// started us (N7).
    fn join_data(&self, entry: &MountEntry<'t>, data: &mut Data) -> bool {
        let mut fits = true;
        let add: &mut dyn FnMut(&[u8]) = &mut |word| {
            let comma: &[u8] = if data.is_empty() { b"" } else { b"," };
            fits &= data.extend_from_slice(comma).is_ok() & data.extend_from_slice(word).is_ok();
        };
        entry.options.data().for_each(&mut *add);
        if entry.fstype == b"tmpfs" && self.user.uid != 0 {
            for &word in &[b"uid=0", b"gid=0"] {
                if entry.options.value(word.get(..3).unwrap_or_default()).is_none() {
                    add(word);
                }
            }
        }
        fits
    }

    /// Makes a new bind mount read-only, keeping what it inherited from its source. Under snap-confine only the
    /// plain remount is granted; it loses nosuid, nodev and noexec, so the flags are kept wherever we may.
    fn make_read_only(&mut self, at: &[u8], top: &Fd, reach: Reach) -> crate::kernel::Result<()> {
        if mount::set_read_only(top, reach).is_ok() {
            return Ok(());
        }
        // Not known, not granted, or somebody reads through it at this moment: in the way of old, then.
        if reach == Reach::One {
            return self.remount(top);
        }
        // Mount by mount, those below as the table lists them.
        let mut done = Ok(());
        let buffer = self.arena.take(survey::LINE_BUFFER).map_err(|_| Errno::ENOMEM)?;
        survey::each_mount(buffer, &mut |line| {
            if path::covers(at, line.dir) {
                // A mount that another one covers cannot be reached, by nobody.
                done = self.walker.open(line.dir).and_then(|top| self.remount(&top));
            }
            done.is_ok()
        })?;
        done
    }

    /// Remounts read-only, keeping nosuid, nodev and noexec as far as they may be named.
    #[inline(never)]
    fn remount(&self, top: &Fd) -> crate::kernel::Result<()> {
        let keep = if self.confined { 0 } else { file::flags(top)? & FileSystem::RESTRICTIONS };
        let mut done = mount::remount_read_only(top, keep);
        for _ in 0..BUSY_MILLISECONDS {
            if done != Err(Errno::EBUSY) {
                break;
            }
            process::sleep(1);
            done = mount::remount_read_only(top, keep);
        }
        done
    }

    /// Takes away what is there of an entry, if anything is. `expected` is the id of its mount, where the mount table
    /// told it: another mount in its place is not ours, and is an error.
    pub fn unmount(&mut self, item: &Item<'t>, expected: Option<MountId>) -> Result<'t, ()> {
        let at = item.entry.dir;
        let is_link = match item.kind {
            Kind::Directory | Kind::File => false,
            Kind::Symlink => true,
            Kind::EnsureDir | Kind::Unknown => return Ok(()),
        };
        let done = match is_link {
            true => self.in_parent(at, &mut |apply, parent| apply.remove_own(item, parent)),
            false => self.take_away(item.entry, Some(item), expected),
        };
        done.or_else(|errno| match errno {
            // It is no link any more, or gone with what it lay on.
            Errno::EINVAL | Errno::ENOENT if is_link => Ok(()),
            Errno::NONE => Err(Error::about(says!("cannot unmount %q: another mount is in its place"), at)),
            _ if is_link => Err(Error::call(says!("remove %s: %e"), at, errno)),
            _ => Err(Error::call(says!("cannot unmount %q: %e"), at, errno)),
        })
    }

    /// Takes away the mount of an entry, which is that of a mimic where there is no item, with all its parts in one step. The
    /// error is `NONE` where another is in its place.
    #[inline(never)]
    pub(super) fn take_away(
        &mut self,
        entry: &MountEntry<'t>,
        item: Option<&Item<'t>>,
        expected: Option<MountId>,
    ) -> crate::kernel::Result<()> {
        let shows = self.fresh_calls;
        let done =
            self.in_parent(entry.dir, &mut |_, parent| unmount_from(entry, item, parent, expected, shows));
        match done {
            // It is not where it was: somebody put something else in the way, or it is gone, perhaps with what it lay on.
            Err(Errno::ENOENT | Errno::NONE) => match expected {
                Some(id) if self.is_mounted(id) => Err(Errno::NONE),
                _ => Ok(()),
            },
            done => done,
        }
    }

    /// Whether a mount that was there before anything was done still is there; where nobody can say, it counts as there.
    pub(super) fn is_mounted(&mut self, id: MountId) -> bool {
        let Ok(buffer) = self.arena.take(survey::LINE_BUFFER) else { return true };
        let mut found = false;
        let looked = survey::each_mount(buffer, &mut |line| {
            found |= line.id == id.get();
            !found
        });
        found || looked.is_err()
    }

    /// Removes the empty directory or file on which an entry was mounted, if it was made for that (L2). A directory that
    /// somebody filled, a file that somebody wrote to, a mount point: they stay, and that is no error.
    pub fn clean_up(&mut self, item: &Item<'t>) -> Result<'t, ()> {
        if !item.is_mount() {
            return Ok(());
        }
        let entry = item.entry;
        let name = path::name(entry.dir);
        let done = self.in_parent(entry.dir, &mut |apply, parent| {
            apply.remove_own(item, parent).or_else(|_| {
                // Judged by what is there now: nothing, or what was there before us, where nobody can make anything.
                let is_gone = matches!(file::stat_at(parent, name), Err(Errno::ENOENT));
                if is_gone || apply.ground.ask(parent, entry.dir) == Err(Errno::EROFS) {
                    return Ok(());
                }
                // Once more: when what it lies in goes, nobody finds it.
                apply.remove_own(item, parent)
            })
        });
        match done {
            Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENOTEMPTY | Errno::EEXIST) => Ok(()),
            // Not granted by AppArmor: then never.
            Err(Errno::EACCES | Errno::EPERM) if self.confined => Ok(()),
            Err(errno) => Err(Error::call(says!("cannot remove %q: %e"), entry.dir, errno)),
        }
    }

    /// Removes what was made for an entry, where it is ours to remove (L9): a directory or a file, if it is empty, and a link,
    /// if it is still the one on record; `EINVAL` where that is no link.
    fn remove_own(&self, item: &Item<'t>, parent: &Fd) -> crate::kernel::Result<()> {
        let entry = item.entry;
        if !self.is_ours_to_remove(entry.dir, parent)? {
            return Ok(());
        }
        remove_made(entry, parent)
    }

    /// Changes what is at a path, in the directory of its last component. That is kept for the next who works there.
    #[inline(never)]
    fn in_parent(
        &mut self,
        at: &'t [u8],
        work: &mut dyn FnMut(&mut Self, &Fd) -> crate::kernel::Result<()>,
    ) -> crate::kernel::Result<()> {
        // Nothing that is open in it keeps it from going.
        self.walker.changed(at);
        let parent = self.walker.take_parent(at)?;
        let done = work(self, &parent);
        self.walker.keep(path::parent(at), parent);
        self.walker.changed(at);
        done
    }

    /// Whether a placeholder was made by us. Where no note says so, because the entry was recorded by another version,
    /// it counts as made where such places are always ours: under the unrestricted paths and on our own tmpfs.
    fn is_ours_to_remove(&self, at: &[u8], parent: &Fd) -> crate::kernel::Result<bool> {
        match self.notes.find(at) {
            Some(made) => Ok(made),
            None => match self.ground.ask(parent, at) {
                Ok(()) => Ok(true),
                Err(Errno::EROFS | Errno::NONE) => Ok(false),
                Err(errno) => Err(errno),
            },
        }
    }
}

/// Removes what was made for an entry in its directory: a directory or a file, if it is empty, and a link, if it is still the
/// one of the entry; `EINVAL` where that is no link.
#[inline(never)]
pub fn remove_made(entry: &MountEntry<'_>, parent: &Fd) -> crate::kernel::Result<()> {
    let name = path::name(entry.dir);
    let goes = match entry.kind() {
        Kind::Symlink => has_text(&file::open_at(parent, name, Open::PATH)?, entry)?,
        Kind::File => {
            let stat = file::stat_at(parent, name)?;
            stat.kind == FileType::Regular && stat.size == 0
        }
        _ => return file::remove_directory(parent, name),
    };
    if goes { file::unlink(parent, name) } else { Ok(()) }
}

/// Something is missing, and the entry says to pass over it then; a layout must not.
fn ignored<'t>(item: &Item<'_>) -> Option<Error<'t>> {
    (item.class == Class::Layout).then(|| Error::plain(says!("mount source or target are missing")))
}

fn reach(tree: bool) -> Reach {
    if tree { Reach::Tree } else { Reach::One }
}

/// Makes a copy of the source, complete, and attaches it at a name in a directory, or at what the descriptor names; so is the
/// source given.
#[inline(never)]
fn attach_copy(
    item: &Item<'_>,
    from: &Fd,
    source: &[u8],
    dir: &Fd,
    name: &[u8],
    how: Attach,
) -> crate::kernel::Result<Fd> {
    let tree = reach(item.flags.recursive());
    let copy = mount::copy(from, source, tree)?;
    if item.flags.read_only() {
        mount::set_read_only(&copy, tree)?;
    }
    mount::attach(&copy, dir, name, how)?;
    Ok(copy)
}

/// Takes away the mount of an entry, or that of a mimic; `NONE` when another is in its place, `ENOENT` when there is none.
fn unmount_from(
    entry: &MountEntry<'_>,
    item: Option<&Item<'_>>,
    parent: &Fd,
    expected: Option<MountId>,
    shows: bool,
) -> crate::kernel::Result<()> {
    let name = path::name(entry.dir);
    let top = file::open_at(parent, name, Open::PATH)?;
    let found = place::look(parent, &top);
    if found.mount_root == Some(false) {
        return Err(Errno::ENOENT);
    }
    if expected.is_some() && found.mount.is_some() && expected != found.mount {
        return Err(Errno::NONE);
    }
    if item.is_none() && file::magic(&top)? != FileSystem::TMPFS {
        return Ok(());
    }
    let detaches =
        entry.wants_detach() || entry.fstype == b"tmpfs" || item.is_some_and(|item| item.flags.bind());
    let done = if detaches {
        place::detach(&top, shows)
    } else {
        // An open descriptor alone would make it busy.
        drop(top);
        mount::unmount_at(parent, name)
    };
    let Err(errno) = done else { return Ok(()) };
    // Judged by what is there now.
    match file::open_at(parent, name, Open::PATH).map(|top| place::look(parent, &top)) {
        Err(Errno::ENOENT) => Ok(()),
        Ok(now) if now.mount_root == Some(false) || now.mount != found.mount => Ok(()),
        Ok(_) if errno == Errno::EINVAL && found.mount_root.is_none() => Ok(()),
        _ => Err(errno),
    }
}

/// What is said where something of another kind is in the way, by the kind that is wanted, each with a line end; first of
/// a target, then of a source.
const MISTAKEN: Says = says!(
    "cannot use %q as mount point: not a directory\n",
    "cannot use %q as bind-mount source: not a directory\n",
    "cannot use %q as mount point: not a regular file\n",
    "cannot use %q as bind-mount source: not a regular file\n",
    "cannot create symlink in %q: existing file in the way\n",
);

/// Whether the target of an entry, or its source, is missing. What is there has to be of the right type.
fn is_missing<'t>(walker: &Walker<'t>, item: &Item<'t>, is_source: bool) -> Result<'t, bool> {
    let (entry, kind) = (item.entry, item.kind);
    let at = if is_source { entry.name } else { entry.dir };
    if !path::is_absolute(at) {
        return create::check_path(at, What(Some(item))).map(|()| true);
    }
    if kind == Kind::EnsureDir {
        // In the user's home links are followed, with the user's rights.
        return match file::lstat(at) {
            Ok(stat) if stat.kind == FileType::Directory => Ok(false),
            Ok(_) => {
                Err(Error::about(says!("cannot create ensure-dir target %q: existing file in the way"), at))
            }
            Err(Errno::ENOENT) => Ok(true),
            Err(errno) => Err(Error::call(says!("cannot inspect %q: lstat %s: %e"), at, errno)),
        };
    }
    let mut says = MISTAKEN.line(2 * (kind as usize) + usize::from(is_source));
    let found = walker.open(at).and_then(|fd| Ok((file::stat(&fd)?.kind, fd)));
    match (found, kind) {
        (Err(Errno::ENOENT), _) => return Ok(true),
        (Err(errno), _) => return Err(Error::call(says!("cannot inspect %q: lstat %s: %e"), at, errno)),
        (Ok((FileType::Directory, _)), Kind::Directory | Kind::EnsureDir) => return Ok(false),
        // Special files of a mimic are put back like regular ones (L19).
        (Ok((FileType::Regular, _)), Kind::File) => return Ok(false),
        (Ok((FileType::Symlink, fd)), Kind::Symlink) => {
            if has_text(&fd, entry) == Ok(true) {
                return Ok(false);
            }
            says = says!("cannot create symbolic link %q: existing symbolic link in the way");
        }
        _ => {}
    }
    Err(Error::about(says, at))
}

/// Whether an open link has the text that its entry wants.
#[inline(never)]
pub fn has_text(link: &Fd, entry: &MountEntry<'_>) -> crate::kernel::Result<bool> {
    let mut buffer = [0u8; 4096];
    let len = file::read_link(link, &mut buffer)?;
    Ok(buffer.get(..len as usize) == Some(entry.symlink_text().unwrap_or_default()))
}
