//! A client of ssh-agent (draft-ietf-sshm-ssh-agent): it asks for the list of keys and for signatures, nothing else.
//!
//! The agent may lie, stall or die: no answer is believed beyond 256 KiB, and each exchange has one deadline that no drip of
//! bytes extends. What it signs is checked against the key by [`crate::signature::ssh::sign`].

use super::exchange::{Exchange, ExchangeError};
use crate::evidence::Key;
use crate::signature::ssh::MessageHash;
use crate::signature::ssh::sign::{Signer, SignerError};
use crate::signature::ssh::wire::{Reader, WireError, Writer};
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// OpenSSH's own bound on an agent's message (`MAX_AGENT_REPLY_LEN`).
const MAX_FRAME: u32 = 256 * 1024;
/// For connecting and listing, together.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// For a signature: people look for their token, and touch it.
const SIGN_WITHIN: Duration = Duration::from_secs(300);

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// `SSH_AGENT_FAILURE`, and what two older protocols call it.
const FAILURES: [u8; 3] = [5, 30, 102];
/// Ask for rsa-sha2-256 and rsa-sha2-512; without a flag, old agents sign with SHA-1.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// Why the agent does not sign. Each message names its mend.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nobody said where an agent is.
    #[error("SSH_AUTH_SOCK is not set: start an agent (`eval \"$(ssh-agent)\"`) and load the key with `ssh-add`")]
    Unset,
    /// Nobody listens there.
    #[error("no agent answers at {} (SSH_AUTH_SOCK): {source}; start one anew (`eval \"$(ssh-agent)\"`) and `ssh-add` the key", path.display())]
    Dead {
        /// The value of SSH_AUTH_SOCK.
        path: PathBuf,
        /// What connecting to it said.
        source: io::Error,
    },
    /// It holds other keys.
    #[error("the agent at {} does not hold {fingerprint}: load the private key with `ssh-add FILE` (`ssh-add -l` lists what it holds; a locked agent, nothing: `ssh-add -X`)", path.display())]
    Absent {
        /// The value of SSH_AUTH_SOCK.
        path: PathBuf,
        /// The key.
        fingerprint: String,
    },
    /// It holds the key, and will not use it.
    #[error(
        "the agent refused to sign with {fingerprint}: confirm its question, touch the token, or unlock the agent (`ssh-add -X`), then try again"
    )]
    Refused {
        /// The key.
        fingerprint: String,
    },
    /// It takes too long.
    #[error("the agent at {} gave no answer within {seconds} seconds: is it waiting for you (a touch, a question on another screen)?", path.display())]
    Late {
        /// The value of SSH_AUTH_SOCK.
        path: PathBuf,
        /// The deadline.
        seconds: u64,
    },
    /// It breaks off.
    #[error("the agent at {} broke off: {source}; start it anew", path.display())]
    BrokeOff {
        /// The value of SSH_AUTH_SOCK.
        path: PathBuf,
        /// What reading or writing said.
        source: io::Error,
    },
    /// It does not speak the protocol.
    #[error("what answers at {} is no ssh-agent: {what}; does SSH_AUTH_SOCK name the right socket?", path.display())]
    Nonsense {
        /// The value of SSH_AUTH_SOCK.
        path: PathBuf,
        /// What it did.
        what: String,
    },
}

/// An agent that holds a key.
#[derive(Debug)]
pub struct Agent {
    connection: Connection,
    key: Arc<Key>,
}

impl Agent {
    /// Asks the agent at a socket whether it holds a key.
    ///
    /// # Errors
    /// Where it does not, or where there is no agent to ask.
    pub fn find(socket: Option<&OsStr>, key: &Arc<Key>) -> Result<Self, AgentError> {
        let path = socket.filter(|path| !path.is_empty()).map(PathBuf::from).ok_or(AgentError::Unset)?;
        let mut connection = Connection::open(path, LIST_WITHIN)?;
        if connection.holds(key.wire())? {
            Ok(Self { connection, key: Arc::clone(key) })
        } else {
            Err(AgentError::Absent { path: connection.path, fingerprint: name(key) })
        }
    }
}

impl Signer for Agent {
    fn public_key(&self) -> &[u8] {
        self.key.wire()
    }

    fn sign(&mut self, data: &[u8], rsa_hash: MessageHash) -> Result<Vec<u8>, SignerError> {
        let flags = match (self.key.rsa_bits, rsa_hash) {
            (None, _) => 0,
            (Some(_), MessageHash::Sha256) => RSA_SHA2_256,
            (Some(_), MessageHash::Sha512) => RSA_SHA2_512,
        };
        let request = Writer::default().byte(SIGN_REQUEST).string(self.key.wire()).string(data).u32(flags).into_bytes();
        self.connection.allow(SIGN_WITHIN);
        let answer = self.connection.ask(&request)?;
        let mut reader = Reader::new(&answer);
        match reader.byte() {
            Ok(SIGN_RESPONSE) => {}
            Ok(failure) if FAILURES.contains(&failure) => {
                return Err(AgentError::Refused { fingerprint: name(&self.key) }.into());
            }
            _ => return Err(self.connection.nonsense("it answers a request to sign with something else").into()),
        }
        match reader.string().and_then(|signature| reader.finish().map(|()| signature.to_vec())) {
            Ok(signature) => Ok(signature),
            Err(WireError) => Err(self.connection.nonsense("its signature is cut short").into()),
        }
    }
}

/// What a key is called in messages.
fn name(key: &Key) -> String {
    match key.certificate {
        Some(_) => format!("the certificate of {}", key.fingerprint),
        None => key.fingerprint.clone(),
    }
}

#[derive(Debug)]
struct Connection {
    exchange: Exchange,
    path: PathBuf,
    /// How long an exchange may take.
    within: Duration,
}

impl Connection {
    /// Connects; that and the first exchange may take so long.
    fn open(path: PathBuf, within: Duration) -> Result<Self, AgentError> {
        let until = Instant::now() + within;
        match connect(&path, within) {
            Some(Ok(stream)) => Ok(Self { exchange: Exchange::new(stream, until, MAX_FRAME), path, within }),
            Some(Err(source)) => Err(AgentError::Dead { path, source }),
            None => Err(AgentError::Late { path, seconds: within.as_secs() }),
        }
    }

    /// From now on an exchange may take so long.
    fn allow(&mut self, within: Duration) {
        (self.within, self.exchange.until) = (within, Instant::now() + within);
    }

    /// Looks for a key's blob in the list; what the other blobs are does not matter.
    fn holds(&mut self, blob: &[u8]) -> Result<bool, AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        let mut reader = Reader::new(&answer);
        match reader.byte() {
            Ok(IDENTITIES_ANSWER) => {}
            Ok(failure) if FAILURES.contains(&failure) => return Ok(false), // a locked agent of old
            _ => return Err(self.nonsense("it answers the request for its keys with something else")),
        }
        let count = reader.u32().unwrap_or(0);
        for _ in 0..count {
            match (reader.string(), reader.string()) {
                (Ok(held), Ok(_)) if held == blob => return Ok(true),
                (Ok(_), Ok(_)) => {}
                _ => return Err(self.nonsense("its list of keys is cut short")),
            }
        }
        Ok(false)
    }

    /// One request, one answer.
    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, AgentError> {
        let path = || self.path.clone();
        self.exchange.ask(request).map_err(|error| match error {
            ExchangeError::Late => AgentError::Late { path: path(), seconds: self.within.as_secs() },
            ExchangeError::BrokeOff(source) => AgentError::BrokeOff { path: path(), source },
            ExchangeError::Length(length) => self.nonsense(&format!("it announces an answer of {length} bytes")),
            ExchangeError::TooLarge => self.nonsense("the request is too large for it"),
        })
    }

    fn nonsense(&self, what: &str) -> AgentError {
        AgentError::Nonsense { path: self.path.clone(), what: what.to_owned() }
    }
}

/// Connecting blocks while the listener's queue is full, and the standard library cannot put a time to that: a thread waits, and
/// is left behind where it waits too long.
fn connect(path: &Path, within: Duration) -> Option<io::Result<UnixStream>> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    let spawned = std::thread::Builder::new().spawn(move || sender.send(UnixStream::connect(path)));
    match spawned {
        Ok(_) => receiver.recv_timeout(within).ok(),
        Err(error) => Some(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    /// Connects to an agent that answers whatever it is asked with these bytes, one a pause, and then breaks off.
    fn against(answer: Vec<u8>, pause: Duration, within: Duration) -> Result<bool, AgentError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
            if pause.is_zero() {
                return stream.write_all(&answer);
            }
            for byte in answer {
                std::thread::sleep(pause);
                stream.write_all(&[byte])?;
            }
            Ok(())
        });
        let result = Connection::open(path, within).and_then(|mut connection| connection.holds(b"wanted"));
        let _ = server.join().unwrap();
        result
    }

    fn list(blobs: &[&[u8]]) -> Vec<u8> {
        let count = u32::try_from(blobs.len()).unwrap();
        let body = Writer::default().byte(IDENTITIES_ANSWER).u32(count);
        let body = blobs.iter().fold(body, |body, blob| body.string(blob).string(b"comment"));
        Writer::default().string(&body.into_bytes()).into_bytes()
    }

    #[test]
    fn lists_and_lies() {
        const SECOND: Duration = Duration::from_secs(1);
        let answer = |bytes: Vec<u8>| against(bytes, Duration::ZERO, SECOND);
        assert!(answer(list(&[b"not a key", b"wanted"])).unwrap());
        assert!(!answer(list(&[b"other"])).unwrap());
        assert!(!answer(vec![0, 0, 0, 1, 5]).unwrap());
        let mut short = list(&[b"other"]);
        short[8] = 9; // nine keys announced
        for (bytes, part) in [
            (vec![0xff, 0xff, 0xff, 0xff], "4294967295 bytes"),
            (vec![0, 4, 0, 1], "262145 bytes"),
            (vec![0, 0, 0, 0], "0 bytes"),
            (vec![0, 0, 0, 1, 14], "something else"),
            (short, "cut short"),
        ] {
            assert!(answer(bytes).unwrap_err().to_string().contains(part), "{part}");
        }
        for bytes in [vec![], vec![0, 0], vec![0, 0, 0, 9, 12]] {
            assert!(matches!(answer(bytes), Err(AgentError::BrokeOff { .. })));
        }
    }

    #[test]
    fn a_drip_does_not_move_the_deadline() {
        let start = Instant::now();
        let result = against(list(&[&[0; 2000]]), Duration::from_millis(20), Duration::from_millis(300));
        assert!(matches!(result, Err(AgentError::Late { .. })));
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn nobody_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        drop(UnixListener::bind(&path).unwrap());
        let result = Connection::open(path, LIST_WITHIN);
        assert!(matches!(result, Err(AgentError::Dead { .. })));
    }
}
