//! `policy check`: is the file valid, and what is in it.

use super::super::session::{Material, Place, certificate_notes, check_ids, read_lines, revoked_by, weak_keys};
use super::super::{complain, stdout};
use crate::cli::PolicyCheck;
use crate::io::clock;
use crate::io::git::{OpenError, Repository};
use crate::io::policy::{Search, Source, find, read_directly};
use crate::policy::file::{Credential, KeyEntry, Kind, PolicyFile, PrincipalEntry, RootName, SigstoreEntry, Status, X509Entry};
use crate::policy::revocation::RevokedKeys;
use crate::report::ExitStatus;
use crate::report::escape::printable;
use crate::signature::openpgp::Certificates;
use crate::signature::openpgp::standing::KeyStanding;
use crate::signature::x509::Authority;
use crate::verdict::Utc;
use anyhow::{Context as _, Result, anyhow};
use std::io::Write as _;

/// Checks a file, or the policy that is used here.
pub(super) fn run(args: &PolicyCheck) -> Result<ExitStatus> {
    let place = Place::open();
    if let Err(error) = &place
        && !matches!(error.downcast_ref(), Some(OpenError::NotFound))
    {
        return Err(place.err().unwrap_or_else(|| anyhow!("no repository")));
    }
    let source = match &args.file {
        Some(file) => read_directly(file, None)?.1,
        None => {
            let place = place.as_ref().map_err(|error| anyhow!("{error:#}; or name the file to check"))?;
            find(&place.repository, &place.config, &Search::default())?
        }
    };
    if let Some((name, text)) = &source.revoked {
        RevokedKeys::parse(text).with_context(|| format!("the file {name} of gpg.ssh.revocationFile"))?;
    }
    let digest = source.digest();
    let lines = match &source.toml {
        Some(file) => of_toml(&source, file, place.as_ref().ok().map(|place| &place.repository))?,
        None => of_lines(&source)?,
    };
    let mut out = stdout();
    writeln!(out, "{}: valid (sha256:{digest})", printable(&source.name))?;
    for line in lines {
        writeln!(out, "  {}", printable(&line))?;
    }
    out.flush()?;
    Ok(ExitStatus::Accepted)
}

fn of_lines(source: &Source) -> Result<Vec<String>> {
    let (signers, notes) = read_lines(source)?;
    notes.iter().for_each(|note| complain(&format!("warning: {}", printable(note))));
    let authorities = signers.lines.iter().filter(|line| line.cert_authority).count();
    Ok(vec![format!(
        "allowed_signers: {}, {}, {} skipped",
        count(signers.lines.len() - authorities, "line with a key", "lines with keys"),
        count(authorities, "authority", "authorities"),
        signers.skipped.len()
    )])
}

fn of_toml(source: &Source, file: &PolicyFile, repository: Option<&Repository>) -> Result<Vec<String>> {
    for authority in &file.authorities {
        revoked_by(authority, source)?;
    }
    let Material { certificates, roots, authorities, .. } = Material::of(file, source)?;
    for (instance, root) in file.sigstores.iter().zip(&roots) {
        if !root.asks_for_certificate_logs().with_context(|| format!("{}:{}", source.name, instance.line))? {
            complain(&format!(
                "warning: {}:{}: the trusted root of {} names no certificate log: that a certificate is in one is not asked",
                printable(&source.name),
                instance.line,
                printable(&instance.name)
            ));
        }
    }
    for note in certificate_notes(&certificates, &source.name) {
        complain(&format!("warning: {}", printable(&note)));
    }
    for (line, bits) in weak_keys(file) {
        let name = printable(&source.name);
        complain(&format!("warning: {name}:{line}: an RSA key of {bits} bits signs nothing here: 2048 are the least"));
    }
    if let Some(repository) = repository {
        check_ids(file, source, repository)?;
        let absent = file.ids().filter(|id| repository.kind(id).is_none());
        absent.for_each(|id| {
            complain(&format!(
                "warning: {} names {id}, which is not in this repository: nothing stands by it here",
                printable(&source.name)
            ));
        });
    }
    for forge in file.principals.iter().filter(|it| it.kind == Kind::Forge) {
        let (name, forge) = (printable(&source.name), printable(&forge.name));
        complain(&format!(
            "warning: {name}: the forge {forge} signs for any of its users: what anybody lets it make, in whatever repository, is accepted here"
        ));
    }
    let mut lines: Vec<String> = file.principals.iter().map(|person| of_person(person, &certificates)).collect();
    lines.extend(
        file.authorities
            .iter()
            .map(|authority| format!("authority {} ({}), {}", authority.name, authority.key.fingerprint, state(&authority.status))),
    );
    lines.extend(file.sigstores.iter().map(of_instance));
    for (entry, authority) in file.x509s.iter().zip(&authorities) {
        for (root, end) in authority.roots().filter(|(_, end)| *end < clock::now()) {
            let what = format!("the root {root} ended {}: what it certified stands where it is settled", Utc(end));
            complain(&format!("warning: {}:{}: {}", printable(&source.name), entry.line, printable(&what)));
        }
        for root in authority.roots_without_list() {
            let what = format!(
                "no revocation list in `crl` is by {root}: what it certified counts as not revoked where it is an authority's, and as unknown where it is a signer's"
            );
            complain(&format!("warning: {}:{}: {}", printable(&source.name), entry.line, printable(&what)));
        }
        lines.push(of_x509(entry, authority));
    }
    lines.push(format!("{} settled, {} in the baseline, {} exempt", file.settled.len(), file.baseline.len(), file.exempt.len()));
    Ok(lines)
}

fn of_x509(entry: &X509Entry, authority: &Authority) -> String {
    let roots: Vec<String> = authority.roots().map(|(root, _)| root).collect();
    let shown = match roots.as_slice() {
        [one] => one.clone(),
        several => count(several.len(), "root", "roots"),
    };
    let lists = authority.lists().map(|(_, next)| next).min();
    let lists = lists.map(|next| format!(", revocation lists good until {}", Utc(next))).unwrap_or_default();
    format!("authority {} ({shown} in {}), {}{lists}", entry.name, entry.roots, state(&entry.status))
}

fn of_instance(instance: &SigstoreEntry) -> String {
    let root = match &instance.root {
        RootName::Embedded(name) | RootName::File(name) => name,
    };
    format!("authority {} (trusted root {root}), {}", instance.name, state(&instance.status))
}

fn of_person(person: &PrincipalEntry, certificates: &Certificates) -> String {
    let of_key = |key: &KeyEntry| format!("{} ({})", key.credential.fingerprint(), state_of_key(key, certificates));
    let keys: Vec<String> = person.keys.iter().map(of_key).collect();
    let emails = if person.emails.is_empty() { "bound to no address".to_owned() } else { person.emails.join(" ") };
    let kind = if person.kind == Kind::Person { "principal" } else { person.kind.name() };
    format!("{kind} {}, {emails}: {}", person.name, if keys.is_empty() { "no key".to_owned() } else { keys.join(", ") })
}

/// What the policy says of a key; where that is nothing, what its certificate does.
fn state_of_key(key: &KeyEntry, certificates: &Certificates) -> String {
    let said = state(&key.status).to_owned();
    if key.status != Status::Active || !matches!(key.credential, Credential::OpenPgp { .. }) {
        return said;
    }
    let now = clock::now();
    let Ok(keys) = certificates.standing(&key.credential.fingerprint(), now) else { return "no key that may sign".to_owned() };
    if !keys.iter().all(|key| key.is_over(now)) {
        return said;
    }
    let every = |is: &dyn Fn(&KeyStanding) -> bool| keys.iter().all(is);
    let last = keys.iter().filter_map(|key| key.ends).max().map(|ends| Utc(ends).to_string()).unwrap_or_default();
    match () {
        () if every(&|key| key.revoked.is_some()) => "revoked".to_owned(),
        () if every(&|key| key.has_ended(now)) => format!("expired {}", last.split('T').next().unwrap_or_default()),
        () if every(&|key| key.weak) => "too weak".to_owned(),
        () => "revoked, expired or too weak".to_owned(),
    }
}

fn state(status: &Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Retired { .. } => "retired",
        Status::Compromised { .. } => "compromised",
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
