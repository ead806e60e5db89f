// SPDX-License-Identifier: GPL-3.0-only
//! Starting a program and measuring it: the time from its start to its end, its peak memory, its instructions. The
//! floor, ours and the original are started in the same way, by posix_spawn(3), with an empty environment.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

/// The kernel frees mounts after they are gone; what is measured next need not wait for that.
const SETTLE: Duration = Duration::from_millis(10);

/// Times of one thing, measured again and again.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let (lower, upper) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
        Some((lower.as_secs_f64() + upper.as_secs_f64()) / 2.0)
    }

    pub fn least(&self) -> Option<f64> {
        self.0.iter().min().map(Duration::as_secs_f64)
    }
}

/// How long a command takes.
pub fn time(argv: &[String], env: &[(&str, &str)]) -> Duration {
    let (mut command, mut said) = command(argv, env);
    std::thread::sleep(SETTLE);
    let start = Instant::now();
    let status = command.spawn().expect("start a program").wait().expect("wait for it");
    let time = start.elapsed();
    check(argv, status, &mut said);
    time
}

/// How long it takes until the last of several commands that are started together has ended.
pub fn together(commands: &[Vec<String>]) -> Duration {
    std::thread::sleep(SETTLE);
    let mut ready: Vec<_> = commands.iter().map(|argv| command(argv, &[])).collect();
    let start = Instant::now();
    let mut running: Vec<_> =
        ready.iter_mut().map(|(command, _)| command.spawn().expect("start a program").id()).collect();
    while !running.is_empty() {
        let (pid, status) = rustix::process::wait(rustix::process::WaitOptions::empty())
            .expect("wait for any of them")
            .expect("one that ended");
        assert_eq!(status.exit_status(), Some(0), "one of {:?}", commands[0]);
        running.retain(|id| *id != pid.as_raw_nonzero().get() as u32);
    }
    start.elapsed()
}

/// The most memory that a command had in use at one time, in bytes. Asked when it is about to end, so the memory of
/// whoever started it is not counted.
pub fn peak(argv: &[String]) -> u64 {
    let (mut command, mut said) = command(argv, &[]);
    // SAFETY: one system call.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let pid = command.spawn().expect("start a program").id() as libc::pid_t;
    let go_on = |request, signal: i32| {
        // SAFETY: the process is ours and stands still.
        let done = unsafe { libc::ptrace(request, pid, 0, signal) };
        assert_eq!(done, 0, "ptrace: {}", std::io::Error::last_os_error());
    };
    let mut peak = 0;
    loop {
        let mut status = 0;
        // SAFETY: the status is written to a variable.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        let signal = libc::WSTOPSIG(status);
        if !libc::WIFSTOPPED(status) {
            check(argv, ExitStatus::from_raw(status), &mut said);
            return peak;
        } else if status >> 16 == libc::PTRACE_EVENT_EXIT {
            let about = fs::read_to_string(format!("/proc/{pid}/status")).expect("read its status");
            let line = about.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
            peak = 1024 * line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number");
            go_on(libc::PTRACE_CONT, 0);
        } else if signal == libc::SIGTRAP {
            go_on(libc::PTRACE_SETOPTIONS, libc::PTRACE_O_TRACEEXIT);
            go_on(libc::PTRACE_CONT, 0);
        } else {
            go_on(libc::PTRACE_CONT, signal);
        }
    }
}

/// How many instructions a command takes in user space, by callgrind. `None` where valgrind cannot run it.
pub fn instructions(argv: &[String]) -> Option<u64> {
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(argv)
        .output()
        .ok()
        .filter(|done| done.status.success())?;
    let said = String::from_utf8_lossy(&done.stderr);
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn command(argv: &[String], env: &[(&str, &str)]) -> (Command, File) {
    let said = File::from(memfd_create("said", MemfdFlags::CLOEXEC).expect("a place for what it says"));
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::null());
    command.stdout(said.try_clone().expect("stdout")).stderr(said.try_clone().expect("stderr"));
    (command, said)
}

fn check(argv: &[String], status: ExitStatus, said: &mut File) {
    if status.success() {
        return;
    }
    let mut text = String::new();
    said.rewind().and_then(|()| said.read_to_string(&mut text)).expect("read what it said");
    panic!("{argv:?}: {status}\n{text}");
}
