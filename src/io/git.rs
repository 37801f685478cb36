//! Repositories. Every call into libgit2 that reads objects or refs is here; objects leave as raw bytes.

use super::config::{Config, Surroundings};
use crate::history::{ObjectSource, RawObject, ReadError};
use crate::object::{HashAlgorithm, MAX_OBJECT, ObjectId, ObjectKind, Tag};
use crate::report::escape::shell_word;
use anyhow::{Context as _, Result, anyhow, bail};
use git2::{ErrorClass, ErrorCode, ObjectFormat, ObjectType};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Files of a tree larger than this are not read, in bytes.
const MAX_FILE: usize = 64 << 20;

/// An open repository.
pub struct Repository {
    inner: git2::Repository,
    hash: HashAlgorithm,
    shallow: HashSet<ObjectId>,
}

/// Why a repository cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// None is here.
    #[error("not a git repository (or any of the parent directories); run this inside one, or name it with GIT_DIR or `git -C`")]
    NotFound,
    /// It belongs to somebody else.
    #[error(
        "the repository belongs to another user, and git trusts only your own; if you trust it: git config --global --add safe.directory {0}"
    )]
    Owner(String),
    /// It needs something that we cannot read.
    #[error("the repository cannot be read: {0}")]
    Unsupported(String),
}

/// What a revision names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The object, not peeled.
    pub id: ObjectId,
    /// Its kind.
    pub kind: ObjectKind,
    /// The full name of the ref by which it was found, as stored.
    pub reference: Option<Vec<u8>>,
}

impl Repository {
    /// Opens the repository that git would use here: GIT_DIR and its kin, else the one around the current folder.
    ///
    /// # Errors
    /// Where there is none, or it is not one that we may or can read.
    pub fn open() -> Result<Self> {
        // objects are read once: libgit2's cache of them costs memory and gains nothing
        git2::opts::enable_caching(false);
        let inner = open_here().map_err(open_error)?;
        // with GIT_NAMESPACE libgit2 would look every name up below it, and find no ref that is named in full
        inner.remove_namespace()?;
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
        Config::load(&Surroundings { common_dir: self.inner.commondir(), git_dir: self.inner.path(), branch })
    }

    /// The top of the work tree, or the git directory of a bare repository: what configured paths are relative to.
    pub fn top(&self) -> &Path {
        self.inner.workdir().unwrap_or_else(|| self.inner.path())
    }

    /// The top of the work tree.
    pub fn work_tree(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// Whether a path lies in the git directory, which is no part of the work tree even where it lies below its top.
    pub fn in_git_dir(&self, path: &Path) -> bool {
        [self.inner.path(), self.inner.commondir()].iter().any(|dir| path.starts_with(dir.canonicalize().as_deref().unwrap_or(dir)))
    }

    /// Whether the clone is shallow.
    pub fn is_shallow(&self) -> bool {
        !self.shallow.is_empty()
    }

    /// What a revision names (gitrevisions(7)).
    ///
    /// # Errors
    /// Where it names nothing, or what it names is not here.
    pub fn resolve(&self, revision: &str) -> Result<Resolved> {
        self.refuse_lookalike(revision)?;
        if let Some(resolved) = self.resolve_unread(revision)? {
            return Ok(resolved);
        }
        let (object, reference) = self.inner.revparse_ext(revision).map_err(|error| match error.code() {
            ErrorCode::Ambiguous => anyhow!("`{revision}` is ambiguous; give more digits, or a full ref name such as refs/heads/…"),
            ErrorCode::NotFound => anyhow!("`{revision}` names no object of this repository"),
            _ => anyhow!("`{revision}` cannot be resolved: {}", error.message()),
        })?;
        let reference = reference.map(|reference| match reference.symbolic_target_bytes() {
            Some(target) => target.to_vec(),
            None => reference.name_bytes().to_vec(),
        });
        let kind = object.kind().and_then(kind_of).context("an object of no kind")?;
        Ok(Resolved { id: our_id(object.id())?, kind, reference })
    }

    /// What a full id or the name of a ref stands for, without reading the object: whether it can be read is for the judge.
    fn resolve_unread(&self, revision: &str) -> Result<Option<Resolved>> {
        if let Ok(id) = revision.to_ascii_lowercase().parse::<ObjectId>() {
            return Ok(self.kind(&id).map(|kind| Resolved { id, kind, reference: None }));
        }
        if revision.is_empty() {
            return Ok(None); // to libgit2 that is short for HEAD
        }
        let Ok(found) = self.inner.resolve_reference_from_short_name(revision) else { return Ok(None) };
        let Some(id) = found.target() else { return Ok(None) };
        let id = our_id(id)?;
        let kind = self.kind(&id).with_context(|| format!("`{revision}` names {id}, which is not here"))?;
        Ok(Some(Resolved { id, kind, reference: Some(found.name_bytes().to_vec()) }))
    }

    /// A full id stands for that object, a name that begins with `refs/` for that ref. Where it is not here, libgit2 and git go
    /// on to look for a ref of such a name (`refs/tags/<id>`), which whoever was fetched from could have made.
    fn refuse_lookalike(&self, revision: &str) -> Result<()> {
        let end = [":", "^", "~", "@{"].iter().filter_map(|mark| revision.find(mark)).min().unwrap_or(revision.len());
        let base = revision.get(..end).unwrap_or(revision);
        let absent = match base.to_ascii_lowercase().parse::<ObjectId>() {
            Ok(id) => self.kind(&id).is_none(),
            Err(_) => base.starts_with("refs/") && self.inner.find_reference(base).is_err(),
        };
        if absent {
            bail!("`{base}` names no object of this repository");
        }
        Ok(())
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
        let (_, kind) = self.inner.odb().ok()?.read_header(git_id(id).ok()?).ok()?;
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
            let text = std::str::from_utf8(&name).context("a ref's name is not UTF-8")?;
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
        let commit = self.inner.find_commit(git_id(commit)?).with_context(|| format!("{commit} is not here"))?;
        let entry =
            commit.tree()?.get_path(path).with_context(|| format!("{} is not in the tree of {}", path.display(), commit.id()))?;
        if !matches!(entry.filemode(), 0o100_644 | 0o100_755) {
            bail!("{} is not a regular file in the tree of {}", path.display(), commit.id());
        }
        let (size, _) = self.inner.odb()?.read_header(entry.id())?;
        if size > MAX_FILE {
            bail!("{} has {size} bytes in the tree of {}, more than {MAX_FILE}", path.display(), commit.id());
        }
        Ok(self.inner.find_blob(entry.id())?.content().to_vec())
    }

    /// Git's `safe.bareRepository = explicit`: a bare repository is used only where it was named.
    fn honour_safe_bare_repository(&self) -> Result<()> {
        let named = env::var_os("GIT_DIR").is_some();
        if named || !self.inner.is_bare() || self.config()?.get_protected("safe.bareRepository")?.as_deref() != Some("explicit") {
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
    /// Reads an object; its size is asked for before it is unpacked.
    fn read_bounded(&self, id: &ObjectId) -> Result<RawObject, ReadError> {
        let odb = self.inner.odb().map_err(|error| read_error(&error))?;
        let id = git_id(id).map_err(|error| ReadError::Unreadable(error.to_string()))?;
        let (size, _) = odb.read_header(id).map_err(|error| read_error(&error))?;
        if size > MAX_OBJECT {
            return Err(ReadError::TooLarge(size));
        }
        let object = odb.read(id).map_err(|error| read_error(&error))?;
        let kind = kind_of(object.kind()).ok_or_else(|| ReadError::Unreadable("an object of no kind".to_owned()))?;
        Ok(RawObject { kind, data: object.data().to_vec() })
    }
}

/// Opens what git would open here. libgit2 takes a relative GIT_WORK_TREE to start from the git directory, git from the current
/// folder: where the work tree lies decides whether a policy lies in it.
fn open_here() -> Result<git2::Repository, git2::Error> {
    let Some(tree) = env::var_os("GIT_WORK_TREE").filter(|tree| Path::new(tree).is_relative() && !tree.is_empty()) else {
        return git2::Repository::open_from_env();
    };
    let none: [&str; 0] = [];
    let repository = match env::var_os("GIT_DIR") {
        Some(git_dir) => git2::Repository::open_ext(git_dir, git2::RepositoryOpenFlags::NO_SEARCH, none)?,
        None => git2::Repository::open_ext(".", git2::RepositoryOpenFlags::empty(), none)?,
    };
    let tree = env::current_dir().and_then(|here| here.join(tree).canonicalize());
    let tree = tree.map_err(|error| git2::Error::from_str(&format!("GIT_WORK_TREE: {error}")))?;
    repository.set_workdir(&tree, false)?;
    Ok(repository)
}

fn open_error(error: git2::Error) -> OpenError {
    match error.code() {
        ErrorCode::NotFound => OpenError::NotFound,
        ErrorCode::Owner => OpenError::Owner(shell_word(&safe_directory().display().to_string())),
        _ if error.message().to_ascii_lowercase().contains("extensions.refstorage") => OpenError::Unsupported(
            "it keeps its refs in a reftable (extensions.refStorage), which this version does not read; git refs migrate --ref-format=files"
                .to_owned(),
        ),
        _ => OpenError::Unsupported(error.message().to_owned()),
    }
}

/// What `safe.directory` has to name: the top of the work tree, of a bare repository the git directory.
fn safe_directory() -> PathBuf {
    let git_dir = env::var_os("GIT_DIR").map(PathBuf::from).or_else(|| git2::Repository::discover_path(".", [""; 0]).ok());
    let Some(git_dir) = git_dir.and_then(|path| path.canonicalize().ok()) else { return PathBuf::from(".") };
    let linked = fs::read_to_string(git_dir.join("gitdir")).ok().map(|link| PathBuf::from(link.trim_end()));
    let git_file = linked.unwrap_or_else(|| git_dir.clone());
    match git_file.parent() {
        Some(top) if git_file.file_name().is_some_and(|name| name == ".git") => top.to_owned(),
        _ => git_dir,
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

fn git_id(id: &ObjectId) -> Result<git2::Oid> {
    git2::Oid::from_bytes(id.as_bytes()).with_context(|| format!("{id} is not an id"))
}

fn our_id(id: git2::Oid) -> Result<ObjectId> {
    ObjectId::from_bytes(id.as_bytes()).context("an object id of neither 20 nor 32 bytes")
}
