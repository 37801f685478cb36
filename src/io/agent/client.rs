//! The signer's side of the agent's socket.

use super::protocol::{Answer, Question, Status, Timed, is_own, read, write};
use super::{holding, named, socket};
use crate::io::sigstore::renewal::Renewal;
use crate::signature::x509::sign::{Leaf, SignedAttributes};
use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::env;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An agent answers at once or not at all: it asks nobody.
const ANSWER: Duration = Duration::from_secs(5);
/// To renew a certificate it asks two servers.
const RENEWED: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(5);
/// What an agent that is started sees of the environment: where its socket lies, how servers are reached, and no secrets.
const ENVIRONMENT: [&str; 12] = [
    "XDG_RUNTIME_DIR",
    "TMPDIR",
    "HOME",
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// A running agent.
pub struct Agent(());

/// What an agent says when it is to sign.
pub enum Answered {
    /// A signature, and the certificate of the key that made it. Neither is verified here.
    Signature(Leaf, Vec<u8>),
    /// The certificate has ended, and can be renewed.
    Ended,
    /// It holds no certificate of these services that lives.
    Nothing,
}

impl Agent {
    /// The agent, if one runs and answers.
    pub fn find() -> Option<Self> {
        Self::look().ok().flatten()
    }

    /// The agent, if one runs.
    ///
    /// # Errors
    /// Where somebody listens in an agent's place, and does not answer as one.
    pub fn look() -> Result<Option<Self>> {
        let path = socket()?;
        check_length(&path)?;
        let stream = match connect(&path) {
            Ok(stream) if !is_own(&stream) => return Ok(None), // another user's is none
            Ok(stream) => Ok(stream),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
            Err(error) => Err(error),
        };
        let asked = stream.map_err(anyhow::Error::from).and_then(|stream| exchange(&stream, &Question::Status, ANSWER));
        match asked {
            Ok(Answer::Status(_)) => Ok(Some(Self(()))),
            Ok(_) | Err(_) => bail!("an agent is there and does not answer{}; end it, or try again", named(holding())),
        }
    }

    /// The agent; started where none runs.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start() -> Result<Self> {
        if let Some(agent) = Self::look()? {
            return Ok(agent);
        }
        let program = env::current_exe().context("cannot tell where this program lies")?;
        let mut command = Command::new(&program);
        command.args(["agent", "--foreground"]).current_dir("/");
        // none of our streams: git waits for whoever holds them
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_clear().envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Some(agent) = Self::find() {
                return Ok(agent);
            }
            if let Ok(Some(status)) = child.try_wait() {
                // another one may have been quicker
                return Self::find().ok_or_else(|| anyhow!("it ends with {status}; `git warrant agent --foreground` says why"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("it does not answer")
    }

    /// Has it make a key; the request for its certificate, in DER.
    ///
    /// # Errors
    /// Where it does not.
    pub fn request(&self, of: &str) -> Result<Vec<u8>> {
        match self.ask(&Question::Request { of: of.to_owned() })? {
            Answer::Request(request) => bytes(&request),
            other => Err(unexpected(&other)),
        }
    }

    /// Has it keep the certificate of the key that it made, and that by which the certificate may be renewed.
    ///
    /// # Errors
    /// Where it does not.
    pub fn keep(&self, of: &str, leaf: &Leaf, renewal: Option<Renewal>) -> Result<()> {
        let certificate = STANDARD.encode(leaf.as_der());
        match self.ask(&Question::Certificate { of: of.to_owned(), certificate, renewal })? {
            Answer::Kept => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Signs by a certificate of these services.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub fn sign(&self, of: &str, attributes: &SignedAttributes) -> Result<Answered> {
        match self.ask(&Question::Sign { of: of.to_owned(), attributes: STANDARD.encode(attributes.as_der()) })? {
            Answer::Signature { certificate, signature } => {
                Ok(Answered::Signature(Leaf::parse(&bytes(&certificate)?)?, bytes(&signature)?))
            }
            Answer::Ended => Ok(Answered::Ended),
            Answer::Nothing => Ok(Answered::Nothing),
            other => Err(unexpected(&other)),
        }
    }

    /// Has it renew the certificate of these services, which has ended.
    ///
    /// # Errors
    /// Where it cannot: then somebody has to log in.
    pub fn renew(&self, of: &str) -> Result<()> {
        match self.ask_within(&Question::Renew { of: of.to_owned() }, RENEWED)? {
            Answer::Kept => Ok(()),
            Answer::Nothing => bail!("the agent has nothing left to renew it by"),
            other => Err(unexpected(&other)),
        }
    }

    /// What it holds.
    ///
    /// # Errors
    /// Where it does not say.
    pub fn status(&self) -> Result<Status> {
        match self.ask(&Question::Status)? {
            Answer::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it does not.
    pub fn stop(&self) -> Result<()> {
        match self.ask(&Question::Stop)? {
            Answer::Stopping => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&self, question: &Question) -> Result<Answer> {
        self.ask_within(question, ANSWER)
    }

    fn ask_within(&self, question: &Question, within: Duration) -> Result<Answer> {
        let stream = connect(&socket()?).context("no agent runs")?;
        exchange(&stream, question, within)
    }
}

fn exchange(stream: &UnixStream, question: &Question, within: Duration) -> Result<Answer> {
    if !is_own(stream) {
        bail!("what listens at the agent's socket belongs to another user");
    }
    write(Timed::new(stream, ANSWER), question)?;
    match read(Timed::new(stream, within))? {
        Answer::Refused(why) => bail!("the agent says: {why}"),
        answer => Ok(answer),
    }
}

/// Refuses a path that no socket can have.
///
/// # Errors
/// Where it is too long.
pub(super) fn check_length(path: &Path) -> Result<()> {
    match SocketAddrUnix::new(path) {
        Ok(_) => Ok(()),
        Err(_) => bail!("{} is longer than the path of a socket may be; let XDG_RUNTIME_DIR name a shorter folder", path.display()),
    }
}

/// Connects, and does not wait for one who accepts nobody.
pub(in crate::io) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).ok().context("the agent's answer makes no sense")
}

fn unexpected(answer: &Answer) -> anyhow::Error {
    anyhow!("the agent's answer makes no sense: {answer:?}")
}
