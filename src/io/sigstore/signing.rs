//! One keyless signature, from payload to armour. It leaves this module only when it is logged.

use super::certificate::issue;
use super::services::Services;
use super::token::IdentityToken;
use super::{Http, log, login, timestamp, token};
use crate::armor::encode_cms;
use crate::io::agent::Agent;
use crate::io::clock;
use crate::io::keys::ephemeral::Ephemeral;
use crate::io::keys::terminal;
use crate::io::trust::FETCHED;
use crate::object::Payload;
use crate::report::escape::printable;
use crate::signature::Verifier as _;
use crate::signature::x509::X509Verifier;
use crate::signature::x509::sign::{Leaf, LogEntry, Proofs, SignedAttributes, assemble, certificate_request};
use anyhow::{Result, anyhow, bail};

/// What is signed and not yet logged: nobody sees it.
pub struct Prepared {
    /// The certificate.
    pub leaf: Leaf,
    /// The claimed time, in seconds since 1970.
    pub time: i64,
    attributes: SignedAttributes,
    signature: Vec<u8>,
}

/// A signature, and what is told of it.
pub struct Signed {
    /// For git.
    pub armored: Vec<u8>,
    /// The log's entry.
    pub entry: LogEntry,
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
    if let Some(prepared) = by_agent(services, payload) {
        return Ok(prepared);
    }
    let token = login::ask(http, services)?;
    let prepared = after_login(http, services, &token, payload)?;
    terminal::tell(&format!("git-warrant: logged in as {}", printable(&prepared.leaf.holder())));
    Ok(prepared)
}

fn after_login(http: &Http, services: &Services, token: &IdentityToken, payload: &[u8]) -> Result<Prepared> {
    if services.agent {
        let kept = keep(http, services, token).map(|_| by_agent(services, payload));
        match kept {
            Ok(Some(prepared)) => return Ok(prepared),
            Ok(None) => terminal::tell("git-warrant: the agent does not sign; the next signature takes another login"),
            Err(Unkept::Certificate(error)) => return Err(error),
            Err(Unkept::Agent(error)) => {
                terminal::tell(&format!("git-warrant: no agent ({error:#}); the next signature takes another login"));
            }
        }
    }
    alone(http, services, token, payload)
}

/// With a key of this process alone.
fn alone(http: &Http, services: &Services, token: &IdentityToken, payload: &[u8]) -> Result<Prepared> {
    let key = Ephemeral::generate()?;
    let public_key = key.public_key()?;
    let request = certificate_request(&public_key, |message| key.sign(message))?;
    let leaf = issue(http, services, token, &request)?;
    if leaf.public_key() != public_key {
        bail!("Fulcio's certificate is of another key than the one that was sent; nothing is signed");
    }
    let time = clock::now(); // now, so that the certificate is not younger
    let attributes = SignedAttributes::new(payload, time);
    let signature = key.sign(attributes.as_der())?;
    Ok(Prepared { leaf, time, attributes, signature })
}

/// By what the agent holds. An agent that is gone, or whose signature is none, is as good as none.
fn by_agent(services: &Services, payload: &[u8]) -> Option<Prepared> {
    let agent = if services.agent { Agent::find() } else { None }?;
    let time = clock::now();
    let attributes = SignedAttributes::new(payload, time);
    let (leaf, signature) = agent.sign(&services.issuing(), &attributes).ok()??;
    leaf.signed(attributes.as_der(), &signature).then_some(Prepared { leaf, time, attributes, signature })
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
pub fn keep(http: &Http, services: &Services, token: &IdentityToken) -> Result<Leaf, Unkept> {
    let of = services.issuing();
    let agent = Agent::start().map_err(Unkept::Agent)?;
    let request = agent.request(&of).map_err(Unkept::Agent)?;
    let leaf = issue(http, services, token, &request).map_err(Unkept::Certificate)?;
    agent.keep(&of, &leaf).map_err(Unkept::Agent)?;
    Ok(leaf)
}

impl Prepared {
    /// Has the signature timestamped, where an authority is configured, and logged, and verifies what came of it, where there is
    /// a trusted root.
    ///
    /// # Errors
    /// Where any of it fails: then there is no signature.
    pub fn finish(&self, http: &Http, services: &Services, payload: &[u8]) -> Result<Signed> {
        let root = services.root()?;
        let token = timestamp::stamp(http, services, &self.signature)?;
        let entry = log::record(http, services, &self.leaf, &self.attributes, &self.signature)?;
        let proofs = Proofs { entry: Some(&entry), timestamp: token.as_deref() };
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
}
