//! The signer's side of the agent's socket.

use super::protocol::{Answer, Question, Status, read, write};
use super::socket;
use crate::signature::x509::sign::{Leaf, SignedAttributes};
use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::env;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An agent answers at once or not at all: it asks nobody.
const ANSWER: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(5);
/// What an agent that is started sees of the environment: where its socket lies, and no secrets.
const ENVIRONMENT: [&str; 4] = ["XDG_RUNTIME_DIR", "TMPDIR", "HOME", "PATH"];

/// A running agent.
pub struct Agent(());

impl Agent {
    /// The agent, if one runs.
    pub fn find() -> Option<Self> {
        let agent = Self(());
        agent.ask(&Question::Status).is_ok().then_some(agent)
    }

    /// The agent; started where none runs.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start() -> Result<Self> {
        if let Some(agent) = Self::find() {
            return Ok(agent);
        }
        socket()?;
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

    /// Has it keep the certificate of the key that it made.
    ///
    /// # Errors
    /// Where it does not.
    pub fn keep(&self, of: &str, leaf: &Leaf) -> Result<()> {
        match self.ask(&Question::Certificate { of: of.to_owned(), certificate: STANDARD.encode(leaf.as_der()) })? {
            Answer::Kept => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Signs by a certificate of these services; `None` where none lives. The signature is not verified here.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub fn sign(&self, of: &str, attributes: &SignedAttributes) -> Result<Option<(Leaf, Vec<u8>)>> {
        match self.ask(&Question::Sign { of: of.to_owned(), attributes: STANDARD.encode(attributes.as_der()) })? {
            Answer::Signature { certificate, signature } => Ok(Some((Leaf::parse(&bytes(&certificate)?)?, bytes(&signature)?))),
            Answer::Nothing => Ok(None),
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
        let stream = UnixStream::connect(socket()?).context("no agent runs")?;
        stream
            .set_read_timeout(Some(ANSWER))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER)))
            .context("cannot speak to the agent")?;
        write(&stream, question)?;
        match read(&stream)? {
            Answer::Refused(why) => bail!("the agent says: {why}"),
            answer => Ok(answer),
        }
    }
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).ok().context("the agent's answer makes no sense")
}

fn unexpected(answer: &Answer) -> anyhow::Error {
    anyhow!("the agent's answer makes no sense: {answer:?}")
}
