//! Where a policy comes from: a file, a file of a revision, or git's own `gpg.ssh.allowedSignersFile`; and what lies beside it.

mod replace;

pub use replace::replace;

use super::config::Config;
use super::git::Repository;
use crate::object::ObjectId;
use crate::policy::file::PolicyFile;
use crate::report::escape::shell_word;
use crate::report::mend::is_toml;
use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::{env, fs};

/// Files larger than this are not read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Settings of later versions: set, they would change verdicts, so they are never passed over.
const NOT_YET: [&str; 4] = ["warrant.root", "warrant.deny", "warrant.policyRef", "warrant.serial"];

/// A policy's text and where it is from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file, or `REV:PATH`, as people would name it.
    pub name: String,
    /// The file.
    pub text: Vec<u8>,
    /// What a policy in TOML says; `None` where the file is one of allowed_signers.
    pub toml: Option<PolicyFile>,
    /// The files that the policy names, by the names that it gives them.
    pub beside: BTreeMap<String, Vec<u8>>,
    /// The revocation file, and its name.
    pub revoked: Option<(String, Vec<u8>)>,
}

impl Source {
    /// SHA-256 of all that decides: of the policy itself where that is all; else of its hash, and of the names (as hashes) and
    /// the hashes of the files beside it, and of the revocation file's.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::digest(&self.text);
        if !self.beside.is_empty() || self.revoked.is_some() {
            let mut whole = Sha256::new().chain_update(hash);
            for (name, content) in &self.beside {
                whole = whole.chain_update(Sha256::digest(name)).chain_update(Sha256::digest(content));
            }
            if let Some((_, revoked)) = &self.revoked {
                whole = whole.chain_update(b"revoked").chain_update(Sha256::digest(revoked));
            }
            hash = whole.finalize();
        }
        hex::encode(hash)
    }
}

/// How a command looks for its policy.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// `--policy`.
    pub policy: Option<String>,
    /// `--revoked`.
    pub revoked: Option<String>,
    /// The commit from whose tree a path inside the work tree is read (the A of a range A..B).
    pub range_start: Option<ObjectId>,
    /// Whether a hook asks: then files must belong to root or to its user and be writable by nobody else.
    pub hook: bool,
}

/// No policy is named anywhere.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "no policy found; name one in one of three ways:\n  --policy FILE, or git config warrant.policy FILE (an allowed_signers file, or a policy in TOML named *.toml, outside the work tree)\n  --policy REV:PATH, such as refs/remotes/origin/main:.allowed_signers (a file of a revision that you trust)\n  git config gpg.ssh.allowedSignersFile FILE (what git itself uses)"
)]
pub struct NoPolicy;

/// Refuses settings that this version would have to pass over.
///
/// # Errors
/// Where one of them is set.
pub fn refuse_later_settings(config: &Config) -> Result<()> {
    for name in NOT_YET {
        if config.get(name)?.is_some() {
            bail!(
                "{name} is set, and is not in this version; unset it (git config --unset-all {name}) or use a version that has it"
            );
        }
    }
    Ok(())
}

/// Finds and reads the policy: the first source that is named is used, and must be readable.
///
/// # Errors
/// [`NoPolicy`] where none is named; else why the one that is named cannot be used.
pub fn find(repository: &Repository, config: &Config, search: &Search) -> Result<Source> {
    let finder = Finder { repository, search };
    let (found, toml) = if let Some(named) = &search.policy {
        (finder.read(named, &caller_dir()?).with_context(|| format!("the policy of --policy {named}"))?, is_toml(named))
    } else if let Some(named) = config.get("warrant.policy")? {
        (finder.read(&named, repository.top()).with_context(|| format!("the policy of warrant.policy = {named}"))?, is_toml(&named))
    } else if let Some(named) = config.get("gpg.ssh.allowedSignersFile")? {
        if is_toml(&named) {
            bail!(
                "gpg.ssh.allowedSignersFile = {named}: git reads allowed_signers here; a policy in TOML is named by warrant.policy"
            );
        }
        let found = finder.read_path(&named, repository.top());
        (found.with_context(|| format!("the file of gpg.ssh.allowedSignersFile = {named}"))?, false)
    } else {
        return Err(NoPolicy.into());
    };
    let toml = toml.then(|| parse(&found.name, &found.text)).transpose()?;
    let mut beside = BTreeMap::new();
    for name in toml.iter().flat_map(PolicyFile::named_files) {
        let content = finder.read_beside(&found, &name).with_context(|| format!("the file `{name}` that {} names", found.name))?;
        beside.insert(name, content);
    }
    let revoked = finder.revoked(config)?;
    Ok(Source { name: found.name, text: found.text, toml, beside, revoked })
}

/// The revocation file that the configuration names, and its name.
///
/// # Errors
/// Where it cannot be read.
pub fn revocation_file(repository: &Repository, config: &Config) -> Result<Option<(String, Vec<u8>)>> {
    Finder { repository, search: &Search::default() }.revoked(config)
}

/// Whether a file lies in the work tree of a repository, or in another one of it, by its name or by where that leads.
///
/// # Errors
/// Where it cannot be found.
pub fn is_in_work_tree(repository: &Repository, path: &Path) -> Result<bool> {
    let real = path.canonicalize().context("it cannot be read")?;
    let inside = Finder { repository, search: &Search::default() }.inside_work_tree(path, &real)?;
    Ok(inside.is_some())
}

/// Reads a policy file for a look at it, or to change it: nothing is judged by it, so it may lie anywhere. Needs no repository.
/// Gives the file itself, links followed, beside what was read.
///
/// # Errors
/// Where it, or a file that it names, cannot be read, or is no policy.
pub fn read_directly(named: &str, base: Option<&Path>) -> Result<(PathBuf, Source)> {
    let base = base.map_or_else(caller_dir, |base| Ok(base.to_owned()))?;
    let path = base.join(expand_home(named)?);
    if in_revision(named).is_some() && !path.exists() {
        bail!("{named}: here a file is read, not one of a revision; git show {} > FILE makes one", shell_word(named));
    }
    let (name, text) = (path.display().to_string(), read_bounded(&path)?);
    let real = path.canonicalize().with_context(|| format!("cannot read {name}"))?;
    let toml = is_toml(named).then(|| parse(&name, &text)).transpose()?;
    let mut beside = BTreeMap::new();
    for file in toml.iter().flat_map(PolicyFile::named_files) {
        check_beside(&file)
            .and_then(|()| read_bounded(&real.with_file_name(&file)))
            .with_context(|| format!("{name} names `{file}`"))
            .map(|content| beside.insert(file.clone(), content))?;
    }
    Ok((real, Source { name, text, toml, beside, revoked: None }))
}

/// Reads what is to be made a policy: `-` is standard input, `REV:PATH` a file of a revision, all else a file. Nothing is judged
/// by it, so it may lie anywhere. Gives its name for people, too.
///
/// # Errors
/// Where it cannot be read.
pub fn read_foreign(named: &str) -> Result<(String, Vec<u8>)> {
    if named == "-" {
        let name = "standard input";
        return Ok((name.to_owned(), bounded(io::stdin().lock(), name)?));
    }
    if in_revision(named).is_some() {
        let repository = Repository::open()?;
        let found = Finder { repository: &repository, search: &Search::default() }.read(named, Path::new("."))?;
        return Ok(found.named());
    }
    let path = caller_dir()?.join(expand_home(named)?);
    let hint = if named.contains(':') { "; of REV:PATH, REV is a full id or begins with refs/ (refs/heads/main:FILE)" } else { "" };
    let text = read_bounded(&path).with_context(|| format!("cannot import {named}{hint}"))?;
    Ok((named.to_owned(), text))
}

/// Reads a file, or what a pipe gives: all of it, or it is an error.
fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    bounded(fs::File::open(path).with_context(|| format!("cannot read {name}"))?, &name)
}

fn bounded(from: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MAX_FILE + 1).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= MAX_FILE => Ok(text),
        _ => bail!("{name} has more than {MAX_FILE} bytes"),
    }
}

/// A name of a file beside a policy.
fn check_beside(name: &str) -> Result<()> {
    if name.is_empty() || !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        bail!("it has to lie beside the policy: a relative path without `..`");
    }
    Ok(())
}

/// Reads a policy in TOML.
///
/// # Errors
/// `NAME:LINE:COLUMN: what`, at the first thing that is not as it should be.
pub fn parse(name: &str, text: &[u8]) -> Result<PolicyFile> {
    PolicyFile::parse(text).map_err(|error| anyhow!("{name}:{}:{}: {}", error.line, error.column, error.what))
}

/// What was read, and what lies around it.
struct Found {
    name: String,
    text: Vec<u8>,
    folder: Folder,
}

enum Folder {
    Path(PathBuf),
    /// A folder of a commit's tree.
    Tree(ObjectId, PathBuf),
    /// A pipe lies in none.
    None,
}

impl Found {
    fn named(self) -> (String, Vec<u8>) {
        (self.name, self.text)
    }
}

/// The folder that the user stood in: git runs `git warrant` from the top of the work tree and says so in GIT_PREFIX.
fn caller_dir() -> Result<PathBuf> {
    let here = env::current_dir()?;
    Ok(match env::var_os("GIT_PREFIX") {
        Some(prefix) => here.join(prefix),
        None => here,
    })
}

/// A policy's name that means the same wherever the caller stands: a file's absolute path, or `REV:PATH` as it is.
///
/// # Errors
/// Where it is no name, or no UTF-8.
pub fn name_in_full(named: &str) -> Result<String> {
    if named.is_empty() {
        bail!("the name is empty");
    }
    if in_revision(named).is_some() {
        return Ok(named.to_owned());
    }
    let path = caller_dir()?.join(expand_home(named)?);
    Ok(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned())
}

/// The revision and the path of a name of the form `REV:PATH`, where REV begins with `refs/` or is a full id.
pub fn in_revision(named: &str) -> Option<(&str, &str)> {
    named.split_once(':').filter(|(revision, _)| revision.starts_with("refs/") || revision.parse::<ObjectId>().is_ok())
}

struct Finder<'a> {
    repository: &'a Repository,
    search: &'a Search,
}

impl Finder<'_> {
    fn revoked(&self, config: &Config) -> Result<Option<(String, Vec<u8>)>> {
        Ok(if let Some(named) = &self.search.revoked {
            Some(self.read(named, &caller_dir()?).with_context(|| format!("the file of --revoked {named}"))?.named())
        } else if let Some(named) = config.get("gpg.ssh.revocationFile")? {
            let found = self.read_path(&named, self.repository.top());
            Some(found.with_context(|| format!("the file of gpg.ssh.revocationFile = {named}"))?.named())
        } else {
            None
        })
    }

    /// `REV:PATH` where REV begins with `refs/` or is a full id; a file otherwise.
    fn read(&self, named: &str, base: &Path) -> Result<Found> {
        match in_revision(named) {
            Some((revision, path)) => {
                let resolved = self.repository.resolve(revision)?;
                if self.search.hook && revision.starts_with("refs/") && resolved.reference.is_none() {
                    bail!(
                        "a hook reads a file of a ref itself, which it keeps from going back, or of a full id; name one of the two"
                    );
                }
                let commit = self.repository.peel_to_commit(&resolved.id)?;
                self.in_tree(&commit, named.to_owned(), Path::new(path))
            }
            None => self.read_path(named, base),
        }
    }

    fn in_tree(&self, commit: &ObjectId, name: String, path: &Path) -> Result<Found> {
        let folder = Folder::Tree(*commit, path.parent().unwrap_or(Path::new("")).to_owned());
        Ok(Found { name, text: self.repository.file_at(commit, path)?, folder })
    }

    /// A file that the policy names: in the policy's folder or below it, of the same commit where it is of one.
    fn read_beside(&self, policy: &Found, name: &str) -> Result<Vec<u8>> {
        check_beside(name)?;
        match &policy.folder {
            Folder::Path(folder) => Ok(self.read_path(&format!("./{name}"), folder)?.text),
            Folder::Tree(commit, folder) => self.repository.file_at(commit, &folder.join(name)),
            Folder::None => bail!("the policy came through a pipe, and nothing lies beside that; give it as a file"),
        }
    }

    fn read_path(&self, named: &str, base: &Path) -> Result<Found> {
        if named.is_empty() {
            bail!("the name is empty");
        }
        let path = base.join(expand_home(named)?);
        if let Some(text) = self.read_stream(&path)? {
            return Ok(Found { name: path.display().to_string(), text, folder: Folder::None });
        }
        let real = path.canonicalize().with_context(|| {
            let hint = if named.contains(':') {
                "; of REV:PATH, REV is a full id or begins with refs/ (refs/heads/main:FILE)"
            } else {
                ""
            };
            format!("cannot read {}{hint}", path.display())
        })?;
        if let Some(inside) = self.inside_work_tree(&path, &real)? {
            // nobody who names the git directory alone thinks of the current folder as the work tree
            let implied = env::var_os("GIT_DIR").is_some() && env::var_os("GIT_WORK_TREE").is_none();
            let hint = if implied {
                "; or, as GIT_DIR alone makes the current folder the work tree, name that by GIT_WORK_TREE"
            } else {
                ""
            };
            return match &self.search.range_start {
                Some(commit) => self.in_tree(commit, format!("{commit}:{}", inside.display()), &inside),
                None => bail!(
                    "{} lies inside the work tree, so whoever changes the tree would choose its judge; name the revision that you trust: --policy REV:{} (REV a full id or refs/…){hint}",
                    path.display(),
                    inside.display()
                ),
            };
        }
        let metadata = fs::metadata(&real).with_context(|| format!("cannot read {}", path.display()))?;
        if !metadata.is_file() {
            bail!("{} is not a regular file", path.display());
        }
        if metadata.len() > MAX_FILE {
            bail!("{} has {} bytes, more than {MAX_FILE}", path.display(), metadata.len());
        }
        if self.search.hook {
            refuse_foreign(&real, &metadata)?;
            absolute(&path).ancestors().chain(real.ancestors()).skip(1).try_for_each(refuse_foreign_way)?;
        }
        let text = fs::read(&real).with_context(|| format!("cannot read {}", path.display()))?;
        // links are followed first: what lies beside the policy lies beside the file itself
        let folder = Folder::Path(real.parent().unwrap_or(Path::new("/")).to_owned());
        Ok(Found { name: path.display().to_string(), text, folder })
    }

    /// What a pipe or a device gives, such as a shell's `<(…)`; in a hook it could be anybody's.
    fn read_stream(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let Ok(metadata) = fs::metadata(path) else { return Ok(None) };
        let kind = metadata.file_type();
        if self.search.hook || !(kind.is_fifo() || kind.is_char_device()) {
            return Ok(None);
        }
        read_bounded(path).map(Some)
    }

    /// The path below the top of the work tree where it lies in it: by its own name, whatever links stand in that, or by where
    /// it leads. In another work tree of the same repository it lies in foreign hands, too.
    fn inside_work_tree(&self, path: &Path, real: &Path) -> Result<Option<PathBuf>> {
        let named = absolute(path);
        let by_folder = match (path.parent().and_then(|parent| parent.canonicalize().ok()), path.file_name()) {
            (Some(parent), Some(name)) => parent.join(name),
            _ => real.to_owned(),
        };
        let ours = self.repository.work_tree().map(Path::canonicalize).transpose()?;
        let mut tops: Vec<PathBuf> =
            self.repository.work_trees().into_iter().map(|top| top.canonicalize().unwrap_or(top)).collect();
        tops.sort_by_key(|top| std::cmp::Reverse(top.as_os_str().len())); // one may lie in another: the innermost first
        let names = [real, &by_folder, &named];
        tops.extend(names.iter().find_map(|path| self.repository.work_tree_around(path)));
        for top in tops {
            let inside = names.into_iter().find(|path| path.starts_with(&top) && !self.repository.in_git_dir(path));
            let Some(below) = inside.and_then(|path| path.strip_prefix(&top).ok()) else { continue };
            if ours.as_ref() != Some(&top) {
                bail!(
                    "{} lies inside the work tree {} of this repository; name the revision that you trust: --policy REV:{}",
                    path.display(),
                    top.display(),
                    below.display()
                );
            }
            return Ok(Some(below.to_owned()));
        }
        Ok(None)
    }
}

/// The path from the root, its own `.` and `..` taken out, no link followed.
fn absolute(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in env::current_dir().unwrap_or_default().join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    whole
}

/// A hook's policy decides for everybody: nobody but root and the hook's user may be able to change it.
fn refuse_foreign(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != user {
        bail!(
            "{} belongs to user {}; a hook's policy must belong to root or to user {user} (chown it)",
            path.display(),
            metadata.uid()
        );
    }
    if metadata.mode() & 0o022 != 0 {
        bail!("{0} is writable by others; chmod go-w {0}", path.display());
    }
    Ok(())
}

/// Whoever can put something else in the place of a folder or of a link on the way to a policy chooses the policy. Where only the
/// owner of an entry may replace it (the sticky bit, as in /tmp), that is nobody else.
fn refuse_foreign_way(part: &Path) -> Result<()> {
    const STICKY: u32 = 0o1000;
    let user = rustix::process::geteuid().as_raw();
    let metadata = fs::symlink_metadata(part).with_context(|| format!("cannot read {}", part.display()))?;
    if metadata.uid() != 0 && metadata.uid() != user {
        bail!(
            "{} belongs to user {}, who could put another policy in its place; what leads to a hook's policy must belong to root or to user {user}",
            part.display(),
            metadata.uid()
        );
    }
    if metadata.is_dir() && metadata.mode() & 0o022 != 0 && metadata.mode() & STICKY == 0 {
        bail!("{0} is writable by others, who could put another policy in its place; chmod go-w {0}", part.display());
    }
    Ok(())
}

pub(super) fn expand_home(named: &str) -> Result<PathBuf> {
    let Some(rest) = named.strip_prefix('~') else { return Ok(PathBuf::from(named)) };
    let Some(rest) = rest.strip_prefix('/') else { bail!("`{named}`: only `~/` is expanded, not `~user/`") };
    let home = env::var_os("HOME").context("HOME is not set, so `~/` cannot be expanded")?;
    let rest = Path::new(rest);
    if rest.components().any(|part| matches!(part, Component::RootDir)) {
        bail!("`{named}` is not a path");
    }
    Ok(Path::new(&home).join(rest))
}
