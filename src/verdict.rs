//! Verdicts and their reasons. The codes are a stable interface (JSON, exit statuses, the manual).

mod judgement;

pub use crate::object::Fault;
pub use judgement::{About, Judgement};

use crate::armor::Format;
use crate::object::{ObjectId, ObjectKind};
use std::fmt;

/// Who signed, in the policy's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(pub String);

/// The answer for one object. There is no default: what nothing was said of has no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The policy is satisfied.
    Accept {
        /// Who signed.
        principal: Principal,
    },
    /// The policy is not satisfied.
    Reject {
        /// Why.
        reason: Reason,
    },
    /// It would be rejected, but the policy lets this one object stand: never counted as accepted.
    Exempt {
        /// Why it would be rejected.
        reason: Reason,
        /// Why it stands, in the policy's words.
        because: String,
    },
    /// It could not be judged.
    Unjudged {
        /// Why.
        why: Unjudged,
    },
}

impl Verdict {
    /// The stable word: `accept`, `reject`, `exempt` or `unjudged`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accept { .. } => "accept",
            Self::Reject { .. } => "reject",
            Self::Exempt { .. } => "exempt",
            Self::Unjudged { .. } => "unjudged",
        }
    }

    /// The stable code of why it is not accepted.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Accept { .. } => None,
            Self::Reject { reason } | Self::Exempt { reason, .. } => Some(reason.code()),
            Self::Unjudged { why } => Some(why.code()),
        }
    }

    /// Why it is not accepted, for people.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Accept { .. } => None,
            Self::Reject { reason } => Some(reason.to_string()),
            Self::Exempt { reason, because } => Some(format!("{reason}; exempt: {because}")),
            Self::Unjudged { why } => Some(why.to_string()),
        }
    }
}

/// What [`Reason::LogEntry`] says where the log is none that the trusted root knows: the root may be the older of both.
pub const UNKNOWN_LOG: &str = "its log is not one of the trusted root";

/// A key that is in one of the policy's certificates, and may not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitKey {
    /// The certificate's fingerprint, uppercase hexadecimal.
    pub certificate: String,
    /// Why, in words.
    pub why: &'static str,
}

/// Why something is rejected. Times are seconds since 1970 (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the messages say what each one is
pub enum Reason {
    // the object
    HashMismatch,
    Collision,
    Fault(Fault),
    NotSignable { kind: ObjectKind },
    TagType { says: ObjectKind, is: ObjectKind },
    TagName { inside: String, outside: String },
    // the signature
    Unsigned,
    UnknownFormat,
    FormatUnsupported { format: Format },
    MultipleSignatures,
    MalformedSignature { what: String },
    NamespaceMismatch { found: String },
    AlgorithmUnsupported { algorithm: String },
    WeakKey { bits: usize, least: usize },
    Weak { what: String },
    CertificateUnknown { issuer: String, listed: Option<UnfitKey> },
    CertificateUntrusted { what: String },
    RevocationUnknown { what: String },
    LogEntry { what: String },
    TimestampInvalid { what: String },
    TimeUnproved,
    BadSignature,
    // the policy
    AuthorityUnlisted { authority: String },
    CertificateNotForUsers,
    CertificatePrincipals { named: String },
    CriticalOption { option: String },
    IdentityDenied { name: String },
    UserNotVerified,
    NoTouch,
    NoPin,
    CertificateNotYetValid { claimed: i64, after: i64 },
    CertificateExpired { claimed: i64, before: i64 },
    KeyUnlisted,
    IdentityUnlisted { identity: String, issuer: String },
    ClaimMismatch { claim: String, found: Option<String>, wanted: String },
    NotBuiltOn { commit: ObjectId },
    NotLogged { identity: String, issuer: String, from: i64, to: i64 },
    NotTimestamped,
    KeyRevoked { what: Revoked },
    KeyRetired,
    KeyCompromised,
    AuthorityRetired,
    AuthorityCompromised,
    NamespaceNotAllowed,
    KeyNotYetValid { claimed: i64, after: i64 },
    OlderThanKey { made: i64, key_made: i64 },
    KeyExpired { claimed: i64, before: i64 },
    SignatureExpired { claimed: i64, before: i64 },
    ClaimedOnly { claimed: i64, before: i64 },
    NoClaimedTime,
    ClaimedInFuture { claimed: i64 },
    SignerNotCommitter { committer: String, principal: String },
    Wildcard { pattern: String },
    Malleable,
    // the push
    PushMismatch { what: String },
    PushNonce { what: String },
    NotAPerson { principal: String },
    // the ref
    NoRule,
    ReplaceRef,
}

/// What a revocation file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The key that signed.
    Key,
    /// Its certificate.
    Certificate,
    /// The authority that signed the certificate.
    Authority,
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Certificate => "key's certificate",
            Self::Authority => "authority of the key's certificate",
        })
    }
}

impl Reason {
    /// Whether making the object again, signed by whoever pushes it, would mend it.
    pub fn is_cured_by_signing(&self) -> bool {
        !matches!(
            self,
            Self::ClaimedOnly { .. }
                | Self::KeyUnlisted
                | Self::AuthorityUnlisted { .. }
                | Self::CertificateUnknown { .. }
                | Self::CertificateUntrusted { .. }
                | Self::RevocationUnknown { .. }
                | Self::IdentityUnlisted { .. }
                | Self::PushMismatch { .. }
                | Self::PushNonce { .. }
                | Self::KeyRevoked { .. }
                | Self::KeyRetired
                | Self::KeyCompromised
                | Self::AuthorityRetired
                | Self::AuthorityCompromised
                | Self::IdentityDenied { .. }
                | Self::NamespaceNotAllowed
                | Self::Wildcard { .. }
                | Self::NoRule
                | Self::ReplaceRef
                | Self::NotSignable { .. }
                | Self::HashMismatch
                | Self::Collision
        )
    }

    /// Whether it would not be one for something settled.
    pub fn is_cured_by_settling(&self) -> bool {
        matches!(
            self,
            Self::SignerNotCommitter { .. }
                | Self::NoTouch
                | Self::NoPin
                | Self::KeyRetired
                | Self::AuthorityRetired
                | Self::KeyNotYetValid { .. }
                | Self::KeyExpired { .. }
                | Self::SignatureExpired { .. }
                | Self::CertificateNotYetValid { .. }
                | Self::CertificateExpired { .. }
                | Self::ClaimedOnly { .. }
                | Self::NoClaimedTime
                | Self::RevocationUnknown { .. }
                | Self::NotLogged { .. }
                | Self::NotTimestamped
        )
    }

    /// The stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::HashMismatch => "hash-mismatch",
            Self::Collision => "sha1-collision",
            Self::Fault(fault) => fault.code(),
            Self::NotSignable { .. } => "not-signable",
            Self::TagType { .. } => "tag-type-mismatch",
            Self::TagName { .. } => "tag-name-mismatch",
            Self::Unsigned => "unsigned",
            Self::UnknownFormat => "unknown-format",
            Self::FormatUnsupported { .. } => "format-unsupported",
            Self::MultipleSignatures => "multiple-signatures",
            Self::MalformedSignature { .. } => "malformed-signature",
            Self::NamespaceMismatch { .. } => "namespace-mismatch",
            Self::AlgorithmUnsupported { .. } => "algorithm-unsupported",
            Self::WeakKey { .. } => "weak-key",
            Self::Weak { .. } => "weak-algorithm",
            Self::CertificateUnknown { .. } => "certificate-unknown",
            Self::CertificateUntrusted { .. } => "certificate-untrusted",
            Self::RevocationUnknown { .. } => "revocation-unknown",
            Self::LogEntry { .. } => "log-entry-invalid",
            Self::TimestampInvalid { .. } => "timestamp-invalid",
            Self::TimeUnproved => "time-unproved",
            Self::BadSignature => "bad-signature",
            Self::AuthorityUnlisted { .. } => "authority-unlisted",
            Self::CertificateNotForUsers => "certificate-not-for-users",
            Self::CertificatePrincipals { .. } => "certificate-principals",
            Self::CriticalOption { .. } => "critical-option",
            Self::IdentityDenied { .. } => "identity-denied",
            Self::UserNotVerified => "user-not-verified",
            Self::NoTouch => "no-touch",
            Self::NoPin => "no-pin",
            Self::CertificateNotYetValid { .. } => "certificate-not-yet-valid",
            Self::CertificateExpired { .. } => "certificate-expired",
            Self::KeyUnlisted => "key-unlisted",
            Self::IdentityUnlisted { .. } => "identity-unlisted",
            Self::ClaimMismatch { .. } => "claim-mismatch",
            Self::NotBuiltOn { .. } => "not-built-on",
            Self::NotLogged { .. } => "not-logged",
            Self::NotTimestamped => "not-timestamped",
            Self::KeyRevoked { .. } => "key-revoked",
            Self::KeyRetired => "key-retired",
            Self::KeyCompromised => "key-compromised",
            Self::AuthorityRetired => "authority-retired",
            Self::AuthorityCompromised => "authority-compromised",
            Self::NamespaceNotAllowed => "namespace-not-allowed",
            Self::KeyNotYetValid { .. } | Self::OlderThanKey { .. } => "key-not-yet-valid",
            Self::KeyExpired { .. } => "key-expired",
            Self::SignatureExpired { .. } => "signature-expired",
            Self::ClaimedOnly { .. } => "claimed-only",
            Self::NoClaimedTime => "no-claimed-time",
            Self::ClaimedInFuture { .. } => "claimed-in-future",
            Self::SignerNotCommitter { .. } => "signer-not-committer",
            Self::Wildcard { .. } => "wildcard",
            Self::Malleable => "malleable",
            Self::PushMismatch { .. } => "push-certificate-mismatch",
            Self::PushNonce { .. } => "push-certificate-nonce",
            Self::NotAPerson { .. } => "not-a-person",
            Self::NoRule => "no-rule",
            Self::ReplaceRef => "replace-ref",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HashMismatch => f.write_str("its bytes do not hash to its id"),
            Self::Collision => f.write_str("its bytes carry the marks of a SHA-1 collision attack"),
            Self::Fault(fault) => fault.fmt(f),
            Self::NotSignable { kind } => write!(f, "it is a {kind}, which cannot carry a signature"),
            Self::TagType { says, is } => write!(f, "the tag says that it names a {says}, but that object is a {is}"),
            Self::TagName { inside, outside } => write!(f, "the tag was made as `{inside}` but is stored as `{outside}`"),
            Self::Unsigned => f.write_str("not signed"),
            Self::UnknownFormat => f.write_str("its signature begins with no marker that git knows"),
            Self::FormatUnsupported { format } => write!(f, "{format} signatures are not supported in this version"),
            Self::MultipleSignatures => f.write_str("more than one signature block"),
            Self::MalformedSignature { what } => write!(f, "the signature cannot be read: {what}"),
            Self::NamespaceMismatch { found } => write!(f, "the signature was made for `{found}`, not for `git`"),
            Self::AlgorithmUnsupported { algorithm } => write!(f, "the algorithm `{algorithm}` is not supported"),
            Self::WeakKey { bits, least } => write!(f, "an RSA key of {bits} bits, fewer than {least}"),
            Self::Weak { what } => write!(f, "it rests on {what}, which is too weak"),
            Self::CertificateUnknown { issuer, listed: Some(UnfitKey { certificate, why }) } => {
                write!(f, "signed by the OpenPGP key {issuer}, which is in the certificate {certificate}, but {why}")
            }
            Self::CertificateUnknown { issuer, listed: None } => {
                write!(f, "signed by the OpenPGP key {issuer}, of which the policy has no certificate")
            }
            Self::CertificateUntrusted { what } => write!(f, "the certificate that signed is not trusted: {what}"),
            Self::RevocationUnknown { what } => {
                write!(f, "whether the certificate that signed is revoked is not known, and the policy asks for it: {what}")
            }
            Self::LogEntry { what } => write!(f, "the log entry in the signature proves nothing: {what}"),
            Self::TimestampInvalid { what } => write!(f, "the timestamp in the signature proves nothing: {what}"),
            Self::TimeUnproved => f.write_str(
                "the log entry in the signature proves no time (Rekor v2, or no signed promise), and no timestamp token does",
            ),
            Self::BadSignature => f.write_str("the signature does not match the content"),
            Self::AuthorityUnlisted { authority } => {
                write!(f, "the policy does not list the authority {authority} that signed the key's certificate")
            }
            Self::CertificateNotForUsers => f.write_str("signed with a host's certificate"),
            Self::CertificatePrincipals { named } if named.is_empty() => f.write_str("the certificate names nobody"),
            Self::CertificatePrincipals { named } => {
                write!(f, "the certificate names {named}, and the policy's line lets its authority speak for none of them")
            }
            Self::CriticalOption { option } => write!(f, "the certificate has a critical option that is not known: `{option}`"),
            Self::IdentityDenied { name } => {
                write!(f, "the certificate names {name}, for whom the policy lets its authority speak no more")
            }
            Self::UserNotVerified => f.write_str(
                "the certificate asks for a PIN or a fingerprint (verify-required), and the token says that none was given",
            ),
            Self::NoPin => f.write_str("the policy asks for a PIN or a fingerprint (pin), and none was given to a token"),
            Self::NoTouch => f.write_str("a touched FIDO token is asked for, and none was touched"),
            Self::CertificateNotYetValid { claimed, after } => {
                write!(f, "dated {}, before the certificate begins ({})", Utc(*claimed), Utc(*after))
            }
            Self::CertificateExpired { claimed, before } => {
                write!(f, "dated {}, after the certificate's end ({})", Utc(*claimed), Utc(*before))
            }
            Self::KeyUnlisted => f.write_str("the policy does not list the key"),
            Self::IdentityUnlisted { identity, issuer } => {
                write!(f, "the policy does not list the identity {identity}, identified by {issuer}")
            }
            Self::ClaimMismatch { claim, found: Some(found), wanted } => {
                write!(f, "the certificate says {claim} = `{found}`, and the policy asks for `{wanted}`")
            }
            Self::NotBuiltOn { commit } => {
                write!(
                    f,
                    "the certificate says that it was made for {commit}, which does not lie below: the signer worked on another history"
                )
            }
            Self::ClaimMismatch { claim, found: None, wanted } => {
                write!(f, "the certificate does not say {claim}, and the policy asks for `{wanted}`")
            }
            Self::NotLogged { identity, issuer, from, to } => write!(
                f,
                "signed with a certificate of {identity}, identified by {issuer}, that held from {} to {}; that it was used then is not proved: the signature carries no log entry",
                Utc(*from),
                Utc(*to)
            ),
            Self::NotTimestamped => f.write_str("the policy asks for a timestamp over the signature, and it carries none"),
            Self::KeyRevoked { what } => write!(f, "the {what} is revoked"),
            Self::KeyRetired => f.write_str("the key is retired, and this is not settled"),
            Self::KeyCompromised => f.write_str("the key is compromised, and this is not among what was audited"),
            Self::AuthorityRetired => f.write_str("the authority of the key's certificate is retired, and this is not settled"),
            Self::AuthorityCompromised => {
                f.write_str("the authority of the key's certificate is compromised, and this is not among what was audited")
            }
            Self::NamespaceNotAllowed => f.write_str("the policy lists the key, but not for the namespace `git`"),
            Self::OlderThanKey { made, key_made } => {
                write!(f, "the signature says that it was made at {}, before its key was, at {}", Utc(*made), Utc(*key_made))
            }
            Self::KeyNotYetValid { claimed, after } => {
                write!(f, "dated {}, before the key held, from {} on", Utc(*claimed), Utc(*after))
            }
            Self::KeyExpired { claimed, before } => {
                write!(f, "dated {}, after the key had ended, at {}", Utc(*claimed), Utc(*before))
            }
            Self::SignatureExpired { claimed, before } => {
                write!(f, "dated {}, after the end that the signature itself names, {}", Utc(*claimed), Utc(*before))
            }
            Self::ClaimedOnly { claimed, before } => write!(
                f,
                "the key, or its certificate, has ended ({}), and only the signer's own date ({}) puts this before the end",
                Utc(*before),
                Utc(*claimed)
            ),
            Self::NoClaimedTime => f.write_str("it carries no date, but the key is valid for a time only"),
            Self::ClaimedInFuture { claimed } => write!(f, "dated {}, which is in the future", Utc(*claimed)),
            Self::SignerNotCommitter { committer, principal } => {
                write!(f, "the key is that of {principal}, the committer is {committer}")
            }
            Self::Wildcard { pattern } => write!(f, "the only line for the key lets it speak for anybody (`{pattern}`)"),
            Self::Malleable => f.write_str("the same signature can be written in another way"),
            Self::PushMismatch { what } => write!(f, "the push certificate was made for another push: {what}"),
            Self::PushNonce { what } => write!(f, "the push certificate may be an old one: {what}"),
            Self::NotAPerson { principal } => write!(f, "a person signs a push certificate, and {principal} is a bot or a forge"),
            Self::NoRule => f.write_str("no rule of the policy covers this ref"),
            Self::ReplaceRef => f.write_str("replace refs make git show other objects than those that were signed"),
        }
    }
}

/// Why something could not be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unjudged {
    /// The history ends here because the clone is shallow.
    Shallow,
    /// The object is not in the repository.
    Missing,
    /// It would be rejected for its time or its key's state, but something that the policy settles, or says was audited, is not
    /// here, and might lie above it.
    SettledMissing {
        /// What it would be rejected for.
        reason: Box<Reason>,
    },
    /// The policy asks that the object lies above the commit that its signer's certificate names, and that is not known.
    BuiltOn {
        /// The commit, as the certificate names it.
        commit: ObjectId,
        /// Who would be the signer.
        principal: Principal,
    },
    /// The object cannot be read.
    Unreadable {
        /// What the object store said.
        what: String,
    },
}

impl Unjudged {
    /// The stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shallow => "shallow",
            Self::Missing => "missing-object",
            Self::SettledMissing { .. } => "settled-missing",
            Self::BuiltOn { .. } => "ancestor-unknown",
            Self::Unreadable { .. } => "unreadable-object",
        }
    }
}

impl fmt::Display for Unjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shallow => f.write_str("the clone is shallow: this commit is not here"),
            Self::Missing => f.write_str("the object is missing from the repository"),
            Self::SettledMissing { reason } => {
                write!(
                    f,
                    "{reason}; it may be settled or audited, but something that the policy names so is not in this repository"
                )
            }
            Self::BuiltOn { commit, .. } => {
                write!(
                    f,
                    "the certificate says that it was made for {commit}; whether the history below holds that cannot be seen, since not all of it is here"
                )
            }
            Self::Unreadable { what } => write!(f, "the object cannot be read: {what}"),
        }
    }
}

/// What is worth saying of an object that is accepted all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Warning {
    /// The key has ended, and only the signer's own date puts the object before the end.
    ClaimedOnly,
    /// The signature could be written in another way.
    Malleable,
    /// The key belongs to somebody else than the committer.
    SignerNotCommitter,
    /// A FIDO token signed without being touched.
    NoTouch,
    /// The key's line lets it speak for anybody.
    Wildcard,
    /// A forge signed it, which does so for any of its users.
    ForgeSigned,
    /// A push certificate that the server asked for no nonce in: it may have been sent before.
    NoNonce,
}

impl Warning {
    /// The stable kebab-case code.
    pub fn code(self) -> &'static str {
        match self {
            Self::ClaimedOnly => "claimed-only",
            Self::Malleable => "malleable",
            Self::SignerNotCommitter => "signer-not-committer",
            Self::NoTouch => "no-touch",
            Self::Wildcard => "wildcard",
            Self::ForgeSigned => "forge-signed",
            Self::NoNonce => "no-nonce",
        }
    }
}

/// A time in UTC, as RFC 3339 has it.
pub struct Utc(pub i64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_utc() {
        assert_eq!(Utc(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Utc(i64::MAX).to_string(), "@9223372036854775807");
    }
}
