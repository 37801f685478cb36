//! What is known of one object in the end.

use super::{Unjudged, Verdict, Warning};
use crate::evidence::Evidence;
use crate::object::{ObjectId, ObjectKind, PayloadId};

/// What was found out about one object.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The object.
    pub id: ObjectId,
    /// Its kind, where it could be read.
    pub kind: Option<ObjectKind>,
    /// The answer.
    pub verdict: Verdict,
    /// What did not reject.
    pub warnings: Vec<Warning>,
    /// The line of the policy that it rests on.
    pub line: Option<usize>,
    /// The earliest end (seconds since 1970, UTC) of what the acceptance rests on; None where nothing ends.
    pub ends: Option<i64>,
    /// What the signature proves, where it is good.
    pub evidence: Option<Evidence>,
    /// SHA-256 of what is signed, also where nothing signs it.
    pub payload_id: Option<PayloadId>,
    /// Who it says it is from, for people.
    pub about: About,
    /// The ref that it was pushed to, where a hook asks.
    pub reference: Option<String>,
}

/// What an object says of itself: text from the repository, never to be believed or printed as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// `name <e-mail>` of the author (of a tag: the tagger).
    pub author: String,
    /// The author's e-mail.
    pub author_email: String,
    /// The committer's (of a tag: the tagger's) e-mail.
    pub email: Option<String>,
    /// The committer's date, seconds since 1970 (UTC).
    pub claimed: Option<i64>,
    /// The first line of the message.
    pub subject: String,
    /// The parents of a commit.
    pub parents: Vec<ObjectId>,
    /// The name inside of a tag.
    pub tag_name: Option<String>,
}

impl Judgement {
    /// An accepted tag whose target is not here is not accepted.
    pub fn miss_target(&mut self) {
        if matches!(self.verdict, Verdict::Accept { .. }) {
            self.verdict = Verdict::Unjudged { why: Unjudged::Missing };
            self.warnings.clear();
        }
    }

    /// The judgement of an object that could not be read.
    pub fn unread(id: ObjectId, verdict: Verdict) -> Self {
        Self {
            id,
            kind: None,
            verdict,
            warnings: Vec::new(),
            line: None,
            ends: None,
            evidence: None,
            payload_id: None,
            about: About::default(),
            reference: None,
        }
    }
}
