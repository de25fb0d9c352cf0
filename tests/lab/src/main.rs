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
    /// Which cluster: minikube where it is installed, else embedded; `current` only ever by name
    #[arg(long, value_enum, global = true, default_value_t = Cluster::by_default(), hide_default_value = true)]
    cluster: Cluster,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the lab, or what is missing of it, and says what to look at
    Up {
        /// Starts only this part
        #[arg(long, value_enum)]
        only: Option<Part>,
        /// Leaves out the operator and the sample app
        #[arg(long)]
        no_product: bool,
        /// Adds these, which are built when they are first asked for
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<AddOn>,
    },
    /// Ends the lab and leaves nothing of it on the machine
    Down {
        /// Also forgets the images, which the next `up` would take up
        #[arg(long)]
        purge: bool,
    },
    /// Says what runs where
    Status,
    /// Prints the log of one of the node's programs, or of pods
    Logs {
        /// A program as `cargo lab status` names it, a pod, or the name that pods have in common, such as `prometheus`
        component: String,
        /// How many lines of each container
        #[arg(long, default_value_t = 200)]
        lines: usize,
    },
    /// Prints what gives a shell kubectl, its plugin `observed`, and the lab to use them on: `eval "$(cargo lab kubeconfig)"`
    Kubeconfig,
    /// Puts load on the sample app: by default 1,000 users
    Load(Load),
    /// Runs the tests: all that needs no cluster, then against a real API server, then on a real node
    Test {
        /// Runs only this layer
        #[arg(long, value_enum)]
        layer: Option<Layer>,
        /// Adds these to the node, and the tests of them; without --layer the embedded node has them all
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<AddOn>,
        /// Runs a test that failed once more, and names it if it then passes
        #[arg(long)]
        retry_failed: bool,
    },
    /// Builds what a node's tests need
    #[command(hide = true)]
    BuildAhead {
        #[arg(long, value_enum, value_delimiter = ',')]
        with: Vec<AddOn>,
    },
    /// Compiles the released programs twice, in two places, and compares them byte by byte
    Reproduce,
    /// Enforces the network policies of a cluster on this machine: one of the node's programs
    #[command(hide = true)]
    EnforceNetworkPolicies {
        #[arg(long)]
        kubeconfig: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// etcd and an API server of their own, for tests; each call starts another one
    Apiserver,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut work = Box::pin(run(Cli::parse()));
    let outcome = tokio::select! {
        outcome = &mut work => outcome,
        _ = tokio::signal::ctrl_c() => {
            // What cleans up after itself when it is dropped does so now.
            drop(work);
            eprintln!("\nstopped; `cargo lab up` goes on from here, `cargo lab down` takes away what has been started");
            // Not by returning, which would wait for a build that is under way.
            std::process::exit(130);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            // As above: beside the step that failed a build may be under way.
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
        } => {
            let options = RunOptions {
                add_ons: with,
                retry_failed,
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
        [] => bail!("no cluster runs; start one with `cargo lab up`"),
        [only] => Ok(only.clone()),
        several => bail!(
            "several API servers run; name one yourself: {}",
            several
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(" ")
        ),
    }
}
