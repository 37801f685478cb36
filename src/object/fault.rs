//! What can be wrong with an object before anything is verified.

use super::{MAX_HEADER_LINES, MAX_OBJECT, MAX_PARENTS, MAX_SIGNATURE, ObjectId};
use std::fmt;

/// Why an object is not one that git's own tools write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the messages say what each one is
pub enum Fault {
    TooLarge { bytes: usize },
    TooManyParents,
    TooManyHeaderLines,
    SignatureTooLarge { bytes: usize },
    NulInHeader,
    Unterminated,
    Malformed { what: &'static str },
    MalformedIdentity { header: &'static str },
    Late { header: &'static str },
    DuplicateParent { parent: ObjectId },
    DuplicateEncoding,
    DuplicateSignature,
    UnknownSignatureHeader { name: String },
}

impl Fault {
    /// The stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "object-too-large",
            Self::TooManyParents => "too-many-parents",
            Self::TooManyHeaderLines => "too-many-headers",
            Self::SignatureTooLarge { .. } => "signature-too-large",
            Self::NulInHeader => "nul-in-header",
            Self::Unterminated => "unterminated-header",
            Self::Malformed { .. } => "malformed-header",
            Self::MalformedIdentity { .. } => "malformed-identity",
            Self::Late { header } => match *header {
                "tree" => "late-tree",
                "parent" => "late-parent",
                "author" => "late-author",
                "committer" => "late-committer",
                _ => "late-tagger",
            },
            Self::DuplicateParent { .. } => "duplicate-parent",
            Self::DuplicateEncoding => "duplicate-encoding",
            Self::DuplicateSignature => "duplicate-signature",
            Self::UnknownSignatureHeader { .. } => "unknown-signature-header",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(f, "the object has {bytes} bytes, more than {MAX_OBJECT}"),
            Self::TooManyParents => write!(f, "it has more than {MAX_PARENTS} parents"),
            Self::TooManyHeaderLines => write!(f, "it has more than {MAX_HEADER_LINES} header lines"),
            Self::SignatureTooLarge { bytes } => {
                write!(f, "its signature has {bytes} bytes, more than {MAX_SIGNATURE}")
            }
            Self::NulInHeader => f.write_str("a NUL byte stands in its header"),
            Self::Unterminated => f.write_str("its header does not end in an empty line"),
            Self::Malformed { what } => write!(f, "its header is malformed: {what}"),
            Self::MalformedIdentity { header } => {
                write!(f, "its {header} line is not of the form `name <e-mail> seconds zone`")
            }
            Self::Late { header } => {
                write!(f, "a `{header}` line stands twice or out of its place, so programs read this object differently")
            }
            Self::DuplicateParent { parent } => write!(f, "it names the parent {parent} twice"),
            Self::DuplicateEncoding => f.write_str("it has more than one `encoding` header"),
            Self::DuplicateSignature => f.write_str("it has more than one signature header"),
            Self::UnknownSignatureHeader { name } => {
                write!(f, "its header `{name}` begins with gpgsig, so git leaves it out of what is signed")
            }
        }
    }
}
