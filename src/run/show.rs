//! `show`: all that one object's signature proves.

use super::online::{Online, X509Online};
use super::session::{Asked, Loaded, Material, Place, with_judge};
use super::{complain, stdout};
use crate::armor::Format as SignatureFormat;
use crate::cli::{Format, Show};
use crate::evidence::{Binding, Certificate, Evidence, Keyless, Revocation, Subject};
use crate::history::{ObjectSource as _, confirm};
use crate::io::clock;
use crate::io::policy::{NoPolicy, Search};
use crate::judge::{Found, Nonce, Push, TagPlace};
use crate::object::{Commit, HashAlgorithm, Identity, ObjectId, ObjectKind, PushCertificate, Tag};
use crate::report::ExitStatus;
use crate::report::escape::{name, printable};
use crate::report::jsonl::{SCHEMA, write_line};
use crate::report::mend::mend;
use crate::report::smime::ShownSmime;
use crate::signature::openpgp::OpenPgpVerifier;
use crate::signature::ssh::SshVerifier;
use crate::signature::{Verifier, witnessed};
use crate::verdict::{Judgement, Reason, Utc, Verdict};
use anyhow::{Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Shows one object.
///
/// # Errors
/// Where the revision or a policy that is named is not valid, or nothing can be written.
pub fn run(args: &Show) -> Result<ExitStatus> {
    let mut place = Place::open()?;
    let resolved = place.repository.resolve(&args.revision)?;
    let home = resolved.reference.as_deref().map(|name| place.repository.name_at_home(name));
    let tag_name = home.as_deref().and_then(TagPlace::name_in).map(<[u8]>::to_vec);
    let object = place.repository.read(&resolved.id)?;
    let push_certificate = object.kind == ObjectKind::Blob && PushCertificate::is_one(&object.data);
    if !matches!(object.kind, ObjectKind::Commit | ObjectKind::Tag) && !push_certificate {
        bail!("`{}` is a {}, which cannot carry a signature; name a commit or a tag", args.revision, object.kind);
    }
    if args.bundle {
        return super::bundle::show(object.kind, &object.data, place.repository.hash());
    }
    let search = Search { policy: args.policy.policy.clone(), revoked: args.policy.revoked.clone(), ..Search::default() };
    let mut loaded = match Loaded::find(&mut place, &search, Asked::by(&args.policy)) {
        Err(error) if error.is::<NoPolicy>() => None,
        // what the configuration names may not serve; the object can be shown all the same
        Err(error) if args.policy.policy.is_none() && args.policy.revoked.is_none() => {
            complain(&format!("warning: not judged: {}", printable(&format!("{error:#}"))));
            None
        }
        loaded => Some(loaded?),
    };
    let online = args.online.then(|| Online::new(&place)).transpose()?;
    if let Some(loaded) = &mut loaded {
        loaded.material.online.clone_from(&online);
    }
    let of_policy = loaded.as_ref().map(|loaded| loaded.settled.as_slice()).unwrap_or_default();
    let settled = place.settled(&place.config.get_all("warrant.settled")?, of_policy)?;
    let hash = place.repository.hash();
    let target_kind = Tag::parse(&object.data, hash).target.and_then(|target| place.repository.kind(&target));
    let mut judged = loaded.as_ref().map(|loaded| {
        with_judge(hash, &loaded.policy, &loaded.material, &settled, |judge| match object.kind {
            ObjectKind::Blob => {
                // by itself: which push it came with is not known here
                let updates = PushCertificate::parse(&object.data).updates;
                judge.push_certificate(resolved.id, &object.data, &Push { updates, nonce: Nonce::NotAsked })
            }
            ObjectKind::Tag => judge.tag(resolved.id, &object.data, TagPlace { ref_name: tag_name.as_deref(), target_kind }),
            _ => judge.commit(resolved.id, &object.data),
        })
    });
    if let Some(judgement) = &mut judged {
        confirm(&mut place.repository, judgement);
    }
    let (ssh, none) = (SshVerifier::default(), Material::default());
    let material = loaded.as_ref().map_or(&none, |loaded| &loaded.material);
    let openpgp = OpenPgpVerifier::new(&material.certificates, clock::now());
    let x509 = X509Online::new(material.x509(), online.as_ref());
    let mut shown = Shown::of(resolved.id, object.kind, &object.data, hash, &[&ssh, &openpgp, &x509]);
    if let (Some(judged), Some(loaded)) = (&judged, &loaded) {
        shown.verdict = Ruling::Some(Ruled::of(judged, &loaded.source.name));
    }
    match args.format {
        Format::Jsonl => write_line(&mut stdout(), &shown)?,
        Format::Human => shown.write_human()?,
    }
    Ok(ExitStatus::Accepted)
}

/// The answer.
#[derive(Serialize)]
struct Shown {
    schema: u32,
    object: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    committer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed: Option<String>,
    signature: Signature,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mergetags: Vec<Signature>,
    verdict: Ruling,
}

const NO_POLICY: &str = "not judged: no policy";

/// The policy's answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Ruling {
    None(&'static str),
    Some(Ruled),
}

#[derive(Serialize)]
struct Ruled {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    warnings: Vec<&'static str>,
    policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// What a signature proves.
#[derive(Serialize)]
struct Signature {
    payload_id: String,
    /// `good`, or the reason's code.
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Proof>,
}

#[derive(Serialize)]
struct Proof {
    key_type: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<ShownCertificate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    openpgp: Option<ShownBinding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyless: Option<ShownKeyless>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smime: Option<ShownSmime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'static str>,
    hash: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weak: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rsa_bits: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    malleable: Vec<&'static str>,
}

/// What an authority says of the key.
#[derive(Serialize)]
struct ShownCertificate {
    authority: String,
    serial: u64,
    key_id: String,
    principals: Vec<String>,
    valid_after: String,
    valid_before: String,
    critical_options: Vec<String>,
}

impl ShownCertificate {
    fn of(certificate: &Certificate) -> Self {
        Self {
            authority: certificate.authority.fingerprint.clone(),
            serial: certificate.serial,
            key_id: lossy(&certificate.key_id),
            principals: certificate.principals.iter().map(|principal| lossy(principal)).collect(),
            valid_after: Utc(certificate.valid_after).to_string(),
            valid_before: if certificate.valid_before == i64::MAX {
                "forever".to_owned()
            } else {
                Utc(certificate.valid_before).to_string()
            },
            critical_options: certificate.critical_options.clone(),
        }
    }

    fn line(&self) -> String {
        let principals = self.principals.join(", ");
        format!("\"{}\" for {principals} by {}, from {} to {}", self.key_id, self.authority, self.valid_after, self.valid_before)
    }
}

/// What an OpenPGP certificate says of the key.
#[derive(Serialize)]
struct ShownBinding {
    certificate: String,
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
}

impl ShownBinding {
    fn of(binding: &Binding) -> Self {
        let revoked = |revoked: Revocation| {
            let how = if revoked.hard { "nothing that it made stands" } else { "it is out of use" };
            format!("{}: {how}", Utc(revoked.at))
        };
        Self {
            certificate: binding.certificate.clone(),
            user_id: lossy(&binding.user_id),
            ends: binding.ends.map(|ends| Utc(ends).to_string()),
            revoked: binding.revoked.map(revoked),
        }
    }

    fn line(&self) -> String {
        let ends = self.ends.as_ref().map(|ends| format!(", ends {ends}")).unwrap_or_default();
        let revoked = self.revoked.as_ref().map(|revoked| format!(", revoked {revoked}")).unwrap_or_default();
        format!("{} \"{}\"{ends}{revoked}", self.certificate, self.user_id)
    }
}

#[derive(Serialize)]
struct Token {
    touched: bool,
    verified: bool,
    counter: u32,
}

/// What is proved of a keyless signature.
#[derive(Serialize)]
struct ShownKeyless {
    /// `email` or `uri`.
    kind: &'static str,
    identity: String,
    issuer: String,
    claims: BTreeMap<&'static str, String>,
    authority: String,
    serial: String,
    valid_after: String,
    valid_before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<ShownEntry>,
    timestamps: Vec<String>,
    /// The time that is proved; absent where nothing proves one.
    #[serde(skip_serializing_if = "Option::is_none")]
    attested: Option<String>,
}

#[derive(Serialize)]
struct ShownEntry {
    id: String,
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// Found online: it is of the object's id.
    #[serde(skip_serializing_if = "is_false")]
    found: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_false(value: &bool) -> bool {
    !value
}

impl ShownKeyless {
    fn of(keyless: &Keyless) -> Self {
        let utc = |time: i64| Utc(time).to_string();
        Self {
            kind: match keyless.subject {
                Subject::Email(_) => "email",
                Subject::Uri(_) => "uri",
            },
            identity: keyless.subject.name().to_owned(),
            issuer: keyless.issuer.clone(),
            claims: keyless.claims.iter().cloned().collect(),
            authority: keyless.authority.clone(),
            serial: keyless.serial.clone(),
            valid_after: utc(keyless.not_before),
            valid_before: utc(keyless.not_after),
            log: keyless.entry.as_ref().map(|entry| ShownEntry {
                id: entry.log.clone(),
                index: entry.index,
                time: entry.time.map(utc),
                found: false,
            }),
            timestamps: keyless.timestamps.iter().copied().map(utc).collect(),
            attested: keyless.attested().map(utc),
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("identity", format!("{} ({})", self.identity, self.kind)),
            ("issuer", self.issuer.clone()),
            ("certificate", format!("{} by {}, from {} to {}", self.serial, self.authority, self.valid_after, self.valid_before)),
        ];
        lines.extend(self.claims.iter().map(|(name, value)| ("claim", format!("{name}: {value}"))));
        lines.push(match &self.log {
            Some(entry) => {
                let time = entry.time.as_ref().map(|time| format!(", at {time}")).unwrap_or_default();
                ("log", format!("entry {} of {}{time}", entry.index, entry.id))
            }
            None => ("log", "no entry in the signature".to_owned()),
        });
        if self.log.as_ref().is_some_and(|entry| entry.found) {
            lines.push(("found", "online: the entry is of the object's id, by the same certificate".to_owned()));
        }
        lines.extend(self.timestamps.iter().map(|time| ("timestamp", time.clone())));
        let nothing = || "nothing proves when it was signed, or that the certificate was good then".to_owned();
        lines.push(("attested", self.attested.clone().unwrap_or_else(nothing)));
        lines
    }
}

impl Shown {
    fn of(id: ObjectId, kind: ObjectKind, raw: &[u8], hash: HashAlgorithm, verifiers: &[&dyn Verifier]) -> Self {
        let who = |identity: Identity<'_>| format!("{} <{}>", lossy(identity.name), lossy(identity.email));
        let claimed = |identity: Option<Identity<'_>>| identity.map(|identity| Utc(identity.seconds).to_string());
        if kind == ObjectKind::Blob {
            let certificate = PushCertificate::parse(raw);
            let (signature, payload) = (certificate.signature, &certificate.payload);
            return Self {
                schema: SCHEMA,
                object: id.to_string(),
                kind: "push-certificate",
                fault: certificate.fault.as_ref().map(ToString::to_string),
                author: certificate.pusher,
                committer: None,
                claimed: certificate.date.map(|date| Utc(date).to_string()),
                signature: Signature::of(None, &Found { fault: None, signature, payload, loose: false, identity: None }, verifiers),
                mergetags: Vec::new(),
                verdict: Ruling::None(NO_POLICY),
            };
        }
        if kind == ObjectKind::Tag {
            let tag = Tag::parse(raw, hash);
            return Self {
                schema: SCHEMA,
                object: id.to_string(),
                kind: kind.name(),
                fault: tag.fault.as_ref().map(ToString::to_string),
                author: tag.tagger.map(who).unwrap_or_default(),
                committer: None,
                claimed: claimed(tag.tagger),
                signature: Signature::of_tag(Some(&id), &tag, verifiers),
                mergetags: Vec::new(),
                verdict: Ruling::None(NO_POLICY),
            };
        }
        let commit = Commit::parse(raw, hash);
        Self {
            schema: SCHEMA,
            object: id.to_string(),
            kind: kind.name(),
            fault: commit.fault.as_ref().map(ToString::to_string),
            author: Identity::parse(commit.author).map_or_else(|| lossy(commit.author), who),
            committer: commit.committer.map(who),
            claimed: claimed(commit.committer),
            signature: Signature::of(
                Some(&id),
                &Found {
                    fault: None,
                    signature: commit.signature.as_deref(),
                    payload: &commit.payload,
                    loose: commit.loose,
                    identity: commit.committer,
                },
                verifiers,
            ),
            mergetags: commit.mergetags.iter().map(|raw| Signature::of_tag(None, &Tag::parse(raw, hash), verifiers)).collect(),
            verdict: Ruling::None(NO_POLICY),
        }
    }

    fn write_human(&self) -> std::io::Result<()> {
        let mut out = stdout();
        writeln!(out, "{} {}", self.kind, self.object)?;
        let mut field = |key: &str, value: &str| writeln!(out, "  {key:<11} {}", name(value));
        field("author", &self.author)?;
        if let Some(committer) = &self.committer {
            field("committer", committer)?;
        }
        if let Some(claimed) = &self.claimed {
            field("claimed", &format!("{claimed} (chosen by whoever signed)"))?;
        }
        if let Some(fault) = &self.fault {
            field("fault", fault)?;
        }
        for (key, value) in self.signature.lines() {
            field(key, &value)?;
        }
        for (index, tag) in self.mergetags.iter().enumerate() {
            field("mergetag", &format!("{}", index + 1))?;
            for (key, value) in tag.lines() {
                field(key, &value)?;
            }
        }
        for (key, value) in self.verdict.lines() {
            writeln!(out, "  {key:<11} {}", printable(&value))?;
        }
        out.flush()
    }
}

impl Ruled {
    fn of(judged: &Judgement, policy: &str) -> Self {
        let principal = match &judged.verdict {
            Verdict::Accept { principal } => Some(principal.0.clone()),
            _ => None,
        };
        Self {
            verdict: judged.verdict.name(),
            code: judged.verdict.code(),
            why: judged.verdict.why(),
            principal,
            warnings: judged.warnings.iter().map(|warning| warning.code()).collect(),
            policy: policy.to_owned(),
            policy_line: judged.line,
            mend: mend(judged, policy),
        }
    }
}

impl Ruling {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let ruled = match self {
            Self::None(text) => return vec![("verdict", (*text).to_owned())],
            Self::Some(ruled) => ruled,
        };
        let line = ruled.policy_line.map(|line| format!(":{line}")).unwrap_or_default();
        let warnings = (!ruled.warnings.is_empty()).then(|| ruled.warnings.join(" "));
        let code = ruled.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        let lines = [
            ("verdict", Some(format!("{}{code}", ruled.verdict))),
            ("why", ruled.why.clone()),
            ("principal", ruled.principal.clone()),
            ("warnings", warnings),
            ("policy", Some(format!("{}{line}", ruled.policy))),
            ("mend", ruled.mend.clone()),
        ];
        lines.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

impl Signature {
    fn of_tag(id: Option<&ObjectId>, tag: &Tag<'_>, verifiers: &[&dyn Verifier]) -> Self {
        let (signature, payload) = (tag.signature, &tag.payload);
        Self::of(id, &Found { fault: None, signature, payload, loose: tag.loose, identity: tag.tagger }, verifiers)
    }

    /// Of an object with this id; without one, of what no log knows by its id.
    fn of(id: Option<&ObjectId>, found: &Found<'_>, verifiers: &[&dyn Verifier]) -> Self {
        let evidence = found.evidence(verifiers);
        let logged = |evidence: &Evidence| evidence.keyless.as_ref().is_some_and(|keyless| keyless.entry.is_some());
        let carried = evidence.as_ref().is_ok_and(logged);
        let evidence = evidence.map(|evidence| match (id, found.signature) {
            (Some(id), Some(armored)) => witnessed(verifiers, id, armored, evidence),
            _ => evidence,
        });
        Self {
            payload_id: found.payload.id().to_string(),
            result: evidence.as_ref().map_or_else(Reason::code, |_| "good"),
            detail: evidence.as_ref().err().map(ToString::to_string),
            format: found.signature.and_then(SignatureFormat::sniff).map(SignatureFormat::name),
            evidence: evidence.ok().map(|evidence| {
                let mut proof = Proof::of(&evidence);
                if let Some(entry) = proof.keyless.as_mut().and_then(|keyless| keyless.log.as_mut()) {
                    entry.found = !carried;
                }
                proof
            }),
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let detail = self.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let mut lines = vec![("payload id", self.payload_id.clone()), ("signature", format!("{}{detail}", self.result))];
        lines.extend(self.format.map(|format| ("format", format.to_owned())));
        if let Some(proof) = &self.evidence {
            let bits = proof.rsa_bits.map(|bits| format!(" {bits} bits")).unwrap_or_default();
            lines.push(("key", format!("{} {}{bits}", proof.key_type, proof.key)));
            lines.extend(proof.certificate.as_ref().map(|certificate| ("certificate", certificate.line())));
            lines.extend(proof.openpgp.as_ref().map(|binding| ("certificate", binding.line())));
            lines.extend(proof.keyless.iter().flat_map(ShownKeyless::lines));
            lines.extend(proof.smime.iter().flat_map(ShownSmime::lines));
            let namespace = proof.namespace.map(|namespace| format!("namespace {namespace}, ")).unwrap_or_default();
            lines.push(("made for", format!("{namespace}message hash {}", proof.hash)));
            lines.extend(proof.made.as_ref().map(|made| ("made", format!("{made} (chosen by whoever signed)"))));
            if !proof.weak.is_empty() {
                lines.push(("weak", proof.weak.join(", ")));
            }
            if let Some(token) = &proof.token {
                let touched = if token.touched { "touched" } else { "not touched" };
                let verified = if token.verified { "user verified (PIN or fingerprint)" } else { "user not verified" };
                lines.push(("token", format!("{touched}, {verified}, counter {}", token.counter)));
            }
            if !proof.malleable.is_empty() {
                lines.push(("malleable", proof.malleable.join(" ")));
            }
        }
        lines
    }
}

impl Proof {
    fn of(evidence: &Evidence) -> Self {
        let (key, is_ssh) = (&evidence.key, evidence.format == SignatureFormat::Ssh);
        Self {
            key_type: key.algorithm.clone(),
            key: key.fingerprint.clone(),
            public_key: is_ssh.then(|| key.to_openssh()),
            certificate: key.certificate.as_deref().map(ShownCertificate::of),
            openpgp: key.binding.as_ref().map(ShownBinding::of),
            keyless: evidence.keyless.as_deref().map(ShownKeyless::of),
            smime: evidence.smime.as_deref().map(ShownSmime::of),
            namespace: is_ssh.then_some(crate::signature::ssh::NAMESPACE),
            hash: evidence.hash,
            made: evidence.made.map(|made| Utc(made).to_string()),
            weak: evidence.weak.clone(),
            rsa_bits: key.rsa_bits,
            token: evidence.token.map(|token| Token {
                touched: token.touched(),
                verified: token.verified(),
                counter: token.counter,
            }),
            malleable: evidence.malleable.iter().map(|way| way.name()).collect(),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
