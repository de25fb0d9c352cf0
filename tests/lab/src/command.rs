//! Runs a program to its end.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::{io::AsyncWriteExt, process::Command};

/// Returns its standard output; an error has its standard error.
pub async fn output(command: &mut Command) -> Result<String> {
    run(command, None).await
}

/// As `output`, with `input` on standard input.
pub async fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    run(command, Some(input)).await
}

async fn run(command: &mut Command, input: Option<&str>) -> Result<String> {
    let shown = shown(command);
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // A program that ends without reading its input reports why.
        let _ = pipe.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let mut text = command.get_program().display().to_string();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
