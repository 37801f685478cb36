//! The certificate directory that OpenPGP programs share (draft-nwjw-openpgp-cert-d): `pgp.cert.d`, a file for each certificate,
//! named by its fingerprint.

use crate::signature::openpgp::Certificates;
use anyhow::{Context as _, Result};
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Adds those certificates of the directory that hold one of some texts (key ids, addresses), with a look at all files; an empty
/// text is held by all. Where there is no directory, there is none. What cannot be read as a certificate is passed over.
///
/// # Errors
/// Where a file or a folder of the directory cannot be read.
pub fn add_to(certificates: &mut Certificates, holding: &[Vec<u8>]) -> Result<()> {
    let Some(base) = directory() else { return Ok(()) };
    for folder in entries(&base)?.into_iter().filter(|path| is_hexadecimal(path, &[2])) {
        for path in entries(&folder)?.into_iter().filter(|path| is_hexadecimal(path, &[38, 62])) {
            let Some(bytes) = read(&path)? else { continue }; // it is being replaced
            if holding.iter().any(|text| memchr::memmem::find(&bytes, text).is_some()) {
                certificates.add_readable(&bytes);
            }
        }
    }
    Ok(())
}

/// Adds what the directory holds of one certificate, by its fingerprint (hexadecimal).
///
/// # Errors
/// Where its file cannot be read.
pub fn add_one(certificates: &mut Certificates, fingerprint: &str) -> Result<()> {
    let name = fingerprint.to_lowercase();
    let Some((base, (folder, file))) = directory().zip(name.split_at_checked(2)) else { return Ok(()) };
    if let Some(bytes) = read(&base.join(folder).join(file))? {
        certificates.add_same(&bytes, &[fingerprint.to_owned()]);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn directory() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let data = |home: PathBuf| {
        if cfg!(target_os = "macos") { home.join("Library/Application Support") } else { home.join(".local/share") }
    };
    let shared = || folder("XDG_DATA_HOME").filter(|_| !cfg!(target_os = "macos")).or_else(|| folder("HOME").map(data));
    folder("PGP_CERT_D").or_else(|| shared().map(|data| data.join("pgp.cert.d")))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let why = || format!("cannot read {}", folder.display());
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(why),
    };
    let paths = listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    paths.with_context(why)
}

/// Whether a file's name is a part of a fingerprint, of one of some lengths.
fn is_hexadecimal(path: &Path, lengths: &[usize]) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    lengths.contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
