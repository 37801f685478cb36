//! In gpg's place, as git calls it: detached signatures made and verified, status lines, messages, exit statuses.

mod signing;

use super::{complain, drain_stdin, x509};
use crate::armor::Format;
use crate::io::git::Repository;
use crate::io::gnupg::{Gnupg, read_text};
use crate::io::{cert_d, clock};
use crate::personality::gpg::{Action, Gpg, GpgUsage};
use crate::report::escape::printable;
use crate::signature::openpgp::detached::{Checked, Detached, Outcome};
use crate::signature::openpgp::keyring::{Trust, TrustDb, TrustModel};
use crate::signature::openpgp::web::OwnerTrust;
use crate::signature::openpgp::{Certificates, OpenPgpVerifier};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// gpg's exit statuses.
const GOOD: u8 = 0;
const BAD: u8 = 1;
const FAILED: u8 = 2;

/// Does what the command line asks for; the exit status.
pub fn run(request: Result<Gpg, GpgUsage>) -> u8 {
    if request.as_ref().is_ok_and(|gpg| gpg.action == Action::Sign) && x509::is_meant() {
        return x509::run(request);
    }
    let done = request.map_err(anyhow::Error::from).and_then(|gpg| match &gpg.action {
        Action::Verify { signature, data } => verify(&gpg, signature, data.as_deref()),
        Action::Sign => signing::sign(&gpg),
        Action::Unknown => Err(GpgUsage::Action.into()),
    });
    done.unwrap_or_else(|error| {
        drain_stdin();
        complain(&format!("gpg: {}", printable(&format!("{error:#}"))));
        FAILED
    })
}

/// Status lines, for programs.
pub(super) struct Status(pub(super) Option<u32>);

impl Status {
    /// Writes one. Text in it that somebody else chose has no line end and no control character left.
    pub(super) fn line(&self, line: &str) -> io::Result<()> {
        match self.0 {
            Some(1) => writeln!(io::stdout(), "[GNUPG:] {line}"),
            Some(2) => writeln!(io::stderr(), "[GNUPG:] {line}"),
            _ => Ok(()),
        }
    }
}

/// Text of a user id in a status line: `%`, control characters and what is not UTF-8 as `%XX`, as GnuPG does; never empty.
pub(super) fn escaped(user_id: &[u8]) -> String {
    let mut out = String::new();
    for chunk in user_id.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '%' {
                character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
            } else {
                out.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
    }
    if out.trim().is_empty() { "[?]".to_owned() } else { out }
}

/// Verifies a signature of either kind: git says by the program that it calls which it is, the signature itself says it too.
pub(super) fn verify(gpg: &Gpg, signature: &Path, data: Option<&Path>) -> Result<u8> {
    let status = Status(gpg.status_fd);
    let file = match signature.as_os_str() == "-" {
        true => read_stdin()?,
        false => fs::read(signature).with_context(|| format!("can't open '{}'", signature.display()))?,
    };
    let data = match data {
        Some(path) => fs::read(path).with_context(|| format!("can't open signed data '{}'", path.display()))?,
        None => read_stdin()?,
    };
    if Format::sniff(&file) == Some(Format::X509) {
        return x509::verify(&status, &file, &data);
    }
    let Some(signatures) = Detached::parse(&file) else {
        status.line("NODATA 1")?;
        status.line("NODATA 2")?;
        complain("gpg: no valid OpenPGP data found.");
        complain("gpg: the signature could not be verified.");
        return Ok(FAILED);
    };
    let mut gnupg = Gnupg::open(gpg.home.as_deref())?;
    gnupg.use_keyrings(&gpg.keyrings, gpg.no_default_keyring)?;
    let mut certificates = gnupg.certificates(&signatures.key_ids())?;
    let verifier = OpenPgpVerifier::new(&certificates, clock::now());
    let unknown = |checked: &Checked| matches!(checked.outcome, Outcome::NoKey);
    if signatures.check(&verifier, b"").iter().any(unknown) {
        cert_d::add_to(&mut certificates, &signatures.key_ids())?;
    }
    gnupg.complete(&mut certificates, clock::now())?;
    let verifier = OpenPgpVerifier::new(&certificates, clock::now());
    let trust = trust(&gnupg)?;
    let named = gpg.trust_model.as_deref();
    let model = named.map(|name| TrustModel::of_name(name).with_context(|| format!("unknown trust model '{name}'"))).transpose()?;
    let always = model.or(gnupg.settings.trust_model) == Some(TrustModel::Always);
    let told = Told { status, certificates, trust, always };
    let mut worst = GOOD;
    for checked in signatures.check(&verifier, &data) {
        worst = worst.max(told.tell(&checked)?);
    }
    io::stdout().flush()?;
    Ok(worst)
}

/// Whom to believe: by GnuPG's trustdb, or by the ownertrust in the file that `warrant.ownertrust` names.
fn trust(gnupg: &Gnupg) -> Result<TrustDb> {
    let named = match Repository::open() {
        Ok(repository) => repository.config()?.get("warrant.ownertrust")?,
        Err(_) => None, // out of a repository nothing is configured
    };
    let Some(named) = named else { return gnupg.trust() };
    let why = || format!("the ownertrust in {named} (warrant.ownertrust)");
    let owners = OwnerTrust::parse(&read_text(&named).with_context(why)?).with_context(why)?;
    let everybody = [Vec::new()];
    let mut certificates = gnupg.certificates(&everybody)?;
    cert_d::add_to(&mut certificates, &everybody)?;
    Ok(owners.web(&certificates, clock::now()))
}

pub(super) fn read_stdin() -> Result<Vec<u8>> {
    let mut data = Vec::new();
    io::stdin().lock().read_to_end(&mut data).context("cannot read standard input")?;
    Ok(data)
}

/// Says what was found out of signatures.
struct Told {
    status: Status,
    certificates: Certificates,
    trust: TrustDb,
    always: bool,
}

impl Told {
    fn tell(&self, checked: &Checked) -> Result<u8> {
        let now = clock::now();
        let user = checked.user_id.as_deref().map(|id| format!(" {}", escaped(id))).unwrap_or_default();
        self.status.line(&format!("NEWSIG{user}"))?;
        let (key, good) = match &checked.outcome {
            Outcome::Good(key) => (key, true),
            Outcome::Bad(key) => (key, false),
            Outcome::NoKey | Outcome::Unsupported => return self.tell_unchecked(checked),
        };
        let Some(binding) = &key.binding else { return Ok(FAILED) };
        let primary = &binding.certificate;
        self.status.line(&format!("KEY_CONSIDERED {primary} 0"))?;
        self.introduce(checked, &key.fingerprint, key.short);
        let ids = self.certificates.user_ids(primary, now);
        let name = ids.first().map_or_else(|| "[?]".to_owned(), |id| escaped(id));
        let expired = binding.ends.is_some_and(|ends| ends <= now);
        let ended = checked.ends.is_some_and(|ends| ends <= now);
        let believed: Vec<Trust> = ids.iter().map(|id| self.validity(&key.blob, id)).collect();
        let trust = believed.iter().copied().max().unwrap_or(self.trust.best(&key.blob));
        let shown = |index: usize| match believed.get(index) {
            _ if binding.revoked.is_some() && !self.always && trust != Trust::Ultimate => "revoked",
            _ if expired => "expired",
            Some(trust) => trust.word(),
            None => trust.word(),
        };
        if !good {
            self.status.line(&format!("BADSIG {} {name}", checked.key_id))?;
            say(&format!("BAD signature from \"{name}\" [{}]", shown(0)));
            return Ok(BAD);
        }
        let word = match (ended, expired, binding.revoked) {
            (true, ..) => "EXPSIG",
            (_, true, _) => "EXPKEYSIG",
            (_, _, Some(_)) => "REVKEYSIG",
            _ => "GOODSIG",
        };
        self.status.line(&format!("{word} {} {name}", checked.key_id))?;
        let date = date(checked.made);
        let (version, algorithm, hash, class) = (checked.version, checked.algorithm, checked.hash, checked.class);
        let (made, ends) = (checked.made, checked.ends.unwrap_or(0));
        self.status.line(&format!(
            "VALIDSIG {} {date} {made} {ends} {version} 0 {algorithm} {hash} {class:02X} {primary}",
            key.fingerprint
        ))?;
        say(&format!("{} signature from \"{name}\" [{}]", if ended { "Expired" } else { "Good" }, shown(0)));
        for (index, id) in ids.iter().enumerate().skip(1) {
            complain(&format!("gpg:                 aka \"{}\" [{}]", printable(&escaped(id)), shown(index)));
        }
        if let Some(ends) = checked.ends {
            say(&format!("Signature {} {}", if ended { "expired" } else { "expires" }, clock::local_line(ends)));
        }
        if binding.revoked.is_some() && !expired {
            self.status.line("KEYREVOKED")?;
            say("WARNING: This key has been revoked by its owner!");
            complain("gpg:          This could mean that the signature is forged.");
        }
        if expired {
            say("Note: This key has expired!");
        } else {
            let model = if self.always { "always" } else { "pgp" };
            self.status.line(&format!("TRUST_{} 0 {model}", trust.status()))?;
        }
        if self.always {
            say("WARNING: Using untrusted key!");
        } else if !expired && trust < Trust::Marginal {
            let never = trust == Trust::Never;
            say(if never {
                "WARNING: We do NOT trust this key!"
            } else {
                "WARNING: This key is not certified with a trusted signature!"
            });
            complain(if never {
                "gpg:          The signature is probably a FORGERY."
            } else {
                "gpg:          There is no indication that the signature belongs to the owner."
            });
        }
        if expired || trust < Trust::Fully {
            complain(&format!("Primary key fingerprint: {}", grouped(primary)));
            if key.fingerprint != *primary {
                complain(&format!("     Subkey fingerprint: {}", grouped(&key.fingerprint)));
            }
        }
        Ok(if ended { BAD } else { GOOD })
    }

    fn validity(&self, fingerprint: &[u8], user_id: &[u8]) -> Trust {
        if self.always { Trust::Fully } else { self.trust.validity(fingerprint, user_id) }
    }

    fn introduce(&self, checked: &Checked, key: &str, short: &str) {
        say(&format!("Signature made {}", clock::local_line(checked.made)));
        complain(&format!("gpg:                using {short} key {key}"));
        if let Some(id) = &checked.user_id {
            complain(&format!("gpg:                issuer \"{}\"", printable(&escaped(id))));
        }
    }

    fn tell_unchecked(&self, checked: &Checked) -> Result<u8> {
        const NO_KEY: u8 = 9;
        const UNKNOWN_ALGORITHM: u8 = 4;
        let no_key = matches!(checked.outcome, Outcome::NoKey);
        let Checked { key_id, algorithm, hash, class, made, .. } = checked;
        let fingerprint = checked.fingerprint.as_deref().unwrap_or("-");
        let code = if no_key { NO_KEY } else { UNKNOWN_ALGORITHM };
        self.status.line(&format!("ERRSIG {key_id} {algorithm} {hash} {class:02x} {made} {code} {fingerprint}"))?;
        self.introduce(checked, checked.fingerprint.as_deref().unwrap_or(key_id), name_of(*algorithm));
        if no_key {
            self.status.line(&format!("NO_PUBKEY {key_id}"))?;
            say("Can't check signature: No public key");
        } else {
            say("Can't check signature: Unknown algorithm or type");
        }
        Ok(FAILED)
    }
}

/// A line as gpg writes it for people; names from keys in it are harmless.
fn say(line: &str) {
    complain(&format!("gpg: {}", printable(line)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_forge_no_status_line() {
        for (id, want) in [
            (&b"Alice <a@x>"[..], "Alice <a@x>"),
            (b"A\n[GNUPG:] GOODSIG 0 Eve", "A%0A[GNUPG:] GOODSIG 0 Eve"),
            (b"\xff\x1b", "%FF%1B"),
            (b"100% Eve", "100%25 Eve"),
            (b"", "[?]"),
            (b"  ", "[?]"),
            ("\u{85}Zo\u{eb}".as_bytes(), "%C2%85Zo\u{eb}"),
        ] {
            assert_eq!(escaped(id), want);
        }
    }
}
