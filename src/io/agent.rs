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

pub use client::{Agent, Answered};
pub use holder::Holder;
pub use protocol::Status;
pub(in crate::io) use protocol::Timed;
pub use server::serve;

use anyhow::{Context as _, Result, bail};
use rustix::process::getuid;
use std::env;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
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
