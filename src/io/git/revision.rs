//! What a revision names (gitrevisions(7)). Refs and ids are looked up, and parents followed, by objects' raw bytes: libgit2
//! would not name an object that it cannot parse, and would follow `info/grafts`.

use super::discover::start_of;
use super::{Repository, kind_of, our_id};
use crate::object::{Commit, ObjectId, ObjectKind};
use anyhow::{Context as _, Result, anyhow, bail};
use git2::{Direction, ErrorCode};
use std::fs;
use std::path::{Component, Path};

/// What a revision names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The object, not peeled.
    pub id: ObjectId,
    /// Its kind.
    pub kind: ObjectKind,
    /// The full name of the ref by which it was found: what a symbolic ref leads to, but of a tag the name that it has.
    pub reference: Option<Vec<u8>>,
}

/// Fewer digits than this may well be a word.
const LEAST_DIGITS: usize = 7;

impl Repository {
    /// What a revision names.
    ///
    /// # Errors
    /// Where it names nothing, or more than one thing, or what it names is not here.
    pub fn resolve(&self, revision: &str) -> Result<Resolved> {
        let end = [":", "^", "~", "@{"].iter().filter_map(|mark| revision.find(mark)).min().unwrap_or(revision.len());
        let (base, mut rest) = revision.split_at(end);
        // found or refused before libgit2 may look for it in other places
        let named = self.named(base)?;
        let Some((mut id, reference)) = named.filter(|_| !rest.starts_with("@{") && !rest.starts_with(':')) else {
            return self.resolve_by_libgit2(revision);
        };
        while !rest.is_empty() {
            match self.step(id, rest)? {
                Some((next, after)) => (id, rest) = (next, after),
                None => return self.resolve_by_libgit2(revision),
            }
        }
        let kind = self.kind(&id).with_context(|| format!("`{revision}` names {id}, which is not here"))?;
        Ok(Resolved { id, kind, reference: reference.filter(|_| end == revision.len()) })
    }

    /// What a full id, a ref or an abbreviated id stands for. A full id is never a ref, and what begins with `refs/` only that
    /// ref: whoever was fetched from could have made `refs/tags/<id>` or `refs/tags/refs/heads/main`.
    fn named(&self, base: &str) -> Result<Option<(ObjectId, Option<Vec<u8>>)>> {
        const FULL: usize = 40;
        if base.is_empty() {
            return Ok(None); // `@{u}`, `:/text`
        }
        let digits = base.bytes().all(|b| b.is_ascii_hexdigit());
        if digits && base.len() >= FULL {
            let id = base.to_ascii_lowercase().parse::<ObjectId>().ok().filter(|id| self.kind(id).is_some());
            return Ok(Some((id.with_context(|| absent(base))?, None)));
        }
        let short = if digits { self.abbreviated(base)? } else { None };
        if let Some((id, name)) = self.named_ref(base)? {
            if short.is_some_and(|short| short != id && base.len() >= LEAST_DIGITS) {
                bail!("`{base}` is ambiguous: a ref and the first digits of an object; name {}", String::from_utf8_lossy(&name));
            }
            return Ok(Some((id, Some(name))));
        }
        if base.starts_with("refs/") {
            bail!(absent(base));
        }
        let described = base.rsplit_once("-g").map(|(_, digits)| digits);
        let described = described.filter(|digits| digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let described = described.map_or(Ok(None), |digits| self.abbreviated(digits))?;
        Ok(Some((short.or(described).with_context(|| absent(base))?, None)))
    }

    /// The object that a ref points to, and the ref's full name, symbolic refs followed.
    fn named_ref(&self, base: &str) -> Result<Option<(ObjectId, Vec<u8>)>> {
        let exact = if base == "@" { "HEAD" } else { base };
        let found = match self.direct_ref(exact)? {
            Some(found) => Some(found),
            None if base.starts_with("refs/") => None,
            None => {
                self.refuse_stray(base)?;
                let names = ["refs/", "refs/tags/", "refs/heads/", "refs/remotes/"].map(|prefix| format!("{prefix}{base}"));
                let mut found = Vec::new();
                for name in names.into_iter().chain([format!("refs/remotes/{base}/HEAD")]) {
                    found.extend(self.direct_ref(&name)?.map(|found| (name, found)));
                }
                if found.len() > 1 {
                    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
                    bail!("`{base}` is ambiguous; name the one that you mean: {}", names.join(" or "));
                }
                found.pop().map(|(_, found)| found)
            }
        };
        Ok(found)
    }

    /// What a ref of exactly this name points to, symbolic refs followed, and its name in full: of a tag its own. None where it, or
    /// what it leads to, does not exist.
    fn direct_ref(&self, name: &str) -> Result<Option<(ObjectId, Vec<u8>)>> {
        if !git2::Reference::is_valid_name(name) {
            return Ok(None);
        }
        let last = self.resolve_symbolic(name.as_bytes())?;
        let text = std::str::from_utf8(&last).with_context(|| format!("the ref `{name}` leads to one that is not UTF-8"))?;
        match self.inner.find_reference(text) {
            Ok(reference) => {
                let id = our_id(reference.target().context("a ref of no target")?)?;
                Ok(Some((id, if name.starts_with("refs/tags/") { name.as_bytes().to_vec() } else { last })))
            }
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(error) => Err(anyhow!("the ref `{name}` cannot be read: {}", error.message())),
        }
    }

    /// Git takes a file of its directory for what such a name names, before any ref.
    fn refuse_stray(&self, base: &str) -> Result<()> {
        if !Path::new(base).components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(());
        }
        for path in [self.inner.path(), self.inner.commondir()].map(|folder| folder.join(base)) {
            let text = start_of(&path).unwrap_or_default();
            let digits = text.get(..2 * self.hash.id_length()).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            if !digits && !text.starts_with(b"ref:") && !path.is_symlink() {
                continue;
            }
            bail!(
                "`{base}` is ambiguous: git takes the file {} for it, before any ref; remove that, or name the ref in full, such as refs/heads/{base}",
                path.display()
            );
        }
        Ok(())
    }

    /// The name that a remote-tracking ref has where it was fetched from, by the refspecs of the remotes, that of a tag where it may be
    /// one; any other ref's own.
    pub fn name_at_home(&self, reference: &[u8]) -> Vec<u8> {
        let mut homes = Vec::new();
        if let Some(name) = std::str::from_utf8(reference).ok().filter(|name| name.starts_with("refs/remotes/")) {
            let remotes = self.inner.remotes().ok();
            let remotes = remotes.iter().flat_map(|names| names.iter().flatten().flatten());
            for remote in remotes.filter_map(|remote| self.inner.find_remote(remote).ok()) {
                let fetched = remote.refspecs().filter(|spec| spec.direction() == Direction::Fetch && spec.dst_matches(name));
                homes.extend(fetched.filter_map(|spec| spec.rtransform(name).ok().map(|home| home.to_vec())));
            }
        }
        let tag = homes.iter().find(|home| home.starts_with(b"refs/tags/"));
        tag.or(homes.first()).cloned().unwrap_or_else(|| reference.to_vec())
    }

    /// The object whose id begins with these digits.
    fn abbreviated(&self, digits: &str) -> Result<Option<ObjectId>> {
        const LEAST: usize = 4;
        if digits.len() < LEAST {
            return Ok(None);
        }
        let padded = format!("{digits:0<width$}", width = 2 * self.hash.id_length()).to_ascii_lowercase();
        let Some(prefix) = ObjectId::from_hex(padded.as_bytes()) else { return Ok(None) };
        match self.inner.odb()?.exists_prefix(self.git_id(&prefix)?, digits.len()) {
            Ok(id) => our_id(id).map(Some),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) if error.code() == ErrorCode::Ambiguous => bail!("`{digits}` is ambiguous; give more digits"),
            Err(error) => Err(error).context("objects cannot be looked up"),
        }
    }

    /// One `~N`, `^N` or `^{…}`: the object, and what follows. None for what only libgit2 knows.
    fn step<'r>(&self, id: ObjectId, rest: &'r str) -> Result<Option<(ObjectId, &'r str)>> {
        let number = |text: &'r str| -> Result<(usize, &'r str)> {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (digits, after) = text.split_at(end);
            Ok((if digits.is_empty() { 1 } else { digits.parse().context("that many parents has nobody")? }, after))
        };
        if let Some(text) = rest.strip_prefix('~') {
            let (count, after) = number(text)?;
            let mut at = self.peel_to_commit(&id)?;
            for _ in 0..count {
                at = self.parent(&at, 1)?;
            }
            return Ok(Some((at, after)));
        }
        if let Some((what, after)) = rest.strip_prefix("^{").and_then(|rest| rest.split_once('}')) {
            let peeled = match what {
                "" => self.peel_tags(id)?,
                "commit" => self.peel_to_commit(&id)?,
                "object" => id,
                "tag" if self.kind(&id) == Some(ObjectKind::Tag) => id,
                "tag" => bail!("{id} is not a tag"),
                _ => return Ok(None),
            };
            return Ok(Some((peeled, after)));
        }
        match rest.strip_prefix('^') {
            Some(text) if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit() || c == '^' || c == '~') => {
                let (which, after) = number(text)?;
                let at = self.peel_to_commit(&id)?;
                Ok(Some((if which == 0 { at } else { self.parent(&at, which)? }, after)))
            }
            _ => Ok(None),
        }
    }

    fn peel_tags(&self, id: ObjectId) -> Result<ObjectId> {
        match self.kind(&id) {
            Some(ObjectKind::Tag) => self.peel_to_commit(&id),
            _ => Ok(id),
        }
    }

    /// The parent that the commit itself names, whatever grafts or the edge of a shallow clone say.
    fn parent(&self, commit: &ObjectId, which: usize) -> Result<ObjectId> {
        let raw = self.read_bounded(commit).with_context(|| format!("the commit {commit} cannot be read"))?;
        let parents = Commit::parse(&raw.data, self.hash).parents;
        let parent = which.checked_sub(1).and_then(|n| parents.get(n));
        let parent = parent.with_context(|| format!("the commit {commit} has {} parents, so no parent {which}", parents.len()))?;
        match self.kind(parent) {
            Some(_) => Ok(*parent),
            None if self.is_shallow() => {
                bail!("{parent}, a parent of {commit}, is not here: the clone is shallow (git fetch --unshallow)")
            }
            None => bail!("{parent}, a parent of {commit}, is not here"),
        }
    }

    /// `@{…}`, `REV:PATH`, `:/text`, `^{/text}`, `^{tree}`.
    fn resolve_by_libgit2(&self, revision: &str) -> Result<Resolved> {
        let altered = ["info/grafts", "shallow"]
            .iter()
            .find(|name| fs::metadata(self.inner.commondir().join(name)).is_ok_and(|metadata| metadata.len() > 0));
        let walks = ["~", "^", ":/"].iter().any(|mark| revision.contains(mark));
        if let Some(file) = altered.filter(|_| walks) {
            bail!("`{revision}` would be looked up in a history that {file} alters; name it by its full id (git rev-parse)");
        }
        let (object, reference) = self.inner.revparse_ext(revision).map_err(|error| match error.code() {
            ErrorCode::Ambiguous => anyhow!("`{revision}` is ambiguous; give more digits, or a full ref name such as refs/heads/…"),
            ErrorCode::NotFound => anyhow!(absent(revision)),
            _ => anyhow!("`{revision}` cannot be resolved: {}", error.message()),
        })?;
        let reference = reference.map(|reference| match reference.symbolic_target_bytes() {
            Some(target) => target.to_vec(),
            None => reference.name_bytes().to_vec(),
        });
        let kind = object.kind().and_then(kind_of).context("an object of no kind")?;
        Ok(Resolved { id: our_id(object.id())?, kind, reference })
    }
}

fn absent(name: &str) -> String {
    format!("`{name}` names no object of this repository")
}
