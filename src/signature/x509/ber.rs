//! The encoding of CMS (X.690), read without a copy: DER, and the longer forms of BER where a reader asks for them.

/// How deep elements may lie in each other.
const MOST_DEPTH: usize = 32;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a constructed element that only its place gives a meaning to.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BerError {
    #[error("it ends early")]
    Short,
    #[error("a length, or a tag, is of a form that is not read here")]
    Form,
    #[error("an element of another kind is expected (tag {expected:#04x}, found {found:#04x})")]
    Tag { expected: u8, found: u8 },
    #[error("something follows that does not belong to it")]
    Trailing,
    #[error("elements lie too deep in each other")]
    Deep,
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
    /// Whether its own length is written as DER wants it.
    pub(super) der: bool,
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(super) fn inside(&self) -> Reader<'a> {
        Reader { rest: self.content, strict: false, der: true }
    }
}

/// Takes elements off the front of bytes.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    strict: bool,
    der: bool,
}

impl<'a> Reader<'a> {
    /// Reads DER only.
    pub(super) fn der(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, strict: true, der: true }
    }

    /// Reads BER: lengths in more bytes than needed, and the indefinite ones of constructed elements.
    pub(super) fn ber(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, strict: false, der: true }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether all that was read so far is written as DER wants it.
    pub(super) fn is_der(&self) -> bool {
        self.der
    }

    /// The next element, whatever it is.
    pub(super) fn any(&mut self) -> Result<Element<'a>, BerError> {
        let (element, rest) = element(self.rest, 0)?;
        if self.strict && !element.der {
            return Err(BerError::Form);
        }
        self.der &= element.der;
        self.rest = rest;
        Ok(element)
    }

    /// The next element, which must be of this tag.
    pub(super) fn next(&mut self, tag: u8) -> Result<Element<'a>, BerError> {
        match self.rest.first() {
            Some(&found) if found != tag => Err(BerError::Tag { expected: tag, found }),
            _ => self.any(),
        }
    }

    /// The next element if it is of this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, BerError> {
        if self.rest.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Nothing may follow.
    pub(super) fn finish(self) -> Result<(), BerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(BerError::Trailing) }
    }
}

fn element(bytes: &[u8], depth: usize) -> Result<(Element<'_>, &[u8]), BerError> {
    if depth > MOST_DEPTH {
        return Err(BerError::Deep);
    }
    let (&tag, after) = bytes.split_first().ok_or(BerError::Short)?;
    if tag & 0x1f == 0x1f {
        return Err(BerError::Form);
    }
    let (&first, after) = after.split_first().ok_or(BerError::Short)?;
    if first == 0x80 {
        return indefinite(bytes, tag, after, depth);
    }
    let count = usize::from(first & 0x7f);
    let (length, after, der) = match first < 0x80 {
        true => (usize::from(first), after, true),
        false => {
            let (digits, after) = after.split_at_checked(count).ok_or(BerError::Short)?;
            let leading = digits.iter().take_while(|&&b| b == 0).count();
            let digits = digits.get(leading..).unwrap_or_default();
            if digits.len() > 4 {
                return Err(BerError::Form);
            }
            let length = digits.iter().fold(0_usize, |sum, &digit| (sum << 8) | usize::from(digit));
            (length, after, leading == 0 && length >= 0x80)
        }
    };
    let (content, rest) = after.split_at_checked(length).ok_or(BerError::Short)?;
    let whole = bytes.get(..bytes.len() - rest.len()).ok_or(BerError::Short)?;
    Ok((Element { tag, content, whole, der }, rest))
}

/// An element that ends where two zero bytes stand among the elements in it.
fn indefinite<'a>(bytes: &'a [u8], tag: u8, after: &'a [u8], depth: usize) -> Result<(Element<'a>, &'a [u8]), BerError> {
    if tag & 0x20 == 0 {
        return Err(BerError::Form);
    }
    let mut rest = after;
    loop {
        if let Some(end) = rest.strip_prefix(&[0, 0]) {
            let content = after.get(..after.len() - rest.len()).ok_or(BerError::Short)?;
            let whole = bytes.get(..bytes.len() - end.len()).ok_or(BerError::Short)?;
            return Ok((Element { tag, content, whole, der: false }, end));
        }
        rest = element(rest, depth + 1)?.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (bytes, content, der) in [
            (&[4, 1, 9][..], &[9][..], true),
            (&[4, 0x81, 1, 9], &[9], false),
            (&[4, 0x82, 0, 1, 9], &[9], false),
            (&[0x30, 0x80, 4, 1, 9, 0, 0], &[4, 1, 9], false),
            (&[0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0], &[0x30, 0x80, 0, 0], false),
        ] {
            let mut reader = Reader::ber(bytes);
            let found = reader.any().unwrap();
            assert_eq!((found.content, found.whole, reader.is_der()), (content, bytes, der));
            assert_eq!(reader.finish(), Ok(()));
            assert_eq!(Reader::der(bytes).any().is_ok(), der);
        }
    }

    #[test]
    fn what_is_refused() {
        let deep = [&[0x30, 0x80].repeat(40)[..], &[0, 0].repeat(40)].concat();
        for (bytes, error) in [
            (&[][..], BerError::Short),
            (&[4], BerError::Short),
            (&[4, 2, 9], BerError::Short),
            (&[4, 0x80, 0, 0], BerError::Form),
            (&[0x30, 0x80, 0], BerError::Short),
            (&[0x1f, 1, 9], BerError::Form),
            (&[4, 0x85, 1, 0, 0, 0, 0], BerError::Form),
            (&[4, 0xff], BerError::Short),
            (&deep, BerError::Deep),
        ] {
            assert_eq!(Reader::ber(bytes).any().map(|_| ()), Err(error), "{bytes:02x?}");
        }
        assert_eq!(Reader::ber(&[4, 0, 5]).next(5).map(|_| ()), Err(BerError::Tag { expected: 5, found: 4 }));
        let mut reader = Reader::ber(&[4, 0, 5]);
        reader.next(4).unwrap();
        assert_eq!(reader.finish(), Err(BerError::Trailing));
    }
}
