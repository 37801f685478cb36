//! OpenPGP's ASCII armour (RFC 9580 §6) around detached signatures and certificates.

use super::{ArmorError, ArmorForm, Format};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const SIGNATURES: [&[u8]; 2] = [b"PGP SIGNATURE", b"PGP MESSAGE"];
const CERTIFICATE: &[u8] = b"PGP PUBLIC KEY BLOCK";
const KEYS: [&[u8]; 2] = [CERTIFICATE, b"PGP PRIVATE KEY BLOCK"];
/// GnuPG breaks lines after this many characters.
const COLUMNS: usize = 64;

/// Takes the armour off a signature, as leniently as GnuPG does: headers, comments and any line length. A checksum that is
/// there must be right.
///
/// # Errors
/// Where a marker is missing, the base64 or the checksum is wrong, or a second signature follows.
pub fn decode_openpgp(armored: &[u8]) -> Result<(Vec<u8>, ArmorForm), ArmorError> {
    let (block, mut rest) = block(armored, &SIGNATURES)?;
    if rest.any(|line| Format::sniff(line).is_some()) {
        return Err(ArmorError::Several);
    }
    let blob = block.decode()?;
    if encode_openpgp(&blob) == armored {
        return Ok((blob, ArmorForm::Canonical)); // with its checksum, where it has one
    }
    block.check(&blob)?;
    Ok((blob, ArmorForm::Loose))
}

/// Takes the armour off all the signatures of a file, which may stand in several blocks; other lines are passed over.
///
/// # Errors
/// As [`decode_openpgp`] for the first block that cannot be read.
pub fn decode_openpgp_blocks(armored: &[u8]) -> Result<Vec<u8>, ArmorError> {
    let (mut blobs, mut rest) = (Vec::new(), armored);
    while !rest.is_empty() {
        let next = memchr::memmem::find_iter(rest, b"\n-----BEGIN ").next().map_or(rest.len(), |at| at + 1);
        let (one, after) = rest.split_at(next);
        blobs.extend(decode_openpgp(one)?.0);
        rest = after;
    }
    Ok(blobs)
}

/// Takes the armour off one block of keys, as leniently.
///
/// # Errors
/// Where a marker is missing, or the base64 or the checksum is wrong.
pub fn decode_keys(armored: &[u8]) -> Result<Vec<u8>, ArmorError> {
    let (block, _) = block(armored, &KEYS)?;
    let blob = block.decode()?;
    block.check(&blob)?;
    Ok(blob)
}

/// What stands between two markers.
struct Block {
    /// It may be that of a secret key.
    base64: Zeroizing<Vec<u8>>,
    checksum: Option<Vec<u8>>,
}

impl Block {
    fn decode(&self) -> Result<Vec<u8>, ArmorError> {
        STANDARD.decode(self.base64.as_slice()).map_err(|_| ArmorError::InvalidBase64)
    }

    fn check(&self, blob: &[u8]) -> Result<(), ArmorError> {
        match &self.checksum {
            Some(sum) if STANDARD.encode(crc24(blob)).as_bytes() != sum => Err(ArmorError::InvalidBase64),
            _ => Ok(()),
        }
    }
}

/// The block of one of some kinds that armour begins with, and the lines that follow.
fn block<'a>(armored: &'a [u8], kinds: &[&'static [u8]]) -> Result<(Block, impl Iterator<Item = &'a [u8]>), ArmorError> {
    let mut lines = armored.split(|&b| b == b'\n').map(trim);
    let first = lines.next().unwrap_or_default();
    let kind = kinds.iter().find(|kind| is_marker(first, b"BEGIN", kind)).ok_or(ArmorError::MissingHeader)?;
    let (mut checksum, mut in_headers, mut ended) = (None, true, false);
    let mut body = Zeroizing::new(Vec::with_capacity(armored.len())); // what grows leaves copies behind
    for line in lines.by_ref() {
        if is_marker(line, b"END", kind) {
            ended = true;
            break;
        }
        if in_headers && (line.is_empty() || !line.contains(&b':')) {
            in_headers = false; // the blank line, or one that somebody lost
        }
        match (in_headers, line.strip_prefix(b"=")) {
            (true, _) => {}
            (false, Some(sum)) if checksum.is_none() => checksum = Some(sum.to_vec()),
            (false, Some(_)) => return Err(ArmorError::InvalidBase64),
            (false, None) if checksum.is_some() && !line.is_empty() => return Err(ArmorError::InvalidBase64),
            (false, None) => line.split(|b| matches!(b, b' ' | b'\t')).for_each(|part| body.extend_from_slice(part)),
        }
    }
    if !ended {
        return Err(ArmorError::MissingFooter);
    }
    Ok((Block { base64: body, checksum }, lines))
}

/// Armours a signature byte for byte as GnuPG 2.2 does: no headers, lines of 64 characters, a checksum, a newline at the end. A
/// signature of version 6 has no checksum (RFC 9580 §6.1).
pub fn encode_openpgp(blob: &[u8]) -> Vec<u8> {
    encode(blob, b"PGP SIGNATURE", !is_version_6(blob))
}

/// Armours certificates as GnuPG does.
pub fn encode_certificate(blob: &[u8]) -> Vec<u8> {
    encode(blob, CERTIFICATE, true)
}

/// Whether the first packet is a signature of version 6: its header has the new format, and two bytes or three.
fn is_version_6(blob: &[u8]) -> bool {
    matches!(blob, [0xc2, 0..192, 6, ..] | [0xc2, 192..224, _, 6, ..])
}

fn encode(blob: &[u8], kind: &[u8], checksum: bool) -> Vec<u8> {
    let base64 = STANDARD.encode(blob);
    let mut out = Vec::with_capacity(base64.len() + base64.len() / COLUMNS + 100); // markers and checksum
    [b"-----BEGIN ", kind, b"-----\n\n"].iter().for_each(|part| out.extend_from_slice(part));
    for line in base64.as_bytes().chunks(COLUMNS) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    if checksum {
        out.push(b'=');
        out.extend_from_slice(STANDARD.encode(crc24(blob)).as_bytes());
        out.push(b'\n');
    }
    [b"-----END ", kind, b"-----\n"].iter().for_each(|part| out.extend_from_slice(part));
    out
}

fn is_marker(line: &[u8], word: &[u8], kind: &[u8]) -> bool {
    let inside = line.strip_prefix(b"-----").and_then(|rest| rest.strip_suffix(b"-----"));
    inside.and_then(|inside| inside.strip_prefix(word)?.strip_prefix(b" ")) == Some(kind)
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// What a byte does to the checksum of RFC 9580 §6.1.1.
const CRC24: [u32; 256] = {
    let (mut table, mut next) = ([0; 256], 0);
    let mut byte: u32 = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte << 16, 0);
        while bit < 8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
            bit += 1;
        }
        table[next] = crc;
        next += 1;
        byte += 1;
    }
    table
};

/// RFC 9580 §6.1.1.
fn crc24(bytes: &[u8]) -> [u8; 3] {
    let step = |crc: u32, byte: &u8| {
        let [_, high, ..] = crc.to_be_bytes();
        (crc << 8 & 0x00ff_ffff) ^ CRC24.get(usize::from(high ^ byte)).copied().unwrap_or_default()
    };
    let [_, a, b, c] = bytes.iter().fold(0x00b7_04ce, step).to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_forms() {
        let blob: Vec<u8> = (0..=200).collect();
        let text = String::from_utf8(encode_openpgp(&blob)).unwrap();
        assert_eq!(decode_openpgp(text.as_bytes()), Ok((blob.clone(), ArmorForm::Canonical)));
        let body: String = text.lines().skip(2).take_while(|line| !line.starts_with('=')).collect();
        for variant in [
            text.replace("SIGNATURE", "MESSAGE"),
            text.replacen("\n\n", "\nVersion: GnuPG v1\nComment: a: b\n\n", 1),
            text.replace('\n', "\r\n"),
            format!("{text}trailing\n"),
            text.trim_end().to_owned(),
            format!("-----BEGIN PGP SIGNATURE-----\n\n{body}\n-----END PGP SIGNATURE-----\n"),
            text.replacen("AAEC", "AA EC", 1),
            text.replacen("\n\n", "\n", 1),
        ] {
            assert_eq!(decode_openpgp(variant.as_bytes()), Ok((blob.clone(), ArmorForm::Loose)), "{variant}");
        }
    }

    #[test]
    fn a_signature_of_version_6_has_no_checksum() {
        for (blob, bare) in
            [(&[0xc2, 3, 6, 0, 1][..], true), (&[0xc2, 200, 9, 6, 0], true), (&[0xc2, 3, 4, 0, 1], false), (&[0xc2], false)]
        {
            let text = String::from_utf8(encode_openpgp(blob)).unwrap();
            assert_eq!(!text.contains("\n="), bare, "{text}");
            assert_eq!(decode_openpgp(text.as_bytes()), Ok((blob.to_vec(), ArmorForm::Canonical)));
            let sum = STANDARD.encode(crc24(blob));
            let summed = text.replace("\n-----END", &format!("\n={sum}\n-----END"));
            let form = decode_openpgp(summed.as_bytes()).map(|(_, form)| form);
            assert_eq!(form, if bare { Ok(ArmorForm::Loose) } else { Err(ArmorError::InvalidBase64) }, "{summed}");
        }
    }

    #[test]
    fn errors() {
        let text = String::from_utf8(encode_openpgp(b"abcd")).unwrap();
        let sum = text.lines().find(|line| line.starts_with('=')).unwrap();
        for (bad, error) in [
            (String::new(), ArmorError::MissingHeader),
            (format!(" {text}"), ArmorError::MissingHeader),
            (text.replace("BEGIN PGP SIGNATURE", "BEGIN PGP PUBLIC KEY BLOCK"), ArmorError::MissingHeader),
            (text.replace("BEGIN PGP SIGNATURE", "BEGIN PGP MESSAGE"), ArmorError::InvalidBase64),
            (text.replace("END", "FIN"), ArmorError::InvalidBase64),
            (text.replace("-----END PGP SIGNATURE-----", ""), ArmorError::MissingFooter),
            (text.replace(sum, "=AAAA"), ArmorError::InvalidBase64),
            (text.replace(sum, &format!("{sum}\n{sum}")), ArmorError::InvalidBase64),
            (text.replace(sum, &format!("{sum}\nYWJj")), ArmorError::InvalidBase64),
            (text.replace("YWJj", "YW*j"), ArmorError::InvalidBase64),
            (text.repeat(2), ArmorError::Several),
        ] {
            assert_eq!(decode_openpgp(bad.as_bytes()), Err(error), "{bad}");
        }
    }

    #[test]
    fn several_blocks() {
        let one = String::from_utf8(encode_openpgp(b"abcd")).unwrap();
        let two = String::from_utf8(encode_openpgp(b"efgh")).unwrap();
        for text in [format!("{one}{two}"), format!("{one}text\n{two}text")] {
            assert_eq!(decode_openpgp_blocks(text.as_bytes()), Ok(b"abcdefgh".to_vec()), "{text}");
        }
        for bad in [
            format!("{one}{}", two.replace("ZW", "Z*")),
            format!("{one}-----BEGIN PGP PUBLIC KEY BLOCK-----\n"),
            one.replace("END", "E"),
        ] {
            assert!(decode_openpgp_blocks(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn blocks_of_keys() {
        let text = String::from_utf8(encode_certificate(b"abcd")).unwrap();
        assert!(text.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nYWJj"), "{text}");
        for good in [text.clone(), text.replace("PUBLIC", "PRIVATE"), text.replacen("\n\n", "\nComment: x\n\n", 1)] {
            assert_eq!(decode_keys(good.as_bytes()), Ok(b"abcd".to_vec()), "{good}");
        }
        assert_eq!(decode_keys(&encode_openpgp(b"abcd")), Err(ArmorError::MissingHeader));
        assert_eq!(decode_openpgp(text.as_bytes()), Err(ArmorError::MissingHeader));
    }

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc24(b""), [0xb7, 0x04, 0xce]);
        assert_eq!(crc24(b"123456789"), [0x21, 0xcf, 0x02]);
    }
}
