//! Who may sign what: [`Policy::decide`] says whether the evidence is enough.

pub mod allowed_signers;
pub mod pattern;
pub mod public_key;
pub mod revocation;

use crate::evidence::Evidence;
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
    /// The lines that list a key itself (never a cert-authority), by its blob.
    lines_of: HashMap<Vec<u8>, Vec<usize>>,
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
}

impl Policy {
    /// A policy of these signers.
    pub fn new(signers: AllowedSigners, revoked: RevokedKeys, demands: Demands) -> Self {
        let mut lines_of: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (index, line) in signers.lines.iter().enumerate().filter(|(_, line)| !line.cert_authority && names_somebody(line)) {
            lines_of.entry(line.key.blob.clone()).or_default().push(index);
        }
        Self { signers, revoked, demands, lines_of }
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
            Err(reason) => Decision { verdict: Verdict::Reject { reason }, warnings: Vec::new(), line: None },
            Ok(lines) => {
                let best = lines.into_iter().map(|line| self.weigh(line, context)).min_by_key(Candidate::rank);
                match best {
                    Some(best) => self.conclude(best, evidence),
                    None => Decision {
                        verdict: Verdict::Reject { reason: Reason::NamespaceNotAllowed },
                        warnings: Vec::new(),
                        line: None,
                    },
                }
            }
        }
    }

    /// What no line can mend; else the lines that list the key for git.
    fn before_lines(&self, evidence: &Evidence, context: &Context<'_>) -> Result<Vec<&Line>, Reason> {
        let key = &evidence.key;
        if self.revoked.contains(&key.blob) {
            return Err(Reason::KeyRevoked);
        }
        if key.certificate {
            return Err(Reason::CertificateUnsupported);
        }
        if let Some(bits) = key.rsa_bits.filter(|&bits| self.demands.strong_rsa && bits < STRICT_RSA_BITS) {
            return Err(Reason::WeakKey { bits, least: STRICT_RSA_BITS });
        }
        if self.demands.refuse_malleable && !evidence.malleable.is_empty() {
            return Err(Reason::Malleable);
        }
        let indexes = self.lines_of.get(&key.blob).ok_or(Reason::KeyUnlisted)?;
        if let Some(claimed) = context.claimed.filter(|&claimed| claimed > context.now.saturating_add(CLOCK_TOLERANCE)) {
            return Err(Reason::ClaimedInFuture { claimed });
        }
        let lines = indexes.iter().filter_map(|&index| self.signers.lines.get(index));
        Ok(lines.filter(|line| line.covers_namespace(NAMESPACE)).collect())
    }

    fn weigh<'a>(&self, line: &'a Line, context: &Context<'_>) -> Candidate<'a> {
        let item = context.email.and_then(|email| line.principals.matching_item(email));
        let negated = !context.settled && context.email.is_some_and(|email| line.principals.negates(email));
        let (reject, claimed_only) = match window(line, context) {
            Ok(claimed_only) => (None, claimed_only),
            Err(reason) => (Some(reason), None),
        };
        let named =
            item.or_else(|| line.principals.items().find(|item| !item.is_empty() && !item.starts_with(b"!"))).unwrap_or_default();
        let mut candidate = Candidate {
            line,
            principal: Principal(String::from_utf8_lossy(named).into_owned()),
            mismatch: item.is_none() && !context.settled,
            wildcard: is_wildcard(named),
            claimed_only,
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

/// Whether the key stands at the time that matters; `Some((claimed, end))` where only the claimed time says so.
fn window(line: &Line, context: &Context<'_>) -> Result<Option<(i64, i64)>, Reason> {
    if context.settled || (line.valid_after.is_none() && line.valid_before.is_none()) {
        return Ok(None);
    }
    let claimed = context.claimed.ok_or(Reason::NoClaimedTime)?;
    if let Some(after) = line.valid_after.filter(|&after| claimed < after) {
        return Err(Reason::KeyNotYetValid { claimed, after });
    }
    match line.valid_before {
        Some(before) if claimed > before => Err(Reason::KeyExpired { claimed, before }),
        Some(before) if context.now > before => Ok(Some((claimed, before))),
        _ => Ok(None),
    }
}

/// Whether a line lets its key speak for anyone at all: `""` and `!a@x` by themselves do not.
pub fn names_somebody(line: &Line) -> bool {
    line.principals.items().any(|item| !item.is_empty() && !item.starts_with(b"!"))
}

/// Whether a pattern names nobody: it is made of `*`, `?` and `@` only.
fn is_wildcard(pattern: &[u8]) -> bool {
    pattern.contains(&b'*') && pattern.iter().all(|b| matches!(b, b'*' | b'?' | b'@'))
}

#[cfg(test)]
mod tests;
