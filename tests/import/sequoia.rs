//! sequoia-git's policies.

use super::{import, imported, principals, says};
use crate::gnupg::Gpg;

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
