//! Certificates in the files that people keep them in: keyrings, armoured or not, KEYS files, keyboxes.

pub use super::blocks::{has_armor, is_packets};

use super::blocks::{MEND, blocks};
use super::certificate::{Certificates, parser};
use super::keyring::{certificates_of, is_keybox, passed_over};
use super::loose::{self, Waiting};
use super::sift::{HEAVIEST, Sheaf, Weight, is_certification_of_others, sift};
use super::standing::{KeyStanding, NoKey};
use crate::armor;
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::{Fingerprint, Packet};
use std::collections::{HashMap, HashSet};

/// The certificates of one file or several, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Gathered {
    certificates: Certificates,
    order: Vec<String>,
    waiting: Waiting,
    /// What was taken in of each, and the work that its copies were together.
    weights: HashMap<String, (Weight, usize)>,
    /// What was too heavy once: another copy of it would be one without what stood there.
    barred: HashSet<String>,
    notes: Vec<Note>,
}

/// What is to be said of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line, where the file has lines.
    pub line: Option<usize>,
    /// What.
    pub what: String,
}

/// Why nothing is taken from a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ImportError {
    /// The line, where the file has lines.
    pub line: Option<usize>,
    /// What is wrong, and what mends it.
    pub what: String,
}

/// A certificate as a policy lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its fingerprint, uppercase hexadecimal.
    pub fingerprint: String,
    /// What it says of its holder, the primary user id first.
    pub user_ids: Vec<Vec<u8>>,
    /// Its public keys, their bindings and revocations, armoured without any header.
    pub armored: String,
    /// How its keys stand that may sign and can be checked here, or why there is none.
    pub keys: Result<Vec<KeyStanding>, NoKey>,
}

/// Notes of one kind, or words of one error, are not repeated more often.
const MOST_ALIKE: usize = 5;

impl Gathered {
    /// Takes in the certificates of a file: a keybox, packets, or text with armoured blocks in it, whose first line has the number
    /// `first`. What is there already is merged. Secret keys are taken without their secrets.
    ///
    /// Gives the fingerprints of what the file holds.
    ///
    /// # Errors
    /// Where a part of the file cannot be read at all, or it holds no certificate.
    pub fn add(&mut self, file: &[u8], first: usize) -> Result<Vec<String>, ImportError> {
        let known = self.notes.len();
        let found = if is_keybox(file) {
            self.add_keybox(file)?
        } else if is_packets(file) || !has_armor(file) {
            self.add_packets(file, None)?
        } else {
            self.add_text(file, first)?
        };
        self.waiting.place(&mut self.certificates);
        if found.is_empty() {
            return Err(ImportError { line: None, what: self.nothing(known) });
        }
        Ok(found)
    }

    /// Why there is nothing in a file that was read when there were so many notes.
    fn nothing(&self, known: usize) -> String {
        let revoked = self.waiting.makers();
        if let Some(first) = revoked.first() {
            let more = if revoked.len() > 1 { format!(" and {} more", revoked.len() - 1) } else { String::new() };
            return format!("it holds no OpenPGP certificate, only a revocation by {first}{more}: give both in one file");
        }
        let mut passed: Vec<&str> = self.notes.iter().skip(known).map(|note| note.what.as_str()).collect();
        passed.dedup();
        let shown = passed.iter().take(MOST_ALIKE).copied().collect::<Vec<_>>().join("; ");
        let why = match passed.len() {
            0 => String::new(),
            all if all > MOST_ALIKE => format!(" that can be read ({shown}; and {} more)", all - MOST_ALIKE),
            _ => format!(" that can be read ({shown})"),
        };
        format!("it holds no OpenPGP certificate{why}; gpg --armor --export NAME writes one")
    }

    /// What is to be said of the files: of what was read, in order, and of the revocations that nothing took in.
    pub fn notes(&self) -> Vec<Note> {
        let waiting = self.waiting.notes(&self.certificates).into_iter().map(|(line, what)| Note { line, what });
        self.notes.iter().cloned().chain(waiting).collect()
    }

    /// The certificates in the order in which they were first found; `now` in seconds since 1970 (UTC).
    pub fn listed(&self, now: i64) -> Vec<Listed> {
        let kept = self.order.iter().filter(|fingerprint| !self.barred.contains(*fingerprint));
        kept.filter_map(|fingerprint| self.list(fingerprint, now)).collect()
    }

    fn add_keybox(&mut self, file: &[u8]) -> Result<Vec<String>, ImportError> {
        let passed = passed_over(file);
        let error = |what: String| ImportError { line: None, what };
        if passed.tail != 0 {
            return Err(error(format!("the keybox is cut off: its last {} bytes are no whole entry", passed.tail)));
        }
        if passed.broken != 0 {
            let what = "entries of the keybox point outside of themselves, or are of an unknown kind";
            return Err(error(format!("{} {what}; {MEND}", passed.broken)));
        }
        let mut found = Vec::new();
        for kept in certificates_of(file) {
            found.extend(self.add_packets(kept.packets, None)?);
        }
        if passed.x509 > 0 {
            self.note(None, format!("{} X.509 certificates of the keybox are left out: they are not in this version", passed.x509));
        }
        Ok(found)
    }

    fn add_text(&mut self, file: &[u8], first: usize) -> Result<Vec<String>, ImportError> {
        let blocks = blocks(file, first)?;
        let mut found = Vec::new();
        for (start, packets) in &blocks.keys {
            found.extend(self.add_packets(packets, Some(*start))?);
        }
        for number in blocks.others.iter().take(MOST_ALIKE) {
            self.note(Some(*number), "what begins here is no block of keys, and is passed over".to_owned());
        }
        if blocks.others.len() > MOST_ALIKE {
            self.note(None, format!("{} more blocks are none of keys, and are passed over", blocks.others.len() - MOST_ALIKE));
        }
        Ok(found)
    }

    fn add_packets(&mut self, packets: &[u8], line: Option<usize>) -> Result<Vec<String>, ImportError> {
        let error = |why: String| ImportError { line, what: format!("{why}; {MEND}") };
        let sifted = sift(packets).map_err(|_| error("its packets cannot be read, or are cut off".to_owned()))?;
        if !self.waiting.add(line, sifted.loose) {
            return Err(error(format!("more than {} revocations stand behind no certificate of theirs", loose::MOST)));
        }
        let (mut found, mut unread) = (Vec::new(), 0_usize);
        for sheaf in sifted.certificates {
            match self.cert(&sheaf, line) {
                Some(cert) => found.extend(self.take(cert, sheaf.weight, line)),
                None if sheaf.fingerprint.is_none() => unread += 1,
                None => {}
            }
        }
        if unread > 0 {
            self.note(line, format!("{unread} certificates are left out, since they cannot be read"));
        }
        if sifted.strays > 0 {
            self.note(line, format!("{} packets that belong to no certificate are passed over", sifted.strays));
        }
        Ok(found)
    }

    fn cert(&mut self, sheaf: &Sheaf, line: Option<usize>) -> Option<Cert> {
        let known = sheaf.fingerprint.as_ref().map(Fingerprint::to_hex);
        if let Some(name) = known.as_ref().filter(|_| sheaf.weight.work() > HEAVIEST) {
            self.bar(name, line);
            return None;
        }
        let cert = parser(&sheaf.packets).ok().and_then(|mut certs| certs.next()).and_then(Result::ok);
        if let (None, Some(name)) = (&cert, known) {
            self.note(line, format!("the certificate {name} is left out, since its packets are none of a certificate; {MEND}"));
        }
        cert
    }

    /// Merges a certificate in; gives its fingerprint.
    fn take(&mut self, cert: Cert, weight: Weight, line: Option<usize>) -> Option<String> {
        let fingerprint = cert.fingerprint().to_hex();
        let (known, work) = self.weights.get(&fingerprint).copied().unwrap_or_default();
        let together = known.with(weight).work();
        let work = together.saturating_add(work);
        if together > HEAVIEST || work > HEAVIEST * 10 {
            self.bar(&fingerprint, line);
        }
        if self.barred.contains(&fingerprint) {
            return None;
        }
        if cert.is_tsk() {
            let what = "comes with its secret key, which is left out; keep that file to yourself";
            self.note(line, format!("{fingerprint} {what}"));
        }
        if known == Weight::default() {
            self.order.push(fingerprint.clone());
        }
        self.certificates.merge(cert);
        let merged = self.certificates.get(&fingerprint).map(weight_of).unwrap_or_default();
        self.weights.insert(fingerprint.clone(), (merged, work));
        Some(fingerprint)
    }

    fn bar(&mut self, fingerprint: &str, line: Option<usize>) {
        if self.barred.insert(fingerprint.to_owned()) {
            let what = "has more user ids, keys and signatures than can be looked through, and is left out";
            let mend = "gpg --export-options export-minimal --armor --export";
            self.note(line, format!("{fingerprint} {what}; {mend} {fingerprint} may write a smaller one"));
        }
    }

    fn note(&mut self, line: Option<usize>, what: String) {
        self.notes.push(Note { line, what });
    }

    fn list(&self, fingerprint: &str, now: i64) -> Option<Listed> {
        let cert = self.certificates.get(fingerprint)?;
        let mut user_ids = self.certificates.user_ids(fingerprint, now);
        if user_ids.is_empty() {
            user_ids = cert.userids().map(|id| id.userid().value().to_vec()).collect();
        }
        Some(Listed {
            fingerprint: fingerprint.to_owned(),
            user_ids,
            armored: String::from_utf8(armor::encode_certificate(&public_part(cert))).ok()?,
            keys: self.certificates.standing(fingerprint, now),
        })
    }
}

/// The packets that verification needs: public keys, user ids, and what the certificate says of them. Pictures, what others
/// certified, and packets of unknown kinds, which could be secret ones, are left out.
fn public_part(cert: &Cert) -> Vec<u8> {
    let own = cert.key_handle();
    let cert = cert.clone().strip_secret_key_material().retain_user_attributes(|_| false);
    let mut known = true;
    let wanted = cert.into_packets().filter(|packet| match packet {
        Packet::PublicKey(_) | Packet::PublicSubkey(_) | Packet::UserID(_) => {
            known = true;
            true
        }
        Packet::Signature(signature) => known && !is_certification_of_others(signature, &own),
        _ => {
            known = false; // and so is what is said of it
            false
        }
    });
    wanted.filter_map(|packet| packet.to_vec().ok()).flatten().collect()
}

fn weight_of(cert: &Cert) -> Weight {
    let is_signature = |packet: &Packet| matches!(packet, Packet::Signature(_));
    let signatures = cert.clone().into_packets().filter(is_signature).count();
    Weight { parts: cert.keys().count() + cert.userids().count(), signatures }
}
