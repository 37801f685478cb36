//! What is said on the agent's socket: a length in four bytes, most significant first, and so much JSON.

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// A certificate takes two or three kilobytes.
const MAX_FRAME: u32 = 64 * 1024;

/// What the agent is asked. `of` says by which services a certificate was issued: one is never used for others. Bytes are base64.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Question {
    /// Make a key, and the request for its certificate.
    Request { of: String },
    /// Keep the certificate of that key.
    Certificate { of: String, certificate: String },
    /// Sign signed attributes.
    Sign { of: String, attributes: String },
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
    /// Its certificates: whom they name, and until when they live (seconds since 1970).
    pub certificates: Vec<(String, i64)>,
}

pub(super) fn write<T: Serialize>(mut to: impl Write, message: &T) -> Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_FRAME).context("the message is too long")?;
    to.write_all(&[&length.to_be_bytes()[..], &text].concat()).context("the other side is gone")
}

pub(super) fn read<T: DeserializeOwned>(mut from: impl Read) -> Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).context("the other side is gone")?;
    let length = u32::from_be_bytes(length);
    if length > MAX_FRAME {
        bail!("the message is too long");
    }
    let mut text = Vec::new();
    let count = from.take(u64::from(length)).read_to_end(&mut text).context("the other side is gone")?;
    if u32::try_from(count).ok() != Some(length) {
        bail!("the message breaks off");
    }
    serde_json::from_slice(&text).context("the message makes no sense")
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
    }
}
