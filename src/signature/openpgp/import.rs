//! Certificates in the files that people keep them in: keyrings, armoured or not, KEYS files, keyboxes.

use super::certificate::{Certificates, signing_keys};
use super::keyring::{certificates_of, is_keybox, passed_over};
use super::{moment, packet};
use crate::armor;
use crate::evidence::Revocation;
use sequoia_openpgp::cert::{Cert, CertParser};
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::SignatureType;
use sequoia_openpgp::{KeyHandle, Packet};

/// The certificates of one file or several, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Gathered {
    certificates: Certificates,
    order: Vec<String>,
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
    /// Whether it has a key that may sign and can be checked here.
    pub signs: bool,
    /// When the last of its signing keys ended, where all have (seconds since 1970, UTC).
    pub ended: Option<i64>,
    /// The revocation, where all of its signing keys are revoked.
    pub revoked: Option<Revocation>,
    /// Whether all of its signing keys are bound by weak hash functions or algorithms.
    pub weak: bool,
}

const BEGIN: &[u8] = b"-----BEGIN PGP ";
const KINDS: [&[u8]; 2] = [b"PUBLIC KEY BLOCK", b"PRIVATE KEY BLOCK"];
const SECRET_KEY: u8 = 5;
const PUBLIC_KEY: u8 = 6;
const MARKER: u8 = 10;

/// Whether bytes begin with a certificate or a secret key in OpenPGP packets, even if they are cut off later: no armour that
/// somebody put into a user id counts then.
pub fn is_packets(file: &[u8]) -> bool {
    let whole = || packet::tags(file).is_ok_and(|tags| tags.iter().find(|tag| **tag != MARKER).is_some_and(|tag| is_primary(*tag)));
    packet::first_tag(file).is_some_and(is_primary) && std::str::from_utf8(file).is_err() || whole()
}

fn is_primary(tag: u8) -> bool {
    matches!(tag, SECRET_KEY | PUBLIC_KEY)
}

/// Whether text has a block of OpenPGP armour, whatever is in it.
pub fn has_armor(file: &[u8]) -> bool {
    file.split(|&b| b == b'\n').any(|line| line.trim_ascii().starts_with(BEGIN))
}

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
        if found.is_empty() {
            let passed: Vec<&str> = self.notes.iter().skip(known).map(|note| note.what.as_str()).collect();
            let why = if passed.is_empty() { String::new() } else { format!(" that can be read ({})", passed.join("; ")) };
            return Err(ImportError {
                line: None,
                what: format!("it holds no OpenPGP certificate{why}; gpg --armor --export NAME writes one"),
            });
        }
        Ok(found)
    }

    /// What is to be said of the files, in the order of what was read.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The certificates in the order in which they were first found; `now` in seconds since 1970 (UTC).
    pub fn listed(&self, now: i64) -> Vec<Listed> {
        self.order.iter().filter_map(|fingerprint| self.list(fingerprint, now)).collect()
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
        let mut found = Vec::new();
        let mut block: Option<(usize, &[u8], Vec<u8>)> = None;
        let error = |line: usize, what: String| ImportError { line: Some(line), what };
        for (number, line) in (first..).zip(file.split(|&b| b == b'\n')) {
            let line = line.trim_ascii();
            let begun = KINDS.into_iter().find(|kind| line == [BEGIN, kind, b"-----"].concat());
            match (&mut block, begun) {
                (Some((start, ..)), Some(_)) => {
                    return Err(error(*start, format!("the block has no end before line {number}; {MEND}")));
                }
                (None, Some(kind)) => block = Some((number, kind, [line, b"\n"].concat())),
                (Some((_, kind, text)), None) => {
                    text.extend([line, b"\n"].concat());
                    if line != [b"-----END PGP ", *kind, b"-----"].concat() {
                        continue;
                    }
                    let Some((start, _, text)) = block.take() else { continue };
                    let packets = armor::decode_keys(&text)
                        .map_err(|why| error(start, format!("the armour of the block cannot be read ({why}); {MEND}")))?;
                    found.extend(self.add_packets(&packets, Some(start))?);
                }
                (None, None) if memchr::memmem::find(line, BEGIN).is_some() => {
                    self.note(Some(number), "what begins here is no block of keys, and is passed over".to_owned());
                }
                (None, None) => {}
            }
        }
        match block {
            Some((start, ..)) => Err(error(start, format!("the block has no end; {MEND}"))),
            None => Ok(found),
        }
    }

    fn add_packets(&mut self, packets: &[u8], line: Option<usize>) -> Result<Vec<String>, ImportError> {
        let error = |why: String| ImportError { line, what: format!("{why}; {MEND}") };
        let tags = packet::tags(packets).map_err(|_| error("its packets cannot be read, or are cut off".to_owned()))?;
        let parser = CertParser::from_bytes(packets).map_err(|why| error(why.to_string()))?;
        let (mut found, mut faults) = (Vec::new(), 0_usize);
        for cert in parser {
            match cert {
                Ok(cert) => {
                    let fingerprint = cert.fingerprint().to_hex();
                    if cert.is_tsk() {
                        self.note(
                            line,
                            format!("{fingerprint} comes with its secret key, which is left out; keep that file to yourself"),
                        );
                    }
                    if !self.order.contains(&fingerprint) {
                        self.order.push(fingerprint.clone());
                    }
                    self.certificates.merge(cert);
                    found.push(fingerprint);
                }
                Err(why) => {
                    faults += 1;
                    self.note(line, format!("a certificate is left out, since it cannot be read: {why}"));
                }
            }
        }
        let primary = tags.into_iter().filter(|tag| is_primary(*tag)).count();
        let passed = primary.saturating_sub(found.len() + faults);
        if passed > 0 {
            self.note(line, format!("{passed} certificates are left out, since they cannot be read"));
        }
        Ok(found)
    }

    fn note(&mut self, line: Option<usize>, what: String) {
        self.notes.push(Note { line, what });
    }

    fn list(&self, fingerprint: &str, now: i64) -> Option<Listed> {
        let cert = self.certificates.get(fingerprint)?;
        let keys = signing_keys(cert, moment(now));
        let bindings: Vec<_> = keys.iter().filter_map(|key| key.info.binding.as_ref()).collect();
        let every = |is: &dyn Fn(&crate::evidence::Binding) -> bool| !bindings.is_empty() && bindings.iter().all(|it| is(it));
        let mut user_ids = self.certificates.user_ids(fingerprint, now);
        if user_ids.is_empty() {
            user_ids = cert.userids().map(|id| id.userid().value().to_vec()).collect();
        }
        Some(Listed {
            fingerprint: fingerprint.to_owned(),
            user_ids,
            armored: String::from_utf8(armor::encode_certificate(&public_part(cert))).ok()?,
            signs: !keys.is_empty(),
            ended: bindings.iter().filter_map(|it| it.ends).max().filter(|_| every(&|it| it.ends.is_some_and(|ends| ends <= now))),
            revoked: bindings.first().and_then(|it| it.revoked).filter(|_| every(&|it| it.revoked.is_some())),
            weak: every(&|it| it.weak),
        })
    }
}

const MEND: &str = "export it again (gpg --armor --export), or take it out";

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
        Packet::Signature(signature) => known && !is_of_others(signature, &own),
        _ => {
            known = false; // and so is what is said of it
            false
        }
    });
    wanted.filter_map(|packet| packet.to_vec().ok()).flatten().collect()
}

/// Whether it is somebody else's word for a user id. A revocation never is left out, whoever made it.
fn is_of_others(signature: &Signature, own: &KeyHandle) -> bool {
    let certifies = matches!(
        signature.typ(),
        SignatureType::GenericCertification
            | SignatureType::PersonaCertification
            | SignatureType::CasualCertification
            | SignatureType::PositiveCertification
    );
    let issuers = signature.get_issuers();
    certifies && !issuers.is_empty() && !issuers.iter().any(|issuer| issuer.aliases(own))
}
