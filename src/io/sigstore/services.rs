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
//! As with gitsign, a variable goes before its setting; `warrant.*` goes before both. What none of them names comes from the
//! signing configuration: that of `warrant.signingConfig` (a file, or `tuf:` and a mirror from which one was fetched), or, where
//! no service is named at all, the last that was fetched of Sigstore's public instance. Without any: what is built in.

use super::Service;
use super::tuf::Mirror;
use crate::io::clock;
use crate::io::config::Config;
use crate::io::trust::{FETCHED, SIGNING_CONFIG, fetched, read_bounded, trusted_root};
use crate::signature::x509::Root;
use crate::signature::x509::sign::SigningConfig;
use anyhow::{Context as _, Result, anyhow, bail};
use std::env;
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

impl RekorVersion {
    fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// A longer signing configuration is refused, in bytes: real ones have some 2,000.
const MOST_CONFIG_BYTES: usize = 1 << 20;
const FULCIO: &str = "https://fulcio.sigstore.dev";
const REKOR: &str = "https://rekor.sigstore.dev";
const ISSUER: &str = "https://oauth2.sigstore.dev/auth";
const CLIENT_ID: &str = "sigstore";

/// The first that is set: our own setting, a variable, gitsign's setting.
fn find(config: &Config, ours: &str, variables: &[&str], gitsigns: &str) -> Result<Option<String>> {
    let ours = config.get(&format!("warrant.{ours}"))?;
    let variable = || variables.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    let gitsigns = || if gitsigns.is_empty() { Ok(None) } else { config.get(&format!("gitsign.{gitsigns}")) };
    let found = match ours.or_else(variable) {
        Some(value) => Some(value),
        None => gitsigns()?,
    };
    Ok(found.filter(|value| !value.is_empty()))
}

/// The services that settings name, one by one.
struct Named {
    fulcio: Option<String>,
    rekor: Option<String>,
    tsa: Option<String>,
    /// Where the others stand: a file, or `tuf:` and a mirror.
    config: Option<String>,
}

impl Named {
    fn of(config: &Config) -> Result<Self> {
        Ok(Self {
            fulcio: find(config, "fulcio", &["GITSIGN_FULCIO_URL", "SIGSTORE_FULCIO_URL"], "fulcio")?,
            rekor: find(config, "rekor", &["GITSIGN_REKOR_URL", "SIGSTORE_REKOR_URL"], "rekor")?,
            tsa: find(config, "tsa", &["GITSIGN_TIMESTAMP_SERVER_URL", "SIGSTORE_TIMESTAMP_SERVER_URL"], "timestampServerURL")?,
            config: find(config, "signingConfig", &[], "")?,
        })
    }

    /// Whether all are Sigstore's public ones.
    fn are_public(&self) -> bool {
        let named = self.config.as_deref().filter(|config| *config != "none");
        self.fulcio.is_none() && self.rekor.is_none() && self.tsa.is_none() && named.is_none()
    }

    /// The signing configuration that they come from, where there is one, and its name: the one that is named; else, for the
    /// public services, what was fetched last.
    fn config(&self) -> Result<Option<(String, SigningConfig)>> {
        let name = match self.config.as_deref() {
            Some("none") => return Ok(None),
            Some(named) => named.to_owned(),
            None if self.are_public() => format!("{FETCHED}public-good"),
            None => return Ok(None),
        };
        let text = match name.strip_prefix(FETCHED) {
            Some(mirror) => {
                let url = Mirror::named(mirror)?.url().to_owned();
                match fetched(&url, SIGNING_CONFIG)? {
                    Some(text) => text.into_bytes(),
                    None if self.config.is_none() => return Ok(None),
                    None => bail!(
                        "warrant.signingConfig is {name}, and nothing was fetched from {url}; git warrant trust update --mirror {mirror}"
                    ),
                }
            }
            None => read_bounded(&expanded(&name)?, MOST_CONFIG_BYTES).context("warrant.signingConfig")?,
        };
        let config = SigningConfig::parse(&text).with_context(|| format!("the signing configuration {name}"))?;
        Ok(Some((name, config)))
    }
}

/// By what the personality verifies: `warrant.trustedRoot`, or what is built in where the services are Sigstore's public ones.
/// `none`, or a Sigstore of one's own without a root: by nothing.
///
/// # Errors
/// Where the root cannot be read.
pub fn root(config: &Config) -> Result<Option<Root>> {
    root_of(root_named(config, &Named::of(config)?)?.as_deref())
}

/// Whether signatures are to be in a log (`warrant.log`).
///
/// # Errors
/// Where the setting makes no sense.
pub fn logged(config: &Config) -> Result<bool> {
    boolean("warrant.log", find(config, "log", &[], "")?.as_deref(), true)
}

/// The Rekor v1 in which entries are searched that a signature does not carry.
///
/// # Errors
/// Where a setting makes no sense.
pub fn searched(config: &Config) -> Result<Service> {
    let named = Named::of(config)?;
    let url = match (find(config, "rekorVersion", &[], "")?.as_deref(), &named.rekor) {
        (Some("2"), _) | (_, None) => {
            let config = named.config()?;
            let url = config.as_ref().and_then(|(_, config)| config.rekor(clock::now(), 1).ok().flatten());
            url.unwrap_or(REKOR).to_owned()
        }
        (_, Some(url)) => url.clone(),
    };
    Service::new(
        "Rekor",
        &url,
        "what is not in the signature stays unproved; try again later, or name another log: git config warrant.rekor URL",
    )
}

fn root_named(config: &Config, named: &Named) -> Result<Option<String>> {
    Ok(find(config, "trustedRoot", &[], "")?.or_else(|| named.are_public().then(|| "public-good".to_owned())))
}

fn root_of(named: Option<&str>) -> Result<Option<Root>> {
    let named = named.filter(|named| *named != "none");
    named.map(|named| trusted_root(named).context("warrant.trustedRoot")).transpose()
}

impl Services {
    /// Reads the settings, the environment, and the signing configuration that they name.
    ///
    /// # Errors
    /// Where a value makes no sense, or a service has no address.
    pub fn of(config: &Config) -> Result<Self> {
        let named = Named::of(config)?;
        let find = |ours: &str, variables: &[&str], gitsigns: &str| find(config, ours, variables, gitsigns);
        let source = named.config()?;
        let now = clock::now();
        let lacks = |what: &str, setting: &str, name: &str| {
            anyhow!(
                "the signing configuration {name} has no {what} that holds now; git warrant trust update fetches a newer one, and git config {setting} URL names one"
            )
        };
        let wanted = match find("rekorVersion", &[], "")?.as_deref() {
            None => None,
            Some("1") => Some(RekorVersion::V1),
            Some("2") => Some(RekorVersion::V2),
            Some(other) => bail!("warrant.rekorVersion is `{other}`; Rekor's versions are 1 and 2"),
        };
        let (rekor, rekor_version) = match (&named.rekor, &source) {
            (Some(url), _) => (url.clone(), wanted.unwrap_or(RekorVersion::V1)),
            (None, Some((name, source))) => {
                // gitsign of old reads the first version only
                let versions = wanted.map_or(vec![RekorVersion::V1, RekorVersion::V2], |wanted| vec![wanted]);
                let mut found = None;
                for version in versions {
                    let url = source.rekor(now, version.number()).with_context(|| format!("the signing configuration {name}"))?;
                    found = found.or(url.map(|url| (url.to_owned(), version)));
                }
                let which = wanted.map_or_else(|| "Rekor".to_owned(), |wanted| format!("Rekor of version {}", wanted.number()));
                found.ok_or_else(|| lacks(&which, "warrant.rekor", name))?
            }
            (None, None) if wanted == Some(RekorVersion::V2) => bail!(
                "warrant.rekorVersion is 2, and no log is named; git warrant trust update learns where it is (its URL changes each year), or git config warrant.rekor URL"
            ),
            (None, None) => (REKOR.to_owned(), RekorVersion::V1),
        };
        let mut tsa = named.tsa.clone();
        let log = logged(config)?;
        if !log && tsa.is_none() {
            bail!(
                "warrant.log is false, and no timestamp authority is named, so nothing would prove when a signature was made; git config warrant.tsa URL"
            );
        }
        if let (None, RekorVersion::V2) = (&tsa, rekor_version) {
            let Some((name, source)) = &source else {
                bail!("Rekor v2 proves no time, so a timestamp is needed beside it; git config warrant.tsa URL");
            };
            let url = source.timestamps(now).with_context(|| format!("the signing configuration {name}"))?;
            tsa = Some(url.ok_or_else(|| lacks("timestamp authority", "warrant.tsa", name))?.to_owned());
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
        let client_id = find("oidcClientId", &["GITSIGN_OIDC_CLIENT_ID", "SIGSTORE_OIDC_CLIENT_ID"], "clientID")?;
        let secret = find("oidcClientSecretFile", &["SIGSTORE_OIDC_CLIENT_SECRET_FILE"], "")?;
        let file = find("tokenFile", &[], "")?;
        let fulcio = match (&named.fulcio, &source) {
            (Some(url), _) => url.clone(),
            (None, Some((name, source))) => {
                source.fulcio(now).ok_or_else(|| lacks("certificate authority", "warrant.fulcio", name))?.to_owned()
            }
            (None, None) => FULCIO.to_owned(),
        };
        let issuer = match (find("oidcIssuer", &["GITSIGN_OIDC_ISSUER", "SIGSTORE_OIDC_ISSUER"], "issuer")?, &source) {
            (Some(url), _) => url,
            (None, Some((name, source))) => {
                source.issuer(now).ok_or_else(|| lacks("issuer", "warrant.oidcIssuer", name))?.to_owned()
            }
            (None, None) => ISSUER.to_owned(),
        };
        // services that a mirror names are known to the trusted root of the same mirror, and not always to that which is built in
        let of_mirror = source.map(|(name, _)| name).filter(|name| name.starts_with(FETCHED));
        let trusted_root = match find("trustedRoot", &[], "")? {
            Some(named) => Some(named),
            None => of_mirror.or(root_named(config, &named)?),
        };
        Ok(Self {
            fulcio,
            rekor,
            rekor_version,
            tsa,
            trusted_root,
            issuer,
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

    /// By what a signature is verified before anybody sees it: `warrant.trustedRoot`; else the root of the mirror that named the
    /// services, or what is built in where they are Sigstore's public ones. `none`, or a Sigstore of one's own without a root: by
    /// nothing.
    ///
    /// # Errors
    /// Where the root cannot be read.
    pub fn root(&self) -> Result<Option<Root>> {
        root_of(self.trusted_root.as_deref())
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
