//! `--online`: log entries that signatures do not carry, asked of Rekor. Nothing else here asks a network to judge.

use super::complain;
use super::session::Place;
use crate::armor::Format;
use crate::evidence::Evidence;
use crate::io::sigstore::search::{Failure, Found, Search};
use crate::io::sigstore::services::searched;
use crate::object::{ObjectId, Payload};
use crate::report::escape::printable;
use crate::signature::Verifier;
use crate::signature::x509::X509Verifier;
use crate::signature::x509::sign::LogEntry;
use crate::verdict::Reason;
use anyhow::{Result, anyhow};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An entry, and its body.
type Entry = (Vec<u8>, LogEntry);

/// So many entries are remembered, for whoever looks at an object twice: `show` does.
const MOST_KNOWN: usize = 256;

/// The log that is asked.
#[derive(Clone)]
pub(super) struct Online(Arc<Log>);

struct Log {
    search: Search,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What proved something.
    good: HashMap<ObjectId, Arc<Entry>>,
    /// Of which objects nothing is proved, and somebody was told why.
    said: HashSet<ObjectId>,
    /// The log does not answer: it is not asked any more.
    gone: bool,
    /// What it was not asked for.
    unasked: HashSet<ObjectId>,
}

impl Drop for Log {
    fn drop(&mut self) {
        let unasked = self.known.get_mut().unwrap_or_else(PoisonError::into_inner).unasked.len();
        if unasked > 0 {
            let objects = if unasked == 1 { "object" } else { "objects" };
            complain(&format!("warning: --online: {unasked} {objects} more would have been asked for, and the log was given up"));
        }
    }
}

impl Online {
    /// The log that the settings name.
    pub(super) fn new(place: &Place) -> Result<Self> {
        let (rekor, warning) = searched(&place.repository, &place.config)?;
        if let Some(warning) = warning {
            complain(&printable(&warning));
        }
        Ok(Self(Arc::new(Log { search: Search::new(rekor), known: Mutex::default() })))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the log says of an object, as far as it may be asked: otherwise `None`, and everything is said that there is to say.
    fn found(&self, object: &ObjectId, armored: &[u8]) -> Option<Found> {
        {
            let mut known = self.known();
            if known.said.contains(object) {
                return None;
            }
            if known.gone {
                known.unasked.insert(*object);
                return None;
            }
        }
        let signed = X509Verifier::logged_of(object);
        let certificate = X509Verifier::certificate_of(armored).map_err(|reason| Failure::Here(anyhow!("{reason}")));
        let error = match certificate.and_then(|certificate| self.0.search.find(signed.as_bytes(), &certificate)) {
            Ok(found) => return Some(found),
            Err(Failure::Here(error)) => format!("{object}: {error:#}"),
            Err(Failure::Gone(error)) => {
                let mut known = self.known();
                if known.gone {
                    known.unasked.insert(*object); // others asked meanwhile, too: the first said it
                    return None;
                }
                known.gone = true;
                format!("{error:#}")
            }
        };
        self.say(object, &error);
        None
    }

    fn say(&self, object: &ObjectId, why: &str) {
        if self.known().said.insert(*object) {
            complain(&format!("warning: --online: {}", printable(why)));
        }
    }
}

/// A verifier of CMS signatures that asks a log, where there is one to be asked, for what they do not carry.
pub(super) struct X509Online<'a> {
    verifier: X509Verifier,
    online: Option<&'a Online>,
}

impl<'a> X509Online<'a> {
    pub(super) fn new(verifier: X509Verifier, online: Option<&'a Online>) -> Self {
        Self { verifier, online }
    }
}

impl Verifier for X509Online<'_> {
    fn format(&self) -> Format {
        self.verifier.format()
    }

    fn verify(&self, armored: &[u8], payload: &Payload<'_>) -> Result<Evidence, Reason> {
        self.verifier.verify(armored, payload)
    }

    fn witnessed(&self, object: &ObjectId, armored: &[u8], evidence: Evidence) -> Evidence {
        let lacks = evidence.keyless.as_ref().is_some_and(|keyless| keyless.entry.is_none());
        let Some(online) = self.online.filter(|_| lacks) else { return evidence };
        let with = |entry: &Entry| self.verifier.with_entry(armored, &evidence, object, (&entry.0, &entry.1));
        let known = online.known().good.get(object).map(Arc::clone);
        if let Some(more) = known.and_then(|entry| with(&entry).ok()) {
            return more;
        }
        let Some(found) = online.found(object, armored) else { return evidence };
        let mut whys = found.odd;
        for entry in found.entries {
            match with(&entry) {
                Ok(more) => {
                    let mut known = online.known();
                    if known.good.len() < MOST_KNOWN {
                        known.good.insert(*object, Arc::new(entry));
                    }
                    return more;
                }
                Err(Reason::LogEntry { what }) => whys.push(format!("entry {}: {what}", entry.1.index)),
                Err(why) => whys.push(format!("entry {}: {why}", entry.1.index)),
            }
        }
        let why = if whys.is_empty() { "the log has no entry of it".to_owned() } else { whys.join("; ") };
        online.say(object, &format!("{object}: {why}"));
        evidence
    }
}
