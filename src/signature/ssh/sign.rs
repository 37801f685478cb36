//! Making SSH signatures.

use super::key::{PublicKey, SignatureError};
use super::sshsig::{MessageHash, SshSig, signed_data};
use super::wire::{Reader, WireError, Writer};
use crate::armor;
use crate::signature::curve::{Curve, P256};

/// Holds a private key, or reaches one, and signs with it.
pub trait Signer {
    /// The blob of the public key (or certificate) that goes into the signature.
    fn public_key(&self) -> &[u8];

    /// The SSH signature blob over the data. An RSA key signs with the hash function that is named; the others have their own.
    ///
    /// # Errors
    /// Whatever keeps the holder of the key from signing.
    fn sign(&mut self, data: &[u8], rsa_hash: MessageHash) -> Result<Vec<u8>, SignerError>;
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

/// Signs a message and armours the signature as ssh-keygen does. It is checked against the key before it is returned, and the
/// S of an ECDSA signature is made the low one, whoever signed: n − S would be as good, and a rewritten object with it.
///
/// # Errors
/// Where the signer refuses, or where what it gives is not a signature by its key.
pub fn sign(signer: &mut dyn Signer, namespace: &str, hash: MessageHash, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let blob = signer.public_key().to_vec();
    let key = PublicKey::parse(&blob)?;
    let data = signed_data(namespace.as_bytes(), b"", hash, &hash.digest(&[message]));
    let signature = signer.sign(&data, hash).map_err(SignError::Signer)?;
    key.verify(&data, &signature).map_err(SignError::Wrong)?;
    let signature = low_s(signature);
    let frame = SshSig {
        public_key: &blob,
        namespace: namespace.as_bytes(),
        reserved: b"",
        hash: hash.name().as_bytes(),
        signature: &signature,
    };
    Ok(armor::encode_ssh(&frame.to_bytes()))
}

/// The one signature that stands for itself and its twin; what is not ECDSA stays as it is.
fn low_s(signature: Vec<u8>) -> Vec<u8> {
    let mut reader = Reader::new(&signature);
    let Ok(algorithm) = reader.text() else { return signature };
    let curve = match algorithm {
        "sk-ecdsa-sha2-nistp256@openssh.com" => Some(&P256),
        other => Curve::of_key_type(other),
    };
    let rewritten = curve.and_then(|curve| rewrite(curve, algorithm, reader).ok());
    rewritten.unwrap_or(signature)
}

fn rewrite(curve: &Curve, algorithm: &str, mut reader: Reader<'_>) -> Result<Vec<u8>, WireError> {
    let mut numbers = Reader::new(reader.string()?);
    let ((r, _), (s, _)) = (numbers.mpint()?, numbers.mpint()?);
    numbers.finish()?;
    let blob = Writer::default().mpint(r).mpint(&curve.low(s)).into_bytes();
    Ok(Writer::default().string(algorithm.as_bytes()).string(&blob).raw(reader.rest()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_is_low_and_the_rest_stays() {
        let blob = |s: &[u8]| Writer::default().mpint(&[9]).mpint(s).into_bytes();
        let signature = |algorithm: &str, s: &[u8], rest: &[u8]| {
            Writer::default().string(algorithm.as_bytes()).string(&blob(s)).raw(rest).into_bytes()
        };
        for (algorithm, size, rest) in [
            ("ecdsa-sha2-nistp256", 32, &[][..]),
            ("ecdsa-sha2-nistp384", 48, &[]),
            ("ecdsa-sha2-nistp521", 66, &[]),
            ("sk-ecdsa-sha2-nistp256@openssh.com", 32, &[1, 0, 0, 0, 7]),
        ] {
            let curve = Curve::of_key_type(algorithm).unwrap_or(&P256);
            let low = vec![1; size - 1];
            let mut high = vec![0; size];
            high[0] = if size == 66 { 1 } else { 0xfe };
            assert!(curve.is_high(&high) && !curve.is_high(&low), "{algorithm}");
            assert_eq!(low_s(signature(algorithm, &low, rest)), signature(algorithm, &low, rest));
            assert_eq!(low_s(signature(algorithm, &high, rest)), signature(algorithm, &curve.low(&high), rest));
        }
        for other in [signature("ssh-ed25519", &[0xff; 32], &[]), vec![], vec![0; 9]] {
            assert_eq!(low_s(other.clone()), other);
        }
    }
}
