//! `policy retire`: somebody leaves, or a key goes out of use.

use super::super::session::{Material, with_judge};
use super::super::verify::Targets;
use super::super::{complain, stdout};
use super::{Draft, refuse};
use crate::cli::PolicyRetire;
use crate::evidence::{Evidence, Smime};
use crate::history::{Hidden, ObjectSource as _, Walk, ancestors};
use crate::io::clock;
use crate::object::ObjectId;
use crate::policy::allowed_signers::AllowedSigners;
use crate::policy::ancestry::Ancestry;
use crate::policy::file::edit::{Editor, Holder};
use crate::policy::file::{Credential, KeyEntry, PrincipalEntry, Status, X509Entry};
use crate::policy::revocation::RevokedKeys;
use crate::policy::{Demands, Policy};
use crate::report::ExitStatus;
use crate::report::escape::{printable, shell_word};
use crate::verdict::{Judgement, Utc};
use anyhow::{Result, anyhow, bail};
use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::io::Write as _;

/// Settles what stands, and retires.
pub(super) fn run(args: &PolicyRetire) -> Result<ExitStatus> {
    let mut draft = Draft::open(&args.edit)?;
    let leaving = Leaving::find(&draft, &args.who)?;
    let mut refs = draft.protected()?;
    for name in &args.except {
        let full = draft.place.repository.resolve(name)?.reference.unwrap_or_default();
        let before = refs.len();
        refs.retain(|reference| reference.as_bytes() != full);
        if refs.len() == before {
            bail!("--except {name}: that ref is none of those that would be settled: {}", refs.join(" "));
        }
    }
    refs.extend(args.settle.iter().cloned());
    let targets = Targets::resolve(&draft.place, &refs)?;
    let beyond = leaving.beyond(&mut draft, &refs, &targets)?;
    if !beyond.is_empty() && !args.leave {
        let mut lines = vec![format!("these refs hold more that {} signed, which would be rejected from now on:", args.who)];
        let flags: Vec<String> = beyond.iter().map(|(name, _)| format!("--settle {}", shell_word(name))).collect();
        lines.extend(beyond.iter().map(|(name, n)| format!("  {name} ({n})")));
        lines.push(format!("settle them with {}, or leave them with --leave; nothing is written yet", flags.join(" ")));
        bail!("{}", lines.join("\n"));
    }
    let mut editor = Editor::new(&draft.source.text).map_err(|error| anyhow!("{}: {error}", draft.source.name))?;
    if !refs.is_empty() {
        let summary = draft.judge(&draft.source.text.clone(), &targets)?;
        if summary.exit_status() != ExitStatus::Accepted {
            complain("git-warrant: a ref that cannot be mended is left out with --except REF");
            return Ok(refuse(&summary, &targets.heading()));
        }
        let (added, covered) = draft.settled_with(&targets);
        editor.settle(&added, &covered);
    }
    let before = Utc(clock::now()).to_string();
    for holder in &leaving.holders {
        if !editor.retire(holder, &before, args.reason.as_deref()) {
            bail!("{} cannot be changed at {holder:?}", draft.source.name);
        }
    }
    if !refs.is_empty() && draft.judge(editor.text().as_bytes(), &targets)?.exit_status() != ExitStatus::Accepted {
        bail!("what stands today would be rejected under the changed policy; nothing is written");
    }
    draft.write(&editor, args.edit.dry_run)?;
    if !args.edit.dry_run {
        let (name, who) = (printable(&draft.source.name).into_owned(), printable(&args.who).into_owned());
        writeln!(stdout(), "{name}: {who} is retired, and what stood on these refs is settled: {}", refs.join(" "))?;
        for (reference, n) in &beyond {
            complain(&format!("warning: {}: what {who} signed there is rejected from now on ({n})", printable(reference)));
        }
        for (authority, line, email) in leaving.still_certified(&draft) {
            let email = printable(&email).into_owned();
            complain(&format!(
                "warning: {name}:{line}: the authority {} may still certify keys for {email}; to end that too, add {email} to its `deny`",
                printable(&authority)
            ));
        }
    }
    Ok(ExitStatus::Accepted)
}

/// Whose keys go.
struct Leaving {
    holders: Vec<Holder>,
    /// The blobs of their keys.
    blobs: HashSet<Vec<u8>>,
}

impl Leaving {
    fn find(draft: &Draft, who: &str) -> Result<Self> {
        let listed = draft.file.principals.iter().flat_map(|person| person.keys.iter().map(move |key| (person, key)));
        let of_preset = |(person, key): &(&PrincipalEntry, &KeyEntry)| {
            key.preset && (person.name == who || key.credential.fingerprint() == who)
        };
        if let Some((person, key)) = listed.into_iter().find(of_preset) {
            let fingerprint = key.credential.fingerprint();
            bail!(
                "{}:{}: the key {fingerprint} is one of a preset; to retire it, list it: [[principals.{}.keys]], openpgp = \"{fingerprint}\", status = \"retired\", after git warrant policy settle",
                draft.source.name,
                key.line,
                person.name
            );
        }
        let (mut found, mut ended) = (Self { holders: Vec::new(), blobs: HashSet::new() }, false);
        let mut take = |holder: Holder, blob: &[u8], status: &Status| {
            if *status == Status::Active {
                found.holders.push(holder);
                found.blobs.insert(blob.to_vec());
            } else {
                ended = true;
            }
        };
        for person in &draft.file.principals {
            for (index, key) in person.keys.iter().enumerate() {
                if person.name == who || key.credential.fingerprint() == who {
                    take(Holder::Key { principal: person.name.clone(), index }, key.credential.blob(), &key.status);
                }
            }
        }
        for authority in draft.file.authorities.iter().filter(|it| it.name == who || it.key.fingerprint == who) {
            take(Holder::Authority(authority.name.clone()), &authority.key.blob, &authority.status);
        }
        for authority in draft.file.x509s.iter().filter(|it| it.name == who) {
            take(Holder::Authority(authority.name.clone()), &Smime::blob(&authority.name, ""), &authority.status);
        }
        let person = draft.file.principals.iter().any(|person| person.name == who);
        let mut authorities = draft.file.authorities.iter().map(|it| &it.name).chain(draft.file.x509s.iter().map(|it| &it.name));
        let authority = authorities.any(|name| name == who);
        if person && authority {
            bail!("{who} is a principal and an authority in {}: name the fingerprint of the key", draft.source.name);
        }
        if found.holders.is_empty() && person && !ended {
            bail!(
                "{who} has no key in {}; to refuse certificates for {who}, add the names to the `deny` of the authority",
                draft.source.name
            );
        }
        match (found.holders.is_empty(), ended) {
            (false, _) => Ok(found),
            (true, true) => bail!("{who} has no active key in {}: nothing is left to retire", draft.source.name),
            (true, false) => bail!(
                "{} names no principal, authority or key `{who}`; git warrant policy check lists what is in it",
                draft.source.name
            ),
        }
    }

    /// The active authorities whose patterns match an address of somebody who leaves, with their lines.
    fn still_certified(&self, draft: &Draft) -> Vec<(String, usize, String)> {
        let leaves = |name: &str| self.holders.iter().any(|it| matches!(it, Holder::Key { principal, .. } if principal == name));
        let mut emails: Vec<&String> = Vec::new();
        for person in draft.file.principals.iter().filter(|person| leaves(&person.name)) {
            let certified = person.keys.iter().filter_map(|key| match &key.credential {
                Credential::X509(identity) => Some(&identity.address),
                Credential::Ssh(_) | Credential::OpenPgp { .. } | Credential::Keyless(_) => None,
            });
            let new = person.emails.iter().chain(certified).filter(|email| !emails.contains(email)).collect::<BTreeSet<_>>();
            emails.extend(new);
        }
        let mut found = Vec::new();
        for email in emails {
            for authority in draft.file.authorities.iter().filter(|it| it.status == Status::Active && !it.deny.contains(email)) {
                if authority.principals.matches(email.as_bytes()) {
                    found.push((authority.name.clone(), authority.line, email.clone()));
                }
            }
            let speaks = |it: &&X509Entry| it.principals.as_ref().is_some_and(|patterns| patterns.matches(email.as_bytes()));
            let active = draft.file.x509s.iter().filter(|it| it.status == Status::Active && !it.deny.contains(email));
            found.extend(active.filter(speaks).map(|it| (it.name.clone(), it.line, email.clone())));
        }
        found
    }

    fn signed(&self, evidence: &Evidence) -> bool {
        let key = &evidence.key;
        let authority = key.certificate.as_deref().map(|certificate| &certificate.authority.blob);
        let by_address = |smime: &Smime| {
            let addresses = || smime.addresses.iter().map(String::as_str).chain([""]); // the authority's own
            smime.paths.iter().any(|path| addresses().any(|it| self.blobs.contains(&Smime::blob(&path.authority, it))))
        };
        self.blobs.contains(&key.blob)
            || authority.is_some_and(|blob| self.blobs.contains(blob))
            || evidence.smime.as_deref().is_some_and(by_address)
    }

    /// The refs that hold more of what they signed than the given ones, and how many commits; each commit counts once.
    fn beyond(&self, draft: &mut Draft, refs: &[String], targets: &Targets) -> Result<Vec<(String, usize)>> {
        let tips = targets.commits(&draft.place.repository);
        let hidden = [draft.place.peeled(&draft.file.baseline), draft.file.settled.clone(), tips].concat();
        let repository = &mut draft.place.repository;
        let mut walk = Walk::new(Hidden { unasked: ancestors(repository, hidden), baseline: HashSet::new() });
        let nobody = Policy::new(AllowedSigners::default(), RevokedKeys::default(), Demands::default());
        let material = Material::of(&draft.file, &draft.source)?;
        let mut found = Vec::new();
        for name in repository.references()?.into_iter().filter(|name| !refs.contains(name)) {
            let Ok(tip) = repository.resolve(&name).and_then(|it| repository.peel_to_commit(&it.id)) else { continue };
            let mut n = 0;
            with_judge(repository.hash(), &nobody, &material, &Ancestry::nothing(), |judge| {
                let mut sink = |judgement: Judgement| {
                    n += usize::from(judgement.evidence.is_some_and(|evidence| self.signed(&evidence)));
                    Ok::<_, Infallible>(())
                };
                let tips: [ObjectId; 1] = [tip];
                let Ok(()) = walk.run(repository, judge, &tips, &mut sink);
            });
            if n > 0 {
                found.push((name, n));
            }
        }
        Ok(found)
    }
}
