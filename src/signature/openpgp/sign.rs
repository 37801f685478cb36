//! Making detached signatures (RFC 9580 §5.2.3, versions 4 and 6, as the key has it), whoever holds the secret key.

use super::certificate::SigningKey;
use super::reading::Rules;
use super::{Certificates, moment, seconds};
use crate::armor;
use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::types::{Curve, HashAlgorithm, PublicKeyAlgorithm};

/// A key to sign with, less its secret part.
#[derive(Clone, Debug)]
pub struct SignerKey {
    /// The fingerprint of the key itself, uppercase hexadecimal.
    pub fingerprint: String,
    /// The fingerprint of its certificate.
    pub certificate: String,
    /// The primary user id of its certificate.
    pub user_id: Vec<u8>,
    /// What gpg-agent knows the key by, 40 hexadecimal digits (libgcrypt's `gcry_pk_get_keygrip`).
    pub keygrip: String,
    /// The public key algorithm's number.
    pub algorithm: u8,
    /// When it was made, seconds since 1970 (UTC).
    pub created: i64,
    /// The hash function that it signs with: SHA-512 unless another is asked for.
    pub hash: SigningHash,
    /// What stands against signing with it, if anything does.
    pub unusable: Option<Unusable>,
    bytes: Vec<u8>,
    kind: Kind,
}

/// What stands against a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It, or its certificate, has ended.
    #[error("has expired; extend it: gpg --quick-set-expire")]
    Expired,
    /// It, or its certificate, is revoked.
    #[error("is revoked; use another key")]
    Revoked,
}

/// How the secret key's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    /// Two numbers.
    Pair,
    /// Ed25519 of RFC 9580: both halves as they are.
    Halves,
}

/// A version 6 signature begins with a salt as long as this, where its hash function asks for as much.
pub const MOST_SALT: usize = 32;

/// A hash function that is signed with (RFC 9580 §9.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // they are their names
pub enum SigningHash {
    Sha256,
    Sha384,
    Sha512,
}

impl SigningHash {
    /// The one of a name as gpg takes it: `SHA512`, in any case, or `H10`.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "SHA256" | "H8" => Some(Self::Sha256),
            "SHA384" | "H9" => Some(Self::Sha384),
            "SHA512" | "H10" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::Sha256 => 8,
            Self::Sha384 => 9,
            Self::Sha512 => 10,
        }
    }

    /// How many bytes of salt a version 6 signature has (RFC 9580 §9.5).
    fn salt(self) -> usize {
        match self {
            Self::Sha256 => 16,
            Self::Sha384 => 24,
            Self::Sha512 => 32,
        }
    }

    fn algorithm(self) -> HashAlgorithm {
        HashAlgorithm::from(self.number())
    }
}

/// A signature that lacks its numbers.
pub struct Unsigned {
    /// Up to the hashed subpackets.
    head: Vec<u8>,
    /// What follows them, nobody signing it.
    unhashed: Vec<u8>,
    /// Of version 6.
    salt: Option<Vec<u8>>,
    kind: Kind,
    /// The digest to be signed.
    pub digest: Vec<u8>,
}

/// The numbers of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// RSA's.
    One(Vec<u8>),
    /// DSA's, ECDSA's and EdDSA's r and s.
    Two(Vec<u8>, Vec<u8>),
}

impl Certificates {
    /// The keys that may sign, by their certificates: subkeys before primary keys, the newest first, as gpg takes them; `now` in
    /// seconds since 1970 (UTC). Those of algorithms that are not signed with here are left out.
    pub fn signers(&self, now: i64) -> Vec<SignerKey> {
        let mut keys: Vec<SignerKey> = self.keys(moment(now), Rules::Gnupg).0.iter().filter_map(|key| signer(key, now)).collect();
        keys.sort_by_key(|key| (key.fingerprint == key.certificate, std::cmp::Reverse(key.created)));
        keys
    }
}

fn signer(key: &SigningKey, now: i64) -> Option<SignerKey> {
    let binding = key.info.binding.as_ref()?;
    let kind = match key.key.pk_algo() {
        PublicKeyAlgorithm::RSAEncryptSign => Kind::Rsa,
        PublicKeyAlgorithm::ECDSA | PublicKeyAlgorithm::EdDSA => Kind::Pair,
        PublicKeyAlgorithm::Ed25519 => Kind::Halves,
        _ => return None,
    };
    let unusable = match (binding.revoked, binding.ends) {
        (Some(_), _) => Some(Unusable::Revoked),
        (_, Some(ends)) if ends <= now => Some(Unusable::Expired),
        _ => None,
    };
    Some(SignerKey {
        fingerprint: key.info.fingerprint.clone(),
        certificate: binding.certificate.clone(),
        user_id: binding.user_id.clone(),
        keygrip: keygrip(key.key.mpis())?,
        algorithm: key.key.pk_algo().into(),
        created: seconds(key.key.creation_time()),
        hash: SigningHash::Sha512,
        unusable,
        bytes: Some(key.key.fingerprint().as_bytes().to_vec()).filter(|bytes| matches!(bytes.len(), V4 | V6))?,
        kind,
    })
}

/// The lengths of fingerprints.
const V4: usize = 20;
const V6: usize = 32;

impl SignerKey {
    /// Whether its signatures begin with a salt: those of version 6.
    pub fn is_salted(&self) -> bool {
        self.bytes.len() == V6
    }

    /// Everything of a signature over a payload but its numbers; `made` in seconds since 1970 (UTC), `salt` random: it is used as
    /// far as the version of the key asks for one. `None` where the time cannot be written.
    pub fn prepare(&self, payload: &[u8], made: i64, salt: &[u8; MOST_SALT]) -> Option<Unsigned> {
        let newer = self.is_salted();
        let version = if newer { 6 } else { 4 };
        let mut hashed = vec![u8::try_from(self.bytes.len() + 2).ok()?, 33, version];
        hashed.extend(&self.bytes);
        hashed.extend([5, 2]);
        hashed.extend(u32::try_from(made).ok()?.to_be_bytes());
        let mut head = vec![version, 0, self.algorithm, self.hash.number()];
        let length = u16::try_from(hashed.len()).ok()?.to_be_bytes();
        head.extend(if newer { &[0, 0][..] } else { &[] }); // four bytes of length, not two
        head.extend(length);
        head.extend(&hashed);
        let salt = newer.then(|| salt.get(..self.hash.salt())).flatten();
        let mut context = self.hash.algorithm().context().ok()?.for_digest();
        context.update(salt.unwrap_or_default());
        context.update(payload);
        context.update(&head);
        context.update(&[version, 0xff]);
        context.update(&u32::try_from(head.len()).ok()?.to_be_bytes());
        let unhashed = match newer {
            true => vec![0; 4],
            false => [&[0, 10, 9, 16], self.bytes.get(12..)?].concat(),
        };
        let (salt, digest) = (salt.map(<[u8]>::to_vec), context.into_digest().ok()?);
        Some(Unsigned { head, unhashed, salt, kind: self.kind, digest })
    }
}

impl Unsigned {
    /// The signature in armour: of version 4 as GnuPG writes it, with a header of the old format and the issuer's id unhashed, of
    /// version 6 as RFC 9580 asks for. `None` where the numbers are not those of such a key.
    pub fn finish(&self, numbers: &Numbers) -> Option<Vec<u8>> {
        let mut body = [&self.head, &self.unhashed, self.digest.get(..2)?].concat();
        if let Some(salt) = &self.salt {
            body.push(u8::try_from(salt.len()).ok()?);
            body.extend(salt);
        }
        match (self.kind, numbers) {
            (Kind::Rsa, Numbers::One(s)) => body.extend(number(s)?),
            (Kind::Pair, Numbers::Two(r, s)) => body.extend([number(r)?, number(s)?].concat()),
            (Kind::Halves, Numbers::Two(r, s)) if r.len() == 32 && s.len() == 32 => body.extend([&r[..], s].concat()),
            _ => return None,
        }
        Some(armor::encode_openpgp(&[header(body.len(), self.salt.is_some())?, body].concat()))
    }
}

/// The header of a signature packet (RFC 9580 §4.2) in the new format or the old one.
fn header(length: usize, new: bool) -> Option<Vec<u8>> {
    let short = u8::try_from(length);
    Some(match (new, short) {
        (true, Ok(short @ 0..192)) => vec![0xc2, short],
        (true, _) => {
            let [high, low] = u16::try_from(length.checked_sub(192)?).ok().filter(|it| *it < 0x2000)?.to_be_bytes();
            vec![0xc2, high + 192, low]
        }
        (false, Ok(short)) => vec![0x88, short],
        (false, Err(_)) => [&[0x89], &u16::try_from(length).ok()?.to_be_bytes()[..]].concat(),
    })
}

/// A number as OpenPGP writes it: its bits, and its bytes from the first set bit on (RFC 9580 §3.2).
fn number(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = bytes.iter().position(|byte| *byte != 0)?;
    let bytes = bytes.get(start..)?;
    let bits = bytes.len() * 8 - usize::try_from(bytes.first()?.leading_zeros()).ok()?;
    Some([&u16::try_from(bits).ok()?.to_be_bytes()[..], bytes].concat())
}

/// libgcrypt's keygrip: SHA-1 of the modulus, or of the curve's parameters and the point.
fn keygrip(key: &PublicKey) -> Option<String> {
    let mut context = HashAlgorithm::SHA1.context().ok()?.for_digest();
    match key {
        PublicKey::RSA { n, .. } => {
            if n.value().first().is_some_and(|first| first & 0x80 != 0) {
                context.update(&[0]);
            }
            context.update(n.value());
        }
        PublicKey::EdDSA { .. } | PublicKey::ECDSA { .. } | PublicKey::Ed25519 { .. } => {
            let (curve, point) = match key {
                PublicKey::EdDSA { curve, q } | PublicKey::ECDSA { curve, q } => (curve, q.value()),
                PublicKey::Ed25519 { a } => (&Curve::Ed25519, &a[..]),
                _ => return None,
            };
            let point = if point.len() == 33 { point.strip_prefix(&[0x40]).unwrap_or(point) } else { point };
            for (name, digits) in ["p", "a", "b", "g", "n"].iter().zip(parameters(curve)?) {
                let value = hex::decode(digits).ok()?;
                context.update(format!("(1:{name}{}:", value.len()).as_bytes());
                context.update(&value);
                context.update(b")");
            }
            context.update(format!("(1:q{}:", point.len()).as_bytes());
            context.update(point);
            context.update(b")");
        }
        _ => return None,
    }
    context.into_digest().ok().map(hex::encode_upper)
}

/// p, a, b, g and n as libgcrypt writes them (SEC 2 §2.4.2, §2.5.1, §2.6.1; RFC 7748 §4.1: of its negative numbers the digits).
fn parameters(curve: &Curve) -> Option<[&'static str; 5]> {
    Some(match curve {
        Curve::Ed25519 => [
            "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED",
            "01",
            "2DFC9311D490018C7338BF8688861767FF8FF5B2BEBE27548A14B235ECA6874A",
            "04216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A6666666666666666666666666666666666666666666666666666666666666658",
            "1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED",
        ],
        Curve::NistP256 => [
            "FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF",
            "FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFC",
            "5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B",
            "046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C2964FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5",
            "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551",
        ],
        Curve::NistP384 => [
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFC",
            "B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF",
            "04AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB73617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
        ],
        Curve::NistP521 => [
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC",
            "51953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00",
            "0400C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650",
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
        ],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_take_as_few_bytes_as_they_can() {
        for (length, new, old) in [
            (0, Some(vec![0xc2, 0]), Some(vec![0x88, 0])),
            (191, Some(vec![0xc2, 191]), Some(vec![0x88, 191])),
            (192, Some(vec![0xc2, 192, 0]), Some(vec![0x88, 192])),
            (255, Some(vec![0xc2, 192, 63]), Some(vec![0x88, 255])),
            (256, Some(vec![0xc2, 192, 64]), Some(vec![0x89, 1, 0])),
            (8383, Some(vec![0xc2, 223, 255]), Some(vec![0x89, 0x20, 0xbf])),
            (8384, None, Some(vec![0x89, 0x20, 0xc0])),
            (65536, None, None),
        ] {
            assert_eq!((header(length, true), header(length, false)), (new, old), "{length}");
        }
    }

    #[test]
    fn numbers_begin_with_their_first_bit() {
        for (bytes, want) in [
            (&[0, 0, 1][..], Some(&[0, 1, 1][..])),
            (&[0x80, 0], Some(&[0, 16, 0x80, 0])),
            (&[0x7f, 1], Some(&[0, 15, 0x7f, 1])),
            (&[0], None),
            (&[], None),
        ] {
            assert_eq!(number(bytes).as_deref(), want, "{bytes:?}");
        }
    }
}
