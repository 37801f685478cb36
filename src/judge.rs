//! One object in, one judgement out.

use crate::evidence::{Evidence, Malleable};
use crate::object::{Commit, Fault, HashAlgorithm, Identity, ObjectId, ObjectKind, Payload, Tag, clip};
use crate::policy::{Context, Decision, Policy};
use crate::signature::{self, Verifier};
use crate::verdict::{About, Judgement, Reason, Unjudged, Verdict};
use std::collections::HashSet;

/// What somebody vouches for having been there in time.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The commits below something settled, and the tags that are.
    pub objects: HashSet<ObjectId>,
    /// Whether everything that is named as settled is in the repository.
    pub complete: bool,
}

impl Settled {
    /// Nothing is settled.
    pub fn nothing() -> Self {
        Self { objects: HashSet::new(), complete: true }
    }
}

/// Judges objects of one repository by one policy, or says what they prove where there is none.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// One verifier a format.
    pub verifiers: &'a [&'a dyn Verifier],
    /// The repository's hash function.
    pub hash: HashAlgorithm,
    /// The policy.
    pub policy: &'a Policy,
    /// What is settled.
    pub settled: &'a Settled,
    /// Now, seconds since 1970 (UTC).
    pub now: i64,
}

/// What is known of a tag from where it was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct TagPlace<'a> {
    /// The ref's name less `refs/tags/`, where the tag was found by it.
    pub ref_name: Option<&'a [u8]>,
    /// The kind of the object that the tag names, where it could be read.
    pub target_kind: Option<ObjectKind>,
}

impl Judge<'_> {
    /// Judges the content of a commit.
    pub fn commit(&self, id: ObjectId, raw: &[u8]) -> Judgement {
        let commit = Commit::parse(raw, self.hash);
        let author = Identity::parse(commit.author);
        let about = About {
            author: clip(display_name(commit.author)),
            author_email: author.map(|author| clip(author.email)).unwrap_or_default(),
            subject: first_line(commit.message),
            parents: commit.parents.clone(),
            ..about(commit.committer)
        };
        let found = Found {
            fault: commit.fault,
            signature: commit.signature.as_deref(),
            payload: &commit.payload,
            loose: commit.loose,
            identity: commit.committer,
        };
        self.conclude(id, ObjectKind::Commit, found, about, None)
    }

    /// Judges the content of an annotated tag. Only the very object is settled, never by its target.
    pub fn tag(&self, id: ObjectId, raw: &[u8], place: TagPlace<'_>) -> Judgement {
        let tag = Tag::parse(raw, self.hash);
        let misplaced = match (tag.kind, place.target_kind) {
            (Some(says), Some(is)) if says != is => Some(Reason::TagType { says, is }),
            _ => place
                .ref_name
                .filter(|name| *name != tag.name)
                .map(|name| Reason::TagName { inside: clip(tag.name), outside: clip(name) }),
        };
        let tagger = tag.tagger.map(|tagger| format!("{} <{}>", clip(tagger.name), clip(tagger.email)));
        let about = About {
            author: tagger.unwrap_or_default(),
            author_email: tag.tagger.map(|tagger| clip(tagger.email)).unwrap_or_default(),
            subject: first_line(tag.message),
            tag_name: Some(clip(tag.name)),
            ..about(tag.tagger)
        };
        let found =
            Found { fault: tag.fault, signature: tag.signature, payload: &tag.payload, loose: tag.loose, identity: tag.tagger };
        self.conclude(id, ObjectKind::Tag, found, about, misplaced)
    }

    fn conclude(&self, id: ObjectId, kind: ObjectKind, found: Found<'_>, about: About, misplaced: Option<Reason>) -> Judgement {
        let evidence = found.evidence(self.verifiers);
        let context = Context {
            email: found.identity.map(|identity| identity.email),
            claimed: about.claimed,
            now: self.now,
            settled: self.settled.objects.contains(&id),
        };
        let faulty = found.fault.clone().map(Reason::Fault);
        let decision = match (faulty, misplaced, &evidence) {
            (Some(reason), _, _) | (None, Some(reason), _) => reject(reason),
            (None, None, Err(reason)) => reject(reason.clone()),
            (None, None, Ok(evidence)) => self.policy.decide(evidence, &context),
        };
        let verdict = match decision.verdict {
            Verdict::Reject { reason } if reason.is_of_time() && !self.settled.complete => {
                Verdict::Unjudged { why: Unjudged::SettledMissing { reason: Box::new(reason) } }
            }
            verdict => verdict,
        };
        Judgement {
            id,
            kind: Some(kind),
            verdict,
            warnings: decision.warnings,
            line: decision.line,
            ends: decision.ends,
            payload_id: Some(evidence.as_ref().map_or_else(|_| found.payload.id(), |evidence| evidence.payload_id)),
            evidence: evidence.ok(),
            about,
            reference: None,
        }
    }
}

/// What an object holds for a verifier.
pub struct Found<'a> {
    /// What is wrong with the object.
    pub fault: Option<Fault>,
    /// The signature.
    pub signature: Option<&'a [u8]>,
    /// What it covers.
    pub payload: &'a Payload<'a>,
    /// Whether more than the signature stands outside of it.
    pub loose: bool,
    /// The committer or tagger.
    pub identity: Option<Identity<'a>>,
}

impl Found<'_> {
    /// What the signature proves.
    ///
    /// # Errors
    /// The reason why it proves nothing, [`Reason::Unsigned`] where there is none.
    pub fn evidence(&self, verifiers: &[&dyn Verifier]) -> Result<Evidence, Reason> {
        let signature = self.signature.ok_or(Reason::Unsigned)?;
        let mut evidence = signature::verify(verifiers, signature, self.payload)?;
        if self.loose {
            evidence.malleable.push(Malleable::Header);
        }
        Ok(evidence)
    }
}

fn reject(reason: Reason) -> Decision {
    Decision { verdict: Verdict::Reject { reason }, warnings: Vec::new(), line: None, ends: None }
}

fn about(identity: Option<Identity<'_>>) -> About {
    About {
        email: identity.map(|identity| clip(identity.email)),
        claimed: identity.map(|identity| identity.seconds),
        ..About::default()
    }
}

/// `name <e-mail>` of an identity line, however it is written.
fn display_name(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|&b| b == b'>').map_or(line.len(), |at| at + 1);
    line.get(..end).unwrap_or(line)
}

fn first_line(message: &[u8]) -> String {
    clip(message.split(|&b| b == b'\n').find(|line| !line.is_empty()).unwrap_or_default())
}
