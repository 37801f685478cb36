//! The refs from which the hook reads its policy and its revocation file: they lead to such as can be read, and never back to others.

use super::Update;
use crate::cli::PreReceive;
use crate::history::ancestors;
use crate::io::policy::{Search, find, in_revision};
use crate::run::session::{Asked, Loaded, Place};
use anyhow::Result;

/// Why the push may not move one of these refs as it does, and what mends it; `None` where it does not, or may.
pub(super) fn refusal(place: &mut Place, args: &PreReceive, loaded: &Loaded, updates: &[Update]) -> Result<Option<String>> {
    let source = &loaded.source;
    let names = [Some(source.name.as_str()), source.revoked.as_ref().map(|(name, _)| name.as_str())];
    for update in updates {
        let mut moved = [None, None];
        for (name, moved) in names.iter().zip(&mut moved) {
            *moved = name.map(|name| path_at(place, update, name)).transpose()?.flatten();
        }
        if moved.iter().all(Option::is_none) {
            continue;
        }
        let [policy, revoked] = moved;
        let search = Search {
            policy: policy.or_else(|| args.policy.policy.clone()),
            revoked: revoked.or_else(|| args.policy.revoked.clone()),
            range_start: None,
            hook: true,
        };
        if let Some(why) = refusal_of(place, args, loaded, update, &search)? {
            let read = names.into_iter().flatten().collect::<Vec<_>>().join(" and ");
            return Ok(Some(format!("{} moves what pushes are judged by ({read}), and {why}", update.name)));
        }
    }
    Ok(None)
}

/// What a name stands for after an update, if it is of the ref that the update moves: `ID:PATH`.
fn path_at(place: &Place, update: &Update, name: &str) -> Result<Option<String>> {
    let Some((revision, path)) = in_revision(name).filter(|(revision, _)| revision.starts_with("refs/")) else { return Ok(None) };
    let Some(reference) = place.repository.resolve(revision)?.reference else { return Ok(None) };
    let same = place.repository.resolve_symbolic(&reference)? == update.stored;
    Ok(same.then(|| format!("{}:{path}", update.new)))
}

fn refusal_of(place: &mut Place, args: &PreReceive, loaded: &Loaded, update: &Update, search: &Search) -> Result<Option<String>> {
    if update.new.is_zero() {
        let why = "that ref may not be deleted: let warrant.policy name another first, or delete it in the repository (git update-ref -d)";
        return Ok(Some(why.to_owned()));
    }
    let source = match find(&place.repository, &place.config, search) {
        Ok(source) if source.digest() == loaded.source.digest() => return Ok(None),
        found => found,
    };
    let read = source.and_then(|source| Loaded::of(place, source, Asked::by_hook(&args.policy, args.allow_wildcard)));
    if let Err(error) = read {
        let why =
            format!("what it is to be must be there and valid, or nobody could push any more; mend it, and push again: {error:#}");
        return Ok(Some(why));
    }
    let commit = |id| place.repository.peel_to_commit(id).unwrap_or(*id); // of a tag
    let (old, new) = (commit(&update.old), commit(&update.new));
    if !ancestors(&mut place.repository, [new]).contains(&old) {
        let why = "that ref may not go back to another one: make the change in a commit on top of it (git revert); who administers the repository can set it there (git update-ref)";
        return Ok(Some(why.to_owned()));
    }
    Ok(None)
}
