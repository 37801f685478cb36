//! Raw commits and tags, split by git's own rule and checked strictly.
//!
//! Two things are kept apart. The *split* (what is signed, what is the signature) follows git's `parse_buffer_signed_by_header`
//! and `parse_signature` to the byte, also for objects that git should never have accepted. The *fault* says whether the
//! object is one that honest tools write: a parser differential between us and git can only hide in objects with a fault.

mod commit;
mod fault;
mod id;
mod payload;
mod push_certificate;
mod tag;

pub use commit::Commit;
pub use fault::Fault;
pub use id::{HashAlgorithm, NotAnId, ObjectId};
pub use payload::{Payload, PayloadId};
pub use push_certificate::{PushCertificate, RefUpdate};
pub use tag::Tag;

use std::fmt;

/// The largest commit or tag that is judged, in bytes. Git itself has no bound; the largest known honest ones are far below.
pub const MAX_OBJECT: usize = 16 << 20;
/// The most parents of a commit that is judged. The largest known octopus has 66.
pub const MAX_PARENTS: usize = 1024;
/// The most header lines, continuation lines included, of an object that is judged.
pub const MAX_HEADER_LINES: usize = 10_000;
/// The largest signature that is judged, in bytes.
pub const MAX_SIGNATURE: usize = 1 << 20;

/// What kind of object a repository says it holds under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// An annotated tag.
    Tag,
    /// A tree.
    Tree,
    /// A blob.
    Blob,
}

impl ObjectKind {
    /// The name that git writes in a tag's `type` line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
            Self::Tree => "tree",
            Self::Blob => "blob",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text from an object for people: what is not UTF-8 is replaced, what is long is cut.
pub fn clip(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    match bytes.get(..MOST).filter(|_| bytes.len() > MOST) {
        Some(start) => format!("{}…", String::from_utf8_lossy(start)),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A `name <e-mail> seconds zone` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The name, as stored.
    pub name: &'a [u8],
    /// The e-mail between the angle brackets, as stored.
    pub email: &'a [u8],
    /// Seconds since 1970 (UTC). Chosen by whoever made the object.
    pub seconds: i64,
}

impl<'a> Identity<'a> {
    /// Reads the value of an `author`, `committer` or `tagger` line; `None` where it could be read in more than one way.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let open = value.iter().position(|&b| b == b'<')?;
        let (name, rest) = value.split_at_checked(open)?;
        let rest = rest.get(1..)?;
        let close = rest.iter().position(|&b| b == b'>')?;
        let (email, rest) = rest.split_at_checked(close)?;
        let rest = rest.get(1..)?.strip_prefix(b" ")?;
        if email.contains(&b'<') || rest.iter().any(|b| matches!(b, b'<' | b'>')) {
            return None;
        }
        let space = rest.iter().position(|&b| b == b' ')?;
        let (seconds, zone) = rest.split_at_checked(space)?;
        let zone = zone.get(1..)?;
        let zone_digits = zone.strip_prefix(b"+").or_else(|| zone.strip_prefix(b"-"))?;
        let all_digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
        if !all_digits(seconds) || !all_digits(zone_digits) {
            return None;
        }
        let seconds = std::str::from_utf8(seconds).ok()?.parse().ok()?;
        Some(Self { name: name.strip_suffix(b" ").unwrap_or(name), email, seconds })
    }
}

/// One header of an object: its first line and the continuation lines that follow it.
struct Field<'a> {
    name: &'a [u8],
    /// The first line's value, without the newline.
    value: &'a [u8],
    /// The continuation lines, each with its leading space and its newline.
    continued: &'a [u8],
    /// How many bytes all of it takes.
    len: usize,
}

impl Field<'_> {
    /// The whole value with the continuations' leading spaces taken off; every line ends in a newline.
    fn unfolded(&self) -> Vec<u8> {
        let mut out = self.value.to_vec();
        out.push(b'\n');
        for line in self.continued.split_inclusive(|&b| b == b'\n') {
            out.extend_from_slice(line.strip_prefix(b" ").unwrap_or(line));
        }
        out
    }

    fn lines(&self) -> usize {
        1 + self.continued.iter().filter(|&&b| b == b'\n').count()
    }
}

/// The fields of a header (the bytes before the first empty line). A continuation line without a field before it comes
/// as a field with an empty name.
fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let line_end = line_length(rest);
        let mut end = line_end;
        while let Some(tail) = rest.get(end..).filter(|tail| tail.first() == Some(&b' ')) {
            end += line_length(tail);
        }
        let (field, after) = rest.split_at_checked(end)?;
        rest = after;
        let (first, continued) = field.split_at_checked(line_end)?;
        let first = first.strip_suffix(b"\n").unwrap_or(first);
        let space = first.iter().position(|&b| b == b' ').unwrap_or(first.len());
        let (name, value) = first.split_at_checked(space)?;
        Some(Field { name, value: value.strip_prefix(b" ").unwrap_or(value), continued, len: end })
    })
}

/// The length of the first line, its newline included.
fn line_length(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

/// The header (up to and with the newline before the empty line) and what follows the empty line; `None` for the latter
/// where no empty line ends the header.
fn split_header(raw: &[u8]) -> (&[u8], Option<&[u8]>) {
    if raw.first() == Some(&b'\n') {
        return (&[], raw.get(1..));
    }
    match memchr::memmem::find(raw, b"\n\n") {
        Some(at) => (raw.get(..=at).unwrap_or(raw), raw.get(at + 2..)),
        None => (raw, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        let good = Identity::parse(b"A U Thor <a@b> 1700000000 +0200").unwrap();
        assert_eq!((good.name, good.email, good.seconds), (&b"A U Thor"[..], &b"a@b"[..], 1_700_000_000));
        assert_eq!(Identity::parse(b"<> 0 -0000").unwrap().email, b"");
        for bad in [
            &b"A <a@b> 1 +0000 "[..],
            b"A <a@b> x +0000",
            b"A <a@b>1 +0000",
            b"A <a@b> 1 0000",
            b"A <a@b> 1",
            b"A <a@b> 99999999999999999999 +0000",
            b"A <a@b> <c@d> 1 +0000",
            b"A <<a@b> 1 +0000",
            b"A a@b 1 +0000",
            b"A <a@b> 1 +0000\r",
            b"A <a@b> -1 +0000",
            b"",
        ] {
            assert_eq!(Identity::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
