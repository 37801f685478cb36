//! Revoked keys: a file of plain public keys (ssh-keygen(1), `-r`; git's `gpg.ssh.revocationFile`).

use super::public_key::read_key;
use std::collections::HashSet;

/// How a key revocation list in OpenSSH's binary form begins (PROTOCOL.krl).
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

/// The keys that no policy can make good.
#[derive(Clone, Debug, Default)]
pub struct RevokedKeys {
    blobs: HashSet<Vec<u8>>,
}

/// Why a revocation file cannot be used. A list that cannot be read in full must never count as an empty one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// A binary KRL.
    #[error("it is a KRL, and KRLs are not in this version; list the revoked public keys one a line")]
    Krl,
    /// No key in it.
    #[error("it lists no key; remove the setting if nothing is revoked")]
    Empty,
    /// A line that is not a public key.
    #[error("line {0} is not a public key")]
    Line(usize),
}

impl RevokedKeys {
    /// Reads a file of public keys, one a line; blank lines and `#` comments are skipped.
    ///
    /// # Errors
    /// Where it is a KRL, lists nothing, or has a line that is not a key.
    pub fn parse(text: &[u8]) -> Result<Self, RevocationError> {
        if text.starts_with(KRL_MAGIC) {
            return Err(RevocationError::Krl);
        }
        let mut blobs = HashSet::new();
        for (index, line) in text.split(|&b| b == b'\n').enumerate() {
            let start = line.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
            let line = line.get(start..).unwrap_or_default();
            if matches!(line.first(), None | Some(b'#')) {
                continue;
            }
            let key = read_key(line).map_err(|_| RevocationError::Line(index + 1))?;
            blobs.insert(key.blob.clone());
        }
        if blobs.is_empty() { Err(RevocationError::Empty) } else { Ok(Self { blobs }) }
    }

    /// Whether a key (of a certificate: the key inside) is revoked.
    pub fn contains(&self, blob: &[u8]) -> bool {
        self.blobs.contains(blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";

    #[test]
    fn lists() {
        let revoked = RevokedKeys::parse(format!("# gone\n\n {KEY} bob\r\n").as_bytes()).unwrap();
        assert!(revoked.contains(&read_key(KEY.as_bytes()).unwrap().blob));
        assert!(!revoked.contains(b""));
        for (text, error) in [
            ("", RevocationError::Empty),
            ("# nothing\n", RevocationError::Empty),
            ("SSHKRL\n\0...", RevocationError::Krl),
            (&format!("{KEY}\nnonsense\n"), RevocationError::Line(2)),
            (&format!("bob {KEY}\n"), RevocationError::Line(1)),
        ] {
            assert_eq!(RevokedKeys::parse(text.as_bytes()).unwrap_err(), error, "{text:?}");
        }
    }
}
