//! OpenPGP secret keys in files, where there is no gpg-agent: a file that somebody names, or the store of Sequoia's programs.

use super::container::Secret as Sorted;
use super::{FileError, Material, decrypt, read_private};
use crate::signature::openpgp::secret::{Secret, SecretKeys};
use crate::signature::openpgp::sign::{Numbers, SigningHash};
use aws_lc_rs::digest::{Algorithm, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
use ed25519_dalek::Signer as _;
use std::env;
use std::path::{Path, PathBuf};

/// A file with secret keys, which may be locked.
pub struct SecretFile {
    path: PathBuf,
    keys: SecretKeys,
}

impl SecretFile {
    /// Reads a file that its owner keeps from others.
    ///
    /// # Errors
    /// Where it is open to others, cannot be read, or holds no secret key.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let text = read_private(path)?;
        let unreadable = |why: String| FileError::Unreadable { path: path.to_owned(), why };
        let keys = SecretKeys::read(&text).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { path: path.to_owned(), keys })
    }

    /// Where Sequoia's programs keep the secret key of a certificate, if they do.
    pub fn of_sequoia(certificate: &str) -> Option<PathBuf> {
        let folder = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let data = match folder("SEQUOIA_HOME") {
            Some(home) => home.join("data"),
            None => folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))?.join("sequoia"),
        };
        let path = data.join("keystore/softkeys").join(format!("{certificate}.pgp"));
        Some(path).filter(|path| path.is_file())
    }

    /// The keys in it.
    pub fn keys(&self) -> &SecretKeys {
        &self.keys
    }

    /// Signs a digest with the key of a fingerprint; asks for the passphrase where the key has one.
    ///
    /// # Errors
    /// Where the key is not there, cannot be opened, or does not sign.
    pub fn sign(&self, fingerprint: &str, hash: SigningHash, digest: &[u8]) -> Result<Numbers, FileError> {
        let open = |passphrase: &[u8]| self.keys.open(fingerprint, passphrase);
        let unreadable = |why: String| FileError::Unreadable { path: self.path.clone(), why };
        let secret = match self.keys.is_locked(fingerprint) {
            true => decrypt(&self.path, open)?,
            false => open(b"").unwrap_or_else(|| Err("its secret key cannot be opened".to_owned())),
        };
        secret.and_then(|secret| sign(secret, hash, digest)).map_err(unreadable)
    }
}

fn sign(secret: Secret, hash: SigningHash, digest: &[u8]) -> Result<Numbers, String> {
    let material = Material::of(sorted(secret))?;
    let failed = |_| "the key does not sign".to_owned();
    let import = |digest: &[u8], algorithm| Digest::import_less_safe(digest, algorithm).map_err(failed);
    match material {
        Material::Ed25519(key) => {
            let signature = key.try_sign(digest).map_err(|error| error.to_string())?;
            Ok(Numbers::Two(signature.r_bytes().to_vec(), signature.s_bytes().to_vec()))
        }
        Material::Ecdsa(curve, key) => {
            // ECDSA takes as many bits of a digest as the curve has: the rest may as well be left out before
            let algorithm: &Algorithm = match curve.size {
                32 => &SHA256,
                48 => &SHA384,
                _ => &SHA512,
            };
            let digest = digest
                .get(..algorithm.output_len())
                .ok_or("the hash function is too short for its curve; leave --digest-algo out")?;
            let fixed = key.sign_digest(&import(digest, algorithm)?).map_err(failed)?;
            let (r, s) = fixed.as_ref().split_at_checked(curve.size).ok_or("an ECDSA signature that is cut short")?;
            // its twin is as good, and of the two the smaller one is written always
            let s = if curve.is_high(s) { curve.low(s) } else { s.to_vec() };
            Ok(Numbers::Two(r.to_vec(), s))
        }
        Material::Rsa(key) => {
            let mut blob = vec![0; key.public_modulus_len()];
            let (padding, algorithm) = match hash {
                SigningHash::Sha256 => (&RSA_PKCS1_SHA256, &SHA256),
                SigningHash::Sha384 => (&RSA_PKCS1_SHA384, &SHA384),
                SigningHash::Sha512 => (&RSA_PKCS1_SHA512, &SHA512),
            };
            key.sign_digest(padding, &import(digest, algorithm)?, &mut blob).map_err(failed)?;
            Ok(Numbers::One(blob))
        }
    }
}

/// OpenPGP has the inverse of p modulo q, all others that of q modulo p: which prime is called p does not matter.
fn sorted(secret: Secret) -> Sorted {
    match secret {
        Secret::Ed25519(seed) => Sorted::Ed25519 { seed },
        Secret::Ecdsa { curve, point, scalar } => Sorted::Ecdsa { curve, point, scalar },
        Secret::Rsa { n, e, d, p, q, u } => Sorted::Rsa { n, e, d, q_inverse: u, p: q, q: p },
    }
}
