//! What is told of an S/MIME signer: by `verify` and by `show`, for people and for programs.

use crate::evidence::{ChainStanding, Smime, SmimePath};
use crate::verdict::Utc;
use serde::Serialize;

/// An S/MIME certificate and the chains above it.
#[derive(Debug, Serialize)]
pub struct ShownSmime {
    addresses: Vec<String>,
    holder: String,
    issuer: String,
    serial: String,
    valid_after: String,
    valid_before: String,
    chains: Vec<ShownChain>,
}

/// One chain.
#[derive(Debug, Serialize)]
struct ShownChain {
    authority: String,
    issuers: Vec<String>,
    valid_after: String,
    valid_before: String,
    /// `unasked`, `good`, `unknown` or `revoked`.
    revocation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_asked: Vec<String>,
}

impl ShownSmime {
    /// What evidence says.
    pub fn of(smime: &Smime) -> Self {
        Self {
            addresses: smime.addresses.clone(),
            holder: smime.holder.to_string(),
            issuer: smime.issuer.to_string(),
            serial: smime.serial.clone(),
            valid_after: Utc(smime.not_before).to_string(),
            valid_before: Utc(smime.not_after).to_string(),
            chains: smime.paths.iter().map(ShownChain::of).collect(),
        }
    }

    /// The same for people, key and value. Text from the certificate in it is not yet escaped.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let nobody = || "no address".to_owned();
        let mut lines = vec![
            ("identity", Some(self.addresses.join(", ")).filter(|it| !it.is_empty()).unwrap_or_else(nobody)),
            ("holder", self.holder.clone()),
            ("issuer", self.issuer.clone()),
            ("certificate", format!("serial {}, from {} to {}", self.serial, self.valid_after, self.valid_before)),
        ];
        lines.extend(self.chains.iter().map(|chain| ("chain", chain.line())));
        lines
    }
}

impl ShownChain {
    fn of(path: &SmimePath) -> Self {
        let (revocation, revoked) = match &path.standing {
            ChainStanding::Unasked => ("unasked", None),
            ChainStanding::Good => ("good", None),
            ChainStanding::Unknown(what) => ("unknown", Some(what.clone())),
            ChainStanding::Revoked { own, how } => {
                let whose = if *own { "the certificate" } else { "an authority above it" };
                let what = if how.hard { "nothing that it made stands" } else { "it is out of use" };
                ("revoked", Some(format!("{whose}, {}: {what}", Utc(how.at))))
            }
        };
        Self {
            authority: path.authority.clone(),
            issuers: path.issuers.iter().map(ToString::to_string).collect(),
            valid_after: Utc(path.begin).to_string(),
            valid_before: Utc(path.end).to_string(),
            revocation,
            revoked,
            not_asked: path.unasked.iter().map(ToString::to_string).collect(),
        }
    }

    fn line(&self) -> String {
        let mut revoked = self.revoked.as_ref().map(|what| format!(": {what}")).unwrap_or_default();
        if !self.not_asked.is_empty() {
            revoked.push_str(&format!(" (no list of {})", self.not_asked.join(", nor of ")));
        }
        let root = self.issuers.last().map(String::as_str).unwrap_or_default();
        let between = self.issuers.len().saturating_sub(1);
        let (authority, from, to, state) = (&self.authority, &self.valid_after, &self.valid_before, self.revocation);
        format!("to {root} of {authority}, {between} between, from {from} to {to}, revocation {state}{revoked}")
    }
}
