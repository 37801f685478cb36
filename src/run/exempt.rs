//! Single commits that a policy lets stand, as long as what mends them is there.

use super::complain;
use crate::history::{ObjectSource, above};
use crate::object::{ObjectId, ObjectKind};
use crate::policy::file::Exempt;
use crate::verdict::{Judgement, Reason, Unjudged, Verdict};

/// Holds back the rejections that an exemption may waive until all that is judged is known.
pub(super) struct Exemptions<'a> {
    listed: &'a [Exempt],
    /// The policy, for messages.
    policy: &'a str,
    held: Vec<Judgement>,
}

impl<'a> Exemptions<'a> {
    pub(super) fn new(listed: &'a [Exempt], policy: &'a str) -> Self {
        Self { listed, policy, held: Vec::new() }
    }

    /// Gives a judgement back, unless it has to wait.
    pub(super) fn pass(&mut self, judgement: Judgement) -> Option<Judgement> {
        if may_be_waived(&judgement) && self.listed.iter().any(|exempt| exempt.commit == judgement.id) {
            self.held.push(judgement);
            return None;
        }
        Some(judgement)
    }

    /// What was held, by the tips that were judged: every one of them that reaches the commit must reach what mends it, or
    /// else a second ref at the commit would pass with the first.
    pub(super) fn release(&mut self, source: &mut dyn ObjectSource, tips: &[ObjectId]) -> Vec<Judgement> {
        let held = std::mem::take(&mut self.held);
        held.into_iter().map(|judgement| self.settle(judgement, source, tips)).collect()
    }

    fn settle(&self, mut judgement: Judgement, source: &mut dyn ObjectSource, tips: &[ObjectId]) -> Judgement {
        let bad = above(source, tips, judgement.id);
        for exempt in self.listed.iter().filter(|exempt| exempt.commit == judgement.id) {
            let mended = above(source, tips, exempt.until);
            if mended.contains(&judgement.id) {
                complain(&format!(
                    "warning: {}:{}: does not hold: {} lies below {}, and cannot mend it",
                    self.policy, exempt.line, exempt.until, exempt.commit
                ));
                continue;
            }
            match tips.iter().find(|tip| bad.contains(tip) && !mended.contains(tip)) {
                None => {
                    judgement.line = Some(exempt.line);
                    judgement.verdict = waive(judgement.verdict, &exempt.reason);
                    return judgement;
                }
                Some(tip) => complain(&format!(
                    "warning: {}:{}: does not hold: {tip} reaches {}, but not {}, which mends it",
                    self.policy, exempt.line, exempt.commit, exempt.until
                )),
            }
        }
        judgement
    }
}

/// Whether something may be passed over: never what the object itself is.
fn may_be_waived(judgement: &Judgement) -> bool {
    let reason = match &judgement.verdict {
        Verdict::Reject { reason } => reason,
        Verdict::Unjudged { why: Unjudged::SettledMissing { reason } } => reason,
        _ => return false,
    };
    let of_the_object = matches!(reason, Reason::Fault(_) | Reason::HashMismatch | Reason::Collision | Reason::NotSignable { .. });
    judgement.kind == Some(ObjectKind::Commit) && !of_the_object
}

fn waive(verdict: Verdict, because: &str) -> Verdict {
    let reason = match verdict {
        Verdict::Reject { reason } => reason,
        Verdict::Unjudged { why: Unjudged::SettledMissing { reason } } => *reason,
        verdict => return verdict,
    };
    Verdict::Exempt { reason, because: because.to_owned() }
}
