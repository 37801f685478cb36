//! The agent: it holds an ephemeral key and its certificate while the certificate lives, and signs for its own user. The key is
//! made in it and never leaves it. Identity tokens never reach it; a refresh token does where somebody asked for that, and never
//! leaves it but to the issuer.
//!
//! ```text
//! signer ─▶ "request"      ─▶ agent makes a key      ─▶ certificate request
//! signer ─▶ token, request ─▶ Fulcio                 ─▶ certificate
//! signer ─▶ "certificate"  ─▶ agent keeps it
//! signer ─▶ "sign"         ─▶ agent signs attributes ─▶ signature, which the signer logs
//! signer ─▶ "renew"        ─▶ agent makes a key, and asks issuer and Fulcio itself
//! ```
//! An agent that is gone, or answers nonsense, is as good as none: its user logs in anew.

mod activation;
mod client;
mod holder;
mod protocol;
mod server;

pub(in crate::io) use client::connect;
pub use client::{Agent, Answered};
pub use holder::Holder;
pub use protocol::Status;
pub(in crate::io) use protocol::Timed;
pub use server::serve;

use anyhow::{Context as _, Result, bail};
use rustix::process::getuid;
use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;

/// The agent's folder, which only its user can look into; made where it is not there.
fn folder() -> Result<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = match runtime {
        Some(runtime) => runtime.join("git-warrant"),
        None => env::temp_dir().join(format!("git-warrant-{}", getuid().as_raw())),
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make the agent's folder {}", folder.display())),
    }
    let metadata = fs::symlink_metadata(&folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    if !metadata.is_dir() || metadata.uid() != getuid().as_raw() || metadata.mode() & 0o077 != 0 {
        bail!(
            "the agent's folder {} is not yours alone; remove it, or set XDG_RUNTIME_DIR to a folder of your own",
            folder.display()
        );
    }
    Ok(folder)
}

fn socket() -> Result<PathBuf> {
    Ok(folder()?.join("agent"))
}

/// The file that the one agent of a user holds as long as it lives, and in which its process stands.
fn lock_file() -> Result<PathBuf> {
    Ok(folder()?.join("lock"))
}

/// The process that holds the lock, as it wrote it there.
fn holding() -> Option<u32> {
    let mut text = String::new();
    File::open(lock_file().ok()?).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// A process, for a message.
fn named(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}
