//! The agent's own side of its socket: a process that serves its user.

use super::activation::inherited;
use super::client::check_length;
use super::holder::{Counted, Holder};
use super::protocol::{Timed, is_own, write};
use super::{Agent, connect, holding, lock_file, named, socket};
use crate::io::secrecy::{forbid_dumps, lock_memory};
use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

/// How long somebody may take to say something, or to take an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it stays without a certificate that lives.
const IDLE: Duration = Duration::from_secs(120);
/// More at a time are somebody's mistake.
const MOST_PEERS: usize = 32;

/// Serves until it is told to stop, or has had no certificate for a while. Where another agent of this user runs it ends at once.
///
/// # Errors
/// Where its socket cannot be made.
pub fn serve() -> Result<()> {
    let _ = rustix::process::setsid(); // the terminal's signals are not meant for it
    forbid_dumps();
    let locked = lock_memory();
    let path = socket()?;
    let inherited = inherited(&path)?;
    // a socket of the service manager's stays when this process ends, and starts the next
    let is_ours = inherited.is_none();
    let Some(_lock) = only_one(is_ours)? else { return Ok(()) }; // until it has ended
    let (listener, own) = match inherited {
        Some(listener) => (listener, None),
        None => {
            let listener = listen(&path)?;
            let own = Own::of(&path).with_context(|| format!("cannot look at {}", path.display()))?;
            (listener, Some(Arc::new(own)))
        }
    };
    let holder = Arc::new(Holder::new(locked));
    accept(listener, &holder, own.clone())?;
    let mut useful = Instant::now();
    // whose socket is gone, or another's, is asked nothing any more
    while !holder.is_stopped() && useful.elapsed() < IDLE && own.as_ref().is_none_or(|own| own.is_there()) {
        thread::sleep(Duration::from_millis(50));
        if holder.forget() {
            useful = Instant::now();
        }
    }
    thread::sleep(Duration::from_millis(50)); // whoever asked it to stop gets the answer
    if let Some(own) = own {
        own.remove();
    }
    Ok(())
}

/// A socket at its path, in the place of one that nobody listens at any more.
fn listen(path: &Path) -> Result<UnixListener> {
    check_length(path)?;
    let is_used = match connect(path) {
        Ok(stream) => is_own(&stream), // another user's is none
        Err(error) => !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
    };
    if is_used {
        bail!("somebody listens at {} already, the service manager perhaps, and does not answer", path.display());
    }
    let _ = fs::remove_file(path); // of an agent that was killed: its lock is free
    UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))
}

/// A socket that this process made: what somebody else put there since is left alone.
struct Own {
    path: PathBuf,
    place: (u64, u64),
}

impl Own {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), place: place(path)? })
    }

    fn is_there(&self) -> bool {
        place(&self.path).is_ok_and(|place| place == self.place)
    }

    fn remove(&self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn place(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Serves whoever comes, each on a thread of its own. The socket is removed when somebody says stop.
fn accept(listener: UnixListener, holder: &Arc<Holder>, own: Option<Arc<Own>>) -> Result<()> {
    let (holder, peers) = (Arc::clone(holder), Arc::new(AtomicUsize::new(0)));
    let accepting = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                thread::sleep(Duration::from_millis(50)); // no descriptor is free, perhaps
                continue;
            };
            let Some(peer) = Counted::of(Arc::clone(&peers), MOST_PEERS) else { continue };
            let (holder, own) = (Arc::clone(&holder), own.clone());
            // where no thread can be made the peer is dropped, and may come again
            let _ = thread::Builder::new().spawn(move || {
                let _peer = peer;
                let _ = serve_one(&holder, &stream, own.as_deref());
            });
        }
    };
    thread::Builder::new().spawn(accepting).context("cannot make a thread to listen by")?;
    Ok(())
}

fn serve_one(holder: &Holder, stream: &UnixStream, own: Option<&Own>) -> Result<()> {
    if !is_own(stream) {
        bail!("another user");
    }
    let answer = holder.hear(Timed::new(stream, PATIENCE))?;
    if let Some(own) = own.filter(|_| holder.is_stopped()) {
        own.remove(); // from now on it is as good as gone
    }
    write(Timed::new(stream, PATIENCE), &answer)
}

/// The lock that the one agent of a user holds as long as it lives; `None` where another one answers, which is not asked where
/// the socket is the service manager's: nobody but this process would answer there. One that is about to end is waited for.
fn only_one(is_ours: bool) -> Result<Option<File>> {
    let path = lock_file()?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
    for _ in 0..40 {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // for messages: that it cannot be written is no reason not to serve
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            return Ok(Some(file));
        }
        if is_ours && Agent::find().is_some() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("another agent{} holds {} and does not answer here; end it", named(holding()), path.display())
}
