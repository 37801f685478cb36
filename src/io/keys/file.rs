//! Key files: which key a file names, and its private half in OpenSSH's form (PROTOCOL.key).

use super::ask;
use super::token::Token;
use crate::evidence::Key;
use crate::policy::public_key::read_key;
use crate::report::escape::shell_word;
use crate::signature::curve::Curve;
use crate::signature::ssh::sign::{Signer, SignerError};
use crate::signature::ssh::wire::Writer;
use crate::signature::ssh::{MessageHash, PublicKey};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
};
use container::{Container, Number, Secret};
use ed25519_dalek::{Signer as _, SigningKey};
use pem::{Pem, PemError};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

mod container;
mod modulo;
pub(super) mod openpgp;
mod pem;

/// More than any key file needs.
const MAX_FILE: u64 = 1024 * 1024;
/// As often as OpenSSH asks for a passphrase.
const TRIES: usize = 3;

/// What takes such a file into an agent: OpenPGP's are called so.
fn loader(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("asc" | "gpg" | "pgp") => "gpg --import",
        _ => "ssh-add",
    }
}

/// Why a key file does not serve.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No public key to begin with.
    #[error("Couldn't load public key {}: {why}{}", path.display(), literal(path))]
    NoPublicKey {
        /// The file that was named.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The private half is missing.
    #[error("No private key found for \"{}\": {why}", path.display())]
    NoPrivateKey {
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be read.
        why: io::Error,
    },
    /// Others can read it.
    #[error(
        "WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermissions {mode:04o} for '{name}' are too open.\nIt is required that your private key files are NOT accessible by others.\nThis private key will be ignored: `chmod 600 {word}` mends it.", name = path.display(), word = word(path)
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// PEM, encrypted as it was before PKCS#8.
    #[error(
        "{name}: a private key in PEM form with the weak encryption of old (DEK-Info), which is not read here: `ssh-keygen -p -f {word}` rewrites it", name = path.display(), word = word(path)
    )]
    Legacy {
        /// The file.
        path: PathBuf,
    },
    /// It says to be a private key.
    #[error("{}: the private key cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The two halves do not belong together.
    #[error("Public key {} doesn't match private {}", public.display(), private.display())]
    Mismatch {
        /// The file that was named.
        public: PathBuf,
        /// The private file.
        private: PathBuf,
    },
    /// It is encrypted, and there is nobody to ask.
    #[error(
        "{name} is encrypted and there is nobody to ask for its passphrase ({why}): load it into an agent with `{loader} {word}`, or name a program that asks in SSH_ASKPASS and set SSH_ASKPASS_REQUIRE=force", name = path.display(), word = word(path), loader = loader(path)
    )]
    NobodyToAsk {
        /// The file.
        path: PathBuf,
        /// Why neither the terminal nor a program would ask.
        why: io::Error,
    },
    /// It is encrypted, and whoever was asked gave no passphrase.
    #[error("{}: no passphrase was given", path.display())]
    BrokenOff {
        /// The file.
        path: PathBuf,
    },
    /// It is encrypted, and the passphrase was wrong each time.
    #[error("Load key \"{}\": incorrect passphrase supplied to decrypt private key", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
}

/// A path as a word in a command.
fn word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

/// Git takes a literal key that begins otherwise than `ssh-` for a file's name.
fn literal(path: &Path) -> &'static str {
    let name = path.to_string_lossy();
    match ["ecdsa-sha2-", "sk-ecdsa-", "sk-ssh-"].iter().any(|kind| name.starts_with(kind)) && name.contains(' ') {
        true => "; a literal key is written with `key::` in front (git config user.signingKey 'key::…')",
        false if !path.exists() => "; name a key that is there (git config user.signingKey FILE)",
        false => "",
    }
}

/// A file that names a key.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    public: Arc<Key>,
}

impl KeyFile {
    /// Reads the public key or certificate that a file names: its own line, that of `FILE.pub`, or the key inside a private one.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let no_key = |why: String| FileError::NoPublicKey { path: path.to_owned(), why };
        let beside = || public_key(&with_suffix(path, ".pub")).ok().flatten().filter(|named| !named.inside);
        let public = match public_key(path) {
            Ok(Some(Named { key, inside: false })) => key,
            Ok(Some(Named { key, inside: true })) => beside().map_or(key, |named| named.key),
            Ok(None) => beside().ok_or_else(|| no_key(no_public_key(path)))?.key,
            Err(why) => beside().ok_or_else(|| no_key(why.to_string()))?.key,
        };
        Ok(Self { path: path.to_owned(), public })
    }

    /// The public key.
    pub(super) fn public(&self) -> &Arc<Key> {
        &self.public
    }

    /// Where the private half belongs: the name less `-cert.pub` or `.pub`.
    pub(super) fn private_path(&self) -> PathBuf {
        let name = self.path.as_os_str().as_bytes();
        let stem = [&b"-cert.pub"[..], b".pub"].into_iter().filter_map(|suffix| name.strip_suffix(suffix)).next();
        OsString::from_vec(stem.filter(|stem| !stem.is_empty()).unwrap_or(name).to_vec()).into()
    }

    /// Loads the private half, asking for its passphrase where it has one.
    ///
    /// # Errors
    /// Where it is not there, is open to others, or cannot be read or decrypted.
    pub(super) fn unlock(&self, provider: &OsStr) -> Result<Box<dyn Signer>, FileError> {
        let path = self.private_path();
        let unreadable = |why: String| FileError::Unreadable { path: path.clone(), why };
        let text = read_private(&path)?;
        if !text.starts_with(container::HEADER) {
            return self.unlock_pem(path, &text);
        }
        let container = Container::parse(&text).map_err(unreadable)?;
        if container.public != self.public.blob {
            return Err(FileError::Mismatch { public: self.path.clone(), private: path });
        }
        let secret =
            if container.is_encrypted() { decrypt(&path, |passphrase| container.decrypt(passphrase))? } else { container.open() };
        let public = Arc::clone(&self.public);
        let secret = secret.map_err(unreadable)?;
        // the file names its public key twice: outside, where it is read without a passphrase, and beside the private one
        if secret.public().is_some_and(|own| own != public.blob) {
            return Err(FileError::Mismatch { public: self.path.clone(), private: path });
        }
        match secret {
            Secret::Token(handle) => Ok(Box::new(Token { public, handle, provider: provider.to_owned() })),
            secret => Ok(Box::new(FileKey { public, material: Material::of(secret).map_err(unreadable)? })),
        }
    }

    fn unlock_pem(&self, path: PathBuf, text: &[u8]) -> Result<Box<dyn Signer>, FileError> {
        let unreadable = |why: String| FileError::Unreadable { path: path.clone(), why };
        let public = &self.public.blob;
        let pem = match Pem::parse(text) {
            Ok(pem) => pem,
            Err(PemError::Legacy) => return Err(FileError::Legacy { path }),
            Err(PemError::Broken(why)) => return Err(unreadable(why.to_owned())),
            Err(PemError::NoLabel) if read_key(text).is_ok() => {
                // git wrote a literal key here: only an agent can hold its private half
                return Err(FileError::NoPrivateKey { path, why: io::Error::other("the file holds the public key only") });
            }
            Err(PemError::NoLabel) => return Err(unreadable("it is in no form that is known".to_owned())),
        };
        let material =
            if pem.is_encrypted() { decrypt(&path, |passphrase| pem.decrypt(passphrase, public))? } else { pem.open(public) };
        let mut key = FileKey { public: Arc::clone(&self.public), material: material.map_err(unreadable)? };
        if key.belongs() { Ok(Box::new(key)) } else { Err(FileError::Mismatch { public: self.path.clone(), private: path }) }
    }
}

/// Why a file shows no public key, with the mend where there is one.
fn no_public_key(path: &Path) -> String {
    let is_pem = File::open(path).and_then(read_whole).is_ok_and(|text| Pem::is_in(&text));
    let name = path.display();
    match is_pem {
        true => {
            format!("a key in PEM form does not show it, and no {name}.pub lies beside it: `ssh-keygen -y -f {name} >{name}.pub`")
        }
        false => "it holds no key that can be used".to_owned(),
    }
}

/// A public key, and whether it stands inside a private one.
struct Named {
    key: Arc<Key>,
    inside: bool,
}

/// The public key that a file holds in the clear; `None` where it holds none.
fn public_key(path: &Path) -> io::Result<Option<Named>> {
    let text = read_whole(File::open(path)?)?;
    if text.starts_with(container::HEADER) {
        let key = Container::parse(&text).ok().and_then(|container| PublicKey::parse(&container.public).ok());
        return Ok(key.map(|key| Named { key: Arc::clone(key.info()), inside: true }));
    }
    let lines = text.split(|&b| b == b'\n').take_while(|line| !line.starts_with(b"-----BEGIN"));
    Ok(lines.filter(|line| !line.starts_with(b"#")).find_map(|line| read_key(line).ok()).map(|key| Named { key, inside: false }))
}

/// The bytes of a private file that its owner keeps from others.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let no_key = |why| FileError::NoPrivateKey { path: path.to_owned(), why };
    let file = File::open(path).map_err(no_key)?;
    let metadata = file.metadata().map_err(no_key)?;
    let mode = metadata.mode() & 0o7777;
    // as OpenSSH: where the file is somebody else's, it is for the system to say who reads it
    if metadata.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0 {
        return Err(FileError::TooOpen { path: path.to_owned(), mode });
    }
    read_whole(file).map_err(no_key)
}

/// A file's bytes in a buffer that is large enough from the start: one that grows leaves copies of the key behind.
fn read_whole(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = usize::try_from(file.metadata()?.len().min(MAX_FILE)).unwrap_or(0);
    let mut text = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}

/// Asks for the passphrase until it opens the file, whose answer comes back, or until it was wrong too often.
fn decrypt<T>(path: &Path, open: impl Fn(&[u8]) -> Option<Result<T, String>>) -> Result<Result<T, String>, FileError> {
    let name = path.to_string_lossy().escape_debug().to_string(); // a name cannot move the cursor
    for _ in 0..TRIES {
        let passphrase = match ask::secret(&format!("Enter passphrase for {name}: ")) {
            Ok(Some(passphrase)) => passphrase,
            Ok(None) => return Err(FileError::BrokenOff { path: path.to_owned() }),
            Err(why) => return Err(FileError::NobodyToAsk { path: path.to_owned(), why }),
        };
        if let Some(secret) = open(&passphrase) {
            return Ok(secret);
        }
    }
    Err(FileError::Passphrase { path: path.to_owned() })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A private key in memory.
struct FileKey {
    public: Arc<Key>,
    material: Material,
}

enum Material {
    Ed25519(Box<SigningKey>),
    Ecdsa(&'static Curve, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Material {
    fn of(secret: Secret) -> Result<Self, String> {
        match secret {
            Secret::Ed25519 { seed } => Ok(Self::Ed25519(Box::new(SigningKey::from_bytes(&seed)))),
            Secret::Ecdsa { curve, point, scalar } => {
                let key = EcdsaKeyPair::from_private_key_and_public_key(ecdsa_algorithm(curve), &scalar, &point);
                key.map(|key| Self::Ecdsa(curve, key)).map_err(|error| error.to_string())
            }
            Secret::Rsa { n, e, d, q_inverse, p, q } => rsa(n, e, d, q_inverse, p, q),
            Secret::Token(_) => Err("the key lies on a token".to_owned()),
        }
    }
}

fn ecdsa_algorithm(curve: &Curve) -> &'static EcdsaSigningAlgorithm {
    match curve.size {
        32 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        48 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn rsa_rejected(error: KeyRejected) -> String {
    format!("{error}: of RSA keys, those of 2048 to 8192 bits sign from a file; an agent may take others")
}

fn rsa(n: Number, e: Number, d: Number, q_inverse: Number, p: Number, q: Number) -> Result<Material, String> {
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        dP: modulo::less_one(&d, &p).ok_or("p is zero")?,
        dQ: modulo::less_one(&d, &q).ok_or("q is zero")?,
        qInv: q_inverse,
        d,
        p,
        q,
    };
    RsaKeyPair::from_components(&components).map(Material::Rsa).map_err(rsa_rejected)
}

impl FileKey {
    /// Whether the public key verifies what the private one signs.
    fn belongs(&mut self) -> bool {
        const TRIAL: &[u8] = b"do the two halves belong together?";
        let signature = self.sign(TRIAL, MessageHash::Sha512);
        let public = PublicKey::parse(&self.public.blob);
        matches!((public, signature), (Ok(public), Ok(signature)) if public.verify(TRIAL, &signature).is_ok())
    }
}

impl Signer for FileKey {
    fn public_key(&self) -> &[u8] {
        self.public.wire()
    }

    fn sign(&mut self, data: &[u8], rsa_hash: MessageHash) -> Result<Vec<u8>, SignerError> {
        let (algorithm, blob) = match &self.material {
            Material::Ed25519(key) => ("ssh-ed25519", key.try_sign(data)?.to_bytes().to_vec()),
            Material::Ecdsa(curve, key) => {
                let fixed = key.sign(&SystemRandom::new(), data)?;
                let (r, s) = fixed.as_ref().split_at_checked(curve.size).ok_or("an ECDSA signature that is cut short")?;
                (curve.key_type, Writer::default().mpint(r).mpint(s).into_bytes())
            }
            Material::Rsa(key) => {
                let mut blob = vec![0; key.public_modulus_len()];
                let name = match rsa_hash {
                    MessageHash::Sha256 => {
                        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut blob)?;
                        "rsa-sha2-256"
                    }
                    MessageHash::Sha512 => {
                        key.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), data, &mut blob)?;
                        "rsa-sha2-512"
                    }
                };
                (name, blob)
            }
        };
        Ok(Writer::default().string(algorithm.as_bytes()).string(&blob).into_bytes())
    }
}

#[cfg(test)]
mod tests;
