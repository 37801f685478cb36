//! OpenSSH's key revocation lists (PROTOCOL.krl), read whole or not at all.
//!
//! Whatever is not understood is an error: a list of which a part was passed over would let a revoked key stand. What is kept
//! is never larger than the file: ranges stay ranges, bitmaps stay bitmaps.

use super::public_key::revoked_blob;
use crate::evidence::{Certificate, Key};
use crate::signature::ssh::PublicKey;
use crate::signature::ssh::fingerprint::{sha1, sha256};
use crate::signature::ssh::wire::{Reader, WireError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How a list begins.
pub const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;
/// The largest number that OpenSSH reads (`SSHBUF_MAX_BIGNUM`), in bytes.
const MAX_BITMAP: usize = 16_384 / 8;

/// Why a list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KrlError {
    /// It ends early, or its lengths do not agree.
    #[error("the KRL is cut short or damaged")]
    Damaged,
    /// Another version of the format.
    #[error("the KRL is of format {0}; only {FORMAT} is known")]
    Format(u32),
    /// A section of a kind that is not known.
    #[error("the KRL has a section of the unknown kind {0}")]
    Section(u8),
    /// A section about certificates of a kind that is not known.
    #[error("the KRL has a certificate section of the unknown kind {0}")]
    CertificateSection(u8),
    /// A signature inside that does not hold.
    #[error("the KRL's own signature does not hold: {0}")]
    Signature(&'static str),
    /// An extension that says that it must be understood.
    #[error("the KRL has a critical extension that is not known: `{0}`")]
    Extension(String),
    /// A key that cannot be read.
    #[error("the KRL names a key that cannot be read")]
    Key,
    /// Serial numbers that cannot be: 0, or a range whose end lies before its start.
    #[error("the KRL names serial numbers that cannot be (0, or a range that ends before it begins)")]
    Serial,
    /// Nothing is revoked by it.
    #[error("the KRL revokes nothing; remove the setting if nothing is revoked")]
    Empty,
}

impl From<WireError> for KrlError {
    fn from(_: WireError) -> Self {
        Self::Damaged
    }
}

/// A list.
#[derive(Clone, Debug, Default)]
pub struct Krl {
    keys: HashSet<Vec<u8>>,
    sha1: HashSet<Vec<u8>>,
    sha256: HashSet<Vec<u8>>,
    /// By the authority's blob; empty for any authority.
    certificates: HashMap<Vec<u8>, Certificates>,
}

/// What is revoked of one authority's certificates.
#[derive(Clone, Debug, Default)]
struct Certificates {
    /// In order and apart from each other, both ends belonging to them.
    ranges: Vec<(u64, u64)>,
    bitmaps: Vec<Bitmap>,
    key_ids: HashSet<Vec<u8>>,
}

/// Bit n of the number stands for the serial `first + n`.
#[derive(Clone, Debug)]
struct Bitmap {
    first: u64,
    /// Big-endian, without leading zeros.
    digits: Vec<u8>,
}

impl Krl {
    /// Reads a list.
    ///
    /// # Errors
    /// Where anything in it is damaged or not understood, or where it revokes nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, KrlError> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC).ok_or(KrlError::Damaged)?);
        let format = reader.u32()?;
        if format != FORMAT {
            return Err(KrlError::Format(format));
        }
        let (_version, _generated, _flags) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (_reserved, _comment) = (reader.string()?, c_string(&mut reader)?);
        let (mut krl, mut signers) = (Self::default(), Vec::<Arc<Key>>::new());
        while !reader.rest().is_empty() {
            let kind = reader.byte()?;
            let mut section = Reader::new(reader.string()?);
            match kind {
                kind if kind != 4 && !signers.is_empty() => return Err(KrlError::Signature("something follows it")),
                1 => krl.read_certificates(&mut section)?,
                2 => each(&mut section, |blob| Ok(krl.keys.insert(canonical(blob)?)))?,
                3 => each(&mut section, |hash| fingerprint(&mut krl.sha1, hash, 20))?,
                4 => {
                    let key = PublicKey::parse(section.take(section.rest().len())?).map_err(|_| KrlError::Key)?;
                    let signed = bytes.get(..bytes.len() - reader.rest().len()).ok_or(KrlError::Damaged)?;
                    key.verify(signed, reader.string()?).map_err(|_| KrlError::Signature("it is not the key's"))?;
                    if signers.iter().any(|signer| signer.wire() == key.info().wire()) {
                        return Err(KrlError::Signature("the same key signed twice"));
                    }
                    signers.push(Arc::clone(key.info()));
                }
                5 => each(&mut section, |hash| fingerprint(&mut krl.sha256, hash, 32))?,
                255 => extension(&mut section)?,
                other => return Err(KrlError::Section(other)),
            }
            section.finish()?;
        }
        krl.certificates.values_mut().for_each(Certificates::settle);
        // whose signature it is, is for nobody here to say; one that it revokes does not count
        if !signers.is_empty() && signers.iter().all(|key| krl.revokes_key(key)) {
            return Err(KrlError::Signature("the list revokes the key that made it"));
        }
        if krl.is_empty() { Err(KrlError::Empty) } else { Ok(krl) }
    }

    /// Whether a key is revoked, whatever certificate it came with.
    pub fn revokes_key(&self, key: &Key) -> bool {
        self.keys.contains(&key.blob)
            || (!self.sha1.is_empty() && self.sha1.contains(&sha1(&key.blob)))
            || (!self.sha256.is_empty() && self.sha256.contains(&sha256(&key.blob)))
    }

    /// Whether a certificate is revoked by its serial number or its key id; whether its keys are is not looked at.
    pub fn revokes_certificate(&self, certificate: &Certificate) -> bool {
        let by_its_authority = self.certificates.get(&certificate.authority.blob);
        [by_its_authority, self.certificates.get(b"".as_slice())].into_iter().flatten().any(|list| list.contains(certificate))
    }

    fn is_empty(&self) -> bool {
        let hashes = self.keys.is_empty() && self.sha1.is_empty() && self.sha256.is_empty();
        hashes && self.certificates.values().all(Certificates::is_empty)
    }

    fn read_certificates(&mut self, section: &mut Reader<'_>) -> Result<(), KrlError> {
        let authority = match section.string()? {
            b"" => Vec::new(),
            blob => canonical(blob)?,
        };
        section.string()?; // reserved
        let list = self.certificates.entry(authority).or_default();
        while !section.rest().is_empty() {
            let kind = section.byte()?;
            let mut part = Reader::new(section.string()?);
            match kind {
                0x20 => {
                    while !part.rest().is_empty() {
                        let serial = part.u64()?;
                        list.add_range(serial, serial)?;
                    }
                }
                0x21 => list.add_range(part.u64()?, part.u64()?)?,
                0x22 => list.add_bitmap(part.u64()?, part.mpint()?.0)?,
                0x23 => {
                    while !part.rest().is_empty() {
                        list.key_ids.insert(c_string(&mut part)?.to_vec());
                    }
                }
                0x39 => extension(&mut part)?,
                other => return Err(KrlError::CertificateSection(other)),
            }
            part.finish()?;
        }
        Ok(())
    }
}

impl Certificates {
    fn add_range(&mut self, low: u64, high: u64) -> Result<(), KrlError> {
        if low == 0 || low > high {
            return Err(KrlError::Serial);
        }
        self.ranges.push((low, high));
        Ok(())
    }

    /// OpenSSH takes the number bit by bit, and so refuses one whose bits lead past the last serial or name serial 0.
    fn add_bitmap(&mut self, first: u64, digits: &[u8]) -> Result<(), KrlError> {
        if digits.len() > MAX_BITMAP {
            return Err(KrlError::Damaged);
        }
        let Some(top) = digits.first() else { return Ok(()) };
        let bits = u64::try_from(digits.len()).unwrap_or(u64::MAX) * 8 - u64::from(top.leading_zeros());
        let bitmap = Bitmap { first, digits: digits.to_vec() };
        if first.checked_add(bits - 1).is_none() || (first == 0 && bitmap.bit(0)) {
            return Err(KrlError::Serial);
        }
        self.bitmaps.push(bitmap);
        Ok(())
    }

    /// Puts the ranges in order and those that touch together.
    fn settle(&mut self) {
        self.ranges.sort_unstable();
        let mut apart: Vec<(u64, u64)> = Vec::with_capacity(self.ranges.len());
        for &(low, high) in &self.ranges {
            match apart.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => apart.push((low, high)),
            }
        }
        self.ranges = apart;
    }

    fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.bitmaps.is_empty() && self.key_ids.is_empty()
    }

    /// A serial of 0 is that of authorities that do not count: no list that is read names it.
    fn contains(&self, certificate: &Certificate) -> bool {
        let serial = certificate.serial;
        self.key_ids.contains(&certificate.key_id)
            || self.in_range(serial)
            || self.bitmaps.iter().any(|bitmap| bitmap.contains(serial))
    }

    fn in_range(&self, serial: u64) -> bool {
        let after = self.ranges.partition_point(|&(low, _)| low <= serial);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|&(_, high)| serial <= high)
    }
}

impl Bitmap {
    fn bit(&self, n: u64) -> bool {
        let byte = usize::try_from(n / 8).ok().and_then(|byte| self.digits.iter().rev().nth(byte));
        byte.is_some_and(|byte| byte & (1 << (n % 8)) != 0)
    }

    fn contains(&self, serial: u64) -> bool {
        serial.checked_sub(self.first).is_some_and(|n| self.bit(n))
    }
}

/// The strings of a section.
fn each<'a>(section: &mut Reader<'a>, mut take: impl FnMut(&'a [u8]) -> Result<bool, KrlError>) -> Result<(), KrlError> {
    while !section.rest().is_empty() {
        take(section.string()?)?;
    }
    Ok(())
}

fn fingerprint(set: &mut HashSet<Vec<u8>>, hash: &[u8], length: usize) -> Result<bool, KrlError> {
    if hash.len() == length { Ok(set.insert(hash.to_vec())) } else { Err(KrlError::Damaged) }
}

/// A string that holds no zero byte.
fn c_string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], KrlError> {
    let string = reader.string()?;
    if string.contains(&0) { Err(KrlError::Damaged) } else { Ok(string) }
}

/// A name, whether it must be understood, and what it holds. None is known.
fn extension(section: &mut Reader<'_>) -> Result<(), KrlError> {
    let (name, critical, _contents) = (c_string(section)?, section.byte()?, section.string()?);
    if critical == 0 { Ok(()) } else { Err(KrlError::Extension(String::from_utf8_lossy(name).escape_debug().to_string())) }
}

/// A plain key's blob in the form that keys are compared in.
fn canonical(blob: &[u8]) -> Result<Vec<u8>, KrlError> {
    revoked_blob(blob, PublicKey::parse_plain(blob)).ok_or(KrlError::Key)
}

#[cfg(test)]
mod tests;
