//! A workload's own token (a JWT-SVID), from the SPIFFE Workload API: one gRPC call at a Unix socket.
//!
//! gRPC is HTTP/2 (RFC 9113) with a length before each message. One call needs so little of it that it stands here whole: headers
//! are sent as literals (RFC 7541 §6.2.2), and those of the answer are not read, since an answer is a message or none.

use super::token::IdentityToken;
use crate::io::agent::{Timed, connect};
use anyhow::{Context as _, Result, anyhow, bail};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The workload's agent asks nobody who is far away.
const WITHIN: Duration = Duration::from_secs(10);
/// The window of a stream that nobody opens further (RFC 9113 §6.9.2); no token is as long.
const MAX_ANSWER: usize = 65_535;
/// The longest frame where nobody allows longer ones (§4.2).
const MAX_FRAME: usize = 16_384;

/// Kinds of frames (§6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
}
/// On DATA and HEADERS the end of the stream; on SETTINGS and PING that they answer.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// The token for an audience, from the socket at an address as SPIFFE_ENDPOINT_SOCKET has it.
///
/// # Errors
/// Where nothing answers there, or with no token.
pub(super) fn token(address: &str, audience: &str) -> Result<IdentityToken> {
    let path = path(address)?;
    let fetched = connect(&path).context("nothing answers there").and_then(|stream| fetch(&stream, audience));
    let token = fetched.map_err(|error| {
        anyhow!(
            "the SPIFFE Workload API at {} (SPIFFE_ENDPOINT_SOCKET): {error:#}; register this workload, or choose another source: git config warrant.tokenSource NAME",
            path.display()
        )
    })?;
    IdentityToken::parse(token, "the SPIFFE Workload API")
}

/// The SPIFFE Workload Endpoint, §3: `unix:///path`; a bare path is taken as well.
fn path(address: &str) -> Result<PathBuf> {
    let path = address.strip_prefix("unix://").or_else(|| address.strip_prefix("unix:")).unwrap_or(address);
    if !path.starts_with('/') {
        bail!(
            "SPIFFE_ENDPOINT_SOCKET is `{address}`; a Unix socket is needed (unix:///path), or a token in a file (warrant.tokenFile)"
        );
    }
    Ok(path.into())
}

fn fetch(stream: &UnixStream, audience: &str) -> Result<Zeroizing<String>> {
    let mut stream = Timed::new(stream, WITHIN);
    // JWTSVIDRequest { repeated string audience = 1 }
    let length = u8::try_from(audience.len()).ok().filter(|length| *length < 0x80).context("the audience is too long")?;
    let request = [&[0x0a, length], audience.as_bytes()].concat();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0])?); // no pushes
    sent.extend(frame(kind::HEADERS, END_HEADERS, 1, &headers())?);
    sent.extend(frame(kind::DATA, END_STREAM, 1, &message(&request)?)?);
    stream.write_all(&sent).context("it takes no question")?;
    token_in(&answer(&mut stream)?).context("it gives no token")
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Result<Vec<u8>> {
    let [_, length @ ..] = u32::try_from(content.len())?.to_be_bytes();
    Ok([&length[..], &[kind, flags], &stream.to_be_bytes(), content].concat())
}

/// A message behind its length, not compressed.
fn message(content: &[u8]) -> Result<Vec<u8>> {
    Ok([&[0], &u32::try_from(content.len())?.to_be_bytes()[..], content].concat())
}

/// The headers of the one call (RFC 7541; the numbers are those of its table in appendix A).
fn headers() -> Vec<u8> {
    const PATH: &[u8] = b"/SpiffeWorkloadAPI/FetchJWTSVID";
    const TEXTS: [(&[u8], &[u8]); 5] = [
        (&[0x04], PATH),                      // :path
        (&[0x01], b"localhost"),              // :authority
        (&[0x0f, 0x10], b"application/grpc"), // content-type
        (b"\x00\x02te", b"trailers"),
        (b"\x00\x12workload.spiffe.io", b"true"),
    ];
    let mut block = vec![0x83, 0x86]; // :method POST, :scheme http
    for (name, value) in TEXTS {
        block.extend_from_slice(name);
        block.extend(u8::try_from(value.len())); // all are shorter than 127 bytes
        block.extend_from_slice(value);
    }
    block
}

/// What the server sends on our stream, to its end.
fn answer(stream: &mut (impl Read + Write)) -> Result<Zeroizing<Vec<u8>>> {
    let mut data = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
    let mut frames = 0;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).map_err(|error| unsaid(&error, "it says nothing"))?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c]))?;
        frames += 1;
        if length > MAX_FRAME || frames > 1_000 {
            bail!("what answers there does not speak HTTP/2 as it should");
        }
        let mut content = Zeroizing::new(vec![0; length]);
        stream.read_exact(&mut content).map_err(|error| unsaid(&error, "its answer breaks off"))?;
        let is_ours = u32::from_be_bytes(id) & 0x7fff_ffff == 1;
        match kind {
            kind::SETTINGS if flags & ACK == 0 => stream.write_all(&frame(kind::SETTINGS, ACK, 0, &[])?)?,
            kind::PING if flags & ACK == 0 => stream.write_all(&frame(kind::PING, ACK, 0, &content)?)?,
            kind::DATA if is_ours => {
                data.extend_from_slice(unpadded(flags, &content).context("its answer makes no sense")?);
                if data.len() > MAX_ANSWER {
                    bail!("its answer is too long");
                }
            }
            kind::RST_STREAM if is_ours => bail!("it breaks the call off"),
            kind::GOAWAY => bail!("it takes no calls"),
            _ => {}
        }
        if is_ours && matches!(kind, kind::DATA | kind::HEADERS) && flags & END_STREAM != 0 {
            return Ok(data);
        }
    }
}

/// Why there is no more of an answer.
fn unsaid(error: &io::Error, ended: &str) -> anyhow::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!("it does not answer in time"),
        ErrorKind::UnexpectedEof => anyhow!("{ended}"),
        _ => anyhow!("{ended}: {error}"),
    }
}

fn unpadded(flags: u8, content: &[u8]) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return Some(content);
    }
    let (padding, rest) = content.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*padding))?)
}

/// The first token in an answer: JWTSVIDResponse { repeated JWTSVID svids = 1 }, JWTSVID { string svid = 2 }.
fn token_in(data: &[u8]) -> Option<Zeroizing<String>> {
    let (&[compressed, a, b, c, d], message) = data.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    if compressed != 0 || message.len() != length {
        return None;
    }
    let text = field(field(message, 1)?, 2)?;
    String::from_utf8(text.to_vec()).ok().map(Zeroizing::new)
}

/// The first field of a number that holds bytes, in a protobuf message.
fn field(mut rest: &[u8], wanted: u64) -> Option<&[u8]> {
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let skip = match key & 7 {
            0 => {
                varint(&mut rest)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(skip)?;
        if key == wanted << 3 | 2 {
            return Some(content);
        }
        rest = after;
    }
    None
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_socket_is() {
        for good in ["unix:///run/spire.sock", "unix:/run/spire.sock", "/run/spire.sock"] {
            assert_eq!(path(good).unwrap(), PathBuf::from("/run/spire.sock"));
        }
        for bad in ["tcp://127.0.0.1:8000", "unix://run", "", "run/spire.sock"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_in_answers() {
        let svid = |token: &[u8]| [&[0x0a, 1, b'i', 0x12, u8::try_from(token.len()).unwrap()], token].concat();
        let response = |svid: &[u8]| [&[0x0a, u8::try_from(svid.len()).unwrap()], svid].concat();
        let good = message(&response(&svid(b"a.b.c"))).unwrap();
        assert_eq!(token_in(&good).unwrap().as_str(), "a.b.c");
        // of two, the first; fields that nobody knows are passed over
        let known = [&[0x18, 0xff, 0x01, 0x25, 1, 2, 3, 4, 0x31, 1, 2, 3, 4, 5, 6, 7, 8], &response(&svid(b"x"))[..]].concat();
        let two = message(&[known, response(&svid(b"y"))].concat()).unwrap();
        assert_eq!(token_in(&two).unwrap().as_str(), "x");
        for end in 0..good.len() {
            assert!(token_in(&good[..end]).is_none(), "{end}");
        }
        let compressed = [&[1], &good[1..]].concat();
        for bad in [&compressed[..], &[0, 0, 0, 0, 0], &[0, 0xff, 0xff, 0xff, 0xff, 0x0a], &[0, 0, 0, 0, 3, 0x0a, 0xff, 0xff]] {
            assert!(token_in(bad).is_none(), "{bad:?}");
        }
    }
}
