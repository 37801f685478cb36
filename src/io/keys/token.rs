//! FIDO keys through OpenSSH's ssh-sk-helper: one request and one answer on its standard streams (`ssh-sk-client.c`, protocol 5).
//!
//! The helper loads the library that drives the token, so that nothing foreign runs inside this process. Its answer is checked
//! against the key by [`crate::signature::ssh::sign`] like everybody else's.

use super::ask;
use super::exchange::{Exchange, ExchangeError};
use super::terminal;
use crate::evidence::Key;
use crate::io::secrecy::without_secrets;
use crate::signature::ssh::MessageHash;
use crate::signature::ssh::sign::{Signer, SignerError};
use crate::signature::ssh::wire::{Reader, WireError, Writer};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const VERSION: u8 = 5;
const ERROR: u32 = 0;
const SIGN: u32 = 1;
/// `SYSLOG_LEVEL_ERROR`
const LOG_ERRORS: u32 = 2;
/// OpenSSH's bound (`ssh_msg_recv`).
const MAX_ANSWER: u32 = 256 * 1024;
/// People look for their token, and touch it.
const WITHIN: Duration = Duration::from_secs(300);
/// How much of what the helper says is passed on.
const MAX_SAID: u64 = 2048;

/// `SSH_SK_USER_PRESENCE_REQD`, `SSH_SK_USER_VERIFICATION_REQD` (`sk-api.h`).
const TOUCH: u8 = 0x01;
const PIN: u8 = 0x04;

/// Where the helper lies: Debian; Fedora; Arch; macOS and the BSDs; Homebrew on either kind of Mac; OpenSSH's own default.
const HELPERS: [&str; 8] = [
    "/usr/lib/openssh/ssh-sk-helper",
    "/usr/libexec/openssh/ssh-sk-helper",
    "/usr/lib/ssh/ssh-sk-helper",
    "/usr/libexec/ssh-sk-helper",
    "/usr/lib/misc/ssh-sk-helper",
    "/opt/homebrew/opt/openssh/libexec/ssh-sk-helper",
    "/usr/local/opt/openssh/libexec/ssh-sk-helper",
    "/usr/local/libexec/ssh-sk-helper",
];

/// Why the token does not sign. Each message names its mend.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("no ssh-sk-helper was found: install OpenSSH's client (on Debian openssh-client), or name the helper in SSH_SK_HELPER")]
    NoHelper,
    #[error("the helper {} cannot be run: {source}; does SSH_SK_HELPER name ssh-sk-helper?", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error("no PIN was given")]
    NoPin,
    #[error("there is nobody to ask for the PIN: {0}")]
    NobodyToAsk(io::Error),
    #[error("no token that holds {0} was found: plug it in, then try again")]
    NotFound(String),
    #[error("the token refused: its PIN was wrong or is missing")]
    WrongPin,
    #[error("the helper failed: {0}")]
    Failed(String),
    #[error("the helper gave no answer within {} seconds: was the token touched?", WITHIN.as_secs())]
    Late,
    #[error("{} broke off: {source}", path.display())]
    BrokeOff { path: PathBuf, source: io::Error },
    #[error("{} is no ssh-sk-helper of OpenSSH 8.9 or later: {what}", path.display())]
    Nonsense { path: PathBuf, what: String },
}

/// What a key file holds of a token's key: a handle, which is worth nothing without the token.
pub(super) struct Handle {
    /// The private key as the helper wants it (PROTOCOL.u2f, without comment and padding).
    pub(super) private: Zeroizing<Vec<u8>>,
    /// What the key asks for (`sk_flags`).
    pub(super) flags: u8,
}

/// A key on a token.
pub(super) struct Token {
    pub(super) public: Arc<Key>,
    pub(super) handle: Handle,
    /// The library that reaches the token; `internal` is OpenSSH's own.
    pub(super) provider: OsString,
}

impl Signer for Token {
    fn public_key(&self) -> &[u8] {
        self.public.wire()
    }

    fn sign(&mut self, data: &[u8], _: MessageHash) -> Result<Vec<u8>, SignerError> {
        let pin = if self.handle.flags & PIN == 0 {
            None
        } else {
            let pin = ask::secret(&format!("Enter PIN for {} key: ", self.public.short));
            Some(pin.map_err(TokenError::NobodyToAsk)?.ok_or(TokenError::NoPin)?)
        };
        if self.handle.flags & TOUCH != 0 {
            announce(&format!("Confirm user presence for key {} {}", self.public.short, self.public.fingerprint));
        }
        let request = request(&self.handle.private, &self.provider, data, pin.as_deref().map_or(&[], Vec::as_slice));
        let mut helper = Helper::start(Instant::now() + WITHIN)?;
        let answer = helper.converse(&request).map_err(|error| helper.explain(error))?;
        match read_answer(&answer) {
            Ok(Answer::Signature(signature)) => Ok(signature),
            Ok(Answer::Error(code)) => Err(helper.explain(self.refusal(code)).into()),
            Err(WireError) => Err(helper.nonsense("its answer cannot be read").into()),
        }
    }
}

impl Token {
    /// What an error of OpenSSH's means here (`ssherr.h`, without the sign).
    fn refusal(&self, code: u32) -> TokenError {
        match code {
            60 => TokenError::NotFound(self.public.fingerprint.clone()),
            43 => TokenError::WrongPin,
            4 => TokenError::Failed(format!("{} (-w, SSH_SK_PROVIDER) is not a FIDO library", self.provider.display())),
            59 => TokenError::Failed("the token does not support this key".to_owned()),
            code => TokenError::Failed(format!("error {code}")),
        }
    }
}

/// Says what to do where whoever has the token sees it: git hides standard error until all is over, but not the terminal.
fn announce(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
    if !io::stderr().is_terminal() {
        terminal::tell(line);
    }
}

/// `ssh_msg_send` around the preamble and the fields of `sshsk_sign`.
fn request(private: &[u8], provider: &OsStr, data: &[u8], pin: &[u8]) -> Zeroizing<Vec<u8>> {
    let fields = [private.len(), provider.len(), data.len(), pin.len()].iter().sum::<usize>();
    let writer = Writer::with_capacity(fields + 64); // what grows leaves copies of the PIN behind
    let writer = writer.byte(VERSION).u32(SIGN).byte(1).u32(LOG_ERRORS);
    let writer = writer.string(private).string(provider.as_bytes()).string(data).string(b"").u32(0).string(pin);
    Zeroizing::new(writer.into_bytes())
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Signature(Vec<u8>),
    Error(u32),
}

fn read_answer(answer: &[u8]) -> Result<Answer, WireError> {
    let mut reader = Reader::new(answer);
    if reader.byte()? != VERSION {
        return Err(WireError);
    }
    let read = match reader.u32()? {
        ERROR => Answer::Error(reader.u32()?),
        SIGN => Answer::Signature(reader.string()?.to_vec()),
        _ => return Err(WireError),
    };
    reader.finish()?;
    Ok(read)
}

/// A helper that ends with this value, whatever it is doing.
struct Helper {
    path: PathBuf,
    child: Child,
    exchange: Exchange,
    /// Its standard error: a file, since a pipe would have to be read beside the answer, and ours git waits for.
    said: Option<File>,
}

impl Helper {
    fn start(until: Instant) -> Result<Self, TokenError> {
        let named = env::var_os("SSH_SK_HELPER").filter(|path| !path.is_empty()).map(PathBuf::from);
        let found = named.or_else(|| HELPERS.into_iter().map(PathBuf::from).find(|path| path.is_file()));
        Self::start_at(found.ok_or(TokenError::NoHelper)?, until)
    }

    fn start_at(path: PathBuf, until: Instant) -> Result<Self, TokenError> {
        match Self::spawn(&path) {
            Ok((child, stream, said)) => Ok(Self { path, child, exchange: Exchange::new(stream, until, MAX_ANSWER), said }),
            Err(source) => Err(TokenError::Unusable { path, source }),
        }
    }

    fn spawn(path: &Path) -> io::Result<(Child, UnixStream, Option<File>)> {
        let (stream, theirs) = UnixStream::pair()?;
        let said = tempfile::tempfile().ok();
        let stderr = said.as_ref().and_then(|file| file.try_clone().ok()).map_or_else(Stdio::null, Stdio::from);
        let mut command = Command::new(path);
        command.stdin(OwnedFd::from(theirs.try_clone()?)).stdout(OwnedFd::from(theirs)).stderr(stderr);
        without_secrets(&mut command);
        Ok((command.spawn()?, stream, said))
    }

    /// One request, one answer.
    fn converse(&mut self, request: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.exchange.ask(request).map_err(|error| match error {
            ExchangeError::Late => TokenError::Late,
            ExchangeError::BrokeOff(source) => TokenError::BrokeOff { path: self.path.clone(), source },
            ExchangeError::Length(length) => self.nonsense(&format!("it announces an answer of {length} bytes")),
            ExchangeError::TooLarge => self.nonsense("the request is too large for it"),
        })
    }

    fn nonsense(&self, what: &str) -> TokenError {
        TokenError::Nonsense { path: self.path.clone(), what: what.to_owned() }
    }

    /// Passes on what the helper said of it.
    fn explain(&mut self, error: TokenError) -> TokenError {
        self.end();
        let mut said = Vec::new();
        if let Some(file) = &mut self.said {
            let _ = file.rewind().and_then(|()| file.take(MAX_SAID).read_to_end(&mut said));
        }
        for line in String::from_utf8_lossy(&said).lines().map(str::trim).filter(|line| !line.is_empty()) {
            let _ = writeln!(io::stderr(), "ssh-sk-helper: {}", line.escape_debug());
        }
        error
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn answers_and_lies() {
        let answer = |kind: u32| Writer::default().byte(VERSION).u32(kind);
        let signature = answer(SIGN).string(b"blob").into_bytes();
        assert_eq!(read_answer(&signature), Ok(Answer::Signature(b"blob".to_vec())));
        assert_eq!(read_answer(&answer(ERROR).u32(60).into_bytes()), Ok(Answer::Error(60)));
        for cut in 0..signature.len() {
            assert_eq!(read_answer(&signature[..cut]), Err(WireError), "cut at {cut}");
        }
        for lie in [
            answer(2).string(b"blob").into_bytes(),
            Writer::default().byte(4).u32(SIGN).string(b"blob").into_bytes(),
            [signature, vec![0]].concat(),
        ] {
            assert_eq!(read_answer(&lie), Err(WireError));
        }
    }

    /// Converses with a shell script in the helper's place, which has read the request.
    fn against(script: &str, within: Duration) -> Result<Vec<u8>, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("helper");
        std::fs::write(&path, format!("#!/bin/sh\nhead -c 11 >/dev/null\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        Helper::start_at(path, Instant::now() + within)?.converse(b"request")
    }

    #[test]
    fn helpers_that_lie_or_stall() {
        const LONG: Duration = Duration::from_secs(20);
        assert_eq!(against("printf '\\0\\0\\0\\2ok'", LONG).unwrap(), b"ok");
        for (script, part) in [
            ("exit 0", "broke off"),
            ("printf '\\0\\0\\0\\5ok'", "broke off"),
            ("printf '\\377\\377\\377\\377'", "4294967295 bytes"),
            ("printf '\\0\\4\\0\\1'", "262145 bytes"),
            ("printf '\\0\\0\\0\\0'", "0 bytes"),
        ] {
            let error = against(script, LONG).unwrap_err().to_string();
            assert!(error.contains(part), "{script}: {error}");
        }
        let start = Instant::now();
        let dripping = "while printf '\\0'; do sleep 0.05; done";
        for script in ["exec sleep 30", &format!("printf '\\0\\1\\0\\0'; {dripping}")] {
            assert!(matches!(against(script, Duration::from_millis(400)), Err(TokenError::Late)), "{script}");
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        let missing = Helper::start_at("/nonexistent/helper".into(), Instant::now() + LONG);
        assert!(matches!(missing, Err(TokenError::Unusable { .. })));
    }
}
