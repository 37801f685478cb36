//! In gpg's place, where its users' keyrings, settings and keys are not the usual ones: the same answers as gpg's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "support/gnupg.rs"]
mod gnupg;
#[path = "support/world.rs"]
mod world;

use common::{Done, OURS, run};
use gnupg::Gpg;
use sequoia_openpgp::Packet;
use sequoia_openpgp::cert::{Cert, CertBuilder, CertRevocationBuilder};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::key::{Key4, PrimaryRole};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Key, UserID};
use sequoia_openpgp::serialize::MarshalInto as _;
use sequoia_openpgp::types::{Curve, KeyFlags, ReasonForRevocation, SignatureType};
use std::time::{Duration, SystemTime};
use world::says;

const DATA: &[u8] = b"data\nof two lines\n";

impl Gpg {
    /// A signature by gpg over [`DATA`].
    fn sign(&self, args: &[&str]) -> Vec<u8> {
        self.gpg(&[&["--armor", "--detach-sign", "--output", "-"], args].concat(), DATA).into_bytes()
    }

    /// Asserts that we answer as gpg does; gpg's answer.
    fn same(&self, signature: &[u8], what: &str) -> (String, String, Option<i32>) {
        let theirs = self.verified("gpg", signature, DATA);
        assert_eq!(self.verified(OURS, signature, DATA), theirs, "{what}");
        theirs
    }

    /// We sign in a key's name.
    fn ours(&self, spec: &str) -> Done {
        run(self.0.home.ours(&["--status-fd=2", "-bsau", spec]).current_dir(self.0.home.path()), DATA)
    }

    /// The key by which a program signs.
    fn signer(&self, program: &str, spec: &[&str]) -> String {
        let done = run(self.0.home.command(program).args(["--status-fd=2", "-bsa"]).args(spec), DATA);
        let line = done.stderr.lines().find(|line| line.contains("SIG_CREATED")).unwrap_or_else(|| panic!("{spec:?}: {done:?}"));
        line.rsplit(' ').next().unwrap().to_owned()
    }

    /// Puts a certificate into the directory that programs share.
    fn share(&self, fingerprint: &str, certificate: &[u8]) {
        let name = fingerprint.to_lowercase();
        let folder = self.0.home.join(".local/share/pgp.cert.d").join(&name[..2]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(&name[2..]), certificate).unwrap();
    }

    fn import(&self, bytes: &[u8]) {
        let file = self.0.home.write("import", bytes);
        self.gpg(&["--import", file.to_str().unwrap()], b"");
    }
}

fn builder(name: &str) -> CertBuilder<'static> {
    let flags = KeyFlags::empty().set_certification().set_signing();
    let made = SystemTime::now() - Duration::from_secs(1000);
    CertBuilder::new().add_userid(format!("{name} <{name}@example.com>")).set_primary_key_flags(flags).set_creation_time(made)
}

fn pair(cert: &Cert) -> KeyPair {
    cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

fn revoked_by(by: &Cert, of: &Cert) -> Cert {
    let reason = CertRevocationBuilder::new().set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"").unwrap();
    of.clone().insert_packets([Packet::from(reason.build(&mut pair(by), of, None).unwrap())]).unwrap().0
}

fn signed(by: &mut KeyPair) -> Vec<u8> {
    let signature = SignatureBuilder::new(SignatureType::Binary).sign_message(by, DATA).unwrap();
    git_warrant::armor::encode_openpgp(&Packet::from(signature).to_vec().unwrap())
}

#[test]
fn a_revocation_counts_wherever_it_lies() {
    let Some(gpg) = Gpg::new() else { return };
    // the keyring does not know of it
    let one = gpg.key("one", "ed25519", "sign", "never");
    let signature = gpg.sign(&["-u", &one]);
    let before = gpg.0.home.join("before");
    gpg.gpg(&["--output", "before", "--export", &one], b"");
    assert!(gpg.ours(&one).ok());
    gpg.revoke(&one, "1");
    gpg.gpg(&["--output", "after", "--export", &one], b"");
    std::fs::remove_file(gpg.0.home.join("gnupg/pubring.kbx")).unwrap();
    gpg.import(&std::fs::read(before).unwrap());
    gpg.share(&one, &gpg.0.home.read("after"));
    let (status, text, _) = gpg.verified(OURS, &signature, DATA);
    assert!(status.contains("REVKEYSIG") && text.contains("has been revoked by its owner"), "{status}{text}");
    says(&gpg.ours(&one), 2, &[&one, "is revoked"]);
    // the directory does not know of it, and the keyring not of the subkey
    let cert = builder("two").add_signing_subkey().generate().unwrap().0;
    let subkey = cert.keys().subkeys().next().unwrap().key().clone();
    let signature = signed(&mut subkey.parts_into_secret().unwrap().into_keypair().unwrap());
    gpg.share(&cert.fingerprint().to_hex(), &cert.to_vec().unwrap());
    assert!(gpg.verified(OURS, &signature, DATA).0.contains("GOODSIG"));
    gpg.import(&revoked_by(&cert, &cert.clone().retain_subkeys(|_| false)).to_vec().unwrap());
    let (status, ..) = gpg.verified(OURS, &signature, DATA);
    assert!(status.contains("REVKEYSIG"), "{status}");
}

#[test]
fn a_designated_revoker_is_looked_up() {
    let Some(gpg) = Gpg::new() else { return };
    let [friend, other] = ["friend", "other"].map(|name| builder(name).generate().unwrap().0);
    let cert = builder("one").set_revocation_keys(vec![(&friend).into()]).generate().unwrap().0;
    let (name, signature) = (cert.fingerprint().to_hex(), signed(&mut pair(&cert)));
    gpg.import(&cert.as_tsk().to_vec().unwrap());
    gpg.import(&other.to_vec().unwrap());
    assert!(gpg.same(&signature, "before").0.contains("GOODSIG"));
    assert!(gpg.ours(&name).ok());
    gpg.import(&revoked_by(&friend, &cert).to_vec().unwrap());
    let (_, text, _) = gpg.same(&signature, "without the revoker");
    assert!(text.contains("this key might be revoked"), "{text}");
    gpg.import(&friend.to_vec().unwrap());
    let (status, text, _) = gpg.same(&signature, "with the revoker");
    assert!(status.contains("REVKEYSIG") && text.contains("by its designated revoker"), "{status}{text}");
    says(&gpg.ours(&name), 2, &[&name, "is revoked"]);
}

#[test]
fn names_of_keys_mean_what_they_mean_to_gpg() {
    let Some(gpg) = Gpg::new() else { return };
    let malice = gpg.key("malice", "ed25519", "sign", "never");
    let alice = gpg.key("alice", "ed25519", "sign", "never");
    for spec in ["", "  ", "!", "=", "= ", "<>", "*", "@", "0x12"] {
        let refused = gpg.ours(spec);
        says(&refused, 2, &["names no key", "user.signingKey"]);
        assert!(refused.stdout.is_empty() && !refused.stderr.contains("SIG_CREATED"), "{refused:?}");
    }
    for spec in ["e!", "alice@example.com!", "=alice", "=Alice <alice@example.com>", "<lice@example.com>"] {
        says(&gpg.ours(spec), 2, &["no key for"]);
    }
    for spec in ["<alice@example.com>", "=alice <alice@example.com>", "*malice", "MALICE", "malice@Example.com"] {
        assert_eq!(gpg.signer(OURS, &["-u", spec]), gpg.signer("gpg", &["-u", spec]), "{spec}");
    }
    let listed = gpg.gpg(&["--list-keys", "--with-colons", "--with-keygrip", &alice], b"");
    let grip = listed.lines().find_map(|line| line.strip_prefix("grp:::::::::")).unwrap().trim_end_matches(':');
    for grip in [grip.to_owned(), grip.to_lowercase()] {
        assert_eq!(gpg.signer(OURS, &["-u", &format!("&{grip}")]), alice);
    }
    says(&gpg.ours(&format!("&{}", "0".repeat(40))), 2, &["no key for"]);
    // gpg takes the first that holds the text, whosever it is
    for spec in ["alice@example.com", "Alice@Example.com"] {
        assert_eq!(gpg.signer(OURS, &["-u", spec]), alice, "{spec}");
    }
    says(&gpg.ours("lice"), 2, &["may mean any of", &alice, &malice]);
    // keys that are not named
    let conf = |text: &str| gpg.0.home.write("gnupg/gpg.conf", text);
    for (text, args, want) in [
        (format!("default-key {alice}\ndefault-key malice@\ndefault-key nobody\n"), &[][..], &malice),
        (format!("default-key {malice}\n"), &["--default-key", &alice], &alice),
        (format!("default-key {malice}\n"), &["--default-key", &malice, "-u", &alice], &alice),
        (format!("default-key {malice}\nlocal-user {alice}\n"), &[], &alice),
    ] {
        conf(&text);
        assert_eq!((&gpg.signer(OURS, args), &gpg.signer("gpg", args)), (want, want), "{text}");
    }
    conf("");
    // subkeys as old as their key sign before it
    let primary =
        gpg.gpg(&["--faked-system-time", "20200101T000000!", "--quick-gen-key", "same <same@x>", "ed25519", "sign", "never"], b"");
    assert_eq!(primary, "");
    let primary = gpg.fingerprint("same <same@x>");
    gpg.gpg(&["--faked-system-time", "20200101T000000!", "--quick-add-key", &primary, "ed25519", "sign", "never"], b"");
    let by = gpg.signer("gpg", &["-u", &primary]);
    assert_ne!(by, primary);
    assert_eq!(gpg.signer(OURS, &["-u", &primary]), by);
}

#[test]
fn a_long_user_id_does_not_end_the_talk_with_the_agent() {
    let Some(gpg) = Gpg::new() else { return };
    for name in ["\u{e9}".repeat(400), format!("a{}", "\u{6f22}".repeat(300)), "x".repeat(1500)] {
        gpg.gpg(&["--quick-gen-key", &format!("{name} <long@example.com>"), "ed25519", "sign"], b"");
        let fingerprint = gpg.fingerprint("long@example.com");
        assert_eq!(gpg.signer(OURS, &["-u", &fingerprint]), fingerprint);
        gpg.gpg(&["--yes", "--delete-secret-and-public-key", &fingerprint], b"");
    }
}

#[test]
fn settings_and_keyrings_are_those_of_gpg() {
    let Some(gpg) = Gpg::new() else { return };
    let (one, two) = (gpg.key("one", "ed25519", "sign", "never"), gpg.key("two", "rsa2048", "sign", "never"));
    let (good, sha1) = (gpg.sign(&["-u", &one]), gpg.sign(&["-u", &two, "--digest-algo", "SHA1"]));
    let other = gpg.sign(&["-u", &two]);
    gpg.gpg(&["--output", "ring.gpg", "--export", &two], b"");
    gpg.gpg(&["--yes", "--delete-secret-and-public-key", &two], b"");
    gpg.gpg(&["--import-ownertrust"], format!("{one}:3:\n{two}:4:\n").as_bytes());
    gpg.gpg(&["--check-trustdb"], b"");
    let home = gpg.0.home.path().display();
    for line in [
        "no-emit-version\nkeyid-format 0xlong\nuse-agent\ncharset utf-8\ngroup team = alice bob\nno-greeting",
        "trust-model always",
        "trust-model ALWAYS",
        "trust-model\tAlways",
        "trust-model \"always\"",
        "always-trust",
        "trust-model direct",
        "trust-model classic",
        "trustdb-name none.gpg",
        "keyring ~/ring.gpg",
        "keyring gnupg-ring:~/ring.gpg",
        &format!("keyring gnupg-ring:{home}/ring.gpg"),
        &format!("keyring \"{home}/ring.gpg\""),
        &format!("keyring {home}/ring.gpg\nweak-digest SHA1"),
        &format!("keyring {home}/ring.gpg\nweak-digest sha1\ntrust-model direct"),
        &format!("no-default-keyring\nkeyring {home}/ring.gpg"),
        "no-default-keyring",
    ] {
        gpg.0.home.write("gnupg/gpg.conf", format!("{line}\n"));
        for (what, signature) in [("good", &good), ("sha1", &sha1), ("other", &other)] {
            let theirs = gpg.verified("gpg", signature, DATA);
            let ours = gpg.verified(OURS, signature, DATA);
            let model = |status: &str| status.replace(" classic\n", " pgp\n").replace(" direct\n", " pgp\n");
            assert_eq!((model(&ours.0), ours.1, ours.2), (model(&theirs.0), theirs.1, theirs.2), "{line}: {what}");
        }
    }
    gpg.0.home.write("gnupg/gpg.conf", "trust-model always\n");
    gpg.0.home.write("gnupg/gpg.conf-2", "no-greeting\n");
    for program in ["gpg", OURS] {
        assert!(gpg.verified(program, &good, DATA).0.contains("TRUST_"), "{program}: for a version");
    }
    std::fs::remove_file(gpg.0.home.join("gnupg/gpg.conf")).unwrap();
    // on the command line
    for (model, word) in [("Always", "Using untrusted key"), ("nonsense", "unknown trust model 'nonsense'")] {
        for program in ["gpg", OURS] {
            let (file, data) = (gpg.0.home.write("signature", &good), gpg.0.home.write("data", DATA));
            let mut command = gpg.0.home.command(program);
            command.args(["--status-fd=1", "--keyid-format=long", "--trust-model", model, "--verify"]).arg(file).arg(data);
            let done = Done::from(command.output().unwrap());
            assert!(done.stderr.contains(word) && !done.stdout.contains("TRUST_"), "{program} {model}: {done:?}");
        }
    }
}

#[test]
fn a_keybox_of_gpgsm_hides_no_keyring() {
    let Some(gpg) = Gpg::new() else { return };
    let one = gpg.key("one", "ed25519", "sign", "never");
    let signature = gpg.sign(&["-u", &one]);
    gpg.gpg(&["--output", "exported", "--export", &one], b"");
    let boxed = gpg.0.home.read("gnupg/pubring.kbx");
    gpg.0.home.write("gnupg/pubring.kbx", [&boxed[..7], &[0], &boxed[8..32]].concat());
    gpg.0.home.write("gnupg/pubring.gpg", gpg.0.home.read("exported"));
    assert!(gpg.same(&signature, "gpgsm's").0.contains("GOODSIG"));
    // one of gpg's own does
    gpg.0.home.write("gnupg/pubring.kbx", &boxed[..32]);
    assert!(gpg.same(&signature, "gpg's").0.contains("NO_PUBKEY"));
    gpg.0.home.write("gnupg/pubring.kbx", [&boxed[..7], &[0], &boxed[8..]].concat());
    std::fs::remove_file(gpg.0.home.join("gnupg/pubring.gpg")).unwrap();
    assert!(gpg.same(&signature, "alone").0.contains("GOODSIG"));
}

#[test]
fn odd_signatures_and_keys_are_told_as_gpg_tells_them() {
    let Some(gpg) = Gpg::new() else { return };
    let one = gpg.key("one", "ed25519", "sign", "never");
    let good = gpg.sign(&["-u", &one]);
    // blocks of armour in one file
    gpg.same(&[&good[..], &good].concat(), "two blocks");
    gpg.same(&[&good[..], b"text\n", &good].concat(), "two blocks, text between");
    gpg.same(&[&good[..], b"text\n"].concat(), "text behind");
    // times that cannot be
    let early = ["--faked-system-time", "20190101T000000!", "--ignore-time-conflict", "--ignore-valid-from", "-u", &one];
    assert!(gpg.same(&gpg.sign(&early), "older than its key").0.contains(" 39 "));
    assert!(
        gpg.same(&gpg.sign(&[&early[..], &["--digest-algo", "MD5", "--allow-weak-digest-algos"]].concat()), "and weak")
            .0
            .contains(" 39 ")
    );
    let weak = gpg.sign(&["-u", &one, "--digest-algo", "MD5", "--allow-weak-digest-algos"]);
    assert!(gpg.same(&weak, "md5").0.contains("ERRSIG"));
    // what must be understood
    let critical = |notation: &str| gpg.sign(&["-u", &one, "--set-notation", notation]);
    let asking = gpg.same(&critical("!asks@example.com=x"), "critical");
    assert!(asking.0.contains("BADSIG") && asking.1.contains("unknown critical bit"), "{asking:?}");
    assert!(gpg.same(&critical("tells@example.com=x"), "not critical").0.contains("GOODSIG"));
    let ending = gpg.sign(&["-u", &one, "--default-sig-expire", "1y"]);
    assert!(gpg.same(&ending, "it ends").0.contains("GOODSIG"));
    assert_eq!(gpg.verified(OURS, &ending, b"other"), gpg.verified("gpg", &ending, b"other"));
    // what names can hold
    for user in [&b"J\xf6rg <j@x>"[..], b"100% <p@x>", "Zo\u{eb} <z@x>".as_bytes(), b"S\xc3\xb6n\x01ke \xe4 <s@x>"] {
        use std::os::unix::ffi::OsStrExt as _;
        let mut command = gpg.0.home.command("gpg");
        command.args(["--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase", "", "--utf8-strings", "--quick-gen-key"]);
        let made = run(command.arg(std::ffi::OsStr::from_bytes(user)).args(["ed25519", "sign"]), b"");
        assert!(made.ok(), "{made:?}");
        let listed = gpg.gpg(&["--list-keys", "--with-colons"], b"");
        let fingerprint = listed.lines().filter_map(|line| line.strip_prefix("fpr:::::::::")).next_back().unwrap();
        let signature = gpg.sign(&["-u", fingerprint.trim_end_matches(':')]);
        let (ours, theirs) = (gpg.verified(OURS, &signature, DATA), gpg.verified("gpg", &signature, DATA));
        assert_eq!((ours.0, ours.2), (theirs.0, theirs.2), "{}", String::from_utf8_lossy(user));
    }
    // subkeys
    let primary = gpg.key("sub", "ed25519", "cert", "never");
    gpg.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "never"], b"");
    let by_sub = gpg.sign(&["-u", &primary]);
    let mut command = gpg.0.home.command("gpg");
    command.args(["--no-tty", "--command-fd=0", "--pinentry-mode=loopback", "--passphrase", "", "--edit-key", &primary]);
    assert!(run(&mut command, b"key 1\nrevkey\ny\n1\n\ny\nsave\n").ok());
    let (status, text, _) = gpg.same(&by_sub, "a revoked subkey");
    assert!(status.contains("REVKEYSIG") && text.contains("This subkey has been revoked"), "{status}{text}");
    let primary = gpg.key("aged", "ed25519", "cert", "never");
    gpg.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "seconds=1"], b"");
    let by_sub = gpg.sign(&["-u", &primary]);
    std::thread::sleep(Duration::from_millis(2100));
    assert!(gpg.same(&by_sub, "a subkey that ended").0.contains("EXPKEYSIG"));
    // a key that ended, and was revoked as well
    let old = gpg.old("old");
    let by_old = gpg.sign(&["-u", &old, "--faked-system-time", "20200201T000000!"]);
    gpg.same(&by_old, "ended");
    gpg.revoke(&old, "1");
    gpg.same(&by_old, "ended and revoked");
}

#[test]
fn a_user_id_that_ended_leaves_the_key() {
    let Some(gpg) = Gpg::new() else { return };
    let day = Duration::from_secs(24 * 3600);
    let made = SystemTime::now() - 10 * day;
    let cert = builder("one").set_creation_time(made).generate().unwrap().0;
    let bind = |ends: Option<Duration>, at: SystemTime| {
        let id = cert.userids().next().unwrap();
        let builder = SignatureBuilder::new(SignatureType::PositiveCertification).set_signature_creation_time(at).unwrap();
        let builder = builder.set_key_flags(KeyFlags::empty().set_certification().set_signing()).unwrap();
        let builder = match ends {
            Some(ends) => builder.set_signature_validity_period(ends).unwrap(),
            None => builder,
        };
        id.userid().bind(&mut pair(&cert), &cert, builder).unwrap()
    };
    let primary = Packet::from(cert.primary_key().key().clone());
    let id = || Packet::from(cert.userids().next().unwrap().userid().clone());
    let signature = signed(&mut pair(&cert));
    let ended = || bind(Some(day), made);
    let revocation = revoked_by(&cert, &cert).primary_key().self_revocations().next().unwrap().clone();
    for (what, revocation, bindings) in [
        ("ended", None, vec![ended()]),
        ("ended, and revoked", Some(revocation), vec![ended()]),
        ("ended, and one that has not", None, vec![ended(), bind(None, made + day)]),
        ("ended after one that has not", None, vec![bind(None, made), bind(Some(day), made + day)]),
    ] {
        let packets = [primary.clone()].into_iter().chain(revocation.map(Packet::from)).chain([id()]);
        let packets = packets.chain(bindings.into_iter().map(Packet::from));
        let bytes: Vec<u8> = packets.flat_map(|packet| packet.to_vec().unwrap()).collect();
        let ring = gpg.0.home.write("ring.gpg", bytes);
        gpg.0.home.write("gnupg/gpg.conf", format!("no-default-keyring\nkeyring {}\n", ring.display()));
        let theirs = gpg.verified("gpg", &signature, DATA);
        assert!(theirs.0.contains(if what.ends_with("revoked") { "REVKEYSIG" } else { "GOODSIG" }), "{what}: {theirs:?}");
        assert_eq!(gpg.verified(OURS, &signature, DATA), theirs, "{what}");
        let other = gpg.verified("gpg", &signature, b"other");
        assert_eq!(gpg.verified(OURS, &signature, b"other"), other, "{what}, bad");
    }
}

#[test]
fn what_a_primary_key_may_do_and_for_how_long_says_what_gpg_goes_by() {
    let Some(gpg) = Gpg::new() else { return };
    const DAY: Duration = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let (certify, sign) = (KeyFlags::empty().set_certification(), KeyFlags::empty().set_certification().set_signing());
    let key = |made| {
        let mut key: Key<_, PrimaryRole> = Key4::generate_ecc(true, Curve::Ed25519).unwrap().into();
        key.set_creation_time(made).unwrap();
        key
    };
    let said = |kind, flags: &KeyFlags, lives: Option<Duration>, made| {
        let builder = SignatureBuilder::new(kind).set_key_flags(flags.clone()).unwrap();
        builder.set_key_validity_period(lives).unwrap().set_signature_creation_time(made).unwrap()
    };
    let begun = now - 10 * DAY;
    for (what, letter) in [
        ("a longer life is on a revoked user id", "EXPKEYSIG"),
        ("an end is on a revoked user id", "GOODSIG"),
        ("the only user id is revoked", "GOODSIG"),
        ("the key itself says certify", "ERRSIG"),
        ("the key itself says sign", "GOODSIG"),
        ("the key is of the future", "ERRSIG"),
    ] {
        let begun = if letter == "ERRSIG" && what.contains("future") { now + 10 * DAY } else { begun };
        let key = key(begun);
        let mut pair = key.clone().into_keypair().unwrap();
        let [alice, bob] = ["Alice <alice@example.com>", "Bob <bob@example.com>"].map(UserID::from);
        let mut packets = vec![Packet::from(key.clone().take_secret().0)];
        let mut bind = |id: &UserID, flags, lives, later: u32| {
            let made = begun + Duration::from_secs(later.into());
            let bound = said(SignatureType::PositiveCertification, flags, lives, made);
            [Packet::from(id.clone()), bound.sign_userid_binding(&mut pair, None, id).unwrap().into()]
        };
        packets.extend(match what {
            "a longer life is on a revoked user id" => [bind(&alice, &sign, Some(DAY), 0), bind(&bob, &sign, None, 9)].concat(),
            "an end is on a revoked user id" => [bind(&alice, &sign, None, 0), bind(&bob, &sign, Some(DAY), 9)].concat(),
            "the key itself says sign" => bind(&alice, &certify, None, 9).to_vec(),
            _ => bind(&alice, &sign, None, 9).to_vec(),
        });
        if what.contains("revoked") {
            let id = if what.contains("only") { &alice } else { &bob };
            let revoked = SignatureBuilder::new(SignatureType::CertificationRevocation)
                .set_reason_for_revocation(ReasonForRevocation::UIDRetired, b"")
                .unwrap();
            packets.push(revoked.sign_userid_binding(&mut pair, None, id).unwrap().into());
        }
        if what.contains("itself") {
            let direct = said(SignatureType::DirectKey, if what.ends_with("sign") { &sign } else { &certify }, None, begun);
            packets.insert(1, direct.sign_direct_key(&mut pair, None).unwrap().into());
        }
        gpg.import(&packets.iter().flat_map(|packet| packet.to_vec().unwrap()).collect::<Vec<u8>>());
        let made = now.max(begun);
        let builder = SignatureBuilder::new(SignatureType::Binary).set_signature_creation_time(made).unwrap();
        let signature = Packet::from(builder.sign_message(&mut pair, DATA).unwrap()).to_vec().unwrap();
        let signature = git_warrant::armor::encode_openpgp(&signature);
        let (theirs, ours) = (gpg.verified("gpg", &signature, DATA), gpg.verified(OURS, &signature, DATA));
        for (status, text, _) in [&theirs, &ours] {
            assert!(status.contains(letter), "{what}: {status}{text}");
        }
        assert!(letter == "ERRSIG" || ours == theirs, "{what}: {ours:?} {theirs:?}");
    }
}

#[test]
fn what_a_trustdb_says_ends_when_it_has_to_be_checked_anew() {
    let Some(gpg) = Gpg::new() else { return };
    let one = gpg.key("one", "ed25519", "sign", "never");
    let (two, signature) = {
        let cert = builder("two").generate().unwrap().0;
        gpg.import(&cert.to_vec().unwrap());
        (cert.fingerprint().to_hex(), signed(&mut pair(&cert)))
    };
    gpg.gpg(&["--import-ownertrust"], format!("{one}:6:\n").as_bytes());
    gpg.gpg(&["--yes", "-u", &one, "--default-cert-expire", "seconds=5", "--quick-sign-key", &two], b"");
    gpg.gpg(&["--check-trustdb"], b"");
    assert!(gpg.verified(OURS, &signature, DATA).0.contains("TRUST_FULLY"));
    std::thread::sleep(Duration::from_secs(7));
    let (ours, again) = (gpg.verified(OURS, &signature, DATA).0, gpg.verified(OURS, &signature, DATA).0);
    let theirs = gpg.verified("gpg", &signature, DATA).0; // it writes down what it finds
    assert!(theirs.contains("TRUST_UNDEFINED"), "{theirs}");
    assert_eq!((&ours, &again, &gpg.verified(OURS, &signature, DATA).0), (&theirs, &theirs, &theirs));
    gpg.0.home.write("gnupg/gpg.conf", "no-auto-check-trustdb\n");
    gpg.same(&signature, "nobody asks");
}

#[test]
fn a_subkey_that_vouches_for_itself_weakly_is_none_where_that_is_told() {
    let Some(gpg) = Gpg::new() else { return };
    let by = |hash: &'static str| ["--cert-digest-algo", hash, "--digest-algo", hash];
    gpg.gpg(&[&by("SHA512")[..], &["--quick-gen-key", "one <one@x>", "rsa2048", "cert", "never"]].concat(), b"");
    let one = gpg.fingerprint("one@x");
    gpg.gpg(&[&by("SHA256")[..], &["--quick-add-key", &one, "rsa2048", "sign", "never"]].concat(), b"");
    let signature = gpg.sign(&["-u", &one, "--digest-algo", "SHA512"]);
    assert!(gpg.same(&signature, "weak digests are nobody's care").0.contains("GOODSIG"));
    gpg.0.home.write("gnupg/gpg.conf", "weak-digest SHA256\n");
    for program in ["gpg", OURS] {
        let (status, text, _) = gpg.verified(program, &signature, DATA);
        assert!(status.contains("ERRSIG") && text.contains("SHA256 algorithm are rejected"), "{program}: {status}{text}");
    }
}
