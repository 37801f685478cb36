//! Whose key is meant (gpg(1), "How to specify a user ID").

use crate::signature::openpgp::Certificates;
use crate::signature::openpgp::sign::SignerKey;
use anyhow::{Result, bail};

/// Whose key is meant.
pub(super) struct Wanted {
    meant: Meant,
    /// Whether exactly this key is meant, not the best of its certificate.
    pub(super) exactly: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    /// The end of a fingerprint or all of it, lowercase; of version 6, its beginning.
    Key(String),
    /// What gpg-agent knows a key by, uppercase.
    Keygrip(String),
    /// A whole user id.
    UserId(String),
    /// A whole address, lowercase.
    Address(String),
    /// A part of a user id, lowercase.
    Part(String),
}

impl Wanted {
    /// Reads the text.
    ///
    /// # Errors
    /// Where it names nobody: such a text would be a part of every user id.
    pub(super) fn of(spec: &str) -> Result<Self> {
        let bare = spec.trim();
        let (key, exactly) = bare.strip_suffix('!').map_or((bare, false), |text| (text, true));
        let digits = key.strip_prefix("0x").unwrap_or(key).replace([' ', ':'], "");
        if matches!(digits.len(), 8 | 16 | 40 | 64) && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self { meant: Meant::Key(digits.to_lowercase()), exactly });
        }
        let lower = |text: &str| text.trim().to_lowercase();
        let meant = match (bare.split_at_checked(1).unwrap_or_default(), spec.trim_start().strip_prefix('=')) {
            (_, Some(rest)) => Meant::UserId(rest.to_owned()),
            (("<", rest), _) => Meant::Address(lower(rest.strip_suffix('>').unwrap_or(rest))),
            (("&", rest), _) if rest.len() == 40 => Meant::Keygrip(rest.to_uppercase()),
            (("*" | "@", rest), _) => Meant::Part(lower(rest)),
            _ => Meant::Part(lower(bare)),
        };
        let text = match &meant {
            Meant::Key(text) | Meant::Keygrip(text) | Meant::UserId(text) | Meant::Address(text) | Meant::Part(text) => text.trim(),
        };
        let cut = text.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if cut || text.chars().all(|c| c.is_ascii_punctuation() || c.is_whitespace()) {
            bail!("`{spec}` names no key; git config user.signingKey FINGERPRINT (gpg --list-secret-keys shows it)");
        }
        Ok(Self { meant, exactly: false })
    }

    /// Bytes that a certificate of such a key holds, or such in another case of its letters; none where that cannot be told.
    pub(super) fn needle(&self) -> Vec<u8> {
        let text = match &self.meant {
            Meant::Key(digits) => {
                let bytes = (0..digits.len() / 2).filter_map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok());
                return bytes.collect();
            }
            Meant::Keygrip(_) => return Vec::new(),
            Meant::UserId(text) => return text.as_bytes().to_vec(),
            Meant::Address(text) => text,
            Meant::Part(text) => {
                text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(text.as_str(), |(mail, _)| mail)
            }
        };
        if text.is_ascii() { text.as_bytes().to_vec() } else { Vec::new() }
    }

    /// The certificates that are meant. A part of a user id means those of whose user ids, or addresses, it is all, before others:
    /// `alice@example.com` is not `malice@example.com` where both are there.
    pub(super) fn among(&self, certificates: &Certificates, now: i64) -> Vec<String> {
        let signers = certificates.signers(now);
        let is = |wanted: &Self, key: &SignerKey| match &wanted.meant {
            Meant::Keygrip(grip) => key.keygrip == *grip,
            _ => wanted.names(&key.fingerprint, &[]),
        };
        let means = |wanted: &Self| -> Vec<String> {
            let meant = |fingerprint: &&str| {
                wanted.names(fingerprint, &certificates.user_ids(fingerprint, now))
                    || signers.iter().any(|key| key.certificate == **fingerprint && is(wanted, key))
            };
            certificates.fingerprints().filter(meant).map(str::to_owned).collect()
        };
        if let Meant::Part(text) = &self.meant {
            let whole = Self { meant: Meant::Address(text.clone()), exactly: false };
            let found = means(&whole);
            if !found.is_empty() {
                return found;
            }
        }
        means(self)
    }

    /// Whether a key of this fingerprint, or with one of these user ids, is meant.
    pub(super) fn names(&self, fingerprint: &str, user_ids: &[Vec<u8>]) -> bool {
        let texts = || user_ids.iter().map(|id| String::from_utf8_lossy(id));
        match &self.meant {
            Meant::Key(digits) => {
                let (whole, newer) = (fingerprint.to_lowercase(), fingerprint.len() == 64);
                // the key id of version 6 is the fingerprint's beginning (RFC 9580 §5.5.4)
                if newer { whole.starts_with(digits) && digits.len() >= 16 } else { whole.ends_with(digits) }
            }
            Meant::Keygrip(_) => false, // a fingerprint does not tell
            Meant::UserId(whole) => texts().any(|id| id == *whole),
            Meant::Address(address) => texts().any(|id| {
                let id = id.to_lowercase();
                let inside = id.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(mail, _)| mail);
                inside == Some(address) || id == *address
            }),
            Meant::Part(part) => texts().any(|id| id.to_lowercase().contains(part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_key() {
        let fingerprint = "0123456789ABCDEF0123456789ABCDEF01234567";
        let ids = [b"Alice A <alice@example.com>".to_vec()];
        for (spec, want) in [
            (fingerprint, true),
            ("0x89ABCDEF01234567", true),
            ("01234567", true),
            ("0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567", true),
            ("01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67", true),
            ("89abcdef01234567!", true),
            ("89ABCDEF01234568", false),
            ("234567", false),
            ("alice@example.com", true),
            ("lice@Example.com", true),
            ("<alice@example.com>", true),
            ("<Alice@example.com", true),
            ("<lice@example.com>", false),
            ("Alice A <alice@example.com>", true),
            ("=Alice A <alice@example.com>", true),
            ("=Alice A", false),
            ("=alice a <alice@example.com>", false),
            ("=Alice A <alice@example.com> ", false),
            ("alice a", true),
            ("*alice a", true),
            ("alice!", false),
            ("bob", false),
        ] {
            assert_eq!(Wanted::of(spec).unwrap().names(fingerprint, &ids), want, "{spec}");
        }
        let newer = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCD00";
        for (spec, want) in
            [(newer, true), ("0123456789ABCDEF", true), ("456789ABCDEF0123", false), ("89ABCD00", false), ("01234567", false)]
        {
            assert_eq!(Wanted::of(spec).unwrap().names(newer, &[]), want, "{spec}");
        }
    }

    #[test]
    fn texts_that_name_nobody() {
        for spec in ["", "  ", "!", "=", "= ", "<>", "<", "*", "@", ".", "0x", "0x12"] {
            assert!(Wanted::of(spec).is_err(), "{spec}");
        }
        assert!(!Wanted::of("x!").unwrap().names("", &[b"x".to_vec()]));
    }
}
