//! New Ed25519 keys, for the demo.

use anyhow::{Context as _, Result};
use aws_lc_rs::rand;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, PrivateKey};
use ssh_key::public::Ed25519PublicKey;
use std::path::Path;
use zeroize::Zeroizing;

/// Makes a key pair, writes the private half to `path` (OpenSSH form, mode 0600, no passphrase), and gives the public half as
/// `type base64`.
///
/// # Errors
/// Where the file cannot be written.
pub fn ed25519(path: &Path) -> Result<String> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::fill(seed.as_mut()).ok().context("the system gives no random bytes")?;
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let private = Ed25519PrivateKey::from_bytes(&seed);
    let key = PrivateKey::from(Ed25519Keypair { public: Ed25519PublicKey(public), private });
    key.write_openssh_file(path, ssh_key::LineEnding::LF).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key.public_key().to_openssh()?)
}
