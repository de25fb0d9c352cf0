//! Several that work in turns, the others standing still while one runs: a machine that gets slower or faster meanwhile,
//! as one that is shared does, gets so for all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::process::children;

/// Short beside what makes a machine slow, and long beside a request.
const TURN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Turns(Arc<Mutex<State>>);

struct State {
    sides: Vec<Side>,
    /// Whose turn it is, and since when.
    running: usize,
    since: Instant,
}

/// All the processes of one that works.
struct Side {
    processes: Vec<Pid>,
    /// How long it has run in the turns before this one.
    ran: Duration,
    ended: bool,
}

impl Turns {
    /// Lets them go on in turns: each of these processes with all that it has started, and, as the last side, all else
    /// that was started here.
    pub fn begin(processes: &[u32]) -> Result<Self> {
        let mut families = processes
            .iter()
            .map(|pid| family(*pid))
            .collect::<Result<Vec<_>>>()?;
        let mut rest = family(std::process::id())?;
        rest.retain(|pid| *pid != getpid() && !families.iter().flatten().any(|other| other == pid));
        families.push(rest);
        let sides: Vec<Side> = families
            .into_iter()
            .map(|processes| Side {
                processes,
                ran: Duration::ZERO,
                ended: false,
            })
            .collect();
        let (first, others) = sides.split_first().context("there is no side")?;
        for side in others {
            side.tell(Signal::STOP);
        }
        first.tell(Signal::CONT);
        let turns = Self(Arc::new(Mutex::new(State {
            sides,
            running: 0,
            since: Instant::now(),
        })));
        let switched = turns.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(TURN);
                let mut state = switched.lock();
                if state.sides.iter().all(|side| side.ended) {
                    return;
                }
                state.switch();
            }
        });
        Ok(turns)
    }

    /// How long this side, the first is 0, has run when it has come to its end. It goes on then, for it has no work left
    /// that would be in the way, and the others go on in turns.
    pub fn end(&self, side: usize) -> Duration {
        let mut state = self.lock();
        if state.running == side {
            state.switch();
        }
        let ended = &mut state.sides[side];
        ended.ended = true;
        ended.tell(Signal::CONT);
        ended.ran
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// To the next side that has not come to its end; where there is none this one goes on.
    fn switch(&mut self) {
        let from = self.running;
        let count = self.sides.len();
        let next = (1..=count)
            .map(|step| (from + step) % count)
            .find(|side| !self.sides[*side].ended);
        if !self.sides[from].ended {
            self.sides[from].tell(Signal::STOP);
            self.sides[from].ran += self.since.elapsed();
        }
        self.running = next.unwrap_or(from);
        self.since = Instant::now();
        self.sides[self.running].tell(Signal::CONT);
    }
}

impl Side {
    fn tell(&self, signal: Signal) {
        for pid in &self.processes {
            // One that has ended needs to be told nothing.
            let _ = kill_process(*pid, signal);
        }
    }
}

/// A process and all that it has started, and what these have started.
fn family(pid: u32) -> Result<Vec<Pid>> {
    let raw = i32::try_from(pid)?;
    let mut all = vec![Pid::from_raw(raw).context("no process has the id 0")?];
    for child in children(pid)? {
        all.extend(family(child)?);
    }
    Ok(all)
}
