//! Commits.

use super::{
    Fault, HashAlgorithm, Identity, MAX_HEADER_LINES, MAX_OBJECT, MAX_PARENTS, MAX_SIGNATURE, ObjectId, Payload, clip, fields,
    line_length, split_header,
};
use crate::armor::Format;

/// A commit as its raw bytes say, whether or not they should be believed (see [`Commit::fault`]).
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// Every `parent` line of the header, wherever it stands, in order.
    pub parents: Vec<ObjectId>,
    /// The `author` line's value, unparsed: a bad author does not hide a signature.
    pub author: &'a [u8],
    /// The committer, where its line can be read in one way only.
    pub committer: Option<Identity<'a>>,
    /// The signature, as git hands it to its programs; `None` where the commit is not signed.
    pub signature: Option<Vec<u8>>,
    /// What the signature covers.
    pub payload: Payload<'a>,
    /// The merged tags, whole tag objects.
    pub mergetags: Vec<Vec<u8>>,
    /// Whether the uncovered part is more than a signature in its usual place: there is a header for the other hash
    /// function, or the signature is not the last header.
    pub loose: bool,
    /// The first thing that is wrong with it, if anything is.
    pub fault: Option<Fault>,
    /// What follows the header.
    pub message: &'a [u8],
}

impl<'a> Commit<'a> {
    /// Reads the content of a commit object of a repository that uses `hash`. Never fails: what is wrong is the `fault`.
    pub fn parse(raw: &'a [u8], hash: HashAlgorithm) -> Self {
        let mut commit = Self::unsplit(raw, hash);
        if raw.len() <= MAX_OBJECT {
            commit.split(raw, hash);
        }
        if let Some(bytes) = commit.signature.as_ref().map(Vec::len).filter(|&n| n > MAX_SIGNATURE) {
            commit.blame(Fault::SignatureTooLarge { bytes });
        }
        commit
    }

    /// What a walk goes by: the committer's date in seconds since 1970, 0 where it cannot be read, and the parents.
    pub fn links(raw: &[u8], hash: HashAlgorithm) -> (i64, Vec<ObjectId>) {
        let commit = Commit::unsplit(raw, hash);
        (commit.committer.map_or(0, |committer| committer.seconds), commit.parents)
    }

    /// All but the signature, and what it covers.
    fn unsplit(raw: &'a [u8], hash: HashAlgorithm) -> Self {
        let mut commit = Self {
            parents: Vec::new(),
            author: b"",
            committer: None,
            signature: None,
            payload: Payload::default(),
            mergetags: Vec::new(),
            loose: false,
            fault: None,
            message: b"",
        };
        if raw.len() > MAX_OBJECT {
            commit.fault = Some(Fault::TooLarge { bytes: raw.len() });
            return commit;
        }
        let (header, message) = split_header(raw);
        commit.message = message.unwrap_or_default();
        if message.is_none() {
            commit.blame(Fault::Unterminated);
        }
        if header.contains(&0) {
            commit.blame(Fault::NulInHeader);
        }
        commit.read_header(header, hash);
        commit
    }

    fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Git's `parse_buffer_signed_by_header`: the own header and its continuations are the signature, every other line that
    /// begins with `gpgsig` is dropped with its continuations, the rest is payload.
    fn split(&mut self, raw: &'a [u8], hash: HashAlgorithm) {
        let own = hash.signature_header();
        let mut signature: Option<Vec<u8>> = None;
        let (mut in_signature, mut dropping) = (false, false);
        let (mut start, mut at) = (0, 0); // of the payload part that is being gathered; of the line
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.first() == Some(&b'\n') {
                break; // the whole remainder is payload
            }
            let end = at + line_length(rest);
            let line = raw.get(at..end).unwrap_or_default();
            let own_value = line.strip_prefix(own).and_then(|rest| rest.strip_prefix(b" "));
            let taken = match (line.strip_prefix(b" "), own_value) {
                (Some(continuation), _) if in_signature => Some(continuation),
                (_, Some(value)) => Some(value),
                _ => None,
            };
            if let Some(bytes) = taken {
                dropping = false;
                let room = (raw.len() - self.message.len()).saturating_sub(at);
                signature.get_or_insert_with(|| Vec::with_capacity(room)).extend_from_slice(bytes);
            } else if line.starts_with(b"gpgsig") {
                dropping = true;
            } else if !line.starts_with(b" ") {
                dropping = false;
            }
            in_signature = taken.is_some();
            if in_signature || dropping {
                self.payload.push(raw.get(start..at).unwrap_or_default());
                start = end;
            }
            at = end;
        }
        self.payload.push(raw.get(start..).unwrap_or_default());
        self.signature = signature;
    }

    fn read_header(&mut self, header: &'a [u8], hash: HashAlgorithm) {
        const ORDER: [&str; 4] = ["tree", "parent", "author", "committer"];
        let mut stage = 0; // how far in ORDER; 4 is behind it
        let (mut lines, mut encodings, mut own, mut other) = (0, 0, 0, 0);
        for field in fields(header) {
            lines += field.lines();
            if lines > MAX_HEADER_LINES {
                return self.blame(Fault::TooManyHeaderLines);
            }
            if let Some(position) = ORDER.iter().position(|name| name.as_bytes() == field.name) {
                if !field.continued.is_empty() {
                    self.blame(Fault::Malformed {
                        what: "the tree, a parent, the author or the committer goes on in a second line",
                    });
                }
                let in_place = match position {
                    0 => stage == 0,
                    1 | 2 => stage == 1,
                    _ => stage == 3,
                };
                if in_place {
                    stage = if position == 1 { 1 } else { position + 1 };
                } else if let Some(header) = ORDER.get(position).copied() {
                    self.blame(Fault::Late { header });
                }
            } else if stage < ORDER.len() {
                self.blame(Fault::Malformed { what: "it does not begin with tree, parents, author and committer" });
            }
            match field.name {
                b"tree" if !is_id(field.value, hash) => {
                    self.blame(Fault::Malformed { what: "the tree is not an object id of this repository" });
                }
                b"parent" => self.add_parent(field.value, hash),
                b"author" if self.author.is_empty() => self.author = field.value,
                b"committer" if self.committer.is_none() => {
                    self.committer = Identity::parse(field.value);
                    if self.committer.is_none() {
                        self.blame(Fault::MalformedIdentity { header: "committer" });
                    }
                }
                b"encoding" => encodings += 1,
                b"mergetag" => self.mergetags.push(field.unfolded()),
                b"" => self.blame(Fault::Malformed { what: "a line begins with a space and continues nothing" }),
                name if name == hash.signature_header() => own += 1,
                name if name == hash.other().signature_header() => {
                    other += 1;
                    if Format::sniff(field.value).is_none() {
                        self.blame(Fault::UnknownSignatureHeader { name: clip(name) });
                    }
                }
                name if name.starts_with(b"gpgsig") => self.blame(Fault::UnknownSignatureHeader { name: clip(name) }),
                _ => self.loose |= own > 0, // a header behind the signature: git writes none
            }
            if matches!(field.name, b"encoding" | b"mergetag") {
                self.loose |= own > 0;
            }
        }
        self.loose |= other > 0;
        if encodings > 1 {
            self.blame(Fault::DuplicateEncoding);
        }
        if own > 1 || other > 1 {
            self.blame(Fault::DuplicateSignature);
        }
        if stage < ORDER.len() {
            self.blame(Fault::Malformed { what: "the tree, the author or the committer is missing" });
        }
    }

    fn add_parent(&mut self, value: &[u8], hash: HashAlgorithm) {
        match ObjectId::from_hex(value).filter(|id| id.algorithm() == hash) {
            None => self.blame(Fault::Malformed { what: "a parent is not an object id of this repository" }),
            Some(_) if self.parents.len() >= MAX_PARENTS => self.blame(Fault::TooManyParents),
            Some(parent) => {
                if self.parents.contains(&parent) {
                    self.blame(Fault::DuplicateParent { parent });
                }
                self.parents.push(parent);
            }
        }
    }
}

fn is_id(value: &[u8], hash: HashAlgorithm) -> bool {
    ObjectId::from_hex(value).is_some_and(|id| id.algorithm() == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "tree 1111111111111111111111111111111111111111\n";
    const PARENT: &str = "parent 2222222222222222222222222222222222222222\n";
    const AUTHOR: &str = "author A <a@x> 1 +0000\n";
    const COMMITTER: &str = "committer C <c@x> 2 +0000\n";
    const SIGNATURE: &str = "gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n";
    const OTHER: &str = "gpgsig-sha256 -----BEGIN PGP SIGNATURE-----\n x\n";

    fn code(parts: &[&str]) -> Option<&'static str> {
        let raw = parts.concat();
        Commit::parse(raw.as_bytes(), HashAlgorithm::Sha1).fault.map(|fault| fault.code())
    }

    #[test]
    fn honest_commits_have_no_fault() {
        let second = "parent 3333333333333333333333333333333333333333\n";
        assert_eq!(code(&[TREE, PARENT, second, AUTHOR, COMMITTER, "encoding x\n", "change-id abc\n", SIGNATURE, "\nmsg"]), None);
        assert_eq!(code(&[TREE, AUTHOR, COMMITTER, "\n"]), None);
        assert_eq!(code(&[TREE, AUTHOR, COMMITTER, OTHER, SIGNATURE, "\nm"]), None);
    }

    #[test]
    fn each_fault_has_its_code() {
        let twice = PARENT.repeat(2);
        for (want, parts) in [
            ("late-tree", &[TREE, TREE, AUTHOR, COMMITTER, "\n"][..]),
            ("late-tree", &[TREE, AUTHOR, COMMITTER, TREE, "\n"]),
            ("late-parent", &[TREE, AUTHOR, COMMITTER, PARENT, "\n"]),
            ("late-parent", &[TREE, AUTHOR, PARENT, COMMITTER, "\n"]),
            ("malformed-header", &[TREE, SIGNATURE, PARENT, AUTHOR, COMMITTER, "\n"]),
            ("late-author", &[TREE, AUTHOR, AUTHOR, COMMITTER, "\n"]),
            ("late-author", &[TREE, AUTHOR, COMMITTER, AUTHOR, "\n"]),
            ("late-committer", &[TREE, AUTHOR, COMMITTER, COMMITTER, "\n"]),
            ("late-committer", &[TREE, COMMITTER, AUTHOR, "\n"]),
            ("duplicate-parent", &[TREE, &twice, AUTHOR, COMMITTER, "\n"]),
            ("duplicate-encoding", &[TREE, AUTHOR, COMMITTER, "encoding a\nencoding a\n", "\n"]),
            ("duplicate-signature", &[TREE, AUTHOR, COMMITTER, SIGNATURE, SIGNATURE, "\n"]),
            ("duplicate-signature", &[TREE, AUTHOR, COMMITTER, OTHER, OTHER, SIGNATURE, "\n"]),
            ("unknown-signature-header", &[TREE, AUTHOR, COMMITTER, "gpgsig-foo x\n", SIGNATURE, "\n"]),
            ("unknown-signature-header", &[TREE, AUTHOR, COMMITTER, "gpgsig-sha256 junk\n", SIGNATURE, "\n"]),
            ("nul-in-header", &[TREE, AUTHOR, COMMITTER, "x \0\n", "\n"]),
            ("unterminated-header", &[TREE, AUTHOR, COMMITTER]),
            ("malformed-identity", &[TREE, AUTHOR, "committer nobody\n", "\n"]),
            ("malformed-header", &["tree 11\n", AUTHOR, COMMITTER, "\n"]),
            ("malformed-header", &[TREE, "parent 22\n", AUTHOR, COMMITTER, "\n"]),
            ("malformed-header", &[TREE, " folded\n", AUTHOR, COMMITTER, "\n"]),
            ("malformed-header", &[TREE, AUTHOR, "\n"]),
            ("malformed-header", &["\nmessage"]),
        ] {
            assert_eq!(code(parts), Some(want), "{parts:?}");
        }
    }

    #[test]
    fn bounds() {
        let parents: String = (0..=MAX_PARENTS).map(|n| format!("parent {n:040x}\n")).collect();
        assert_eq!(code(&[TREE, &parents, AUTHOR, COMMITTER, "\n"]), Some("too-many-parents"));
        assert_eq!(code(&[TREE, AUTHOR, COMMITTER, &"x y\n".repeat(MAX_HEADER_LINES), "\n"]), Some("too-many-headers"));
        let huge = format!("gpgsig {}\n", "A".repeat(MAX_SIGNATURE));
        assert_eq!(code(&[TREE, AUTHOR, COMMITTER, &huge, "\n"]), Some("signature-too-large"));
        assert_eq!(code(&[TREE, AUTHOR, COMMITTER, "\n", &"m".repeat(MAX_OBJECT)]), Some("object-too-large"));
    }

    #[test]
    fn splits_as_git_does() {
        let split = |parts: &[&str]| {
            let raw = parts.concat();
            let commit = Commit::parse(raw.as_bytes(), HashAlgorithm::Sha1);
            (String::from_utf8(commit.payload.to_vec()).unwrap(), commit.signature.map(|s| String::from_utf8(s).unwrap()))
        };
        let plain = [TREE, AUTHOR, COMMITTER, "\nmsg\n"].concat();
        let signature = Some("-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n".to_owned());
        assert_eq!(split(&[&plain]), (plain.clone(), None));
        assert_eq!(split(&[TREE, AUTHOR, COMMITTER, SIGNATURE, "\nmsg\n"]), (plain.clone(), signature.clone()));
        assert_eq!(
            split(&[TREE, SIGNATURE, AUTHOR, COMMITTER, "gpgsig-foo a\n b\n", "\nmsg\n"]),
            (plain.clone(), signature.clone())
        );
        assert_eq!(split(&[TREE, AUTHOR, COMMITTER, "gpgsigx\n c\n", SIGNATURE, "\nmsg\n"]), (plain, signature));
        let in_message = [TREE, AUTHOR, COMMITTER, "\n", SIGNATURE, "\0\n"].concat();
        assert_eq!(split(&[&in_message]), (in_message.clone(), None));
    }

    #[test]
    fn a_header_for_the_other_hash_or_after_the_signature_is_loose() {
        let loose = |parts: &[&str]| Commit::parse(parts.concat().as_bytes(), HashAlgorithm::Sha1).loose;
        assert!(!loose(&[TREE, AUTHOR, COMMITTER, "change-id x\n", SIGNATURE, "\n"]));
        assert!(loose(&[TREE, AUTHOR, COMMITTER, SIGNATURE, "change-id x\n", "\n"]));
        assert!(loose(&[TREE, AUTHOR, COMMITTER, SIGNATURE, "encoding x\n", "\n"]));
        assert!(loose(&[TREE, AUTHOR, COMMITTER, SIGNATURE, OTHER, "\n"]));
    }
}
