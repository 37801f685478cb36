//! As much DER (X.690) as signing writes and reads: one value after another, lengths in their shortest form.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub(super) const TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;
pub(super) const CONTEXT_3: u8 = 0xa3;

/// One value: tag, length, content.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = length.get(length.iter().take_while(|&&b| b == 0).count()..).unwrap_or_default();
    let mut out = match (length, u8::try_from(length.len())) {
        (&[], _) => vec![tag, 0],
        (&[short], _) if short < 0x80 => vec![tag, short],
        (long, count) => [&[tag, 0x80 | count.unwrap_or(8)], long].concat(),
    };
    out.extend_from_slice(content);
    out
}

/// A small INTEGER.
pub(super) fn version(number: u8) -> Vec<u8> {
    tlv(INTEGER, &[number])
}

/// The content of one value.
pub(super) fn content(value: &[u8]) -> &[u8] {
    Reader(value).any().map(|found| found.content).unwrap_or_default()
}

/// A value that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// All of it, tag and length included.
    pub(super) whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// Reads what is inside.
    pub(super) fn inside(self) -> Reader<'a> {
        Reader(self.content)
    }
}

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next value, whatever it is; `None` where none begins, or it is cut off, or its length is not in its shortest form.
    pub(super) fn any(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
                let shortest = digits.first().is_some_and(|&digit| digit > 0) && length > 0x7f;
                shortest.then_some((length, rest))?
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - after.len())?;
        self.0 = after;
        Some(Value { tag, content, whole })
    }

    /// The next value, which has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        self.any().filter(|value| value.tag == tag)
    }

    /// The next value if it has this tag; else nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Value<'a>> {
        if self.0.first() == Some(&tag) { self.any() } else { None }
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let written = [tlv(SEQUENCE, &vec![7; length]), vec![5, 0]].concat();
            let mut reader = Reader(&written);
            let value = reader.expect(SEQUENCE).unwrap();
            assert_eq!((value.content.len(), value.whole.len(), reader.0), (length, written.len() - 2, &[5, 0][..]));
        }
    }

    #[test]
    fn broken_values() {
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x80],
            &[0x30, 0x81, 1, 0],
            &[0x30, 0x82, 0, 1, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x3f, 1, 0],
        ] {
            assert_eq!(Reader(bad).any(), None, "{bad:x?}");
        }
    }
}
