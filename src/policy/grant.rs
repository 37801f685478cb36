//! What one entry of a policy grants a key: for whom it speaks, and when it stands.

use super::allowed_signers::Line;
use super::ancestry::Ancestry;
use super::file::{AuthorityEntry, Credential, KeyEntry, Kind, X509Entry, X509Identity};
use super::pattern::PatternList;
use super::revocation::RevokedKeys;
use super::{Context, People, keyless, principal, smime};
use crate::evidence::{Certificate, ChainStanding, Evidence, Keyless, Revocation, SmimePath};
use crate::object::ObjectId;
use crate::verdict::{Principal, Reason, Revoked, Unjudged, Verdict};
use std::sync::Arc;

/// One entry: a line of an allowed_signers file, or a key or authority of a policy in TOML.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// Its line in the file.
    pub(super) line: usize,
    pub(super) names: Names,
    /// The namespaces that it is good for; `None`: all.
    namespaces: Option<PatternList>,
    window: Window,
    pub(super) standing: Standing,
    /// Whether a FIDO token must have been touched.
    pub(super) touch: bool,
    /// Whether it must have seen a PIN or a fingerprint.
    pub(super) pin: bool,
    /// What a keyless certificate must say besides; `None`: the entry is no keyless identity.
    claims: Option<Vec<(&'static str, String)>>,
    /// The address in S/MIME certificates that the entry lists, and who has to vouch for it.
    pub(super) x509: Option<X509Identity>,
}

/// For whom a key speaks.
#[derive(Clone, Debug)]
pub(super) enum Names {
    /// For whoever a pattern matches.
    Patterns(PatternList),
    /// For one person.
    Person(Arc<Person>),
    /// An authority's: for those names of its certificates that the patterns match.
    Authority {
        covers: PatternList,
        /// Names for which it speaks no more.
        deny: Vec<Vec<u8>>,
        /// What it revoked.
        revoked: RevokedKeys,
    },
}

/// Somebody whom a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The committer e-mails that are this person's; empty: not bound.
    pub(super) emails: Vec<String>,
}

impl Person {
    fn has(&self, email: Option<&[u8]>) -> bool {
        self.emails.iter().any(|own| Some(own.as_bytes()) == email)
    }
}

/// The state of a key or an authority.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Active,
    /// Only what is settled, or proved to be older than this, stands.
    Retired(Option<i64>),
    /// Only what was looked through, or is proved to be older than this, stands.
    Compromised(Arc<Ancestry>, Option<i64>),
}

impl Standing {
    /// What speaks against something at its place in the graph, and at the time that is proved for it.
    pub(super) fn refuses(&self, authority: bool, evidence: &Evidence, context: &Context<'_>) -> Option<Verdict> {
        let attested = evidence.keyless.as_deref().and_then(Keyless::attested);
        let in_time = |before: &Option<i64>| attested.zip(*before).is_some_and(|(attested, before)| attested < before);
        match self {
            Self::Retired(before) if !context.settled && !in_time(before) => {
                let reason = if authority { Reason::AuthorityRetired } else { Reason::KeyRetired };
                Some(Verdict::Reject { reason })
            }
            Self::Compromised(audited, before) if !audited.objects.contains(&context.object) && !in_time(before) => {
                let reason = if authority { Reason::AuthorityCompromised } else { Reason::KeyCompromised };
                Some(match audited.complete {
                    true => Verdict::Reject { reason },
                    false => Verdict::Unjudged { why: Unjudged::SettledMissing { reason: Box::new(reason) } },
                })
            }
            Self::Active | Self::Retired(_) | Self::Compromised(..) => None,
        }
    }
}

impl Standing {
    /// What a revocation means in this state.
    pub(super) fn revoked(&self, how: Revocation, what: Revoked, over: Reason, context: &Context<'_>) -> Option<Reason> {
        match self {
            // without a reason given, the policy may say that it was no theft
            Self::Retired(_) if how.hard && how.stated => Some(Reason::KeyRevoked { what }),
            Self::Active if how.hard => Some(Reason::KeyRevoked { what }),
            Self::Active if !context.settled => Some(over),
            Self::Active | Self::Retired(_) | Self::Compromised(..) => None,
        }
    }
}

/// How the committer and those for whom a key speaks belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committer {
    Among,
    NotAmong,
    /// The policy does not say which addresses are the signer's.
    Unbound,
}

/// For whom a key speaks here.
pub(super) struct Speaks {
    pub(super) principal: Principal,
    pub(super) committer: Committer,
    /// Whether it would speak for anybody.
    pub(super) wildcard: bool,
    pub(super) kind: Kind,
}

impl Grant {
    pub(super) fn of_line(line: Line) -> Self {
        let names = if line.cert_authority {
            Names::Authority { covers: line.principals, deny: Vec::new(), revoked: RevokedKeys::default() }
        } else {
            Names::Patterns(line.principals)
        };
        let window = Window { after: line.valid_after, before: line.valid_before, of: Of::Key };
        let namespaces = line.namespaces;
        let (standing, claims) = (Standing::Active, None);
        Self { line: line.number, names, namespaces, window, standing, touch: false, pin: false, claims, x509: None }
    }

    pub(super) fn of_key(key: &KeyEntry, person: Arc<Person>, standing: Standing) -> Self {
        Self {
            line: key.line,
            names: Names::Person(person),
            namespaces: None,
            window: Window::always(),
            standing,
            touch: key.touch,
            pin: key.pin,
            claims: match &key.credential {
                Credential::Keyless(identity) => Some(identity.claims.clone()),
                Credential::Ssh(_) | Credential::OpenPgp { .. } | Credential::X509(_) => None,
            },
            x509: match &key.credential {
                Credential::X509(identity) => Some(identity.clone()),
                Credential::Ssh(_) | Credential::OpenPgp { .. } | Credential::Keyless(_) => None,
            },
        }
    }

    pub(super) fn of_authority(entry: AuthorityEntry, revoked: RevokedKeys, standing: Standing) -> Self {
        let deny = entry.deny.into_iter().map(String::into_bytes).collect();
        Self {
            line: entry.line,
            names: Names::Authority { covers: entry.principals, deny, revoked },
            namespaces: None,
            window: Window::always(),
            standing,
            touch: false,
            pin: false,
            claims: None,
            x509: None,
        }
    }

    pub(super) fn of_x509(entry: X509Entry, standing: Standing) -> Self {
        let deny = entry.deny.into_iter().map(String::into_bytes).collect();
        let covers = entry.principals.unwrap_or_else(|| PatternList::new(b"")); // an empty list matches nobody
        Self {
            line: entry.line,
            names: Names::Authority { covers, deny, revoked: RevokedKeys::default() },
            namespaces: None,
            window: Window::always(),
            standing,
            touch: false,
            pin: false,
            claims: None,
            x509: None,
        }
    }

    /// Whether it is an authority's that may speak for names that no other entry lists.
    pub(super) fn speaks_by_itself(&self) -> bool {
        matches!(&self.names, Names::Authority { covers, .. } if !covers.as_bytes().is_empty())
    }

    /// Whether an authority speaks no more for an address of an S/MIME certificate.
    pub(super) fn denies(&self, evidence: &Evidence) -> Result<(), Reason> {
        let addresses = evidence.smime.as_deref().map(|smime| smime.addresses.as_slice()).unwrap_or_default();
        let Names::Authority { deny, .. } = &self.names else { return Ok(()) };
        match addresses.iter().find(|address| deny.iter().any(|denied| denied.eq_ignore_ascii_case(address.as_bytes()))) {
            Some(address) => Err(Reason::IdentityDenied { name: address.clone() }),
            None => Ok(()),
        }
    }

    /// Of what kind is whom it lists.
    pub(super) fn kind(&self) -> Kind {
        match &self.names {
            Names::Person(person) => person.kind,
            Names::Patterns(_) | Names::Authority { .. } => Kind::Person,
        }
    }

    pub(super) fn covers_namespace(&self, namespace: &[u8]) -> bool {
        self.namespaces.as_ref().is_none_or(|list| list.matches(namespace))
    }

    /// Whether the entry says in so many words that the key does not speak for somebody.
    pub(super) fn negates(&self, email: &[u8]) -> bool {
        match &self.names {
            Names::Patterns(list) | Names::Authority { covers: list, .. } => list.negates(email),
            Names::Person(_) => false,
        }
    }

    /// For whom the key speaks.
    ///
    /// # Errors
    /// Where it speaks for nobody.
    pub(super) fn speaks(&self, evidence: &Evidence, email: Option<&[u8]>, people: &People) -> Result<Speaks, Reason> {
        match (&self.names, evidence.key.certificate.as_deref()) {
            (Names::Patterns(list), _) => {
                if list.names_nobody() {
                    return Err(Reason::KeyUnlisted);
                }
                let item = email.and_then(|email| list.matching_item(email));
                let named = item.or_else(|| list.items().find(|item| is_name(item) && !list.negates(item))).unwrap_or_default();
                let committer = if item.is_some() { Committer::Among } else { Committer::NotAmong };
                Ok(Speaks { principal: principal(named), committer, wildcard: is_wildcard(named), kind: Kind::Person })
            }
            (Names::Person(person), _) => {
                // the address that a certificate was listed for is its holder's own
                let certified = keyless::is_committer(evidence, email)
                    || self.x509.as_ref().is_some_and(|identity| Some(identity.address.as_bytes()) == email);
                let committer = match person.emails.is_empty() {
                    _ if certified || person.has(email) => Committer::Among,
                    true => Committer::Unbound,
                    false => Committer::NotAmong,
                };
                keyless::check_claims(self.claims.as_deref(), evidence)?;
                smime::check_identity(self.x509.as_ref(), evidence)?;
                Ok(Speaks { principal: Principal(person.name.clone()), committer, wildcard: false, kind: person.kind })
            }
            (Names::Authority { covers, deny, revoked }, Some(certificate)) => {
                if let Some(what) = revoked.find(&evidence.key) {
                    return Err(Reason::KeyRevoked { what });
                }
                let is_denied = |name: &[u8]| deny.iter().any(|denied| is_same_name(denied, name));
                if let Some(name) = certificate.principals.iter().find(|name| is_denied(name)) {
                    return Err(Reason::IdentityDenied { name: names(std::slice::from_ref(name)) });
                }
                identity(covers, &certificate.principals, email, people)
            }
            (Names::Authority { covers, .. }, None) => match evidence.smime.as_deref() {
                Some(smime) => {
                    self.denies(evidence)?;
                    let addresses: Vec<Vec<u8>> = smime.addresses.iter().map(|it| it.clone().into_bytes()).collect();
                    identity(covers, &addresses, email, people)
                }
                None => Err(Reason::KeyUnlisted),
            },
        }
    }

    /// The commit that has to lie below what is signed.
    pub(super) fn built_on(&self, evidence: &Evidence) -> Option<ObjectId> {
        keyless::built_on(self.claims.as_deref(), evidence)
    }

    /// Whether the key stands at the object's place in the graph.
    pub(super) fn stands_at(&self, evidence: &Evidence, context: &Context<'_>) -> Option<Verdict> {
        let authority = matches!(self.names, Names::Authority { .. });
        let revoked = match smime::path(evidence).map(|path| &path.standing) {
            Some(ChainStanding::Revoked { own: true, how }) => Some(*how),
            Some(_) => None, // of an authority above, its own state says what it means
            None => evidence.key.binding.as_ref().and_then(|binding| binding.revoked),
        };
        // that an authority is out of use says nothing of why it revoked somebody's certificate
        let standing = if authority && matches!(self.standing, Standing::Retired(_)) { &Standing::Active } else { &self.standing };
        let refused = revoked.and_then(|how| standing.revoked(how, Revoked::Certificate, Reason::KeyRetired, context));
        if let Some(reason) = refused {
            return Some(reason.into());
        }
        self.standing.refuses(authority, evidence, context)
    }

    /// The windows that must hold: the entry's, the certificate's, the signature's own.
    pub(super) fn windows(&self, evidence: &Evidence) -> impl Iterator<Item = Window> {
        // OpenPGP's own ends do not belong to it
        let until = |end: Option<i64>, of| end.map(|end| Window { after: None, before: Some(end.saturating_sub(1)), of });
        let windows = [
            Some(self.window),
            evidence.key.certificate.as_deref().map(Window::of_certificate),
            smime::path(evidence).map(Window::of_chain),
            until(evidence.key.binding.as_ref().and_then(|binding| binding.ends), Of::Key),
            until(evidence.ends, Of::Signature),
        ];
        windows.into_iter().flatten()
    }

    /// Whether the token was used as the entry, or whoever asks, demands.
    pub(super) fn token_used(&self, evidence: &Evidence, require_touch: bool) -> Result<(), Reason> {
        if (self.touch || require_touch) && !evidence.token.is_some_and(|token| token.touched()) {
            return Err(Reason::NoTouch);
        }
        if self.pin && !evidence.token.is_some_and(|token| token.verified()) {
            return Err(Reason::NoPin);
        }
        Ok(())
    }
}

/// For whom a certificate speaks. Exact names only: a pattern inside a certificate is a name like any other; an empty one
/// names nobody. A name that is one person's e-mail is that person.
fn identity(covers: &PatternList, certified: &[Vec<u8>], email: Option<&[u8]>, people: &People) -> Result<Speaks, Reason> {
    let mut first = None;
    for name in certified.iter().filter(|name| !name.is_empty() && covers.matches(name)) {
        let person = people.by_email(name);
        let kind = person.map_or(Kind::Person, |person| person.kind);
        let principal = || person.map_or_else(|| principal(name), |person| Principal(person.name.clone()));
        if Some(name.as_slice()) == email || person.is_some_and(|person| person.has(email)) {
            return Ok(Speaks { principal: principal(), committer: Committer::Among, wildcard: false, kind });
        }
        first.get_or_insert_with(|| (principal(), kind));
    }
    match first {
        Some((principal, kind)) => Ok(Speaks { principal, committer: Committer::NotAmong, wildcard: false, kind }),
        None => Err(Reason::CertificatePrincipals { named: names(certified) }),
    }
}

/// For people: the first ten, and of each the first 100 bytes.
fn names(principals: &[Vec<u8>]) -> String {
    let some = principals.iter().take(10).map(|name| String::from_utf8_lossy(name.get(..100).unwrap_or(name)));
    let more = (principals.len() > 10).then(|| format!("and {} more", principals.len() - 10).into());
    some.chain(more).collect::<Vec<_>>().join(", ")
}

/// When something holds; both ends belong to it. Seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    after: Option<i64>,
    before: Option<i64>,
    of: Of,
}

/// What holds.
#[derive(Clone, Copy, Debug)]
enum Of {
    Key,
    Certificate,
    Signature,
}

impl Window {
    fn always() -> Self {
        Self { after: None, before: None, of: Of::Key }
    }

    /// A certificate's own end does not belong to it.
    fn of_certificate(certificate: &Certificate) -> Self {
        Self {
            after: Some(certificate.valid_after).filter(|&after| after > 0),
            before: Some(certificate.valid_before).filter(|&before| before < i64::MAX).map(|before| before.saturating_sub(1)),
            of: Of::Certificate,
        }
    }

    /// When a whole chain holds; a certificate's last second belongs to it (RFC 5280 §4.1.2.5).
    fn of_chain(path: &SmimePath) -> Self {
        Self { after: Some(path.begin), before: Some(path.end), of: Of::Certificate }
    }
}

/// What windows say of a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// The claimed time and the end, where only the claimed time puts the object before the end.
    pub(super) claimed_only: Option<(i64, i64)>,
    /// The earliest end.
    pub(super) ends: Option<i64>,
}

/// Whether all windows hold at the time that matters; `made` is when the signature says that it was made.
pub(super) fn hold(windows: impl Iterator<Item = Window>, made: Option<i64>, context: &Context<'_>) -> Result<Held, Reason> {
    let mut held = Held::default();
    for window in windows {
        if context.settled || (window.after.is_none() && window.before.is_none()) {
            continue;
        }
        let claimed = context.claimed.max(made).ok_or(Reason::NoClaimedTime)?; // the later of the two
        if let Some(after) = window.after.filter(|&after| claimed < after) {
            return Err(match window.of {
                Of::Certificate => Reason::CertificateNotYetValid { claimed, after },
                Of::Key | Of::Signature => Reason::KeyNotYetValid { claimed, after },
            });
        }
        let Some(before) = window.before else { continue };
        if claimed > before {
            return Err(match window.of {
                Of::Certificate => Reason::CertificateExpired { claimed, before },
                Of::Key => Reason::KeyExpired { claimed, before },
                Of::Signature => Reason::SignatureExpired { claimed, before },
            });
        }
        held.ends = Some(held.ends.map_or(before, |ends| ends.min(before)));
        if context.now > before {
            held.claimed_only = held.claimed_only.or(Some((claimed, before)));
        }
    }
    Ok(held)
}

/// Whether a certificate's name is one that is denied: an e-mail address is one in large and small letters.
fn is_same_name(denied: &[u8], name: &[u8]) -> bool {
    denied == name || (denied.contains(&b'@') && denied.eq_ignore_ascii_case(name))
}

/// Whether an item of a list can stand for somebody.
pub(super) fn is_name(item: &[u8]) -> bool {
    !item.is_empty() && !item.starts_with(b"!")
}

/// Whether a pattern names nobody: it is made of `*`, `?` and `@` only.
fn is_wildcard(pattern: &[u8]) -> bool {
    pattern.contains(&b'*') && pattern.iter().all(|b| matches!(b, b'*' | b'?' | b'@'))
}
