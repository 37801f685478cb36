//! Distinguished names (RFC 5280 §4.1.2.4) as people read them. What belongs together is told by their bytes, never by this.

use super::ber::{self, BerError, Element, Reader};
use super::cms::dotted;
use crate::evidence::Name;

/// More parts than these are not read.
const MOST: usize = 32;
/// More bytes of a part than these are not shown.
const MOST_SHOWN: usize = 200;

const BMP_STRING: u8 = 0x1e;
const IA5_STRING: u8 = 0x16;
const T61_STRING: u8 = 0x14;

/// The last number below 2.5.4, and how the type is shortened.
const TYPES: [(u8, &str); 13] = [
    (3, "CN"),
    (4, "SN"),
    (5, "SerialNumber"),
    (6, "C"),
    (7, "L"),
    (8, "ST"),
    (9, "STREET"),
    (10, "O"),
    (11, "OU"),
    (12, "T"),
    (13, "Description"),
    (42, "GN"),
    (65, "Pseudo"),
];
const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
const DOMAIN: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19];

/// The parts of a name, of the content of its sequence; empty where it cannot be read.
pub(super) fn read(content: &[u8]) -> Name {
    parts(content).map(Name).unwrap_or_default()
}

fn parts(content: &[u8]) -> Result<Vec<(String, String)>, BerError> {
    let mut reader = Reader::der(content);
    let mut found = Vec::new();
    while !reader.is_empty() && found.len() < MOST {
        let mut set = Reader::der(reader.next(ber::SET)?.content);
        while !set.is_empty() && found.len() < MOST {
            let mut part = Reader::der(set.next(ber::SEQUENCE)?.content);
            let kind = part.next(ber::OID)?.content;
            found.push((short(kind), text(part.any()?)));
        }
    }
    Ok(found)
}

fn short(kind: &[u8]) -> String {
    let known = match kind {
        [0x55, 0x04, last] => TYPES.iter().find(|(number, _)| number == last).map(|(_, name)| *name),
        EMAIL => Some("EMail"),
        DOMAIN => Some("DC"),
        _ => None,
    };
    known.map_or_else(|| dotted(kind), str::to_owned)
}

fn text(value: Element<'_>) -> String {
    let content = value.content.get(..MOST_SHOWN).unwrap_or(value.content);
    match value.tag {
        BMP_STRING => {
            let units = content.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
            char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        T61_STRING => content.iter().copied().map(char::from).collect(),
        ber::UTF8_STRING | ber::PRINTABLE_STRING | IA5_STRING => String::from_utf8_lossy(content).into_owned(),
        _ => hex::encode(content),
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::der;
    use super::*;

    fn part(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        der(ber::SET, &der(ber::SEQUENCE, &[der(ber::OID, kind), der(tag, value)].concat()))
    }

    #[test]
    fn names_as_gpgsm_and_rfc_4514_write_them() {
        let content = [
            part(&[0x55, 4, 6], ber::PRINTABLE_STRING, b"DE"),
            part(&[0x55, 4, 10], ber::UTF8_STRING, "Ö".as_bytes()),
            part(EMAIL, IA5_STRING, b"a@x"),
            part(&[0x55, 4, 3], BMP_STRING, &[0, b'A', 0x20, 0xac]),
            part(&[0x55, 4, 99], T61_STRING, &[0xe4]),
        ]
        .concat();
        let name = read(&content);
        assert_eq!(name.to_string(), "2.5.4.99=ä,CN=A€,EMail=a@x,O=Ö,C=DE");
        assert_eq!(name.as_gpgsm(), "/CN=A€/O=Ö/C=DE/2.5.4.99=ä/EMail=a@x");
        let slash = read(&part(&[0x55, 4, 3], ber::UTF8_STRING, b"Alice/O=Google"));
        assert_eq!(slash.as_gpgsm(), "/CN=Alice\\/O=Google");
        for bad in [&b"\x31"[..], &[0x31, 2, 5, 0], &[0x30, 0]] {
            assert_eq!(read(bad), Name::default());
        }
        assert_eq!(read(&part(&[0x55, 4, 3], ber::UTF8_STRING, &[b'a'; 500]).repeat(40)).0.len(), MOST);
    }
}
