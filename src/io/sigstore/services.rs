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
//! no service is named at all, the last that was fetched of Sigstore's public instance, as long as it holds. Without any: what is
//! built in.

mod settings;

use super::Service;
use super::tuf::{Mirror, ends};
use crate::io::clock;
use crate::io::config::Config;
use crate::io::git::Repository;
use crate::io::trust::{FETCHED, SIGNING_CONFIG, read_bounded, state, trusted_root};
use crate::signature::x509::Root;
use crate::signature::x509::sign::SigningConfig;
use crate::verdict::Utc;
use anyhow::{Context as _, Result, anyhow, bail};
pub use settings::unread;
use settings::{expanded, find, flag, trusted_file};
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
    /// What people should know of where these come from.
    pub warning: Option<String>,
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
const PUBLIC: &str = "public-good";
const FULCIO: &str = "https://fulcio.sigstore.dev";
const REKOR: &str = "https://rekor.sigstore.dev";
const ISSUER: &str = "https://oauth2.sigstore.dev/auth";
const CLIENT_ID: &str = "sigstore";

/// A signing configuration, by its name.
struct Source {
    name: String,
    config: SigningConfig,
}

impl Source {
    fn parse(name: &str, text: &[u8]) -> Result<Self> {
        let config = SigningConfig::parse(text).with_context(|| format!("the signing configuration {name}"))?;
        Ok(Self { name: name.to_owned(), config })
    }

    /// The one that was fetched from a mirror, if one was.
    fn fetched(mirror: &str) -> Result<Option<Self>> {
        let url = Mirror::named(mirror)?.url().to_owned();
        let Some(files) = state(&url)? else { return Ok(None) };
        let Some(text) = files.get(SIGNING_CONFIG) else { return Ok(None) };
        let mend = format!("git warrant trust update --mirror {mirror} asks for what is newer");
        match ends(&files) {
            Some(end) if end >= clock::now() => {}
            Some(end) => bail!("what was fetched from {url} held until {}, and may be withdrawn since; {mend}", Utc(end)),
            None => bail!("what was fetched from {url} does not say until when it holds; {mend}"),
        }
        Self::parse(&format!("{FETCHED}{mirror}"), text.as_bytes()).map(Some)
    }

    fn rekor(&self, version: RekorVersion) -> Result<Option<String>> {
        let url = self.config.rekor(clock::now(), version.number());
        Ok(url.with_context(|| format!("the signing configuration {}", self.name))?.map(str::to_owned))
    }
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
        let public = match self.config.as_deref() {
            None | Some("none") => true,
            Some(config) => config.strip_prefix(FETCHED).is_some_and(Mirror::is_public),
        };
        self.fulcio.is_none() && self.rekor.is_none() && self.tsa.is_none() && public
    }

    /// The signing configuration that is named.
    fn config(&self, repository: Option<&Repository>) -> Result<Option<Source>> {
        let Some(name) = self.config.as_deref().filter(|name| *name != "none") else { return Ok(None) };
        let Some(mirror) = name.strip_prefix(FETCHED) else {
            let text = trusted_file(repository, name).and_then(|path| read_bounded(&path, MOST_CONFIG_BYTES));
            let text = text.context("warrant.signingConfig")?;
            return Source::parse(name, &text).map(Some);
        };
        let fetched = Source::fetched(mirror).with_context(|| format!("warrant.signingConfig is {name}"))?;
        let source = fetched.with_context(|| {
            let url = Mirror::named(mirror).map_or_else(|_| mirror.to_owned(), |mirror| mirror.url().to_owned());
            format!(
                "warrant.signingConfig is {name}, and nothing was fetched from {url}; git warrant trust update --mirror {mirror}"
            )
        })?;
        Ok(Some(source))
    }

    /// Of the public instance what was fetched last, where nothing at all is named, and with a root that can be used.
    fn unnamed_config(&self) -> Result<Option<Source>> {
        if self.config.is_some() || !self.are_public() {
            return Ok(None);
        }
        let source = Source::fetched(PUBLIC)?;
        source.as_ref().map(|source| trusted_root(&source.name)).transpose()?;
        Ok(source)
    }
}

/// Nobody asked for what was fetched, so that nobody's work hangs on it.
fn unused(why: &anyhow::Error) -> String {
    format!("warning: what was fetched of Sigstore's public instance is not used, but what is built in: {why:#}")
}

/// Services of one's own are believed whatever they answer where nothing says what they have to sign it by.
fn unverified(config: &Config) -> Result<String> {
    let unread = unread(config)?.map(|unread| format!("; {unread}")).unwrap_or_default();
    Ok(format!(
        "warning: no trusted root is named, so that nothing verifies what the services answer; git config warrant.trustedRoot FILE names theirs (or none, to ask for none){unread}"
    ))
}

/// By what the personality verifies: `warrant.trustedRoot`, or what is built in where the services are Sigstore's public ones.
/// `none`, or a Sigstore of one's own without a root: by nothing.
///
/// # Errors
/// Where the root cannot be read, or lies in the work tree.
pub fn root(repository: &Repository, config: &Config) -> Result<Option<Root>> {
    root_of(root_named(Some(repository), config, &Named::of(config)?)?.as_deref())
}

/// Whether signatures are to be in a log (`warrant.log`).
///
/// # Errors
/// Where the setting makes no sense.
pub fn logged(config: &Config) -> Result<bool> {
    flag(config, "log", &[], "", true)
}

/// The Rekor v1 in which entries are searched that a signature does not carry, and a warning. The public one is asked only by whom
/// no other instance is named: others need not know what is searched.
///
/// # Errors
/// Where a setting makes no sense, or none says where the log is.
pub fn searched(repository: &Repository, config: &Config) -> Result<(Service, Option<String>)> {
    let named = Named::of(config)?;
    let of_v2 = find(config, "rekorVersion", &[], "")?.is_some_and(|version| version == "2");
    let listed = |source: Option<Source>| source.map_or(Ok(None), |source| source.rekor(RekorVersion::V1));
    let mut warning = None;
    let url = match named.rekor.as_ref().filter(|_| !of_v2) {
        Some(url) => Some(url.clone()),
        None => match named.config(Some(repository))? {
            Some(source) => listed(Some(source))?,
            None => named.unnamed_config().and_then(listed).unwrap_or_else(|error| {
                warning = Some(unused(&error));
                None
            }),
        },
    };
    let url = url.or_else(|| named.are_public().then(|| REKOR.to_owned())).context(
        "--online asks Rekor v1, and no setting says where that of this instance is; git config warrant.rekor URL names it (of a Rekor v1), as does a signing configuration (warrant.signingConfig)",
    )?;
    let service = Service::new(
        "Rekor",
        &url,
        "what is not in the signature stays unproved; try again later, or name another log: git config warrant.rekor URL",
    )?;
    Ok((service, warning))
}

fn root_named(repository: Option<&Repository>, config: &Config, named: &Named) -> Result<Option<String>> {
    let Some(root) = find(config, "trustedRoot", &[], "")? else {
        return Ok(named.are_public().then(|| PUBLIC.to_owned()));
    };
    if root != "none" && !root.starts_with(FETCHED) && !Root::EMBEDDED.contains(&root.as_str()) {
        trusted_file(repository, &root).context("warrant.trustedRoot")?;
    }
    Ok(Some(root))
}

fn root_of(named: Option<&str>) -> Result<Option<Root>> {
    let named = named.filter(|named| *named != "none");
    named.map(|named| trusted_root(named).context("warrant.trustedRoot")).transpose()
}

impl Services {
    /// Reads the settings, the environment, and the signing configuration that they name; what these name may not lie in the work
    /// tree of the repository, where there is one.
    ///
    /// # Errors
    /// Where a value makes no sense, or a service has no address.
    pub fn of(repository: Option<&Repository>, config: &Config) -> Result<Self> {
        let named = Named::of(config)?;
        if let Some(source) = named.config(repository)? {
            return Self::by(repository, config, &named, Some(source));
        }
        let why = match named.unnamed_config() {
            Ok(source) => match Self::by(repository, config, &named, source) {
                Ok(services) => return Ok(services),
                Err(why) => why,
            },
            Err(why) => why,
        };
        match Self::by(repository, config, &named, None) {
            Ok(services) => Ok(Self { warning: Some(unused(&why)), ..services }),
            Err(_) => Err(why),
        }
    }

    fn by(repository: Option<&Repository>, config: &Config, named: &Named, source: Option<Source>) -> Result<Self> {
        let find = |ours: &str, variables: &[&str], gitsigns: &str| find(config, ours, variables, gitsigns);
        let source = source.map(|source| (source.name, source.config));
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
                    found = url.map(|url| (url.to_owned(), version));
                    if found.is_some() {
                        break; // how many there are of others is nobody's concern
                    }
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
        let match_committer = flag(config, "matchCommitter", &["GITSIGN_MATCH_COMMITTER"], "matchCommitter", false)?;
        let agent = flag(config, "agent", &[], "", true)?;
        let refresh = flag(config, "refresh", &[], "", false)?;
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
            None if of_mirror.is_some() => of_mirror,
            _ => root_named(repository, config, named)?,
        };
        let warning = trusted_root.is_none().then(|| unverified(config)).transpose()?;
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
            warning,
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

    /// The name of the root that [`Services::root`] reads, and the root that is built in of the same instance, where the first is one
    /// that was fetched: policies may name either.
    pub fn built_in(&self) -> Option<(&str, Root)> {
        let named = self.trusted_root.as_deref()?;
        let mirror = named.strip_prefix(FETCHED)?;
        let name = if Mirror::is_public(mirror) { PUBLIC } else { mirror };
        Root::embedded(name, name).map(|root| (named, root))
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
