//! Trusted roots of Sigstore instances: certificate authorities, logs, timestamp authorities, each with its time.

use super::chain::Chains;
use sigstore_verify::Verifier;
use sigstore_verify::crypto::Keyring;
use sigstore_verify::trust_root::{SigstoreInstance, TrustedRoot as Parsed};
use std::sync::{Arc, OnceLock};

/// One trusted root (`trusted_root.json` of protobuf-specs), under the name that evidence gives it.
#[derive(Clone)]
pub struct Root {
    pub(super) name: String,
    ready: Arc<Lazy>,
}

/// An embedded root is made ready when it is first asked for: most histories never need one.
struct Lazy {
    embedded: Option<SigstoreInstance>,
    ready: OnceLock<Result<Ready, RootError>>,
}

/// All that is constant in a root, read once.
pub(super) struct Ready {
    pub(super) verifier: Verifier,
    pub(super) chains: Chains,
    /// The transparency logs' keys, as far as they can be read.
    pub(super) logs: Keyring,
    /// Whether it names a transparency log, whatever its key.
    pub(super) is_logged: bool,
}

/// A longer trusted root is refused, in bytes: real ones have some 10,000.
pub const MOST_ROOT_BYTES: usize = 16 << 20;

/// Why a trusted root cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a trusted root: {0}")]
pub struct RootError(String);

impl Root {
    /// The names of the roots that are built in.
    pub const EMBEDDED: [&'static str; 3] = ["public-good", "github", "staging"];

    /// A root that is built in: those of Sigstore's public instance (`public-good`), of its staging instance, and of GitHub's.
    /// Evidence names it by `name`.
    pub fn embedded(which: &str, name: &str) -> Option<Self> {
        let instance = match which {
            "public-good" => SigstoreInstance::PublicGood,
            "staging" => SigstoreInstance::Staging,
            "github" => SigstoreInstance::GitHub,
            _ => return None,
        };
        Some(Self { name: name.to_owned(), ready: Arc::new(Lazy { embedded: Some(instance), ready: OnceLock::new() }) })
    }

    /// Reads a trusted root in JSON.
    ///
    /// # Errors
    /// Where it is none, or a key or certificate in it cannot be used.
    pub fn parse(json: &[u8], name: &str) -> Result<Self, RootError> {
        if json.len() > MOST_ROOT_BYTES {
            return Err(RootError(format!("it has more than {MOST_ROOT_BYTES} bytes")));
        }
        let text = std::str::from_utf8(json).map_err(|_| RootError("not UTF-8".to_owned()))?;
        let text = text.replace("9999-12-31T23:59:59", "9999-12-30T00:00:00"); // "for ever" lies beyond the last moment of jiff
        let ready = Ready::new(Parsed::from_json(&text).map_err(|error| RootError(error.to_string()))?)?;
        Ok(Self { name: name.to_owned(), ready: Arc::new(Lazy { embedded: None, ready: OnceLock::from(Ok(ready)) }) })
    }

    /// Whether its certificates have to be in a certificate log: one that names no such log asks for no proof of it.
    ///
    /// # Errors
    /// Where the root cannot be used.
    pub fn asks_for_certificate_logs(&self) -> Result<bool, RootError> {
        self.ready().map(|ready| ready.chains.are_logged()).map_err(Clone::clone)
    }

    /// An authority that another root has as well, for people: the same key. What it certified could be of either instance.
    ///
    /// # Errors
    /// Where one of both cannot be used.
    pub fn shared_authority(&self, other: &Self) -> Result<Option<String>, RootError> {
        let (own, theirs) = (self.ready().map_err(Clone::clone)?, other.ready().map_err(Clone::clone)?);
        Ok(own.chains.shared_key(&theirs.chains).map(ToString::to_string))
    }

    pub(super) fn ready(&self) -> Result<&Ready, &RootError> {
        let make = || match self.ready.embedded {
            Some(instance) => Parsed::from_embedded(instance).map_err(|error| RootError(error.to_string())).and_then(Ready::new),
            None => Err(RootError("nothing was read".to_owned())),
        };
        self.ready.ready.get_or_init(make).as_ref()
    }
}

impl Ready {
    fn new(parsed: Parsed) -> Result<Self, RootError> {
        let verifier = Verifier::new(&parsed).map_err(|error| RootError(error.to_string()))?;
        let chains = Chains::of(&parsed).map_err(RootError)?;
        let logs = parsed.rekor_keys().map_err(|error| RootError(error.to_string()))?;
        Ok(Self { verifier, chains, logs, is_logged: !parsed.tlogs.is_empty() })
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Root").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_roots_are_usable() {
        for name in Root::EMBEDDED {
            assert!(Root::embedded(name, "x").unwrap().ready().is_ok(), "{name}");
        }
        assert!(Root::embedded("other", "x").is_none());
        for bad in [&b"{}"[..], b"\xff", b""] {
            assert!(Root::parse(bad, "x").is_err());
        }
        let long = Root::parse(&vec![b' '; MOST_ROOT_BYTES + 1], "x").unwrap_err().to_string();
        assert!(long.contains("16777216 bytes"), "{long}");
    }
}
