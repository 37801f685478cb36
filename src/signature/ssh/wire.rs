//! SSH's binary encoding (RFC 4251 §5).

/// The bytes end early, a length lies, or something follows where nothing should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid format")]
pub struct WireError;

/// Reads fields from bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(WireError)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A byte.
    ///
    /// # Errors
    /// At the end.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        self.take(1)?.first().copied().ok_or(WireError)
    }

    /// A `uint32`.
    ///
    /// # Errors
    /// Where fewer than four bytes are left.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        let bytes = self.take(4)?.try_into().map_err(|_| WireError)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A `uint64`.
    ///
    /// # Errors
    /// Where fewer than eight bytes are left.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        let bytes = self.take(8)?.try_into().map_err(|_| WireError)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// A `string`.
    ///
    /// # Errors
    /// Where its length goes past the end.
    pub fn string(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.u32()?).map_err(|_| WireError)?;
        self.take(length)
    }

    /// A `string` that must be UTF-8.
    ///
    /// # Errors
    /// Where it is not, or goes past the end.
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.string()?).map_err(|_| WireError)
    }

    /// A non-negative `mpint` without its leading zeros, and whether it was written in the shortest form.
    ///
    /// # Errors
    /// Where it is negative or goes past the end.
    pub fn mpint(&mut self) -> Result<(&'a [u8], bool), WireError> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|b| b & 0x80 != 0) {
            return Err(WireError);
        }
        let zeros = bytes.iter().take_while(|&&b| b == 0).count();
        let digits = bytes.get(zeros..).ok_or(WireError)?;
        let wanted = usize::from(digits.first().is_some_and(|b| b & 0x80 != 0));
        Ok((digits, zeros == wanted))
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Where something is.
    pub fn finish(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError) }
    }
}

/// Writes fields.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A writer that does not move what it was given, up to a number of bytes: secrets leave no copies behind.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A byte.
    #[must_use]
    pub fn byte(self, byte: u8) -> Self {
        self.raw(&[byte])
    }

    /// A `uint32`.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A `string`. What is longer than a `uint32` can say does not fit into memory that we would use: it is cut.
    #[must_use]
    pub fn string(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(length).raw(bytes)
    }

    /// A non-negative number, big-endian, as an `mpint` in the shortest form.
    #[must_use]
    pub fn mpint(self, digits: &[u8]) -> Self {
        let zeros = digits.iter().take_while(|&&b| b == 0).count();
        let digits = digits.get(zeros..).unwrap_or_default();
        if digits.first().is_some_and(|b| b & 0x80 != 0) {
            return self.string(&[&[0], digits].concat());
        }
        self.string(digits)
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let bytes = Writer::default().byte(7).u32(9).string(b"abc").mpint(&[0, 0, 0x80]).mpint(&[]).into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.byte(), Ok(7));
        assert_eq!(reader.u32(), Ok(9));
        assert_eq!(reader.text(), Ok("abc"));
        assert_eq!(reader.mpint(), Ok((&[0x80][..], true)));
        assert_eq!(reader.mpint(), Ok((&[][..], true)));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn lies_are_errors() {
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1]).string(), Err(WireError));
        assert_eq!(Reader::new(&[0xff; 4]).string(), Err(WireError));
        assert_eq!(Reader::new(&[0, 0]).u32(), Err(WireError));
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0x80]).mpint(), Err(WireError));
        assert_eq!(Reader::new(&[0, 0, 0, 2, 0, 1]).mpint(), Ok((&[1][..], false)));
        assert_eq!(Reader::new(&[1]).finish(), Err(WireError));
    }
}
