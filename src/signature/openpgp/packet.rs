//! Packets of a detached signature (RFC 9580 §4), before Sequoia sees them: how many there are, and in which form.

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignaturePacket {
    /// The packet in the form that Sequoia reads: new header, numbers without leading zero bits.
    pub(super) packet: Vec<u8>,
    /// Whether the header is one of the old format.
    pub(super) old_header: bool,
    /// Whether lengths and numbers are in the only form that honest programs write.
    pub(super) minimal: bool,
}

/// Why packets are no detached signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PacketError {
    #[error("its packets cannot be read")]
    Malformed,
    #[error("it holds a packet that is no signature (type {0})")]
    NotASignature(u8),
    #[error("it holds no signature")]
    None,
    #[error("it holds more than one signature")]
    Several,
}

const SIGNATURE: u8 = 2;
const MARKER: u8 = 10;
const PADDING: u8 = 21;

/// Takes the one signature packet out; markers and padding, which mean nothing, are passed over and make it not minimal.
pub(super) fn read(bytes: &[u8]) -> Result<SignaturePacket, PacketError> {
    let mut all = read_all(bytes)?;
    match (all.pop(), all.is_empty()) {
        (Some(found), true) => Ok(found),
        (Some(_), false) => Err(PacketError::Several),
        (None, _) => Err(PacketError::None),
    }
}

/// Takes the signature packets out.
pub(super) fn read_all(bytes: &[u8]) -> Result<Vec<SignaturePacket>, PacketError> {
    let (mut rest, mut found, mut strays) = (bytes, Vec::new(), false);
    while let Some((packet, after)) = next(rest)? {
        rest = after;
        match packet.tag {
            SIGNATURE => found.push(rewrite(&packet)?),
            MARKER | PADDING => strays = true,
            other => return Err(PacketError::NotASignature(other)),
        }
    }
    found.iter_mut().for_each(|packet| packet.minimal &= !strays);
    Ok(found)
}

/// The type of the packet that bytes begin with.
pub(super) fn first_tag(bytes: &[u8]) -> Option<u8> {
    bytes.first().filter(|first| *first & 0x80 != 0).map(|first| if first & 0x40 == 0 { first >> 2 & 0x0f } else { first & 0x3f })
}

/// The types of the packets, in order.
pub(super) fn tags(bytes: &[u8]) -> Result<Vec<u8>, PacketError> {
    Ok(split(bytes)?.into_iter().map(|(tag, _)| tag).collect())
}

/// The packets with their headers, in order, and the type of each.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<(u8, &[u8])>, PacketError> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while let Some((packet, after)) = next(rest)? {
        let whole = rest.get(..rest.len() - after.len()).ok_or(PacketError::Malformed)?;
        rest = after;
        found.push((packet.tag, whole));
    }
    Ok(found)
}

fn rewrite(found: &Raw<'_>) -> Result<SignaturePacket, PacketError> {
    let (body, trimmed) = trim_numbers(found.body).ok_or(PacketError::Malformed)?;
    let mut packet = vec![0xc0 | SIGNATURE, 0xff];
    packet.extend(u32::try_from(body.len()).map_err(|_| PacketError::Malformed)?.to_be_bytes());
    packet.extend(body);
    Ok(SignaturePacket { packet, old_header: found.old, minimal: found.minimal && !trimmed })
}

struct Raw<'a> {
    tag: u8,
    old: bool,
    /// Whether its length is written in as few bytes as can be.
    minimal: bool,
    body: &'a [u8],
}

fn next(bytes: &[u8]) -> Result<Option<(Raw<'_>, &[u8])>, PacketError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let tag = first_tag(bytes).ok_or(PacketError::Malformed)?;
    let old = first & 0x40 == 0;
    let (length, least, rest) = if old { old_length(first, rest)? } else { new_length(rest)? };
    let (body, rest) = rest.split_at_checked(length).ok_or(PacketError::Malformed)?;
    Ok(Some((Raw { tag, old, minimal: length >= least, body }, rest)))
}

/// The length, the least one that needs this form, and what follows. A length that is left open has no place here.
fn old_length(first: u8, rest: &[u8]) -> Result<(usize, usize, &[u8]), PacketError> {
    let (width, least) = match first & 3 {
        0 => (1, 0),
        1 => (2, 0x100),
        2 => (4, 0x1_0000),
        _ => return Err(PacketError::Malformed),
    };
    let (length, rest) = number(rest, width)?;
    Ok((length, least, rest))
}

fn new_length(rest: &[u8]) -> Result<(usize, usize, &[u8]), PacketError> {
    match rest.split_first() {
        Some((&short @ 0..192, rest)) => Ok((usize::from(short), 0, rest)),
        Some((&high @ 192..224, rest)) => {
            let (low, rest) = number(rest, 1)?;
            Ok(((usize::from(high) - 192) * 256 + low + 192, 192, rest))
        }
        Some((255, rest)) => {
            let (length, rest) = number(rest, 4)?;
            Ok((length, 8384, rest))
        }
        _ => Err(PacketError::Malformed), // pieces are for data
    }
}

fn number(bytes: &[u8], width: usize) -> Result<(usize, &[u8]), PacketError> {
    let (number, rest) = bytes.split_at_checked(width).ok_or(PacketError::Malformed)?;
    Ok((number.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)), rest))
}

/// A signature's body with numbers that begin with their first set bit: GnuPG reads, and GitHub writes, others. Gives whether
/// one had to be changed. What is no list of numbers stays as it is.
fn trim_numbers(body: &[u8]) -> Option<(Vec<u8>, bool)> {
    const V4: u8 = 4;
    let (algorithm, numbers) = match body.first()? {
        3 => (*body.get(15)?, 19),
        &V4 => {
            let hashed = length16(body, 4)?;
            let unhashed = length16(body, 6 + hashed)?;
            (*body.get(2)?, 6 + hashed + 2 + unhashed + 2)
        }
        _ => return Some((body.to_vec(), false)), // version 6 forbids it, and Sequoia refuses it
    };
    let count = match algorithm {
        1..=3 => 1,
        16 | 17 | 19 | 20 | 22 => 2,
        _ => return Some((body.to_vec(), false)), // its numbers are bytes
    };
    let (head, mut rest) = body.split_at_checked(numbers)?;
    let (mut out, mut changed) = (head.to_vec(), false);
    for _ in 0..count {
        let bits = length16(rest, 0)?;
        let (value, after) = rest.get(2..)?.split_at_checked(bits.div_ceil(8))?;
        rest = after;
        let start = value.iter().position(|byte| *byte != 0).unwrap_or(value.len());
        let value = value.get(start..)?;
        let real = value.first().map_or(0, |first| value.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0));
        if real > bits {
            return None; // more bits than it says
        }
        changed |= real != bits;
        out.extend(u16::try_from(real).ok()?.to_be_bytes());
        out.extend_from_slice(value);
    }
    // a number more would be read by nobody, and give the same signature another form
    rest.is_empty().then_some((out, changed))
}

fn length16(bytes: &[u8], at: usize) -> Option<usize> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(usize::from(u16::from_be_bytes(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 4 RSA signature with one number.
    fn body(bits: u16, value: &[u8]) -> Vec<u8> {
        [&[4, 0, 1, 8, 0, 0, 0, 0, 0xaa, 0xbb][..], &bits.to_be_bytes(), value].concat()
    }

    fn old(body: &[u8]) -> Vec<u8> {
        [&[0x88, u8::try_from(body.len()).unwrap()][..], body].concat()
    }

    #[test]
    fn numbers_are_trimmed() {
        for (bits, value, want) in [
            (16, &[0x80, 1][..], Some((16, &[0x80, 1][..], false))),
            (16, &[0x01, 1], Some((9, &[0x01, 1], true))),
            (16, &[0, 1], Some((1, &[1], true))),
            (15, &[0x80, 1], None),
            (16, &[0x80], None),
            (8, &[0], Some((0, &[], true))),
        ] {
            let want = want.map(|(bits, value, changed)| (body(bits, value), changed));
            assert_eq!(trim_numbers(&body(bits, value)), want, "{bits} {value:?}");
        }
    }

    #[test]
    fn one_signature_and_nothing_else() {
        let good = body(16, &[0x80, 1]);
        let packet = read(&old(&good)).unwrap();
        assert!(packet.minimal && packet.old_header && packet.packet.ends_with(&good));
        let new = [&[0xc2, 14][..], &good].concat();
        assert_eq!(read(&new).map(|it| (it.old_header, it.minimal)), Ok((false, true)));
        for loose in [
            [&[0x89, 0, 14][..], &good].concat(),
            [&[0x8a, 0, 0, 0, 14][..], &good].concat(),
            [&[0xc2, 0xff, 0, 0, 0, 14][..], &good].concat(),
            [&[0xca, 3, b'P', b'G', b'P'][..], &old(&good)].concat(),
            old(&body(16, &[0, 1])),
        ] {
            assert_eq!(read(&loose).map(|it| it.minimal), Ok(false), "{loose:?}");
        }
        for (bad, error) in [
            (Vec::new(), PacketError::None),
            (old(&good).repeat(2), PacketError::Several),
            ([&[0xcb, 1, 0][..], &old(&good)].concat(), PacketError::NotASignature(11)),
            (old(&[&good[..], &[0, 1, 1]].concat()), PacketError::Malformed),
            (vec![0x08, 0], PacketError::Malformed),
            (vec![0x8b, 0], PacketError::Malformed),
            (vec![0xc2, 0xe1, 0], PacketError::Malformed),
            (vec![0x88, 5, 4], PacketError::Malformed),
            (vec![0xc2], PacketError::Malformed),
            (old(&[]), PacketError::Malformed),
        ] {
            assert_eq!(read(&bad), Err(error), "{bad:?}");
        }
    }
}
