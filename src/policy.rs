//! Who may sign what: [`Policy::decide`] says whether the evidence is enough.

pub mod allowed_signers;
pub mod ancestry;
pub mod file;
mod grant;
pub mod import;
mod keyless;
pub mod krl;
pub mod pattern;
pub mod preset;
pub mod public_key;
pub mod revocation;
mod smime;

use crate::evidence::{CLOCK_TOLERANCE, Certificate, CertificateKind, Evidence, Token, WeakBinding};
use crate::object::ObjectId;
use crate::verdict::{Principal, Reason, Unjudged, Utc, Verdict, Warning};
use allowed_signers::{AllowedSigners, Line};
use ancestry::Ancestry;
use file::{AuthorityEntry, Kind, PrincipalEntry, SigstoreEntry, Status, X509Entry};
use grant::{Committer, Grant, Person, Speaks, Standing, hold};
use keyless::Instance;
use revocation::RevokedKeys;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// The namespace of git's signatures.
const NAMESPACE: &[u8] = b"git";
/// The least RSA key under `--strict` and in TOML, in bits.
pub const STRICT_RSA_BITS: usize = 2048;

/// How much a policy asks beyond its file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands {
    /// The signer must be the committer.
    pub bind_committer: bool,
    /// A claimed time never puts something before a key's end.
    pub refuse_claimed_only: bool,
    /// A line whose pattern matches anybody makes nobody a signer.
    pub refuse_wildcard: bool,
    /// Nothing malleable.
    pub refuse_malleable: bool,
    /// RSA keys have 2048 bits or more.
    pub strong_rsa: bool,
    /// Every signature is one of a FIDO token that was touched.
    pub require_touch: bool,
}

impl Demands {
    /// All of them, as `--strict` asks, save what is said of wildcards and touch.
    pub fn strict() -> Self {
        Self {
            bind_committer: true,
            refuse_claimed_only: true,
            refuse_wildcard: false,
            refuse_malleable: true,
            strong_rsa: true,
            require_touch: false,
        }
    }
}

/// A policy: who signs with what, revoked keys, and what is asked beyond them.
#[derive(Clone, Debug)]
pub struct Policy {
    grants: Vec<Grant>,
    revoked: RevokedKeys,
    demands: Demands,
    /// Whether whoever has addresses signs what is committed under them only.
    binds: bool,
    /// The grants of a key itself, by its blob.
    keys: HashMap<Vec<u8>, Vec<usize>>,
    /// The grants of an authority, by its key's blob.
    authorities: HashMap<Vec<u8>, Vec<usize>>,
    people: People,
    /// The Sigstore instances that vouch for keyless identities.
    instances: Vec<Instance>,
    /// The names of the X.509 authorities.
    x509s: Vec<String>,
}

/// What is asked of one object beside the evidence. Times are seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The object.
    pub object: ObjectId,
    /// The committer's (of a tag: the tagger's) e-mail.
    pub email: Option<&'a [u8]>,
    /// Whether it names nobody by nature: a push certificate.
    pub nameless: bool,
    /// The committer's date: whoever holds the key chose it.
    pub claimed: Option<i64>,
    /// Now.
    pub now: i64,
    /// Whether it lies below something settled.
    pub settled: bool,
}

/// A verdict, what is worth saying beside it, and the policy's line that it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// What did not reject.
    pub warnings: Vec<Warning>,
    /// The number of the line in the policy file.
    pub line: Option<usize>,
    /// The earliest end (seconds since 1970, UTC) of what an acceptance rests on; `None` where nothing ends.
    pub ends: Option<i64>,
}

impl Decision {
    /// A rejection that rests on no line.
    pub fn reject(reason: Reason) -> Self {
        Self { verdict: Verdict::Reject { reason }, warnings: Vec::new(), line: None, ends: None }
    }
}

/// What a policy in TOML is made of, once all that it names is read.
#[derive(Debug, Default)]
pub struct Parts {
    /// Who signs; for each key, what its `audited` covers.
    pub principals: Vec<(PrincipalEntry, Vec<Ancestry>)>,
    /// Whose certificates are believed, what they revoked, and what their `audited` covers.
    pub authorities: Vec<(AuthorityEntry, RevokedKeys, Ancestry)>,
    /// Which Sigstore instances are believed, and what their `audited` covers.
    pub sigstores: Vec<(SigstoreEntry, Ancestry)>,
    /// Whose S/MIME certificates are believed, and what their `audited` covers.
    pub x509s: Vec<(X509Entry, Ancestry)>,
}

impl Policy {
    /// A policy of the lines of an allowed_signers file.
    pub fn new(signers: AllowedSigners, revoked: RevokedKeys, demands: Demands) -> Self {
        let mut policy = Self::of_nobody(revoked, demands);
        for line in signers.lines.into_iter().filter(names_somebody) {
            let (blob, authority) = (line.key.blob.clone(), line.cert_authority);
            policy.add(blob, authority, Grant::of_line(line));
        }
        policy
    }

    /// A policy in TOML. What it asks of all: strong keys, no time that only the signer claims, and the committer's own key.
    pub fn from_parts(parts: Parts, revoked: RevokedKeys, demands: Demands) -> Self {
        let demands = Demands { strong_rsa: true, refuse_claimed_only: true, ..demands };
        let mut policy = Self { binds: true, ..Self::of_nobody(revoked, demands) };
        for (principal, audited) in parts.principals {
            let person = Arc::new(Person { name: principal.name, kind: principal.kind, emails: principal.emails });
            policy.people.add(&person);
            for (key, audited) in principal.keys.into_iter().zip(audited) {
                let grant = Grant::of_key(&key, Arc::clone(&person), standing(&key.status, audited));
                policy.add(key.credential.blob().to_vec(), false, grant);
            }
        }
        for (entry, revoked, audited) in parts.authorities {
            let (blob, standing) = (entry.key.blob.clone(), standing(&entry.status, audited));
            policy.add(blob, true, Grant::of_authority(entry, revoked, standing));
        }
        for (entry, audited) in parts.sigstores {
            let standing = standing(&entry.status, audited);
            policy.instances.push(Instance::new(entry, standing));
        }
        for (entry, audited) in parts.x509s {
            let (blob, standing) = (smime::blob_of_authority(&entry.name), standing(&entry.status, audited));
            policy.x509s.push(entry.name.clone());
            policy.add(blob, true, Grant::of_x509(entry, standing));
        }
        policy
    }

    /// What is asked beyond the file.
    pub fn demands(&self) -> Demands {
        self.demands
    }

    fn of_nobody(revoked: RevokedKeys, demands: Demands) -> Self {
        Self {
            grants: Vec::new(),
            revoked,
            demands,
            binds: false,
            keys: HashMap::new(),
            authorities: HashMap::new(),
            people: People::default(),
            instances: Vec::new(),
            x509s: Vec::new(),
        }
    }

    fn add(&mut self, blob: Vec<u8>, authority: bool, grant: Grant) {
        let grants = if authority { &mut self.authorities } else { &mut self.keys };
        grants.entry(blob).or_default().push(self.grants.len());
        self.grants.push(grant);
    }

    fn grants<'a>(&'a self, indexes: &'a [usize]) -> impl Iterator<Item = &'a Grant> {
        indexes.iter().filter_map(|&index| self.grants.get(index))
    }

    /// Whether the evidence is enough.
    ///
    /// A key may stand on several lines. The best of them decides: one that accepts, then one whose pattern matches the
    /// committer, then one that has not ended, then one that names somebody, then the first. Of the chains of an S/MIME
    /// certificate, too, the best decides.
    pub fn decide(&self, evidence: &Evidence, context: &Context<'_>) -> Decision {
        let refused = |decision: &Decision| !matches!(decision.verdict, Verdict::Accept { .. });
        let chains = smime::each_chain_first(evidence);
        let decisions = chains.iter().map(|one| self.decide_one(one, context));
        let best = decisions.min_by_key(|decision| (refused(decision), decision.line.is_none()));
        best.unwrap_or_else(|| self.decide_one(evidence, context))
    }

    fn decide_one(&self, evidence: &Evidence, context: &Context<'_>) -> Decision {
        let best = self.before_grants(evidence, context).and_then(|indexes| {
            let grants = indexes.iter().filter_map(|&index| self.grants.get(index));
            let grants = grants.filter(|grant| grant.covers_namespace(NAMESPACE));
            let weighed = grants.map(|grant| self.weigh(grant, evidence, context));
            weighed.min_by_key(Candidate::rank).ok_or(Reason::NamespaceNotAllowed)
        });
        best.map_or_else(Decision::reject, |best| best.conclude(evidence))
    }

    /// What no entry can mend; else the entries that list the key.
    fn before_grants(&self, evidence: &Evidence, context: &Context<'_>) -> Result<Cow<'_, [usize]>, Reason> {
        let key = &evidence.key;
        let certificate = key.certificate.as_deref();
        if let Some(what) = self.revoked.find(key) {
            return Err(Reason::KeyRevoked { what });
        }
        let sizes = [key.rsa_bits, certificate.and_then(|it| it.authority.rsa_bits)];
        if let Some(bits) = sizes.into_iter().flatten().find(|&bits| self.demands.strong_rsa && bits < STRICT_RSA_BITS) {
            return Err(Reason::WeakKey { bits, least: STRICT_RSA_BITS });
        }
        if let Some(what) = evidence.weak.first() {
            return Err(Reason::Weak { what: (*what).to_owned() });
        }
        if let Some(weak) = key.binding.as_ref().and_then(|binding| binding.weak) {
            return Err(Reason::Weak { what: weak_binding(weak) });
        }
        if self.demands.refuse_malleable && !evidence.malleable.is_empty() {
            return Err(Reason::Malleable);
        }
        let indexes = match (certificate, evidence.keyless.as_deref()) {
            (None, None) if evidence.smime.is_some() => smime::entries(self, evidence)?.into(),
            (None, Some(keyless)) => {
                let (identity, issuer) = (keyless.subject.name().to_owned(), keyless.issuer.clone());
                let indexes = self.keys.get(&key.blob).ok_or(Reason::IdentityUnlisted { identity, issuer })?;
                keyless::instance(&self.instances, keyless)?;
                Cow::from(indexes)
            }
            (None, None) => self.keys.get(&key.blob).ok_or(Reason::KeyUnlisted)?.into(),
            (Some(certificate), _) => {
                let unlisted = || Reason::AuthorityUnlisted { authority: certificate.authority.fingerprint.clone() };
                let indexes = self.authorities.get(&certificate.authority.blob).ok_or_else(unlisted)?;
                check_certificate(certificate, evidence)?;
                Cow::from(indexes)
            }
        };
        let mut claims = context.claimed.into_iter().chain(evidence.made);
        match claims.find(|&claimed| claimed > context.now.saturating_add(CLOCK_TOLERANCE)) {
            Some(claimed) => Err(Reason::ClaimedInFuture { claimed }),
            None => Ok(indexes),
        }
    }

    fn weigh<'a>(&'a self, grant: &'a Grant, evidence: &Evidence, context: &Context<'_>) -> Candidate<'a> {
        let mut candidate = Candidate::of(grant);
        let refused = self.find_refusal(&mut candidate, evidence, context);
        candidate.refused = refused.err();
        candidate
    }

    /// What speaks against an entry; fills in what is learned on the way.
    fn find_refusal(&self, candidate: &mut Candidate<'_>, evidence: &Evidence, context: &Context<'_>) -> Result<(), Verdict> {
        let grant = candidate.grant;
        let certificate = evidence.key.certificate.as_deref();
        let mut speaks = grant.speaks(evidence, context.email, &self.people)?;
        // a listed key or address keeps its kind and its state inside a certificate
        let listed = match (certificate, evidence.smime.as_deref()) {
            (Some(_), _) => self.keys.get(&evidence.key.blob).cloned().unwrap_or_default(),
            (None, Some(smime)) => smime::others(self, grant, smime),
            (None, None) => Vec::new(),
        };
        let kinds = self.grants(&listed).map(Grant::kind).filter(|_| self.binds);
        speaks.kind = kinds.fold(speaks.kind, |kind, own| if own == Kind::Person { kind } else { own });
        if speaks.kind == Kind::Forge && speaks.committer == Committer::Among {
            speaks.committer = Committer::Unbound; // it signs for any of its users
        }
        candidate.take(speaks, context);
        if context.nameless && candidate.kind != Kind::Person {
            Err(Reason::NotAPerson { principal: candidate.principal.0.clone() })?;
        }
        let as_authority = self.authorities.get(&evidence.key.blob).map(Vec::as_slice).unwrap_or_default();
        let others = self.grants(&listed).chain(self.grants(as_authority)).filter(|_| self.binds);
        for grant in others.chain([grant]) {
            candidate.line = grant.line;
            grant.stands_at(evidence, context).map_or(Ok(()), Err)?;
            if !context.settled {
                grant.token_used(evidence, self.demands.require_touch)?;
            }
        }
        if let Some(keyless) = evidence.keyless.as_deref() {
            let instance = keyless::instance(&self.instances, keyless)?;
            let line = std::mem::replace(&mut candidate.line, instance.line);
            instance.refuses(keyless, evidence, context)?;
            candidate.line = line;
        }
        if let Some(path) = smime::path(evidence)
            && let Err((line, verdict)) = smime::refuses(self, path, evidence, context)
        {
            candidate.line = line;
            return Err(verdict);
        }
        let held = hold(grant.windows(evidence), evidence.made, context)?;
        // whatever is settled, what the certificate says from then on is another thing
        let changes = evidence.key.binding.as_ref().and_then(|binding| binding.changes).map(|at| at.saturating_sub(1));
        (candidate.claimed_only, candidate.ends) = (held.claimed_only, held.ends.into_iter().chain(changes).min());
        let negated = !context.settled && context.email.is_some_and(|email| grant.negates(email));
        if negated || (self.binds && candidate.mismatch) {
            Err(not_committer(&candidate.principal, context))?;
        }
        if self.demands.refuse_wildcard && candidate.wildcard {
            Err(Reason::Wildcard { pattern: candidate.principal.0.clone() })?;
        }
        if self.demands.bind_committer && (candidate.mismatch || candidate.unbound) {
            Err(not_committer(&candidate.principal, context))?;
        }
        match candidate.claimed_only.filter(|_| self.demands.refuse_claimed_only) {
            Some((claimed, before)) => Err(Reason::ClaimedOnly { claimed, before }.into()),
            None => Ok(()),
        }
    }
}

impl From<Reason> for Verdict {
    fn from(reason: Reason) -> Self {
        Self::Reject { reason }
    }
}

fn weak_binding(weak: WeakBinding) -> String {
    match weak {
        WeakBinding::Primary => "a certificate whose primary key is one of DSA, or an RSA key that is too short".to_owned(),
        WeakBinding::Signature => "a certificate that is bound by weak hash functions".to_owned(),
        WeakBinding::Prolonged { ended } => {
            format!("a certificate that ended at {}, but for a signature with a weak hash function", Utc(ended))
        }
    }
}

/// The persons of a policy by their e-mails.
#[derive(Clone, Debug, Default)]
struct People(HashMap<Vec<u8>, Option<Arc<Person>>>);

impl People {
    /// An address of two persons names neither.
    fn add(&mut self, person: &Arc<Person>) {
        for email in &person.emails {
            match self.0.entry(email.clone().into_bytes()) {
                Entry::Vacant(place) => {
                    place.insert(Some(Arc::clone(person)));
                }
                Entry::Occupied(mut place) => {
                    if !place.get().as_ref().is_some_and(|known| Arc::ptr_eq(known, person)) {
                        place.insert(None);
                    }
                }
            }
        }
    }

    fn by_email(&self, email: &[u8]) -> Option<&Person> {
        self.0.get(email)?.as_deref()
    }
}

fn standing(status: &Status, audited: Ancestry) -> Standing {
    match status {
        Status::Active => Standing::Active,
        Status::Retired { before } => Standing::Retired(*before),
        Status::Compromised { before, .. } => Standing::Compromised(Arc::new(audited), *before),
    }
}

/// One entry's answer.
struct Candidate<'a> {
    grant: &'a Grant,
    /// The line that it rests on: that of another entry where this one refuses.
    line: usize,
    principal: Principal,
    mismatch: bool,
    /// Whether nothing says which addresses are the signer's.
    unbound: bool,
    wildcard: bool,
    kind: Kind,
    /// The claimed time and the key's end.
    claimed_only: Option<(i64, i64)>,
    ends: Option<i64>,
    refused: Option<Verdict>,
}

impl<'a> Candidate<'a> {
    fn of(grant: &'a Grant) -> Self {
        Self {
            grant,
            line: grant.line,
            principal: principal(b""),
            mismatch: false,
            unbound: false,
            wildcard: false,
            kind: Kind::Person,
            claimed_only: None,
            ends: None,
            refused: None,
        }
    }

    /// A settled past is not asked for its committer.
    fn take(&mut self, speaks: Speaks, context: &Context<'_>) {
        self.principal = speaks.principal;
        self.mismatch = speaks.committer == Committer::NotAmong && !context.settled && !context.nameless;
        self.unbound = speaks.committer == Committer::Unbound && !context.settled && !context.nameless;
        self.wildcard = speaks.wildcard;
        self.kind = speaks.kind;
    }

    fn rank(&self) -> (bool, bool, bool, bool, usize) {
        (self.refused.is_some(), self.mismatch, self.claimed_only.is_some(), self.wildcard, self.grant.line)
    }

    fn conclude(self, evidence: &Evidence) -> Decision {
        let line = Some(self.line);
        if let Some(verdict) = self.refused {
            return Decision { verdict, warnings: Vec::new(), line, ends: None };
        }
        let flags = [
            (self.claimed_only.is_some(), Warning::ClaimedOnly),
            (!evidence.malleable.is_empty(), Warning::Malleable),
            (self.mismatch, Warning::SignerNotCommitter),
            (evidence.token.is_some_and(|token| !token.touched()), Warning::NoTouch),
            (self.wildcard, Warning::Wildcard),
            (self.kind == Kind::Forge, Warning::ForgeSigned),
        ];
        let verdict = match self.grant.built_on(evidence) {
            None => Verdict::Accept { principal: self.principal },
            // who knows the graph says so
            Some(commit) => Verdict::Unjudged { why: Unjudged::BuiltOn { commit, principal: self.principal } },
        };
        Decision {
            verdict,
            warnings: flags.into_iter().filter(|(raised, _)| *raised).map(|(_, warning)| warning).collect(),
            line,
            ends: self.ends,
        }
    }
}

fn not_committer(principal: &Principal, context: &Context<'_>) -> Reason {
    // for people: what is longer is no address
    let text = |email: &[u8]| String::from_utf8_lossy(email.get(..200).unwrap_or(email)).into_owned();
    let committer = context.email.map_or_else(|| "unknown".to_owned(), text);
    Reason::SignerNotCommitter { committer, principal: principal.0.clone() }
}

fn principal(name: &[u8]) -> Principal {
    Principal(String::from_utf8_lossy(name).into_owned())
}

/// What no entry can mend of a certificate.
fn check_certificate(certificate: &Certificate, evidence: &Evidence) -> Result<(), Reason> {
    if certificate.kind != CertificateKind::User {
        return Err(Reason::CertificateNotForUsers);
    }
    if certificate.principals.is_empty() {
        return Err(Reason::CertificatePrincipals { named: String::new() });
    }
    for option in &certificate.critical_options {
        match option.as_str() {
            "force-command" | "source-address" => {} // of logins
            "verify-required" if evidence.token.is_some_and(Token::verified) => {}
            "verify-required" => return Err(Reason::UserNotVerified),
            _ => return Err(Reason::CriticalOption { option: option.chars().take(100).collect() }),
        }
    }
    Ok(())
}

/// Whether a line lets its key speak for anyone at all: `""` and `!a@x` by themselves do not.
pub fn names_somebody(line: &Line) -> bool {
    line.principals.items().any(grant::is_name)
}

#[cfg(test)]
mod tests;
