//! Builds what is missing of the base programs, or of those named, and prints where they all are:
//! `cargo run -p lab-tools --example ensure -- etcd kube-apiserver`

use lab_tools::{Tool, ensure};

fn main() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |tool: &&Tool| names.is_empty() || names.iter().any(|name| name == tool.name());
    let tools: Vec<Tool> = Tool::BASE.iter().filter(wanted).copied().collect();
    for (tool, path) in ensure(&tools)? {
        println!("{tool}: {}", path.display());
    }
    Ok(())
}
