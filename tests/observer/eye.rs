// SPDX-License-Identifier: GPL-3.0-only
//! A process of the snap that looks at paths, over and over, and counts what it does not find.
//!
//! It is forked and never allocates: all that it needs is made before, and what it counts lies in shared memory.

use std::ffi::CString;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Watch {
    /// A file that no update concerns: stat, open, read; its text begins so.
    Same(&'static str, &'static str),
    /// A file behind an entry that is replaced: old or new, its text begins so.
    Replaced(&'static str, &'static str),
    /// A directory in which these names have to be.
    Names(&'static str, &'static [&'static str]),
}

/// What is counted of each path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Looks,
    Stat,
    Open,
    Read,
    /// Another text: of what lies below.
    Text,
    /// A name is missing.
    Name,
}

const COUNTS: usize = 6;
const WATCHES: usize = 12;
/// Two phases, and what is between the updates.
const PHASES: usize = 3;
pub const BETWEEN: usize = 2;

/// What is shared with the observers.
struct Shared {
    phase: AtomicU64,
    over: AtomicU64,
    counts: [[[AtomicU64; COUNTS]; WATCHES]; PHASES],
}

/// Observers at work; they end with this.
pub struct Eyes {
    shared: NonNull<Shared>,
    pids: Vec<i32>,
}

/// A path made ready to be looked at.
struct Ready {
    path: CString,
    begins: Vec<u8>,
    names: Vec<CString>,
    is_directory: bool,
}

impl Eyes {
    /// Starts as many as there are other processors, up to three.
    pub fn open(watches: &[Watch]) -> io::Result<Eyes> {
        assert!(watches.len() <= WATCHES, "too many paths");
        // SAFETY: new memory, which nothing else refers to.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Shared>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let shared = NonNull::new(memory.cast::<Shared>()).expect("memory");
        let mut eyes = Eyes { shared, pids: Vec::new() };
        eyes.between();
        let ready: Vec<Ready> = watches.iter().map(Ready::new).collect();
        let here = sched_getcpu();
        // SAFETY: asks for a number.
        let cpus = usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1);
        for _ in 0..cpus.saturating_sub(1).clamp(1, 3) {
            // SAFETY: the child makes only system calls, and never returns.
            match unsafe { libc::fork() } {
                -1 => return Err(io::Error::last_os_error()),
                0 => {
                    leave(here);
                    // SAFETY: the mapping is inherited, and zero is a good value of all its parts.
                    watch(unsafe { shared.as_ref() }, &ready);
                }
                pid => eyes.pids.push(pid),
            }
        }
        Ok(eyes)
    }

    pub fn pids(&self) -> &[i32] {
        &self.pids
    }

    /// An update of this phase begins.
    pub fn during(&self, phase: usize) {
        self.shared().phase.store(phase as u64, Ordering::SeqCst);
    }

    /// The update is over.
    pub fn between(&self) {
        self.during(BETWEEN);
    }

    pub fn count(&self, phase: usize, watch: usize, what: Count) -> u64 {
        self.shared().counts[phase][watch][what as usize].load(Ordering::SeqCst)
    }

    /// How often all paths were looked at; for waiting until everybody is awake.
    pub fn looks(&self) -> u64 {
        self.shared().counts.iter().map(|phase| phase[0][0].load(Ordering::SeqCst)).sum()
    }

    fn shared(&self) -> &Shared {
        // SAFETY: mapped as long as this lives; zero is a good value of all its parts.
        unsafe { self.shared.as_ref() }
    }
}

impl Drop for Eyes {
    fn drop(&mut self) {
        self.shared().over.store(1, Ordering::SeqCst);
        for pid in &self.pids {
            let mut status = 0;
            // SAFETY: waits for a child of ours.
            unsafe { libc::waitpid(*pid, &raw mut status, 0) };
        }
        // SAFETY: nobody has the memory any more.
        unsafe { libc::munmap(self.shared.as_ptr().cast(), size_of::<Shared>()) };
    }
}

impl Ready {
    fn new(watch: &Watch) -> Ready {
        let text = |text: &str| CString::new(text).expect("a path");
        match watch {
            Watch::Same(path, begins) | Watch::Replaced(path, begins) => Ready {
                path: text(path),
                begins: begins.as_bytes().to_vec(),
                names: Vec::new(),
                is_directory: false,
            },
            Watch::Names(path, names) => Ready {
                path: text(path),
                begins: Vec::new(),
                names: names.iter().map(|name| text(name)).collect(),
                is_directory: true,
            },
        }
    }
}

/// Moves this process to other processors, and has it end with its parent.
fn leave(cpu: usize) {
    let mut others = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|other| *other != cpu).for_each(|other| others.set(other));
    let _ = sched_setaffinity(None, &others);
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

fn parent() -> i32 {
    // SAFETY: asks for a number.
    unsafe { libc::getppid() }
}

fn watch(shared: &Shared, paths: &[Ready]) -> ! {
    let parent = parent();
    while shared.over.load(Ordering::Relaxed) == 0 && parent == self::parent() {
        for (at, path) in paths.iter().enumerate() {
            let before = shared.phase.load(Ordering::SeqCst) as usize;
            let wrong = if path.is_directory { list(path) } else { read(path) };
            let after = shared.phase.load(Ordering::SeqCst) as usize;
            let phase = if before == BETWEEN { after } else { before };
            let counts = &shared.counts[phase][at];
            counts[Count::Looks as usize].fetch_add(1, Ordering::Relaxed);
            if let Some((what, times)) = wrong {
                counts[what as usize].fetch_add(times, Ordering::Relaxed);
            }
        }
    }
    // SAFETY: ends this process.
    unsafe { libc::_exit(0) }
}

/// Looks at a file.
fn read(path: &Ready) -> Option<(Count, u64)> {
    let mut buffer = [0u8; 64];
    // SAFETY: the path ends in NUL, and the buffers are as large as is said.
    unsafe {
        let mut stat = std::mem::zeroed::<libc::stat>();
        if libc::stat(path.path.as_ptr(), &raw mut stat) != 0 {
            return Some((Count::Stat, 1));
        }
        let file = libc::open(path.path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return Some((Count::Open, 1));
        }
        let got = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(file);
        match usize::try_from(got) {
            Err(_) => Some((Count::Read, 1)),
            Ok(got) if buffer[..got].starts_with(&path.begins) => None,
            Ok(_) => Some((Count::Text, 1)),
        }
    }
}

/// Lists a directory.
fn list(path: &Ready) -> Option<(Count, u64)> {
    let mut buffer = [0u8; 16 << 10];
    // SAFETY: the path ends in NUL, and the buffer is as large as is said.
    unsafe {
        let dir = libc::open(path.path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        if dir < 0 {
            return Some((Count::Open, 1));
        }
        let mut len = 0;
        loop {
            let got =
                libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr().add(len), buffer.len() - len);
            match usize::try_from(got) {
                Ok(0) | Err(_) => break,
                Ok(got) => len += got,
            }
        }
        libc::close(dir);
        let is_there = |name: &CString| {
            let name = name.as_bytes_with_nul();
            let mut at = 0;
            while at + 19 < len {
                let size = usize::from(u16::from_ne_bytes([buffer[at + 16], buffer[at + 17]]));
                if size == 0 {
                    break;
                }
                if buffer[at + 19..len].starts_with(name) {
                    return true;
                }
                at += size;
            }
            false
        };
        match path.names.iter().filter(|name| !is_there(name)).count() {
            0 => None,
            missing => Some((Count::Name, missing as u64)),
        }
    }
}
