//! Private keys: files and agents.
//!
//! Which SSH key signs is ssh-keygen's rule. The public key or certificate comes from the file that is named (private, `.pub`,
//! `-cert.pub`, or a literal one that git wrote to a file); the agent signs whenever it holds just that; else the private file
//! does, the name less `-cert.pub` or `.pub`.

pub mod agent;
pub use file::openpgp::SecretFile;
mod ask;
pub mod ephemeral;
mod exchange;
mod file;
pub mod generate;
pub mod gpg_agent;
pub mod terminal;
mod token;

use crate::signature::ssh::sign::Signer;
use agent::{Agent, AgentError};
use file::{FileError, KeyFile};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// Why there is nothing to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The agent, where only it may sign or where no private file is at hand.
    #[error("{0}")]
    Agent(#[from] AgentError),
    /// Neither way leads to the key.
    #[error("{file}\nand the agent cannot help: {agent}")]
    Neither {
        /// What the file said.
        file: FileError,
        /// What the agent said.
        agent: AgentError,
    },
}

/// Where a signature may come from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// By the agent or not at all.
    pub agent_only: bool,
    /// The value of SSH_AUTH_SOCK.
    pub socket: Option<&'a OsStr>,
    /// The library that reaches FIDO tokens; `internal` is OpenSSH's own.
    pub provider: &'a OsStr,
}

/// Finds what signs for a key file.
///
/// # Errors
/// Where the file holds no key, or its private half is neither in the agent nor beside it.
pub fn signer(path: &Path, sources: Sources<'_>) -> Result<Box<dyn Signer>, KeysError> {
    let key_file = KeyFile::open(path)?;
    let key = Arc::clone(key_file.public());
    let refusal = match Agent::find(sources.socket, &key) {
        Ok(agent) => return Ok(Box::new(agent)),
        Err(refusal) => refusal,
    };
    if sources.agent_only {
        return Err(refusal.into());
    }
    match key_file.unlock(sources.provider) {
        Ok(signer) => Ok(signer),
        Err(file @ FileError::NoPrivateKey { .. }) => Err(KeysError::Neither { file, agent: refusal }),
        Err(file) => Err(file.into()),
    }
}
