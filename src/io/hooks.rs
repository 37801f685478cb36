//! The folder where git looks for a pre-receive hook, and the hook's file in it: put there, moved aside, put back.

use super::config::{Config, is_in_command};
use super::git::Repository;
use super::policy::expand_home;
use crate::report::escape::shell_word;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The hook's file.
pub const HOOK: &str = "pre-receive";

/// What the hook that was there before is called while ours is there.
pub const FORMER: &str = "pre-receive.before-git-warrant";

/// How files that are being written begin; one that was left behind is removed.
const UNFINISHED: &str = ".pre-receive.git-warrant-";

/// The mode of the script.
const MODE: u32 = 0o755;

/// Scripts larger than this are none of ours, in bytes.
const MAX_SCRIPT: u64 = 1 << 20;

/// The folder where a push to this repository looks for its hook, links followed.
///
/// With `shared`, one that other repositories may use, too. Git takes a relative core.hooksPath from the git directory for the
/// hooks of a push, and from the top of the work tree for all others (githooks(5)).
///
/// # Errors
/// Where the work tree's content would choose the hook, where other repositories may use the folder, or where a push would not
/// see the setting.
pub fn folder(repository: &Repository, config: &Config, shared: bool) -> Result<PathBuf> {
    let own = repository.common_dir().join("hooks");
    let word = shell_word(&own.display().to_string());
    let folder = if own.is_symlink() { format!("rm {word} && mkdir {word} && ") } else { String::new() };
    let own_hooks = format!("{folder}git config core.hooksPath {word}");
    if is_in_command("core.hooksPath") {
        bail!(
            "core.hooksPath is set for this command only (git -c, GIT_CONFIG_COUNT), and a push would not see it; set it in a file: git config core.hooksPath FOLDER"
        );
    }
    let setting = config.get("core.hooksPath")?;
    let (named, what) = match &setting {
        None => (own, "the folder hooks of the git directory".to_owned()),
        Some(value) => {
            let what = format!("core.hooksPath = {value}");
            if value.is_empty() || value.starts_with("%(prefix)") {
                bail!("{what}: that is no folder; write it in full, or let this repository have its own: {own_hooks}");
            }
            let path =
                expand_home(value).with_context(|| format!("core.hooksPath; or let this repository have its own: {own_hooks}"))?;
            if path.is_relative() && !repository.work_trees().is_empty() {
                bail!(
                    "{what}: git takes this from the top of the work tree, or, in a push, from the git directory, so it is no place for a hook that judges pushes; let this repository have its own: {own_hooks}"
                );
            }
            (repository.common_dir().join(path), what)
        }
    };
    let real = real(&named).with_context(|| format!("{what}; or let this repository have its own: {own_hooks}"))?;
    if let Some(top) = within_work_tree(repository, &named, &real) {
        bail!(
            "{what}: it lies inside the work tree {}, so whoever changes the tree would choose its judge; let this repository have its own: {own_hooks}",
            top.display()
        );
    }
    if !repository.in_git_dir(&real) && !shared {
        bail!(
            "{what}: {} lies outside of this repository, so the hook would judge pushes to all repositories that use it, by the policy of each; let this one have its own: {own_hooks}; or, if that is meant, --force",
            real.display()
        );
    }
    match fs::metadata(&real) {
        Ok(metadata) if !metadata.is_dir() => bail!("{what}: {} is no folder; {own_hooks}", real.display()),
        Err(_) if !repository.in_git_dir(&real) => bail!("{what}: there is no folder {}; make it first", real.display()),
        _ => Ok(real),
    }
}

/// The path with links followed, as far as it exists.
fn real(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                bail!("{} cannot be followed", path.display());
            };
            Ok(real(parent)?.join(name))
        }
        found => found.with_context(|| format!("{} cannot be followed", path.display())),
    }
}

/// The work tree in which the folder lies, or a link that leads to it.
fn within_work_tree(repository: &Repository, named: &Path, real: &Path) -> Option<PathBuf> {
    let by_link = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let links = named.ancestors().filter(|path| path.is_symlink()).filter_map(by_link);
    let on_the_way: Vec<PathBuf> = links.chain([real.to_owned()]).collect();
    let tops = repository.work_trees().into_iter().map(|top| top.canonicalize().unwrap_or(top));
    let mut tops = tops.filter(|top| on_the_way.iter().any(|path| path.starts_with(top) && !repository.in_git_dir(path)));
    tops.next().or_else(|| on_the_way.iter().find_map(|path| repository.work_tree_around(path)))
}

/// Whether a program, or a link by which it is named, lies in a work tree of the repository.
pub fn is_in_work_tree(repository: &Repository, named: &Path, real: &Path) -> bool {
    within_work_tree(repository, named, real).is_some()
}

/// Whether everybody may change the file, or what stands in the folder: not where only an entry's owner may (the sticky bit).
pub fn is_open_to_all(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let mode = metadata.permissions().mode();
    !metadata.is_symlink() && mode & 0o002 != 0 && !(metadata.is_dir() && mode & 0o1000 != 0)
}

/// A file that is, or was, a hook.
#[derive(Debug)]
pub struct Entry {
    /// The content of a regular file; of a symbolic link what it leads to, if anything. `None` where it cannot be a script.
    pub text: Option<Vec<u8>>,
    /// Whether git would run it: it leads to a regular file that somebody may execute.
    pub runs: bool,
    /// Whether it is a symbolic link.
    pub link: bool,
    /// Whether its mode is that of a script of ours: everybody may run it, its owner write it.
    pub proper: bool,
    file: (u64, u64),
}

impl Entry {
    fn at(path: &Path) -> Result<Option<Self>> {
        let why = || format!("cannot read {}", path.display());
        let own = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            own => own.with_context(why)?,
        };
        let link = own.file_type().is_symlink();
        if !link && !own.is_file() {
            bail!("{} is neither a file nor a link to one; move it away, then ask again", path.display());
        }
        let runs = fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
        let mut text = Vec::new();
        let read = fs::metadata(path).is_ok_and(|it| it.is_file())
            && fs::File::open(path).and_then(|file| file.take(MAX_SCRIPT + 1).read_to_end(&mut text)).is_ok();
        if !read && !link {
            bail!("{} cannot be read", path.display());
        }
        let small = u64::try_from(text.len()).is_ok_and(|length| length <= MAX_SCRIPT);
        let proper = own.permissions().mode() & 0o7777 == MODE;
        Ok(Some(Self { text: (read && small).then_some(text), runs, link, proper, file: (own.dev(), own.ino()) }))
    }
}

/// What stands in a folder of hooks.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    /// The hook.
    pub hook: Option<Entry>,
    /// The one that was there before.
    pub former: Option<Entry>,
    /// Whether there is a folder `pre-receive.d`, which some hooks run.
    pub has_folder: bool,
}

impl Place {
    /// Looks into a folder, which need not exist.
    ///
    /// # Errors
    /// Where a file in it cannot be read, or is none.
    pub fn look(folder: PathBuf) -> Result<Self> {
        let (hook, former) = (Entry::at(&folder.join(HOOK))?, Entry::at(&folder.join(FORMER))?);
        let has_folder = folder.join(format!("{HOOK}.d")).is_dir();
        Ok(Self { folder, hook, former, has_folder })
    }

    /// The hook's path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(HOOK)
    }

    /// Whether both names are one file: moving it aside was interrupted.
    pub fn is_half_moved(&self) -> bool {
        matches!((&self.hook, &self.former), (Some(hook), Some(former)) if hook.file == former.file)
    }

    /// Puts a script in the hook's place. What stands there is kept under the former hook's name first where `keep` says so.
    /// At every moment there is the old hook or the new one.
    ///
    /// # Errors
    /// Where the folder cannot be written to, or somebody else changes it meanwhile; the hook is then the old one.
    pub fn put(&self, script: &[u8], keep: bool) -> Result<()> {
        let (path, former) = (self.path(), self.folder.join(FORMER));
        let why = || format!("cannot write {}", path.display());
        if !self.folder.exists() {
            fs::create_dir_all(&self.folder).with_context(why)?;
        }
        self.sweep();
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder).with_context(why)?;
        file.write_all(script).with_context(why)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(MODE)).with_context(why)?;
        file.as_file().sync_all().with_context(why)?;
        if self.hook.is_none() {
            file.persist_noclobber(&path).with_context(why)?;
            return self.sync();
        }
        let links = keep && !self.is_half_moved();
        if links {
            // a second name for the same file: of two steps the first changes nothing
            fs::hard_link(&path, &former)
                .with_context(|| format!("cannot keep {} as {FORMER}; run this as the file's owner", path.display()))?;
            self.sync()?;
        }
        if let Err(error) = file.persist(&path) {
            if links {
                let _ = fs::remove_file(&former);
            }
            return Err(error).with_context(why);
        }
        self.sync()
    }

    /// Puts the former hook back, or takes the hook away where there was none.
    ///
    /// # Errors
    /// Where the folder cannot be written to.
    pub fn restore(&self) -> Result<()> {
        let (path, former) = (self.path(), self.folder.join(FORMER));
        self.sweep();
        let done = match (&self.hook, &self.former) {
            (_, Some(_)) if self.is_half_moved() => fs::remove_file(&former),
            (_, Some(_)) => fs::rename(&former, &path),
            (Some(_), None) => fs::remove_file(&path),
            (None, None) => return Ok(()),
        };
        done.with_context(|| format!("cannot restore {}", path.display()))?;
        self.sync()
    }

    /// Removes what an interrupted call left.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn sync(&self) -> Result<()> {
        let folder = fs::File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.with_context(|| format!("cannot sync {}", self.folder.display()))
    }
}
