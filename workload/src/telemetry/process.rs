//! What the process itself uses, read from /proc when Prometheus asks.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The CPU share is taken over at least this long, however often it is asked for.
const CPU_WINDOW: Duration = Duration::from_secs(1);

type Number = Gauge<f64, AtomicU64>;

#[derive(Debug, Default)]
pub(super) struct ProcessMetrics {
    cpu_seconds: Counter<f64, AtomicU64>,
    /// When the share of the CPU was last taken, and the CPU time until then.
    cpu_taken: Mutex<Option<(Instant, f64)>>,
    cpu_percent: Number,
    resident: Number,
    virtual_memory: Number,
    threads: Number,
    open_files: Number,
    most_open_files: Number,
    started: Number,
}

impl ProcessMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.started.set(started.as_secs_f64());
        registry.register(
            "process_cpu_seconds",
            "CPU time used, in seconds",
            self.cpu_seconds.clone(),
        );
        for (name, help, gauge) in [
            ("process_resident_memory_bytes", "Resident memory", &self.resident),
            (
                "process_virtual_memory_bytes",
                "Virtual memory",
                &self.virtual_memory,
            ),
            ("process_threads", "Threads", &self.threads),
            ("process_open_fds", "Open files", &self.open_files),
            (
                "process_max_fds",
                "Most files that may be open",
                &self.most_open_files,
            ),
            (
                "process_start_time_seconds",
                "Start of the process, in seconds since 1970",
                &self.started,
            ),
            (
                "cpu_usage_percent",
                "Share of the usable cores, 0 to 100",
                &self.cpu_percent,
            ),
            ("memory_usage_bytes", "Resident memory", &self.resident),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// What cannot be read keeps its last value.
    pub(super) fn update(&self) {
        let _ = self.read();
    }

    fn read(&self) -> ProcResult<()> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let cpu_seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        self.cpu_seconds
            .inner()
            .store(cpu_seconds.to_bits(), std::sync::atomic::Ordering::Relaxed);
        self.take_cpu_share(cpu_seconds);
        self.resident.set(stat.rss_bytes().get() as f64);
        self.virtual_memory.set(stat.vsize as f64);
        self.threads.set(stat.num_threads as f64);
        self.open_files.set(process.fd_count()? as f64);
        if let LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
            self.most_open_files.set(most as f64);
        }
        Ok(())
    }

    fn take_cpu_share(&self, cpu_seconds: f64) {
        let mut taken = self.cpu_taken.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((since, before)) = *taken {
            let elapsed = now - since;
            if elapsed < CPU_WINDOW {
                return;
            }
            let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
            self.cpu_percent
                .set((cpu_seconds - before) / elapsed.as_secs_f64() / cores * 100.0);
        }
        *taken = Some((now, cpu_seconds));
    }
}
