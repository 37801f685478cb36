//! What is said of judgements: counts, exit status, and the forms in which they are written.

pub mod escape;
pub mod human;
pub mod jsonl;
pub mod mend;
mod past;
pub mod smime;

use crate::verdict::{Judgement, Verdict};
use std::collections::BTreeMap;

/// The exit statuses of the native commands, a stable interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// All that was judged is accepted.
    Accepted,
    /// Something is rejected.
    Rejected,
    /// The call or the policy is not valid.
    Usage,
    /// Something could not be judged.
    Unjudged,
}

impl ExitStatus {
    /// The process's status.
    pub fn code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Unjudged => 3,
        }
    }
}

/// What was judged by what: the first line of every report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// The refs or revisions and the ids that they stood for.
    pub target: String,
    /// The policy's file, or `REV:PATH`.
    pub policy: String,
    /// SHA-256 of the policy.
    pub digest: String,
}

/// Receives judgements one by one, in the walk's order, and the rest at the end.
pub trait Report: Send {
    /// Takes a judgement.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn judged(&mut self, judgement: Judgement) -> std::io::Result<()>;

    /// Writes what is left.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn finish(&mut self, summary: &Summary) -> std::io::Result<()>;
}

/// Counts over everything that was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Accepted objects.
    pub accepted: usize,
    /// Rejected objects.
    pub rejected: usize,
    /// Objects that the policy lets stand by name, though it would reject them.
    pub exempt: usize,
    /// Objects that could not be judged.
    pub unjudged: usize,
    /// Commits below the baseline: not judged, never accepted.
    pub outside: usize,
    /// Commits at which a hook's walk ended because they and all below them were accepted before.
    pub verified: usize,
    /// Refs that pass without being judged (notes).
    pub unjudged_refs: Vec<String>,
    /// Rejected and unjudged objects by code.
    pub codes: BTreeMap<&'static str, usize>,
    /// Accepted objects by the codes of their warnings.
    pub warnings: BTreeMap<&'static str, usize>,
    /// Accepted objects by principal.
    pub signers: BTreeMap<String, usize>,
}

impl Summary {
    /// Counts a judgement in.
    pub fn count(&mut self, judgement: &Judgement) {
        match &judgement.verdict {
            Verdict::Accept { principal } => {
                self.accepted += 1;
                add(&mut self.signers, principal.0.clone());
            }
            Verdict::Reject { reason } => {
                self.rejected += 1;
                add(&mut self.codes, reason.code());
            }
            Verdict::Exempt { .. } => self.exempt += 1,
            Verdict::Unjudged { why } => {
                self.unjudged += 1;
                add(&mut self.codes, why.code());
            }
        }
        for warning in &judgement.warnings {
            add(&mut self.warnings, warning.code());
        }
    }

    /// How many objects have a verdict.
    pub fn judged(&self) -> usize {
        self.accepted + self.rejected + self.exempt + self.unjudged
    }

    /// Rejected goes before unjudged: a push that is partly unreadable and partly bad is bad.
    pub fn exit_status(&self) -> ExitStatus {
        match (self.rejected, self.unjudged) {
            (0, 0) => ExitStatus::Accepted,
            (0, _) => ExitStatus::Unjudged,
            _ => ExitStatus::Rejected,
        }
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    *counts.entry(key).or_default() += 1;
}
