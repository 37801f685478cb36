//! Revoked keys: a file of plain public keys, or a KRL (ssh-keygen(1), `-r`; git's `gpg.ssh.revocationFile`).

use super::krl::{Krl, KrlError, MAGIC};
use super::public_key::read_revoked;
use crate::evidence::Key;
use crate::verdict::Revoked;
use std::collections::HashSet;

/// The keys that no policy can make good.
#[derive(Clone, Debug)]
pub struct RevokedKeys(List);

#[derive(Clone, Debug)]
enum List {
    Keys(HashSet<Vec<u8>>),
    Krl(Box<Krl>),
}

impl Default for RevokedKeys {
    /// Nothing is revoked: nobody named a file.
    fn default() -> Self {
        Self(List::Keys(HashSet::new()))
    }
}

/// Why a revocation file cannot be used. A list that cannot be read in full must never count as an empty one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// A KRL that cannot be used.
    #[error(transparent)]
    Krl(#[from] KrlError),
    /// No key in it.
    #[error("it lists no key; remove the setting if nothing is revoked")]
    Empty,
    /// A line that is not a public key.
    #[error("line {0} is not a public key")]
    Line(usize),
}

impl RevokedKeys {
    /// Reads a KRL, or a file of public keys, one a line; there blank lines and `#` comments are skipped.
    ///
    /// # Errors
    /// Where it lists nothing, has a line that is not a key, or is a KRL that is not understood in full.
    pub fn parse(text: &[u8]) -> Result<Self, RevocationError> {
        if text.starts_with(MAGIC) {
            return Ok(Self(List::Krl(Box::new(Krl::parse(text)?))));
        }
        let mut blobs = HashSet::new();
        for (index, line) in text.split(|&b| b == b'\n').enumerate() {
            let start = line.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
            let line = line.get(start..).unwrap_or_default();
            if matches!(line.first(), None | Some(b'#')) {
                continue;
            }
            blobs.insert(read_revoked(line).map_err(|_| RevocationError::Line(index + 1))?);
        }
        if blobs.is_empty() { Err(RevocationError::Empty) } else { Ok(Self(List::Keys(blobs))) }
    }

    /// What of a key is revoked: the key itself, its certificate's authority, or the certificate.
    pub fn find(&self, key: &Key) -> Option<Revoked> {
        if self.lists(key) {
            return Some(Revoked::Key);
        }
        let certificate = key.certificate.as_deref()?;
        if self.lists(&certificate.authority) {
            return Some(Revoked::Authority);
        }
        match &self.0 {
            List::Krl(krl) if krl.revokes_certificate(certificate) => Some(Revoked::Certificate),
            _ => None,
        }
    }

    fn lists(&self, key: &Key) -> bool {
        match &self.0 {
            List::Keys(blobs) => blobs.contains(&key.blob),
            List::Krl(krl) => krl.revokes_key(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";

    #[test]
    fn lists() {
        let revoked = RevokedKeys::parse(format!("# gone\n\n {KEY} bob\r\n").as_bytes()).unwrap();
        let key = crate::policy::public_key::read_key(KEY.as_bytes()).unwrap();
        assert_eq!(revoked.find(&key), Some(Revoked::Key));
        assert_eq!(RevokedKeys::default().find(&key), None);
        for (text, error) in [
            ("", RevocationError::Empty),
            ("# nothing\n", RevocationError::Empty),
            ("SSHKRL\n\0...", RevocationError::Krl(KrlError::Damaged)),
            (&format!("{KEY}\nnonsense\n"), RevocationError::Line(2)),
            (&format!("bob {KEY}\n"), RevocationError::Line(1)),
            ("ssh-xss AAAAB3NzaC14c3M=\n", RevocationError::Line(1)), // a type that nobody knows
            ("ssh-dsa AAAAB3NzaC1kc3M=\n", RevocationError::Line(1)), // of ssh-dss
        ] {
            assert_eq!(RevokedKeys::parse(text.as_bytes()).unwrap_err(), error, "{text:?}");
        }
        // lists of what is revoked hold old keys, by which nothing here is good
        let old = RevokedKeys::parse(format!("ssh-dss AAAAB3NzaC1kc3M= old\n{KEY}\n").as_bytes()).unwrap();
        assert_eq!(old.find(&key), Some(Revoked::Key));
    }
}
