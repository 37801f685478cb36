//! Private keys: files and agents.
//!
//! Which one signs is ssh-keygen's rule. The public key or certificate comes from the file that is named (private, `.pub`,
//! `-cert.pub`, or a literal one that git wrote to a file); the agent signs whenever it holds just that; else the private file
//! does, the name less `-cert.pub` or `.pub`.

pub mod agent;
mod file;
pub mod generate;
pub mod terminal;

use crate::evidence::Key;
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
    /// A FIDO key, whose file holds a handle only.
    #[error(
        "{name}: a key of type {kind} signs on its token, which this version reaches through an agent only: `ssh-add {name}`, then try again\n({agent})"
    )]
    Token {
        /// The file.
        name: String,
        /// The key type.
        kind: &'static str,
        /// What the agent said.
        agent: AgentError,
    },
}

/// Finds what signs for a key file. `socket` is the value of SSH_AUTH_SOCK.
///
/// # Errors
/// Where the file holds no key, or its private half is neither in the agent nor beside it.
pub fn signer(path: &Path, agent_only: bool, socket: Option<&OsStr>) -> Result<Box<dyn Signer>, KeysError> {
    let key_file = KeyFile::open(path)?;
    let key = Arc::clone(key_file.public());
    let refusal = match Agent::find(socket, &key) {
        Ok(agent) => return Ok(Box::new(agent)),
        Err(refusal) => refusal,
    };
    if agent_only {
        return Err(refusal.into());
    }
    if is_token(&key) {
        let name = if key.certificate.is_some() { key_file.private_path() } else { path.to_owned() };
        return Err(KeysError::Token { name: name.display().to_string(), kind: key.short, agent: refusal });
    }
    match key_file.unlock() {
        Ok(signer) => Ok(signer),
        Err(file @ FileError::NoPrivateKey { .. }) => Err(KeysError::Neither { file, agent: refusal }),
        Err(file) => Err(file.into()),
    }
}

fn is_token(key: &Key) -> bool {
    key.algorithm.starts_with("sk-")
}
