//! How each program is built.

use super::Tool;

/// How a program is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// The program's file name.
    pub name: &'static str,
    /// The folder under `tests/tools/go/` whose `go.mod` pins it.
    pub module: &'static str,
    /// The Go package of its `main`.
    pub package: &'static str,
    /// The version as the program prints it, without a leading `v`.
    pub version: &'static str,
    /// Go variables set at link time, with the program's version.
    pub variables: &'static [(&'static str, &'static str)],
    /// The arguments that print the version of a program on `PATH`; `None` if it must be built, because it goes into an
    /// image `FROM scratch` and must be static.
    pub version_args: Option<&'static [&'static str]>,
    /// The seconds of a build on two cores after those before it, downloads included.
    pub seconds: u64,
}

const KUBERNETES: &str = "1.34.4";
const KUBERNETES_VARIABLES: &[(&str, &str)] = &[
    ("k8s.io/component-base/version.gitVersion", "v1.34.4"),
    ("k8s.io/component-base/version.gitMajor", "1"),
    ("k8s.io/component-base/version.gitMinor", "34"),
    ("k8s.io/component-base/version.gitTreeState", "clean"),
    ("k8s.io/client-go/pkg/version.gitVersion", "v1.34.4"),
];

fn kubernetes(
    name: &'static str,
    package: &'static str,
    version_args: &'static [&'static str],
    seconds: u64,
) -> Recipe {
    Recipe {
        name,
        module: "kubernetes",
        package,
        version: KUBERNETES,
        variables: KUBERNETES_VARIABLES,
        version_args: Some(version_args),
        seconds,
    }
}

fn go(
    name: &'static str,
    module: &'static str,
    package: &'static str,
    version: &'static str,
    seconds: u64,
) -> Recipe {
    Recipe {
        name,
        module,
        package,
        version,
        variables: &[],
        version_args: None,
        seconds,
    }
}

impl Recipe {
    fn with(mut self, variables: &'static [(&'static str, &'static str)]) -> Self {
        self.variables = variables;
        self
    }

    fn or_on_path(mut self, version_args: &'static [&'static str]) -> Self {
        self.version_args = Some(version_args);
        self
    }
}

impl Tool {
    /// One row per program.
    #[rustfmt::skip]
    pub(crate) fn recipe(self) -> Recipe {
        match self {
            Self::Etcd => go("etcd", "etcd", "go.etcd.io/etcd/server/v3", "3.6.6", 17).or_on_path(&["--version"]),
            Self::KubeApiserver => kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", &["--version"], 270),
            Self::Kubectl => kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl", &["version", "--client"], 23),
            Self::KubeControllerManager => kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", &["--version"], 51),
            Self::KubeScheduler => kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", &["--version"], 5),
            Self::Kubelet => kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet", &["--version"], 18),
            Self::KubeProxy => kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", &["--version"], 7),
            Self::Promtool => go("promtool", "stack", "github.com/prometheus/prometheus/cmd/promtool", "3.15.0", 194)
                .with(&[("github.com/prometheus/common/version.Version", "3.15.0")]).or_on_path(&["--version"]),
            Self::Prometheus => go("prometheus", "stack", "github.com/prometheus/prometheus/cmd/prometheus", "3.15.0", 60)
                .with(&[("github.com/prometheus/common/version.Version", "3.15.0")]),
            Self::Helm => go("helm", "stack", "helm.sh/helm/v4/cmd/helm", "4.3.1", 95)
                .with(&[("helm.sh/helm/v4/internal/version.version", "v4.3.1")]).or_on_path(&["version", "--short"]),
            Self::Kubeconform => go("kubeconform", "stack", "github.com/yannh/kubeconform/cmd/kubeconform", "0.7.0", 5)
                .with(&[("main.version", "v0.7.0")]).or_on_path(&["-v"]),
            Self::Kstatus => go("kstatus", "kstatus", "observedapp.dev/tools/kstatus", "0.37.2", 20),
            Self::Coredns => go("coredns", "stack", "github.com/coredns/coredns", "1.15.0", 83),
            Self::BlackboxExporter => go("blackbox_exporter", "stack", "github.com/prometheus/blackbox_exporter", "0.28.0", 10)
                .with(&[("github.com/prometheus/common/version.Version", "0.28.0")]),
            Self::PostgresExporter => go("postgres_exporter", "stack", "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter", "0.17.1", 10)
                .with(&[("github.com/prometheus/common/version.Version", "0.17.1")]),
            Self::RedisExporter => go("redis_exporter", "stack", "github.com/oliver006/redis_exporter", "1.82.0", 10)
                .with(&[("main.BuildVersion", "1.82.0")]),
            Self::Alertmanager => go("alertmanager", "alertmanager", "github.com/prometheus/alertmanager/cmd/alertmanager", "0.28.1", 17)
                .with(&[("github.com/prometheus/common/version.Version", "0.28.1")]),
            Self::PrometheusOperator => go("operator", "prometheus-operator", "github.com/prometheus-operator/prometheus-operator/cmd/operator", "0.85.0", 77)
                .with(&[("github.com/prometheus/common/version.Version", "0.85.0")]),
            Self::PrometheusConfigReloader => go("prometheus-config-reloader", "prometheus-operator", "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader", "0.85.0", 3)
                .with(&[("github.com/prometheus/common/version.Version", "0.85.0")]),
            Self::LocalPathProvisioner => go("local-path-provisioner", "prometheus-operator", "github.com/rancher/local-path-provisioner", "0.0.30", 49)
                .with(&[("main.VERSION", "v0.0.30")]),
            Self::Pause => go("pause", "pause", "observedapp.dev/tools/pause", "3.10.1", 2),
            Self::MetricsServer => go("metrics-server", "metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", "0.9.0", 94),
            Self::Traefik => go("traefik", "traefik", "github.com/traefik/traefik/v3/cmd/traefik", "3.6.12", 265)
                .with(&[("github.com/traefik/traefik/v3/pkg/version.Version", "3.6.12")]),
            Self::Loki => go("loki", "loki", "github.com/grafana/loki/v3/cmd/loki", "3.7.8", 49)
                .with(&[("github.com/grafana/loki/v3/pkg/util/build.Version", "3.7.8")]),
            Self::Otelcol => go("otelcol", "otelcol", "observedapp.dev/tools/otelcol", "0.160.0", 109),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::go::module_folder;

    #[test]
    fn the_table_matches_the_pinned_modules() {
        for &tool in Tool::BASE.iter().chain(Tool::ADD_ONS) {
            let recipe = tool.recipe();
            let go_mod = fs::read_to_string(module_folder(recipe.module).join("go.mod")).unwrap();
            if go_mod.starts_with(&format!("module {}\n", recipe.package)) {
                continue; // Our own program, with the version that it replaces.
            }
            let listed = |package: &str| {
                go_mod
                    .lines()
                    .any(|line| line.trim().trim_start_matches("tool ").trim_start_matches('(') == package)
            };
            assert!(
                listed(recipe.package),
                "{tool}: no `tool {}` in {}/go.mod",
                recipe.package,
                recipe.module
            );
            // Prometheus 3.15.0 is published as the module version v0.315.0.
            let version = recipe.version.replace("3.15.0", "0.315.0");
            let pinned = go_mod.lines().any(|line| {
                let mut words = line.split_whitespace().filter(|word| *word != "require");
                words
                    .next()
                    .is_some_and(|module| recipe.package.starts_with(module))
                    && words.next() == Some(&format!("v{version}"))
            });
            assert!(pinned, "{tool}: {}/go.mod does not pin v{version}", recipe.module);
        }
    }
}
