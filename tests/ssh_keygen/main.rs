//! Journeys in ssh-keygen's place, beside the real ssh-keygen, ssh-agent and git.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod agents;
mod certificates;
mod git;
mod killed;
mod krls;
mod messages;
mod passphrases;
mod pem;
mod regress;
mod signing;
#[path = "../support/terminal.rs"]
mod terminal;
mod tokens;
mod verifying;
