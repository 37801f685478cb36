//! Which services sign for whom: our own settings, else gitsign's, else Sigstore's public ones.
//!
//! | ours | gitsign's | its variables, the first that is set |
//! |---|---|---|
//! | `warrant.fulcio` | `gitsign.fulcio` | GITSIGN_FULCIO_URL, SIGSTORE_FULCIO_URL |
//! | `warrant.rekor` | `gitsign.rekor` | GITSIGN_REKOR_URL, SIGSTORE_REKOR_URL |
//! | `warrant.tsa` | `gitsign.timestampServerURL` | GITSIGN_TIMESTAMP_SERVER_URL, SIGSTORE_TIMESTAMP_SERVER_URL |
//! | `warrant.oidcIssuer` | `gitsign.issuer` | GITSIGN_OIDC_ISSUER, SIGSTORE_OIDC_ISSUER |
//! | `warrant.oidcClientId` | `gitsign.clientID` | GITSIGN_OIDC_CLIENT_ID, SIGSTORE_OIDC_CLIENT_ID |
//! | `warrant.oidcConnector` | `gitsign.connectorID` | GITSIGN_CONNECTOR_ID, SIGSTORE_CONNECTOR_ID |
//! | `warrant.oidcRedirect` | `gitsign.redirectURL` | GITSIGN_OIDC_REDIRECT_URL, SIGSTORE_OIDC_REDIRECT_URL |
//! | `warrant.tokenSource` | `gitsign.tokenProvider` | GITSIGN_TOKEN_PROVIDER |
//! | `warrant.matchCommitter` | `gitsign.matchCommitter` | GITSIGN_MATCH_COMMITTER |
//!
//! As with gitsign, a variable goes before its setting; `warrant.*` goes before both.

use super::Service;
use crate::io::config::Config;
use crate::signature::x509::Root;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::fs;
use std::path::PathBuf;

/// Where to sign, and as whom.
#[derive(Clone, Debug)]
pub struct Services {
    fulcio: String,
    rekor: String,
    /// Which API the log has.
    pub rekor_version: RekorVersion,
    tsa: Option<String>,
    trusted_root: Option<String>,
    /// Who says who people are.
    pub issuer: String,
    /// As what this program is known there: also the audience of tokens.
    pub client_id: String,
    /// A file with the secret that some issuers want of it.
    pub client_secret: Option<PathBuf>,
    /// Which of its own sources the issuer is to ask, so that nobody has to choose.
    pub connector: Option<String>,
    /// Where the issuer sends the browser back to, for one that knows a single place.
    pub redirect: Option<String>,
    /// How people log in.
    pub login: Login,
    /// Whether an agent keeps the certificate of whoever logged in.
    pub agent: bool,
    /// Whether the agent also keeps a refresh token, and renews the certificate by it.
    pub refresh: bool,
    /// Whether signatures are logged.
    pub log: bool,
    /// Where the token comes from, where not every place is to be tried.
    pub token_source: Option<String>,
    /// A file that holds a token.
    pub token_file: Option<PathBuf>,
    /// Whether the certificate must name the committer.
    pub match_committer: bool,
}

/// The API of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekorVersion {
    /// Trees that prove their times.
    V1,
    /// Tiles, which prove none: a timestamp is needed beside them.
    V2,
}

/// How people log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// By a browser where there is a display, else by a device code.
    Any,
    /// By a browser on this machine.
    Browser,
    /// By a browser elsewhere, which a short code leads here.
    Device,
    /// By a browser elsewhere, which shows a code to type.
    Code,
}

const FULCIO: &str = "https://fulcio.sigstore.dev";
const REKOR: &str = "https://rekor.sigstore.dev";
const ISSUER: &str = "https://oauth2.sigstore.dev/auth";
const CLIENT_ID: &str = "sigstore";

impl Services {
    /// Reads the settings and the environment.
    ///
    /// # Errors
    /// Where a value makes no sense.
    pub fn of(config: &Config) -> Result<Self> {
        let find = |ours: &str, variables: &[&str], gitsigns: &str| -> Result<Option<String>> {
            let ours = config.get(&format!("warrant.{ours}"))?;
            let variable = || variables.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
            let gitsigns = || if gitsigns.is_empty() { Ok(None) } else { config.get(&format!("gitsign.{gitsigns}")) };
            let found = match ours.or_else(variable) {
                Some(value) => Some(value),
                None => gitsigns()?,
            };
            Ok(found.filter(|value| !value.is_empty()))
        };
        let rekor_version = match find("rekorVersion", &[], "")?.as_deref() {
            None | Some("1") => RekorVersion::V1,
            Some("2") => RekorVersion::V2,
            Some(other) => bail!("warrant.rekorVersion is `{other}`; Rekor's versions are 1 and 2"),
        };
        let rekor = find("rekor", &["GITSIGN_REKOR_URL", "SIGSTORE_REKOR_URL"], "rekor")?;
        let tsa = find("tsa", &["GITSIGN_TIMESTAMP_SERVER_URL", "SIGSTORE_TIMESTAMP_SERVER_URL"], "timestampServerURL")?;
        let log = boolean("warrant.log", find("log", &[], "")?.as_deref(), true)?;
        if !log && tsa.is_none() {
            bail!(
                "warrant.log is false, and no timestamp authority is named, so nothing would prove when a signature was made; git config warrant.tsa URL"
            );
        }
        if log && rekor_version == RekorVersion::V2 {
            // its URL changes each year, and it proves no time
            if rekor.is_none() {
                bail!("warrant.rekorVersion is 2, and no log is named; git config warrant.rekor URL");
            }
            if tsa.is_none() {
                bail!("Rekor v2 proves no time, so a timestamp is needed beside it; git config warrant.tsa URL");
            }
        }
        let login = match find("login", &[], "")?.as_deref() {
            None | Some("any") => Login::Any,
            Some("browser") => Login::Browser,
            Some("device") => Login::Device,
            Some("code") => Login::Code,
            Some(other) => bail!("warrant.login is `{other}`; it can be any, browser, device or code"),
        };
        let matches = find("matchCommitter", &["GITSIGN_MATCH_COMMITTER"], "matchCommitter")?;
        let match_committer = boolean("warrant.matchCommitter", matches.as_deref(), false)?;
        let agent = boolean("warrant.agent", find("agent", &[], "")?.as_deref(), true)?;
        let refresh = boolean("warrant.refresh", find("refresh", &[], "")?.as_deref(), false)?;
        let issuer = find("oidcIssuer", &["GITSIGN_OIDC_ISSUER", "SIGSTORE_OIDC_ISSUER"], "issuer")?;
        let client_id = find("oidcClientId", &["GITSIGN_OIDC_CLIENT_ID", "SIGSTORE_OIDC_CLIENT_ID"], "clientID")?;
        let secret = find("oidcClientSecretFile", &["SIGSTORE_OIDC_CLIENT_SECRET_FILE"], "")?;
        let file = find("tokenFile", &[], "")?;
        let fulcio = find("fulcio", &["GITSIGN_FULCIO_URL", "SIGSTORE_FULCIO_URL"], "fulcio")?;
        let public = fulcio.is_none() && rekor.is_none() && tsa.is_none();
        let trusted_root = find("trustedRoot", &[], "")?.or_else(|| public.then(|| "public-good".to_owned()));
        Ok(Self {
            fulcio: fulcio.unwrap_or_else(|| FULCIO.to_owned()),
            rekor: rekor.unwrap_or_else(|| REKOR.to_owned()),
            rekor_version,
            tsa,
            trusted_root,
            issuer: issuer.unwrap_or_else(|| ISSUER.to_owned()),
            client_id: client_id.unwrap_or_else(|| CLIENT_ID.to_owned()),
            client_secret: secret.map(|path| expanded(&path)).transpose()?,
            connector: find("oidcConnector", &["GITSIGN_CONNECTOR_ID", "SIGSTORE_CONNECTOR_ID"], "connectorID")?,
            redirect: find("oidcRedirect", &["GITSIGN_OIDC_REDIRECT_URL", "SIGSTORE_OIDC_REDIRECT_URL"], "redirectURL")?,
            login,
            agent,
            refresh,
            log,
            token_source: find("tokenSource", &["GITSIGN_TOKEN_PROVIDER"], "tokenProvider")?,
            token_file: file.map(|path| expanded(&path)).transpose()?,
            match_committer,
        })
    }

    /// The certificate authority.
    ///
    /// # Errors
    /// Where its URL makes no sense.
    pub fn fulcio(&self) -> Result<Service> {
        fulcio_at(&self.fulcio)
    }

    /// The log.
    ///
    /// # Errors
    /// Where its URL makes no sense.
    pub fn rekor(&self) -> Result<Service> {
        Service::new(
            "Rekor",
            &self.rekor,
            "nothing is signed that is not logged; try again later, or name another: git config warrant.rekor URL",
        )
    }

    /// The timestamp authority, if there is one.
    ///
    /// # Errors
    /// Where its URL makes no sense.
    pub fn timestamps(&self) -> Result<Option<Service>> {
        let mend = "try again later, or name another: git config warrant.tsa URL";
        self.tsa.as_ref().map(|url| Service::new("the timestamp authority", url, mend)).transpose()
    }

    /// By what a signature is verified before anybody sees it: `warrant.trustedRoot`, or what is built in where the services are
    /// Sigstore's public ones. `none`, or a Sigstore of one's own without a root: by nothing.
    ///
    /// # Errors
    /// Where the root cannot be read.
    pub fn root(&self) -> Result<Option<Root>> {
        let Some(named) = self.trusted_root.as_deref().filter(|named| *named != "none") else { return Ok(None) };
        if let Some(root) = Root::embedded(named, named) {
            return Ok(Some(root));
        }
        let path = expanded(named)?;
        let json =
            fs::read(&path).with_context(|| format!("cannot read the trusted root {} (warrant.trustedRoot)", path.display()))?;
        let root =
            Root::parse(&json, named).with_context(|| format!("{} is no trusted root (warrant.trustedRoot)", path.display()))?;
        Ok(Some(root))
    }

    /// Whatever of this decides who a certificate names and who issues it: what was issued under one is not used under another.
    pub fn issuing(&self) -> String {
        let parts = [&self.fulcio, &self.issuer, &self.client_id, self.connector.as_ref().unwrap_or(&self.client_id)];
        parts.map(String::as_str).join("\n")
    }
}

/// The certificate authority at a URL.
///
/// # Errors
/// Where the URL makes no sense.
pub(super) fn fulcio_at(url: &str) -> Result<Service> {
    Service::new("Fulcio", url, "try again later, or name another: git config warrant.fulcio URL")
}

fn boolean(name: &str, value: Option<&str>, default: bool) -> Result<bool> {
    match value {
        None => Ok(default),
        Some("false" | "no" | "off" | "0") => Ok(false),
        Some("true" | "yes" | "on" | "1") => Ok(true),
        Some(other) => bail!("{name} is `{other}`, which is neither true nor false"),
    }
}

/// A path that may begin with `~/`.
fn expanded(path: &str) -> Result<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => {
            let home = env::var_os("HOME").with_context(|| format!("HOME is not set, so `{path}` cannot be expanded"))?;
            Ok(PathBuf::from(home).join(rest))
        }
        None => Ok(path.into()),
    }
}
