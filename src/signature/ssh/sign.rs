//! Making SSH signatures.

use super::key::{PublicKey, SignatureError};
use super::sshsig::{MessageHash, SshSig, signed_data};
use crate::armor;

/// Holds a private key, or reaches one, and signs with it.
pub trait Signer {
    /// The blob of the public key (or certificate) that goes into the signature.
    fn public_key(&self) -> &[u8];

    /// The SSH signature blob over the data.
    ///
    /// # Errors
    /// Whatever keeps the holder of the key from signing.
    fn sign(&mut self, data: &[u8]) -> Result<Vec<u8>, SignerError>;
}

/// What a signer says when it does not sign.
pub type SignerError = Box<dyn std::error::Error + Send + Sync>;

/// Why no signature was made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The signer's own reason.
    #[error("{0}")]
    Signer(SignerError),
    /// The public key is one that we could not verify with.
    #[error("{0}")]
    Key(#[from] super::KeyError),
    /// The signature is not the key's.
    #[error("the signature that came back does not verify with the key that was asked for: {0}")]
    Wrong(SignatureError),
}

/// Signs a message and armours the signature as ssh-keygen does. It is checked against the key before it is returned.
///
/// # Errors
/// Where the signer refuses, or where what it gives is not a signature by its key.
pub fn sign(signer: &mut dyn Signer, namespace: &str, hash: MessageHash, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let blob = signer.public_key().to_vec();
    let key = PublicKey::parse(&blob)?;
    let data = signed_data(namespace.as_bytes(), b"", hash, &hash.digest(&[message]));
    let signature = signer.sign(&data).map_err(SignError::Signer)?;
    key.verify(&data, &signature).map_err(SignError::Wrong)?;
    let frame = SshSig {
        public_key: &blob,
        namespace: namespace.as_bytes(),
        reserved: b"",
        hash: hash.name().as_bytes(),
        signature: &signature,
    };
    Ok(armor::encode_ssh(&frame.to_bytes()))
}
