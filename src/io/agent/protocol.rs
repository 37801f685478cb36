//! What is said on the agent's socket: a length in four bytes, most significant first, and so much JSON.

use crate::io::sigstore::renewal::Renewal;
use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A certificate takes two or three kilobytes, a refresh token hardly more.
const MAX_FRAME: u32 = 64 * 1024;

/// What the agent is asked. `of` says by which services a certificate was issued: one is never used for others. Bytes are base64.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Question {
    /// Make a key, and the request for its certificate.
    Request { of: String },
    /// Keep the certificate of that key, and that by which it may be renewed.
    Certificate {
        of: String,
        certificate: String,
        #[serde(default)]
        renewal: Option<Renewal>,
    },
    /// Sign signed attributes.
    Sign { of: String, attributes: String },
    /// Have a certificate that has ended followed by another.
    Renew { of: String },
    /// What is there?
    Status,
    /// Forget everything and end.
    Stop,
}

/// What it answers.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Answer {
    Request(String),
    Kept,
    Signature {
        certificate: String,
        signature: String,
    },
    /// There is no certificate of these services that lives.
    Nothing,
    /// It has ended, and can be renewed.
    Ended,
    Status(Status),
    Stopping,
    Refused(String),
}

/// What an agent holds.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Its process.
    pub process: u32,
    /// Whether its memory is kept from being written to disk.
    pub locked: bool,
    /// Its certificates.
    pub certificates: Vec<Held>,
}

/// A certificate that an agent holds. Times are seconds since 1970.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Whom it names.
    pub subject: String,
    /// Until when it lives.
    pub until: i64,
    /// Until when it is renewed, where somebody asked for that.
    pub renewed_until: Option<i64>,
}

pub(super) fn write<T: Serialize>(mut to: impl Write, message: &T) -> Result<()> {
    // of its final size: what grows leaves copies behind, and some of it is secret
    let mut frame = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FRAME)? + 4));
    frame.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *frame, message)?;
    let length = frame.len().checked_sub(4).and_then(|length| u32::try_from(length).ok());
    let length = length.filter(|length| *length <= MAX_FRAME).context("the message is too long")?;
    if let Some(head) = frame.first_chunk_mut() {
        *head = length.to_be_bytes();
    }
    to.write_all(&frame).context("the other side is gone")
}

pub(super) fn read<T: DeserializeOwned>(mut from: impl Read) -> Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).context("the other side is gone")?;
    let length = u32::from_be_bytes(length);
    if length > MAX_FRAME {
        bail!("the message is too long");
    }
    let mut text = Zeroizing::new(vec![0; usize::try_from(length)?]);
    from.read_exact(&mut text).context("the message breaks off")?;
    // serde's own words quote what they do not understand
    serde_json::from_slice(&text).ok().context("the message makes no sense")
}

/// A socket before one moment that no drip of single bytes moves.
pub(in crate::io) struct Timed<'a> {
    stream: &'a UnixStream,
    until: Instant,
}

impl<'a> Timed<'a> {
    pub(in crate::io) fn new(stream: &'a UnixStream, within: Duration) -> Self {
        Self { stream, until: Instant::now() + within }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the other side is the same user, as the kernel says.
pub(super) fn is_own(stream: &UnixStream) -> bool {
    #[cfg(target_os = "linux")]
    {
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::getuid())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        true // the folder lets in nobody else
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let mut frame = Vec::new();
        write(&mut frame, &Question::Sign { of: "x".to_owned(), attributes: "MQA=".to_owned() }).unwrap();
        assert!(matches!(read(frame.as_slice()).unwrap(), Question::Sign { of, .. } if of == "x"));
        for bad in [
            &frame[..frame.len() - 1],
            &[],
            &[0, 0, 0],
            &[0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 2, b'{', b'}'],
            &[0, 0, 0, 8, b'"', b's', b't', b'o', b'p', b'p', b'e', b'"'],
        ] {
            assert!(read::<Question>(bad).is_err(), "{bad:?}");
        }
        let long = Question::Request { of: "x".repeat(70_000) };
        assert!(write(Vec::new(), &long).is_err());
    }

    #[test]
    fn a_drip_moves_no_moment() {
        let (near, far) = UnixStream::pair().unwrap();
        let dripping = std::thread::spawn(move || {
            let mut far = far;
            while far.write_all(&[0]).is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let start = Instant::now();
        let mut buffer = [0; 1000];
        assert!(Timed::new(&near, Duration::from_millis(300)).read_exact(&mut buffer).is_err());
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        drop(near);
        dripping.join().unwrap();
    }
}
