//! In gpg's place, as git calls it: detached signatures made and verified, status lines, messages, exit statuses.

mod signing;
mod told;

use super::{complain, drain_stdin, x509};
use crate::armor::Format;
use crate::io::git::Repository;
use crate::io::gnupg::{Gnupg, read_text};
use crate::io::{cert_d, clock};
use crate::personality::gpg::{Action, Gpg, GpgUsage};
use crate::report::escape::printable;
use crate::signature::openpgp::detached::{Checked, Detached, Outcome};
use crate::signature::openpgp::keyring::{TrustDb, TrustModel};
use crate::signature::openpgp::web::OwnerTrust;
use crate::signature::openpgp::{Certificates, OpenPgpVerifier};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use told::Told;

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
        format!("{error:#}").lines().for_each(|line| complain(&format!("gpg: {}", printable(line))));
        FAILED
    })
}

/// Status lines, for programs.
pub(super) struct Status(pub(super) Option<u32>);

impl Status {
    /// Writes one. Text in it that somebody else chose has no line end and no control character left.
    pub(super) fn line(&self, line: &(impl AsRef<[u8]> + ?Sized)) -> io::Result<()> {
        let line = [b"[GNUPG:] ", line.as_ref(), b"\n"].concat();
        match self.0 {
            Some(1) => io::stdout().write_all(&line),
            Some(2) => io::stderr().write_all(&line),
            _ => Ok(()),
        }
    }
}

/// Text of a user id in a status line: `%` and control characters as `%XX`, as GnuPG does; never empty. What is no UTF-8 is
/// `%XX` as well.
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

/// The same, but what is no UTF-8 stays as it is, as in GnuPG (names of old keys in Latin-1), save what a terminal would take for
/// control characters.
fn plain(user_id: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in user_id.utf8_chunks() {
        if !chunk.valid().trim().is_empty() {
            out.extend(escaped(chunk.valid().as_bytes()).bytes());
        } else {
            out.extend(chunk.valid().bytes().filter(|byte| *byte == b' '));
        }
        for byte in chunk.invalid() {
            if *byte < 0xa0 { out.extend(format!("%{byte:02X}").bytes()) } else { out.push(*byte) }
        }
    }
    if out.trim_ascii().is_empty() { b"[?]".to_vec() } else { out }
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
    let verifier = OpenPgpVerifier::like_gnupg(&certificates, clock::now());
    let unknown = |checked: &Checked| matches!(checked.outcome, Outcome::NoKey);
    if signatures.check(&verifier, b"").iter().any(unknown) {
        cert_d::add_to(&mut certificates, &signatures.key_ids())?;
    }
    gnupg.complete(&mut certificates, clock::now())?;
    let found = check(&signatures, &certificates, &data, clock::now());
    let named = gpg.trust_model.as_deref();
    let model = named.map(|name| TrustModel::of_name(name).with_context(|| format!("unknown trust model '{name}'"))).transpose()?;
    let model = model.or(gnupg.settings.trust_model).unwrap_or_default();
    let trust = trust(&gnupg, model)?;
    if model == TrustModel::Tofu {
        complain("gpg: Note: what the trust model tofu learnt is not read here; whom to believe says the web of trust alone");
    }
    let weak = gnupg.settings.weak_digests();
    let told = Told { status, certificates, trust, model, weak, retrieves: gnupg.settings.auto_key_retrieve };
    let mut worst = GOOD;
    for checked in &found {
        worst = worst.max(told.tell(checked)?);
    }
    io::stdout().flush()?;
    Ok(worst)
}

/// Checks each signature by the keys that stand, else by those of which gpg only does not know any more whose they are.
fn check(signatures: &Detached, certificates: &Certificates, data: &[u8], now: i64) -> Vec<Checked> {
    let mut found = signatures.check(&OpenPgpVerifier::like_gnupg(certificates, now), data);
    if !found.iter().any(|checked| matches!(checked.outcome, Outcome::NoKey)) {
        return found;
    }
    for (ended, before) in certificates.ended(now) {
        let then = signatures.check(&OpenPgpVerifier::like_gnupg(&ended, before), data);
        for (checked, then) in found.iter_mut().zip(then).filter(|(checked, _)| matches!(checked.outcome, Outcome::NoKey)) {
            if matches!(&then.outcome, Outcome::Good(key) | Outcome::Bad(key) if ended.has_living_key(&key.fingerprint, now)) {
                *checked = then;
            }
        }
    }
    found
}

/// Whom to believe: by GnuPG's trustdb, or by the ownertrust in the file that `warrant.ownertrust` names.
fn trust(gnupg: &Gnupg, model: TrustModel) -> Result<TrustDb> {
    let named = match Repository::open() {
        Ok(repository) => repository.config()?.get("warrant.ownertrust")?,
        Err(_) => None, // out of a repository nothing is configured
    };
    let now = clock::now();
    let Some(named) = named else {
        let known = gnupg.trust()?;
        let by_web = matches!(model, TrustModel::Pgp | TrustModel::Tofu);
        if !by_web || !known.is_stale(now) || gnupg.settings.no_auto_check_trustdb {
            return Ok(known);
        }
        complain("gpg: checking the trustdb; gpg --check-trustdb keeps what comes of it");
        return Ok(OwnerTrust::of_trustdb(&known).web(&gnupg.certificates(&[Vec::new()])?, now));
    };
    let why = || format!("the ownertrust in {named} (warrant.ownertrust)");
    let owners = OwnerTrust::parse(&read_text(&named).with_context(why)?).with_context(why)?;
    let everybody = [Vec::new()];
    let mut certificates = gnupg.certificates(&everybody)?;
    cert_d::add_to(&mut certificates, &everybody)?;
    Ok(owners.web(&certificates, now))
}

pub(super) fn read_stdin() -> Result<Vec<u8>> {
    let mut data = Vec::new();
    io::stdin().lock().read_to_end(&mut data).context("cannot read standard input")?;
    Ok(data)
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
            if std::str::from_utf8(id).is_ok() {
                assert_eq!(plain(id), want.as_bytes());
            }
        }
        for (id, want) in
            [(&b"J\xf6rg <j@x>"[..], &b"J\xf6rg <j@x>"[..]), (b"\xff\x1b\x9b", b"\xff%1B%9B"), (b"a\xe4 b", b"a\xe4 b")]
        {
            assert_eq!(plain(id), want);
        }
    }
}
