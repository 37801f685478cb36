//! In gpgsm's place, as git calls it: keyless signatures made.

use super::gpg::{Status, read_stdin};
use super::{complain, drain_stdin};
use crate::io::git::Repository;
use crate::io::secrecy::forbid_dumps;
use crate::io::sigstore::services::Services;
use crate::io::sigstore::{Http, signing};
use crate::object::Identity;
use crate::personality::gpg::{Action, Gpg, GpgUsage};
use crate::report::escape::printable;
use crate::signature::x509::sign::Leaf;
use anyhow::{Context as _, Result, bail};
use std::io::{self, Write as _};

const GOOD: u8 = 0;
const FAILED: u8 = 2;
/// OpenPGP's numbers, in which GnuPG's status lines speak: ECDSA, SHA-256.
const ECDSA: u8 = 19;
const SHA256: u8 = 8;

/// Does what the command line asks for; the exit status.
pub fn run(request: Result<Gpg, GpgUsage>) -> u8 {
    let done = request.map_err(anyhow::Error::from).and_then(|gpg| match &gpg.action {
        Action::Verify { .. } => verify(),
        Action::Sign => sign(&gpg),
        Action::Unknown => Err(GpgUsage::Action.into()),
    });
    done.unwrap_or_else(|error| {
        drain_stdin();
        complain(&format!("git-warrant: {}", printable(&format!("{error:#}"))));
        FAILED
    })
}

/// Git calls for openpgp and for x509 in the same words: only its configuration tells.
pub(super) fn is_meant() -> bool {
    let format = Repository::open().and_then(|repository| repository.config()).and_then(|config| config.get("gpg.format"));
    matches!(format, Ok(Some(format)) if format == "x509") // without a repository nothing says x509
}

pub(super) fn verify() -> Result<u8> {
    bail!("X.509 signatures are not verified here")
}

/// Signs standard input; the signature goes to standard output.
fn sign(gpg: &Gpg) -> Result<u8> {
    forbid_dumps();
    let payload = read_stdin()?; // first: git takes a broken pipe for failure of another kind
    let services = Services::of(&Repository::open()?.config()?)?;
    let http = Http::new();
    let prepared = signing::prepare(&http, &services, &payload)?;
    let leaf = &prepared.leaf;
    if services.match_committer {
        refuse_others(leaf, &payload)?;
    }
    let signed = prepared.finish(&http, &services, &payload)?;
    let status = Status(gpg.status_fd);
    status.line(&format!("BEGIN_SIGNING H{SHA256}"))?;
    io::stdout().write_all(&signed.armored).and_then(|()| io::stdout().flush()).context("cannot write the signature")?;
    status.line(&format!("SIG_CREATED D {ECDSA} {SHA256} 00 {} {}", prepared.time, leaf.fingerprint()))?;
    let told = format!("signed as {}; entry {} of the log", leaf.holder(), signed.entry.index);
    complain(&format!("git-warrant: {}", printable(&told)));
    Ok(GOOD)
}

/// `warrant.matchCommitter`: the certificate names the committer's address or, where it names a URI, the committer's name.
fn refuse_others(leaf: &Leaf, payload: &[u8]) -> Result<()> {
    let header = payload.split(|&b| b == b'\n').take_while(|line| !line.is_empty());
    let values = header.filter_map(|line| line.strip_prefix(b"committer ").or_else(|| line.strip_prefix(b"tagger ")));
    let Some(committer) = values.filter_map(Identity::parse).next() else {
        bail!("warrant.matchCommitter is set, and what is to be signed names no committer");
    };
    let subject = leaf.subject.as_deref().unwrap_or_default();
    if subject.is_empty() || ![committer.email, committer.name].contains(&subject.as_bytes()) {
        bail!(
            "the certificate is of {subject}, and the committer is {} <{}> (warrant.matchCommitter); log in as the committer, or commit as yourself",
            String::from_utf8_lossy(committer.name),
            String::from_utf8_lossy(committer.email)
        );
    }
    Ok(())
}
