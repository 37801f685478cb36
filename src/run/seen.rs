//! The keys seen in a history: what to start a policy from.

use super::session::{Material, Place, with_judge};
use crate::history::{Hidden, ObjectSource as _, Walk};
use crate::object::ObjectId;
use crate::policy::allowed_signers::AllowedSigners;
use crate::policy::ancestry::Ancestry;
use crate::policy::revocation::RevokedKeys;
use crate::policy::{Demands, Policy};
use crate::report::escape::printable;
use crate::verdict::Judgement;
use anyhow::Result;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The most lines that are printed.
const MOST: usize = 50;

/// Lines of an allowed_signers file for the keys that good signatures of the tips' history were made with, each commented out:
/// that a key was used says nothing of whose it is.
pub(super) fn keys(place: &mut Place, tips: &[ObjectId]) -> Result<String> {
    let nobody = Policy::new(AllowedSigners::default(), RevokedKeys::default(), Demands::default());
    let commits: Vec<ObjectId> = tips.iter().filter_map(|tip| place.repository.peel_to_commit(tip).ok()).collect();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let repository = &mut place.repository;
    with_judge(repository.hash(), &nobody, &Material::default(), &Ancestry::nothing(), |judge| {
        let mut sink = |judgement: Judgement| {
            let evidence = judgement.evidence.as_ref().filter(|evidence| evidence.keyless.is_none());
            if let (Some(evidence), Some(email)) = (evidence, &judgement.about.email) {
                *seen.entry((email.clone(), evidence.key.to_openssh())).or_default() += 1;
            }
            Ok::<_, Infallible>(())
        };
        let Ok(()) = Walk::new(Hidden::default()).run(repository, judge, &commits, &mut sink);
    });
    if seen.is_empty() {
        return Ok("no good SSH signature stands in this history".to_owned());
    }
    let mut lines = vec!["keys seen in this history, unconfirmed: ask each person before you take a line over".to_owned()];
    let mut seen: Vec<_> = seen.into_iter().collect();
    seen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for ((email, key), count) in seen.iter().take(MOST) {
        let plain = email.chars().all(|c| c.is_ascii_graphic() && !matches!(c, ',' | '*' | '?' | '!' | '"' | '#'));
        let quoted = if plain { email.clone() } else { format!("({})", printable(email)) };
        lines.push(format!("#{quoted} namespaces=\"git\" {key} unconfirmed, {count} seen"));
    }
    if seen.len() > MOST {
        lines.push(format!("# and {} more", seen.len() - MOST));
    }
    Ok(lines.join("\n"))
}
