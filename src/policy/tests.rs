mod keyless;
mod smime;
mod toml;

use super::*;
use crate::armor::Format;
use crate::evidence::{Malleable, Token};
use crate::object::PayloadId;
use crate::verdict::Revoked;
use allowed_signers::utc_seconds;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";
const NOW: i64 = 1_750_000_000; // 2025-06-15

fn evidence() -> Evidence {
    Evidence {
        format: Format::Ssh,
        key: public_key::read_key(KEY.as_bytes()).unwrap(),
        hash: "sha512",
        made: None,
        ends: None,
        weak: Vec::new(),
        token: None,
        keyless: None,
        smime: None,
        payload_id: PayloadId([0; 32]),
        malleable: Vec::new(),
    }
}

fn context() -> Context<'static> {
    Context {
        object: ObjectId::from_bytes(&[1; 20]).unwrap(),
        email: Some(b"a@x"),
        nameless: false,
        claimed: Some(NOW - 1000),
        now: NOW,
        settled: false,
    }
}

fn policy(lines: &str, demands: Demands) -> Policy {
    let text = lines.replace("KEY", KEY);
    let signers = AllowedSigners::parse(text.as_bytes(), &utc_seconds);
    assert_eq!(signers.skipped, []);
    Policy::new(signers, RevokedKeys::default(), demands)
}

/// The principal or the reason's code, with the warnings' codes.
fn answer(decision: &Decision) -> String {
    let mut words = vec![match &decision.verdict {
        Verdict::Accept { principal } => principal.0.clone(),
        other => other.code().unwrap_or_default().to_owned(),
    }];
    words.extend(decision.warnings.iter().map(|warning| warning.code().to_owned()));
    words.join(" ")
}

fn decide(lines: &str, demands: Demands, context: &Context<'_>) -> String {
    answer(&policy(lines, demands).decide(&evidence(), context))
}

#[test]
fn one_line() {
    let hook = Demands { refuse_claimed_only: true, refuse_wildcard: true, ..Demands::default() };
    let lax = Demands::default();
    for (lines, demands, want) in [
        ("a@x KEY", lax, "a@x"),
        ("a@x KEY", Demands::strict(), "a@x"),
        ("b@x KEY", lax, "b@x signer-not-committer"),
        ("b@x KEY", Demands::strict(), "signer-not-committer"),
        ("!a@x,* KEY", lax, "signer-not-committer"),
        ("*@x,!a@x KEY", lax, "signer-not-committer"),
        ("*@x,!c@x KEY", lax, "*@x"),
        ("*@x KEY", lax, "*@x"),
        ("a@x,!a@x KEY", lax, "key-unlisted"),
        ("b@x,!b@* KEY", lax, "key-unlisted"),
        ("b@x,c@x,!b@x KEY", lax, "c@x signer-not-committer"),
        ("* KEY", lax, "* wildcard"),
        ("*@* KEY", lax, "*@* wildcard"),
        ("* KEY", hook, "wildcard"),
        ("", lax, "key-unlisted"),
        ("a@x cert-authority KEY", lax, "key-unlisted"),
        ("a@x namespaces=\"file\" KEY", lax, "namespace-not-allowed"),
        ("a@x namespaces=\"g?t\" KEY", lax, "a@x"),
        ("a@x valid-after=\"20250101Z\" KEY", lax, "a@x"),
        ("a@x valid-after=\"20250701Z\" KEY", lax, "key-not-yet-valid"),
        ("a@x valid-before=\"20250101Z\" KEY", lax, "key-expired"),
        ("a@x valid-before=\"20260101Z\" KEY", hook, "a@x"),
    ] {
        assert_eq!(decide(lines, demands, &context()), want, "{lines}");
    }
}

#[test]
fn a_claimed_time_rescues_only_where_it_may() {
    let lines = "a@x valid-before=\"20250101Z\" KEY";
    let before = Context { claimed: Some(NOW - 30_000_000), ..context() };
    assert_eq!(decide(lines, Demands::default(), &before), "a@x claimed-only");
    assert_eq!(decide(lines, Demands { refuse_claimed_only: true, ..Demands::default() }, &before), "claimed-only");
    assert_eq!(decide(lines, Demands::strict(), &Context { settled: true, ..before }), "a@x");
    assert_eq!(decide(lines, Demands::default(), &Context { claimed: None, ..before }), "no-claimed-time");
    assert_eq!(decide("a@x KEY", Demands::default(), &Context { claimed: None, ..before }), "a@x");
}

#[test]
fn the_future_is_refused_beyond_ten_minutes() {
    let at = |claimed| decide("a@x KEY", Demands::default(), &Context { claimed: Some(claimed), ..context() });
    assert_eq!(at(NOW + 600), "a@x");
    assert_eq!(at(NOW + 601), "claimed-in-future");
    assert_eq!(at(i64::MAX), "claimed-in-future");
}

#[test]
fn the_best_of_several_lines_decides_whatever_their_order() {
    let hook = Demands { refuse_claimed_only: true, refuse_wildcard: true, ..Demands::default() };
    for (lines, demands, want) in [
        (["b@x KEY", "a@x KEY"], Demands::default(), "a@x"),
        (["* KEY", "a@x KEY"], hook, "a@x"),
        (["a@x namespaces=\"file\" KEY", "b@x KEY"], Demands::default(), "b@x signer-not-committer"),
        (["a@x valid-before=\"20250101Z\" KEY", "a@x KEY"], Demands::default(), "a@x"),
        (["a@x valid-after=\"20250701Z\" KEY", "b@x KEY"], Demands::default(), "b@x signer-not-committer"),
    ] {
        let [first, second] = lines;
        assert_eq!(decide(&format!("{first}\n{second}"), demands, &context()), want);
        assert_eq!(decide(&format!("{second}\n{first}"), demands, &context()), want);
    }
}

#[test]
fn revoked_keys_never_stand() {
    let mut policy = policy("a@x KEY", Demands::default());
    policy.revoked = RevokedKeys::parse(KEY.as_bytes()).unwrap();
    let settled = Context { settled: true, ..context() };
    assert_eq!(answer(&policy.decide(&evidence(), &settled)), "key-revoked");
}

#[test]
fn what_evidence_adds() {
    let mut evidence = evidence();
    evidence.token = Some(Token { flags: 0, counter: 1 });
    evidence.malleable = vec![Malleable::Armor];
    let lax = policy("a@x KEY", Demands::default());
    assert_eq!(answer(&lax.decide(&evidence, &context())), "a@x malleable no-touch");
    evidence.token = Some(Token { flags: 1, counter: 1 });
    assert_eq!(answer(&lax.decide(&evidence, &context())), "a@x malleable");
    assert_eq!(answer(&policy("a@x KEY", Demands::strict()).decide(&evidence, &context())), "malleable");
}

// ---- certificates ----

const CA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFR+8EVk/54g3uvundqASKe3IGJ4T32FLymoo+wwhUqe";

fn certificate() -> Certificate {
    Certificate {
        serial: 7,
        kind: CertificateKind::User,
        key_id: b"a@x".to_vec(),
        principals: vec![b"a@x".to_vec()],
        valid_after: 0,
        valid_before: i64::MAX,
        critical_options: Vec::new(),
        authority: authority(),
        blob: b"certificate".to_vec(),
    }
}

/// Any point of the curve will do for a policy: it checks no signature.
fn authority() -> Arc<crate::evidence::Key> {
    let mut key = crate::evidence::Key::clone(&evidence().key);
    key.blob.reverse();
    key.fingerprint = "SHA256:authority".to_owned();
    Arc::new(key)
}

fn certified(certificate: Certificate) -> Evidence {
    let mut key = crate::evidence::Key::clone(&evidence().key);
    key.certificate = Some(Arc::new(certificate));
    Evidence { key: Arc::new(key), ..evidence() }
}

/// A policy in which KEY on a line with cert-authority is the authority's key.
fn authorities(lines: &str, demands: Demands) -> Policy {
    let mut signers = AllowedSigners::parse(lines.replace("KEY", KEY).as_bytes(), &utc_seconds);
    for line in signers.lines.iter_mut().filter(|line| line.cert_authority) {
        line.key = authority();
    }
    Policy::new(signers, RevokedKeys::default(), demands)
}

fn decide_by(lines: &str, certificate: Certificate, demands: Demands, context: &Context<'_>) -> String {
    answer(&authorities(lines, demands).decide(&certified(certificate), context))
}

fn named(names: &[&str]) -> Certificate {
    Certificate { principals: names.iter().map(|name| name.as_bytes().to_vec()).collect(), ..certificate() }
}

#[test]
fn a_certificates_identities() {
    let lax = Demands::default();
    let hook = Demands { refuse_claimed_only: true, refuse_wildcard: true, ..lax };
    let bound = Demands { bind_committer: true, ..lax };
    for (lines, names, demands, want) in [
        ("*@x cert-authority KEY", &["a@x"][..], lax, "a@x"),
        ("*@x cert-authority KEY", &["a@x"], Demands::strict(), "a@x"),
        ("* cert-authority KEY", &["a@x"], hook, "a@x"), // the certificate names one person
        ("*@x cert-authority KEY", &["root", "b@x", "a@x"], lax, "a@x"), // one is enough
        ("*@x cert-authority KEY", &["root", "b@x"], lax, "b@x signer-not-committer"),
        ("*@x cert-authority KEY", &["root", "b@x"], bound, "signer-not-committer"),
        ("b@x cert-authority KEY", &["a@x"], lax, "certificate-principals"), // the key id never counts
        ("*@x,!a@x cert-authority KEY", &["a@x"], lax, "certificate-principals"),
        ("*,!a@x cert-authority KEY", &["a@x", "b@x"], lax, "signer-not-committer"), // the committer is left out by name
        ("a@x cert-authority KEY", &["*@x"], lax, "certificate-principals"),         // a name, not a pattern
        ("* cert-authority KEY", &["*"], lax, "* signer-not-committer"),
        ("* cert-authority KEY", &[], lax, "certificate-principals"),
        ("* cert-authority KEY", &[""], lax, "certificate-principals"),
        ("a@x KEY", &["a@x"], lax, "authority-unlisted"),
        ("a@x cert-authority,namespaces=\"file\" KEY", &["a@x"], lax, "namespace-not-allowed"),
        ("b@x cert-authority KEY\na@x cert-authority KEY", &["a@x"], lax, "a@x"),
        ("a@x cert-authority KEY\nb@x cert-authority KEY", &["a@x"], lax, "a@x"),
    ] {
        assert_eq!(decide_by(lines, named(names), demands, &context()), want, "{lines} {names:?}");
    }
    // a settled past asks for no committer, but for an authority and a name
    let settled = Context { settled: true, ..context() };
    assert_eq!(decide_by("*@x cert-authority KEY", named(&["b@x"]), bound, &settled), "b@x");
    assert_eq!(decide_by("a@x KEY", certificate(), lax, &settled), "authority-unlisted");
    assert_eq!(decide_by("b@x cert-authority KEY", certificate(), lax, &settled), "certificate-principals");
}

#[test]
fn a_certificates_window() {
    let hook = Demands { refuse_claimed_only: true, ..Demands::default() };
    let lax = Demands::default();
    let claimed = NOW - 1000;
    let line = "a@x cert-authority KEY";
    for (after, before, demands, want) in [
        (claimed, NOW + 1, Demands::strict(), "a@x"),
        (claimed + 1, NOW + 9, lax, "certificate-not-yet-valid"),
        (0, claimed, lax, "certificate-expired"), // its end does not belong to it
        (0, claimed + 1, lax, "a@x claimed-only"),
        (0, NOW, lax, "a@x claimed-only"),
        (0, NOW, hook, "claimed-only"),
        (0, NOW, Demands::strict(), "claimed-only"),
        (0, NOW + 1, hook, "a@x"),
        (0, 0, lax, "certificate-expired"),
    ] {
        let certificate = Certificate { valid_after: after, valid_before: before, ..certificate() };
        assert_eq!(decide_by(line, certificate.clone(), demands, &context()), want, "{after} {before}");
        let settled = Context { settled: true, ..context() };
        assert_eq!(decide_by(line, certificate.clone(), demands, &settled), "a@x", "{after} {before}");
        let dateless = Context { claimed: None, ..context() };
        assert_eq!(decide_by(line, certificate, demands, &dateless), "no-claimed-time");
    }
    assert_eq!(decide_by(line, certificate(), hook, &Context { claimed: None, ..context() }), "a@x");
    // both windows hold
    let past = "a@x cert-authority,valid-before=\"20250101Z\" KEY";
    assert_eq!(decide_by(past, certificate(), lax, &context()), "key-expired");
    let then = Context { claimed: Some(NOW - 30_000_000), ..context() };
    assert_eq!(decide_by(past, certificate(), lax, &then), "a@x claimed-only");
}

#[test]
fn what_no_line_mends_of_a_certificate() {
    let line = "* cert-authority KEY";
    let host = Certificate { kind: CertificateKind::Host, ..certificate() };
    assert_eq!(decide_by(line, host, Demands::default(), &context()), "certificate-not-for-users");
    let token = |flags| Some(Token { flags, counter: 1 });
    for (option, token, want) in [
        ("force-command", None, "a@x"),
        ("source-address", None, "a@x"),
        ("verify-required", None, "user-not-verified"),
        ("verify-required", token(1), "user-not-verified"),
        ("verify-required", token(5), "a@x"),
        ("strange@example.com", None, "critical-option"),
        ("Force-Command", None, "critical-option"),
    ] {
        let certificate = Certificate { critical_options: vec!["force-command".into(), option.into()], ..certificate() };
        let evidence = Evidence { token, ..certified(certificate) };
        let settled = Context { settled: true, ..context() };
        for context in [context(), settled] {
            assert_eq!(answer(&authorities(line, Demands::default()).decide(&evidence, &context)), want, "{option}");
        }
    }
    // a short key of the authority is as weak as one of the signer
    let mut weak = crate::evidence::Key::clone(&authority());
    weak.rsa_bits = Some(1024);
    let weak = Certificate { authority: Arc::new(weak), ..certificate() };
    assert_eq!(decide_by(line, weak.clone(), Demands::strict(), &context()), "weak-key");
    assert_eq!(decide_by(line, weak, Demands::default(), &context()), "a@x");
}

#[test]
fn revoked_authorities_and_keys_in_certificates_never_stand() {
    let settled = Context { settled: true, ..context() };
    let mut policy = authorities("* cert-authority KEY", Demands::default());
    for (list, certificate, want) in [
        (KEY, certificate(), Revoked::Key),
        (CA, Certificate { authority: public_key::read_key(CA.as_bytes()).unwrap(), ..certificate() }, Revoked::Authority),
    ] {
        policy.revoked = RevokedKeys::parse(list.as_bytes()).unwrap();
        let decision = policy.decide(&certified(certificate), &settled);
        assert_eq!(decision.verdict, Verdict::Reject { reason: Reason::KeyRevoked { what: want } });
    }
}
