//! What GnuPG keeps in its home: keyrings, trust, settings.

mod settings;

pub use settings::Settings;

use super::cert_d;
use crate::signature::openpgp::Certificates;
use crate::signature::openpgp::keyring::{Kept, TrustDb, certificates_of, is_for_openpgp};
use anyhow::{Context as _, Result, bail};
use std::cell::OnceCell;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// GnuPG's home, and how its command line and gpg.conf say that it is used.
pub struct Gnupg {
    home: PathBuf,
    keyrings: Vec<PathBuf>,
    /// What the keyrings hold, once it has been read.
    files: OnceCell<Vec<Vec<u8>>>,
    /// What gpg.conf says.
    pub settings: Settings,
}

impl Gnupg {
    /// The home: as given, `GNUPGHOME`, or `~/.gnupg`.
    ///
    /// # Errors
    /// Where none of them says where, or its settings cannot be read.
    pub fn open(home: Option<&Path>) -> Result<Self> {
        let given = home.map(Path::to_owned).or_else(|| env::var_os("GNUPGHOME").filter(|it| !it.is_empty()).map(PathBuf::from));
        let home = match given {
            Some(home) => home,
            None => Path::new(&env::var_os("HOME").context("neither GNUPGHOME nor HOME is set")?).join(".gnupg"),
        };
        let settings = read_settings(&home)?;
        let mut gnupg = Self { home, keyrings: Vec::new(), files: OnceCell::new(), settings };
        if !gnupg.settings.no_default_keyring || gnupg.settings.keyrings.is_empty() {
            gnupg.keyrings.push(default_keyring(&gnupg.home)?); // without another it is used all the same, as gpg does
        }
        gnupg.use_keyrings(&gnupg.settings.keyrings.clone(), false)?;
        Ok(gnupg)
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Adds keyrings; `only`: in the place of the usual one, if any are named. A name without a slash is one in the home, `~/` is expanded, and a
    /// word before the name that says what kind of file it is changes nothing.
    ///
    /// # Errors
    /// Where a name begins with `~` and cannot be expanded.
    pub fn use_keyrings(&mut self, named: &[PathBuf], only: bool) -> Result<()> {
        let alone = only || (self.settings.no_default_keyring && self.settings.keyrings.is_empty());
        if alone && !named.is_empty() {
            self.keyrings.clear();
        }
        for name in named {
            let bytes = name.as_os_str().as_bytes();
            let bare = KINDS.iter().find_map(|kind| bytes.strip_prefix(kind.as_bytes())).unwrap_or(bytes);
            self.keyrings.push(self.path_of(bare).with_context(|| format!("the keyring {}", name.display()))?);
        }
        self.files.take();
        Ok(())
    }

    /// What a name in gpg's settings names: a file in the home, unless it has a slash.
    fn path_of(&self, name: &[u8]) -> Result<PathBuf> {
        match (name.starts_with(b"~"), name.contains(&b'/')) {
            (true, true) => super::policy::expand_home(&String::from_utf8_lossy(name)),
            (false, true) => Ok(PathBuf::from(OsStr::from_bytes(name))),
            (_, false) => Ok(self.home.join(OsStr::from_bytes(name))),
        }
    }

    fn files(&self) -> Result<&[Vec<u8>]> {
        if self.files.get().is_none() {
            let files = self.keyrings.iter().map(|path| Ok(read(path)?.unwrap_or_default())).collect::<Result<_>>()?;
            let _ = self.files.set(files);
        }
        Ok(self.files.get().map(Vec::as_slice).unwrap_or_default())
    }

    /// The certificates that hold one of some texts: key ids, addresses (in lowercase; how the certificate has them does not
    /// matter). A keyring that is not there holds none; what cannot be read in one is passed over.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn certificates(&self, holding: &[Vec<u8>]) -> Result<Certificates> {
        let mut all = Certificates::default();
        for kept in self.files()?.iter().flat_map(|file| certificates_of(file)) {
            if kept.index.is_empty() || holding.iter().any(|text| holds(&kept, text)) {
                all.add_readable(kept.packets);
            }
        }
        Ok(all)
    }

    /// Completes certificates, wherever they were found, by what the keyrings and the shared directory hold of the same ones,
    /// since a revocation may be in either; and by the certificates of those whom they let revoke them, and who may have. `now` in
    /// seconds since 1970 (UTC).
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn complete(&self, certificates: &mut Certificates, now: i64) -> Result<()> {
        let found: Vec<String> = certificates.fingerprints().map(str::to_owned).collect();
        self.add_same(certificates, &found)?;
        let revokers = certificates.absent_revokers(now);
        self.add_same(certificates, &revokers)
    }

    /// Adds the certificates of some fingerprints, from keyrings and shared directory.
    fn add_same(&self, certificates: &mut Certificates, fingerprints: &[String]) -> Result<()> {
        if fingerprints.is_empty() {
            return Ok(());
        }
        let needles: Vec<Vec<u8>> = fingerprints.iter().filter_map(|digits| hex::decode(digits).ok()).collect();
        for kept in self.files()?.iter().flat_map(|file| certificates_of(file)) {
            let in_index = |text: &Vec<u8>| memchr::memmem::find(kept.index, text).is_some();
            if kept.index.is_empty() || needles.iter().any(in_index) {
                certificates.add_same(kept.packets, fingerprints);
            }
        }
        fingerprints.iter().try_for_each(|fingerprint| cert_d::add_one(certificates, fingerprint))
    }

    /// What GnuPG worked out of whom to believe.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn trust(&self) -> Result<TrustDb> {
        let named = self.settings.trustdb.as_deref().unwrap_or(Path::new("trustdb.gpg"));
        Ok(TrustDb::parse(&read(&self.path_of(named.as_os_str().as_bytes())?)?.unwrap_or_default()))
    }
}

/// What gpg takes before a keyring's name.
const KINDS: [&str; 2] = ["gnupg-ring:", "gnupg-kbx:"];

/// gpg.conf, or its like for a version of gpg.
fn read_settings(home: &Path) -> Result<Settings> {
    let common = read(&home.join("common.conf"))?.unwrap_or_default();
    if common.split(|&b| b == b'\n').any(|line| line.trim_ascii() == b"use-keyboxd") {
        bail!(
            "{0} keeps its keys in a keyboxd (use-keyboxd in common.conf), which cannot be read here; export them: gpg --export >{0}/pubring.gpg, and take the setting out",
            home.display(),
        );
    }
    let names: Vec<String> = match fs::read_dir(home) {
        Ok(listed) => listed.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect(),
        Err(_) => vec!["gpg.conf".to_owned()], // a folder that is not there, or that cannot be listed
    };
    let chosen = settings::choose(names.iter().map(String::as_str)).unwrap_or("gpg.conf");
    Ok(Settings::parse(&read(&home.join(chosen))?.unwrap_or_default()))
}

/// pubring.kbx; where a pubring.gpg is there as well, only if gpg made it or used it (g10/keydb.c).
fn default_keyring(home: &Path) -> Result<PathBuf> {
    let (boxed, plain) = (home.join("pubring.kbx"), home.join("pubring.gpg"));
    let is_boxed = !plain.exists() || read(&boxed)?.is_some_and(|file| is_for_openpgp(&file));
    Ok(if is_boxed { boxed } else { plain })
}

/// Whether a certificate holds some bytes; such as are text, in any case of its letters.
fn holds(kept: &Kept<'_>, text: &[u8]) -> bool {
    let has = |it: &[u8]| memchr::memmem::find(it, text).is_some();
    has(kept.index) || has(kept.packets) || (text.is_ascii() && has(&kept.packets.to_ascii_lowercase()))
}

/// The text of a file that a setting names; `~/` is expanded.
///
/// # Errors
/// Where it cannot be read.
pub fn read_text(named: &str) -> Result<String> {
    let path = super::policy::expand_home(named)?;
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
