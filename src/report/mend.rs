//! What would mend a rejection.

use super::escape::{is_plain_name, name, shell_word};
use crate::evidence::{Evidence, WeakBinding};
use crate::object::ObjectKind;
use crate::verdict::{Fault, Judgement, Reason, Revoked, UNKNOWN_LOG, Unjudged, Utc, Verdict};

/// Whether a file of this name is a policy in TOML; another is one of allowed_signers.
pub fn is_toml(name: &str) -> bool {
    name.ends_with(".toml")
}

/// What the person in front can do about a verdict; `None` where nothing is to be mended. Text from the repository in it is
/// not yet escaped.
pub fn mend(judgement: &Judgement, policy: &str) -> Option<String> {
    match &judgement.verdict {
        Verdict::Accept { .. } | Verdict::Exempt { .. } => None,
        Verdict::Reject { reason } => Some(of_reason(reason, judgement, policy)),
        Verdict::Unjudged { why: Unjudged::Shallow } => Some("git fetch --unshallow, then ask again".to_owned()),
        Verdict::Unjudged { why: Unjudged::Missing } if judgement.reference.is_some() => Some(
            "push from a complete clone: git fetch --unshallow; where that is not it, `git fsck` shows what is missing".to_owned(),
        ),
        Verdict::Unjudged { why: Unjudged::Missing } => {
            Some("fetch the object from a complete clone; `git fsck` shows what else is missing".to_owned())
        }
        Verdict::Unjudged { why: Unjudged::SettledMissing { .. } } => {
            Some(format!("fetch what `settled` and `audited` of {policy}, warrant.settled and --settled name, or take out what is gone for good").to_owned())
        }
        Verdict::Unjudged { why: Unjudged::BuiltOn { .. } } => {
            Some("git fetch --unshallow, or fetch what `git fsck` misses from a complete clone, then ask again".to_owned())
        }
        Verdict::Unjudged { why: Unjudged::Unreadable { .. } } => {
            Some("`git fsck` shows the damage; fetch the object from a good clone".to_owned())
        }
    }
}

/// The fingerprint of the OpenPGP certificate that was signed with.
fn openpgp(judgement: &Judgement) -> Option<&str> {
    let binding = judgement.evidence.as_ref()?.key.binding.as_ref()?;
    Some(&binding.certificate)
}

/// What of that certificate is too weak, where nothing else is.
fn weak_binding(judgement: &Judgement) -> Option<WeakBinding> {
    let evidence = judgement.evidence.as_ref().filter(|evidence| evidence.weak.is_empty())?;
    evidence.key.binding.as_ref()?.weak
}

/// The history may stay as it is: the certificate is what is too weak.
fn of_weak_binding(judgement: &Judgement, policy: &str) -> String {
    let certificate = openpgp(judgement).unwrap_or_default();
    match weak_binding(judgement) {
        Some(WeakBinding::Primary) => format!(
            "a primary key of today is needed, and so another certificate (gpg --quick-gen-key), listed in {policy}; {}",
            make_again(judgement)
        ),
        _ => format!(
            "the history can stay: its holder signs the certificate anew, gpg --cert-digest-algo SHA512 --quick-set-expire {certificate} 1y, and the same with '*' behind it for the subkeys; then {}",
            replace_certificate(certificate, policy)
        ),
    }
}

fn replace_certificate(fingerprint: &str, policy: &str) -> String {
    format!(
        "put the new one, gpg --armor --export {fingerprint}, in its place (certs/{fingerprint}.pgp beside {policy}, or `cert` in it)"
    )
}

/// The addresses of the S/MIME certificate that was signed with.
fn smime(judgement: &Judgement) -> Option<&[String]> {
    Some(&judgement.evidence.as_ref()?.smime.as_deref()?.addresses)
}

fn of_reason(reason: &Reason, judgement: &Judgement, policy: &str) -> String {
    let email = judgement.about.email.as_deref().unwrap_or("unknown");
    match reason {
        Reason::HashMismatch | Reason::Collision => {
            "the object store is damaged or was tampered with; fetch the object from a good clone".to_owned()
        }
        Reason::Fault(Fault::UnknownSignatureHeader { .. } | Fault::DuplicateSignature | Fault::Late { .. }) => {
            format!("no honest tool writes this; find out who pushed it, and {}", make_again(judgement))
        }
        Reason::Fault(_) | Reason::MalformedSignature { .. } | Reason::MultipleSignatures | Reason::UnknownFormat => {
            make_again(judgement)
        }
        Reason::NotSignable { .. } => "name a commit or a tag".to_owned(),
        Reason::TagType { .. } => "no honest tool writes this; make the tag again: git tag -s -f NAME TARGET".to_owned(),
        Reason::TagName { outside, .. } if !is_plain_name(outside) => {
            "a tag that is copied to another name proves nothing, and this name is no plain one: make a tag of another name"
                .to_owned()
        }
        Reason::TagName { outside, .. } => {
            format!(
                "make a tag of this name: git tag -s {} TARGET; a tag that is copied to another name proves nothing",
                shell_word(outside)
            )
        }
        Reason::Unsigned => unsigned(judgement),
        Reason::FormatUnsupported { .. } | Reason::CertificateUnknown { .. } if is_forge(email) => format!(
            "made by a forge's merge or squash button, which signs with the forge's own key; merge on your machine and sign (git merge --no-ff -S){}",
            or_baseline(judgement)
        ),
        Reason::FormatUnsupported { .. } => {
            format!("git config gpg.format ssh, and {}{}", make_again(judgement), or_baseline(judgement))
        }
        Reason::NamespaceMismatch { .. } => {
            format!("the signature was taken from something else than git; {}", make_again(judgement))
        }
        Reason::AlgorithmUnsupported { .. } => {
            format!("sign with an Ed25519, ECDSA or RSA (rsa-sha2) key; {}", make_again(judgement))
        }
        Reason::WeakKey { least, .. } => {
            format!("sign with an RSA key of {least} bits or more, or with Ed25519; {}", make_again(judgement))
        }
        Reason::Weak { .. } if weak_binding(judgement).is_some() => of_weak_binding(judgement, policy),
        Reason::Weak { .. } => format!("use a key and a program of today; {}", make_again(judgement)),
        Reason::CertificateUnknown { .. } if !is_toml(policy) => format!(
            "{policy} lists SSH keys only: name the signer in a policy in TOML (openpgp = …, git-warrant-policy(5)); or git config gpg.format ssh, and {}{}",
            make_again(judgement),
            or_baseline(judgement)
        ),
        Reason::CertificateUnknown { listed: Some(key), .. } => format!(
            "sign with a key that is for signing (user.signingKey), and {}; or, where the certificate in the policy is an old copy, {}",
            make_again(judgement),
            replace_certificate(&key.certificate, policy)
        ),
        Reason::CertificateUnknown { issuer, .. } => format!(
            "if you know whose key this is: gpg --export {issuer} gives its certificate; put it beside {policy} as certs/FINGERPRINT.pgp, and below [[principals.NAME.keys]] openpgp = \"FINGERPRINT\"; where it is a new subkey of a certificate that {policy} lists already, put the new certificate in the place of the old one"
        ),
        Reason::OlderThanKey { .. } => format!("check the clock of the machine that signed; {}", make_again(judgement)),
        Reason::CertificateUntrusted { .. } if is_toml(policy) => format!(
            "if this Sigstore instance, or this X.509 authority, may speak for your people, add at the end of {policy} a table [authorities.NAME] with trusted-root = \"public-good\" (or \"github\", \"staging\", or a file beside the policy), or with x509 = \"roots.pem\" (a file beside the policy); where a Sigstore instance is there already, it may have newer keys than its trusted root: git warrant trust update --output FILE writes the newest, which `trusted-root` can name; where an X.509 authority is, what it says is missing is: the certificates between come with the signature (gpgsm --include-certs -2, which is its default), or their authority is one of the roots"
        ),
        Reason::RevocationUnknown { .. } => format!(
            "add the revocation list to the `crl` of {}, or take `crl` out to accept without; or, if it was looked through and stands, add {} to `settled` of {policy}",
            at_line(judgement, policy),
            judgement.id
        ),
        Reason::LogEntry { what } if what == UNKNOWN_LOG && is_toml(policy) => {
            format!("{} or {}", newer("log"), make_again(judgement))
        }
        Reason::TimestampInvalid { .. } if is_toml(policy) => format!(
            "{} else no honest tool writes this: find out who pushed it, and {}",
            newer("timestamp authority"),
            make_again(judgement)
        ),
        Reason::LogEntry { .. } | Reason::TimestampInvalid { .. } => {
            format!("no honest tool writes this; find out who pushed it, and {}", make_again(judgement))
        }
        Reason::TimeUnproved | Reason::NotTimestamped => {
            format!("sign with a timestamp authority (gitsign.timestampServerURL); {}", make_again(judgement))
        }
        Reason::NotLogged { .. } => format!(
            "where the log was not asked yet, ask it (git warrant verify --online); or have gitsign embed the log entry (git config gitsign.rekorMode offline), and {}; or, if it was looked through and stands, add {} to `settled` of {policy}",
            make_again(judgement),
            judgement.id
        ),
        Reason::IdentityUnlisted { issuer, .. } if is_toml(policy) && smime(judgement).is_some() => {
            let addresses = smime(judgement).unwrap_or_default().iter().map(|it| toml_string(it)).collect::<Vec<_>>();
            format!(
                "if you know whose certificate this is, add under its principal in {policy}: [[principals.NAME.keys]], and below that x509 = {} and ca = {}, each on a line",
                addresses.join(" or "),
                toml_string(issuer)
            )
        }
        Reason::IdentityUnlisted { identity, issuer } if is_toml(policy) => format!(
            "if you know whose identity this is, add under its principal in {policy}: [[principals.NAME.keys]], and below that keyless = {} and issuer = {}, each on a line",
            toml_string(identity),
            toml_string(issuer)
        ),
        Reason::IdentityUnlisted { .. } | Reason::CertificateUntrusted { .. } => format!(
            "{policy} lists SSH keys only: name the identity, and who vouches for it, in a policy in TOML (keyless = …, trusted-root = …; x509 = …, ca = …; git-warrant-policy(5)); or git config gpg.format ssh, and {}{}",
            make_again(judgement),
            or_baseline(judgement)
        ),
        Reason::NotBuiltOn { .. } => format!(
            "have the workflow run on the history that it adds to; or, if it may sign what is not built on its own commit, take repository-digest = \"ancestor\" out of `claims` at {}",
            at_line(judgement, policy)
        ),
        Reason::ClaimMismatch { .. } => {
            format!("have it signed by the workflow that {} means, or change its `claims`", at_line(judgement, policy))
        }
        Reason::BadSignature => {
            format!("the content was changed after signing (a rewrite, an encoding, a damaged copy); {}", make_again(judgement))
        }
        Reason::AuthorityUnlisted { .. } => {
            let authority = judgement.evidence.as_ref().and_then(|evidence| evidence.key.certificate.as_deref());
            let authority = authority.map(|certificate| certificate.authority.to_openssh()).unwrap_or_default();
            if is_toml(policy) {
                return format!(
                    "if this authority may speak for your people, add at the end of {policy} a table [authorities.NAME] with ssh-ca = \"{authority}\" and principals = [\"*@example.org\"], each on a line"
                );
            }
            format!(
                "if this authority may speak for your people, add to {policy}: *@example.org cert-authority,namespaces=\"git\" {authority}"
            )
        }
        Reason::CertificateNotForUsers | Reason::CriticalOption { .. } => {
            format!("have the authority issue a user certificate without it; {}", make_again(judgement))
        }
        Reason::CertificatePrincipals { .. } => {
            let name = plain_email(judgement);
            format!("have the authority name {name} (ssh-keygen -s CA -n {name} …), or widen {}", at_line(judgement, policy))
        }
        Reason::IdentityDenied { .. } => {
            format!("somebody else has to sign it; or change the `deny` of {}", at_line(judgement, policy))
        }
        Reason::UserNotVerified | Reason::NoPin => {
            format!(
                "use a FIDO key with its PIN (made with ssh-keygen -O verify-required, it asks for it); {}",
                make_again(judgement)
            )
        }
        Reason::NoTouch => format!(
            "use a FIDO key, and touch it (one made with ssh-keygen -O no-touch-required does not ask); {}",
            make_again(judgement)
        ),
        Reason::CertificateNotYetValid { .. } | Reason::CertificateExpired { .. } => {
            format!("renew the certificate; {}", make_again(judgement))
        }
        Reason::KeyUnlisted => unlisted(judgement, policy),
        Reason::KeyRevoked { what: Revoked::Certificate } => {
            format!("the certificate is revoked: use another one; {}", make_again(judgement))
        }
        Reason::KeyRevoked { what } => format!("the {what} is revoked: use another key; {}", make_again(judgement)),
        Reason::KeyRetired | Reason::AuthorityRetired => {
            let whom = if judgement.reference.is_some() { "ask whoever keeps the policy to add" } else { "add" };
            let line = at_line(judgement, policy);
            format!(
                "use a key that is in use, and {}; or, if it was there before the key of {line} was retired, {whom} {} to `settled` of {policy} (its ancestors are settled with it)",
                make_again(judgement),
                judgement.id
            )
        }
        Reason::KeyCompromised | Reason::AuthorityCompromised => format!(
            "find out who made this; if it was looked through and stands, add {} to the `audited` of {}; else {}",
            judgement.id,
            at_line(judgement, policy),
            make_again(judgement)
        ),
        Reason::NamespaceNotAllowed => format!("add `git` to namespaces=\"…\" of the key's line in {policy}"),
        Reason::KeyNotYetValid { .. } => format!("check the clock, or the valid-after of {}", at_line(judgement, policy)),
        Reason::SignatureExpired { .. } => format!(
            "{}, by a signature that does not end (default-sig-expire in gpg.conf gives them an end)",
            make_again(judgement)
        ),
        Reason::KeyExpired { .. } if openpgp(judgement).is_some() => format!(
            "sign with a key that is valid; or, if this one still is to be used, extend it (gpg --quick-set-expire {} 1y) and give {} the new certificate",
            openpgp(judgement).unwrap_or_default(),
            at_line(judgement, policy)
        ),
        Reason::KeyExpired { before, .. } => format!(
            "sign with a key that is valid, or raise the valid-before (now {}) of {}",
            Utc(*before),
            at_line(judgement, policy)
        ),
        Reason::ClaimedOnly { .. } => {
            let whom = if judgement.reference.is_some() { "ask whoever runs the server to say so" } else { "say so" };
            format!(
                "if this was there before the key ended, {whom}: git config --add warrant.settled {} (a full id; its ancestors are settled with it)",
                judgement.id
            )
        }
        Reason::NoClaimedTime => "make the tag again with a tagger: git tag -s -f NAME TARGET".to_owned(),
        Reason::ClaimedInFuture { .. } => format!("check the clock of the machine that signed; {}", make_again(judgement)),
        Reason::SignerNotCommitter { committer, principal } => {
            let certified = judgement.evidence.as_ref().is_some_and(|evidence| evidence.key.certificate.is_some());
            let names = match (is_toml(policy), certified) {
                (true, true) => "`emails` of a principal in the policy of",
                (true, false) => "`emails` of the principal at",
                (false, _) => "names in",
            };
            format!(
                "after a colleague's rebase the committer should sign with the committer's own key; if {principal} and {committer} are one person, add {committer} to the {names} {}{}",
                at_line(judgement, policy),
                if is_toml(policy) { " (what a forge signs never passes --bind committer)" } else { "" }
            )
        }
        Reason::Wildcard { .. } => {
            format!("name who the key belongs to in {}, or allow it with --allow-wildcard", at_line(judgement, policy))
        }
        Reason::Malleable if smime(judgement).is_some() => format!(
            "nobody signs which certificates come with an S/MIME signature: a policy whose roots include the authority that issued the signer's certificate needs none but that (gpgsm --include-certs 1); {}",
            make_again(judgement)
        ),
        Reason::Malleable if judgement.evidence.as_ref().is_some_and(|evidence| evidence.keyless.is_some()) => format!(
            "gitsign leaves what the services answer in one form of several: {} with git-warrant in its place (git config gpg.x509.program git-warrant), which writes each in one",
            make_again(judgement)
        ),
        Reason::Malleable => {
            format!("{} with ssh-keygen's own armour and, for ECDSA, a low S (git-warrant writes both)", make_again(judgement))
        }
        Reason::PushMismatch { .. } => "push again: git push --signed; a certificate holds for one push only".to_owned(),
        Reason::PushNonce { .. } => "push again: git push --signed; where it comes again, whoever runs the server looks at receive.certNonceSeed, and over HTTP at receive.certNonceSlop and its clock".to_owned(),
        Reason::NotAPerson { .. } => {
            format!("push with the key of a person (user.signingKey); the kind is said at {}", at_line(judgement, policy))
        }
        Reason::NoRule => "push to refs/heads/… or refs/tags/…; nothing else is covered".to_owned(),
        Reason::ReplaceRef => "do not push refs/replace/…; rewrite the history instead".to_owned(),
    }
}

/// A Sigstore instance has new keys from time to time.
fn newer(what: &str) -> String {
    format!(
        "where the {what} is newer than the trusted root of the instance: git warrant trust update --output FILE writes the newest, which `trusted-root` can name;"
    )
}

/// A basic string of TOML: what a certificate says stays inside of it.
fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn unlisted(judgement: &Judgement, policy: &str) -> String {
    let name = plain_email(judgement);
    let key = judgement.evidence.as_ref().map(|evidence| evidence.key.to_openssh()).unwrap_or_default();
    if is_toml(policy) {
        return format!(
            "if you know whose key this is, add it under its principal in {policy}: [[principals.NAME.keys]], and below that ssh = \"{key}\"; a key that was removed when it was retired: put it back with status = \"retired\", and add the last commit that it signed to `settled`"
        );
    }
    format!(
        "if you know whose key this is, add to {policy}: {name} namespaces=\"git\" {key}  — a line that was removed when its key was retired: put it back with valid-before=\"YYYYMMDDZ\" instead, so that what it signed before keeps standing"
    )
}

/// The commit's own text goes into a line of the policy, or a command, only where it can be nothing but a name.
fn plain_email(judgement: &Judgement) -> &str {
    let email = judgement.about.email.as_deref().unwrap_or_default();
    let plain = !email.is_empty() && email.chars().all(|c| c.is_ascii_alphanumeric() || "@.+-_".contains(c));
    if plain && !email.starts_with('-') { email } else { "NAME" }
}

fn unsigned(judgement: &Judgement) -> String {
    let about = &judgement.about;
    let committer = about.email.as_deref().unwrap_or("unknown");
    if matches!(judgement.kind, Some(ObjectKind::Tag | ObjectKind::Blob)) {
        return make_again(judgement);
    }
    if is_forge(committer) {
        return format!(
            "made by a forge's merge or squash button, which did not sign; merge on your machine and sign (git merge --no-ff -S){}",
            or_baseline(judgement)
        );
    }
    if !about.author_email.is_empty() && about.author_email != committer {
        return format!(
            "{committer} rebased or applied {}'s commit without signing; {committer} sets git config commit.gpgSign true, and {}",
            about.author_email,
            make_again(judgement)
        );
    }
    format!("git config commit.gpgSign true, and {}{}", make_again(judgement), or_baseline(judgement))
}

/// How a commit or a tag is made again, signed.
fn make_again(judgement: &Judgement) -> String {
    let about = &judgement.about;
    if judgement.kind == Some(ObjectKind::Blob) {
        return "push again: git push --signed".to_owned(); // what is signed in a blob is a push certificate
    }
    match (&about.tag_name, about.parents.first()) {
        (Some(name), _) if !is_plain_name(name) => "make the tag again under another name, signed (git tag -s)".to_owned(),
        (Some(name), _) => {
            let name = shell_word(name);
            format!("make the tag again: git tag -s -f {name} {name}^{{}}")
        }
        (None, Some(parent)) => format!("sign it again: git rebase --rebase-merges --force-rebase --gpg-sign {parent}"),
        (None, None) => "sign it again: git rebase --rebase-merges --force-rebase --gpg-sign --root".to_owned(),
    }
}

/// For whoever judges a history: its past may be left out. A tag has none, and a pusher cannot leave out anything.
fn or_baseline(judgement: &Judgement) -> String {
    if judgement.kind != Some(ObjectKind::Commit) || judgement.reference.is_some() {
        return String::new();
    }
    format!("; or leave the past out: --baseline {}", judgement.id)
}

fn at_line(judgement: &Judgement, policy: &str) -> String {
    match judgement.line {
        Some(line) => format!("{policy}:{line}"),
        None => policy.to_owned(),
    }
}

/// The addresses that forges commit under.
fn is_forge(email: &str) -> bool {
    matches!(email, "noreply@github.com" | "noreply@gitlab.com" | "noreply@codeberg.org" | "noreply@bitbucket.org")
}

/// What a key is called in reports.
pub fn key_name(evidence: &Evidence) -> String {
    let certificate = evidence.smime.as_deref().map(|smime| {
        let (issuer, serial) = (smime.issuer.to_string(), &smime.serial);
        format!(" ({}; serial {serial} by {}, until {})", name(&smime.identity()), name(&issuer), Utc(smime.not_after))
    });
    format!("{} {}{}", evidence.key.short, evidence.key.fingerprint, certificate.unwrap_or_default())
}
