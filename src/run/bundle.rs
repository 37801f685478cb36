//! `verify --bundle`: a Sigstore bundle of a file; `show --bundle`: a commit's keyless signature as one.

use super::{complain, stdout};
use crate::cli::Verify;
use crate::io::trust::{read_bounded, trusted_root};
use crate::object::{Commit, HashAlgorithm, ObjectKind, PushCertificate, Tag};
use crate::report::ExitStatus;
use crate::report::escape::printable;
use crate::signature::x509::{Bundled, Content, MOST_ROOT_BYTES, to_bundle, verify_bundle, verify_bundle_by_key};
use crate::verdict::Utc;
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Verifies the bundle of one file, or of a digest. No repository and no policy are asked.
///
/// # Errors
/// Where the call is not valid, or a file cannot be read.
pub(super) fn verify(args: &Verify, bundle: &Path) -> Result<ExitStatus> {
    let [artifact] = args.revisions.as_slice() else { bail!("name one file (or sha256:…) that the bundle is of") };
    let read = |path: &Path| read_bounded(path, MOST_ROOT_BYTES);
    let (json, root) = (read(bundle)?, trusted_root(args.trusted_root.as_deref().unwrap_or("public-good"))?);
    let bytes;
    let content = match digest(artifact) {
        Some(digest) => Content::Sha256(digest),
        None => {
            bytes = fs::read(artifact).with_context(|| format!("cannot read {artifact}"))?;
            Content::Bytes(&bytes)
        }
    };
    let mut out = stdout();
    let answer = match (&args.key, &args.identity, &args.issuer) {
        (Some(key), None, None) => {
            let key = String::from_utf8(read(key)?).map_err(|_| anyhow!("{} is not a key in PEM", key.display()))?;
            let checked = verify_bundle_by_key(&root, &json, content, &key);
            checked.map(|statement| ("the key".to_owned(), statement)).map_err(|reason| reason.to_string())
        }
        (None, Some(identity), Some(issuer)) => match verify_bundle(&root, &json, content) {
            Ok((keyless, statement)) if keyless.subject.name() == identity && keyless.issuer == *issuer => {
                let time = keyless.attested().map_or_else(|| "no proved time".to_owned(), |time| Utc(time).to_string());
                Ok((format!("{identity}, identified by {issuer}, {time}"), statement))
            }
            Ok((keyless, _)) => {
                let (name, by) = (keyless.subject.name(), &keyless.issuer);
                Err(format!("it is by {name}, identified by {by}, not by {identity}, identified by {issuer}"))
            }
            Err(reason) => Err(reason.to_string()),
        },
        _ => bail!("say whom it has to be by: --identity NAME --issuer URL, or --key FILE"),
    };
    let status = match answer {
        Ok((who, statement)) => {
            let statement = statement.map(|kind| format!("; it is a statement of the type {kind}")).unwrap_or_default();
            writeln!(out, "accept {}: {}{}", printable(artifact), printable(&who), printable(&statement))?;
            ExitStatus::Accepted
        }
        Err(why) => {
            writeln!(out, "reject {}: {}", printable(artifact), printable(&why))?;
            ExitStatus::Rejected
        }
    };
    out.flush()?;
    Ok(status)
}

fn digest(named: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(named.strip_prefix("sha256:")?, &mut bytes).ok().map(|()| bytes)
}

/// Writes an object's keyless signature as a bundle; what it is of are the signed attributes.
///
/// # Errors
/// Where it carries no keyless signature, or one that is not over it.
pub(super) fn show(kind: ObjectKind, raw: &[u8], hash: HashAlgorithm) -> Result<ExitStatus> {
    let (commit, tag, push);
    let (signature, payload) = match kind {
        ObjectKind::Tag => {
            tag = Tag::parse(raw, hash);
            (tag.signature, &tag.payload)
        }
        ObjectKind::Blob => {
            push = PushCertificate::parse(raw);
            (push.signature, &push.payload)
        }
        _ => {
            commit = Commit::parse(raw, hash);
            (commit.signature.as_deref(), &commit.payload)
        }
    };
    let signature = signature.context("it is not signed")?;
    let Bundled { json, timed, .. } =
        to_bundle(signature, payload).map_err(|reason| anyhow!("no bundle can be made of its signature: {reason}"))?;
    if !timed {
        complain(
            "warning: neither a log entry nor a timestamp in the signature proves its time, so nobody accepts the bundle; git warrant show --online says whether the log has an entry",
        );
    }
    let mut out = stdout();
    writeln!(out, "{json}")?;
    out.flush()?;
    Ok(ExitStatus::Accepted)
}
