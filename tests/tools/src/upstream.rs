//! The upstream references of the stack's images, for which the lab builds replacements. Manifests and the operator's
//! defaults use the same references.

pub const POSTGRES: &str = "docker.io/library/postgres:18";
/// An older version, for upgrades.
pub const POSTGRES_16: &str = "docker.io/library/postgres:16";
pub const REDIS: &str = "docker.io/library/redis:8";
pub const POSTGRES_EXPORTER: &str = "quay.io/prometheuscommunity/postgres-exporter:v0.17.1";
pub const REDIS_EXPORTER: &str = "docker.io/oliver006/redis_exporter:v1.82.0";
pub const BLACKBOX_EXPORTER: &str = "quay.io/prometheus/blackbox-exporter:v0.28.0";
pub const PROMETHEUS: &str = "quay.io/prometheus/prometheus:v3.15.0";
pub const ALERTMANAGER: &str = "quay.io/prometheus/alertmanager:v0.28.1";
pub const PROMETHEUS_OPERATOR: &str = "quay.io/prometheus-operator/prometheus-operator:v0.85.0";
pub const PROMETHEUS_CONFIG_RELOADER: &str = "quay.io/prometheus-operator/prometheus-config-reloader:v0.85.0";
pub const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.15.0";
pub const PAUSE: &str = "registry.k8s.io/pause:3.10.1";
pub const LOCAL_PATH_PROVISIONER: &str = "docker.io/rancher/local-path-provisioner:v0.0.30";
/// For the provisioner's helper pods.
pub const BUSYBOX: &str = "docker.io/library/busybox:1.37";
pub const METRICS_SERVER: &str = "registry.k8s.io/metrics-server/metrics-server:v0.9.0";
pub const TRAEFIK: &str = "docker.io/library/traefik:v3.6.12";
pub const LOKI: &str = "docker.io/grafana/loki:3.7.8";
pub const OTELCOL: &str = "docker.io/otel/opentelemetry-collector-contrib:0.160.0";
