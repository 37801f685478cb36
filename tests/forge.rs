//! Forges, which sign for any of their users: what a policy accepts of them, and GitHub's keys on real commits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "support/gnupg.rs"]
mod gnupg;
#[path = "support/judging.rs"]
mod judging;
#[path = "support/corpus.rs"]
mod support;
#[path = "support/world.rs"]
mod world;

use git_warrant::policy::preset;
use git_warrant::verdict::Warning;
use gnupg::Gpg;
use judging::Judging;
use std::collections::BTreeMap;
use support::{Item, shared, table};
use world::{World, done, says};

const PRESET: &str = "[principals.github]\nkind = \"forge\"\npreset = \"github-web-flow\"\n";

/// The items of the corpus that hold commits by GitHub.
const ITEMS: [&str; 6] =
    ["pgp-archlinux-keyring", "pgp-git-bag", "sq-unit-tests", "sq-rpm-sequoia", "ssh-openssh-bag", "ssh-jj-bag"];

#[test]
fn githubs_keys_are_those_of_the_preset() {
    let Some(corpus) = shared("corpus", "commits that GitHub signed", 200) else { return };
    let judging = Judging::by(format!("version = 1\n{PRESET}").as_bytes());
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    let mut malleable = 0;
    for name in ITEMS {
        let item = Item::unpack(&corpus, name);
        let rows = table(&corpus.join(format!("oracle/{name}.git.tsv.xz")));
        let rows: Vec<_> = rows.iter().filter(|row| matches!(&*row[2], "4AEE18F83AFDEB23" | "B5690EEEBB952194")).collect();
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        for (row, (_, raw)) in rows.iter().zip(item.read(&ids)) {
            let judgement = judging.judge(&row[0], &raw, false);
            let word = judgement.verdict.code().unwrap_or("accept");
            if word == "accept" {
                assert!(judgement.warnings.contains(&Warning::ForgeSigned), "{judgement:?}");
            }
            let evidence = judgement.evidence.unwrap_or_else(|| panic!("{row:?}: {word}"));
            malleable += usize::from(!evidence.malleable.is_empty());
            let key = if row[2].starts_with('4') { "until 2024" } else { "since 2024" };
            *counts.entry((key, word, judging.word(&row[0], &raw, true))).or_insert(0) += 1;
            // one bit of what is signed
            let at = raw.len() - 1;
            let changed = [&raw[..at], &[raw[at] ^ 1]].concat();
            assert_eq!(judging.word(&row[0], &changed, true), "bad-signature", "{row:?}");
        }
    }
    println!("{counts:?}, {malleable} with numbers that begin with zero bits, or else written otherwise");
    let expired = counts.get(&("until 2024", "claimed-only", "accept")).copied().unwrap_or(0);
    let now = counts.get(&("since 2024", "accept", "accept")).copied().unwrap_or(0);
    assert!(expired > 0 && now > 0 && malleable > 0, "{counts:?}");
    assert_eq!(counts.len(), 2, "no date rescues the key that has ended, and settling does: {counts:?}");
}

#[test]
fn the_preset_is_what_the_corpus_has_of_github() {
    let Some(corpus) = shared("corpus", "GitHub's certificates", 2) else { return };
    let mut gathered = git_warrant::signature::openpgp::import::Gathered::default();
    let mut theirs = gathered.add(&std::fs::read(corpus.join("keys/web-flow.gpg")).unwrap(), 1).unwrap();
    theirs.sort();
    let published = gathered.listed(judging::NOW);
    let mut ours = git_warrant::signature::openpgp::import::Gathered::default();
    for (fingerprint, armored) in preset::keys("github-web-flow").unwrap() {
        assert_eq!(ours.add(armored.as_bytes(), 1).unwrap(), [*fingerprint]);
    }
    let mut listed = ours.listed(judging::NOW);
    listed.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
    assert_eq!(listed.iter().map(|it| it.fingerprint.clone()).collect::<Vec<_>>(), theirs);
    assert_eq!(listed, published);
}

#[test]
fn a_forge_is_accepted_with_a_warning_and_bound_to_no_address() {
    let Some(gpg) = Gpg::new() else { return };
    let [forge, bot] = ["forge", "bot"].map(|name| gpg.key(name, "ed25519", "sign", "never"));
    [&forge, &bot].into_iter().for_each(|it| gpg.export(it));
    let by_forge = gpg.commit("by the forge", "alice", &forge);
    let by_bot = gpg.commit("by the bot", "bot", &bot);
    let principal = |kind: &str, more: &str| format!("[principals.{kind}]\nkind = \"{kind}\"\n{more}");
    let key = |fingerprint: &str, more: &str| format!("keys = [{{ openpgp = \"{fingerprint}\"{more} }}]\n");
    let (a_forge, a_bot) =
        (principal("forge", &key(&forge, "")), principal("bot", &("emails = [\"bot@example.com\"]\n".to_owned() + &key(&bot, ""))));
    gpg.policy(&(a_forge.clone() + &a_bot));
    let judged = gpg.judged(&[]);
    let accepted = |warnings: &[&str]| ("accept".to_owned(), warnings.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    let of = |id: &str| {
        judged.verdicts().into_iter().find(|(object, ..)| object == id).map(|(_, word, warnings)| (word, warnings)).unwrap()
    };
    assert_eq!((of(&by_forge), of(&by_bot)), (accepted(&["forge-signed"]), accepted(&[])));
    let bound = gpg.judged(&["--bind", "committer"]);
    assert_eq!((bound.of_object(&by_forge), bound.of_object(&by_bot)), ("signer-not-committer".to_owned(), "accept".to_owned()));
    let path = gpg.0.home.join("policy.toml").to_str().unwrap().to_owned();
    let checked = done(&mut gpg.0.home.ours(&["policy", "check", &path]));
    says(&checked, 0, &["the forge forge signs for any of its users"]);
    assert!(
        checked.stdout.contains("  forge forge, bound to no address") && checked.stdout.contains("  bot bot, bot@"),
        "{checked:?}"
    );
    // what is not in this version is not passed over
    gpg.policy(&(principal("forge", "may = [\"clean-merge\"]\n") + &key(&forge, "")));
    says(&gpg.0.verify_by("r", &path, &[]), 2, &["policy.toml:4:7: `may`: it is not in this version", "[[exempt]]"]);
    // a key of the preset is as the file says
    gpg.policy(&format!(
        "{PRESET}[[principals.github.keys]]\nopenpgp = \"968479A1AFF927E37D1A566BB5690EEEBB952194\"\nstatus = \"retired\"\n"
    ));
    let checked = done(&mut gpg.0.home.ours(&["policy", "check", &path]));
    assert!(
        checked.stdout.contains(
            "968479A1AFF927E37D1A566BB5690EEEBB952194 (retired), 5DE3E0509C47EA3CF04A42D34AEE18F83AFDEB23 (expired 2024-01-16)"
        ),
        "{checked:?}"
    );
    gpg.policy(&(PRESET.to_owned() + &a_bot));
    let retired = done(gpg.0.home.ours(&["policy", "retire", "--policy", &path, "github"]).current_dir(gpg.0.home.join("r")));
    says(
        &retired,
        2,
        &["policy.toml:4: the key 968479A1AFF927E37D1A566BB5690EEEBB952194 is one of a preset; to retire it, list it"],
    );
}

#[test]
fn a_listed_key_keeps_its_kind_inside_a_certificate() {
    let world = World::new();
    world.repo("r", &[]);
    world.home.key("ca", &["ed25519"], "");
    let certify = ["-q", "-s", "ca", "-I", "id", "-n", "bob@example.com", "bob.pub"];
    assert!(done(world.home.command("ssh-keygen").args(certify)).ok());
    let mut bob = world.person("bob");
    bob.retain(|setting| !setting.starts_with("user.signingKey"));
    bob.push(format!("user.signingKey={}", world.home.join("bob-cert.pub").display()));
    world.commit_as("r", "by the certificate", &bob, &["-S"]);
    let authority = format!("[authorities.corp]\nssh-ca = \"{}\"\nprincipals = [\"*@example.com\"]\n", world.home.public("ca"));
    let judged = |kind: &str, args: &[&str]| {
        let listed = format!("[principals.it]\nkind = \"{kind}\"\nkeys = [{{ ssh = \"{}\" }}]\n", world.home.public("bob"));
        let path = world.home.write("kinds.toml", format!("version = 1\n{authority}{listed}"));
        world.judged_by("r", path.to_str().unwrap(), args).verdicts().remove(0)
    };
    for (kind, warnings, bound) in
        [("person", &[][..], "accept"), ("bot", &[], "accept"), ("forge", &["forge-signed"], "signer-not-committer")]
    {
        assert_eq!((&*judged(kind, &[]).1, judged(kind, &[]).2), ("accept", warnings.iter().map(|it| (*it).to_owned()).collect()));
        assert_eq!(judged(kind, &["--bind", "committer"]).1, bound, "{kind}");
    }
}
