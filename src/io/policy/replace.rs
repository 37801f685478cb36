//! A policy's file is changed whole or not at all, by one of us at a time.

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Puts a changed file in the place of the old one: whole, or not at all.
///
/// # Errors
/// Where its folder or it cannot be written, or somebody else changed it meanwhile.
pub fn replace(path: &Path, old: &[u8], text: &str) -> Result<()> {
    let why = || format!("cannot write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("/"));
    let held = fs::File::open(folder).with_context(why)?;
    if lock(&held).with_context(|| format!("another program changes {}; ask again", path.display()))? {
        sweep(folder);
    }
    let there = fs::metadata(path).with_context(why)?;
    if there.nlink() > 1 {
        bail!(
            "{0} has other names (hard links), which would keep the old text; make it a file of its own: cp -p {0} {0}.new && mv {0}.new {0}",
            path.display()
        );
    }
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).with_context(why)?;
    file.write_all(text.as_bytes()).with_context(why)?;
    fchown(file.as_file(), Some(there.uid()), Some(there.gid()))
        .with_context(|| format!("{} cannot be kept the file of its owner; run this as whoever owns it", path.display()))?;
    file.as_file().set_permissions(there.permissions()).with_context(why)?;
    file.as_file().sync_all().with_context(why)?;
    // as late as can be: whoever edits the file by hand asks for no lock
    if fs::read(path).with_context(why)? != old {
        bail!("{} was changed meanwhile; nothing is written, ask again", path.display());
    }
    file.persist(path).with_context(why)?;
    held.sync_all().with_context(why)?;
    Ok(())
}

/// How a file begins that is to take a policy's place.
const UNFINISHED: &str = ".policy.git-warrant-";

/// Locks a folder against others of us until the file is closed; whether that can be done there.
fn lock(folder: &fs::File) -> io::Result<bool> {
    const WAIT: Duration = Duration::from_secs(10);
    let until = Instant::now() + WAIT;
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
            Err(error @ Errno::WOULDBLOCK) => return Err(error.into()),
            Err(_) => return Ok(false), // some file systems have no locks
        }
    }
}

/// Takes away what others of us left who were killed; the folder is locked.
fn sweep(folder: &Path) {
    let left = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in left.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())) {
        let _ = fs::remove_file(entry.path());
    }
}
