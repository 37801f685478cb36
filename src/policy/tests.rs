use super::*;
use crate::armor::Format;
use crate::evidence::{Malleable, Token};
use crate::object::PayloadId;
use allowed_signers::utc_seconds;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";
const NOW: i64 = 1_750_000_000; // 2025-06-15

fn evidence() -> Evidence {
    Evidence {
        format: Format::Ssh,
        key: public_key::read_key(KEY.as_bytes()).unwrap(),
        hash: "sha512",
        token: None,
        payload_id: PayloadId([0; 32]),
        malleable: Vec::new(),
    }
}

fn context() -> Context<'static> {
    Context { email: Some(b"a@x"), claimed: Some(NOW - 1000), now: NOW, settled: false }
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
        Verdict::Reject { reason } => reason.code().to_owned(),
        Verdict::Unjudged { why } => why.code().to_owned(),
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
fn certificates_are_not_taken_for_their_keys() {
    let mut evidence = evidence();
    let mut key = (*evidence.key).clone();
    key.certificate = true;
    evidence.key = key.into();
    assert_eq!(answer(&policy("a@x KEY", Demands::default()).decide(&evidence, &context())), "certificate-unsupported");
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
