//! What GnuPG keeps of other people's keys: keyboxes, and how far it trusts them.

use sequoia_openpgp::types::HashAlgorithm;
use std::collections::HashMap;

const KEYBOX_EMPTY: u8 = 0;
const KEYBOX_HEADER: u8 = 1;
const KEYBOX_OPENPGP: u8 = 2;
const KEYBOX_X509: u8 = 3;

/// A certificate in a keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// What a keybox says in front of it, the fingerprints of all its keys among that; empty where there is no such index.
    pub index: &'a [u8],
    /// Its packets; where there is no index, those of all certificates of the file.
    pub packets: &'a [u8],
}

/// The OpenPGP certificates in a keybox (pubring.kbx; GnuPG's kbx/keybox-blob.c). A file that is no keybox is one of packets
/// alone (pubring.gpg) and comes back whole. A blob that reaches beyond the file ends the list;
/// [`passed_over`] tells what is not in it.
pub fn certificates_of(file: &[u8]) -> Vec<Kept<'_>> {
    if !is_keybox(file) {
        return vec![Kept { index: b"", packets: file }];
    }
    let (blobs, _) = blobs(file);
    let openpgp = blobs.into_iter().filter(|blob| blob.get(4) == Some(&KEYBOX_OPENPGP));
    openpgp.filter_map(kept).collect()
}

/// Whether a file is a keybox.
pub fn is_keybox(file: &[u8]) -> bool {
    file.get(8..12) == Some(b"KBXf")
}

/// Whether a keybox has been used for OpenPGP, as its header says: what gpgsm alone made is not, and gpg passes over it.
pub fn is_for_openpgp(keybox: &[u8]) -> bool {
    is_keybox(keybox) && keybox.get(4) == Some(&KEYBOX_HEADER) && keybox.get(7).is_some_and(|flags| flags & 2 != 0)
}

/// What of a keybox [`certificates_of`] does not give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many bytes at its end are no whole blob.
    pub tail: usize,
    /// How many entries point outside of themselves, or are of a kind that is not known.
    pub broken: usize,
    /// How many entries are X.509 certificates.
    pub x509: usize,
}

/// What of a keybox is passed over.
pub fn passed_over(keybox: &[u8]) -> Passed {
    let (blobs, rest) = blobs(keybox);
    let mut passed = Passed { tail: rest.len(), ..Passed::default() };
    for blob in blobs {
        match blob.get(4) {
            Some(&(KEYBOX_EMPTY | KEYBOX_HEADER)) => {}
            Some(&KEYBOX_OPENPGP) if kept(blob).is_some() => {}
            Some(&KEYBOX_X509) => passed.x509 += 1,
            _ => passed.broken += 1,
        }
    }
    passed
}

fn kept(blob: &[u8]) -> Option<Kept<'_>> {
    let (start, length) = (number(blob, 8)?, number(blob, 12)?);
    Some(Kept { index: blob.get(..start)?, packets: blob.get(start..start.checked_add(length)?)? })
}

/// The blobs of a keybox, and what is left behind the last whole one.
fn blobs(file: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut found, mut rest) = (Vec::new(), file);
    while let Some(length) = number(rest, 0).filter(|&length| length > 5) {
        let Some((blob, after)) = rest.split_at_checked(length) else { break };
        rest = after;
        found.push(blob);
    }
    (found, rest)
}

/// How far somebody is believed, in GnuPG's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // they are GnuPG's
pub enum Trust {
    #[default]
    Unknown,
    Expired,
    Undefined,
    Never,
    Marginal,
    Fully,
    Ultimate,
}

impl Trust {
    pub(super) fn of_byte(byte: u8) -> Self {
        match byte & 0x0f {
            1 => Self::Expired,
            2 => Self::Undefined,
            3 => Self::Never,
            4 => Self::Marginal,
            5 => Self::Fully,
            6 => Self::Ultimate,
            _ => Self::Unknown,
        }
    }

    /// The word of a status line, after `TRUST_`.
    pub fn status(self) -> &'static str {
        match self {
            Self::Unknown | Self::Undefined | Self::Expired => "UNDEFINED",
            Self::Never => "NEVER",
            Self::Marginal => "MARGINAL",
            Self::Fully => "FULLY",
            Self::Ultimate => "ULTIMATE",
        }
    }

    /// The word that GnuPG prints behind a user id.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Undefined => "undefined",
            Self::Never => "never",
            Self::Marginal => "marginal",
            Self::Fully => "full",
            Self::Ultimate => "ultimate",
        }
    }
}

/// By what GnuPG believes somebody (its option trust-model).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustModel {
    /// The web of trust: `pgp`, `classic`, and `auto`, which takes what the trustdb was made by.
    #[default]
    Pgp,
    /// Everybody.
    Always,
    /// Whom the ownertrust names.
    Direct,
    /// Who is known by use, perhaps beside the web of trust.
    Tofu,
}

impl TrustModel {
    /// The one of a name, in any case of its letters.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "pgp" | "classic" | "auto" => Self::Pgp,
            "always" => Self::Always,
            "direct" => Self::Direct,
            "tofu" | "tofu+pgp" => Self::Tofu,
            _ => return None,
        })
    }
}

/// GnuPG's trustdb.gpg: what it worked out last of whose user ids are believed (g10/tdbio.c).
#[derive(Clone, Debug, Default)]
pub struct TrustDb {
    /// By the fingerprint's 20 bytes.
    certificates: HashMap<Vec<u8>, Believed>,
    /// When something of it ends, and it is to be worked out anew (seconds since 1970, UTC).
    due: Option<i64>,
}

/// The ownertrust of a certificate's holder, and how far its user ids are believed, by their hashes.
type Believed = (Trust, Vec<(Vec<u8>, Trust)>);

const RECORD: usize = 40;
const VERSION: u8 = 1;
const TRUST: u8 = 12;
const VALID: u8 = 13;

impl TrustDb {
    /// Reads the file; what makes no sense in it is believed by nobody.
    pub fn parse(file: &[u8]) -> Self {
        let record = |index: usize| file.get(index.checked_mul(RECORD)?..)?.get(..RECORD);
        let mut certificates = HashMap::new();
        for chunk in file.chunks_exact(RECORD).filter(|chunk| chunk.first() == Some(&TRUST)) {
            let (Some(fingerprint), Some(&owner)) = (chunk.get(2..22), chunk.get(22)) else { continue };
            let mut ids = Vec::new();
            let mut next = number(chunk, 26);
            // a list that goes round has an end here
            while let Some(valid) = next.filter(|&at| at != 0 && ids.len() < 1000).and_then(record) {
                if valid.first() != Some(&VALID) {
                    break;
                }
                ids.extend(valid.get(2..22).zip(valid.get(22)).map(|(hash, trust)| (hash.to_vec(), Trust::of_byte(*trust))));
                next = number(valid, 23);
            }
            certificates.insert(fingerprint.to_vec(), (Trust::of_byte(owner), ids));
        }
        let version = record(0).filter(|version| version.first() == Some(&VERSION));
        let due = version.and_then(|version| number(version, 16)).and_then(|due| i64::try_from(due).ok());
        Self { certificates, due: due.filter(|due| *due > 0) }
    }

    /// Whether what it says is not to be believed any more (check_trustdb_stale of g10/trustdb.c).
    pub fn is_stale(&self, now: i64) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Whose holders are trusted, by the fingerprint's 20 bytes.
    pub(super) fn owners(&self) -> impl Iterator<Item = (&[u8], Trust)> {
        self.certificates.iter().map(|(fingerprint, (owner, _))| (fingerprint.as_slice(), *owner))
    }

    /// Takes in how far a certificate's holder is trusted, and how far each of its user ids is believed.
    pub(super) fn believe(&mut self, fingerprint: &[u8], owner: Trust, ids: Vec<(Vec<u8>, Trust)>) {
        let ids = ids.into_iter().filter_map(|(id, trust)| Some((ripemd160(&id)?, trust))).collect();
        self.certificates.insert(fingerprint.to_vec(), (owner, ids));
    }

    /// How far it is believed that a certificate is that of a user id.
    pub fn validity(&self, fingerprint: &[u8], user_id: &[u8]) -> Trust {
        let Some((owner, ids)) = self.certificates.get(fingerprint) else { return Trust::Unknown };
        if *owner == Trust::Ultimate {
            return Trust::Ultimate;
        }
        let hash = ripemd160(user_id);
        ids.iter().find(|(id, _)| Some(id) == hash.as_ref()).map_or(Trust::Unknown, |(_, trust)| *trust)
    }

    /// How far a certificate's holder is trusted.
    pub fn owner(&self, fingerprint: &[u8]) -> Trust {
        self.certificates.get(fingerprint).map_or(Trust::Unknown, |(owner, _)| *owner)
    }

    /// The best of what is believed of any of its user ids.
    pub fn best(&self, fingerprint: &[u8]) -> Trust {
        let known = self.certificates.get(fingerprint);
        known.map_or(Trust::Unknown, |(owner, ids)| {
            if *owner == Trust::Ultimate { *owner } else { ids.iter().map(|(_, trust)| *trust).max().unwrap_or_default() }
        })
    }
}

fn ripemd160(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut context = HashAlgorithm::RipeMD.context().ok()?.for_digest();
    context.update(bytes);
    context.into_digest().ok()
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + content.len()).unwrap();
        let own = u32::try_from(content.len()).unwrap();
        [&length.to_be_bytes()[..], &[kind, 1, 0, 0], &16u32.to_be_bytes(), &own.to_be_bytes(), content].concat()
    }

    #[test]
    fn keyboxes() {
        let header = [&32u32.to_be_bytes()[..], &[1, 1, 0, 2], b"KBXf", &[0; 20]].concat();
        let file = [header.clone(), blob(2, b"one"), blob(3, b"x509"), blob(2, b"two")].concat();
        let packets = |file| certificates_of(file).into_iter().map(|it| it.packets).collect::<Vec<_>>();
        assert_eq!(packets(&file), [b"one", b"two"]);
        assert_eq!(certificates_of(&file).first().unwrap().index.len(), 16);
        assert_eq!(packets(file.get(..file.len() - 1).unwrap()), [b"one"]);
        assert!(certificates_of(&header).is_empty() && is_for_openpgp(&header));
        let others = [&header[..7], &[0], &header[8..]].concat();
        assert!(!is_for_openpgp(&others) && is_keybox(&others) && !is_for_openpgp(b"packets"));
        let passed = |tail, broken| Passed { tail, broken, x509: 1 };
        assert_eq!((passed_over(&file), passed_over(file.get(..file.len() - 1).unwrap())), (passed(0, 0), passed(18, 0)));
        for (at, byte, want) in
            [(32 + 4, 9, passed(0, 1)), (32 + 8, 0x7f, passed(0, 1)), (32 + 15, 4, passed(0, 1)), (32 + 4, 0, passed(0, 0))]
        {
            let mut changed = file.clone();
            changed[at] = byte;
            assert_eq!((passed_over(&changed), certificates_of(&changed).len()), (want, 1), "{at} {byte}");
        }
        assert_eq!(certificates_of(b"packets"), [Kept { index: b"", packets: b"packets" }]);
        let endless = [header, vec![0; 40]].concat();
        assert!(certificates_of(&endless).is_empty());
    }

    #[test]
    fn trust() {
        let mut file = vec![0; RECORD * 4];
        file[RECORD] = TRUST;
        file[RECORD + 2..RECORD + 22].copy_from_slice(&[7; 20]);
        file[RECORD + 22] = 4;
        file[RECORD + 29] = 2;
        file[RECORD * 2] = VALID;
        file[RECORD * 2 + 2..RECORD * 2 + 22].copy_from_slice(&ripemd160(b"a").unwrap());
        file[RECORD * 2 + 22] = 5;
        file[RECORD * 2 + 26] = 2; // itself
        let trust = TrustDb::parse(&file);
        assert_eq!(trust.validity(&[7; 20], b"a"), Trust::Fully);
        assert_eq!(trust.validity(&[7; 20], b"b"), Trust::Unknown);
        assert_eq!((trust.best(&[7; 20]), trust.best(&[8; 20])), (Trust::Fully, Trust::Unknown));
        file[RECORD + 22] = 6;
        assert_eq!(TrustDb::parse(&file).validity(&[7; 20], b"b"), Trust::Ultimate);
        assert_eq!(TrustDb::parse(b"short").best(&[7; 20]), Trust::Unknown);
    }
}
