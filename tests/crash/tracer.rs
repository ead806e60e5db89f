// SPDX-License-Identifier: GPL-3.0-only
//! A program seen from outside, system call by system call: ptrace(2) stops it where each begins and ends, and there
//! it can be ended, or the call be kept from the kernel and given an error instead.
//!
//! Only the first process is counted. What it forks (a guard that outlives it) is followed, so that it can be ended as
//! well, and is otherwise left to run.

use std::collections::BTreeSet;
use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::errno::Errno;
use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls::Call;

/// What befalls the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It is ended where its call begins; and the guard in the same moment, or not.
    Kill { guard: bool },
    /// The guard alone is ended, where a call of the program begins.
    Orphan,
    /// The call fails; and later ones of its kind, or not.
    Fail { errno: Errno, forever: bool },
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Killed(Signal),
    /// It had to be ended, long after it should have.
    Hung,
}

/// What was seen.
#[derive(Debug)]
pub struct Trace {
    pub end: End,
    /// The calls, in order; where none is struck, all of them.
    pub calls: Vec<Call>,
    /// The call that was struck, if the program came so far.
    pub struck: Option<Call>,
    /// How many processes it forked.
    pub forked: usize,
    /// Those that still live.
    pub guards: Guards,
}

/// Forked processes that outlive the program. They are ended when this is dropped.
#[derive(Debug, Default)]
pub struct Guards {
    alive: BTreeSet<Pid>,
}

/// The longest that a program is left to run.
const PATIENCE: Duration = Duration::from_secs(8);

/// Ends programs that hang: looks at the clock for a thread that waits.
#[derive(Clone)]
pub struct Watchdog {
    watched: Arc<Mutex<Option<(Pid, Instant)>>>,
}

impl Watchdog {
    /// One that runs as long as the process.
    pub fn new() -> Watchdog {
        let dog = Watchdog { watched: Arc::default() };
        let watched = Arc::clone(&dog.watched);
        thread::spawn(move || {
            loop {
                thread::sleep(Duration::from_millis(100));
                let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((pid, _)) = watched.filter(|(_, until)| Instant::now() > *until) {
                    let _ = kill(pid, Signal::SIGKILL);
                    *watched = None;
                }
            }
        });
        dog
    }

    fn watch(&self, pid: Pid) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some((pid, Instant::now() + PATIENCE));
    }

    /// Whether it let the program live.
    fn rest(&self) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

/// Runs a program undisturbed to its end.
pub fn run(mut command: Command, dog: &Watchdog) -> io::Result<End> {
    let mut child = command.spawn()?;
    dog.watch(pid_of(&child));
    let status = child.wait()?;
    let in_time = dog.rest();
    use std::os::unix::process::ExitStatusExt;
    Ok(match (status.code(), status.signal()) {
        _ if !in_time => End::Hung,
        (Some(code), _) => End::Exit(code),
        (None, signal) => {
            End::Killed(signal.and_then(|signal| Signal::try_from(signal).ok()).unwrap_or(Signal::SIGKILL))
        }
    })
}

/// Runs a program call by call. A blow falls at the call whose number it has, counted from one.
pub fn trace(mut command: Command, blow: Option<(usize, Blow)>, dog: &Watchdog) -> io::Result<Trace> {
    // SAFETY: between fork and exec only this one system call is made.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn()?;
    let main = pid_of(&child);
    // It stops itself when it is executed.
    match waitpid(main, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
        other => return Err(io::Error::other(format!("not stopped by its start: {other:?}"))),
    }
    let follow = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
    let told = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(main, told | follow)?;
    dog.watch(main);
    ptrace::syscall(main, None)?;
    let mut life =
        Life { main, blow, count: 0, inside: false, pending: None, kind: None, alive: BTreeSet::new() };
    let mut seen =
        Trace { end: End::Hung, calls: Vec::new(), struck: None, forked: 0, guards: Guards::default() };
    loop {
        // Of all children only those of this thread: others may trace as well.
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))? {
            WaitStatus::Exited(pid, code) if pid == main => seen.end = End::Exit(code),
            WaitStatus::Signaled(pid, signal, _) if pid == main => seen.end = End::Killed(signal),
            status => {
                life.go_on(status, &mut seen)?;
                continue;
            }
        }
        break;
    }
    if !dog.rest() {
        seen.end = End::Hung;
    }
    seen.guards.alive = life.alive;
    Ok(seen)
}

/// A program on its way.
struct Life {
    main: Pid,
    blow: Option<(usize, Blow)>,
    count: usize,
    /// Between the beginning and the end of a call.
    inside: bool,
    /// What the call that was kept from the kernel ends with.
    pending: Option<Errno>,
    /// Calls that fail from now on.
    kind: Option<(u64, Errno)>,
    alive: BTreeSet<Pid>,
}

impl Life {
    fn go_on(&mut self, status: WaitStatus, seen: &mut Trace) -> io::Result<()> {
        match status {
            WaitStatus::PtraceSyscall(pid) if pid == self.main => {
                self.inside = !self.inside;
                let done = match self.inside {
                    true => self.begins(seen),
                    false => self.ends(),
                };
                gone(done.and_then(|()| ptrace::syscall(pid, None)))
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                if pid == self.main && event != libc::PTRACE_EVENT_EXEC {
                    seen.forked += 1;
                    let forked = ptrace::getevent(pid)? as i32;
                    self.alive.insert(Pid::from_raw(forked));
                }
                gone(self.resume(pid, None))
            }
            // What was forked stops when it begins.
            WaitStatus::Stopped(pid, Signal::SIGSTOP) if pid != self.main => {
                self.alive.insert(pid);
                gone(self.resume(pid, None))
            }
            WaitStatus::Stopped(pid, signal) => gone(self.resume(pid, Some(signal))),
            WaitStatus::PtraceSyscall(pid) => gone(self.resume(pid, None)),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) => {
                self.alive.remove(&pid);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn resume(&self, pid: Pid, signal: Option<Signal>) -> nix::Result<()> {
        match pid == self.main {
            true => ptrace::syscall(pid, signal),
            false => ptrace::cont(pid, signal),
        }
    }

    fn begins(&mut self, seen: &mut Trace) -> nix::Result<()> {
        self.count += 1;
        let Some((at, blow)) = self.blow else {
            let regs = ptrace::getregs(self.main)?;
            seen.calls.push(Call::read(self.main, &regs));
            return Ok(());
        };
        if self.count < at {
            return Ok(());
        }
        let mut regs = ptrace::getregs(self.main)?;
        if self.count == at {
            let call = Call::read(self.main, &regs);
            // An error that the kernel never gives for this call befalls nobody; nor, if it is not asked for, one that lies.
            let asked = env::var_os("CRASH_LIES").is_some() || env::var_os("CRASH_CASE").is_some();
            let befalls =
                |errno, forever| call.errors().contains(&errno) && (asked || !call.would_lie(errno, forever));
            if matches!(blow, Blow::Fail { errno, forever } if !befalls(errno, forever)) {
                return Ok(());
            }
            seen.struck = Some(call);
            match blow {
                Blow::Kill { guard } => {
                    for pid in self.alive.iter().filter(|_| guard) {
                        let _ = kill(*pid, Signal::SIGKILL);
                    }
                    return kill(self.main, Signal::SIGKILL);
                }
                Blow::Orphan => {
                    for pid in &self.alive {
                        let _ = kill(*pid, Signal::SIGKILL);
                    }
                }
                Blow::Fail { errno, .. } => self.kind = Some((regs.orig_rax, errno)),
            }
        }
        let forever = matches!(blow, Blow::Fail { forever: true, .. });
        if let Some((kind, errno)) = self.kind
            && kind == regs.orig_rax
            && (forever || self.count == at)
        {
            self.pending = Some(errno);
            regs.orig_rax = u64::MAX; // no such call
            ptrace::setregs(self.main, regs)?;
        }
        Ok(())
    }

    fn ends(&mut self) -> nix::Result<()> {
        if let Some(errno) = self.pending.take() {
            let mut regs: user_regs_struct = ptrace::getregs(self.main)?;
            regs.rax = (-i64::from(errno as i32)) as u64;
            ptrace::setregs(self.main, regs)?;
        }
        Ok(())
    }
}

impl Guards {
    /// Waits until all have ended by themselves, but no longer than this; whether they have.
    pub fn end_within(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while !self.alive.is_empty() && start.elapsed() < patience {
            self.look();
            thread::sleep(Duration::from_micros(200));
        }
        self.alive.is_empty()
    }

    /// Lets go on what has stopped, and takes note of what has ended.
    pub fn look(&mut self) {
        let how = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WNOHANG;
        while let Ok(status) = waitpid(None, Some(how)) {
            match status {
                WaitStatus::StillAlive => return,
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) => {
                    self.alive.remove(&pid);
                }
                WaitStatus::Stopped(pid, signal) => {
                    self.alive.insert(pid);
                    let signal = Some(signal).filter(|signal| *signal != Signal::SIGSTOP);
                    let _ = ptrace::cont(pid, signal);
                }
                WaitStatus::PtraceEvent(pid, _, _) => {
                    let _ = ptrace::cont(pid, None);
                }
                _ => {}
            }
        }
        // No child is left at all.
        self.alive.clear();
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        for pid in &self.alive {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        self.end_within(Duration::from_secs(1));
    }
}

/// A process that was ended meanwhile cannot be told to go on, and need not.
fn gone(done: nix::Result<()>) -> io::Result<()> {
    match done {
        Err(Errno::ESRCH) => Ok(()),
        other => Ok(other?),
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
