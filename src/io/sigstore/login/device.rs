//! By a browser elsewhere: a short code, typed there, leads the login here (RFC 8628).

use super::super::http::Call;
use super::{FORM, Issuer, JSON, LoggedIn, Pkce, form};
use crate::io::keys::terminal;
use crate::report::escape::printable;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::thread;
use std::time::{Duration, Instant};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// However long an issuer would wait.
const WITHIN: u64 = 600;

#[derive(Deserialize)]
struct Started {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

pub(super) fn ask(issuer: &Issuer<'_>) -> Result<LoggedIn> {
    let place = issuer.places.device_authorization_endpoint.as_ref();
    let place = place.context("the issuer knows no device codes; git config warrant.login browser (or code)")?;
    let place = issuer.place(place)?;
    let pkce = Pkce::new()?;
    let mut fields = vec![
        ("client_id", issuer.services.client_id.as_str()),
        ("scope", issuer.scope()),
        ("code_challenge", &pkce.challenge),
        ("code_challenge_method", "S256"),
    ];
    fields.extend(issuer.secret.as_ref().map(|secret| ("client_secret", secret.as_str())));
    let body = form(&fields);
    let secrets: Vec<&str> = issuer.secret.iter().map(|secret| secret.as_str()).collect();
    let call = Call { headers: &[FORM, JSON], body: Some(body.as_bytes()), secrets: &secrets, ..Call::default() };
    let started: Started = issuer.http.json(&place, call)?;
    let page = started.verification_uri_complete.as_ref().unwrap_or(&started.verification_uri);
    let (page, code) = (printable(page), printable(&started.user_code)); // a server's words, on somebody's terminal
    terminal::tell(&format!("git-warrant: to sign, log in at\n\n    {page}\n\nwith the code {code}\n"));
    let until = Instant::now() + Duration::from_secs(started.expires_in.min(WITHIN));
    let mut pause = Duration::from_secs(started.interval.unwrap_or(5).clamp(1, 60));
    while Instant::now() + pause < until {
        thread::sleep(pause);
        // whoever hears nothing asks again (§3.5)
        let secrets = [("device_code", started.device_code.as_str()), ("code_verifier", pkce.verifier.as_str())];
        let (place, answer) = issuer.token(&[("grant_type", GRANT)], &secrets, false)?;
        if answer.is_good() {
            return issuer.granted(&place, &answer.body);
        }
        let refused: Option<Refused> = serde_json::from_slice(&answer.body).ok();
        match refused.as_ref().map(|refused| refused.error.as_str()) {
            Some("authorization_pending") => {}
            Some("slow_down") => pause += Duration::from_secs(5),
            _ => return Err(place.refused(&answer)),
        }
    }
    bail!("nobody logged in with the code {code} in time; nothing is signed")
}
