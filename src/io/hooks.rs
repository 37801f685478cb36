//! The pre-receive hook's file: what is there, and putting ours in its place.

use super::config::Config;
use super::git::Repository;
use super::policy::expand_home;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The name under which a hook that was there before is kept.
pub const KEPT: &str = "pre-receive.before-git-warrant";

/// Where git looks for pre-receive, and beside it where the hook from before is kept.
pub struct HookFile {
    dir: PathBuf,
    /// The hook.
    pub hook: PathBuf,
    /// The hook from before.
    pub kept: PathBuf,
}

/// What is found at the hook's place.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file or a symbolic link; the bytes of a plain file.
    File(Option<Vec<u8>>),
}

impl HookFile {
    /// Finds the folder. A relative core.hooksPath counts from the git directory: that is where git runs pre-receive.
    ///
    /// # Errors
    /// Where the folder lies in a work tree, or (unless `outside`) outside of the repository.
    pub fn find(repository: &Repository, config: &Config, outside: bool) -> Result<Self> {
        let common = repository.common_dir().canonicalize().context("cannot find the git directory")?;
        let dir = match config.get("core.hooksPath")? {
            Some(named) => {
                let dir = common.join(expand_home(&named).context("core.hooksPath")?);
                let real = real_path(&dir)?;
                if !repository.in_git_dir(&real) {
                    let trees = repository.work_trees();
                    if trees.iter().filter_map(|tree| tree.canonicalize().ok()).any(|tree| real.starts_with(tree)) {
                        bail!(
                            "core.hooksPath = {named} lies in the work tree, so what is checked out would choose the judge; name a folder outside of it, or unset it (git config --unset core.hooksPath)"
                        );
                    }
                    if !outside {
                        bail!(
                            "core.hooksPath = {named} lies outside of this repository, and others may use it; give this repository its own (git config core.hooksPath {}), or install for all with --outside",
                            common.join("hooks").display()
                        );
                    }
                }
                real
            }
            None => common.join("hooks"),
        };
        Ok(Self { hook: dir.join("pre-receive"), kept: dir.join(KEPT), dir })
    }

    /// What is there.
    ///
    /// # Errors
    /// Where it is neither a file nor a symbolic link, or cannot be read.
    pub fn found(&self) -> Result<Found> {
        let name = self.hook.display();
        match fs::symlink_metadata(&self.hook) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(error).with_context(|| format!("cannot look at {name}")),
            Ok(data) if data.is_file() => {
                Ok(Found::File(Some(fs::read(&self.hook).with_context(|| format!("cannot read {name}"))?)))
            }
            Ok(data) if data.is_symlink() => Ok(Found::File(None)),
            Ok(_) => bail!("{name} is neither a file nor a symbolic link; move it away"),
        }
    }

    /// Whether a hook from before is kept.
    pub fn is_kept(&self) -> bool {
        fs::symlink_metadata(&self.kept).is_ok()
    }

    /// Whether the kept file is the hook itself: an installation was cut off between its two steps.
    pub fn is_kept_twice(&self) -> bool {
        let id = |path: &Path| fs::symlink_metadata(path).ok().map(|data| (data.dev(), data.ino()));
        id(&self.hook).is_some() && id(&self.hook) == id(&self.kept)
    }

    /// Whether git would run the file (it passes over what is not executable).
    pub fn runs(path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|data| data.is_file() && data.mode() & 0o111 != 0)
    }

    /// Gives the hook that is there its second name.
    ///
    /// # Errors
    /// Where that name is taken, or the folder cannot be written.
    pub fn keep(&self) -> Result<()> {
        fs::hard_link(&self.hook, &self.kept)
            .with_context(|| format!("cannot keep {} as {}", self.hook.display(), self.kept.display()))?;
        self.sync()
    }

    /// Puts a script in the hook's place, in one step.
    ///
    /// # Errors
    /// Where the folder cannot be made or written.
    pub fn write(&self, script: &[u8]) -> Result<()> {
        let context = || format!("cannot write {}", self.hook.display());
        fs::create_dir_all(&self.dir).with_context(context)?;
        let mut file = tempfile::Builder::new().prefix(".pre-receive.").tempfile_in(&self.dir).with_context(context)?;
        file.write_all(script).with_context(context)?;
        file.as_file().set_permissions(Permissions::from_mode(0o755)).with_context(context)?;
        file.as_file().sync_all().with_context(context)?;
        file.persist(&self.hook).with_context(context)?;
        self.sync()
    }

    /// Puts the kept hook back, or removes ours where none is kept.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn restore(&self) -> Result<()> {
        let done = if self.is_kept() { fs::rename(&self.kept, &self.hook) } else { fs::remove_file(&self.hook) };
        done.with_context(|| format!("cannot take {} out", self.hook.display()))?;
        self.sync()
    }

    /// Removes the second name of a hook that is still in its place.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn forget_kept(&self) -> Result<()> {
        fs::remove_file(&self.kept).with_context(|| format!("cannot remove {}", self.kept.display()))?;
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        File::open(&self.dir).and_then(|dir| dir.sync_all()).with_context(|| format!("cannot sync {}", self.dir.display()))
    }
}

/// The path with links followed as far as it is there.
fn real_path(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(real) => Ok(real),
        Err(error) if error.kind() == ErrorKind::NotFound => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(real_path(parent)?.join(name)),
            _ => bail!("core.hooksPath: {} is not there", path.display()),
        },
        Err(error) => Err(error).with_context(|| format!("core.hooksPath: {}", path.display())),
    }
}
