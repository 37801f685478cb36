//! Policies in TOML: states of keys, bindings, authorities.

use super::*;
use crate::evidence::{Binding, Key};
use crate::policy::file::PolicyFile;
use std::collections::HashSet;

const SK: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIElSYahCw60CGct39Eg9EY8OLV9Ppr7tsudvSiMyNHOhAAAABHNzaDo=";
pub(super) const OBJECT: &str = "0101010101010101010101010101010101010101";
const ABSENT: &str = "0202020202020202020202020202020202020202";

/// A policy in which only [`OBJECT`] is in the repository: it is what `audited` covers where it is named.
pub(super) fn in_toml(text: &str, asked: Demands) -> Policy {
    let mut text = format!("version = 1\n{text}");
    for (name, key) in [("KEY", KEY), ("CA", CA), ("SK", SK)] {
        text = text.replace(&format!("\"{name}\""), &format!("\"{key}\""));
    }
    let file = PolicyFile::parse(text.as_bytes()).unwrap();
    let below = |ids: &[ObjectId]| Ancestry {
        objects: HashSet::from_iter(ids.iter().copied()),
        complete: !ids.contains(&ABSENT.parse().unwrap()),
    };
    let audited = |person: &PrincipalEntry| person.keys.iter().map(|key| below(key.status.audited())).collect();
    let parts = Parts {
        principals: file.principals.into_iter().map(|person| (person.clone(), audited(&person))).collect(),
        authorities: file
            .authorities
            .into_iter()
            .map(|entry| {
                let audited = below(entry.status.audited());
                (entry, RevokedKeys::default(), audited)
            })
            .collect(),
        sigstores: file
            .sigstores
            .into_iter()
            .map(|entry| {
                let audited = below(entry.status.audited());
                (entry, audited)
            })
            .collect(),
        x509s: file
            .x509s
            .into_iter()
            .map(|entry| {
                let audited = below(entry.status.audited());
                (entry, audited)
            })
            .collect(),
    };
    Policy::from_parts(parts, RevokedKeys::default(), asked)
}

pub(super) fn by(text: &str, evidence: &Evidence, context: &Context<'_>) -> String {
    answer(&in_toml(text, Demands::default()).decide(evidence, context))
}

/// A certificate that the authority `CA` signed.
fn by_ca(names: &[&str]) -> Evidence {
    certified(Certificate { authority: public_key::read_key(CA.as_bytes()).unwrap(), ..named(names) })
}

#[test]
fn states_of_a_key() {
    let settled = Context { settled: true, ..context() };
    for (state, want, want_settled) in [
        ("", "alice", "alice"),
        ("status = \"active\"", "alice", "alice"),
        ("status = \"retired\"", "key-retired", "alice"),
        ("status = \"retired\"\nbefore = 2030-01-01T00:00:00Z", "key-retired", "alice"), // rescues nothing
        ("status = \"compromised\"", "key-compromised", "key-compromised"),
        ("status = \"compromised\"\naudited = [\"OBJECT\"]", "alice", "alice"),
        (
            "status = \"compromised\"\naudited = [\"0303030303030303030303030303030303030303\"]",
            "key-compromised",
            "key-compromised",
        ),
        ("status = \"compromised\"\naudited = [\"ABSENT\"]", "settled-missing", "settled-missing"),
        ("status = \"compromised\"\naudited = [\"ABSENT\", \"OBJECT\"]", "alice", "alice"),
    ] {
        let state = state.replace("OBJECT", OBJECT).replace("ABSENT", ABSENT);
        let text = format!("[[principals.alice.keys]]\nssh = \"KEY\"\n{state}");
        assert_eq!(by(&text, &evidence(), &context()), want, "{state}");
        assert_eq!(by(&text, &evidence(), &settled), want_settled, "{state}");
        // the same of an authority
        let text = format!("[authorities.corp]\nssh-ca = \"CA\"\nprincipals = [\"*@x\"]\n{state}");
        let (want, want_settled) = (want, want_settled).map("alice", "a@x").map("key-", "authority-");
        assert_eq!(by(&text, &by_ca(&["a@x"]), &context()), want, "{state}");
        assert_eq!(by(&text, &by_ca(&["a@x"]), &settled), want_settled, "{state}");
    }
}

trait Map {
    fn map(self, from: &str, to: &str) -> (String, String);
}

impl<T: ToString> Map for (T, T) {
    fn map(self, from: &str, to: &str) -> (String, String) {
        (self.0.to_string().replace(from, to), self.1.to_string().replace(from, to))
    }
}

#[test]
fn who_has_addresses_signs_under_them_only() {
    let bound = |email: &str| format!("[principals.alice]\nemails = [\"{email}\", \"z@x\"]\nkeys = [{{ ssh = \"KEY\" }}]");
    let unbound = "[[principals.alice.keys]]\nssh = \"KEY\"";
    let settled = Context { settled: true, ..context() };
    let dateless = Context { email: None, ..context() };
    assert_eq!(by(&bound("a@x"), &evidence(), &context()), "alice");
    assert_eq!(by(&bound("A@x"), &evidence(), &context()), "signer-not-committer");
    assert_eq!(by(&bound("b@x"), &evidence(), &settled), "alice");
    assert_eq!(by(&bound("b@x"), &evidence(), &dateless), "signer-not-committer");
    assert_eq!(by(unbound, &evidence(), &dateless), "alice");
    let binding = Demands { bind_committer: true, ..Demands::default() };
    assert_eq!(answer(&in_toml(unbound, binding).decide(&evidence(), &context())), "signer-not-committer");
    assert_eq!(answer(&in_toml(&bound("a@x"), binding).decide(&evidence(), &context())), "alice");
}

#[test]
fn tokens() {
    let token = |flags| Evidence {
        key: public_key::read_key(SK.as_bytes()).unwrap(),
        token: Some(Token { flags, counter: 1 }),
        ..evidence()
    };
    let settled = Context { settled: true, ..context() };
    for (asked, flags, want) in [
        ("", 0, "alice no-touch"),
        ("touch = true", 0, "no-touch"),
        ("touch = true", 4, "no-touch"),
        ("touch = true", 1, "alice"),
        ("pin = true", 1, "no-pin"),
        ("pin = true", 5, "alice"),
        ("pin = true\ntouch = true", 4, "no-touch"),
        ("pin = true", 4, "alice no-touch"),
    ] {
        let text = format!("[[principals.alice.keys]]\nssh = \"SK\"\n{asked}");
        assert_eq!(by(&text, &token(flags), &context()), want, "{asked} {flags}");
        assert!(by(&text, &token(flags), &settled).starts_with("alice"), "{asked} {flags}");
    }
    let every = Demands { require_touch: true, ..Demands::default() };
    let text = "[[principals.alice.keys]]\nssh = \"SK\"\n[[principals.bob.keys]]\nssh = \"KEY\"";
    assert_eq!(answer(&in_toml(text, every).decide(&token(0), &context())), "no-touch");
    assert_eq!(answer(&in_toml(text, every).decide(&token(1), &context())), "alice");
    assert_eq!(answer(&in_toml(text, every).decide(&evidence(), &context())), "no-touch");
    assert_eq!(answer(&in_toml(text, every).decide(&evidence(), &settled)), "bob");
    assert_eq!(decide("a@x KEY", every, &context()), "no-touch");
}

#[test]
fn authorities_and_their_people() {
    let alice = "[principals.alice]\nemails = [\"a@x\", \"alice@y\"]\n";
    let both = "[principals.both]\nemails = [\"a@x\"]\n";
    for (people, authority, names, want) in [
        ("", "", &["a@x"][..], "a@x"),
        ("", "", &["b@x", "a@x"], "a@x"),
        ("", "", &["b@x"], "signer-not-committer"),
        ("", "", &["a@elsewhere"], "certificate-principals"),
        ("", "", &[], "certificate-principals"),
        ("", "deny = [\"a@x\"]", &["a@x"], "identity-denied"),
        ("", "deny = [\"b@x\"]", &["a@x", "b@x"], "identity-denied"), // whoever is denied has no other name either
        ("", "deny = [\"b@x\"]", &["a@x"], "a@x"),
        ("", "deny = [\"A@X\"]", &["a@x"], "identity-denied"), // an address, in whatever letters
        (alice, "", &["a@x"], "alice"),
        (alice, "", &["alice@y"], "certificate-principals"), // hers, but not the authority's to say
        (alice, "", &["b@x"], "signer-not-committer"),
        ("[principals.alice]\nemails = [\"a@x\", \"a@x\"]\n", "", &["a@x"], "alice"),
        (&format!("{alice}{both}"), "", &["a@x"], "a@x"), // an address of two persons names neither
    ] {
        let text = format!("{people}[authorities.corp]\nssh-ca = \"CA\"\nprincipals = [\"*@x\"]\n{authority}");
        assert_eq!(by(&text, &by_ca(names), &context()), want, "{text} {names:?}");
        assert_eq!(by(&text, &evidence(), &context()), "key-unlisted");
    }
    // she commits under another of her addresses than the certificate names
    let text = format!("{alice}[authorities.corp]\nssh-ca = \"CA\"\nprincipals = [\"*@x\"]");
    let elsewhere = Context { email: Some(b"alice@y"), ..context() };
    assert_eq!(by(&text, &by_ca(&["a@x"]), &elsewhere), "alice");
    assert_eq!(by("[[principals.alice.keys]]\nssh = \"CA\"", &by_ca(&["a@x"]), &context()), "authority-unlisted");
}

#[test]
fn a_listed_key_keeps_its_state_inside_a_certificate() {
    let authority = "[authorities.corp]\nssh-ca = \"CA\"\nprincipals = [\"*@x\"]\n[[principals.alice.keys]]\nssh = \"KEY\"\n";
    let settled = Context { settled: true, ..context() };
    for (state, want, want_settled) in [
        ("", "a@x", "a@x"),
        ("status = \"retired\"", "key-retired", "a@x"),
        ("status = \"compromised\"", "key-compromised", "key-compromised"),
    ] {
        let text = format!("{authority}{state}");
        assert_eq!(by(&text, &by_ca(&["a@x"]), &context()), want, "{state}");
        assert_eq!(by(&text, &by_ca(&["a@x"]), &settled), want_settled, "{state}");
    }
}

#[test]
fn no_claimed_time_rescues() {
    let text = "[authorities.corp]\nssh-ca = \"CA\"\nprincipals = [\"*@x\"]";
    let ended = |before| {
        let authority = public_key::read_key(CA.as_bytes()).unwrap();
        certified(Certificate { authority, valid_before: before, ..named(&["a@x"]) })
    };
    assert_eq!(by(text, &ended(NOW + 1), &context()), "a@x");
    assert_eq!(by(text, &ended(NOW), &context()), "claimed-only");
    assert_eq!(by(text, &ended(NOW), &Context { settled: true, ..context() }), "a@x");
    assert_eq!(in_toml(text, Demands::default()).decide(&ended(NOW + 9), &context()).ends, Some(NOW + 8));
}

#[test]
fn what_a_certificate_says_lasts_until_its_bindings_change() {
    let text = "[[principals.alice.keys]]\nssh = \"KEY\"";
    let bound = |ends, changes| {
        let binding = Binding { certificate: String::new(), user_id: Vec::new(), ends, changes, revoked: None, weak: None };
        Evidence { key: Arc::new(Key { binding: Some(binding), ..(*evidence().key).clone() }), ..evidence() }
    };
    let last = |ends, changes, settled| {
        let decision = in_toml(text, Demands::default()).decide(&bound(ends, changes), &Context { settled, ..context() });
        assert_eq!(answer(&decision), "alice");
        decision.ends.map(|ends| ends - NOW)
    };
    let at = |seconds| Some(NOW + seconds);
    for (ends, changes, want) in [
        (None, None, None),
        (at(50), None, Some(49)),
        (None, at(20), Some(19)),
        (at(50), at(20), Some(19)),
        (at(10), at(20), Some(9)),
    ] {
        assert_eq!(last(ends, changes, false), want);
    }
    // nobody asks for the end of a key below what is settled, but a certificate that says nothing more of it bears nothing
    assert_eq!((last(at(50), None, true), last(at(50), at(20), true)), (None, Some(19)));
}

#[test]
fn weak_keys_and_form() {
    let mut weak = Key::clone(&evidence().key);
    weak.rsa_bits = Some(1024);
    let weak = Evidence { key: Arc::new(weak), ..evidence() };
    let text = "[[principals.alice.keys]]\nssh = \"KEY\"";
    assert_eq!(by(text, &weak, &Context { settled: true, ..context() }), "weak-key");
    let loose = Evidence { malleable: vec![Malleable::Armor], ..evidence() };
    assert_eq!(by(text, &loose, &context()), "alice malleable");
    let strict = Demands { refuse_malleable: true, ..Demands::default() };
    assert_eq!(answer(&in_toml(text, strict).decide(&loose, &context())), "malleable");
}
