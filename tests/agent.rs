//! Keyless signing through the real git, by services in this process: the agent and its refresh tokens, logins of every kind,
//! and whatever can come between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

#[path = "agent/answers.rs"]
mod answers;
mod common;
#[path = "agent/killed.rs"]
mod killed;
#[path = "agent/login.rs"]
mod login;
#[path = "agent/peers.rs"]
mod peers;
#[path = "agent/refresh.rs"]
mod refresh;
#[path = "support/services.rs"]
mod services;
#[path = "support/sigstore.rs"]
mod sigstore;
#[path = "agent/systemd.rs"]
mod systemd;
#[path = "support/terminal.rs"]
mod terminal;
#[path = "agent/tls.rs"]
mod tls;
#[path = "agent/tokens.rs"]
mod tokens;
#[path = "agent/unlogged.rs"]
mod unlogged;
