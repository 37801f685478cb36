//! What every judging command needs: the repository, its configuration, the policy.

use super::online::{Online, X509Online};
use crate::cli::{Bind, PolicyArgs};
use crate::history::{self, ObjectSource, ReadError, confirm, verdict_of};
use crate::io::clock;
use crate::io::config::Config;
use crate::io::git::Repository;
use crate::io::policy::{self, Search, Source};
use crate::judge::{Judge, TagPlace};
use crate::object::{Commit, ObjectId, ObjectKind, Tag};
use crate::policy::allowed_signers::{AllowedSigners, utc_seconds};
use crate::policy::ancestry::Ancestry;
use crate::policy::file::{AuthorityEntry, Credential, Exempt, PolicyFile, RootName, X509Entry, certificate_file};
use crate::policy::revocation::RevokedKeys;
use crate::policy::{Demands, Parts, Policy, STRICT_RSA_BITS};
use crate::report::Heading;
use crate::signature::Verifier;
use crate::signature::openpgp::{Certificates, OpenPgpVerifier};
use crate::signature::ssh::SshVerifier;
use crate::signature::x509::{Authority, Root, X509Verifier};
use crate::verdict::{Judgement, Reason, Unjudged, Verdict};
use anyhow::{Context as _, Result, bail};
use std::collections::HashSet;

/// Tags of tags of tags: honest ones have one or two.
const MOST_TAGS: usize = 16;

/// A repository and its configuration, before any policy.
pub(super) struct Place {
    pub(super) repository: Repository,
    pub(super) config: Config,
}

impl Place {
    /// Opens the repository around us; refuses settings that this version would have to pass over.
    pub(super) fn open() -> Result<Self> {
        let repository = Repository::open()?;
        let config = repository.config()?;
        policy::refuse_later_settings(&config)?;
        Ok(Self { repository, config })
    }

    /// The commits that revisions name.
    pub(super) fn commits(&self, option: &str, revisions: &[String]) -> Result<Vec<ObjectId>> {
        let commit = |revision: &String| {
            let resolved = self.repository.resolve(revision)?;
            self.repository.peel_to_commit(&resolved.id)
        };
        revisions.iter().map(|revision| commit(revision).with_context(|| format!("{option} {revision}"))).collect()
    }

    /// The commits that a policy's ids are or lead to; what is not here stays as it is, and hides nothing.
    pub(super) fn peeled(&self, ids: &[ObjectId]) -> Vec<ObjectId> {
        ids.iter().map(|id| self.repository.peel_to_commit(id).unwrap_or(*id)).collect()
    }

    /// What revisions, and ids of the policy, settle: commits with all their ancestors, tags by themselves. A full id that is
    /// not here settles nothing.
    pub(super) fn settled(&mut self, revisions: &[String], of_policy: &[ObjectId]) -> Result<Ancestry> {
        let mut ids = of_policy.to_vec();
        for revision in revisions {
            match revision.parse::<ObjectId>() {
                Ok(id) => ids.push(id),
                Err(_) => ids.push(self.repository.resolve(revision).with_context(|| format!("settled {revision}"))?.id),
            }
        }
        Ok(self.ancestry(ids))
    }

    /// The tags that an object leads through, itself first, and what stands at their end, as far as it is here.
    pub(super) fn chain(&mut self, id: ObjectId) -> Vec<(ObjectId, ObjectKind)> {
        let (mut chain, mut next) = (Vec::new(), Some(id));
        while let Some(id) = next.filter(|_| chain.len() < MOST_TAGS) {
            let Ok(object) = self.repository.read(&id) else { break };
            chain.push((id, object.kind));
            let target = || Tag::parse(&object.data, self.repository.hash()).target;
            next = if object.kind == ObjectKind::Tag { target() } else { None };
        }
        chain
    }

    /// What lies below commits: the ancestors of their parents.
    pub(super) fn strictly_below(&mut self, commits: &HashSet<ObjectId>) -> HashSet<ObjectId> {
        let hash = self.repository.hash();
        let read = commits.iter().filter_map(|id| self.repository.read(id).ok());
        let parents: Vec<ObjectId> = read.flat_map(|commit| Commit::parse(&commit.data, hash).parents).collect();
        history::ancestors(&mut self.repository, parents)
    }

    /// What lies at or below ids.
    pub(super) fn ancestry(&mut self, ids: Vec<ObjectId>) -> Ancestry {
        let complete = ids.iter().all(|id| self.repository.kind(id).is_some());
        Ancestry { objects: history::ancestors(&mut self.repository, ids), complete }
    }
}

/// A policy that is ready, and where it is from.
pub(super) struct Loaded {
    pub(super) source: Source,
    pub(super) policy: Policy,
    /// What signatures are verified by.
    pub(super) material: Material,
    /// What is to be said of the file, a line each.
    pub(super) notes: Vec<String>,
    /// What the file leaves out.
    pub(super) baseline: Vec<ObjectId>,
    /// What the file settles.
    pub(super) settled: Vec<ObjectId>,
    /// All other ids that the file names: what is settled, audited, exempt.
    pub(super) named: Vec<ObjectId>,
    /// The single commits that the file lets stand.
    pub(super) exempt: Vec<Exempt>,
}

impl Loaded {
    /// Finds the policy, reads it whole, or says why not.
    pub(super) fn find(place: &mut Place, search: &Search, asked: Asked) -> Result<Self> {
        let source = policy::find(&place.repository, &place.config, search)?;
        Self::of(place, source, asked)
    }

    /// Makes a policy of what was read.
    pub(super) fn of(place: &mut Place, mut source: Source, asked: Asked) -> Result<Self> {
        let revoked = match &source.revoked {
            Some((name, text)) => {
                RevokedKeys::parse(text).with_context(|| format!("the file {name} of --revoked or gpg.ssh.revocationFile"))?
            }
            None => RevokedKeys::default(),
        };
        let Some(file) = source.toml.take() else {
            let (signers, notes) = read_lines(&source)?;
            let policy = Policy::new(signers, revoked, asked.of_lines());
            let material = Material::default();
            return Ok(Self {
                source,
                policy,
                material,
                notes,
                baseline: Vec::new(),
                settled: Vec::new(),
                named: Vec::new(),
                exempt: Vec::new(),
            });
        };
        check_ids(&file, &source, &place.repository)?;
        let material = Material::of(&file, &source)?;
        let weak_keys = weak_keys(&file);
        let named = file.ids().copied().collect();
        let principals = file.principals.into_iter().map(|principal| {
            let audited = principal.keys.iter().map(|key| place.ancestry(key.status.audited().to_vec())).collect();
            (principal, audited)
        });
        let mut parts = Parts { principals: principals.collect(), ..Parts::default() };
        for authority in file.authorities {
            let revoked = revoked_by(&authority, &source)?;
            let audited = place.ancestry(authority.status.audited().to_vec());
            parts.authorities.push((authority, revoked, audited));
        }
        for instance in file.sigstores {
            let audited = place.ancestry(instance.status.audited().to_vec());
            parts.sigstores.push((instance, audited));
        }
        for authority in file.x509s {
            let audited = place.ancestry(authority.status.audited().to_vec());
            parts.x509s.push((authority, audited));
        }
        let policy = Policy::from_parts(parts, revoked, asked.of_toml());
        let notes = certificate_notes(&material.certificates, &source.name);
        let weak = weak_keys.into_iter().map(|(line, bits)| {
            format!("{}:{line}: an RSA key of {bits} bits signs nothing here: 2048 are the least", source.name)
        });
        let notes = notes.into_iter().chain(weak).collect();
        Ok(Self { source, policy, material, notes, baseline: file.baseline, settled: file.settled, named, exempt: file.exempt })
    }

    pub(super) fn heading(&self, target: String) -> Heading {
        Heading { target, policy: self.source.name.clone(), digest: self.source.digest() }
    }
}

/// What signatures are verified by: whose they are, and whether that is enough, says the policy.
pub(super) struct Material {
    /// The OpenPGP certificates that the policy knows.
    pub(super) certificates: Certificates,
    /// The trusted roots of Sigstore instances: those of the policy; of one that has none all that are built in, so that what is
    /// not listed can be named.
    pub(super) roots: Vec<Root>,
    /// The X.509 authorities of the policy.
    pub(super) authorities: Vec<Authority>,
    /// Where log entries are searched that signatures do not carry; only where somebody asked for it.
    pub(super) online: Option<Online>,
}

impl Default for Material {
    fn default() -> Self {
        let roots = Root::EMBEDDED.iter().filter_map(|name| Root::embedded(name, name)).collect();
        Self { certificates: Certificates::default(), roots, authorities: Vec::new(), online: None }
    }
}

impl Material {
    /// All that a policy names.
    pub(super) fn of(file: &PolicyFile, source: &Source) -> Result<Self> {
        let certificates = certificates(file, source)?;
        let authorities = authorities(file, source)?;
        if file.sigstores.is_empty() {
            return Ok(Self { certificates, authorities, ..Self::default() });
        }
        let roots = roots(file, source)?;
        Ok(Self { certificates, authorities, roots, online: None })
    }

    /// What verifies CMS signatures by it.
    pub(super) fn x509(&self) -> X509Verifier {
        X509Verifier::new(self.roots.clone()).with_authorities(self.authorities.clone())
    }
}

/// The trusted roots of the Sigstore instances that a policy names; no authority's key is in two of them.
fn roots(file: &PolicyFile, source: &Source) -> Result<Vec<Root>> {
    let mut all: Vec<Root> = Vec::new();
    for (at, instance) in file.sigstores.iter().enumerate() {
        let what = || format!("{}:{}: `trusted-root`", source.name, instance.line);
        let root = match &instance.root {
            RootName::Embedded(which) => {
                Root::embedded(which, &instance.name).context("no such root is built in").with_context(what)?
            }
            RootName::File(name) => {
                let json = source.beside.get(name).context("it was not read").with_context(what)?;
                Root::parse(json, &instance.name).with_context(what)?
            }
        };
        for (other, known) in file.sigstores.iter().take(at).zip(&all) {
            if let Some(authority) = root.shared_authority(known).with_context(what)? {
                let (other, name) = (&other.name, &instance.name);
                bail!(
                    "{}: the certificate authority {authority} is in the trusted roots of {other} and of {name}: what it certified would have two states; keep one of both tables, with the newer of the two roots",
                    what()
                );
            }
        }
        all.push(root);
    }
    Ok(all)
}

/// The X.509 authorities that a policy names, each with its roots and revocation lists; no root is in two of them.
fn authorities(file: &PolicyFile, source: &Source) -> Result<Vec<Authority>> {
    let mut all: Vec<(&X509Entry, Authority)> = Vec::new();
    for entry in &file.x509s {
        let what = |key: &str, name: &str| format!("{}:{}: `{key}`: the file {name}", source.name, entry.line);
        let read = |key: &str, name: &str| {
            source.beside.get(name).context("it was not read").with_context(|| what(key, name)).map(Vec::as_slice)
        };
        let roots = read("x509", &entry.roots)?;
        let mut authority = Authority::parse(&entry.name, roots).with_context(|| what("x509", &entry.roots))?;
        if let Some(name) = &entry.crl {
            authority = authority.with_lists(read("crl", name)?, clock::now()).with_context(|| what("crl", name))?;
        }
        for (other, known) in &all {
            if let Some(root) = authority.shared_root(known) {
                let (name, line, other, entry) = (&source.name, entry.line, &other.name, &entry.name);
                bail!("{name}:{line}: the root {root} is one of {other} and of {entry}: it would have two states");
            }
        }
        all.push((entry, authority));
    }
    Ok(all.into_iter().map(|(_, authority)| authority).collect())
}

/// The OpenPGP certificates that a policy names, each of the fingerprint that it is listed by.
pub(super) fn certificates(file: &PolicyFile, source: &Source) -> Result<Certificates> {
    let mut all = Certificates::default();
    for key in file.principals.iter().flat_map(|person| &person.keys) {
        let Credential::OpenPgp { certificate, .. } = &key.credential else { continue };
        let fingerprint = key.credential.fingerprint();
        let (bytes, name) = match certificate {
            Some(text) => (text.as_bytes(), "`cert`".to_owned()),
            None => {
                let name = certificate_file(&fingerprint);
                (source.beside.get(&name).with_context(|| format!("{name} was not read"))?.as_slice(), format!("the file `{name}`"))
            }
        };
        let what = || format!("{}:{}: {name}", source.name, key.line);
        let mut own = Certificates::default();
        own.add(bytes).with_context(what)?;
        if !own.fingerprints().eq([fingerprint.as_str()]) {
            let held: Vec<&str> = own.fingerprints().collect();
            bail!("{} holds the certificate {}, not {fingerprint}", what(), held.join(" and "));
        }
        all.merge_all(own);
    }
    if let Some((key, [one, other])) = all.shared_key(clock::now()) {
        bail!(
            "{}: the signing key {key} is in two certificates, {one} and {other}: it would have two states; leave one of them out",
            source.name
        );
    }
    Ok(all)
}

/// What is to be said of the certificates of a policy: those that have no key that may sign, and those that somebody may have
/// revoked who cannot be asked.
pub(super) fn certificate_notes(certificates: &Certificates, policy: &str) -> Vec<String> {
    let now = clock::now();
    let why = |name: &str| certificates.standing(name, now).err().map(|why| format!("{policy}: the certificate {name} {why}"));
    let unchecked = certificates.unchecked_revocations(now).into_iter().map(|(fingerprint, revoker)| {
        format!(
            "{policy}: the certificate {fingerprint} may be revoked: it names {revoker} for that, who signed a revocation of it, but whose certificate is not in the policy to check it by; ask gpg (gpg --recv-keys {revoker}), and set status = \"compromised\" if it is so"
        )
    });
    certificates.without_signing_key(now).filter_map(why).chain(unchecked).collect()
}

/// The lines of RSA keys that are too short, with their bits.
pub(super) fn weak_keys(file: &PolicyFile) -> Vec<(usize, usize)> {
    let own = file.principals.iter().flat_map(|person| &person.keys).filter_map(|key| match &key.credential {
        Credential::Ssh(ssh) => Some((key.line, ssh.rsa_bits?)),
        Credential::OpenPgp { .. } | Credential::Keyless(_) | Credential::X509(_) => None,
    });
    let authorities = file.authorities.iter().filter_map(|authority| Some((authority.line, authority.key.rsa_bits?)));
    own.chain(authorities).filter(|(_, bits)| *bits < STRICT_RSA_BITS).collect()
}

/// Refuses ids that could never mean what they stand for.
pub(super) fn check_ids(file: &PolicyFile, source: &Source, repository: &Repository) -> Result<()> {
    if let Some(id) = file.ids().find(|id| id.algorithm() != repository.hash()) {
        bail!("the policy {} names {id}, which is no id of this repository's hash function", source.name);
    }
    for exempt in &file.exempt {
        for id in [exempt.commit, exempt.until] {
            if let Some(kind) = repository.kind(&id).filter(|kind| *kind != ObjectKind::Commit) {
                bail!("{}:{}: {id} is a {kind}; name a commit (git rev-parse {id}^{{commit}})", source.name, exempt.line);
            }
        }
    }
    for id in file.baseline.iter().chain(&file.settled) {
        if let Some(kind @ (ObjectKind::Tree | ObjectKind::Blob)) = repository.kind(id) {
            bail!("the policy {} names {id}, which is a {kind}: nothing lies below that", source.name);
        }
    }
    Ok(())
}

/// What an authority revoked, by the file that the policy names.
pub(super) fn revoked_by(authority: &AuthorityEntry, source: &Source) -> Result<RevokedKeys> {
    let Some(name) = &authority.krl else { return Ok(RevokedKeys::default()) };
    let what = || format!("{}:{}: the file `{name}`", source.name, authority.line);
    let text = source.beside.get(name).context("it was not read").with_context(what)?;
    RevokedKeys::parse(text).with_context(what)
}

/// Reads an allowed_signers file, with what is to be said of it.
pub(super) fn read_lines(source: &Source) -> Result<(AllowedSigners, Vec<String>)> {
    let signers = AllowedSigners::parse(&source.text, &utc_seconds);
    let mut notes: Vec<String> = signers
        .skipped
        .iter()
        .map(|skipped| format!("{}:{}: {}; the line is skipped, as ssh-keygen does", source.name, skipped.number, skipped.why))
        .collect();
    for line in signers.lines.iter().filter(|line| !crate::policy::names_somebody(line)) {
        notes.push(format!("{}:{}: names nobody, so its key signs for nobody", source.name, line.number));
    }
    if let Some(number) = signers.zoneless {
        notes.push(format!("{}:{number}: a date without Z is read as UTC; ssh-keygen reads it in the local zone", source.name));
    }
    if signers.lines.is_empty() {
        let skipped = notes.join("\n  ");
        bail!("the policy {} has no line that can be used{}{skipped}", source.name, if skipped.is_empty() { "" } else { ":\n  " });
    }
    Ok((signers, notes))
}

/// What options, or a hook, ask beyond the file.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    strict: bool,
    bind_committer: bool,
    require_touch: bool,
    /// A hook refuses what only the signer's clock says, and lines for anybody.
    hook: bool,
    allow_wildcard: bool,
}

impl Asked {
    pub(super) fn by(args: &PolicyArgs) -> Self {
        Self {
            strict: args.strict,
            bind_committer: args.bind == Some(Bind::Committer),
            require_touch: args.require_touch,
            hook: false,
            allow_wildcard: false,
        }
    }

    pub(super) fn by_hook(args: &PolicyArgs, allow_wildcard: bool) -> Self {
        Self { hook: true, allow_wildcard, ..Self::by(args) }
    }

    fn of_lines(self) -> Demands {
        let mut demands = if self.strict { Demands::strict() } else { Demands::default() };
        demands.bind_committer |= self.bind_committer;
        demands.require_touch = self.require_touch;
        demands.refuse_claimed_only |= self.hook;
        demands.refuse_wildcard = self.hook && !self.allow_wildcard;
        demands
    }

    /// A policy in TOML asks for all of it but the form, and binds those who have addresses.
    fn of_toml(self) -> Demands {
        Demands {
            bind_committer: self.bind_committer,
            require_touch: self.require_touch,
            refuse_malleable: self.strict,
            ..Demands::default()
        }
    }
}

/// Calls `f` with a judge of this policy, by all the verifiers that are built in.
pub(super) fn with_judge<T>(
    hash: crate::object::HashAlgorithm,
    policy: &Policy,
    material: &Material,
    settled: &Ancestry,
    f: impl FnOnce(&Judge<'_>) -> T,
) -> T {
    let ssh = SshVerifier::default();
    let openpgp = OpenPgpVerifier::new(&material.certificates, clock::now());
    let x509 = X509Online::new(material.x509(), material.online.as_ref());
    let verifiers: [&dyn Verifier; 3] = [&ssh, &openpgp, &x509];
    f(&Judge { verifiers: &verifiers, hash, policy, settled, now: clock::now() })
}

/// What a tag leads to.
pub(super) enum Target {
    /// A commit, whose history is to be judged.
    Commit(ObjectId),
    /// Something that carries no signature, or that is not there (its judgement went to the sink).
    Nothing,
}

/// Judges an annotated tag, the tags that it names, and says what they lead to. `ref_name` is the name under which the first
/// is stored, less `refs/tags/`.
pub(super) fn judge_tags<E>(
    repository: &mut Repository,
    judge: &Judge<'_>,
    tag: ObjectId,
    ref_name: Option<&[u8]>,
    sink: &mut dyn FnMut(Judgement) -> Result<(), E>,
) -> Result<Target, E> {
    let mut id = tag;
    let mut ref_name = ref_name;
    for _ in 0..MOST_TAGS {
        let raw = match repository.read(&id) {
            Ok(object) if object.kind == ObjectKind::Tag => object.data,
            Ok(object) if object.kind == ObjectKind::Commit => return Ok(Target::Commit(id)),
            Ok(_) => return Ok(Target::Nothing),
            Err(ReadError::Missing) if repository.is_shallow() => {
                sink(Judgement::unread(id, Verdict::Unjudged { why: Unjudged::Shallow }))?;
                return Ok(Target::Nothing);
            }
            Err(error) => {
                sink(Judgement::unread(id, verdict_of(error)))?;
                return Ok(Target::Nothing);
            }
        };
        let target = Tag::parse(&raw, judge.hash).target;
        let target_kind = target.and_then(|target| repository.kind(&target));
        let mut judgement = judge.tag(id, &raw, TagPlace { ref_name, target_kind });
        confirm(repository, &mut judgement);
        sink(judgement)?;
        match target {
            Some(target) => id = target,
            None => return Ok(Target::Nothing), // a fault, which the judgement names
        }
        ref_name = None;
    }
    sink(Judgement::unread(id, Verdict::Reject { reason: Reason::NotSignable { kind: ObjectKind::Tag } }))?;
    Ok(Target::Nothing)
}
