//! Groups of processes that run in alternating time slices, the others stopped by SIGSTOP, so that changes in the
//! machine's speed affect all alike.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::process::children;

/// Short against changes of a machine's speed, long against a request.
const SLICE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct TimeSlices(Arc<Mutex<State>>);

struct State {
    contenders: Vec<Contender>,
    /// The running group, and since when.
    running: usize,
    since: Instant,
}

/// The processes of one group.
struct Contender {
    processes: Vec<Pid>,
    /// How long it has run in earlier slices.
    ran: Duration,
    ended: bool,
}

impl TimeSlices {
    /// Starts the slices: one group for each of these processes and its descendants and, as the last one, all other
    /// descendants of this process.
    pub fn begin(processes: &[u32]) -> Result<Self> {
        let mut trees = processes
            .iter()
            .map(|pid| process_tree(*pid))
            .collect::<Result<Vec<_>>>()?;
        let mut rest = process_tree(std::process::id())?;
        rest.retain(|pid| *pid != getpid() && !trees.iter().flatten().any(|other| other == pid));
        trees.push(rest);
        let contenders: Vec<Contender> = trees
            .into_iter()
            .map(|processes| Contender {
                processes,
                ran: Duration::ZERO,
                ended: false,
            })
            .collect();
        let (first, others) = contenders
            .split_first()
            .context("there are no processes to run in slices")?;
        for contender in others {
            contender.signal(Signal::STOP);
        }
        first.signal(Signal::CONT);
        let slices = Self(Arc::new(Mutex::new(State {
            contenders,
            running: 0,
            since: Instant::now(),
        })));
        let switched = slices.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(SLICE);
                let mut state = switched.lock();
                if state.contenders.iter().all(|contender| contender.ended) {
                    return;
                }
                state.switch();
            }
        });
        Ok(slices)
    }

    /// Ends the slices of a group (the first is 0), which has finished, and returns how long it has run.
    pub fn end(&self, contender: usize) -> Duration {
        let mut state = self.lock();
        if state.running == contender {
            state.switch();
        }
        let ended = &mut state.contenders[contender];
        ended.ended = true;
        ended.signal(Signal::CONT);
        ended.ran
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Switches to the next group that has not ended; without one, this group continues.
    fn switch(&mut self) {
        let from = self.running;
        let count = self.contenders.len();
        let next = (1..=count)
            .map(|step| (from + step) % count)
            .find(|contender| !self.contenders[*contender].ended);
        if !self.contenders[from].ended {
            self.contenders[from].signal(Signal::STOP);
            self.contenders[from].ran += self.since.elapsed();
        }
        self.running = next.unwrap_or(from);
        self.since = Instant::now();
        self.contenders[self.running].signal(Signal::CONT);
    }
}

impl Contender {
    fn signal(&self, signal: Signal) {
        for pid in &self.processes {
            // The process may have ended.
            let _ = kill_process(*pid, signal);
        }
    }
}

/// A process and its descendants.
fn process_tree(pid: u32) -> Result<Vec<Pid>> {
    let raw = i32::try_from(pid)?;
    let mut all = vec![Pid::from_raw(raw).context("no process has the id 0")?];
    for child in children(pid)? {
        all.extend(process_tree(child)?);
    }
    Ok(all)
}
