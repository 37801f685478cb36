//! `--online`: log entries that signatures do not carry, asked of Rekor. Nothing else here asks a network to judge.

use super::complain;
use crate::armor::Format;
use crate::evidence::Evidence;
use crate::io::config::Config;
use crate::io::sigstore::services::searched;
use crate::io::sigstore::{Http, Service, search};
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
type Found = (Vec<u8>, LogEntry);

/// The log that is asked.
#[derive(Clone)]
pub(super) struct Online(Arc<Log>);

struct Log {
    http: Http,
    rekor: Service,
    /// What was found of which object; `None` once the log did not answer: it is not asked a second time.
    known: Mutex<Option<HashMap<ObjectId, Arc<[Found]>>>>,
    /// Of which objects it was said already that nothing is proved.
    said: Mutex<HashSet<ObjectId>>,
}

impl Online {
    /// The log that the settings name.
    pub(super) fn new(config: &Config) -> Result<Self> {
        Ok(Self(Arc::new(Log {
            http: Http::new(),
            rekor: searched(config)?,
            known: Mutex::new(Some(HashMap::new())),
            said: Mutex::default(),
        })))
    }

    fn known(&self) -> MutexGuard<'_, Option<HashMap<ObjectId, Arc<[Found]>>>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self, object: &ObjectId, armored: &[u8]) -> Result<Arc<[Found]>> {
        match self.known().as_ref().map(|known| known.get(object)) {
            None => return Ok(Arc::default()),
            Some(Some(found)) => return Ok(Arc::clone(found)),
            Some(None) => {}
        }
        let certificate = X509Verifier::certificate_of(armored).map_err(|reason| anyhow!("{reason}"))?;
        let signed = X509Verifier::logged_of(object);
        let found = search::find(&self.0.http, &self.0.rekor, signed.as_bytes(), &certificate);
        let mut known = self.known();
        match found {
            Ok(found) => {
                let found: Arc<[Found]> = found.into();
                if let Some(known) = known.as_mut() {
                    known.insert(*object, Arc::clone(&found));
                }
                Ok(found)
            }
            // others may have asked meanwhile, too: the first says it
            Err(error) => known.take().map_or_else(|| Ok(Arc::default()), |_| Err(error)),
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
        let found = match online.entries(object, armored) {
            Ok(found) => found,
            Err(error) => {
                complain(&format!("warning: --online: {}", printable(&format!("{error:#}"))));
                return evidence;
            }
        };
        let mut whys = Vec::new();
        for (body, entry) in found.iter() {
            match self.verifier.with_entry(armored, &evidence, object, (body, entry)) {
                Ok(more) => return more,
                Err(why) => whys.push(format!("entry {}: {why}", entry.index)),
            }
        }
        if online.0.said.lock().unwrap_or_else(PoisonError::into_inner).insert(*object) {
            let why = if whys.is_empty() { "the log has no entry of it".to_owned() } else { whys.join("; ") };
            complain(&format!("warning: --online: {object}: {}", printable(&why)));
        }
        evidence
    }
}
