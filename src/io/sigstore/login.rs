//! A person logs in: by a browser here (RFC 8252, with PKCE), by a browser elsewhere that a short code leads here (RFC 8628), or
//! by a code that the issuer shows and somebody types.
//!
//! What people read goes to the terminal: standard output and standard error are git's.

mod browser;
mod device;

use super::http::Call;
use super::renewal::Renewal;
use super::services::{Login, Services};
use super::token::{IdentityToken, escape_into, secret_in};
use super::{Http, Service};
use crate::io::keys::ephemeral::random;
use crate::io::keys::terminal;
use crate::report::escape::printable;
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::env;
use zeroize::Zeroizing;

/// Somebody logged in.
pub struct LoggedIn {
    /// Who.
    pub token: IdentityToken,
    /// What their certificate can be renewed by, where that was asked for and the issuer gives it.
    pub renewal: Option<Renewal>,
}

/// Has a person log in.
///
/// # Errors
/// Where there is nobody to ask, or whoever is asked, or the issuer, says no.
pub fn ask(http: &Http, services: &Services) -> Result<LoggedIn> {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set) || cfg!(target_os = "macos");
    if !terminal::is_there() && !has_display {
        bail!(
            "there is no identity token, and no terminal to ask at; log in first with `git warrant login` at a terminal, or set SIGSTORE_ID_TOKEN"
        );
    }
    let issuer = Issuer::discover(http, services)?;
    let here = is_set("BROWSER") || (has_display && !is_set("SSH_CONNECTION"));
    match services.login {
        Login::Browser => browser::ask(&issuer),
        Login::Device => device::ask(&issuer),
        Login::Code => by_code(&issuer),
        Login::Any if here => browser::ask(&issuer),
        Login::Any if issuer.places.device_authorization_endpoint.is_some() => device::ask(&issuer),
        Login::Any => by_code(&issuer),
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Where an issuer is asked what (OpenID Connect Discovery 1.0).
#[derive(Deserialize)]
struct Places {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    device_authorization_endpoint: Option<String>,
}

/// An issuer, and as what we come to it.
struct Issuer<'a> {
    http: &'a Http,
    services: &'a Services,
    service: Service,
    places: Places,
    secret: Option<Zeroizing<String>>,
}

/// A question that only its asker can use the answer to (RFC 7636).
struct Pkce {
    verifier: Zeroizing<String>,
    challenge: String,
}

impl Pkce {
    fn new() -> Result<Self> {
        let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<32>()?));
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        Ok(Self { verifier, challenge })
    }
}

#[derive(Deserialize)]
struct Granted {
    id_token: Option<Zeroizing<String>>,
    #[serde(default)]
    refresh_token: Option<Zeroizing<String>>,
}

/// `application/x-www-form-urlencoded`
pub(super) fn form(fields: &[(&str, &str)]) -> Zeroizing<String> {
    // of its final size: what grows leaves copies behind
    let size = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut out = Zeroizing::new(String::with_capacity(size));
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        escape_into(&mut out, value);
    }
    out
}

pub(super) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
pub(super) const JSON: (&str, &str) = ("Accept", "application/json");

impl<'a> Issuer<'a> {
    fn discover(http: &'a Http, services: &'a Services) -> Result<Self> {
        let service =
            Service::new("the issuer", &services.issuer, "try again, or name another: git config warrant.oidcIssuer URL")?;
        let call = Call { path: "/.well-known/openid-configuration", headers: &[JSON], ..Call::default() };
        let places: Places = http.json(&service, call)?;
        if places.issuer.trim_end_matches('/') != service.url {
            return Err(service.error(format!("it calls itself {}", cut(&places.issuer))));
        }
        let secret = services.client_secret.as_ref().map(|path| {
            let text = secret_in(path)
                .with_context(|| format!("cannot read the client secret {} (warrant.oidcClientSecretFile)", path.display()))?;
            Ok::<_, anyhow::Error>(Zeroizing::new(text.trim().to_owned()))
        });
        Ok(Self { http, services, secret: secret.transpose()?, service, places })
    }

    /// One of its places; a token goes through most of them.
    fn place(&self, url: &str) -> Result<Service> {
        let service = Service::new(self.service.name, url, self.service.mend)?;
        Ok(Service { url: url.to_owned(), ..service }) // as it is written, with a slash at its end or without
    }

    /// Whether a refresh token is asked for: only the agent would keep it.
    fn keeps(&self) -> bool {
        self.services.refresh && self.services.agent
    }

    fn scope(&self) -> &'static str {
        if self.keeps() { "openid email offline_access" } else { "openid email" }
    }

    /// The page at which a person logs in.
    fn page(&self, redirect: &str, state: &str, nonce: &str, pkce: &Pkce) -> Result<String> {
        let place = self.place(&self.places.authorization_endpoint)?.url;
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", &self.services.client_id),
            ("redirect_uri", redirect),
            ("scope", self.scope()),
            ("state", state),
            ("nonce", nonce),
            ("code_challenge", &pkce.challenge),
            ("code_challenge_method", "S256"),
        ];
        if let Some(connector) = &self.services.connector {
            fields.push(("connector_id", connector));
        }
        if self.keeps() {
            fields.push(("prompt", "consent")); // OpenID Connect Core §11: whoever logs in is to know
        }
        let joint = if place.contains('?') { '&' } else { '?' };
        Ok(format!("{place}{joint}{}", form(&fields).as_str()))
    }

    /// Asks for the token that a code, or a device, was granted; the answer, whatever its status. `once` where asking again could
    /// spoil what was granted.
    fn token(&self, fields: &[(&str, &str)], secrets: &[(&str, &str)], once: bool) -> Result<(Service, super::http::Answer)> {
        let place = self.place(&self.places.token_endpoint)?;
        let mut all = vec![("client_id", self.services.client_id.as_str())];
        all.extend(fields);
        let public = all.len();
        all.extend(self.secret.as_ref().map(|secret| ("client_secret", secret.as_str())));
        all.extend(secrets);
        let body = form(&all);
        let secrets: Vec<&str> = all.iter().skip(public).map(|(_, value)| *value).collect();
        let call = Call { headers: &[FORM, JSON], body: Some(body.as_bytes()), secrets: &secrets, once, ..Call::default() };
        let answer = self.http.call(&place, call)?;
        Ok((place, answer))
    }

    /// The token that a code stands for.
    fn redeem(&self, code: &str, redirect: &str, nonce: &str, pkce: &Pkce) -> Result<LoggedIn> {
        let fields = [("grant_type", "authorization_code"), ("redirect_uri", redirect)];
        let (place, answer) = self.token(&fields, &[("code", code), ("code_verifier", &pkce.verifier)], true)?;
        if !answer.is_good() {
            return Err(place.refused(&answer));
        }
        let granted = self.granted(&place, &answer.body)?;
        if granted.token.nonce().as_deref() != Some(nonce) {
            return Err(place.error("its token answers another login than this one"));
        }
        Ok(granted)
    }

    /// What stands in a good answer of its token endpoint.
    fn granted(&self, place: &Service, body: &[u8]) -> Result<LoggedIn> {
        let granted: Option<Granted> = serde_json::from_slice(body).ok();
        let (token, refresh) = granted.map_or((None, None), |granted| (granted.id_token, granted.refresh_token));
        let token = token.ok_or_else(|| place.error("its answer holds no identity token"))?;
        let token = IdentityToken::parse(token, "the issuer")?;
        if !token.is_of(&self.places.issuer, &self.services.client_id) {
            return Err(place.error("its token is of another issuer, or for another program (warrant.oidcClientId)"));
        }
        let kept = refresh.filter(|refresh| self.keeps() && !refresh.is_empty());
        let fulcio = self.services.fulcio()?.url;
        let renewal = kept.map(|refresh_token| Renewal {
            issuer: self.places.issuer.clone(),
            token_endpoint: self.places.token_endpoint.clone(),
            client_id: self.services.client_id.clone(),
            client_secret: self.secret.clone(),
            refresh_token,
            fulcio,
            until: Renewal::end(),
        });
        Ok(LoggedIn { token, renewal })
    }
}

/// The last way: a page shows a code, which is typed here.
fn by_code(issuer: &Issuer<'_>) -> Result<LoggedIn> {
    const SHOWN: &str = "urn:ietf:wg:oauth:2.0:oob";
    let pkce = Pkce::new()?;
    let (state, nonce) = (unguessable()?, unguessable()?);
    let page = issuer.page(SHOWN, &state, &nonce, &pkce)?;
    terminal::tell(&format!("git-warrant: to sign, log in at\n\n    {}\n", printable(&page)));
    let code = terminal::secret("the code that is shown there: ")
        .context("there is no terminal to type the code at; git config warrant.login device")?;
    let code = code.context("no code was typed; nothing is signed")?;
    let code = std::str::from_utf8(&code).context("the code is not UTF-8")?;
    issuer.redeem(code.trim(), SHOWN, &nonce, &pkce)
}

/// What somebody else says, no longer than a message takes.
fn cut(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn unguessable() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<16>()?))
}
