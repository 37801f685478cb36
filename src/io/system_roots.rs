//! The roots that S/MIME signatures are verified by where no policy says which: `warrant.x509Roots`, else those of the system.

use super::config::Config;
use super::git::Repository;
use super::policy::{expand_home, is_in_work_tree};
use crate::signature::x509::Authority;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Larger files are no list of roots, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// Where systems keep their list: Debian and its like, Fedora and its like, macOS and the BSDs.
const PLACES: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The roots of `warrant.x509Roots`, all of which have to be such; else those of `SSL_CERT_FILE`, else the system's, of which what
/// cannot be used is passed over.
///
/// # Errors
/// Where a file that is named cannot be used; one in the work tree may not be, as whoever changes the tree would choose the roots.
pub fn read(repository: &Repository, config: &Config) -> Result<Authority> {
    if let Some(named) = config.get("warrant.x509Roots")? {
        let path = repository.top().join(expand_home(&named)?);
        let what = || format!("{} (warrant.x509Roots)", path.display());
        if is_in_work_tree(repository, &path).with_context(what)? {
            bail!("{} lies inside the work tree, so whoever changes the tree would choose the roots; keep it elsewhere", what());
        }
        return Authority::parse(&named, &bytes(&path).with_context(what)?).with_context(what);
    }
    let named = env::var_os("SSL_CERT_FILE").filter(|name| !name.is_empty()).map(PathBuf::from);
    if let Some(path) = named {
        let text = bytes(&path).with_context(|| format!("{} (SSL_CERT_FILE)", path.display()))?;
        return Ok(Authority::of_system(&path.display().to_string(), &text));
    }
    let found = PLACES.iter().map(Path::new).find(|path| path.is_file());
    let Some(path) = found else {
        return Ok(Authority::of_system("the system, which has no list of roots", b""));
    };
    Ok(Authority::of_system(&path.display().to_string(), &bytes(path)?))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let size = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > MOST_BYTES {
        bail!("{} has {size} bytes, more than {MOST_BYTES}", path.display());
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
