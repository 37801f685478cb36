//! The agent's own side of its socket: a process that serves its user.

use super::activation::inherited;
use super::holder::Holder;
use super::protocol::{Timed, is_own, write};
use super::{Agent, folder, socket};
use crate::io::secrecy::{forbid_dumps, lock_memory};
use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    let listener = match inherited {
        Some(listener) => listener,
        None => {
            let _ = fs::remove_file(&path); // of an agent that was killed: its lock is free
            UnixListener::bind(&path).with_context(|| format!("cannot listen at {}", path.display()))?
        }
    };
    let holder = Arc::new(Holder::new(locked));
    accept(listener, &holder, is_ours.then_some(path.clone().into_boxed_path()));
    let mut useful = Instant::now();
    while !holder.is_stopped() && useful.elapsed() < IDLE {
        thread::sleep(Duration::from_millis(50));
        if holder.forget() {
            useful = Instant::now();
        }
    }
    thread::sleep(Duration::from_millis(50)); // whoever asked it to stop gets the answer
    if is_ours {
        let _ = fs::remove_file(&path);
    }
    Ok(())
}

/// Serves whoever comes, each on a thread of its own. `path` is removed when somebody says stop.
fn accept(listener: UnixListener, holder: &Arc<Holder>, path: Option<Box<Path>>) {
    let (holder, peers, path) = (Arc::clone(holder), Arc::new(AtomicUsize::new(0)), Arc::new(path));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if peers.load(Ordering::SeqCst) >= MOST_PEERS {
                continue;
            }
            peers.fetch_add(1, Ordering::SeqCst);
            let (holder, peers, path) = (Arc::clone(&holder), Arc::clone(&peers), Arc::clone(&path));
            thread::spawn(move || {
                let _ = serve_one(&holder, &stream, path.as_deref());
                peers.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
}

fn serve_one(holder: &Holder, stream: &UnixStream, path: Option<&Path>) -> Result<()> {
    if !is_own(stream) {
        bail!("another user");
    }
    let answer = holder.hear(Timed::new(stream, PATIENCE))?;
    if let Some(path) = path.filter(|_| holder.is_stopped()) {
        let _ = fs::remove_file(path); // from now on it is as good as gone
    }
    write(Timed::new(stream, PATIENCE), &answer)
}

/// The lock that the one agent of a user holds as long as it lives; `None` where another one answers, which is not asked where
/// the socket is the service manager's: nobody but this process would answer there. One that is about to end is waited for.
fn only_one(is_ours: bool) -> Result<Option<File>> {
    let path = folder()?.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    for _ in 0..40 {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(Some(file));
        }
        if is_ours && Agent::find().is_some() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("another agent holds {} and does not answer here; end it", path.display())
}
