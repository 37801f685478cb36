//! What gpg says of signatures: status lines, and lines for people (g10/mainproc.c, g10/pkclist.c).

use super::{BAD, FAILED, GOOD, Status, plain};
use crate::evidence::Key;
use crate::io::clock;
use crate::report::escape::printable;
use crate::run::complain;
use crate::signature::openpgp::Certificates;
use crate::signature::openpgp::detached::{Checked, Outcome};
use crate::signature::openpgp::keyring::{Trust, TrustDb, TrustModel};
use crate::signature::openpgp::shown::RevokedBy;
use anyhow::Result;

/// Says what was found out of signatures.
pub(super) struct Told {
    pub(super) status: Status,
    pub(super) certificates: Certificates,
    pub(super) trust: TrustDb,
    pub(super) model: TrustModel,
    /// The numbers of the hash functions whose signatures are not looked at.
    pub(super) weak: Vec<u8>,
    /// Whether gpg would fetch keys that are not there.
    pub(super) retrieves: bool,
}

/// What gpg says of a user id that no living self-signature holds.
const UNCERTAIN: &str = "uncertain";

/// What is said of a key in the lines for people.
struct Names {
    /// Each with how far it is believed; at least one.
    ids: Vec<(Vec<u8>, &'static str)>,
    /// How far the key is believed to be that of any.
    trust: Trust,
}

impl Told {
    /// Says what is to be said of one signature; gpg's exit status for it.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub(super) fn tell(&self, checked: &Checked) -> Result<u8> {
        let now = clock::now();
        let mut line = b"NEWSIG".to_vec();
        if let Some(id) = &checked.user_id {
            line.extend([b" ", &plain(id)[..]].concat());
        }
        self.status.line(&line)?;
        let is_weak = |key: &Key| {
            self.weak.contains(&checked.hash) || self.certificates.vouched_weakly(&key.fingerprint, &self.weak).is_some()
        };
        let (key, good) = match &checked.outcome {
            Outcome::Good(key) if !is_weak(key) => (key, true),
            Outcome::Bad(key) if !is_weak(key) => (key, false),
            _ => return self.tell_unchecked(checked),
        };
        let Some(binding) = &key.binding else { return Ok(FAILED) };
        let primary = &binding.certificate;
        self.status.line(&format!("KEY_CONSIDERED {primary} 0"))?;
        introduce(checked, &key.fingerprint, key.short);
        let expired = binding.ends.is_some_and(|ends| ends <= now);
        let ended = checked.ends.is_some_and(|ends| ends <= now);
        let revoked = binding.revoked.and_then(|_| self.certificates.revoked_by(primary, &key.fingerprint));
        let whole = matches!(revoked, Some(RevokedBy::Owner | RevokedBy::Another));
        let Names { ids, trust } = self.names(primary, &key.blob, whole, now);
        let Some((first, word)) = ids.first() else { return Ok(FAILED) };
        let mut name = plain(first);
        if *word == UNCERTAIN {
            name.splice(..0, *b"[uncertain] ");
        }
        let verdict = |word: &str| [format!("{word} {} ", checked.key_id).as_bytes(), &name].concat();
        let ends = || {
            if let Some(ends) = checked.ends {
                say(&format!("Signature {} {}", if ended { "expired" } else { "expires" }, clock::local_line(ends)));
            }
        };
        if !good {
            if checked.unknown_critical {
                say(&format!("assuming bad signature from key {} due to an unknown critical bit", checked.key_id));
            }
            self.status.line(&verdict("BADSIG"))?;
            say(&format!("BAD signature from {}", quoted(first, word)));
            ends();
            return Ok(BAD);
        }
        self.status.line(&verdict(match (ended, expired, revoked) {
            (true, ..) => "EXPSIG",
            (_, true, _) => "EXPKEYSIG",
            (_, _, Some(_)) => "REVKEYSIG",
            _ => "GOODSIG",
        }))?;
        let date = date(checked.made);
        let (version, algorithm, hash, class) = (checked.version, checked.algorithm, checked.hash, checked.class);
        let (made, until) = (checked.made, checked.ends.unwrap_or(0));
        self.status.line(&format!(
            "VALIDSIG {} {date} {made} {until} {version} 0 {algorithm} {hash} {class:02X} {primary}",
            key.fingerprint
        ))?;
        say(&format!("{} signature from {}", if ended { "Expired" } else { "Good" }, quoted(first, word)));
        for (id, word) in ids.iter().skip(1) {
            say(&format!("                aka {}", quoted(id, word)));
        }
        ends();
        if self.model == TrustModel::Always {
            say("WARNING: Using untrusted key!");
        } else {
            self.tell_revoked(primary, revoked, now)?;
            self.tell_trust(trust, expired, primary, &key.fingerprint)?;
        }
        let never = trust == Trust::Never && !expired;
        Ok(if ended || never { BAD } else { GOOD })
    }

    /// The user ids that a certificate stands by, and whether they are believed; else, uncertain, the first that it has.
    fn names(&self, primary: &str, fingerprint: &[u8], revoked: bool, now: i64) -> Names {
        let certain = self.certificates.lasting_user_ids(primary, now);
        let validity = |id: &[u8]| match self.model {
            TrustModel::Always => Trust::Unknown,
            TrustModel::Direct => self.trust.owner(fingerprint),
            TrustModel::Pgp | TrustModel::Tofu => match self.trust.validity(fingerprint, id) {
                Trust::Ultimate => Trust::Ultimate,
                _ if revoked => Trust::Unknown, // GnuPG forgets it when it takes a revocation in
                trust => trust,
            },
        };
        let believed: Vec<Trust> = certain.iter().map(|id| validity(id)).collect();
        let trust = believed.iter().copied().max().unwrap_or_else(|| validity(b""));
        let expired = self.certificates.has_ended(primary, now);
        let word = |trust: &Trust| if expired { "expired" } else { trust.word() };
        let mut ids: Vec<_> = certain.into_iter().zip(believed.iter().map(word)).collect();
        if ids.is_empty() {
            let word = if self.model == TrustModel::Always { "" } else { UNCERTAIN };
            let first = self.certificates.first_user_id(primary).map(|id| (id, word));
            ids.push(first.unwrap_or_else(|| (b"[?]".to_vec(), "")));
        }
        Names { ids, trust }
    }

    fn tell_revoked(&self, primary: &str, revoked: Option<RevokedBy>, now: i64) -> Result<()> {
        let Some(by) = revoked else {
            if self.certificates.unchecked_revocations(now).iter().any(|(of, _)| *of == primary) {
                say("WARNING: this key might be revoked (revocation key not present)");
            }
            return Ok(());
        };
        self.status.line("KEYREVOKED")?;
        say(match by {
            RevokedBy::Owner => "WARNING: This key has been revoked by its owner!",
            RevokedBy::Another => "WARNING: This key has been revoked by its designated revoker!",
            RevokedBy::OwnerOfSubkey => "WARNING: This subkey has been revoked by its owner!",
        });
        if by != RevokedBy::OwnerOfSubkey {
            complain("gpg:          This could mean that the signature is forged.");
        }
        Ok(())
    }

    fn tell_trust(&self, trust: Trust, expired: bool, primary: &str, fingerprint: &str) -> Result<()> {
        if expired {
            say("Note: This key has expired!");
        } else {
            let model = if self.model == TrustModel::Direct { "direct" } else { "pgp" };
            self.status.line(&format!("TRUST_{} 0 {model}", trust.status()))?;
            let warning: &[&str] = match trust {
                Trust::Never => &["WARNING: We do NOT trust this key!", "         The signature is probably a FORGERY."],
                Trust::Marginal => &[
                    "WARNING: This key is not certified with sufficiently trusted signatures!",
                    "         It is not certain that the signature belongs to the owner.",
                ],
                Trust::Unknown | Trust::Undefined | Trust::Expired => &[
                    "WARNING: This key is not certified with a trusted signature!",
                    "         There is no indication that the signature belongs to the owner.",
                ],
                Trust::Fully | Trust::Ultimate => &[],
            };
            warning.iter().for_each(|line| say(line));
        }
        if expired || !matches!(trust, Trust::Never | Trust::Fully | Trust::Ultimate) {
            complain(&format!("Primary key fingerprint: {}", grouped(primary)));
            if fingerprint != primary {
                complain(&format!("     Subkey fingerprint: {}", grouped(fingerprint)));
            }
        }
        Ok(())
    }

    /// libgpg-error's numbers, and their texts.
    fn tell_unchecked(&self, checked: &Checked) -> Result<u8> {
        let Checked { key_id, algorithm, hash, class, made, .. } = checked;
        let rejected = |hash: u8| format!("Note: signatures using the {} algorithm are rejected", hash_name(hash));
        let (code, why, notes) = match &checked.outcome {
            Outcome::NoKey => (9, "No public key", Vec::new()),
            Outcome::Unsupported => (4, "Unknown algorithm or type", Vec::new()),
            Outcome::Early { newer } => (39, "Time conflict", vec![format!("public key {key_id} is {}", newer_by(*newer))]),
            Outcome::Good(key) | Outcome::Bad(key) if !self.weak.contains(hash) => {
                let by = self.certificates.vouched_weakly(&key.fingerprint, &self.weak).map(rejected);
                let why = format!("WARNING: signing subkey {key_id} has an invalid cross-certification");
                (1, "General error", by.into_iter().chain([why]).collect())
            }
            Outcome::Good(_) | Outcome::Bad(_) => (5, "Invalid digest algorithm", vec![rejected(*hash)]),
        };
        let fingerprint = checked.fingerprint.as_deref().unwrap_or("-");
        introduce(checked, checked.fingerprint.as_deref().unwrap_or(key_id), name_of(*algorithm));
        notes.iter().for_each(|note| say(note));
        self.status.line(&format!("ERRSIG {key_id} {algorithm} {hash} {class:02x} {made} {code} {fingerprint}"))?;
        if matches!(checked.outcome, Outcome::NoKey) {
            self.status.line(&format!("NO_PUBKEY {key_id}"))?;
        }
        say(&format!("Can't check signature: {why}"));
        if self.retrieves && matches!(checked.outcome, Outcome::NoKey) {
            say(&format!(
                "Note: keys are not fetched here (auto-key-retrieve); gpg --recv-keys {fingerprint}",
                fingerprint = checked.fingerprint.as_deref().unwrap_or(key_id)
            ));
        }
        Ok(FAILED)
    }
}

fn introduce(checked: &Checked, key: &str, short: &str) {
    say(&format!("Signature made {}", clock::local_line(checked.made)));
    complain(&format!("gpg:                using {short} key {key}"));
    if let Some(id) = &checked.user_id {
        say(&format!("               issuer \"{}\"", shown(id)));
    }
}

/// A line as gpg writes it for people; names from keys in it are harmless.
fn say(line: &str) {
    complain(&format!("gpg: {}", printable(line)));
}

fn quoted(id: &[u8], word: &str) -> String {
    let shown = shown(id);
    if word.is_empty() { format!("\"{shown}\"") } else { format!("\"{shown}\" [{word}]") }
}

/// A user id for people: control characters of ASCII and what is no UTF-8 as `\xXX`.
fn shown(user_id: &[u8]) -> String {
    let mut out = String::new();
    for chunk in user_id.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii_control() {
                out.push_str(&format!("\\x{:02x}", u32::from(character)));
            } else {
                out.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out
}

fn newer_by(seconds: i64) -> String {
    const DAY: i64 = 24 * 60 * 60;
    let (count, unit) = if seconds < DAY { (seconds, "second") } else { (seconds / DAY, "day") };
    format!("{count} {unit}{} newer than the signature", if count == 1 { "" } else { "s" })
}

fn hash_name(hash: u8) -> &'static str {
    match hash {
        1 => "MD5",
        2 => "SHA1",
        3 => "RIPEMD160",
        8 => "SHA256",
        9 => "SHA384",
        10 => "SHA512",
        11 => "SHA224",
        _ => "?",
    }
}

fn name_of(algorithm: u8) -> &'static str {
    match algorithm {
        1..=3 => "RSA",
        17 => "DSA",
        19 => "ECDSA",
        22 => "EDDSA",
        27 => "ED25519",
        28 => "ED448",
        _ => "?",
    }
}

/// `YYYY-MM-DD` in UTC.
fn date(time: i64) -> String {
    crate::verdict::Utc(time).to_string().chars().take(10).collect()
}

/// A fingerprint in groups of four, a wider gap in the middle.
fn grouped(fingerprint: &str) -> String {
    let groups: Vec<String> = fingerprint.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    let (left, right) = groups.split_at(groups.len() / 2);
    format!("{}  {}", left.join(" "), right.join(" "))
}
