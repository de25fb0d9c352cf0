//! `cargo lab`: a real Kubernetes with its observability stack, by one command.

mod commands;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lab::{
    addons::AddOn,
    apiserver::{self, ApiServer},
    build_ahead,
    external_cluster::{self, Cluster},
    host, images,
    kubectl::Kubectl,
    layers::{Layer, RunOptions},
    load::{self, Load},
    netpol, node, path_tools, pods, process, product, stack,
};

use commands::{
    test::test,
    up::{down, export_line, path_line, up},
};

#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", about, version)]
struct Cli {
    /// The cluster: minikube if it is installed, else embedded; `current` only if it is named
    #[arg(long, value_enum, global = true, default_value_t = Cluster::by_default(), hide_default_value = true)]
    cluster: Cluster,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the lab, or what is missing of it, and prints its addresses
    Up {
        /// Starts only this part
        #[arg(long, value_enum)]
        only: Option<Part>,
        /// Leaves out the operator and the sample app
        #[arg(long)]
        no_product: bool,
        /// Adds these, which are built on first use
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<AddOn>,
    },
    /// Ends the lab and removes everything of it from the machine
    Down {
        /// Also removes the images, which the next `up` would reuse
        #[arg(long)]
        purge: bool,
    },
    /// Lists the running programs and their addresses
    Status,
    /// Prints the log of a program of the node, or of pods
    Logs {
        /// A program as listed by `cargo lab status`, a pod, or the common name of pods, such as `prometheus`
        component: String,
        /// Lines per container
        #[arg(long, default_value_t = 200)]
        lines: usize,
    },
    /// Prints the shell commands to use the lab with kubectl and its plugin `observed`: `eval "$(cargo lab
    /// kubeconfig)"`
    Kubeconfig,
    /// Runs load on the sample app: by default 1,000 users
    Load(Load),
    /// Runs the tests: without a cluster, then against a real API server, then on a real node
    Test {
        /// Runs only this layer
        #[arg(long, value_enum)]
        layer: Option<Layer>,
        /// Adds these to the node, and their tests; without --layer, the embedded node has all of them
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<AddOn>,
        /// Runs failed tests once more; those that then pass are listed and count as passed
        #[arg(long)]
        retry_failed: bool,
        /// Runs the long forms of tests that have one
        #[arg(long)]
        long: bool,
    },
    /// Builds what a node's tests need
    #[command(hide = true)]
    BuildAhead {
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<AddOn>,
    },
    /// Compiles the release builds twice, in two folders, and compares them byte by byte
    Reproduce,
    /// Enforces a cluster's network policies on this machine; run by `up`
    #[command(hide = true)]
    EnforceNetworkPolicies {
        #[arg(long)]
        kubeconfig: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// etcd and an API server for tests; each call starts another one
    Apiserver,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut work = Box::pin(run(Cli::parse()));
    let outcome = tokio::select! {
        outcome = &mut work => outcome,
        _ = tokio::signal::ctrl_c() => {
            // Dropping the future cleans up.
            drop(work);
            eprintln!("\nstopped; `cargo lab up` continues, `cargo lab down` removes what has been started");
            // Returning would wait for blocking builds.
            std::process::exit(130);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            // As above: another step may be building.
            std::process::exit(1);
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Up {
            only: Some(Part::Apiserver),
            ..
        } => {
            let server = ApiServer::configure()
                .with_controller_manager()
                .detached()
                .start()
                .await?;
            println!("{}", export_line(&server.kubeconfig()));
            Ok(())
        }
        Command::Up {
            only: None,
            no_product,
            with,
        } => up(cli.cluster, no_product, &with).await,
        Command::Down { purge } => down(cli.cluster, purge).await,
        Command::Status => status(cli.cluster).await,
        Command::Logs { component, lines } => logs(cli.cluster, &component, lines).await,
        Command::Kubeconfig => {
            println!("{}", export_line(&running_kubeconfig(cli.cluster)?));
            path_tools::offer().await?;
            println!("{}", path_line());
            Ok(())
        }
        Command::Load(load) => {
            load::run(&Kubectl::new(&running_kubeconfig(cli.cluster)?).await?, &load).await
        }
        Command::Reproduce => tokio::task::spawn_blocking(images::reproduce).await?,
        Command::Test {
            layer,
            with,
            retry_failed,
            long,
        } => {
            let options = RunOptions {
                add_ons: with,
                retry_failed,
                long,
            };
            test(layer, cli.cluster, &options).await
        }
        Command::BuildAhead { with } => {
            tokio::task::spawn_blocking(move || build_ahead::build(&with)).await?
        }
        Command::EnforceNetworkPolicies { kubeconfig } => netpol::run(&kubeconfig).await,
    }
}

async fn logs(cluster: Cluster, component: &str, lines: usize) -> Result<()> {
    let program = node::log(component).filter(|_| cluster == Cluster::Embedded);
    let text = match program {
        Some(log) => process::tail(&log, lines),
        None => {
            pods::logs(
                &Kubectl::new(&running_kubeconfig(cluster)?).await?,
                component,
                lines,
            )
            .await?
        }
    };
    println!("{}", text.trim_end());
    Ok(())
}

async fn status(cluster: Cluster) -> Result<()> {
    if cluster != Cluster::Embedded {
        let kubectl = Kubectl::new(&external_cluster::kubeconfig(cluster)?).await?;
        println!("{}", kubectl.run(&["get", "pods", "--all-namespaces"]).await?);
        println!("{}", external_cluster::addresses());
        return Ok(());
    }
    let programs = node::programs();
    if programs.is_empty() {
        println!("no node runs; start one with `cargo lab up`");
    }
    for (name, pid) in programs {
        match pid {
            Some(pid) => println!("  ✓ {name:<26} process {pid}"),
            None => {
                println!("  ✗ {name:<26} ended; see `cargo lab logs {name}`, start it with `cargo lab up`");
            }
        }
    }
    for kubeconfig in apiserver::detached() {
        println!(
            "  ✓ API server                 KUBECONFIG={}",
            kubeconfig.display()
        );
    }
    if let Some(kubeconfig) = node::kubeconfig() {
        let kubectl = Kubectl::new(&kubeconfig).await?;
        match kubectl
            .run(&["get", "pods", "--all-namespaces", "--request-timeout=5s"])
            .await
        {
            Ok(pods) => {
                println!("\n{pods}\n{}", stack::addresses(host::node_ip()?));
                if let Ok(url) = product::sample_address(&kubectl).await {
                    println!("  tasks         {url}");
                }
            }
            Err(error) => println!("\nthe API server does not answer: {error:#}"),
        }
    }
    Ok(())
}

fn running_kubeconfig(cluster: Cluster) -> Result<PathBuf> {
    if cluster != Cluster::Embedded {
        return external_cluster::kubeconfig(cluster);
    }
    if let Some(node) = node::kubeconfig() {
        return Ok(node);
    }
    match apiserver::detached().as_slice() {
        [] => bail!("no cluster is running; start one with `cargo lab up`"),
        [only] => Ok(only.clone()),
        several => bail!(
            "several API servers are running; set KUBECONFIG to one of: {}",
            several
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(" ")
        ),
    }
}
