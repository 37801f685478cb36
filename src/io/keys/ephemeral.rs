//! A key for a few minutes: made, certified, used and forgotten in one process. It has no form in which it could leave it.

use crate::signature::x509::sign::signature_value;
use anyhow::{Context as _, Result};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

/// A key pair on P-256. AWS-LC holds the private half, and wipes it when this is dropped.
pub struct Ephemeral(EcdsaKeyPair);

impl Ephemeral {
    /// Makes one.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn generate() -> Result<Self> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().context("no key can be made here").map(Self)
    }

    /// The public half: `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// Where it cannot be written down.
    pub fn public_key(&self) -> Result<Vec<u8>> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().ok().context("the public key cannot be written")?;
        Ok(der.as_ref().to_vec())
    }

    /// Signs a message with ECDSA and SHA-256: an `ECDSA-Sig-Value` in DER, with a low s.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.0.sign(&SystemRandom::new(), message).ok().context("the key does not sign")?;
        signature_value(signature.as_ref()).context("the key makes no signature")
    }
}

/// Bytes that nobody can foretell.
///
/// # Errors
/// Where the system gives none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok().context("the system gives no random bytes")?;
    Ok(bytes)
}
