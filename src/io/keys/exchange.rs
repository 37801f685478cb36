//! A request and its answer over a socket, each behind its length (four bytes), before one moment that no drip of single bytes
//! moves.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The near end of a socket.
#[derive(Debug)]
pub(super) struct Exchange {
    stream: UnixStream,
    /// When all must be over.
    pub(super) until: Instant,
    /// The longest answer that is taken, in bytes.
    most: u32,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// The moment is past.
    Late,
    /// The other end closed, or the system says why nothing goes through.
    BrokeOff(io::Error),
    /// It announces an answer of no bytes, or of too many.
    Length(u32),
    /// The request is longer than its length can say.
    TooLarge,
}

impl Exchange {
    pub(super) fn new(stream: UnixStream, until: Instant, most: u32) -> Self {
        Self { stream, until, most }
    }

    /// Sends one request, and takes one answer.
    ///
    /// # Errors
    /// As [`ExchangeError`] has it.
    pub(super) fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, ExchangeError> {
        let length = u32::try_from(request.len()).map_err(|_| ExchangeError::TooLarge)?;
        self.write(&length.to_be_bytes())?;
        self.write(request)?;
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length);
        let size = usize::try_from(length).ok().filter(|_| (1..=self.most).contains(&length));
        let mut answer = vec![0; size.ok_or(ExchangeError::Length(length))?];
        self.read(&mut answer)?;
        Ok(answer)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), ExchangeError> {
        while !bytes.is_empty() {
            let left = self.left()?;
            let written = self.stream.set_write_timeout(Some(left)).and_then(|()| self.stream.write(bytes));
            bytes = bytes.get(progress(written)?..).unwrap_or_default();
        }
        Ok(())
    }

    fn read(&mut self, mut buffer: &mut [u8]) -> Result<(), ExchangeError> {
        while !buffer.is_empty() {
            let left = self.left()?;
            let read = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(buffer));
            buffer = buffer.get_mut(progress(read)?..).unwrap_or_default();
        }
        Ok(())
    }

    fn left(&self) -> Result<Duration, ExchangeError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ExchangeError::Late) } else { Ok(left) }
    }
}

/// How far one read or write came.
fn progress(result: io::Result<usize>) -> Result<usize, ExchangeError> {
    match result {
        Ok(0) => Err(ExchangeError::BrokeOff(io::ErrorKind::UnexpectedEof.into())),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Err(ExchangeError::Late),
        Err(error) => Err(ExchangeError::BrokeOff(error)),
    }
}
