//! What the agent holds, and what it answers: keys and certificates, by the services that issued them.

use super::protocol::{Answer, Held, Question, Status, read, write};
use crate::io::clock;
use crate::io::keys::ephemeral::Ephemeral;
use crate::io::sigstore::Http;
use crate::io::sigstore::renewal::{Renewal, Unrenewed};
use crate::signature::x509::sign::{Leaf, SignedAttributes, certificate_request};
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a key waits for its certificate.
const WAIT: Duration = Duration::from_secs(120);
/// A certificate is not used in its last seconds: the log would find it expired.
const MARGIN: i64 = 20;
/// More at a time are somebody's mistake.
const MOST_KEYS: usize = 16;
/// Nor do more renew, or wait to: others are to be heard meanwhile.
const MOST_RENEWALS: usize = 16;
/// How long one waits while another renews the same certificate.
const TURN: Duration = Duration::from_secs(10);

/// A key with its certificate, and that by which it may be renewed.
struct Slot {
    key: Arc<Ephemeral>,
    leaf: Leaf,
    renewal: Option<Arc<Mutex<Renewal>>>,
    /// Until when it may be renewed, in seconds since 1970.
    until: i64,
}

/// What a certificate that is to come is of: the services, and the public key.
type Awaited = (String, Vec<u8>);

/// Keys, for one user.
#[derive(Default)]
pub struct Holder {
    slots: Mutex<HashMap<String, Slot>>,
    /// Keys that wait for their certificate, by services and public key: they take the place of none that has it, nor of each other.
    pending: Mutex<HashMap<Awaited, (Ephemeral, Instant)>>,
    /// How many renew, or wait to.
    renewing: AtomicUsize,
    stop: AtomicBool,
    locked: bool,
}

impl Holder {
    /// One that holds nothing; `locked` says whether its memory is.
    pub(super) fn new(locked: bool) -> Self {
        Self { locked, ..Self::default() }
    }

    /// Reads one question and writes its answer.
    ///
    /// # Errors
    /// Where there is no question, or nobody takes the answer.
    pub fn serve(&self, from: impl Read, to: impl Write) -> Result<()> {
        write(to, &self.hear(from)?)
    }

    /// Reads one question; its answer.
    pub(super) fn hear(&self, from: impl Read) -> Result<Answer> {
        let question = read(from)?;
        Ok(self.answer(question).unwrap_or_else(|error| Answer::Refused(format!("{error:#}"))))
    }

    /// Whether it was told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn answer(&self, question: Question) -> Result<Answer> {
        match question {
            Question::Request { of } => {
                let (key, request) = made()?;
                let public_key = key.public_key()?;
                let mut pending = lock(&self.pending);
                if pending.len() >= MOST_KEYS {
                    bail!("too many logins wait for their certificates");
                }
                pending.insert((of, public_key), (key, Instant::now()));
                Ok(Answer::Request(STANDARD.encode(request)))
            }
            Question::Certificate { of, certificate, renewal } => {
                let leaf = Leaf::parse(&bytes(&certificate)?)?;
                let waiting = (of, leaf.public_key().to_vec());
                let (key, _) = lock(&self.pending).remove(&waiting).context("no key waits for this certificate")?;
                let (of, _) = waiting;
                let mut slots = lock(&self.slots);
                if slots.len() >= MOST_KEYS && !slots.contains_key(&of) {
                    bail!("too many certificates are held");
                }
                let until = renewal.as_ref().map_or(0, |renewal| renewal.until);
                let renewal = renewal.map(|renewal| Arc::new(Mutex::new(renewal)));
                slots.insert(of, Slot { key: Arc::new(key), leaf, renewal, until });
                Ok(Answer::Kept)
            }
            Question::Sign { of, attributes } => {
                let attributes = SignedAttributes::from_der(&bytes(&attributes)?).context("only signed attributes are signed")?;
                let (key, leaf) = match lock(&self.slots).get(&of) {
                    Some(slot) if slot.lives() => (Arc::clone(&slot.key), slot.leaf.clone()),
                    Some(slot) if slot.is_renewable() => return Ok(Answer::Ended),
                    Some(_) | None => return Ok(Answer::Nothing),
                };
                let signature = key.sign(attributes.as_der())?;
                Ok(Answer::Signature { certificate: STANDARD.encode(leaf.as_der()), signature: STANDARD.encode(signature) })
            }
            Question::Renew { of } => self.renew(&of),
            Question::Status => {
                let slots = lock(&self.slots);
                let held = |slot: &Slot| Held {
                    subject: slot.leaf.subject.clone().unwrap_or_default(),
                    until: slot.leaf.not_after,
                    renewed_until: slot.is_renewable().then_some(slot.until),
                };
                let certificates = slots.values().filter(|slot| slot.is_of_use()).map(held).collect();
                Ok(Answer::Status(Status { process: std::process::id(), locked: self.locked, certificates }))
            }
            Question::Stop => {
                lock(&self.slots).clear();
                lock(&self.pending).clear();
                self.stop.store(true, Ordering::SeqCst);
                Ok(Answer::Stopping)
            }
        }
    }

    fn renew(&self, of: &str) -> Result<Answer> {
        let _counted = Counted::of(&self.renewing, MOST_RENEWALS).context("too many renewals wait for their issuers")?;
        let until = Instant::now() + TURN;
        loop {
            let renewal = match lock(&self.slots).get(of) {
                Some(slot) if slot.lives() => return Ok(Answer::Kept), // somebody else was quicker
                Some(slot) if slot.is_renewable() => slot.renewal.clone().context("nothing to renew it by")?,
                Some(_) | None => return Ok(Answer::Nothing),
            };
            // one at a time: a refresh token may be good for one
            match renewal.try_lock() {
                Ok(mut one) => return self.renew_by(of, &renewal, &mut one),
                Err(TryLockError::Poisoned(one)) => return self.renew_by(of, &renewal, &mut one.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::WouldBlock) => bail!("it is being renewed, and the issuer or Fulcio takes long to answer"),
            }
        }
    }

    /// `held` is what is in `renewal`, which nobody else uses meanwhile.
    fn renew_by(&self, of: &str, renewal: &Arc<Mutex<Renewal>>, held: &mut Renewal) -> Result<Answer> {
        let before = match lock(&self.slots).get(of) {
            Some(slot) if slot.lives() => return Ok(Answer::Kept), // while this one waited for its turn
            Some(slot) => slot.leaf.clone(),
            None => return Ok(Answer::Nothing),
        };
        let (key, request) = made()?;
        let renewed = held.renew(&Http::new(), &request);
        let mut slots = lock(&self.slots);
        // whoever logged in meanwhile, or had all forgotten, is not overruled
        let is_same = |slot: &Slot| slot.renewal.as_ref().is_some_and(|other| Arc::ptr_eq(other, renewal));
        if !slots.get(of).is_some_and(is_same) {
            return Ok(Answer::Nothing);
        }
        let leaf = match renewed {
            Ok(leaf) => leaf,
            Err(Unrenewed::Passing(error)) => return Err(error),
            Err(Unrenewed::Refused(error)) => {
                slots.remove(of);
                return Err(error);
            }
        };
        if key.public_key()? != leaf.public_key() {
            bail!("the new certificate is of another key");
        }
        if (&leaf.subject, &leaf.vouched_by) != (&before.subject, &before.vouched_by) {
            slots.remove(of);
            bail!("the new certificate is of {}, and the old one was of {}", leaf.holder(), before.holder());
        }
        if let Some(slot) = slots.get_mut(of) {
            (slot.key, slot.leaf) = (Arc::new(key), leaf);
        }
        Ok(Answer::Kept)
    }

    /// Drops what has ended; whether something is left.
    pub(super) fn forget(&self) -> bool {
        let mut slots = lock(&self.slots);
        slots.retain(|_, slot| slot.is_of_use());
        let mut pending = lock(&self.pending);
        pending.retain(|_, (_, made)| made.elapsed() < WAIT);
        !slots.is_empty() || !pending.is_empty()
    }
}

/// One of so many.
pub(super) struct Counted<C: Borrow<AtomicUsize>>(C);

impl<C: Borrow<AtomicUsize>> Counted<C> {
    /// Another one, where there are not so many yet.
    pub(super) fn of(count: C, most: usize) -> Option<Self> {
        let more = |before: usize| before.checked_add(1).filter(|after| *after <= most);
        count.borrow().fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok().then(|| Self(count)) // none is made, and dropped, where there are too many
    }
}

impl<C: Borrow<AtomicUsize>> Drop for Counted<C> {
    fn drop(&mut self) {
        self.0.borrow().fetch_sub(1, Ordering::SeqCst);
    }
}

impl Slot {
    fn lives(&self) -> bool {
        clock::now() < self.leaf.not_after.saturating_sub(MARGIN)
    }

    fn is_renewable(&self) -> bool {
        self.renewal.is_some() && clock::now() < self.until
    }

    fn is_of_use(&self) -> bool {
        self.lives() || self.is_renewable()
    }
}

/// A key, and the request for its certificate.
fn made() -> Result<(Ephemeral, Vec<u8>)> {
    let key = Ephemeral::generate()?;
    let request = certificate_request(&key.public_key()?, |message| key.sign(message))?;
    Ok((key, request))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).ok().context("the question makes no sense")
}
