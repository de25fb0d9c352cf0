//! The process's own figures, read from /proc when they are asked for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Linux reports times to user space in this unit on every architecture it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;
/// The CPU share is taken over at least this long, however often it is asked for.
const CPU_WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct ProcessMetrics {
    started: f64,
    cores: f64,
    cpu: Mutex<CpuShare>,
}

#[derive(Debug)]
struct CpuShare {
    since: Instant,
    cpu_seconds: f64,
    percent: f64,
}

/// Sizes and counts as /proc/self/status names them.
#[derive(Debug, Default, PartialEq)]
struct Status {
    threads: u64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl ProcessMetrics {
    pub(super) fn new() -> Self {
        let started = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let cores = thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        let cpu = CpuShare {
            since: Instant::now(),
            cpu_seconds: cpu_seconds(),
            percent: 0.0,
        };
        Self {
            started,
            cores,
            cpu: Mutex::new(cpu),
        }
    }

    /// Share of the cores that this process may use, 0 to 100.
    fn cpu_percent(&self, cpu_seconds: f64) -> f64 {
        let mut share = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = share.since.elapsed();
        if elapsed >= CPU_WINDOW {
            share.percent = (cpu_seconds - share.cpu_seconds) / elapsed.as_secs_f64() / self.cores * 100.0;
            share.since = Instant::now();
            share.cpu_seconds = cpu_seconds;
        }
        share.percent
    }
}

fn cpu_seconds() -> f64 {
    fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| parse_cpu_seconds(&stat))
        .unwrap_or_default()
}

/// The fields utime and stime of proc_pid_stat(5), counted from behind the program's name, which may hold blanks.
fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

impl Status {
    fn read() -> Self {
        fs::read_to_string("/proc/self/status")
            .map(|status| Self::parse(&status))
            .unwrap_or_default()
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or_default()
        };
        Self {
            threads: field("Threads"),
            virtual_bytes: field("VmSize") * 1024,
            resident_bytes: field("VmRSS") * 1024,
        }
    }
}

fn open_files() -> u64 {
    // The listing itself holds one open.
    fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1))
}

fn max_open_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> std::fmt::Result {
        let cpu_seconds = cpu_seconds();
        let status = Status::read();
        encoder
            .encode_descriptor(
                "process_cpu_seconds",
                "CPU time used, in seconds",
                None,
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, _, u64>(&cpu_seconds, None)?;
        let mut gauge = |name: &str, help: &str, value: f64| {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&value)
        };
        gauge(
            "process_resident_memory_bytes",
            "Resident memory",
            status.resident_bytes as f64,
        )?;
        gauge(
            "process_virtual_memory_bytes",
            "Virtual memory",
            status.virtual_bytes as f64,
        )?;
        gauge("process_threads", "Threads", status.threads as f64)?;
        gauge("process_open_fds", "Open files", open_files() as f64)?;
        if let Some(max) = max_open_files() {
            gauge("process_max_fds", "Most files that may be open", max as f64)?;
        }
        gauge(
            "process_start_time_seconds",
            "Start of the process, in seconds since 1970",
            self.started,
        )?;
        gauge(
            "cpu_usage_percent",
            "Share of the usable cores, 0 to 100",
            self.cpu_percent(cpu_seconds),
        )?;
        gauge(
            "memory_usage_bytes",
            "Resident memory",
            status.resident_bytes as f64,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_blanks_and_brackets_is_no_obstacle() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 105 0 0 0 250 50 0 0 20 0 3 0 117 8192 25 1844 1";
        assert_eq!(parse_cpu_seconds(stat), Some(3.0));
        assert_eq!(parse_cpu_seconds(""), None);
    }

    #[test]
    fn sizes_are_given_in_bytes() {
        let status = "Name:\tThreads\nVmSize:\t    8 kB\nVmRSS:\t    5 kB\nThreads:\t3\n";
        let expected = Status {
            threads: 3,
            virtual_bytes: 8192,
            resident_bytes: 5120,
        };
        assert_eq!(Status::parse(status), expected);
    }
}
