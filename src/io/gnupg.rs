//! What GnuPG keeps in its home: keyrings, trust, settings.

use crate::signature::openpgp::Certificates;
use crate::signature::openpgp::keyring::{TrustDb, certificates_of};
use anyhow::{Context as _, Result, bail};
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// GnuPG's home, and how its command line and gpg.conf say that it is used.
pub struct Gnupg {
    home: PathBuf,
    keyrings: Vec<PathBuf>,
    /// Whether every key counts as fully believed.
    pub trust_always: bool,
    /// The key to sign with where nobody names one.
    pub default_key: Option<String>,
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
        let mut gnupg = Self { home, keyrings: Vec::new(), trust_always: false, default_key: None };
        gnupg.read_settings()?;
        Ok(gnupg)
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Adds keyrings; `only`: in the place of the usual one. A name without a slash is one in the home.
    pub fn use_keyrings(&mut self, named: &[PathBuf], only: bool) {
        let own = named.iter().map(|name| if name.components().count() > 1 { name.clone() } else { self.home.join(name) });
        let own: Vec<PathBuf> = own.collect();
        if only {
            self.keyrings.clear();
        }
        self.keyrings.extend(own);
    }

    /// gpg.conf, as far as it says what is verified and signed with.
    fn read_settings(&mut self) -> Result<()> {
        let mut default_keyring = true;
        let mut named = Vec::new();
        for line in read(&self.home.join("gpg.conf"))?.unwrap_or_default().split(|&b| b == b'\n') {
            let line = String::from_utf8_lossy(line).trim().to_owned();
            let (name, value) = line.split_once([' ', '\t', '=']).unwrap_or((&line, ""));
            let value = value.trim().trim_matches('"');
            match name.trim_start_matches("--") {
                "trust-model" => self.trust_always = value == "always",
                "always-trust" => self.trust_always = true,
                "default-key" => self.default_key = Some(value.to_owned()),
                "keyring" | "primary-keyring" => named.push(PathBuf::from(value)),
                "no-default-keyring" => default_keyring = false,
                _ => {}
            }
        }
        let common = read(&self.home.join("common.conf"))?.unwrap_or_default();
        if common.split(|&b| b == b'\n').any(|line| line.trim_ascii() == b"use-keyboxd") {
            bail!(
                "{} keeps its keys in a keyboxd (use-keyboxd in common.conf), which cannot be read here; export them: gpg --export >{}/pubring.gpg, and take the setting out",
                self.home.display(),
                self.home.display()
            );
        }
        if default_keyring {
            let boxed = self.home.join("pubring.kbx");
            self.keyrings.push(if boxed.exists() { boxed } else { self.home.join("pubring.gpg") });
        }
        self.use_keyrings(&named, false);
        Ok(())
    }

    /// The certificates that hold one of some texts: key ids, addresses. A keyring that is not there holds none; what cannot be
    /// read in one is passed over.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn certificates(&self, holding: &[Vec<u8>]) -> Result<Certificates> {
        let mut all = Certificates::default();
        for path in &self.keyrings {
            let file = read(path)?.unwrap_or_default();
            for kept in certificates_of(&file) {
                let holds = |text: &Vec<u8>| [kept.index, kept.packets].iter().any(|it| memchr::memmem::find(it, text).is_some());
                if kept.index.is_empty() || holding.iter().any(holds) {
                    all.add_readable(kept.packets);
                }
            }
        }
        Ok(all)
    }

    /// What GnuPG worked out of whom to believe.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn trust(&self) -> Result<TrustDb> {
        Ok(TrustDb::parse(&read(&self.home.join("trustdb.gpg"))?.unwrap_or_default()))
    }
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
