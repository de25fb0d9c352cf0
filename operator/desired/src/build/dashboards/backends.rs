//! The database and the cache that the operator runs: from their exporters, and from cAdvisor.

use super::model::Unit;
use super::panel::{Grid, PanelBuilder, RED};
use crate::{Database, ValidApp};

pub(super) fn rows(app: &ValidApp, grid: &mut Grid) {
    // Only the builtin ones have an exporter that we know of.
    if let Some(Database::Builtin(_)) = app.database {
        grid.row("Database");
        grid.line(8, vec![connections(), transactions(), hit_ratio()]);
        grid.line(8, vec![database_cpu(), database_memory(), disk()]);
    }
    if app.builtin_cache().is_some() {
        grid.row("Cache");
        grid.line(8, vec![cache_hits(), commands(), cache_memory(), evictions()]);
    }
}

/// The exporter's series of the app's own database.
const DATABASE: &str = r#"{namespace="$namespace",job="$app-db",datname="app"}"#;
const DATABASE_SERVER: &str = r#"{namespace="$namespace",job="$app-db"}"#;
const DATABASE_CONTAINER: &str = r#"{namespace="$namespace",pod="$app-db-0",container="postgres"}"#;
const DATABASE_DISK: &str = r#"{namespace="$namespace",persistentvolumeclaim="$app-db"}"#;
const CACHE: &str = r#"{namespace="$namespace",job="$app-cache"}"#;

fn rate(name: &str, selector: &str) -> String {
    format!("sum(rate({name}{selector}[$__rate_interval]))")
}

fn connections() -> PanelBuilder {
    PanelBuilder::lines("Connections", Unit::Count)
        .says("Open connections by state, against all that may be open.")
        .from(0.0)
        .decimals(0)
        .query(
            "{{state}}",
            format!("sum by (state) (pg_stat_activity_count{DATABASE})"),
        )
        .bound(
            "most",
            RED,
            format!("max(pg_settings_max_connections{DATABASE_SERVER})"),
        )
}

fn transactions() -> PanelBuilder {
    PanelBuilder::lines("Transactions", Unit::OperationsPerSecond)
        .says("Transactions a second that were committed, and that were rolled back.")
        .from(0.0)
        .query("committed", rate("pg_stat_database_xact_commit", DATABASE))
        .query("rolled back", rate("pg_stat_database_xact_rollback", DATABASE))
}

fn hit_ratio() -> PanelBuilder {
    let hit = rate("pg_stat_database_blks_hit", DATABASE);
    let read = rate("pg_stat_database_blks_read", DATABASE);
    PanelBuilder::lines("Pages found in memory", Unit::Ratio)
        .says("The share of pages that were read without asking the disk.")
        .from(0.0)
        .to(1.0)
        .query("in memory", format!("{hit} / ({hit} + {read})"))
}

fn database_cpu() -> PanelBuilder {
    PanelBuilder::lines("Database CPU", Unit::Cores)
        .says("Cores in use.")
        .from(0.0)
        .query(
            "used",
            rate("container_cpu_usage_seconds_total", DATABASE_CONTAINER),
        )
}

fn database_memory() -> PanelBuilder {
    PanelBuilder::lines("Database memory", Unit::Bytes)
        .says("Memory that cannot be taken back, against the limit.")
        .from(0.0)
        .query(
            "used",
            format!("max(container_memory_working_set_bytes{DATABASE_CONTAINER})"),
        )
        .bound(
            "limit",
            RED,
            format!("max(container_spec_memory_limit_bytes{DATABASE_CONTAINER})"),
        )
}

fn disk() -> PanelBuilder {
    PanelBuilder::lines("Disk", Unit::Bytes)
        .says("The disk as far as it is used, the app's database in it, and how much there is.")
        .from(0.0)
        .query(
            "used",
            format!("max(kubelet_volume_stats_used_bytes{DATABASE_DISK})"),
        )
        .query("database", format!("max(pg_database_size_bytes{DATABASE})"))
        .bound(
            "size",
            RED,
            format!("max(kubelet_volume_stats_capacity_bytes{DATABASE_DISK})"),
        )
}

fn cache_hits() -> PanelBuilder {
    let hits = rate("redis_keyspace_hits_total", CACHE);
    let misses = rate("redis_keyspace_misses_total", CACHE);
    PanelBuilder::lines("Cache hits", Unit::Ratio)
        .says("The share of reads that found what they looked for.")
        .from(0.0)
        .to(1.0)
        .query("found", format!("{hits} / ({hits} + {misses})"))
}

fn commands() -> PanelBuilder {
    PanelBuilder::lines("Cache commands", Unit::OperationsPerSecond)
        .says("Commands a second.")
        .from(0.0)
        .query("commands", rate("redis_commands_processed_total", CACHE))
}

fn cache_memory() -> PanelBuilder {
    PanelBuilder::lines("Cache memory", Unit::Bytes)
        .says("What the cache holds, against what it may: then the least recently used keys go.")
        .from(0.0)
        .query("used", format!("max(redis_memory_used_bytes{CACHE})"))
        .bound("most", RED, format!("max(redis_memory_max_bytes{CACHE})"))
}

fn evictions() -> PanelBuilder {
    PanelBuilder::lines("Evicted keys", Unit::OperationsPerSecond)
        .says("Keys a second that had to go for others.")
        .from(0.0)
        .query("evicted", rate("redis_evicted_keys_total", CACHE))
}
