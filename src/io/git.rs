//! Repositories. Every call into libgit2 that reads objects or refs is here; objects leave as raw bytes.

mod discover;
mod open;
mod revision;

pub use open::OpenError;
pub use revision::Resolved;

use super::config::{Config, Surroundings};
use crate::history::{ObjectSource, RawObject, ReadError};
use crate::object::{HashAlgorithm, MAX_OBJECT, ObjectId, ObjectKind, Tag};
use crate::report::escape::shell_word;
use anyhow::{Context as _, Result, anyhow, bail};
use git2::{ErrorClass, ErrorCode, ObjectFormat, ObjectType};
use open::{add_quoted_alternates, common_dir_of, open_here};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Files of a tree larger than this are not read, in bytes.
const MAX_FILE: usize = 64 << 20;

type Inner = git2::Repository;

/// An open repository.
pub struct Repository {
    inner: Inner,
    hash: HashAlgorithm,
    shallow: HashSet<ObjectId>,
}

impl Repository {
    /// Opens the repository that git would use here: GIT_DIR and its kin, else the one around the current folder.
    ///
    /// # Errors
    /// Where there is none, or it is not one that we may or can read.
    pub fn open() -> Result<Self> {
        // objects are read once: libgit2's cache of them costs memory and gains nothing
        git2::opts::enable_caching(false);
        let inner = open_here()?;
        refuse_another(&inner)?;
        // with GIT_NAMESPACE libgit2 would look every name up below it, and find no ref that is named in full
        inner.remove_namespace()?;
        add_quoted_alternates(&inner)?;
        let hash = match inner.object_format() {
            ObjectFormat::Sha256 => HashAlgorithm::Sha256,
            _ => HashAlgorithm::Sha1,
        };
        let shallow = read_shallow(inner.commondir());
        let repository = Self { inner, hash, shallow };
        repository.honour_safe_bare_repository()?;
        Ok(repository)
    }

    /// The configuration that applies here.
    ///
    /// # Errors
    /// Where it is malformed.
    pub fn config(&self) -> Result<Config> {
        let head = self.inner.find_reference("HEAD").ok();
        let head = head.and_then(|head| head.symbolic_target_bytes().map(<[u8]>::to_vec));
        let head = head.map(|name| self.resolve_symbolic(&name).unwrap_or(name));
        let branch = head.and_then(|name| name.strip_prefix(b"refs/heads/").map(<[u8]>::to_vec));
        Config::load(&Surroundings { common_dir: Some(self.inner.commondir()), git_dir: Some(self.inner.path()), branch })
    }

    /// The top of the work tree, or the git directory of a bare repository: what configured paths are relative to.
    pub fn top(&self) -> &Path {
        self.inner.workdir().unwrap_or_else(|| self.inner.path())
    }

    /// The top of the work tree.
    pub fn work_tree(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// The git directory that all work trees share.
    pub fn common_dir(&self) -> &Path {
        self.inner.commondir()
    }

    /// Whether a path lies in the git directory, which is no part of the work tree even where it lies below its top.
    pub fn in_git_dir(&self, path: &Path) -> bool {
        [self.inner.path(), self.inner.commondir()].iter().any(|dir| path.starts_with(dir.canonicalize().as_deref().unwrap_or(dir)))
    }

    /// The commit that HEAD leads to, where there is one.
    pub fn head_commit(&self) -> Option<ObjectId> {
        let commit = self.inner.head().ok()?.peel_to_commit().ok()?;
        ObjectId::from_bytes(commit.id().as_bytes())
    }

    /// Whether the clone is shallow.
    pub fn is_shallow(&self) -> bool {
        !self.shallow.is_empty()
    }

    /// The full names of all branches, tags and remote-tracking branches, and `HEAD` where it stands for a commit.
    ///
    /// # Errors
    /// Where they cannot be listed, or one of them cannot be named here.
    pub fn references(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        refuse_links_in(&self.inner.commondir().join("refs"))?;
        for reference in self.inner.references().context("cannot list the refs")? {
            let reference = reference.context("cannot list the refs")?;
            let judged = [&b"refs/heads/"[..], b"refs/tags/", b"refs/remotes/"];
            let name = reference.name_bytes();
            let is_judged = |name: &[u8]| judged.iter().any(|prefix| name.starts_with(prefix));
            // another name of a branch that is judged says nothing of its own; that of a tag does
            let counts = name.starts_with(b"refs/tags/")
                || reference.symbolic_target_bytes().is_none()
                || !is_judged(&self.resolve_symbolic(name)?);
            if counts && is_judged(name) {
                let text = std::str::from_utf8(name).ok();
                names.push(
                    text.with_context(|| format!("the ref `{}` has a name that is not UTF-8; give it another (git branch -m, or git update-ref) or delete it", name.escape_ascii()))?.to_owned(),
                );
            }
        }
        names.sort_unstable();
        names.extend(self.inner.head().is_ok().then(|| "HEAD".to_owned()));
        Ok(names)
    }

    /// The tops of all work trees of the repository.
    pub fn work_trees(&self) -> Vec<PathBuf> {
        let main = self.inner.commondir().canonicalize().ok().filter(|dir| dir.file_name().is_some_and(|name| name == ".git"));
        let main = main.and_then(|dir| dir.parent().map(Path::to_owned));
        let names = self.inner.worktrees().ok();
        let linked = names.iter().flatten().flatten().flatten();
        let linked = linked.filter_map(|name| self.inner.find_worktree(name).ok().map(|tree| tree.path().to_owned()));
        main.into_iter().chain(linked).chain(self.inner.workdir().map(Path::to_owned)).collect()
    }

    /// The top of a work tree of the repository around a path, by the `.git` that git would find there: one that was moved by
    /// hand, or whose git directory lies elsewhere, is not among [`Repository::work_trees`].
    pub fn work_tree_around(&self, path: &Path) -> Option<PathBuf> {
        let ours = self.inner.commondir().canonicalize().ok()?;
        let mut folders = path.ancestors().skip(1).filter(|_| !self.in_git_dir(path));
        folders.find(|folder| common_dir_of(&folder.join(".git")).is_some_and(|common| common == ours)).map(Path::to_owned)
    }

    /// The commit that an object is or, through any number of tags, names.
    ///
    /// # Errors
    /// Where there is none.
    pub fn peel_to_commit(&self, id: &ObjectId) -> Result<ObjectId> {
        const MOST: usize = 16;
        let mut at = *id;
        for _ in 0..MOST {
            match self.kind(&at) {
                Some(ObjectKind::Commit) => return Ok(at),
                Some(ObjectKind::Tag) => {}
                Some(ObjectKind::Tree | ObjectKind::Blob) => break,
                None => bail!("{at} is not here"),
            }
            let tag = self.read_bounded(&at).with_context(|| format!("the tag {at} cannot be read"))?;
            at = Tag::parse(&tag.data, self.hash).target.with_context(|| format!("the tag {at} names no object"))?;
        }
        bail!("{id} does not lead to a commit")
    }

    /// The kind of an object, without reading it.
    pub fn kind(&self, id: &ObjectId) -> Option<ObjectKind> {
        let (_, kind) = self.inner.odb().ok()?.read_header(self.git_id(id).ok()?).ok()?;
        kind_of(kind)
    }

    /// The full name of the ref that a symbolic ref leads to; the name itself where it is none or does not exist.
    ///
    /// # Errors
    /// Where the name cannot be a ref's, or symbolic refs go round.
    pub fn resolve_symbolic(&self, name: &[u8]) -> Result<Vec<u8>> {
        const MOST: usize = 10;
        let mut name = name.to_vec();
        for _ in 0..MOST {
            let text = std::str::from_utf8(&name).map_err(|_| {
                let shown = name.escape_ascii();
                anyhow!("the ref `{shown}` has a name that is not UTF-8, and cannot be looked up here; push it under another name")
            })?;
            [self.inner.path(), self.inner.commondir()].iter().try_for_each(|folder| refuse_link(&folder.join(text)))?;
            match self.inner.find_reference(text) {
                Ok(reference) => match reference.symbolic_target_bytes() {
                    Some(target) => name = target.to_vec(),
                    None => return Ok(name),
                },
                Err(error) if error.code() == ErrorCode::NotFound => return Ok(name),
                Err(error) => bail!("the ref `{}` cannot be read: {}", text.escape_debug(), error.message()),
            }
        }
        bail!("the ref `{}` leads in a circle", String::from_utf8_lossy(&name).escape_debug())
    }

    /// The content of a regular file in the tree of a commit.
    ///
    /// # Errors
    /// Where the commit or the path is not there, or is no regular file (a symbolic link among them).
    pub fn file_at(&self, commit: &ObjectId, path: &Path) -> Result<Vec<u8>> {
        let commit = self.inner.find_commit(self.git_id(commit)?).with_context(|| format!("{commit} is not here"))?;
        let entry =
            commit.tree()?.get_path(path).with_context(|| format!("{} is not in the tree of {}", path.display(), commit.id()))?;
        if !matches!(entry.filemode(), 0o100_644 | 0o100_755) {
            bail!("{} is not a regular file in the tree of {}", path.display(), commit.id());
        }
        let here = self.inner.odb()?.read_header(entry.id());
        let (size, _) = here.with_context(|| {
            let named = format!("{}:{}", commit.id(), path.display());
            format!("{named} is not here; in a partial clone git cat-file -e {} fetches it", shell_word(&named))
        })?;
        if size > MAX_FILE {
            bail!("{} has {size} bytes in the tree of {}, more than {MAX_FILE}", path.display(), commit.id());
        }
        Ok(self.inner.find_blob(entry.id())?.content().to_vec())
    }

    /// Git's `safe.bareRepository = explicit`: a bare repository is used only where it was named.
    fn honour_safe_bare_repository(&self) -> Result<()> {
        let named = env::var_os("GIT_DIR").is_some();
        let bare = self.inner.is_bare() || self.inner.config()?.get_bool("core.bare").unwrap_or(false);
        if named || !bare || self.config()?.get_protected("safe.bareRepository")?.as_deref() != Some("explicit") {
            return Ok(());
        }
        let path = self.inner.path().display().to_string();
        Err(OpenError::Unsupported(format!("safe.bareRepository is explicit; name the bare repository: GIT_DIR={path}")).into())
    }
}

impl ObjectSource for Repository {
    fn read(&mut self, id: &ObjectId) -> Result<RawObject, ReadError> {
        self.read_bounded(id)
    }

    fn is_shallow_edge(&self, id: &ObjectId) -> bool {
        self.shallow.contains(id)
    }

    fn hash(&self) -> HashAlgorithm {
        self.hash
    }
}

impl Repository {
    /// The id as libgit2 has it, of this repository's hash only: libgit2 writes past its buffers where it gets the longer one in
    /// a repository of the shorter.
    fn git_id(&self, id: &ObjectId) -> Result<git2::Oid> {
        if id.algorithm() != self.hash {
            bail!("{id} is the id of another hash function");
        }
        git2::Oid::from_bytes(id.as_bytes()).with_context(|| format!("{id} is not an id"))
    }

    /// Reads an object; its size is asked for before it is unpacked.
    fn read_bounded(&self, id: &ObjectId) -> Result<RawObject, ReadError> {
        let odb = self.inner.odb().map_err(|error| read_error(&error))?;
        let Ok(id) = self.git_id(id) else { return Err(ReadError::Missing) };
        let (size, _) = odb.read_header(id).map_err(|error| read_error(&error))?;
        if size > MAX_OBJECT {
            return Err(ReadError::TooLarge(size));
        }
        let object = odb.read(id).map_err(|error| read_error(&error))?;
        let kind = kind_of(object.kind()).ok_or_else(|| ReadError::Unreadable("an object of no kind".to_owned()))?;
        Ok(RawObject { kind, data: object.data().to_vec() })
    }
}

fn read_error(error: &git2::Error) -> ReadError {
    match (error.code(), error.class()) {
        (ErrorCode::NotFound, _) => ReadError::Missing,
        (ErrorCode::HashsumMismatch, _) => ReadError::HashMismatch,
        (_, ErrorClass::Sha1) => ReadError::Collision,
        _ => ReadError::Unreadable(error.message().to_owned()),
    }
}

/// What is judged is what git shows.
fn refuse_another(opened: &Inner) -> Result<(), OpenError> {
    let Some(another) = discover::another(opened.path(), opened.commondir()) else { return Ok(()) };
    Err(OpenError::Unsupported(match discover::is_same(&another, opened.path()) {
        true => format!(
            "git does not take {} for a git directory: its HEAD (`ref: refs/heads/NAME`, or a full id), objects or refs are not as they should be; mend that, or name another repository by GIT_DIR",
            another.display()
        ),
        false => format!(
            "git takes {} for the repository, and {} would be read here; name one: GIT_DIR={}",
            another.display(),
            opened.path().display(),
            shell_word(&another.display().to_string())
        ),
    }))
}

/// A ref in a symbolic link is to git a symbolic ref, by what the link says, and to libgit2 whatever file the link leads to.
fn refuse_link(path: &Path) -> Result<()> {
    if path.is_symlink() {
        bail!(
            "the ref in {} is a symbolic link, as git wrote such refs long ago, and could be read in two ways; make it a symbolic ref: git symbolic-ref REF TARGET",
            path.display()
        );
    }
    Ok(())
}

/// The same of all refs in a folder, whether or not what they lead to is there.
fn refuse_links_in(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        refuse_link(&entry.path())?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            refuse_links_in(&entry.path())?;
        }
    }
    Ok(())
}

/// The commits below which the clone was cut; a file that cannot be read cuts nothing, and what is missing then says so.
fn read_shallow(common_dir: &Path) -> HashSet<ObjectId> {
    let path: PathBuf = common_dir.join("shallow");
    let text = fs::read(path).unwrap_or_default();
    text.split(|&b| b == b'\n').filter_map(ObjectId::from_hex).collect()
}

fn kind_of(kind: ObjectType) -> Option<ObjectKind> {
    match kind {
        ObjectType::Commit => Some(ObjectKind::Commit),
        ObjectType::Tag => Some(ObjectKind::Tag),
        ObjectType::Tree => Some(ObjectKind::Tree),
        ObjectType::Blob => Some(ObjectKind::Blob),
        ObjectType::Any => None,
    }
}

fn our_id(id: git2::Oid) -> Result<ObjectId> {
    ObjectId::from_bytes(id.as_bytes()).context("an object id of neither 20 nor 32 bytes")
}
