//! The rules, run by Prometheus' own engine: `promtool check rules` on everything that is generated, and
//! `promtool test rules` against the truth computed from the events themselves.
#![allow(clippy::cast_sign_loss, clippy::unwrap_used)]

mod indicators;
mod inhibition;
mod lint;
mod matrix;
mod operator;
mod pages;
mod panels;
mod records;
mod runbooks;
mod simulation;
mod support;
mod symptoms;
mod tickets;
