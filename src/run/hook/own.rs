//! The ref from which the hook reads its policy: it leads to a policy that can be read, and never back to an earlier one.

use super::Update;
use crate::cli::PreReceive;
use crate::history::ancestors;
use crate::io::policy::{Search, find, in_revision};
use crate::run::session::{Asked, Loaded, Place};
use anyhow::Result;

/// Why the push may not move that ref as it does, and what mends it; `None` where it does not, or may.
pub(super) fn refusal(place: &mut Place, args: &PreReceive, loaded: &Loaded, updates: &[Update]) -> Result<Option<String>> {
    let name = &loaded.source.name;
    let Some((revision, path)) = in_revision(name).filter(|(revision, _)| revision.starts_with("refs/")) else { return Ok(None) };
    let Some(reference) = place.repository.resolve(revision)?.reference else { return Ok(None) };
    let reference = place.repository.resolve_symbolic(&reference)?;
    for update in updates.iter().filter(|update| update.reference == reference) {
        if let Some(why) = refusal_of(place, args, loaded, (update, path))? {
            return Ok(Some(format!("the policy is read from {name}, so {why}")));
        }
    }
    Ok(None)
}

fn refusal_of(place: &mut Place, args: &PreReceive, loaded: &Loaded, (update, path): (&Update, &str)) -> Result<Option<String>> {
    if update.new.is_zero() {
        return Ok(Some("that ref may not be deleted".to_owned()));
    }
    let search = Search {
        policy: Some(format!("{}:{path}", update.new)),
        revoked: args.policy.revoked.clone(),
        range_start: None,
        hook: true,
    };
    let source = match find(&place.repository, &place.config, &search) {
        Ok(source) if source.digest() == loaded.source.digest() => return Ok(None),
        found => found,
    };
    let read = source.and_then(|source| Loaded::of(place, source, Asked::by_hook(&args.policy, args.allow_wildcard)));
    if let Err(error) = read {
        return Ok(Some(format!("it must be there and valid, or nobody could push any more: {error:#}")));
    }
    if !ancestors(&mut place.repository, [update.new]).contains(&update.old) {
        let why = "that ref may not go back to another policy: make the change in a commit on top of it (git revert); who administers the repository can set it there (git update-ref)";
        return Ok(Some(why.to_owned()));
    }
    Ok(None)
}
