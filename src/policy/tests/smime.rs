//! S/MIME certificates: which authority vouches for which address, by which chain, and what of it is revoked.

use super::toml::{OBJECT, by, in_toml};
use super::*;
use crate::evidence::{ChainStanding, Name, Revocation, Smime, SmimePath};

const BEGIN: i64 = NOW - 100_000;
const END: i64 = NOW + 100_000;

fn path(authority: &str) -> SmimePath {
    SmimePath {
        authority: authority.to_owned(),
        issuers: vec![Name::default()],
        begin: BEGIN,
        end: END,
        through: Vec::new(),
        standing: ChainStanding::Unasked,
        unasked: Vec::new(),
    }
}

fn signed(addresses: &[&str], paths: Vec<SmimePath>) -> Evidence {
    let smime = Smime {
        addresses: addresses.iter().map(|&it| it.to_owned()).collect(),
        holder: Name::default(),
        issuer: Name::default(),
        serial: "01".to_owned(),
        not_before: BEGIN,
        not_after: END,
        paths,
    };
    let mut key = (*evidence().key).clone();
    key.blob = b"x509-key".to_vec();
    Evidence { format: Format::X509, key: Arc::new(key), smime: Some(Arc::new(smime)), ..evidence() }
}

fn then() -> Context<'static> {
    Context { claimed: Some(NOW - 3), ..context() }
}

/// Alice's address under `corp`, with more lines in her key's table, and more in the authority's.
fn text(key: &str, authority: &str) -> String {
    format!(
        "[[principals.alice.keys]]\nx509 = \"a@x\"\nca = \"corp\"\n{key}\n[authorities.corp]\nx509 = \"r.pem\"\n{authority}\n[authorities.other]\nx509 = \"o.pem\"\n"
    )
}

#[test]
fn exactly_who_is_listed_under_that_authority() {
    let corp = || vec![path("corp")];
    let policy = text("", "");
    for (evidence, want) in [
        (signed(&["a@x"], corp()), "alice"),
        (signed(&["b@x", "a@x"], corp()), "alice"),
        (signed(&["A@x"], corp()), "identity-unlisted"),
        (signed(&["a@X"], corp()), "identity-unlisted"),
        (signed(&["a@x.example"], corp()), "identity-unlisted"),
        (signed(&[], corp()), "certificate-principals"),
        (signed(&["a@x"], vec![path("other")]), "identity-unlisted"),
        (signed(&["a@x"], vec![path("absent")]), "certificate-untrusted"),
        (signed(&["a@x"], vec![path("other"), path("corp")]), "alice"),
        (signed(&["a@x"], vec![]), "certificate-untrusted"),
    ] {
        for settled in [false, true] {
            assert_eq!(by(&policy, &evidence, &Context { settled, ..then() }), want, "{:?}", evidence.smime);
        }
    }
}

#[test]
fn one_kind_of_identity_is_not_another() {
    // a keyless or an SSH entry, or what is found by the same bytes, says nothing of S/MIME
    let evidence = signed(&["a@x"], vec![path("sigstore")]);
    let keyless = "[[principals.alice.keys]]\nkeyless = \"a@x\"\nissuer = \"https://x\"\n[authorities.sigstore]\ntrusted-root = \"public-good\"";
    assert_eq!(by(keyless, &evidence, &then()), "certificate-untrusted");
    let ssh = "[authorities.sigstore]\nssh-ca = \"CA\"\nprincipals = [\"*\"]";
    assert_eq!(by(ssh, &evidence, &then()), "certificate-untrusted");
    assert_eq!(by(ssh, &signed(&["a@x"], vec![]), &then()), "certificate-untrusted");
}

#[test]
fn a_claimed_time_rejects_and_never_rescues() {
    let policy = text("", "");
    let good = || signed(&["a@x"], vec![path("corp")]);
    let at = |claimed: i64| by(&policy, &good(), &Context { claimed: Some(claimed), ..context() });
    assert_eq!(at(BEGIN), "alice");
    assert_eq!(at(BEGIN - 1), "certificate-not-yet-valid");
    assert_eq!(at(NOW + 601), "claimed-in-future");
    assert_eq!(by(&policy, &good(), &Context { claimed: None, ..context() }), "no-claimed-time");
    for (now, claimed, want) in [
        (END, END, "alice"), // its last second
        (END + 1, END, "claimed-only"),
        (END + 1, END + 1, "certificate-expired"),
        (END + 1, BEGIN, "claimed-only"),
    ] {
        let context = Context { now, claimed: Some(claimed), ..context() };
        assert_eq!(by(&policy, &good(), &context), want, "{now} {claimed}");
        assert_eq!(by(&policy, &good(), &Context { settled: true, ..context }), "alice");
    }
    let made_later = Evidence { made: Some(END + 1), ..good() };
    assert_eq!(by(&policy, &made_later, &Context { now: END + 2, ..then() }), "certificate-expired");
    // what ends first ends the chain, and one that holds is enough
    let ended = SmimePath { end: NOW - 1, ..path("corp") };
    let both = signed(&["a@x"], vec![ended.clone(), path("corp")]);
    assert_eq!(by(&policy, &signed(&["a@x"], vec![ended]), &then()), "claimed-only");
    let decided = in_toml(&policy, Demands::default()).decide(&both, &then());
    assert_eq!((answer(&decided).as_str(), decided.ends), ("alice", Some(END)));
}

#[test]
fn who_commits() {
    let policy = |emails: &str| format!("[principals.alice]\n{emails}\n{}", text("", ""));
    let as_who = |email: &'static [u8]| Context { email: Some(email), ..then() };
    let good = signed(&["a@x", "chief@x"], vec![path("corp")]);
    let bound = policy("emails = [\"z@x\"]");
    for (email, want, want_bound) in [
        (&b"a@x"[..], "alice", "alice"),
        (b"z@x", "alice", "alice"),
        (b"chief@x", "signer-not-committer", "signer-not-committer"), // listed nowhere
        (b"b@x", "signer-not-committer", "signer-not-committer"),
    ] {
        assert_eq!(by(&bound, &good, &as_who(email)), want, "{email:?}");
        assert_eq!(by(&text("", ""), &good, &as_who(email)), "alice", "bound to no address");
        let binding = Demands { bind_committer: true, ..Demands::default() };
        assert_eq!(answer(&in_toml(&bound, binding).decide(&good, &as_who(email))), want_bound, "{email:?}");
    }
    let binding = Demands { bind_committer: true, ..Demands::default() };
    assert_eq!(answer(&in_toml(&text("", ""), binding).decide(&good, &as_who(b"a@x"))), "alice");
    assert_eq!(answer(&in_toml(&text("", ""), binding).decide(&good, &as_who(b"z@x"))), "signer-not-committer");
}

#[test]
fn an_authority_that_speaks_by_itself() {
    let policy = |more: &str| {
        format!("[principals.bob]\nemails = [\"b@x\"]\n{}", text("", &format!("principals = [\"*@x\", \"!root@x\"]\n{more}")))
    };
    let of = |addresses: &[&str], email: &'static [u8], more: &str| {
        by(&policy(more), &signed(addresses, vec![path("corp")]), &Context { email: Some(email), ..then() })
    };
    assert_eq!(of(&["c@x"], b"c@x", ""), "c@x");
    assert_eq!(of(&["b@x"], b"b@x", ""), "bob");
    assert_eq!(of(&["c@x"], b"b@x", ""), "signer-not-committer");
    assert_eq!(of(&["c@y"], b"c@y", ""), "certificate-principals");
    assert_eq!(of(&["root@x"], b"root@x", ""), "certificate-principals");
    assert_eq!(of(&["c@x"], b"c@x", "deny = [\"c@x\"]"), "identity-denied");
    assert_eq!(of(&["a@x", "c@x"], b"a@x", "deny = [\"c@x\"]"), "identity-denied");
    assert_eq!(of(&["c@x"], b"c@x", "status = \"retired\""), "authority-retired");
    assert_eq!(of(&["a@x"], b"a@x", "status = \"compromised\""), "authority-compromised");
    // without patterns it speaks for those who are listed only
    assert_eq!(by(&text("", ""), &signed(&["c@x"], vec![path("corp")]), &then()), "identity-unlisted");
}

#[test]
fn a_listed_address_keeps_its_state_by_whatever_chain() {
    let speaks = "[authorities.all]\nx509 = \"a.pem\"\nprincipals = [\"*@x\"]";
    for (state, want) in [
        ("status = \"retired\"", "key-retired"),
        ("status = \"compromised\"", "key-compromised"),
        (&format!("status = \"compromised\"\naudited = [\"{OBJECT}\"]"), "accept"),
    ] {
        let policy = text(state, "principals = [\"*@x\"]") + speaks;
        // the last as if whoever signed had left out what leads to `corp`
        for paths in [vec![path("corp")], vec![path("corp"), path("all")], vec![path("all"), path("corp")], vec![path("all")]] {
            for addresses in [&["a@x"][..], &["c@x", "a@x"]] {
                let found = by(&policy, &signed(addresses, paths.clone()), &then());
                let same = found == want || (want == "accept" && ["alice", "a@x", "c@x"].contains(&found.as_str()));
                assert!(same, "{state} {paths:?} {addresses:?}: {found}");
            }
        }
    }
    // one that is listed under another authority as well is good there
    let twice = text("status = \"retired\"", "") + "[[principals.alice.keys]]\nx509 = \"a@x\"\nca = \"other\"\n";
    assert_eq!(by(&twice, &signed(&["a@x"], vec![path("other")]), &then()), "alice");
    assert_eq!(by(&twice, &signed(&["a@x"], vec![path("corp")]), &then()), "key-retired");
    // so does its kind
    let bot = format!("[principals.alice]\nkind = \"bot\"\n{}", text("", "principals = [\"*@x\"]"));
    let decided = Context { nameless: true, email: None, ..then() };
    assert_eq!(by(&bot, &signed(&["c@x", "a@x"], vec![path("corp")]), &decided), "not-a-person");
}

#[test]
fn revoked_certificates() {
    let revoked = |own: bool, hard: bool, stated: bool| {
        let how = Revocation { hard, stated, at: NOW - 10 };
        signed(&["a@x"], vec![SmimePath { standing: ChainStanding::Revoked { own, how }, ..path("corp") }])
    };
    let unknown = SmimePath { standing: ChainStanding::Unknown("x".to_owned()), ..path("corp") };
    let audited = format!("status = \"compromised\"\naudited = [\"{OBJECT}\"]");
    for (evidence, state, want, want_settled) in [
        (revoked(true, true, true), "", "key-revoked", "key-revoked"),
        (revoked(true, true, false), "", "key-revoked", "key-revoked"),
        (revoked(true, false, true), "", "key-retired", "alice"),
        (revoked(true, true, true), "status = \"retired\"", "key-revoked", "key-revoked"),
        (revoked(true, true, false), "status = \"retired\"", "key-retired", "alice"),
        (revoked(true, false, true), "status = \"retired\"", "key-retired", "alice"),
        (revoked(true, true, true), audited.as_str(), "alice", "alice"),
        (revoked(true, true, true), "status = \"compromised\"", "key-compromised", "key-compromised"),
        (revoked(false, true, true), "", "key-revoked", "key-revoked"),
        (revoked(false, false, true), "", "authority-retired", "alice"),
        (signed(&["a@x"], vec![unknown.clone()]), "", "revocation-unknown", "alice"),
        (signed(&["a@x"], vec![unknown, path("corp")]), "", "alice", "alice"),
        (signed(&["a@x"], vec![SmimePath { standing: ChainStanding::Good, ..path("corp") }]), "", "alice", "alice"),
    ] {
        let policy = text(state, "");
        assert_eq!(by(&policy, &evidence, &then()), want, "{state} {:?}", evidence.smime);
        let settled = Context { settled: true, ..then() };
        assert_eq!(by(&policy, &evidence, &settled), want_settled, "{state} {:?}", evidence.smime);
    }
    // an authority's own word does not undo it
    let speaks = text("", "principals = [\"*@x\"]");
    assert_eq!(by(&speaks, &revoked(true, true, true), &then()), "key-revoked");
    assert_eq!(by(&speaks, &revoked(true, false, true), &then()), "key-retired");
}

#[test]
fn an_authority_above_is_judged_by_its_own_state() {
    let above = |hard: bool, stated: bool| {
        let how = Revocation { hard, stated, at: NOW - 10 };
        signed(&["a@x"], vec![SmimePath { standing: ChainStanding::Revoked { own: false, how }, ..path("corp") }])
    };
    let retired = "status = \"retired\"";
    for (evidence, key, authority, want) in [
        (above(true, false), retired, "", "key-revoked"),
        (above(true, false), "", retired, "alice"),
        (above(true, true), "", retired, "key-revoked"),
        (above(false, true), retired, "", "alice"),
    ] {
        assert_eq!(by(&text(key, authority), &evidence, &Context { settled: true, ..then() }), want, "{key} {authority}");
    }
    assert_eq!(by(&text("", ""), &above(false, true), &then()), "authority-retired");
    // and says nothing of whom it revoked
    let how = Revocation { hard: true, stated: false, at: NOW - 10 };
    let own = signed(&["c@x"], vec![SmimePath { standing: ChainStanding::Revoked { own: true, how }, ..path("corp") }]);
    let speaks = text("", &format!("principals = [\"*@x\"]\n{retired}"));
    assert_eq!(by(&speaks, &own, &Context { settled: true, ..then() }), "key-revoked");
}

#[test]
fn another_authority_in_the_middle_counts() {
    let through = |authority: &str| {
        let path = SmimePath { through: vec!["corp".to_owned()], ..path("other") };
        let policy = text("", authority) + "[[principals.alice.keys]]\nx509 = \"b@x\"\nca = \"other\"\n";
        by(&policy, &signed(&["b@x"], vec![path]), &then())
    };
    assert_eq!(through(""), "alice");
    assert_eq!(through("status = \"compromised\""), "authority-compromised");
    assert_eq!(through("status = \"retired\""), "authority-retired");
    assert_eq!(through("deny = [\"b@x\"]"), "identity-denied");
}

#[test]
fn who_is_refused_is_so_in_large_letters() {
    let of = |key: &str, authority: &str, address: &'static str| {
        let policy = text(key, &format!("principals = [\"*@x\", \"*@X\"]\n{authority}"));
        by(&policy, &signed(&[address], vec![path("corp")]), &Context { email: Some(address.as_bytes()), ..then() })
    };
    for address in ["A@x", "a@X"] {
        assert_eq!(of("", "", address), address, "large letters are somebody else's");
        assert_eq!(of("", "deny = [\"a@x\"]", address), "identity-denied");
        assert_eq!(of("status = \"compromised\"", "", address), "key-compromised");
        assert_eq!(of("status = \"retired\"", "", address), "key-retired");
    }
    assert_eq!(of("", "deny = [\"b@x\"]", "A@x"), "A@x");
}

#[test]
fn weak_keys_sign_nothing() {
    let mut evidence = signed(&["a@x"], vec![path("corp")]);
    let mut key = (*evidence.key).clone();
    key.rsa_bits = Some(1024);
    evidence.key = Arc::new(key);
    assert_eq!(by(&text("", ""), &evidence, &then()), "weak-key");
}
