//! Who may sign what: [`Policy::decide`] says whether the evidence is enough.

pub mod allowed_signers;
pub mod krl;
pub mod pattern;
pub mod public_key;
pub mod revocation;

use crate::evidence::{Certificate, CertificateKind, Evidence, Token};
use crate::verdict::{Principal, Reason, Verdict, Warning};
use allowed_signers::{AllowedSigners, Line};
use revocation::RevokedKeys;
use std::collections::HashMap;

/// The namespace of git's signatures.
const NAMESPACE: &[u8] = b"git";
/// How far a claimed time may lie ahead of our clock, in seconds.
const CLOCK_TOLERANCE: i64 = 600;
/// The least RSA key under `--strict`, in bits.
const STRICT_RSA_BITS: usize = 2048;

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
}

impl Demands {
    /// All of them, as `--strict` asks, save what is said of wildcards.
    pub fn strict() -> Self {
        Self { bind_committer: true, refuse_claimed_only: true, refuse_wildcard: false, refuse_malleable: true, strong_rsa: true }
    }
}

/// A policy: allowed signers, revoked keys, and what is asked beyond them.
#[derive(Clone, Debug)]
pub struct Policy {
    signers: AllowedSigners,
    revoked: RevokedKeys,
    demands: Demands,
    /// The lines that list a key itself, by its blob.
    lines_of: HashMap<Vec<u8>, Vec<usize>>,
    /// The lines that list an authority, by its key's blob.
    authorities: HashMap<Vec<u8>, Vec<usize>>,
}

/// What is asked of one object beside the evidence. Times are seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The committer's (of a tag: the tagger's) e-mail.
    pub email: Option<&'a [u8]>,
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
    /// The earliest end (seconds since 1970, UTC) of what the acceptance rests on; None where nothing ends.
    pub ends: Option<i64>,
}

impl Policy {
    /// A policy of these signers.
    pub fn new(signers: AllowedSigners, revoked: RevokedKeys, demands: Demands) -> Self {
        let mut lines_of: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut authorities: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (index, line) in signers.lines.iter().enumerate().filter(|(_, line)| names_somebody(line)) {
            let lines = if line.cert_authority { &mut authorities } else { &mut lines_of };
            lines.entry(line.key.blob.clone()).or_default().push(index);
        }
        Self { signers, revoked, demands, lines_of, authorities }
    }

    /// The file that it was made from.
    pub fn signers(&self) -> &AllowedSigners {
        &self.signers
    }

    /// Whether the evidence is enough.
    ///
    /// A key may stand on several lines. The best of them decides: one that accepts, then one whose pattern matches the
    /// committer, then one that has not ended, then one that names somebody, then the first.
    pub fn decide(&self, evidence: &Evidence, context: &Context<'_>) -> Decision {
        match self.before_lines(evidence, context) {
            Err(reason) => Decision { verdict: Verdict::Reject { reason }, warnings: Vec::new(), line: None, ends: None },
            Ok(lines) => {
                let best = lines.into_iter().map(|line| self.weigh(line, evidence, context)).min_by_key(Candidate::rank);
                match best {
                    Some(best) => self.conclude(best, evidence),
                    None => Decision {
                        verdict: Verdict::Reject { reason: Reason::NamespaceNotAllowed },
                        warnings: Vec::new(),
                        line: None,
                        ends: None,
                    },
                }
            }
        }
    }

    /// What no line can mend; else the lines that list the key for git.
    fn before_lines(&self, evidence: &Evidence, context: &Context<'_>) -> Result<Vec<&Line>, Reason> {
        let key = &evidence.key;
        let certificate = key.certificate.as_deref();
        if let Some(what) = self.revoked.find(key) {
            return Err(Reason::KeyRevoked { what });
        }
        let sizes = [key.rsa_bits, certificate.and_then(|it| it.authority.rsa_bits)];
        if let Some(bits) = sizes.into_iter().flatten().find(|&bits| self.demands.strong_rsa && bits < STRICT_RSA_BITS) {
            return Err(Reason::WeakKey { bits, least: STRICT_RSA_BITS });
        }
        if self.demands.refuse_malleable && !evidence.malleable.is_empty() {
            return Err(Reason::Malleable);
        }
        let indexes = match certificate {
            None => self.lines_of.get(&key.blob).ok_or(Reason::KeyUnlisted)?,
            Some(certificate) => {
                let unlisted = || Reason::AuthorityUnlisted { authority: certificate.authority.fingerprint.clone() };
                let indexes = self.authorities.get(&certificate.authority.blob).ok_or_else(unlisted)?;
                check_certificate(certificate, evidence)?;
                indexes
            }
        };
        if let Some(claimed) = context.claimed.filter(|&claimed| claimed > context.now.saturating_add(CLOCK_TOLERANCE)) {
            return Err(Reason::ClaimedInFuture { claimed });
        }
        let lines = indexes.iter().filter_map(|&index| self.signers.lines.get(index));
        Ok(lines.filter(|line| line.covers_namespace(NAMESPACE)).collect())
    }

    fn weigh<'a>(&self, line: &'a Line, evidence: &Evidence, context: &Context<'_>) -> Candidate<'a> {
        let speaks = Speaks::by(line, evidence.key.certificate.as_deref(), context.email);
        let windows = [Some(Window::of_line(line)), evidence.key.certificate.as_deref().map(Window::of_certificate)];
        let ends =
            windows.iter().flatten().filter_map(|window| window.before).filter(|&end| !context.settled && context.now <= end);
        let ends = ends.min();
        let negated = !context.settled && context.email.is_some_and(|email| line.principals.negates(email));
        let (mut reject, claimed_only) = match stands(windows.into_iter().flatten(), context) {
            Ok(claimed_only) => (None, claimed_only),
            Err(reason) => (Some(reason), None),
        };
        if let Some(named) = speaks.nobody {
            reject = Some(Reason::CertificatePrincipals { named });
        }
        let mut candidate = Candidate {
            line,
            principal: speaks.principal,
            mismatch: !speaks.committer && !context.settled,
            wildcard: speaks.wildcard,
            claimed_only,
            ends,
            reject,
        };
        if candidate.reject.is_none() && negated {
            candidate.reject = Some(not_committer(&candidate, context));
        }
        if candidate.reject.is_none() {
            candidate.reject = self.demand(&candidate, context);
        }
        candidate
    }

    fn demand(&self, candidate: &Candidate<'_>, context: &Context<'_>) -> Option<Reason> {
        if self.demands.refuse_wildcard && candidate.wildcard {
            return Some(Reason::Wildcard { pattern: candidate.principal.0.clone() });
        }
        if self.demands.bind_committer && candidate.mismatch {
            return Some(not_committer(candidate, context));
        }
        let (claimed, before) = candidate.claimed_only.filter(|_| self.demands.refuse_claimed_only)?;
        Some(Reason::ClaimedOnly { claimed, before })
    }

    fn conclude(&self, best: Candidate<'_>, evidence: &Evidence) -> Decision {
        let flags = [
            (best.claimed_only.is_some(), Warning::ClaimedOnly),
            (!evidence.malleable.is_empty(), Warning::Malleable),
            (best.mismatch, Warning::SignerNotCommitter),
            (evidence.token.is_some_and(|token| !token.touched()), Warning::NoTouch),
            (best.wildcard, Warning::Wildcard),
        ];
        Decision {
            warnings: flags
                .into_iter()
                .filter(|(raised, _)| *raised && best.reject.is_none())
                .map(|(_, warning)| warning)
                .collect(),
            line: Some(best.line.number),
            ends: best.ends.filter(|_| best.reject.is_none()),
            verdict: match best.reject {
                Some(reason) => Verdict::Reject { reason },
                None => Verdict::Accept { principal: best.principal },
            },
        }
    }
}

/// One line's answer.
struct Candidate<'a> {
    line: &'a Line,
    principal: Principal,
    mismatch: bool,
    wildcard: bool,
    /// The claimed time and the key's end.
    claimed_only: Option<(i64, i64)>,
    /// The earliest end of the key and its certificate, where it lies ahead.
    ends: Option<i64>,
    reject: Option<Reason>,
}

impl Candidate<'_> {
    fn rank(&self) -> (bool, bool, bool, bool, usize) {
        (self.reject.is_some(), self.mismatch, self.claimed_only.is_some(), self.wildcard, self.line.number)
    }
}

fn not_committer(candidate: &Candidate<'_>, context: &Context<'_>) -> Reason {
    // for people: what is longer is no address
    let text = |email: &[u8]| String::from_utf8_lossy(email.get(..200).unwrap_or(email)).into_owned();
    let committer = context.email.map_or_else(|| "unknown".to_owned(), text);
    Reason::SignerNotCommitter { committer, principal: candidate.principal.0.clone() }
}

/// For whom a key speaks by a line.
struct Speaks {
    principal: Principal,
    /// Whether the committer is among them.
    committer: bool,
    wildcard: bool,
    /// A certificate names these, and the line covers none of them.
    nobody: Option<String>,
}

impl Speaks {
    fn by(line: &Line, certificate: Option<&Certificate>, email: Option<&[u8]>) -> Self {
        let Some(certificate) = certificate else {
            let item = email.and_then(|email| line.principals.matching_item(email));
            let named = item.or_else(|| line.principals.items().find(|item| is_name(item))).unwrap_or_default();
            return Self { principal: principal(named), committer: item.is_some(), wildcard: is_wildcard(named), nobody: None };
        };
        // exact names only: a pattern inside a certificate is a name like any other; an empty one names nobody
        let mut covered = certificate.principals.iter().filter(|name| !name.is_empty() && line.principals.matches(name));
        let first = covered.clone().next();
        let committer = covered.find(|name| Some(name.as_slice()) == email);
        Self {
            principal: principal(committer.or(first).map(Vec::as_slice).unwrap_or_default()),
            committer: committer.is_some(),
            wildcard: false,
            nobody: first.is_none().then(|| names(&certificate.principals)),
        }
    }
}

fn principal(name: &[u8]) -> Principal {
    Principal(String::from_utf8_lossy(name).into_owned())
}

/// For people: the first ten, and of each the first 100 bytes.
fn names(principals: &[Vec<u8>]) -> String {
    let some = principals.iter().take(10).map(|name| String::from_utf8_lossy(name.get(..100).unwrap_or(name)));
    let more = (principals.len() > 10).then(|| format!("and {} more", principals.len() - 10).into());
    some.chain(more).collect::<Vec<_>>().join(", ")
}

/// What no line can mend of a certificate.
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

/// When something holds; both ends belong to it.
struct Window {
    after: Option<i64>,
    before: Option<i64>,
    certificate: bool,
}

impl Window {
    fn of_line(line: &Line) -> Self {
        Self { after: line.valid_after, before: line.valid_before, certificate: false }
    }

    /// A certificate's own end does not belong to it.
    fn of_certificate(certificate: &Certificate) -> Self {
        Self {
            after: Some(certificate.valid_after).filter(|&after| after > 0),
            before: Some(certificate.valid_before).filter(|&before| before < i64::MAX).map(|before| before.saturating_sub(1)),
            certificate: true,
        }
    }
}

/// Whether the key stands at the time that matters; `Some((claimed, end))` where only the claimed time says so.
fn stands(windows: impl Iterator<Item = Window>, context: &Context<'_>) -> Result<Option<(i64, i64)>, Reason> {
    let mut claimed_only = None;
    for window in windows {
        if context.settled || (window.after.is_none() && window.before.is_none()) {
            continue;
        }
        let claimed = context.claimed.ok_or(Reason::NoClaimedTime)?;
        if let Some(after) = window.after.filter(|&after| claimed < after) {
            return Err(match window.certificate {
                true => Reason::CertificateNotYetValid { claimed, after },
                false => Reason::KeyNotYetValid { claimed, after },
            });
        }
        match window.before {
            Some(before) if claimed > before => {
                return Err(match window.certificate {
                    true => Reason::CertificateExpired { claimed, before },
                    false => Reason::KeyExpired { claimed, before },
                });
            }
            Some(before) if context.now > before => claimed_only = claimed_only.or(Some((claimed, before))),
            _ => {}
        }
    }
    Ok(claimed_only)
}

/// Whether a line lets its key speak for anyone at all: `""` and `!a@x` by themselves do not.
pub fn names_somebody(line: &Line) -> bool {
    line.principals.items().any(is_name)
}

/// Whether an item of a list can stand for somebody.
fn is_name(item: &[u8]) -> bool {
    !item.is_empty() && !item.starts_with(b"!")
}

/// Whether a pattern names nobody: it is made of `*`, `?` and `@` only.
fn is_wildcard(pattern: &[u8]) -> bool {
    pattern.contains(&b'*') && pattern.iter().all(|b| matches!(b, b'*' | b'?' | b'@'))
}

#[cfg(test)]
mod tests;
