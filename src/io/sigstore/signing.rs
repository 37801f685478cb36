//! One keyless signature, from payload to armour. It leaves this module only when it is logged or, where `warrant.log` is false,
//! timestamped.

use super::certificate::{SKEW, issue};
use super::login::LoggedIn;
use super::renewal::Renewal;
use super::services::Services;
use super::token::IdentityToken;
use super::{Http, log, login, timestamp, token};
use crate::armor::encode_cms;
use crate::io::agent::{Agent, Answered};
use crate::io::clock;
use crate::io::keys::ephemeral::Ephemeral;
use crate::io::keys::terminal;
use crate::io::trust::FETCHED;
use crate::object::Payload;
use crate::report::escape::printable;
use crate::signature::Verifier as _;
use crate::signature::x509::X509Verifier;
use crate::signature::x509::sign::{Leaf, LogEntry, Proofs, SignedAttributes, assemble, certificate_request, time_of};
use crate::verdict::Utc;
use anyhow::{Context as _, Result, anyhow, bail};

/// Says something on the terminal, where there is one.
pub fn tell(line: &str) {
    terminal::tell(line);
}

/// What is signed and not yet logged: nobody sees it.
pub struct Prepared {
    /// The certificate.
    pub leaf: Leaf,
    /// The claimed time, in seconds since 1970.
    pub time: i64,
    attributes: SignedAttributes,
    signature: Vec<u8>,
}

/// The services took so long that the certificate ended meanwhile: another one is needed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the certificate ended {}, and {by} had the signature {} only; nothing is signed; try again, and where it comes again look at the clock of that service", Utc(*.end), Utc(*.at)
)]
pub struct Ended {
    end: i64,
    by: &'static str,
    at: i64,
}

/// A signature, and what is told of it.
pub struct Signed {
    /// For git.
    pub armored: Vec<u8>,
    /// The log's entry, where signatures are logged.
    pub entry: Option<LogEntry>,
    /// What people should know of it.
    pub warning: Option<String>,
}

/// Signs a payload: by a token that lies at hand; else by the agent; else somebody logs in.
///
/// # Errors
/// Where no way leads to a certificate.
pub fn prepare(http: &Http, services: &Services, payload: &[u8]) -> Result<Prepared> {
    if let Some(token) = token::at_hand(http, services)? {
        return alone(http, services, &token, payload);
    }
    let unrenewed = match by_agent(services, payload) {
        Ok(Some(prepared)) => return Ok(prepared),
        Ok(None) => None,
        Err(error) => Some(format!("the certificate was not renewed ({error:#})")),
    };
    if let Some(why) = &unrenewed {
        terminal::tell(&format!("git-warrant: {}; log in anew", printable(why)));
    }
    let login = login::ask(http, services);
    let login = match unrenewed {
        Some(why) => login.context(why)?,
        None => login?,
    };
    let prepared = after_login(http, services, login, payload)?;
    terminal::tell(&format!("git-warrant: logged in as {}", printable(&prepared.leaf.holder())));
    Ok(prepared)
}

fn after_login(http: &Http, services: &Services, login: LoggedIn, payload: &[u8]) -> Result<Prepared> {
    let LoggedIn { token, renewal } = login;
    if services.agent {
        if services.refresh && renewal.is_none() {
            terminal::tell("git-warrant: the issuer gives no refresh token; the certificate is not renewed (warrant.refresh)");
        }
        let kept = keep(http, services, &token, renewal).map(|_| by_agent(services, payload));
        match kept {
            Ok(Ok(Some(prepared))) => return Ok(prepared),
            Ok(Ok(None) | Err(_)) => terminal::tell("git-warrant: the agent does not sign; the next signature takes another login"),
            Err(Unkept::Certificate(error)) => return Err(error),
            Err(Unkept::Agent(error)) => {
                terminal::tell(&format!("git-warrant: no agent ({error:#}); the next signature takes another login"));
            }
        }
    }
    alone(http, services, &token, payload)
}

/// With a key of this process alone.
fn alone(http: &Http, services: &Services, token: &IdentityToken, payload: &[u8]) -> Result<Prepared> {
    let key = Ephemeral::generate()?;
    let public_key = key.public_key()?;
    let request = certificate_request(&public_key, |message| key.sign(message))?;
    let leaf = issue(http, &services.fulcio()?, token, &request)?;
    if leaf.public_key() != public_key {
        bail!("Fulcio's certificate is of another key than the one that was sent; nothing is signed");
    }
    let time = clock::now(); // now, so that the certificate is not younger
    let attributes = SignedAttributes::new(payload, time);
    let signature = key.sign(attributes.as_der())?;
    Ok(Prepared { leaf, time, attributes, signature })
}

/// By what the agent holds, renewed where it has ended. An agent that is gone, or whose signature is none, or by a certificate of
/// another time, is as good as none.
///
/// # Errors
/// Where a certificate was to be renewed, and was not.
fn by_agent(services: &Services, payload: &[u8]) -> Result<Option<Prepared>> {
    let Some(agent) = services.agent.then(Agent::find).flatten() else { return Ok(None) };
    let of = services.issuing();
    let mut renewed = false;
    loop {
        let time = clock::now();
        let attributes = SignedAttributes::new(payload, time);
        match agent.sign(&of, &attributes) {
            Ok(Answered::Signature(leaf, signature)) => {
                let lives = time >= leaf.not_before.saturating_sub(SKEW) && time <= leaf.not_after;
                let is_good = lives && leaf.signed(attributes.as_der(), &signature);
                return Ok(is_good.then_some(Prepared { leaf, time, attributes, signature }));
            }
            Ok(Answered::Ended) if !renewed => agent.renew(&of)?,
            Ok(Answered::Ended | Answered::Nothing) | Err(_) => return Ok(None),
        }
        renewed = true;
    }
}

/// Why an agent holds no certificate.
pub enum Unkept {
    /// None was issued.
    Certificate(anyhow::Error),
    /// There is no agent to hold it.
    Agent(anyhow::Error),
}

/// Has the agent, started where none runs, hold a certificate of whoever the token names.
///
/// # Errors
/// Where there is no certificate, or no agent.
pub fn keep(http: &Http, services: &Services, token: &IdentityToken, renewal: Option<Renewal>) -> Result<Leaf, Unkept> {
    let of = services.issuing();
    let agent = Agent::start().map_err(Unkept::Agent)?;
    let request = agent.request(&of).map_err(Unkept::Agent)?;
    let fulcio = services.fulcio().map_err(Unkept::Certificate)?;
    let leaf = issue(http, &fulcio, token, &request).map_err(Unkept::Certificate)?;
    agent.keep(&of, &leaf, renewal).map_err(Unkept::Agent)?;
    Ok(leaf)
}

impl Prepared {
    /// Has the signature timestamped, where an authority is configured, and logged, save where it is not to be, and verifies what came of it, where there is
    /// a trusted root.
    ///
    /// # Errors
    /// Where any of it fails: then there is no signature. [`Ended`] where another certificate may help.
    pub fn finish(&self, http: &Http, services: &Services, payload: &[u8]) -> Result<Signed> {
        let root = services.root()?;
        let token = timestamp::stamp(http, services, &self.signature)?;
        self.refuse_late("the timestamp authority", token.as_deref().and_then(time_of))?;
        let entry = match services.log {
            true => Some(log::record(http, services, &self.leaf, &self.attributes, &self.signature)?),
            false if token.is_some() => None,
            false => bail!("warrant.log is false, and there is no timestamp; git config warrant.tsa URL"),
        };
        self.refuse_late("the log", entry.as_ref().map(|entry| entry.integrated))?;
        let proofs = Proofs { entry: entry.as_ref(), timestamp: token.as_deref() };
        let der = assemble(&self.leaf, &self.attributes, &self.signature, proofs);
        let armored = encode_cms(&der);
        let verified = |root| X509Verifier::new(vec![root]).verify(&armored, &Payload::whole(payload));
        if let Some(root) = root {
            verified(root).map_err(|reason| {
                anyhow!(
                    "what the services made does not verify by the trusted root: {reason}; nothing is signed; git config warrant.trustedRoot FILE names a newer root"
                )
            })?;
        }
        // it holds, and not for those who know the instance from the program only
        let warning = services.built_in().and_then(|(named, root)| {
            let reason = verified(root).err()?;
            let mirror = named.trim_start_matches(FETCHED);
            Some(format!(
                "warning: the trusted root that is built in does not accept this signature: {reason}; git verify-commit does with git config warrant.trustedRoot {named}, and a policy with the file that git warrant trust update --mirror {mirror} --output FILE writes"
            ))
        });
        Ok(Signed { armored, entry, warning })
    }

    fn refuse_late(&self, by: &'static str, proved: Option<i64>) -> Result<(), Ended> {
        let end = self.leaf.not_after;
        proved.filter(|at| *at > end).map_or(Ok(()), |at| Err(Ended { end, by, at }))
    }
}
