//! What a benchmark promises; each brings this file in by `#[path]`. With `--check` a run that misses a promise fails.
#![allow(unreachable_pub, clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

static MISSED: AtomicBool = AtomicBool::new(false);

/// Prints a promise and whether it is kept.
pub fn promise(what: &str, kept: bool) {
    println!("  {} {what}", if kept { "kept:  " } else { "MISSED:" });
    if !kept {
        MISSED.store(true, Ordering::Relaxed);
    }
}

/// How the program ends: a missed promise is a failure only where `--check` asks for it.
pub fn outcome() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    if check && MISSED.load(Ordering::Relaxed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
