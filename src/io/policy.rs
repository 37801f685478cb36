//! Where a policy comes from: a file, a file of a revision, or git's own `gpg.ssh.allowedSignersFile`.

use super::config::Config;
use super::git::Repository;
use crate::object::ObjectId;
use anyhow::{Context as _, Result, bail};
use sha2::{Digest, Sha256};
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
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
    /// The allowed_signers file.
    pub text: Vec<u8>,
    /// The revocation file, and its name.
    pub revoked: Option<(String, Vec<u8>)>,
}

impl Source {
    /// SHA-256 of all that decides: the policy and the revocation file.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.text);
        if let Some((_, revoked)) = &self.revoked {
            hash.update(b"\0revoked\0");
            hash.update(revoked);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
    "no policy found; name one in one of three ways:\n  --policy FILE, or git config warrant.policy FILE (an allowed_signers file outside the work tree)\n  --policy REV:PATH, such as refs/remotes/origin/main:.allowed_signers (a file of a revision that you trust)\n  git config gpg.ssh.allowedSignersFile FILE (what git itself uses)"
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
    let (name, text) = if let Some(named) = &search.policy {
        finder.read(named, &caller_dir()?).with_context(|| format!("the policy of --policy {named}"))?
    } else if let Some(named) = config.get("warrant.policy")? {
        finder.read(&named, repository.top()).with_context(|| format!("the policy of warrant.policy = {named}"))?
    } else if let Some(named) = config.get("gpg.ssh.allowedSignersFile")? {
        finder.read_path(&named, repository.top()).with_context(|| format!("the file of gpg.ssh.allowedSignersFile = {named}"))?
    } else {
        return Err(NoPolicy.into());
    };
    let revoked = if let Some(named) = &search.revoked {
        Some(finder.read(named, &caller_dir()?).with_context(|| format!("the file of --revoked {named}"))?)
    } else if let Some(named) = config.get("gpg.ssh.revocationFile")? {
        Some(finder.read_path(&named, repository.top()).with_context(|| format!("the file of gpg.ssh.revocationFile = {named}"))?)
    } else {
        None
    };
    Ok(Source { name, text, revoked })
}

/// The folder that the user stood in: git runs `git warrant` from the top of the work tree and says so in GIT_PREFIX.
fn caller_dir() -> Result<PathBuf> {
    let here = env::current_dir()?;
    Ok(match env::var_os("GIT_PREFIX") {
        Some(prefix) => here.join(prefix),
        None => here,
    })
}

struct Finder<'a> {
    repository: &'a Repository,
    search: &'a Search,
}

impl Finder<'_> {
    /// `REV:PATH` where REV begins with `refs/` or is a full id; a file otherwise.
    fn read(&self, named: &str, base: &Path) -> Result<(String, Vec<u8>)> {
        match named.split_once(':') {
            Some((revision, path)) if revision.starts_with("refs/") || revision.parse::<ObjectId>().is_ok() => {
                let resolved = self.repository.resolve(revision)?;
                let commit = self.repository.peel_to_commit(&resolved.id)?;
                self.in_tree(&commit, named.to_owned(), Path::new(path))
            }
            _ => self.read_path(named, base),
        }
    }

    fn in_tree(&self, commit: &ObjectId, name: String, path: &Path) -> Result<(String, Vec<u8>)> {
        refuse_toml(path)?;
        Ok((name, self.repository.file_at(commit, path)?))
    }

    fn read_path(&self, named: &str, base: &Path) -> Result<(String, Vec<u8>)> {
        if named.is_empty() {
            bail!("the name is empty");
        }
        let path = base.join(expand_home(named)?);
        refuse_toml(&path)?;
        if let Some(text) = self.read_stream(&path)? {
            return Ok((path.display().to_string(), text));
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
            return match &self.search.range_start {
                Some(commit) => self.in_tree(commit, format!("{commit}:{}", inside.display()), &inside),
                None => bail!(
                    "{} lies inside the work tree, so whoever changes the tree would choose its judge; name the revision that you trust: --policy REV:{} (REV a full id or refs/…)",
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
        }
        let text = fs::read(&real).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path.display().to_string(), text))
    }

    /// What a pipe or a device gives, such as a shell's `<(…)`; in a hook it could be anybody's.
    fn read_stream(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let Ok(metadata) = fs::metadata(path) else { return Ok(None) };
        let kind = metadata.file_type();
        if self.search.hook || !(kind.is_fifo() || kind.is_char_device()) {
            return Ok(None);
        }
        let mut text = Vec::new();
        let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.take(MAX_FILE).read_to_end(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(text))
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
        for top in tops {
            let inside =
                [real, &by_folder, &named].into_iter().find(|path| path.starts_with(&top) && !self.repository.in_git_dir(path));
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

fn refuse_toml(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|extension| extension == "toml") {
        bail!("policies in TOML are not in this version; give an allowed_signers file");
    }
    Ok(())
}

/// A hook's policy decides for everybody: nobody but root and the hook's user may be able to change it.
fn refuse_foreign(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
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
