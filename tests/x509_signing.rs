//! Keyless signatures are put together byte for byte as gitsign put together those of real histories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

#[path = "support/corpus.rs"]
mod support;

use git_warrant::armor::{decode_cms, encode_cms};
use git_warrant::object::{Commit, HashAlgorithm};
use git_warrant::signature::x509::sign::{Inclusion, Leaf, LogEntry, Proofs, SignedAttributes, assemble};
use support::{Item, shared, table};

/// One DER value: tag, content, and what follows. The corpus is well-formed.
fn value(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, head) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            (der[2..2 + count].iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), 2 + count)
        }
    };
    (der[0], &der[head..head + length], &der[head + length..])
}

fn values(mut der: &[u8]) -> Vec<(u8, &[u8], &[u8])> {
    let mut all = Vec::new();
    while !der.is_empty() {
        let (tag, content, rest) = value(der);
        all.push((tag, content, &der[..der.len() - rest.len()]));
        der = rest;
    }
    all
}

/// The fields of a protobuf message: numbers as they are, everything else as bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let number = varint(&mut bytes);
        let length = if key & 7 == 2 { usize::try_from(number).unwrap() } else { 0 };
        all.push((key >> 3, number, &bytes[..length]));
        bytes = &bytes[length..];
    }
    all
}

fn entry(bytes: &[u8]) -> LogEntry {
    let mut entry = LogEntry::default();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for (field, number, content) in fields(bytes) {
        match field {
            1 => entry.index = number,
            2 => entry.log_id = fields(content)[0].2.to_vec(),
            3 => (entry.kind, entry.version) = (text(fields(content)[0].2), text(fields(content)[1].2)),
            4 => entry.integrated = i64::try_from(number).unwrap(),
            5 => entry.promise = fields(content)[0].2.to_vec(),
            6 => {
                let mut inclusion = Inclusion::default();
                for (field, number, content) in fields(content) {
                    match field {
                        1 => inclusion.index = number,
                        2 => inclusion.root = content.to_vec(),
                        3 => inclusion.size = number,
                        4 => inclusion.hashes.push(content.to_vec()),
                        5 => inclusion.checkpoint = text(fields(content)[0].2),
                        _ => panic!("field {field}"),
                    }
                }
                entry.inclusion = Some(inclusion);
            }
            _ => panic!("field {field}"),
        }
    }
    entry
}

/// Seconds since 1970 of a UTCTime.
fn seconds(text: &[u8]) -> i64 {
    let text = format!("20{}", std::str::from_utf8(text).unwrap().trim_end_matches('Z'));
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).unwrap();
    civil.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second()
}

#[test]
fn real_signatures_are_put_together_again() {
    const LOG_ENTRY: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x03, 0x01];
    let Some(corpus) = shared("corpus", "keyless signatures put together again", 320) else { return };
    let (mut plain, mut with_entry, mut prototype, mut chains) = (0, 0, 0, 0);
    for name in ["x509-gitsign", "x509-source-integrity-demo"] {
        let rows = table(&corpus.join(format!("oracle/{name}.sig.tsv.xz")));
        let ids: Vec<&str> = rows.iter().filter(|row| row[3] == "x509" && row[1] == "gpgsig").map(|row| row[0].as_str()).collect();
        for (kind, raw) in Item::unpack(&corpus, name).read(&ids) {
            assert_eq!(kind, "commit");
            let commit = Commit::parse(&raw, HashAlgorithm::Sha1);
            let armored = commit.signature.unwrap();
            let (der, _) = decode_cms(&armored).unwrap();
            // ContentInfo, SignedData, SignerInfo
            let signed_data = value(values(value(&der).1)[1].1).1;
            let parts = values(signed_data);
            let certificates = values(parts[3].1);
            if certificates.len() > 1 {
                chains += 1;
                continue;
            }
            let leaf = Leaf::parse(certificates[0].2).unwrap();
            let signer = values(value(parts[4].1).1);
            let attributes = values(signer[3].1);
            let time = seconds(value(values(attributes[1].1)[1].1).1);
            let made = SignedAttributes::new(&commit.payload.to_vec(), time);
            assert_eq!(value(made.as_der()).1, signer[3].1, "{:x?}", made.as_der());
            let unsigned = signer.get(6).map(|attributes| values(attributes.1)).unwrap_or_default();
            let embedded = match &unsigned[..] {
                [] => None,
                [only] if values(only.1)[0].1 == LOG_ENTRY => Some(entry(value(values(only.1)[1].1).1)),
                _ => {
                    prototype += 1;
                    continue;
                }
            };
            *(if embedded.is_some() { &mut with_entry } else { &mut plain }) += 1;
            let again = assemble(&leaf, &made, signer[5].1, Proofs { entry: embedded.as_ref(), timestamp: None });
            assert_eq!(encode_cms(&again), armored);
            assert!(leaf.subject.is_some() && leaf.vouched_by.is_some(), "{leaf:?}");
            // the signer's clock may be a little off
            assert!(leaf.not_before - 60 <= time && time <= leaf.not_after, "{leaf:?} {time}");
        }
    }
    println!(
        "{plain} without an entry, {with_entry} with one, {prototype} in the form of 2023-01, {chains} with more certificates"
    );
    assert_eq!((plain, with_entry, prototype, chains), (296, 19, 1, 4));
}
