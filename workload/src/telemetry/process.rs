//! What the process itself uses, read from /proc when Prometheus asks.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;

/// The CPU share is taken over at least this long, however often it is asked for.
const CPU_WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct ProcessCollector {
    started: SystemTime,
    cpu_percent: Gauge<f64, AtomicU64>,
    /// When the share of the CPU was last taken, and the CPU time until then.
    cpu_taken: Mutex<(Instant, f64)>,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        Self {
            started: SystemTime::now(),
            cpu_percent: Gauge::default(),
            cpu_taken: Mutex::new((Instant::now(), 0.0)),
        }
    }

    fn cpu_percent(&self, cpu_seconds: f64) -> f64 {
        let mut last = self.cpu_taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, before) = *last;
        let elapsed = taken.elapsed();
        if elapsed >= CPU_WINDOW {
            let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
            let share = (cpu_seconds - before) / elapsed.as_secs_f64() / cores;
            self.cpu_percent.set(100.0 * share);
            *last = (Instant::now(), cpu_seconds);
        }
        self.cpu_percent.get()
    }

    /// The CPU time in seconds, and gauges by their names.
    fn read(&self) -> ProcResult<(f64, [(&'static str, f64); 8])> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let cpu_seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        let resident = stat.rss_bytes().get() as f64;
        let most_files = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(most) => most as f64,
            LimitValue::Unlimited => f64::INFINITY,
        };
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let gauges = [
            ("process_resident_memory_bytes", resident),
            ("process_virtual_memory_bytes", stat.vsize as f64),
            ("process_threads", stat.num_threads as f64),
            ("process_open_fds", process.fd_count()? as f64),
            ("process_max_fds", most_files),
            ("process_start_time_seconds", started.as_secs_f64()),
            ("memory_usage_bytes", resident),
            ("cpu_usage_percent", self.cpu_percent(cpu_seconds)),
        ];
        Ok((cpu_seconds, gauges))
    }
}

impl Collector for ProcessCollector {
    /// What cannot be read is not shown.
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Ok((cpu_seconds, gauges)) = self.read() else {
            return Ok(());
        };
        let help = "CPU time used by this process";
        encoder
            .encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&cpu_seconds, None)?;
        for (name, value) in gauges {
            encoder
                .encode_descriptor(name, "Of this process", None, MetricType::Gauge)?
                .encode_gauge(&value)?;
        }
        Ok(())
    }
}
