//! Keyless identities: who, by whose word, when, and what the certificate says besides.

use super::toml::{OBJECT, by, in_toml};
use super::*;
use crate::evidence::{Keyless, LogEntry, Subject};

const GITHUB: &str = "https://github.com/login/oauth";
const ACTIONS: &str = "https://token.actions.githubusercontent.com";
const BEGIN: i64 = NOW - 100_000;
const END: i64 = BEGIN + 600;

fn keyless() -> Keyless {
    Keyless {
        subject: Subject::Email("a@x".to_owned()),
        issuer: GITHUB.to_owned(),
        claims: Vec::new(),
        serial: "01".to_owned(),
        not_before: BEGIN,
        not_after: END,
        authority: "sigstore".to_owned(),
        entry: Some(LogEntry { log: "aa".to_owned(), index: 1, time: Some(BEGIN + 5) }),
        timestamps: Vec::new(),
    }
}

fn signed(keyless: Keyless) -> Evidence {
    let mut key = (*evidence().key).clone();
    key.blob = keyless.subject.blob(&keyless.issuer);
    Evidence { format: Format::X509, key: Arc::new(key), keyless: Some(Arc::new(keyless)), ..evidence() }
}

fn then() -> Context<'static> {
    Context { claimed: Some(BEGIN + 3), ..context() }
}

/// Alice's identity, with more lines in her key's table, and more in the instance's.
fn text(key: &str, instance: &str) -> String {
    format!(
        "[[principals.alice.keys]]\nkeyless = \"a@x\"\nissuer = \"{GITHUB}\"\n{key}\n[authorities.sigstore]\ntrusted-root = \"public-good\"\n{instance}"
    )
}

#[test]
fn exactly_who_is_listed() {
    let of = |subject: Subject, issuer: &str| signed(Keyless { subject, issuer: issuer.to_owned(), ..keyless() });
    let email = |name: &str| Subject::Email(name.to_owned());
    let policy = text("", "");
    for (evidence, want) in [
        (signed(keyless()), "alice"),
        (of(email("A@x"), GITHUB), "identity-unlisted"),
        (of(email("a@x.example"), GITHUB), "identity-unlisted"),
        (of(email("a@x"), "https://accounts.google.com"), "identity-unlisted"),
        (of(email("a@x"), "https://github.com/login/oauth/"), "identity-unlisted"),
        (of(Subject::Uri("a@x".to_owned()), GITHUB), "identity-unlisted"), // of another kind
        (signed(Keyless { authority: "other".to_owned(), ..keyless() }), "certificate-untrusted"),
    ] {
        assert_eq!(by(&policy, &evidence, &then()), want, "{:?}", evidence.keyless);
        let settled = Context { settled: true, ..then() };
        assert_eq!(by(&policy, &evidence, &settled), want, "{:?}", evidence.keyless);
    }
    // a file of SSH keys lists no identity
    let lines = policy_of_lines();
    assert_eq!(answer(&lines.decide(&signed(keyless()), &then())), "identity-unlisted");
    // an identity is no key: what has the same bytes signs nothing
    let mut key = (*evidence().key).clone();
    key.blob = keyless().subject.blob(GITHUB);
    let bare = Evidence { key: Arc::new(key), ..evidence() };
    assert_eq!(by(&policy, &bare, &then()), "key-unlisted");
}

fn policy_of_lines() -> Policy {
    policy("* KEY", Demands::default())
}

#[test]
fn what_must_prove_the_time() {
    let entry = |time: Option<i64>| Some(LogEntry { log: "aa".to_owned(), index: 1, time });
    let (v1, v2) = (entry(Some(BEGIN + 5)), entry(None));
    let token = vec![BEGIN + 7];
    for (entry, timestamps, log, timestamp, both) in [
        (v1.clone(), vec![], "alice", "not-timestamped", "not-timestamped"),
        (v1.clone(), token.clone(), "alice", "alice", "alice"),
        (v2.clone(), token.clone(), "alice", "alice", "alice"),
        (v2, vec![], "time-unproved", "not-timestamped", "not-timestamped"),
        (None, token, "not-logged", "alice", "not-logged"),
        (None, vec![], "not-logged", "not-timestamped", "not-logged"),
        (v1, vec![END + 1], "time-unproved", "time-unproved", "time-unproved"), // the last of all times counts
    ] {
        let evidence = signed(Keyless { entry: entry.clone(), timestamps: timestamps.clone(), ..keyless() });
        for (require, want) in [("log", log), ("timestamp", timestamp), ("log+timestamp", both)] {
            let policy = text("", &format!("require = \"{require}\""));
            assert_eq!(by(&policy, &evidence, &then()), want, "{require} {entry:?} {timestamps:?}");
            let settled = Context { settled: true, ..then() };
            assert_eq!(by(&policy, &evidence, &settled), "alice", "{require} {entry:?} {timestamps:?}");
        }
        if log == "alice" {
            assert_eq!(by(&text("", ""), &evidence, &then()), "alice", "the default is log");
        }
    }
}

#[test]
fn a_claimed_time_rejects_and_never_rescues() {
    let policy = text("", "");
    let at = |claimed: i64| by(&policy, &signed(keyless()), &Context { claimed: Some(claimed), ..context() });
    assert_eq!(at(BEGIN - 600), "alice");
    assert_eq!(at(BEGIN - 601), "certificate-not-yet-valid");
    assert_eq!(at(END + 600), "alice");
    assert_eq!(at(END + 601), "certificate-expired");
    assert_eq!(at(NOW + 601), "claimed-in-future");
    let unlogged = signed(Keyless { entry: None, ..keyless() });
    assert_eq!(by(&policy, &unlogged, &then()), "not-logged");
    // a certificate that ended long ago stands by its proved time
    assert_eq!(by(&policy, &signed(keyless()), &Context { now: NOW + 100_000_000, ..then() }), "alice");
}

#[test]
fn one_instance_of_several_vouches() {
    let bound = |name: &str| format!("{}\n[authorities.other]\ntrusted-root = \"staging\"", text(&format!("ca = \"{name}\""), ""));
    let of = |authority: &str| signed(Keyless { authority: authority.to_owned(), ..keyless() });
    for (ca, authority, want) in [
        ("sigstore", "sigstore", "alice"),
        ("other", "other", "alice"),
        ("sigstore", "other", "claim-mismatch"),
        ("other", "sigstore", "claim-mismatch"),
    ] {
        assert_eq!(by(&bound(ca), &of(authority), &then()), want, "{ca} {authority}");
        let settled = Context { settled: true, ..then() };
        assert_eq!(by(&bound(ca), &of(authority), &settled), want, "{ca} {authority}");
    }
    let either = format!("{}\n[authorities.other]\ntrusted-root = \"staging\"", text("", ""));
    assert_eq!(by(&either, &of("other"), &then()), "alice");
}

#[test]
fn the_commit_that_a_workflow_ran_on_is_left_to_the_graph() {
    let policy = text("claims = { repository-digest = \"ancestor\" }", "");
    let of = |digest: Option<&str>| {
        let claims = digest.map(|digest| ("repository-digest", digest.to_owned())).into_iter().collect();
        by(&policy, &signed(Keyless { claims, ..keyless() }), &then())
    };
    assert_eq!(of(Some(OBJECT)), "ancestor-unknown"); // never accepted by the policy alone
    for digest in [None, Some("ancestor"), Some(""), Some("1234")] {
        assert_eq!(of(digest), "claim-mismatch", "{digest:?}");
    }
}

#[test]
fn who_commits() {
    let policy = |emails: &str| format!("[principals.alice]\n{emails}\n{}", text("", ""));
    let bound = policy("emails = [\"z@x\"]");
    let as_who = |email: &'static [u8]| Context { email: Some(email), ..then() };
    assert_eq!(by(&bound, &signed(keyless()), &as_who(b"z@x")), "alice");
    assert_eq!(by(&bound, &signed(keyless()), &as_who(b"a@x")), "alice", "the certificate's own address");
    assert_eq!(by(&bound, &signed(keyless()), &as_who(b"b@x")), "signer-not-committer");
    assert_eq!(by(&text("", ""), &signed(keyless()), &as_who(b"b@x")), "alice", "bound to no address");
    let binding = Demands { bind_committer: true, ..Demands::default() };
    assert_eq!(answer(&in_toml(&text("", ""), binding).decide(&signed(keyless()), &as_who(b"b@x"))), "signer-not-committer");
    assert_eq!(answer(&in_toml(&text("", ""), binding).decide(&signed(keyless()), &as_who(b"a@x"))), "alice");
}

#[test]
fn claims_of_a_workflow() {
    let workflow = "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main";
    let policy = format!(
        "[[principals.ci.keys]]\nkeyless = \"{workflow}\"\nissuer = \"{ACTIONS}\"\nclaims = {{ repository-id = \"1\", owner-id = \"2\", trigger = \"push\" }}\n[authorities.sigstore]\ntrusted-root = \"public-good\""
    );
    let with = |claims: &[(&'static str, &str)]| {
        let claims = claims.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        signed(Keyless { subject: Subject::Uri(workflow.to_owned()), issuer: ACTIONS.to_owned(), claims, ..keyless() })
    };
    let (repository, owner, push) = (("repository-id", "1"), ("owner-id", "2"), ("trigger", "push"));
    for (claims, want) in [
        (&[repository, owner, push][..], "ci"),
        (&[push, owner, ("run", "x"), repository], "ci"),
        (&[repository, owner], "claim-mismatch"),
        (&[("repository-id", "11"), owner, push], "claim-mismatch"),
        (&[repository, ("owner-id", "1"), push], "claim-mismatch"),
        (&[repository, owner, ("trigger", "pull_request")], "claim-mismatch"),
    ] {
        for settled in [false, true] {
            assert_eq!(by(&policy, &with(claims), &Context { settled, ..then() }), want, "{claims:?}");
        }
    }
}

#[test]
fn states_by_the_proved_time() {
    let at = |seconds: i64| Utc(seconds).to_string();
    let (before, after) = (at(BEGIN + 5), at(BEGIN + 6));
    for (state, want, want_settled) in [
        ("status = \"retired\"".to_owned(), "key-retired", "alice"),
        (format!("status = \"retired\"\nbefore = {before}"), "key-retired", "alice"),
        (format!("status = \"retired\"\nbefore = {after}"), "alice", "alice"),
        (format!("status = \"compromised\"\nbefore = {before}"), "key-compromised", "key-compromised"),
        (format!("status = \"compromised\"\nbefore = {after}"), "alice", "alice"),
        (format!("status = \"compromised\"\naudited = [\"{OBJECT}\"]"), "alice", "alice"),
    ] {
        for (text, want) in [
            (text(&state, ""), [want.to_owned(), want_settled.to_owned()]),
            (text("", &state), [want, want_settled].map(|it| it.replace("key-", "authority-"))),
        ] {
            assert_eq!(by(&text, &signed(keyless()), &then()), want[0], "{text}");
            assert_eq!(by(&text, &signed(keyless()), &Context { settled: true, ..then() }), want[1], "{text}");
        }
    }
    // an address is denied in whatever letters: certificates have it as its issuer wrote it
    for name in ["a@x", "A@X"] {
        let denied = text("", &format!("deny = [\"{name}\"]"));
        assert_eq!(by(&denied, &signed(keyless()), &then()), "identity-denied", "{name}");
    }
}
