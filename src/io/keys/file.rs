//! Key files: which key a file names, and its private half in OpenSSH's form (PROTOCOL.key).

use super::terminal;
use crate::evidence::Key;
use crate::policy::public_key::read_key;
use crate::signature::ssh::PublicKey;
use crate::signature::ssh::curve::Curve;
use crate::signature::ssh::sign::{Signer, SignerError};
use crate::signature::ssh::wire::Writer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    RSA_PKCS1_SHA512,
};
use ed25519_dalek::{Signer as _, SigningKey};
use ssh_key::private::{EcdsaKeypair, KeypairData, RsaKeypair};
use ssh_key::{EcdsaCurve, PrivateKey};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

mod modulo;

/// More than any key file needs.
const MAX_FILE: u64 = 1024 * 1024;
/// As often as OpenSSH asks for a passphrase.
const TRIES: usize = 3;
const OPENSSH_HEADER: &[u8] = b"-----BEGIN OPENSSH PRIVATE KEY-----";

/// Why a key file does not serve.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No public key to begin with.
    #[error("Couldn't load public key {}: {why}", path.display())]
    NoPublicKey {
        /// The file that was named.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A certificate.
    #[error("{}: signing with a certificate is not in this version; name the plain key instead", path.display())]
    Certificate {
        /// The file that was named.
        path: PathBuf,
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
        "WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermissions {mode:04o} for '{name}' are too open.\nIt is required that your private key files are NOT accessible by others.\nThis private key will be ignored: `chmod 600 {name}` mends it.", name = path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// PEM or PKCS#8.
    #[error("{name}: a private key in another form than OpenSSH's: `ssh-keygen -p -f {name}` rewrites it", name = path.display())]
    OtherForm {
        /// The file.
        path: PathBuf,
    },
    /// It says to be a private key in OpenSSH's form.
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
        "{name} is encrypted and there is no terminal to ask for its passphrase: load it into an agent with `ssh-add {name}` (SSH_ASKPASS is not in this version)", name = path.display()
    )]
    NoTerminal {
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

/// A file that names a key.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    public: Arc<Key>,
}

impl KeyFile {
    /// Reads the public key that a file names: its own line, that inside a private key, or that of `FILE.pub`.
    ///
    /// # Errors
    /// Where there is none, or where it is a certificate.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let no_key = |why: String| FileError::NoPublicKey { path: path.to_owned(), why };
        let (first, beside) = (public_key(path), || public_key(&with_suffix(path, ".pub")));
        let public = match first {
            Ok(Some(key)) => key,
            Ok(None) => beside().ok().flatten().ok_or_else(|| no_key("it holds no key that can be used".to_owned()))?,
            Err(why) => beside().ok().flatten().ok_or_else(|| no_key(why.to_string()))?,
        };
        if public.certificate {
            return Err(FileError::Certificate { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), public })
    }

    /// The public key.
    pub fn public(&self) -> &Arc<Key> {
        &self.public
    }

    /// Loads the private half, asking for its passphrase where it has one.
    ///
    /// # Errors
    /// Where it is not there, is open to others, or cannot be read or decrypted.
    pub fn unlock(&self) -> Result<Box<dyn Signer>, FileError> {
        let path = without_suffix(&self.path, ".pub");
        let unreadable = |why: String| FileError::Unreadable { path: path.clone(), why };
        let text = read_private(&path)?;
        if !text.starts_with(OPENSSH_HEADER) {
            return Err(FileError::OtherForm { path });
        }
        let locked = PrivateKey::from_openssh(text.as_slice()).map_err(|error| unreadable(error.to_string()))?;
        let private = if locked.is_encrypted() { decrypt(&locked, &path)? } else { locked };
        let blob = private.public_key().to_bytes().map_err(|error| unreadable(error.to_string()))?;
        if blob != self.public.blob {
            return Err(FileError::Mismatch { public: self.path.clone(), private: path });
        }
        let material = Material::of(&private).map_err(unreadable)?;
        Ok(Box::new(FileKey { public: Arc::clone(&self.public), material }))
    }
}

/// The public key that a file holds in the clear; `None` where it holds none.
fn public_key(path: &Path) -> io::Result<Option<Arc<Key>>> {
    let text = read_whole(File::open(path)?)?;
    if text.starts_with(OPENSSH_HEADER) {
        let blob = PrivateKey::from_openssh(text.as_slice()).ok().and_then(|private| private.public_key().to_bytes().ok());
        let key = blob.and_then(|blob| PublicKey::parse(&blob).ok());
        return Ok(key.map(|key| Arc::clone(key.info())));
    }
    let lines = text.split(|&b| b == b'\n').take_while(|line| !line.starts_with(b"-----BEGIN"));
    Ok(lines.filter(|line| !line.starts_with(b"#")).find_map(|line| read_key(line).ok()))
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

fn decrypt(locked: &PrivateKey, path: &Path) -> Result<PrivateKey, FileError> {
    for _ in 0..TRIES {
        let Some(passphrase) = terminal::passphrase(path) else { return Err(FileError::NoTerminal { path: path.to_owned() }) };
        match locked.decrypt(passphrase.as_bytes()) {
            Ok(private) => return Ok(private),
            // a wrong passphrase shows as a wrong check number, a wrong tag, or nonsense inside
            Err(ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. }) => {
                let why = "its cipher is not supported".to_owned();
                return Err(FileError::Unreadable { path: path.to_owned(), why });
            }
            Err(_) => {}
        }
    }
    Err(FileError::Passphrase { path: path.to_owned() })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn without_suffix(path: &Path, suffix: &str) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let stem = bytes.strip_suffix(suffix.as_bytes()).filter(|stem| !stem.is_empty()).unwrap_or(bytes);
    std::ffi::OsString::from_vec(stem.to_vec()).into()
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
    fn of(private: &PrivateKey) -> Result<Self, String> {
        match private.key_data() {
            KeypairData::Ed25519(pair) => {
                let seed = Zeroizing::new(pair.private.to_bytes());
                Ok(Self::Ed25519(Box::new(SigningKey::from_bytes(&seed))))
            }
            KeypairData::Ecdsa(pair) => ecdsa(pair),
            KeypairData::Rsa(pair) => rsa(pair),
            other => Err(format!(
                "keys of type {} are not supported",
                other.algorithm().map_or_else(|e| e.to_string(), |a| a.to_string())
            )),
        }
    }
}

fn ecdsa(pair: &EcdsaKeypair) -> Result<Material, String> {
    let (key_type, algorithm) = match pair.curve() {
        EcdsaCurve::NistP256 => ("ecdsa-sha2-nistp256", &ECDSA_P256_SHA256_FIXED_SIGNING),
        EcdsaCurve::NistP384 => ("ecdsa-sha2-nistp384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        EcdsaCurve::NistP521 => ("ecdsa-sha2-nistp521", &ECDSA_P521_SHA512_FIXED_SIGNING),
    };
    let curve = Curve::of_key_type(key_type).ok_or("unknown curve")?;
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, pair.private_key_bytes(), pair.public_key_bytes());
    key.map(|key| Material::Ecdsa(curve, key)).map_err(|error| error.to_string())
}

fn rsa(pair: &RsaKeypair) -> Result<Material, String> {
    let (public, private) = (pair.public(), pair.private());
    let positive =
        |number: &ssh_key::Mpint| number.as_positive_bytes().map(|bytes| Zeroizing::new(bytes.to_vec())).ok_or("a negative number");
    let (d, p, q) = (positive(private.d())?, positive(private.p())?, positive(private.q())?);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: positive(public.n())?, e: positive(public.e())? },
        dP: modulo::less_one(&d, &p).ok_or("p is zero")?,
        dQ: modulo::less_one(&d, &q).ok_or("q is zero")?,
        qInv: positive(private.iqmp())?,
        d,
        p,
        q,
    };
    let key = RsaKeyPair::from_components(&components);
    key.map(Material::Rsa)
        .map_err(|error| format!("{error}: of RSA keys, those of 2048 to 8192 bits sign from a file; an agent may take others"))
}

impl Signer for FileKey {
    fn public_key(&self) -> &[u8] {
        &self.public.blob
    }

    fn sign(&mut self, data: &[u8]) -> Result<Vec<u8>, SignerError> {
        let (algorithm, blob) = match &self.material {
            Material::Ed25519(key) => ("ssh-ed25519", key.try_sign(data)?.to_bytes().to_vec()),
            Material::Ecdsa(curve, key) => {
                let fixed = key.sign(&SystemRandom::new(), data)?;
                let (r, s) = fixed.as_ref().split_at_checked(curve.size).ok_or("an ECDSA signature that is cut short")?;
                (curve.key_type, Writer::default().mpint(r).mpint(s).into_bytes())
            }
            Material::Rsa(key) => {
                let mut blob = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), data, &mut blob)?;
                ("rsa-sha2-512", blob)
            }
        };
        Ok(Writer::default().string(algorithm.as_bytes()).string(&blob).into_bytes())
    }
}
