//! The entry of Rekor's log that gitsign embeds: `dev.sigstore.rekor.v1.TransparencyLogEntry` in protobuf, without the body,
//! which is made anew from what was signed, the signature and the certificate. An entry of something else can therefore not be
//! passed off: another body has another leaf hash, and another signed promise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// More hashes than a proof of inclusion has in a tree of 2⁶⁴ leaves.
const MOST_HASHES: usize = 64;

/// Why an entry cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EntryError {
    #[error("it ends early, or has a field of a form that is not read here")]
    Form,
    #[error("a field stands in it twice")]
    Twice,
    #[error("a number in it is out of range")]
    Range,
    #[error("a hash in it is not 32 bytes long")]
    Hash,
    #[error("it names no log")]
    NoLog,
    #[error("its kind is not hashedrekord 0.0.1 or 0.0.2")]
    Kind,
    #[error("its checkpoint is not text")]
    Text,
    #[error("its proof has more hashes than a tree can ask for")]
    Long,
    #[error("the body in it is not that of this signature")]
    Body,
}

/// The form of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// hashedrekord 0.0.1, of Rekor v1: the log promises a time.
    V1,
    /// hashedrekord 0.0.2, of Rekor v2: the log proves no time.
    V2,
}

/// An entry, less its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) index: u64,
    pub(super) log: [u8; 32],
    pub(super) version: Version,
    /// When the log says that it took it in, seconds since 1970 (UTC).
    pub(super) time: Option<i64>,
    /// The log's signature over body, time and index.
    pub(super) promise: Option<Vec<u8>>,
    pub(super) proof: Option<Proof>,
    /// Whether the bytes that it was read from are those that gitsign would have written.
    pub(super) plain: bool,
}

/// A proof that the entry is in the tree that a checkpoint signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) index: u64,
    pub(super) root: [u8; 32],
    pub(super) size: u64,
    pub(super) hashes: Vec<[u8; 32]>,
    pub(super) checkpoint: String,
}

/// What an entry is of.
pub(super) struct Subject<'a> {
    /// SHA-256 of the signed attributes.
    pub(super) digest: [u8; 32],
    pub(super) signature: &'a [u8],
    /// The certificate, DER.
    pub(super) certificate: &'a [u8],
    /// The name that Rekor v2 gives key and hash function.
    pub(super) key_details: &'a str,
}

impl Subject<'_> {
    /// The canonical body (RFC 8785) of the entry that Rekor makes of it.
    pub(super) fn body(&self, version: Version) -> String {
        let signature = STANDARD.encode(self.signature);
        match version {
            Version::V1 => {
                let digest = hex::encode(self.digest);
                let key = STANDARD.encode(pem(self.certificate));
                format!(
                    r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","value":"{digest}"}}}},"signature":{{"content":"{signature}","publicKey":{{"content":"{key}"}}}}}}}}"#
                )
            }
            Version::V2 => {
                let digest = STANDARD.encode(self.digest);
                let certificate = STANDARD.encode(self.certificate);
                let details = self.key_details;
                format!(
                    r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"SHA2_256","digest":"{digest}"}},"signature":{{"content":"{signature}","verifier":{{"keyDetails":"{details}","x509Certificate":{{"rawBytes":"{certificate}"}}}}}}}}}}}}"#
                )
            }
        }
    }
}

/// A certificate in PEM, as Go writes it.
fn pem(certificate: &[u8]) -> String {
    let mut out = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = STANDARD.encode(certificate);
    while !rest.is_empty() {
        let tail = rest.split_off(rest.len().min(64));
        out.push_str(&rest);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

impl Entry {
    /// Reads an entry; a body that is in it must be that of the subject.
    ///
    /// # Errors
    /// Where it is not an entry of a kind that gitsign embeds.
    pub(super) fn parse(bytes: &[u8], subject: &Subject<'_>) -> Result<Self, EntryError> {
        let mut found = Fields::read(bytes)?;
        let mut log = Fields::read(found.bytes(2)?.ok_or(EntryError::NoLog)?)?;
        let mut kind = Fields::read(found.bytes(3)?.ok_or(EntryError::Kind)?)?;
        let version = match (kind.bytes(1)?, kind.bytes(2)?) {
            (Some(b"hashedrekord"), Some(b"0.0.1")) => Version::V1,
            (Some(b"hashedrekord"), Some(b"0.0.2")) => Version::V2,
            _ => return Err(EntryError::Kind),
        };
        let promise = match found.bytes(5)? {
            Some(promise) => Fields::read(promise)?.bytes(1)?.map(<[u8]>::to_vec),
            None => None,
        };
        let mut entry = Self {
            index: found.number(1)?,
            log: hash(log.bytes(1)?.ok_or(EntryError::NoLog)?)?,
            version,
            time: i64::try_from(found.number(4)?).ok().filter(|time| *time > 0),
            promise,
            proof: found.bytes(6)?.map(Proof::parse).transpose()?,
            plain: true,
        };
        if found.bytes(7)?.is_some_and(|body| body != subject.body(version).as_bytes()) {
            return Err(EntryError::Body);
        }
        entry.plain = entry.encode() == bytes;
        Ok(entry)
    }

    /// The entry in protobuf, fields in their order, without the body: as gitsign embeds it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(1, self.index);
        out.message(2, |log| log.bytes(1, &self.log));
        out.message(3, |kind| {
            kind.bytes(1, b"hashedrekord");
            kind.bytes(2, if self.version == Version::V1 { b"0.0.1" } else { b"0.0.2" });
        });
        out.number(4, self.time.and_then(|time| u64::try_from(time).ok()).unwrap_or(0));
        if let Some(promise) = &self.promise {
            out.message(5, |out| out.bytes(1, promise));
        }
        if let Some(proof) = &self.proof {
            out.message(6, |out| {
                out.number(1, proof.index);
                out.bytes(2, &proof.root);
                out.number(3, proof.size);
                proof.hashes.iter().for_each(|hash| out.bytes(4, hash));
                out.message(5, |out| out.bytes(1, proof.checkpoint.as_bytes()));
            });
        }
        out.0
    }
}

impl Proof {
    fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut found = Fields::read(bytes)?;
        let hashes: Vec<[u8; 32]> = found.all(4).into_iter().map(|value| hash(value.bytes()?)).collect::<Result<_, _>>()?;
        if hashes.len() > MOST_HASHES {
            return Err(EntryError::Long);
        }
        let checkpoint = match found.bytes(5)? {
            Some(checkpoint) => Fields::read(checkpoint)?.bytes(1)?.unwrap_or_default(),
            None => &[],
        };
        Ok(Self {
            index: found.number(1)?,
            root: hash(found.bytes(2)?.ok_or(EntryError::Hash)?)?,
            size: found.number(3)?,
            hashes,
            checkpoint: String::from_utf8(checkpoint.to_vec()).map_err(|_| EntryError::Text)?,
        })
    }
}

fn hash(bytes: &[u8]) -> Result<[u8; 32], EntryError> {
    bytes.try_into().map_err(|_| EntryError::Hash)
}

/// The fields of a protobuf message, in their order.
struct Fields<'a>(Vec<(u64, Value<'a>)>);

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> Result<&'a [u8], EntryError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(EntryError::Form),
        }
    }
}

impl<'a> Fields<'a> {
    fn read(mut rest: &'a [u8]) -> Result<Self, EntryError> {
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            let value = match key & 7 {
                0 => Value::Number(varint(&mut rest)?),
                2 => {
                    let length = usize::try_from(varint(&mut rest)?).map_err(|_| EntryError::Form)?;
                    let (value, after) = rest.split_at_checked(length).ok_or(EntryError::Form)?;
                    rest = after;
                    Value::Bytes(value)
                }
                _ => return Err(EntryError::Form),
            };
            fields.push((key >> 3, value));
        }
        Ok(Self(fields))
    }

    fn all(&mut self, number: u64) -> Vec<Value<'a>> {
        self.0.iter().filter(|(found, _)| *found == number).map(|(_, value)| *value).collect()
    }

    fn one(&mut self, number: u64) -> Result<Option<Value<'a>>, EntryError> {
        match self.all(number)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(EntryError::Twice),
        }
    }

    fn bytes(&mut self, number: u64) -> Result<Option<&'a [u8]>, EntryError> {
        self.one(number)?.map(Value::bytes).transpose()
    }

    /// A number of at most 63 bits; absent is 0 (proto3).
    fn number(&mut self, number: u64) -> Result<u64, EntryError> {
        match self.one(number)? {
            None => Ok(0),
            Some(Value::Number(value)) if i64::try_from(value).is_ok() => Ok(value),
            Some(Value::Number(_)) => Err(EntryError::Range),
            Some(Value::Bytes(_)) => Err(EntryError::Form),
        }
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, EntryError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(EntryError::Form)?;
        *rest = after;
        let digits = u64::from(byte & 0x7f);
        if digits.leading_zeros() < shift {
            return Err(EntryError::Range);
        }
        value |= digits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(EntryError::Range)
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.extend(u8::try_from(value & 0x7f).map(|low| low | 0x80));
            value >>= 7;
        }
        self.0.extend(u8::try_from(value));
    }

    fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'_> =
        Subject { digest: [1; 32], signature: b"s", certificate: b"c", key_details: "PKIX_ECDSA_P256_SHA_256" };

    fn entry() -> Entry {
        let proof = Proof { index: 3, root: [4; 32], size: 5, hashes: vec![[6; 32], [7; 32]], checkpoint: "x\n".to_owned() };
        Entry {
            index: 300,
            log: [2; 32],
            version: Version::V1,
            time: Some(1_785_939_437),
            promise: Some(b"promise".to_vec()),
            proof: Some(proof),
            plain: true,
        }
    }

    #[test]
    fn round_trip() {
        let bare = Entry { index: 0, version: Version::V2, time: None, promise: None, proof: None, ..entry() };
        for entry in [entry(), bare] {
            assert_eq!(Entry::parse(&entry.encode(), &SUBJECT), Ok(entry));
        }
    }

    #[test]
    fn other_forms() {
        let good = entry().encode();
        let unknown = [&good[..], &[0x78, 1]].concat();
        assert!(Entry::parse(&unknown, &SUBJECT).is_ok_and(|it| !it.plain && it.index == 300));
        let body = |text: &str| {
            let mut writer = Writer(good.clone());
            writer.bytes(7, text.as_bytes());
            writer.0
        };
        assert!(Entry::parse(&body(&SUBJECT.body(Version::V1)), &SUBJECT).is_ok_and(|it| !it.plain));
        let short = good.get(..3).unwrap().to_vec(); // the index only
        let mut long = vec![];
        (0..65).for_each(|_| {
            let mut writer = Writer::default();
            writer.bytes(4, &[0; 32]);
            long.extend(writer.0);
        });
        for (bytes, error) in [
            (good[..good.len() - 1].to_vec(), EntryError::Form),
            (good.repeat(2), EntryError::Twice),
            (vec![], EntryError::NoLog),
            (vec![0x0b], EntryError::Form),
            (vec![0x80; 11], EntryError::Range),
            (body("{}"), EntryError::Body),
            (short, EntryError::NoLog),
        ] {
            assert_eq!(Entry::parse(&bytes, &SUBJECT).map(|_| ()), Err(error), "{bytes:02x?}");
        }
        assert_eq!(Proof::parse(&long).map(|_| ()), Err(EntryError::Long));
    }

    #[test]
    fn bodies() {
        assert!(SUBJECT.body(Version::V1).contains(r#""value":"0101"#));
        assert!(
            SUBJECT.body(Version::V2).contains(r#"{"keyDetails":"PKIX_ECDSA_P256_SHA_256","x509Certificate":{"rawBytes":"Yw=="}}"#)
        );
        assert_eq!(pem(&[0; 49]).lines().map(str::len).collect::<Vec<_>>(), [27, 64, 4, 25]);
    }
}
