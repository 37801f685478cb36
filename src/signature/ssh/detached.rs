//! Signatures in a file of their own, in any namespace, read as ssh-keygen reads them: it looks at the first signature only and
//! at nothing after it, where [`super::SshVerifier`] wants one signature and nothing else.

use super::key::{KeyError, PublicKey, SignatureError};
use super::sshsig::{MessageHash, SshSig, signed_data};
use crate::armor::{self, ArmorError, ArmorForm};
use crate::evidence::Key;
use std::sync::Arc;

/// Why a signature is not good. The messages are ssh-keygen's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetachedError {
    /// It is not armoured as it should be.
    #[error("Couldn't parse signature: {0}")]
    Armor(ArmorError),
    /// The bytes inside are no SSHSIG.
    #[error("Couldn't verify signature: invalid format")]
    Frame,
    /// A format to come.
    #[error("Signature version {0} is larger than supported version 1")]
    Version(u32),
    /// It was made for something else.
    #[error("Couldn't verify signature: namespace does not match")]
    Namespace,
    /// Another hash function than sha256 and sha512.
    #[error("Couldn't verify signature: unsupported hash algorithm \"{0}\"")]
    Hash(String),
    /// The key cannot be used.
    #[error("Couldn't verify signature: {0}")]
    Key(KeyError),
    /// It does not match.
    #[error("Signature verification failed: {0}")]
    Signature(SignatureError),
}

/// Names that a signature brings along are anybody's text: they cannot break a line or move the cursor.
fn escaped(name: &str) -> String {
    name.escape_debug().to_string()
}

impl From<ArmorError> for DetachedError {
    fn from(error: ArmorError) -> Self {
        Self::Armor(error)
    }
}

impl From<KeyError> for DetachedError {
    fn from(error: KeyError) -> Self {
        Self::Key(match error {
            KeyError::Unsupported(name) => KeyError::Unsupported(escaped(&name)),
            KeyError::CertificateAlgorithm(name) => KeyError::CertificateAlgorithm(escaped(&name)),
            other => other,
        })
    }
}

impl From<SignatureError> for DetachedError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(match error {
            SignatureError::Algorithm(name) => SignatureError::Algorithm(escaped(&name)),
            other => other,
        })
    }
}

/// The key that verifies an armoured signature over the message, whoever's it is.
///
/// # Errors
/// Where the signature cannot be read, is of another namespace, or does not match.
pub fn verify(armored: &[u8], namespace: &str, message: &[u8]) -> Result<Arc<Key>, DetachedError> {
    let blob = dearmor(armored)?;
    let frame = SshSig::parse(&blob).map_err(|_| DetachedError::Frame)?;
    if frame.namespace != namespace.as_bytes() {
        return Err(DetachedError::Namespace);
    }
    let hash =
        MessageHash::of_name(frame.hash).ok_or_else(|| DetachedError::Hash(escaped(&String::from_utf8_lossy(frame.hash))))?;
    let key = PublicKey::parse(frame.public_key)?;
    key.verify(&signed_data(frame.namespace, frame.reserved, hash, &hash.digest(&[message])), frame.signature)?;
    Ok(Arc::clone(key.info()))
}

/// The key that an armoured signature names; whether it made the signature is not looked at.
///
/// # Errors
/// Where the signature or the key cannot be read.
pub fn named_key(armored: &[u8]) -> Result<Arc<Key>, DetachedError> {
    let blob = dearmor(armored)?;
    let frame = SshSig::parse(&blob).map_err(|_| DetachedError::Frame)?;
    Ok(Arc::clone(PublicKey::parse(frame.public_key)?.info()))
}

fn dearmor(armored: &[u8]) -> Result<Vec<u8>, DetachedError> {
    const FOOTER: &[u8] = b"\n-----END SSH SIGNATURE-----";
    let end = armored.windows(FOOTER.len()).position(|window| window == FOOTER).map(|start| start + FOOTER.len());
    let first = armored.get(..end.unwrap_or(armored.len())).unwrap_or(armored);
    let (mut blob, form) = armor::decode_ssh(first)?;
    if form == ArmorForm::CrLf {
        return Err(ArmorError::MissingHeader.into());
    }
    // ssh-keygen refuses versions above 1 only; the version is not signed
    if let Some([b'S', b'S', b'H', b'S', b'I', b'G', version @ ..]) = blob.first_chunk_mut::<10>() {
        match u32::from_be_bytes(*version) {
            0 => *version = 1_u32.to_be_bytes(),
            1 => {}
            later => return Err(DetachedError::Version(later)),
        }
    }
    Ok(blob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::ssh::sign::{Signer, SignerError, sign};
    use crate::signature::ssh::wire::Writer;
    use ed25519_dalek::{Signer as _, SigningKey};

    struct Dalek(SigningKey, Vec<u8>);

    impl Signer for Dalek {
        fn public_key(&self) -> &[u8] {
            &self.1
        }

        fn sign(&mut self, data: &[u8], _: MessageHash) -> Result<Vec<u8>, SignerError> {
            Ok(Writer::default().string(b"ssh-ed25519").string(&self.0.sign(data).to_bytes()).into_bytes())
        }
    }

    #[test]
    fn only_the_first_signature_counts() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let blob = Writer::default().string(b"ssh-ed25519").string(key.verifying_key().as_bytes()).into_bytes();
        let mut signer = Dalek(key, blob);
        let armored = |signer: &mut Dalek, namespace: &str| {
            String::from_utf8(sign(signer, namespace, MessageHash::Sha512, b"message").unwrap()).unwrap()
        };
        let good = armored(&mut signer, "git");
        let file = armored(&mut signer, "file");
        let table: [(String, &[u8], Result<(), DetachedError>); 9] = [
            (good.clone(), b"message", Ok(())),
            (format!("{good}{file}"), b"message", Ok(())),
            (format!("{good}anything"), b"message", Ok(())),
            (format!("{file}{good}"), b"message", Err(DetachedError::Namespace)),
            (good.clone(), b"massage", Err(SignatureError::Incorrect.into())),
            (good.replace('\n', "\r\n"), b"message", Err(ArmorError::MissingHeader.into())),
            (good.replace("END", "FIN"), b"message", Err(ArmorError::MissingFooter.into())),
            (good.replace("U1NI", "U1NJ"), b"message", Err(DetachedError::Frame)),
            (good.replace("U1NIU0lHAAAAAQAA", "U1NIU0lHAAAAAgAA"), b"message", Err(DetachedError::Version(2))),
        ];
        for (armored, message, expected) in table {
            assert_eq!(verify(armored.as_bytes(), "git", message).map(|_| ()), expected, "{armored}");
        }
        assert_eq!(named_key(file.as_bytes()).unwrap().blob, signer.1);
        let key = Writer::default().string(b"\x1b[2J\n").into_bytes();
        let hostile = SshSig { public_key: &key, namespace: b"git", reserved: b"", hash: b"sha512", signature: b"" };
        let error = verify(&armor::encode_ssh(&hostile.to_bytes()), "git", b"message").unwrap_err();
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}
