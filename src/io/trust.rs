//! What `git warrant trust update` fetched, kept for the next time: one file a mirror, `state.json` in a folder of its own below
//! `$XDG_DATA_HOME/git-warrant/trust/`; and trusted roots by their names.
//!
//! All that belongs together stands in one file, which is replaced whole: whoever is killed leaves the old one or the new one,
//! and a trusted root is never beside metadata that it is not of. Whoever can write here chooses what is believed, so that only
//! the user and root may.

use super::policy::expand_home;
use crate::signature::x509::{MOST_ROOT_BYTES, Root};
use anyhow::{Context as _, Result, bail};
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Before the name or the URL of a mirror: the trusted root that was fetched from it.
pub const FETCHED: &str = "tuf:";
/// The names in a state of what was fetched for use.
pub const TRUSTED_ROOT: &str = "trusted_root.json";
/// See [`TRUSTED_ROOT`].
pub const SIGNING_CONFIG: &str = "signing_config.v0.2.json";

/// Whose state it is: a state that was moved to another mirror's place is not believed there.
const URL: &str = "mirror";
const FILE: &str = "state.json";
/// How long another update is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// A longer state is neither written nor read.
const MOST_STATE: usize = 64 << 20;

/// The files of one mirror, by their names.
pub type Files = BTreeMap<String, String>;

/// The folder of one mirror, nobody else at work in it.
pub struct Folder {
    path: PathBuf,
    url: String,
    _lock: File,
}

impl Folder {
    /// Opens the folder of the mirror at a URL, and makes it where there is none; waits a while for others to be done with it.
    ///
    /// # Errors
    /// Where it cannot be made, is not the user's own, or others are not done with it.
    pub fn open(url: &str) -> Result<Self> {
        let path = folder(url)?;
        let base = path.parent().unwrap_or(&path);
        DirBuilder::new().recursive(true).mode(0o700).create(base).with_context(|| format!("cannot make {}", base.display()))?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
            _ => {}
        }
        refuse_foreign_parents(&path)?;
        refuse_foreign(&path)?;
        let lock = path.join("lock");
        let lock = locked(&lock)?;
        for left in fs::read_dir(&path).into_iter().flatten().flatten() {
            if left.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = fs::remove_file(left.path()); // of somebody who was killed: none else is at work
            }
        }
        Ok(Self { path, url: url.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it; nothing where nothing was ever fetched.
    ///
    /// # Errors
    /// Where it cannot be read: what was believed is not forgotten for that.
    pub fn read(&self) -> Result<Files> {
        Ok(read_state(&self.path, &self.url)?.unwrap_or_default())
    }

    /// Replaces all of it.
    ///
    /// # Errors
    /// Where it cannot be written, or is more than [`Folder::read`] would read again.
    pub fn write(&self, files: &Files) -> Result<()> {
        let mut files = files.clone();
        files.insert(URL.to_owned(), self.url.clone());
        let text = serde_json::to_vec(&files).context("cannot write the state of a mirror")?;
        if text.len() > MOST_STATE {
            let (path, length) = (self.path.display(), text.len());
            bail!(
                "what {} says takes {length} bytes to keep, and {MOST_STATE} are kept at most; if {path} holds years of it, remove it to begin anew",
                self.url
            );
        }
        write_whole(&self.path.join(FILE), &text, 0o600)
    }
}

/// One file of a mirror's state; `None` where nothing was fetched from it.
///
/// # Errors
/// Where the state is there and cannot be read, or could be somebody else's.
pub fn fetched(url: &str, name: &str) -> Result<Option<String>> {
    Ok(state(url)?.and_then(|mut files| files.remove(name)))
}

/// All of a mirror's state; `None` where nothing was fetched from it.
///
/// # Errors
/// As [`fetched`].
pub fn state(url: &str) -> Result<Option<Files>> {
    let Ok(path) = folder(url) else { return Ok(None) }; // without a home nothing was
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    refuse_foreign_parents(&path)?;
    refuse_foreign(&path)?;
    read_state(&path, url)
}

/// A trusted root by name: one that is built in, `tuf:` and a mirror whose root was fetched, or a file.
///
/// # Errors
/// Where it cannot be had, or is no trusted root.
pub fn trusted_root(named: &str) -> Result<Root> {
    if let Some(root) = Root::embedded(named, named) {
        return Ok(root);
    }
    if let Some(mirror) = named.strip_prefix(FETCHED) {
        let url = super::sigstore::tuf::Mirror::named(mirror)?.url().to_owned();
        let json = fetched(&url, TRUSTED_ROOT)?.with_context(|| {
            format!("nothing was fetched from {url} for the trusted root {named}; git warrant trust update --mirror {mirror}")
        })?;
        return Root::parse(json.as_bytes(), named).with_context(|| format!("the trusted root {named}"));
    }
    let path = expand_home(named)?;
    let what = || format!("the trusted root {named} (a file, tuf:MIRROR, or one that is built in: {})", Root::EMBEDDED.join(", "));
    Root::parse(&read_bounded(&path, MOST_ROOT_BYTES).with_context(what)?, named).with_context(what)
}

/// Reads a file, or what a pipe gives, of at most so many bytes.
///
/// # Errors
/// Where it cannot be read, or has more.
pub fn read_bounded(path: &Path, most: usize) -> Result<Vec<u8>> {
    let name = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).with_context(name)?;
    if bytes.len() > most {
        bail!("{} has more than {most} bytes, which is more than anybody needs", path.display());
    }
    Ok(bytes)
}

const TEMPORARY: &str = ".new-";

/// A file that is to be written: plain or not there yet, in a folder that can be written to.
pub struct Output {
    path: PathBuf,
    mode: u32,
}

impl Output {
    /// Looks at where it is to be; a link is followed.
    ///
    /// # Errors
    /// Where it could not be written.
    pub fn at(path: &Path) -> Result<Self> {
        let why = || format!("cannot write {}", path.display());
        let (path, mode) = match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), 0o644),
            Err(error) => return Err(error).with_context(why),
            Ok(_) => {
                let real = path.canonicalize().with_context(why)?;
                let metadata = real.metadata().with_context(why)?;
                if !metadata.is_file() {
                    bail!("{}: it is no plain file", why());
                }
                (real, metadata.mode() & 0o777)
            }
        };
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(parent(&path)).with_context(why)?;
        Ok(Self { path, mode })
    }

    /// Writes it whole, or not at all; one that is there keeps its mode.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        write_whole(&self.path, bytes, self.mode)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file whole, or not at all.
///
/// # Errors
/// Where it cannot be written.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let why = || format!("cannot write {}", path.display());
    let folder = parent(path);
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder).with_context(why)?;
    file.write_all(bytes).with_context(why)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).with_context(why)?;
    file.as_file().sync_all().with_context(why)?;
    file.persist(path).with_context(why)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(why)
}

fn folder(url: &str) -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    let data = data.context("neither XDG_DATA_HOME nor HOME names a folder, so that nothing that is fetched can be kept")?;
    let name = hex::encode(Sha256::digest(url));
    Ok(data.join("git-warrant/trust").join(name.get(..32).unwrap_or(&name)))
}

/// Waits for whoever holds the lock, not for ever: it may have been stopped.
fn locked(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let lock = opened.with_context(|| format!("cannot open {}", path.display()))?;
    let until = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => thread::sleep(Duration::from_millis(50)),
            Err(rustix::io::Errno::WOULDBLOCK) => bail!(
                "another git warrant trust update of this mirror is at work (it holds {}); nothing is changed; try again when it is done, or end it",
                path.display()
            ),
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

fn read_state(folder: &Path, url: &str) -> Result<Option<Files>> {
    let path = folder.join(FILE);
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    refuse_foreign(&path)?;
    let anew = "remove it, and trust begins anew from the first root";
    let bytes = read_bounded(&path, MOST_STATE).context(anew)?;
    let files: Files = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged; {anew}", path.display()))?;
    match files.get(URL) {
        Some(of) if of == url => Ok(Some(files)),
        of => bail!("{} is of {}, and not of {url}; {anew}", path.display(), of.map_or("no mirror", String::as_str)),
    }
}

/// Whoever can write to a folder above can put another in the place of what is below.
fn refuse_foreign_parents(folder: &Path) -> Result<()> {
    // a link is as good as where it leads: the folder that it is in is the user's own affair
    let parents = folder.ancestors().skip(1).take(2);
    parents
        .map(|path| path.canonicalize().with_context(|| format!("cannot look at {}", path.display())))
        .try_for_each(|path| refuse_foreign(&path?))
}

fn refuse_foreign(path: &Path) -> Result<()> {
    let metadata = path.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()))?;
    let user = rustix::process::geteuid().as_raw();
    let plain = metadata.is_dir() || metadata.is_file();
    if plain && (metadata.uid() == 0 || metadata.uid() == user) && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    bail!(
        "{} belongs to another user, is writable by others, or is no plain file or folder; what it says is not believed",
        path.display()
    )
}
