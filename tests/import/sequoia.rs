//! sequoia-git's policies.

use super::{import, imported, principals, says};
use crate::common::run;
use crate::gnupg::Gpg;
use crate::hostile::{armored, secret};
use crate::world::World;

#[test]
fn authorizations_become_principals() {
    let Some(gpg) = Gpg::new() else { return };
    let world = &gpg.0;
    let [one, two, archive] = ["one", "two", "archive"].map(|name| gpg.key(name, "ed25519", "sign", "never"));
    let block = |names: &[&str]| gpg.gpg(&[&["--armor", "--export"], names].concat(), b"");
    let commits = [("one", &one), ("two", &two), ("archive", &archive)].map(|(name, key)| gpg.commit(name, name, key));
    let id = "5".repeat(40);
    let text = format!(
        "version = 0\ncommit_goodlist = [\"{id}\", \"5555\"]\n\n[authorization.\"The \\\"one\\\"\"]\nsign_commit = true\nsign_tag = true\naudit = true\nkeyring = \"\"\"\n{}\"\"\"\n\n[authorization.two]\nsign_commit = true\nkeyring = '''{}'''\n\n[authorization.archive]\nsign_archive = true\nkeyring = \"\"\"\n{}\"\"\"\n",
        block(&[&one]),
        block(&[&two]) + &block(&[&one]),
        block(&[&archive]),
    );
    world.home.write("openpgp-policy.toml", &text);
    let (policy, printed) = imported(world, "openpgp-policy.toml");
    assert_eq!(principals(&policy), [("The \"one\"".to_owned(), vec![one.clone()]), ("two".to_owned(), vec![two.clone()])]);
    let line = |needle: &str| format!("openpgp-policy.toml:{}: ", text.lines().position(|it| it.contains(needle)).unwrap() + 1);
    let of_two = line("[authorization.two]");
    let ran = import(world, "openpgp-policy.toml");
    for words in [
        format!("{}`archive` may not sign commits", line("[authorization.archive]")),
        format!("{of_two}`two` may not sign tags in sequoia-git (sign_tag), and may here"),
        format!("{of_two}{one} is that of `The \"one\"`, too"),
        "commit_goodlist: an exempt commit needs `until`".to_owned(),
        "commit_goodlist: `5555` is no full object id".to_owned(),
        "whoever may write the policy file changes it".to_owned(),
    ] {
        says(&ran, 0, &[&words]);
        assert!(printed.contains(&words), "{words}: {printed}");
    }
    // the comments are an exemption as soon as somebody says what mends it
    assert!(printed.contains(&format!("# [[exempt]]\n# commit = \"{id}\"\n# until = \"<full id")), "{printed}");
    let judged = world.judged_by("r", world.home.join("imported.toml").to_str().unwrap(), &[]);
    assert_eq!(commits.map(|id| judged.of_object(&id)), ["accept", "accept", "certificate-unknown"]);
    // faults, where they stand
    for (from, to, words) in [
        ("-----END PGP", "-----FIN PGP", format!("{}the block has no end", line("-----BEGIN"))),
        ("version = 0", "version = 3", "openpgp-policy.toml:1:11: `version`: version 3 is not known".to_owned()),
        ("sign_tag", "sign_tog", "openpgp-policy.toml:6:1: `sign_tog` is not a key here; `sign_tag` is meant?".to_owned()),
    ] {
        world.home.write("openpgp-policy.toml", text.replacen(from, to, 1));
        says(&import(world, "openpgp-policy.toml"), 2, &[&words]);
    }
    world.home.write("openpgp-policy.toml", "version = 0\n[authorization.a]\nsign_commit = true\nkeyring = \"\"\"\n\"\"\"\n");
    says(&import(world, "openpgp-policy.toml"), 2, &["openpgp-policy.toml:5: it holds no OpenPGP certificate"]);
    world.home.write("openpgp-policy.toml", "version = 0\n");
    says(&import(world, "openpgp-policy.toml"), 2, &["openpgp-policy.toml"]);
}

#[test]
fn a_policy_that_cannot_be_read_is_no_list_of_keys() {
    let world = World::new();
    let block = armored(&secret(&[b"archive"]));
    let fingerprint = secret(&[b"x"]).fingerprint().to_hex();
    let theirs = format!("version = 0\n[authorization.archive]\nsign_archive = true\nkeyring = \"\"\"\n{block}\"\"\"\n");
    let ours = format!(
        "version = 1\n[[principals.a.keys]]\nopenpgp = \"{fingerprint}\"\nstatus = \"retired\"\ncert = \"\"\"\n{block}\"\"\"\n"
    );
    for (name, text, words) in [
        ("conflict", theirs.replacen("[auth", "<<<<<<< HEAD\n[auth", 1).into_bytes(), "conflict:2:"),
        ("latin", [&b"# Ren\xe9\n"[..], theirs.as_bytes()].concat(), "latin:1:6: not UTF-8"),
        ("marked", [&b"\xef\xbb\xbf<<<<<<<\n"[..], theirs.as_bytes()].concat(), "marked:1:"),
        ("stray", theirs.replacen("true\n", "true\"\n", 1).into_bytes(), "stray:3:"),
        ("headless", theirs.replacen("version = 0\n", "\"\n", 1).into_bytes(), "headless:1:"),
        ("typo", ours.replacen("status", "statsu", 1).into_bytes(), "typo:4:1: `statsu` is not a key here"),
        ("later", format!("{ours}[[rules]]\nrefs = []\n").into_bytes(), "later:"),
        ("newer", ours.replacen("version = 1", "version = 2", 1).into_bytes(), "newer:1:11: `version`: version 2 is not known"),
        ("quote", ours.replacen("\"retired\"", "\"retired", 1).into_bytes(), "quote:4:"),
        ("named.toml", block.clone().into_bytes(), "named.toml:1:"),
    ] {
        let path = world.home.write(name, &text);
        let ran = import(&world, path.to_str().unwrap());
        says(&ran, 2, &[words]);
        assert_eq!(ran.stdout, "", "{name}");
        let mut piped = world.home.ours(&["policy", "import", "-"]);
        if name != "named.toml" {
            says(&run(&mut piped, &text), 2, &["standard input:"]);
        }
    }
}

#[test]
fn a_revocation_in_any_keyring_counts() {
    let Some(gpg) = Gpg::new() else { return };
    let world = &gpg.0;
    let [one, two] = ["one", "two"].map(|name| gpg.key(name, "ed25519", "sign", "never"));
    let commit = gpg.commit("one", "one", &one);
    let before = gpg.gpg(&["--armor", "--export", &one], b"");
    gpg.revoke(&one, "1");
    let after = gpg.gpg(&["--armor", "--export", &one], b"") + &gpg.gpg(&["--armor", "--export", &two], b"");
    let text = format!(
        "version = 0\n[authorization.old]\nsign_commit = true\nkeyring = \"\"\"\n{before}\"\"\"\n[authorization.gone]\nsign_commit = false\nkeyring = \"\"\"\n{after}\"\"\"\n[authorization.none]\nkeyring = \"\"\n"
    );
    world.home.write("openpgp-policy.toml", text);
    let (policy, printed) = imported(world, "openpgp-policy.toml");
    assert_eq!(principals(&policy), [("old".to_owned(), vec![one])], "{printed}");
    let judged = world.judged_by("r", world.home.join("imported.toml").to_str().unwrap(), &[]);
    assert_eq!(judged.of_object(&commit), "key-revoked");
}
