//! Identity tokens, and the places where they lie ready: the environment, a file, the service that runs this job.

use super::http::Call;
use super::services::Services;
use super::{Http, Service, spiffe};
use crate::io::clock;
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::fs::{Mode, OFlags, open};
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::{env, fmt};
use zeroize::Zeroizing;

/// A longer one is none.
const MAX_TOKEN: usize = 64 * 1024;
/// Where a token lies that is mounted into a container (cosign's and gitsign's place).
const MOUNTED: &str = "/var/run/sigstore/cosign/oidc-token";

/// An OpenID Connect identity token. Whoever reads it can use it, so it is shown nowhere, and wiped.
pub struct IdentityToken(Zeroizing<String>);

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityToken")
    }
}

/// What is read of one; Fulcio verifies it.
#[derive(Deserialize)]
struct Claims {
    exp: i64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    aud: Option<Audience>,
}

/// For whom a token is (RFC 7519 §4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl IdentityToken {
    /// Takes a token that has not ended.
    ///
    /// # Errors
    /// Where the text is no token, or the token has ended; `from` says in messages where it comes from.
    pub fn parse(text: Zeroizing<String>, from: &str) -> Result<Self> {
        let token = Self(Zeroizing::new(text.trim().to_owned()));
        let claims = token.claims().with_context(|| format!("{from} holds no identity token (a JSON Web Token)"))?;
        let now = clock::now();
        if claims.exp <= now {
            bail!(
                "the identity token of {from} has ended {} s ago; get a new one, or set the clock of this machine",
                now - claims.exp
            );
        }
        Ok(token)
    }

    /// The token itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nonce that it answers.
    pub(super) fn nonce(&self) -> Option<String> {
        self.claims()?.nonce
    }

    /// Whether an issuer made it, and for this program (OpenID Connect Core §3.1.3.7). Only of tokens that somebody logged in for:
    /// of others Fulcio knows better who may make them.
    pub(super) fn is_of(&self, issuer: &str, client_id: &str) -> bool {
        let Some(claims) = self.claims() else { return false };
        let is_for = match &claims.aud {
            Some(Audience::One(one)) => one == client_id,
            Some(Audience::Several(all)) => all.iter().any(|one| one == client_id),
            None => false,
        };
        is_for && claims.iss.is_some_and(|theirs| theirs.trim_end_matches('/') == issuer.trim_end_matches('/'))
    }

    fn claims(&self) -> Option<Claims> {
        let mut parts = Some(&self.0).filter(|text| text.len() <= MAX_TOKEN && text.is_ascii())?.split('.');
        let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
        serde_json::from_slice(&Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?)).ok()
    }
}

/// The token that lies ready, if one does.
///
/// # Errors
/// Where a place that should hold one does not.
pub fn at_hand(http: &Http, services: &Services) -> Result<Option<IdentityToken>> {
    let wanted = services.token_source.as_deref();
    if let Some(unknown) = wanted.filter(|name| !SOURCES.iter().any(|source| source.names.contains(name)) && *name != "interactive")
    {
        let known: Vec<&str> = SOURCES.iter().filter_map(|source| source.names.first().copied()).collect();
        bail!("warrant.tokenSource is `{unknown}`; known are {} and interactive", known.join(", "));
    }
    for source in SOURCES {
        if wanted.is_none_or(|name| source.names.contains(&name))
            && let Some(token) = (source.get)(http, services)?
        {
            return Ok(Some(token));
        }
    }
    match wanted {
        Some(name) if name != "interactive" => {
            bail!("warrant.tokenSource is `{name}`, and there is no token; unset it, or see to its token")
        }
        _ => Ok(None),
    }
}

/// A place where a token may lie ready.
struct Source {
    /// Its name in settings; further ones are gitsign's.
    names: &'static [&'static str],
    get: fn(&Http, &Services) -> Result<Option<IdentityToken>>,
}

const SOURCES: &[Source] = &[
    Source { names: &["environment", "envvar"], get: |_, _| from_environment("SIGSTORE_ID_TOKEN") },
    Source { names: &["file", "filesystem"], get: |_, services| from_file(services) },
    Source { names: &["github", "github-actions"], get: |http, services| github(http, &services.client_id) },
    Source { names: &["buildkite", "buildkite-agent"], get: |http, services| buildkite(http, &services.client_id) },
    Source { names: &["gitlab"], get: |_, _| only_in("GITLAB_CI", "GitLab", "SIGSTORE_ID_TOKEN") },
    Source { names: &["circleci"], get: |_, _| only_in("CIRCLECI", "CircleCI", "CIRCLE_OIDC_TOKEN_V2") },
    // last: a runner's machine may have its own identity beside that of the job
    Source { names: &["spiffe"], get: |_, services| workload(services) },
];

fn variable(name: &str) -> Option<Zeroizing<String>> {
    env::var(name).ok().map(Zeroizing::new).filter(|value| !value.trim().is_empty())
}

fn from_environment(name: &str) -> Result<Option<IdentityToken>> {
    variable(name).map(|text| IdentityToken::parse(text, name)).transpose()
}

/// A job of a service that puts the token into a variable, where its configuration says so.
fn only_in(mark: &str, service: &str, name: &str) -> Result<Option<IdentityToken>> {
    if variable(mark).is_none() {
        return Ok(None);
    }
    match from_environment(name)? {
        Some(token) => Ok(Some(token)),
        None => {
            bail!("this is a job of {service}, and it has no identity token in {name}; have it made, with the audience `sigstore`")
        }
    }
}

fn from_file(services: &Services) -> Result<Option<IdentityToken>> {
    let read = |path: &Path| {
        let text = secret_in(path).with_context(|| format!("cannot read the identity token {}", path.display()))?;
        IdentityToken::parse(text, &path.display().to_string()).map(Some)
    };
    match &services.token_file {
        Some(path) => read(path),
        None if Path::new(MOUNTED).exists() => read(Path::new(MOUNTED)),
        None => Ok(None),
    }
}

/// The text of a small file with a secret. One that is no file is not read: it may have no end, or keep us waiting.
///
/// # Errors
/// Where it cannot be read, or is no such file.
pub(super) fn secret_in(path: &Path) -> Result<Zeroizing<String>> {
    // not waiting for whoever would write to a pipe
    let file = File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    if !file.metadata()?.is_file() {
        bail!("it is no regular file");
    }
    // of its final size: what grows leaves copies behind
    let mut text = Zeroizing::new(String::with_capacity(MAX_TOKEN + 1));
    file.take(u64::try_from(MAX_TOKEN)?.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() > MAX_TOKEN {
        bail!("it is longer than {MAX_TOKEN} bytes");
    }
    Ok(text)
}

/// The token of a workload, where a Workload API is named.
fn workload(services: &Services) -> Result<Option<IdentityToken>> {
    let address = env::var("SPIFFE_ENDPOINT_SOCKET").ok().filter(|address| !address.is_empty());
    address.map(|address| spiffe::token(&address, &services.client_id)).transpose()
}

#[derive(Deserialize)]
struct Value {
    value: Zeroizing<String>,
}

/// <https://docs.github.com/actions>, "OpenID Connect": the runner's own service makes tokens for jobs that may write them.
fn github(http: &Http, audience: &str) -> Result<Option<IdentityToken>> {
    if variable("GITHUB_ACTIONS").is_none() && variable("ACTIONS_ID_TOKEN_REQUEST_URL").is_none() {
        return Ok(None);
    }
    let mend = "permissions: id-token: write, in the workflow";
    let (Some(url), Some(secret)) = (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")) else {
        bail!("this job of GitHub Actions may not have an identity token; {mend}");
    };
    let (base, query) = url.split_once('?').map_or((url.as_str(), String::new()), |(base, query)| (base, format!("{query}&")));
    let service = Service::new("GitHub's token service", base, mend)?;
    let bearer = Zeroizing::new(format!("Bearer {}", secret.as_str()));
    let path = format!("?{query}audience={}", escaped(audience));
    let call = Call { path: &path, headers: &[("Authorization", &bearer)], secrets: &[&secret], ..Call::default() };
    let answer: Value = http.json(&service, call)?;
    IdentityToken::parse(answer.value, "GitHub Actions").map(Some)
}

#[derive(Deserialize)]
struct Token {
    token: Zeroizing<String>,
}

/// <https://buildkite.com/docs/apis/agent-api/oidc>
fn buildkite(http: &Http, audience: &str) -> Result<Option<IdentityToken>> {
    let (Some(secret), Some(job)) = (variable("BUILDKITE_AGENT_ACCESS_TOKEN"), variable("BUILDKITE_JOB_ID")) else {
        return Ok(None);
    };
    let endpoint = env::var("BUILDKITE_AGENT_ENDPOINT").ok().filter(|url| !url.is_empty());
    let endpoint = endpoint.unwrap_or_else(|| "https://agent.buildkite.com/v3".to_owned());
    let service = Service::new("Buildkite", &endpoint, "see whether the agent may make OIDC tokens")?;
    let bearer = Zeroizing::new(format!("Token {}", secret.as_str()));
    let body = serde_json::json!({ "audience": audience }).to_string();
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let path = format!("/jobs/{}/oidc/tokens", escaped(&job));
    let call = Call { path: &path, headers: &headers, body: Some(body.as_bytes()), secrets: &[&secret], ..Call::default() };
    let answer: Token = http.json(&service, call)?;
    IdentityToken::parse(answer.token, "Buildkite").map(Some)
}

/// Text as part of a URL's query or path.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape_into(&mut out, text);
    out
}

/// The same, behind what is there.
pub(super) fn escape_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> Zeroizing<String> {
        Zeroizing::new(format!("e30.{}.c2ln\n", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn what_is_a_token() {
        let later = clock::now() + 60;
        let good = IdentityToken::parse(token(&format!("{{\"exp\":{later},\"nonce\":\"n\"}}")), "X").unwrap();
        assert_eq!(good.nonce().as_deref(), Some("n"));
        assert!(!format!("{good:?}").contains("e30"));
        for (text, says) in [
            (token("{\"exp\":1}"), "has ended"),
            (token("{}"), "X holds no identity token"),
            (token("x"), "X holds no identity token"),
            (Zeroizing::new("a.b".to_owned()), "X holds no identity token"),
            (Zeroizing::new(String::new()), "X holds no identity token"),
        ] {
            let error = format!("{:#}", IdentityToken::parse(text, "X").unwrap_err());
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn whose_a_token_is() {
        let of = |claims: &str| {
            let later = clock::now() + 60;
            IdentityToken::parse(token(&format!("{{\"exp\":{later}{claims}}}")), "X").unwrap().is_of("https://i/", "sigstore")
        };
        assert!(of(r#","iss":"https://i","aud":"sigstore""#) && of(r#","iss":"https://i/","aud":["x","sigstore"]"#));
        for claims in [
            "",
            r#","iss":"https://i""#,
            r#","aud":"sigstore""#,
            r#","iss":"https://i","aud":"other""#,
            r#","iss":"https://i","aud":[]"#,
            r#","iss":"https://i.example","aud":"sigstore""#,
        ] {
            assert!(!of(claims), "{claims}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped("a b&c=d/\u{e9}"), "a%20b%26c%3Dd%2F%C3%A9");
    }
}
