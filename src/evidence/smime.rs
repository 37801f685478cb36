//! What is proved of an S/MIME signature: whom its certificate names, and by which chains of certificates authorities vouch.

use super::Revocation;
use std::fmt;

/// A good S/MIME signature's certificate, and the chains above it. Times are seconds since 1970 (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smime {
    /// The e-mail names of the certificate, as they are written: none, one or more.
    pub addresses: Vec<String>,
    /// Whom it is of, for people: who certified the addresses need not have looked at it.
    pub holder: Name,
    /// Who issued it.
    pub issuer: Name,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its first moment.
    pub not_before: i64,
    /// Its last.
    pub not_after: i64,
    /// The chains that lead to a root of an authority, the best of them first; at least one.
    pub paths: Vec<SmimePath>,
}

impl Smime {
    /// What a policy finds an address by, together with the authority that vouches for it: no bytes of a key look like this.
    pub fn blob(authority: &str, address: &str) -> Vec<u8> {
        format!("x509\0{authority}\0{address}").into_bytes()
    }

    /// The addresses in one line.
    pub fn identity(&self) -> String {
        self.addresses.join(", ")
    }
}

/// One chain of certificates from the signer's to a root, every signature in it good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmimePath {
    /// The name of the authority whose root it leads to.
    pub authority: String,
    /// Who issued each certificate, the signer's first; the last is the root's own name.
    pub issuers: Vec<Name>,
    /// The first moment at which all of its certificates hold, that of the root included.
    pub begin: i64,
    /// The last.
    pub end: i64,
    /// The other authorities that have a key of it among their roots': what is said of them counts, too.
    pub through: Vec<String>,
    /// What the authority's revocation lists say, and those of `through`.
    pub standing: ChainStanding,
    /// Who issued certificates in it that no list covers, the signer's aside.
    pub unasked: Vec<Name>,
}

/// What revocation lists say of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainStanding {
    /// The authority names none.
    Unasked,
    /// Nothing in it is revoked.
    Good,
    /// They do not cover it; in words.
    Unknown(String),
    /// A certificate in it is revoked.
    Revoked {
        /// Whether it is the signer's own; else that of an authority above it.
        own: bool,
        /// How.
        how: Revocation,
    },
}

/// A distinguished name, part by part in the order of the certificate; the parts' types as RFC 4514 and GnuPG shorten them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name(pub Vec<(String, String)>);

/// The parts that GnuPG puts first, in its order.
const FIRST: [&str; 7] = ["CN", "OU", "O", "STREET", "L", "ST", "C"];

impl Name {
    /// As gpgsm writes it: `/CN=…/O=…`; a slash in a value, which would begin another part, after a backslash.
    pub fn as_gpgsm(&self) -> String {
        let of = |wanted: &'static str| self.0.iter().rev().filter(move |(kind, _)| kind == wanted);
        let others = self.0.iter().rev().filter(|(kind, _)| !FIRST.contains(&kind.as_str()));
        FIRST.into_iter().flat_map(of).chain(others).map(|(kind, value)| format!("/{kind}={}", value.replace('/', "\\/"))).collect()
    }
}

impl fmt::Display for Name {
    /// The last part first, as RFC 4514 §2.1 has it, for people: nothing is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().rev().map(|(kind, value)| format!("{kind}={value}")).collect();
        f.write_str(&parts.join(","))
    }
}
