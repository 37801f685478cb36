//! The commands, one file each.

pub mod agent;
pub mod completions;
pub mod demo;
pub mod gpg;
pub mod hook;
pub mod login;
pub mod man;
pub mod native;
pub mod policy;
pub mod show;
pub mod ssh_keygen;
pub mod trust;
pub mod verify;
pub mod x509;

mod bundle;
mod exempt;
mod online;
mod seen;
mod session;

use std::env;
use std::io::{self, BufWriter, IsTerminal, Read, Stdout, Write};

/// Reads standard input to its end: git takes a broken pipe for failure, whatever the exit status.
fn drain_stdin() {
    let mut stdin = io::stdin().lock();
    if !stdin.is_terminal() {
        let mut chunk = [0; 8192];
        while stdin.read(&mut chunk).is_ok_and(|count| count > 0) {}
    }
}

/// A line on standard error; who cannot read it misses it.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Standard output, written in large pieces.
fn stdout() -> BufWriter<Stdout> {
    BufWriter::new(io::stdout())
}

/// Whether to write colours: on a terminal that has them, unless NO_COLOR asks for none.
fn colour(out: &impl IsTerminal) -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    out.is_terminal() && !refused && env::var_os("TERM").is_some_and(|term| term != "dumb")
}
