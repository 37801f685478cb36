//! Annotated tags.

use super::{
    Fault, HashAlgorithm, Identity, MAX_HEADER_LINES, MAX_OBJECT, MAX_SIGNATURE, ObjectId, ObjectKind, Payload, clip, fields,
    split_header,
};
use crate::armor::Format;

/// An annotated tag as its raw bytes say, whether or not they should be believed (see [`Tag::fault`]).
#[derive(Clone, Debug)]
pub struct Tag<'a> {
    /// The object it names.
    pub target: Option<ObjectId>,
    /// The kind of object that it says it names.
    pub kind: Option<ObjectKind>,
    /// The name inside, as stored.
    pub name: &'a [u8],
    /// The tagger; old tags have none.
    pub tagger: Option<Identity<'a>>,
    /// The signature: from the last line that begins with a marker to the end. `None` where the tag is not signed.
    pub signature: Option<&'a [u8]>,
    /// What the signature covers.
    pub payload: Payload<'a>,
    /// Whether it carries a signature header for the other hash function, which the signature does not cover.
    pub loose: bool,
    /// The first thing that is wrong with it, if anything is.
    pub fault: Option<Fault>,
    /// What follows the header, less the signature.
    pub message: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Reads the content of a tag object of a repository that uses `hash`. Never fails: what is wrong is the `fault`.
    pub fn parse(raw: &'a [u8], hash: HashAlgorithm) -> Self {
        let mut tag = Self {
            target: None,
            kind: None,
            name: b"",
            tagger: None,
            signature: None,
            payload: Payload::default(),
            loose: false,
            fault: None,
            message: b"",
        };
        if raw.len() > MAX_OBJECT {
            tag.fault = Some(Fault::TooLarge { bytes: raw.len() });
            return tag;
        }
        let (signed, signature) = match last_marker(raw).and_then(|at| raw.split_at_checked(at)) {
            Some((signed, signature)) => (signed, Some(signature)),
            None => (raw, None),
        };
        let (header, message) = split_header(signed);
        tag.message = message.unwrap_or_default();
        tag.signature = signature;
        if message.is_none() {
            tag.blame(Fault::Unterminated);
        }
        if header.contains(&0) {
            tag.blame(Fault::NulInHeader);
        }
        if let Some(bytes) = signature.map(<[u8]>::len).filter(|&n| n > MAX_SIGNATURE) {
            tag.blame(Fault::SignatureTooLarge { bytes });
        }
        tag.read_header(header, signed, hash);
        tag
    }

    fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Order `object`, `type`, `tag`, then at most one `tagger`, then at most one signature header, for the other hash
    /// function (git takes out no more than two, and which two depends on what stands between them).
    fn read_header(&mut self, header: &'a [u8], signed: &'a [u8], hash: HashAlgorithm) {
        const ORDER: [&[u8]; 3] = [b"object", b"type", b"tag"];
        let (mut lines, mut start, mut at) = (0, 0, 0);
        for (index, field) in fields(header).enumerate() {
            let end = at + field.len;
            lines += field.lines();
            if lines > MAX_HEADER_LINES {
                self.blame(Fault::TooManyHeaderLines);
                break;
            }
            let in_place = match ORDER.get(index) {
                Some(name) => *name == field.name,
                None => !ORDER.contains(&field.name),
            };
            if !in_place {
                self.blame(Fault::Malformed { what: "it does not begin with object, type and tag, each once" });
            }
            let signature_header = field.name == hash.other().signature_header();
            if !field.continued.is_empty() && !signature_header {
                self.blame(Fault::Malformed { what: "a line begins with a space" });
            }
            match field.name {
                b"object" if self.target.is_none() => {
                    self.target = ObjectId::from_hex(field.value).filter(|id| id.algorithm() == hash)
                }
                b"type" if self.kind.is_none() => self.kind = kind_of(field.value),
                b"tag" if self.name.is_empty() => self.name = field.value,
                b"tagger" if index == ORDER.len() => {
                    self.tagger = Identity::parse(field.value);
                    if self.tagger.is_none() {
                        self.blame(Fault::MalformedIdentity { header: "tagger" });
                    }
                }
                b"tagger" => self.blame(Fault::Late { header: "tagger" }),
                _ if signature_header && !self.loose && Format::sniff(field.value).is_some() => {
                    self.loose = true;
                    self.payload.push(signed.get(start..at).unwrap_or_default());
                    start = end;
                }
                name if name.starts_with(b"gpgsig") => {
                    self.blame(Fault::UnknownSignatureHeader { name: clip(name) });
                }
                _ => {}
            }
            at = end;
        }
        self.payload.push(signed.get(start..).unwrap_or_default());
        if self.target.is_none() || self.kind.is_none() || self.name.is_empty() {
            self.blame(Fault::Malformed { what: "its object, type or name cannot be read" });
        }
    }
}

/// The place of the last line that begins with a signature marker (git's `parse_signed_buffer`).
pub(super) fn last_marker(raw: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut found = None;
    for line in raw.split_inclusive(|&b| b == b'\n') {
        if Format::sniff(line).is_some() {
            found = Some(at);
        }
        at += line.len();
    }
    found
}

fn kind_of(name: &[u8]) -> Option<ObjectKind> {
    [ObjectKind::Commit, ObjectKind::Tag, ObjectKind::Tree, ObjectKind::Blob]
        .into_iter()
        .find(|kind| kind.name().as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "object 1111111111111111111111111111111111111111\ntype commit\ntag v1\n";
    const TAGGER: &str = "tagger A <a@x> 1 +0000\n";
    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n";

    fn code(parts: &[&str]) -> Option<&'static str> {
        Tag::parse(parts.concat().as_bytes(), HashAlgorithm::Sha1).fault.map(|fault| fault.code())
    }

    #[test]
    fn honest_tags() {
        let raw = [HEAD, TAGGER, "\nrelease\n", SIGNATURE].concat();
        let tag = Tag::parse(raw.as_bytes(), HashAlgorithm::Sha1);
        assert_eq!(tag.fault, None);
        assert_eq!(tag.payload.to_vec(), [HEAD, TAGGER, "\nrelease\n"].concat().as_bytes());
        assert_eq!(tag.signature, Some(SIGNATURE.as_bytes()));
        assert_eq!((tag.name, tag.kind), (&b"v1"[..], Some(ObjectKind::Commit)));
        assert_eq!(code(&[HEAD, "\nold, no tagger\n"]), None);
        assert_eq!(code(&[HEAD, TAGGER, "\n"]), None);
    }

    #[test]
    fn a_header_for_the_other_hash_is_taken_out() {
        let other = "gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n";
        let raw = [HEAD, TAGGER, other, "\nm\n", SIGNATURE].concat();
        let tag = Tag::parse(raw.as_bytes(), HashAlgorithm::Sha1);
        assert_eq!((tag.fault, tag.loose), (None, true));
        assert_eq!(tag.payload.to_vec(), [HEAD, TAGGER, "\nm\n"].concat().as_bytes());
        assert_eq!(code(&[HEAD, TAGGER, other, other, "\nm\n", SIGNATURE]), Some("unknown-signature-header"));
    }

    #[test]
    fn the_last_marker_begins_the_signature() {
        let raw = [HEAD, TAGGER, "\n", SIGNATURE, "between\n", SIGNATURE, "trailing"].concat();
        let tag = Tag::parse(raw.as_bytes(), HashAlgorithm::Sha1);
        assert_eq!(tag.signature, Some([SIGNATURE, "trailing"].concat().as_bytes()));
    }

    #[test]
    fn each_fault_has_its_code() {
        for (want, parts) in [
            ("malformed-header", &["type commit\n", "\n"][..]),
            ("malformed-header", &[HEAD, HEAD, "\n"]),
            ("malformed-header", &[HEAD, " folded\n", "\n"]),
            ("malformed-header", &["object 11\ntype commit\ntag v1\n", "\n"]),
            ("malformed-header", &["object 1111111111111111111111111111111111111111\ntype commitx\ntag v1\n", "\n"]),
            ("late-tagger", &[HEAD, TAGGER, TAGGER, "\n"]),
            ("late-tagger", &[HEAD, "x y\n", TAGGER, "\n"]),
            ("malformed-identity", &[HEAD, "tagger nobody\n", "\n"]),
            ("unknown-signature-header", &[HEAD, TAGGER, "gpgsig x\n", "\n"]),
            ("nul-in-header", &[HEAD, "tagger A\0 <a@x> 1 +0000\n", "\n"]),
            ("unterminated-header", &[HEAD, TAGGER]),
            ("unterminated-header", &[HEAD, TAGGER, SIGNATURE]),
        ] {
            assert_eq!(code(parts), Some(want), "{parts:?}");
        }
    }
}
