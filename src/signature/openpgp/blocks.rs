//! Blocks of armoured keys in a text: what stands beside them is read by nobody, so it must not be what somebody took for one.

use super::import::ImportError;
use super::packet;
use super::sift::{begin_with_key, is_primary};
use crate::armor;

const BEGIN: &[u8] = b"-----BEGIN PGP ";
const KINDS: [&[u8]; 2] = [b"PUBLIC KEY BLOCK", b"PRIVATE KEY BLOCK"];
/// What Windows puts in front of UTF-8, and so between files that were joined.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// What mends most of it.
pub(super) const MEND: &str = "export it again (gpg --armor --export), or take it out";

/// Whether bytes begin with a certificate or a secret key in OpenPGP packets, or with revocations before one, even if they are cut
/// off later: no armour that somebody put into a user id counts then.
pub fn is_packets(file: &[u8]) -> bool {
    let whole = || packet::tags(file).is_ok_and(|tags| begin_with_key(&tags));
    packet::first_tag(file).is_some_and(is_primary) && std::str::from_utf8(file).is_err() || whole()
}

/// Whether text has a block of OpenPGP armour, whatever is in it.
pub fn has_armor(file: &[u8]) -> bool {
    file.split(|&b| b == b'\n').any(|line| plain(line).starts_with(BEGIN))
}

/// Whether the beginning of a block stands anywhere in it.
pub(super) fn mentions_armor(file: &[u8]) -> bool {
    memchr::memmem::find(file, BEGIN).is_some()
}

/// What a text holds.
#[derive(Default)]
pub(super) struct Blocks {
    /// The packets of each block of keys, and the line on which it begins.
    pub(super) keys: Vec<(usize, Vec<u8>)>,
    /// The lines on which blocks of other kinds begin.
    pub(super) others: Vec<usize>,
}

/// Takes a text apart whose first line has the number `first`.
///
/// # Errors
/// Where a block cannot be read, or what stands beside the blocks is no text, or may be a block that would not be read.
pub(super) fn blocks(text: &[u8], first: usize) -> Result<Blocks, ImportError> {
    let mut found = Blocks::default();
    let mut block: Option<(usize, &[u8], Vec<u8>)> = None;
    let error = |line: usize, what: String| ImportError { line: Some(line), what };
    for (number, line) in (first..).zip(text.split(|&b| b == b'\n')) {
        let line = if block.is_some() { line.trim_ascii() } else { plain(line) };
        let begun = KINDS.into_iter().find(|kind| line == [BEGIN, kind, b"-----"].concat());
        match (&mut block, begun) {
            (Some((start, ..)), Some(_)) => {
                return Err(error(*start, format!("the block has no end before line {number}; {MEND}")));
            }
            (None, Some(kind)) => block = Some((number, kind, [line, b"\n"].concat())),
            (Some((_, kind, text)), None) => {
                text.extend([line, b"\n"].concat());
                if line != [b"-----END PGP ", *kind, b"-----"].concat() {
                    continue;
                }
                let Some((start, _, text)) = block.take() else { continue };
                let packets = armor::decode_keys(&text)
                    .map_err(|why| error(start, format!("the armour of the block cannot be read ({why}); {MEND}")))?;
                found.keys.push((start, packets));
            }
            (None, None) if line.starts_with(BEGIN) => found.others.push(number),
            (None, None) if mentions_armor(line) => {
                return Err(error(number, format!("{INSIDE}; {INSIDE_MEND}")));
            }
            // each packet of a key or a signature has one: its version
            (None, None) if line.iter().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\r' | 0x0b | 0x0c)) => {
                return Err(error(
                    number,
                    format!("what stands beside the blocks is no text, and would not be read; {BINARY_MEND}"),
                ));
            }
            (None, None) => {}
        }
    }
    match block {
        Some((start, ..)) => Err(error(start, format!("the block has no end; {MEND}"))),
        None => Ok(found),
    }
}

const INSIDE: &str = "a block begins within the line, so that it would not be read";
const INSIDE_MEND: &str =
    "if it is to count, take away what stands before it (of a revocation that gpg keeps, the colon), or take the block out";
const BINARY_MEND: &str = "put packets without armour into armour (gpg --armor --export, gpg --enarmor), or take them out";

/// A line without what may stand around a marker.
fn plain(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_prefix(BOM).map_or(line, <[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_a_block_is_text_and_no_block() {
        let block = String::from_utf8(armor::encode_certificate(b"\x99ab")).unwrap();
        let found = |text: &[u8]| blocks(text, 1).map(|it| (it.keys.len(), it.others)).map_err(|it| it.line.unwrap());
        let text = |before: &str| [before.as_bytes(), block.as_bytes()].concat();
        for (bytes, want) in [
            (text(""), Ok((1, vec![]))),
            (text("Zo\u{eb}\t\r\n"), Ok((1, vec![]))),
            ([b"Zo\xeb\n", block.as_bytes()].concat(), Ok((1, vec![]))), // an old encoding, and text all the same
            (text(&format!("{block}\u{feff}")), Ok((2, vec![]))),
            (text(&block.replace("PUBLIC KEY BLOCK", "SIGNATURE")), Ok((1, vec![1]))),
            (text(&format!("\n:{block}")), Err(2)),
            (text(&format!("x -----BEGIN PGP SIGNATURE-----\n{block}")), Err(1)),
            ([block.as_bytes(), b"\xc2\x01\x04"].concat(), Err(1 + block.lines().count())),
            ([block.as_bytes(), b"\0"].concat(), Err(1 + block.lines().count())),
        ] {
            assert_eq!(found(&bytes), want, "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
