//! Rekor v1, searched: the entries that it has of something, by a certificate.

use super::certificate::pem;
use super::http::{Answer, Call};
use super::log::parse_v1;
use super::{Http, Service};
use crate::signature::x509::sign::LogEntry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const HEADERS: [(&str, &str); 2] = [("Content-Type", "application/json"), ("Accept", "application/json")];
/// So many entries are looked at: of one object by one certificate there is one, or a few where somebody tried again.
const MOST: usize = 8;
const MOST_NAMES: u64 = 1 << 20;

/// A longer answer is of no entry of a signature by a certificate, in bytes: real ones have some 8,000.
const MOST_ENTRY: u64 = 64 << 10;
/// How long the log may take in all: at first, and more for each object that it is asked for.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_MORE: Duration = Duration::from_secs(5);
/// So many answers in a row by which the log itself fails, and it is not asked any more.
const MOST_IN_A_ROW: usize = 3;

/// What a log has of something.
pub struct Found {
    /// Entries, with their bodies: unchecked.
    pub entries: Vec<(Vec<u8>, LogEntry)>,
    /// What could not be read, and why.
    pub odd: Vec<String>,
}

/// A log that is searched, for as long as that goes well.
pub struct Search {
    http: Http,
    rekor: Service,
    state: Mutex<State>,
}

struct State {
    /// How much longer the log may take. Each object adds to it, so that a good log can be asked for any number.
    left: Duration,
    failures: usize,
}

/// Why a search found nothing.
pub enum Failure {
    /// For this object; others may be found.
    Here(anyhow::Error),
    /// The log cannot be asked any more.
    Gone(anyhow::Error),
}

impl Search {
    /// A search in a log.
    pub fn new(rekor: Service) -> Self {
        Self { http: Http::new(), rekor, state: Mutex::new(State { left: PATIENCE, failures: 0 }) }
    }

    /// The entries, with their bodies, of some bytes by a certificate (in DER). What the log says is not checked here.
    ///
    /// # Errors
    /// Where the log cannot be asked, or its answer makes no sense.
    pub fn find(&self, signed: &[u8], certificate: &[u8]) -> Result<Found, Failure> {
        self.spend(Duration::ZERO, PATIENCE_MORE)?;
        let digest = hex::encode(Sha256::digest(signed));
        // by both: entries of the same bytes can be made by anybody, so many that the right one would not be found
        let query = json!({
            "hash": format!("sha256:{digest}"),
            "publicKey": { "format": "x509", "content": STANDARD.encode(pem("CERTIFICATE", certificate)) },
            "operator": "and",
        });
        let query = query.to_string();
        let answer = self.ask(
            Call { path: "/api/v1/index/retrieve", headers: &HEADERS, body: Some(query.as_bytes()), ..Call::default() },
            MOST_NAMES,
        )?;
        let names: Vec<String> = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::Here(self.rekor.error(format!("its answer makes no sense: {error}"))))?;
        let mut found = Found { entries: Vec::new(), odd: Vec::new() };
        for name in names.iter().take(MOST) {
            match self.entry(name) {
                Ok(entry) => found.entries.push(entry),
                Err(Failure::Here(error)) => found.odd.push(format!("{error:#}")),
                Err(gone) => return Err(gone),
            }
        }
        Ok(found)
    }

    fn entry(&self, name: &str) -> Result<(Vec<u8>, LogEntry), Failure> {
        if name.is_empty() || name.len() > 128 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Failure::Here(self.rekor.error("its answer makes no sense: the name of an entry is none")));
        }
        let path = format!("/api/v1/log/entries/{name}");
        let answer = self.ask(Call { path: &path, headers: &HEADERS, ..Call::default() }, MOST_ENTRY)?;
        parse_v1(&self.rekor, &answer.body).map_err(Failure::Here)
    }

    /// A good answer. What whoever signed an object can bring about, such as too many entries of it, is a matter of that object.
    fn ask(&self, call: Call<'_>, most: u64) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let answer = self.http.call_bounded(&self.rekor, call, most);
        self.spend(begun.elapsed(), Duration::ZERO)?;
        let answer = answer.map_err(|none| if none.is_too_long { Failure::Here(none.error) } else { Failure::Gone(none.error) })?;
        let fails = answer.status == 429 || answer.status >= 500;
        let failures = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.failures = if fails { state.failures + 1 } else { 0 };
            state.failures
        };
        match answer.is_good() {
            true => Ok(answer),
            false if failures >= MOST_IN_A_ROW => Err(Failure::Gone(self.rekor.refused(&answer))),
            false => Err(Failure::Here(self.rekor.refused(&answer))),
        }
    }

    fn spend(&self, took: Duration, more: Duration) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (state.left + more).checked_sub(took) {
            Some(left) => {
                state.left = left;
                Ok(())
            }
            None => {
                state.left = Duration::ZERO;
                Err(Failure::Gone(self.rekor.error("it takes too long over its answers, all in all")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_log_is_given_up_and_a_good_one_never() {
        let search = || Search::new(Service::new("Rekor", "http://localhost:1", "mend it").unwrap());
        let second = Duration::from_secs(1);
        let good = search();
        assert!((0..100_000).all(|_| good.spend(second, PATIENCE_MORE).is_ok()));
        let slow = search();
        let asked = (0..100).take_while(|_| slow.spend(18 * second, PATIENCE_MORE).is_ok()).count();
        assert_eq!(asked, 4);
        assert!(matches!(slow.spend(second, Duration::ZERO), Err(Failure::Gone(_))));
    }
}
