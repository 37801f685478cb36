//! One object in, one judgement out.

use crate::evidence::{Evidence, Malleable};
use crate::object::{Commit, Fault, HashAlgorithm, Identity, ObjectId, ObjectKind, Payload, PushCertificate, RefUpdate, Tag, clip};
use crate::policy::ancestry::Ancestry;
use crate::policy::{Context, Decision, Policy};
use crate::signature::{self, Verifier};
use crate::verdict::{About, Judgement, Reason, Unjudged, Verdict, Warning};
use std::collections::HashSet;

/// Judges objects of one repository by one policy, or says what they prove where there is none.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// One verifier a format.
    pub verifiers: &'a [&'a dyn Verifier],
    /// The repository's hash function.
    pub hash: HashAlgorithm,
    /// The policy.
    pub policy: &'a Policy,
    /// What somebody vouches for having been there in time.
    pub settled: &'a Ancestry,
    /// Now, seconds since 1970 (UTC).
    pub now: i64,
}

/// What is known of a tag from where it was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct TagPlace<'a> {
    /// The name that the ref asks for, where the tag was found by it ([`TagPlace::name_in`]).
    pub ref_name: Option<&'a [u8]>,
    /// The kind of the object that the tag names, where it could be read.
    pub target_kind: Option<ObjectKind>,
}

impl TagPlace<'_> {
    /// The name that a tag has to carry which is stored as this ref; `None` where the ref says nothing of it. As a branch it has
    /// none that fits: git puts no tag there, and a pushed one would pass for a branch.
    pub fn name_in(reference: &[u8]) -> Option<&[u8]> {
        reference.strip_prefix(b"refs/tags/").or_else(|| Some(reference).filter(|name| name.starts_with(b"refs/heads/")))
    }
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

    /// Judges the content of a push certificate (its kind is that of the blob in which git keeps it), given what git itself says
    /// of the push: the policy says who may sign, the rest has to agree.
    pub fn push_certificate(&self, id: ObjectId, raw: &[u8], push: &Push<'_>) -> Judgement {
        let certificate = PushCertificate::parse(raw);
        let about = About {
            author: certificate.pusher.clone(),
            claimed: certificate.date,
            subject: "push certificate".to_owned(),
            ..About::default()
        };
        let misplaced = push.disagrees(&certificate).err();
        let PushCertificate { fault, signature, payload, .. } = &certificate;
        let found = Found { fault: fault.clone(), signature: *signature, payload, loose: false, identity: None };
        let mut judgement = self.conclude(id, ObjectKind::Blob, found, about, misplaced);
        if push.nonce == Nonce::NotAsked && matches!(judgement.verdict, Verdict::Accept { .. }) {
            judgement.warnings.push(Warning::NoNonce);
        }
        judgement
    }

    fn conclude(&self, id: ObjectId, kind: ObjectKind, found: Found<'_>, about: About, misplaced: Option<Reason>) -> Judgement {
        let evidence = found.evidence(self.verifiers).map(|evidence| match found.signature {
            Some(armored) if kind != ObjectKind::Blob => signature::witnessed(self.verifiers, &id, armored, evidence),
            _ => evidence,
        });
        let context = Context {
            object: id,
            email: found.identity.map(|identity| identity.email),
            nameless: kind == ObjectKind::Blob,
            claimed: about.claimed,
            now: self.now,
            settled: self.settled.objects.contains(&id),
        };
        let faulty = found.fault.clone().map(Reason::Fault);
        let decision = match (faulty, misplaced, &evidence) {
            (Some(reason), _, _) | (None, Some(reason), _) => Decision::reject(reason),
            (None, None, Err(reason)) => Decision::reject(reason.clone()),
            (None, None, Ok(evidence)) => self.policy.decide(evidence, &context),
        };
        let verdict = match decision.verdict {
            Verdict::Reject { reason } if reason.is_cured_by_settling() && !self.settled.complete => {
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

/// What a server knows of a push.
#[derive(Clone, Debug)]
pub struct Push<'a> {
    /// The ref updates that are asked for.
    pub updates: Vec<RefUpdate<'a>>,
    /// What is to stand against replays.
    pub nonce: Nonce,
}

/// What a server knows of the nonce of a push certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nonce {
    /// The server asks for none.
    NotAsked,
    /// This one has to stand in the certificate.
    Is(String),
    /// Git found it wanting; in its words.
    Refused(String),
}

impl Push<'_> {
    fn disagrees(&self, certificate: &PushCertificate<'_>) -> Result<(), Reason> {
        let text = |name: &[u8]| clip(name);
        let (signed, pushed) = (HashSet::<_>::from_iter(&certificate.updates), HashSet::<_>::from_iter(&self.updates));
        if let Some(update) = self.updates.iter().find(|update| !signed.contains(update)) {
            let what = match certificate.updates.iter().find(|it| it.name == update.name) {
                Some(other) => format!("it moves {} from {} to {}, the push does not", text(update.name), other.old, other.new),
                None => format!("it does not name {}", text(update.name)),
            };
            return Err(Reason::PushMismatch { what });
        }
        if let Some(update) = certificate.updates.iter().find(|update| !pushed.contains(update)) {
            return Err(Reason::PushMismatch { what: format!("it names {}, which is not pushed", text(update.name)) });
        }
        let found = certificate.nonce.map(text).unwrap_or_default();
        match &self.nonce {
            Nonce::NotAsked => Ok(()),
            Nonce::Is(nonce) if *nonce == found => Ok(()),
            Nonce::Is(nonce) => Err(Reason::PushNonce { what: format!("its nonce is `{found}`, not `{nonce}`") }),
            Nonce::Refused(status) => Err(Reason::PushNonce { what: format!("git says {status} of its nonce `{found}`") }),
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
