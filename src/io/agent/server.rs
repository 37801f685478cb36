//! The agent's own side: a process that keeps keys and serves its user.

use super::protocol::{Answer, Question, Status, read, write};
use super::{Agent, folder, socket};
use crate::io::clock;
use crate::io::keys::ephemeral::Ephemeral;
use crate::io::secrecy::{forbid_dumps, lock_memory};
use crate::signature::x509::sign::{Leaf, SignedAttributes, certificate_request};
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long somebody may take to say something.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it stays without a certificate that lives.
const IDLE: Duration = Duration::from_secs(120);
/// A certificate is not used in its last seconds: the log would find it expired.
const MARGIN: i64 = 20;
/// More at a time are somebody's mistake.
const MOST_PEERS: usize = 32;
const MOST_KEYS: usize = 16;

/// A key, before and after it is certified.
struct Slot {
    key: Arc<Ephemeral>,
    leaf: Option<Leaf>,
    made: Instant,
}

struct State {
    slots: Mutex<HashMap<String, Slot>>,
    /// Keys that wait for their certificate do not take the place of one that has it.
    pending: Mutex<HashMap<String, Slot>>,
    stop: AtomicBool,
    peers: AtomicUsize,
    locked: bool,
}

/// Serves until it is told to stop, or has had no certificate for a while. Where another agent of this user runs it ends at once.
///
/// # Errors
/// Where its socket cannot be made.
pub fn serve() -> Result<()> {
    let _ = rustix::process::setsid(); // the terminal's signals are not meant for it
    forbid_dumps();
    let locked = lock_memory();
    let Some(_lock) = only_one()? else { return Ok(()) }; // until it has ended
    let path = socket()?;
    let _ = fs::remove_file(&path); // of an agent that was killed: its lock is free
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen at {}", path.display()))?;
    let state = Arc::new(State {
        slots: Mutex::default(),
        pending: Mutex::default(),
        stop: AtomicBool::new(false),
        peers: AtomicUsize::new(0),
        locked,
    });
    let accepting = Arc::clone(&state);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&accepting);
            if state.peers.fetch_add(1, Ordering::SeqCst) >= MOST_PEERS {
                state.peers.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            thread::spawn(move || {
                let _ = state.serve(&stream);
                state.peers.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    let mut useful = Instant::now();
    while !state.stop.load(Ordering::SeqCst) && useful.elapsed() < IDLE {
        thread::sleep(Duration::from_millis(50));
        if state.forget() {
            useful = Instant::now();
        }
    }
    thread::sleep(Duration::from_millis(50)); // whoever asked it to stop gets the answer
    let _ = fs::remove_file(&path);
    Ok(())
}

/// The lock that the one agent of a user holds as long as it lives; `None` where another one answers. One that is about to end
/// is waited for.
fn only_one() -> Result<Option<File>> {
    let path = folder()?.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    for _ in 0..40 {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(Some(file));
        }
        if Agent::find().is_some() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("another agent holds {} and does not answer; end it", path.display())
}

/// Whether the other side is the same user, as the kernel says.
fn is_own(stream: &UnixStream) -> bool {
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

impl State {
    fn serve(&self, stream: &UnixStream) -> Result<()> {
        if !is_own(stream) {
            bail!("another user");
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let question = read(stream)?;
        let answer = self.answer(question).unwrap_or_else(|error| Answer::Refused(format!("{error:#}")));
        write(stream, &answer)
    }

    fn answer(&self, question: Question) -> Result<Answer> {
        match question {
            Question::Request { of } => {
                let key = Ephemeral::generate()?;
                let request = certificate_request(&key.public_key()?, |message| key.sign(message))?;
                let mut pending = lock(&self.pending);
                if pending.len() >= MOST_KEYS {
                    bail!("too many logins wait for their certificates");
                }
                pending.insert(of, Slot { key: Arc::new(key), leaf: None, made: Instant::now() });
                Ok(Answer::Request(STANDARD.encode(request)))
            }
            Question::Certificate { of, certificate } => {
                let leaf = Leaf::parse(&bytes(&certificate)?)?;
                let slot = lock(&self.pending).remove(&of).context("no key waits for a certificate")?;
                if slot.key.public_key()? != leaf.public_key() {
                    bail!("the certificate is of another key");
                }
                let mut slots = lock(&self.slots);
                if slots.len() >= MOST_KEYS && !slots.contains_key(&of) {
                    bail!("too many certificates are held");
                }
                slots.insert(of, Slot { leaf: Some(leaf), ..slot });
                Ok(Answer::Kept)
            }
            Question::Sign { of, attributes } => {
                let attributes = SignedAttributes::from_der(&bytes(&attributes)?).context("only signed attributes are signed")?;
                let found = lock(&self.slots).get(&of).and_then(|slot| Some((Arc::clone(&slot.key), slot.leaf.clone()?)));
                let Some((key, leaf)) = found.filter(|(_, leaf)| lives(leaf)) else { return Ok(Answer::Nothing) };
                let signature = key.sign(attributes.as_der())?;
                Ok(Answer::Signature { certificate: STANDARD.encode(leaf.as_der()), signature: STANDARD.encode(signature) })
            }
            Question::Status => {
                let slots = lock(&self.slots);
                let leaves = slots.values().filter_map(|slot| slot.leaf.as_ref()).filter(|leaf| lives(leaf));
                let certificates = leaves.map(|leaf| (leaf.subject.clone().unwrap_or_default(), leaf.not_after)).collect();
                Ok(Answer::Status(Status { process: std::process::id(), locked: self.locked, certificates }))
            }
            Question::Stop => {
                lock(&self.slots).clear();
                let _ = fs::remove_file(socket()?); // from now on it is as good as gone
                self.stop.store(true, Ordering::SeqCst);
                Ok(Answer::Stopping)
            }
        }
    }

    /// Drops what has ended; whether something is left.
    fn forget(&self) -> bool {
        let mut slots = lock(&self.slots);
        slots.retain(|_, slot| slot.leaf.as_ref().is_some_and(lives));
        let mut pending = lock(&self.pending);
        pending.retain(|_, slot| slot.made.elapsed() < IDLE);
        !slots.is_empty() || !pending.is_empty()
    }
}

fn lives(leaf: &Leaf) -> bool {
    clock::now() < leaf.not_after.saturating_sub(MARGIN)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).ok().context("the question makes no sense")
}
