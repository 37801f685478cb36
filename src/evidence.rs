//! What the bytes of an object prove, before any policy says whether that is enough.

mod smime;

pub use smime::{ChainStanding, Name, Smime, SmimePath};

use crate::armor::Format;
use crate::object::PayloadId;
use std::sync::Arc;

/// How far a time that somebody else's clock gave may lie ahead of ours, in seconds.
pub const CLOCK_TOLERANCE: i64 = 600;

/// What a signature that verifies proves.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The signature's format.
    pub format: Format,
    /// The key that made it.
    pub key: Arc<Key>,
    /// The hash function over the payload, such as `sha256` or `sha512`.
    pub hash: &'static str,
    /// When the signature says that it was made (OpenPGP), seconds since 1970 (UTC): whoever holds the key chose it.
    pub made: Option<i64>,
    /// When the signature says that it ends (OpenPGP), seconds since 1970 (UTC).
    pub ends: Option<i64>,
    /// What is too weak to rest on, in words: hash functions, algorithms, versions.
    pub weak: Vec<&'static str>,
    /// What a FIDO token says of the moment of signing.
    pub token: Option<Token>,
    /// What a keyless signature's certificate, log entry and timestamps prove; the key itself is forgotten once it has signed.
    pub keyless: Option<Arc<Keyless>>,
    /// What an S/MIME signature's certificate, and the chains above it, prove.
    pub smime: Option<Arc<Smime>>,
    /// SHA-256 of the payload.
    pub payload_id: PayloadId,
    /// In which ways the same signature could be written differently, none of them touching what is signed.
    pub malleable: Vec<Malleable>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The algorithm's name on the wire, such as `sk-ssh-ed25519@openssh.com`.
    pub algorithm: String,
    /// OpenSSH's short name, such as `ED25519-SK`.
    pub short: &'static str,
    /// `SHA256:` and the base64 of the hash of the key; of a certificate, that of the key inside it. Of OpenPGP keys the
    /// fingerprint, uppercase hexadecimal.
    pub fingerprint: String,
    /// What a policy lists it by. The public key as it travels (RFC 4253 §6.6); of a certificate, that of the key inside it. Of
    /// OpenPGP keys the bytes of their certificate's fingerprint.
    pub blob: Vec<u8>,
    /// The modulus size of an RSA key.
    pub rsa_bits: Option<usize>,
    /// The certificate that the signature came with, its authority's signature checked.
    pub certificate: Option<Arc<Certificate>>,
    /// What its OpenPGP certificate says of it.
    pub binding: Option<Binding>,
}

/// What an OpenPGP certificate says of one of its keys. Times are seconds since 1970 (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The certificate's fingerprint, uppercase hexadecimal.
    pub certificate: String,
    /// Its primary user id; text that anybody may have written.
    pub user_id: Vec<u8>,
    /// The last moment of the key or of the certificate, whichever comes first.
    pub ends: Option<i64>,
    /// The first moment at which the certificate may say something else of the key without having been changed.
    pub changes: Option<i64>,
    /// Whether the key or the certificate is revoked.
    pub revoked: Option<Revocation>,
    /// What of it is too weak to rest on.
    pub weak: Option<WeakBinding>,
}

/// What of an OpenPGP certificate is too weak to rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeakBinding {
    /// Its primary key, by which everything in it is signed.
    Primary,
    /// The hash functions of the signatures that bind the key.
    Signature,
    /// The hash function of the signature that gives the key more time: without it the key has ended.
    Prolonged {
        /// When.
        ended: i64,
    },
}

/// How a key was revoked (RFC 9580 §5.2.3.31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whether nothing that the key ever made stands; else it is only out of use.
    pub hard: bool,
    /// Whether a reason is given; without one it counts as hard.
    pub stated: bool,
    /// When.
    pub at: i64,
}

/// What is proved of a keyless signature (Sigstore): who signed, by whose word, and when. Times are seconds since 1970 (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyless {
    /// Who signed.
    pub subject: Subject,
    /// Who identified the signer: the issuer of the identity token, a URL.
    pub issuer: String,
    /// What else the certificate says of the signer (1.3.6.1.4.1.57264.1.x), by the names that policies use.
    pub claims: Vec<(&'static str, String)>,
    /// The certificate's serial number, hexadecimal.
    pub serial: String,
    /// The first moment of the certificate.
    pub not_before: i64,
    /// Its last.
    pub not_after: i64,
    /// The name of the trusted root that all of this was checked by.
    pub authority: String,
    /// The log entry; `None` where the signature carries none.
    pub entry: Option<LogEntry>,
    /// The times of timestamp tokens over the signature.
    pub timestamps: Vec<i64>,
}

impl Keyless {
    /// When the signature was there at the latest, by those who prove it: the last of all their times, each of which lies within
    /// the certificate.
    pub fn attested(&self) -> Option<i64> {
        let logged = self.entry.as_ref().and_then(|entry| entry.time);
        self.timestamps.iter().copied().chain(logged).max()
    }

    /// What a claim says.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// The claims of a keyless certificate: their number below 1.3.6.1.4.1.57264.1, and the name that policies use.
pub const CLAIMS: [(u8, &str); 16] = [
    (9, "build-signer-uri"),
    (10, "build-signer-digest"),
    (11, "runner"),
    (12, "repository"),
    (13, "repository-digest"),
    (14, "ref"),
    (15, "repository-id"),
    (16, "owner"),
    (17, "owner-id"),
    (18, "build-config-uri"),
    (19, "build-config-digest"),
    (20, "trigger"),
    (21, "run"),
    (22, "visibility"),
    (23, "environment"),
    (24, "subject"),
];

/// Whom a keyless certificate names, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// An e-mail address: a person, or a service account.
    Email(String),
    /// A URI: the workflow of a CI service, a SPIFFE identity.
    Uri(String),
}

impl Subject {
    /// The name, whatever its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Email(name) | Self::Uri(name) => name,
        }
    }

    /// What a policy finds it by, together with who identified it: no bytes of a key look like this.
    pub fn blob(&self, issuer: &str) -> Vec<u8> {
        let kind = match self {
            Self::Email(_) => "email",
            Self::Uri(_) => "uri",
        };
        format!("keyless\0{kind}\0{issuer}\0{}", self.name()).into_bytes()
    }
}

/// An entry of a transparency log, its place in the log proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The log's id, hexadecimal.
    pub log: String,
    /// Its number in the log.
    pub index: u64,
    /// When the log took it in, seconds since 1970 (UTC); `None` where the log proves no time (Rekor v2).
    pub time: Option<i64>,
}

/// What an authority says of a key (PROTOCOL.certkeys). Times are seconds since 1970 (UTC); `i64::MAX` is for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The authority's number for it.
    pub serial: u64,
    /// For users or for hosts.
    pub kind: CertificateKind,
    /// The authority's name for it; never an identity.
    pub key_id: Vec<u8>,
    /// The names that the key may speak for.
    pub principals: Vec<Vec<u8>>,
    /// The first second at which it holds.
    pub valid_after: i64,
    /// The first second at which it holds no more.
    pub valid_before: i64,
    /// The names of its critical options: who does not know one must refuse the certificate.
    pub critical_options: Vec<String>,
    /// The authority's key.
    pub authority: Arc<Key>,
    /// The certificate as it travels, the key inside it included.
    pub blob: Vec<u8>,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// A user.
    User,
    /// A host: signs nothing in git.
    Host,
}

impl Key {
    /// What a signature names it by: the certificate that it came with, else the key.
    pub fn wire(&self) -> &[u8] {
        self.certificate.as_deref().map_or(&self.blob, |certificate| &certificate.blob)
    }

    /// `type base64` of the key (of a certificate: of the key inside), as allowed_signers and authorized_keys have it.
    pub fn to_openssh(&self) -> String {
        use base64::Engine as _;
        let plain = self.algorithm.strip_suffix("-cert-v01@openssh.com");
        let algorithm = match plain {
            Some(plain) if plain.starts_with("sk-") => format!("{plain}@openssh.com"),
            _ => plain.unwrap_or(&self.algorithm).to_owned(),
        };
        format!("{algorithm} {}", base64::engine::general_purpose::STANDARD.encode(&self.blob))
    }
}

/// What a FIDO authenticator signed beside the data (PROTOCOL.u2f).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The flags byte: 0x01 user present (touch), 0x04 user verified (PIN or biometrics).
    pub flags: u8,
    /// The signature counter.
    pub counter: u32,
}

impl Token {
    /// Whether the token was touched.
    pub fn touched(self) -> bool {
        self.flags & 0x01 != 0
    }

    /// Whether the user gave a PIN or a fingerprint.
    pub fn verified(self) -> bool {
        self.flags & 0x04 != 0
    }
}

/// A way in which a good signature could be rewritten without its key, so that the same content gets another object id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Malleable {
    /// The armour is not as ssh-keygen writes it.
    Armor,
    /// The object carries more than the signature outside of what is signed, or carries the signature in an unusual place.
    Header,
    /// The S of an ECDSA signature is in the upper half; n − S is as good.
    HighS,
    /// The signature blob is encoded in more bytes than it needs, or in fewer.
    Encoding,
}

impl Malleable {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Armor => "armor",
            Self::Header => "header",
            Self::HighS => "high-s",
            Self::Encoding => "encoding",
        }
    }
}
