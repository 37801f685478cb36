//! The form in which gitsign embedded log entries in January of 2023: one unsigned attribute a field (1.3.6.1.4.1.57264.3.0 to .8).

use super::ber::{self, Element, Reader};
use super::entry::{Entry, EntryError, Proof, Version};

/// 1.3.6.1.4.1.57264.3, to which one number is added.
const REKOR: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x03];
const TIME: u8 = 0;
const LOG: u8 = 1;
const INDEX: u8 = 2;
const PROMISE: u8 = 3;
const CHECKPOINT: u8 = 4;
const HASHES: u8 = 5;
const ROOT: u8 = 6;
const SIZE: u8 = 7;
const PROOF_INDEX: u8 = 8;

/// The entry in these attributes; `None` where they are not of this form.
///
/// # Errors
/// Where a field is missing or malformed.
pub(super) fn read(attributes: &[(&[u8], Element<'_>)]) -> Option<Result<Entry, EntryError>> {
    let field = |number: u8| attributes.iter().find(|(oid, _)| oid.strip_prefix(REKOR) == Some(&[number])).map(|(_, value)| *value);
    field(PROMISE).is_some().then(|| entry(&field))
}

fn entry<'a>(field: &dyn Fn(u8) -> Option<Element<'a>>) -> Result<Entry, EntryError> {
    let get = |number: u8, tag: u8| field(number).filter(|it| it.tag == tag).map(|it| it.content).ok_or(EntryError::Form);
    let number = |which: u8| get(which, ber::INTEGER).and_then(number);
    let mut reader = Reader::der(get(HASHES, ber::SEQUENCE)?);
    let mut hashes = Vec::new();
    while !reader.is_empty() {
        hashes.push(hash(reader.next(ber::PRINTABLE_STRING).map_err(|_| EntryError::Form)?.content)?);
        if hashes.len() > 64 {
            return Err(EntryError::Long);
        }
    }
    let proof = Proof {
        index: number(PROOF_INDEX)?,
        root: hash(get(ROOT, ber::PRINTABLE_STRING)?)?,
        size: number(SIZE)?,
        hashes,
        checkpoint: String::from_utf8(get(CHECKPOINT, ber::UTF8_STRING)?.to_vec()).map_err(|_| EntryError::Text)?,
    };
    Ok(Entry {
        index: number(INDEX)?,
        log: hash(get(LOG, ber::PRINTABLE_STRING)?)?,
        version: Version::V1,
        time: Some(i64::try_from(number(TIME)?).map_err(|_| EntryError::Range)?),
        promise: Some(get(PROMISE, ber::OCTET_STRING)?.to_vec()),
        proof: Some(proof),
        plain: true,
    })
}

fn number(digits: &[u8]) -> Result<u64, EntryError> {
    match digits {
        [] => Err(EntryError::Form),
        [0x80..=0xff, ..] => Err(EntryError::Range),
        _ if digits.len() > 8 => Err(EntryError::Range),
        _ => Ok(digits.iter().fold(0, |sum, &digit| (sum << 8) | u64::from(digit))),
    }
}

/// 32 bytes in lowercase hexadecimal.
fn hash(text: &[u8]) -> Result<[u8; 32], EntryError> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) if !text.iter().any(u8::is_ascii_uppercase) => Ok(bytes),
        _ => Err(EntryError::Hash),
    }
}
