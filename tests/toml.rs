//! Policies in TOML: what they accept and refuse in real histories, where they and what they name are read from, and how
//! `git warrant policy` checks and changes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "toml/edit.rs"]
mod edit;
#[path = "support/world.rs"]
mod world;

use common::{Done, digits, run};
use world::{Judged, World, done, says};

/// A world whose file `policy.toml` names Alice, who has an address, and Bob, who has none.
pub(crate) struct Toml(pub(crate) World);

impl Toml {
    pub(crate) fn new() -> Self {
        let toml = Self(World::new());
        toml.write(&format!("{}{}", toml.alice(""), toml.bob("")));
        toml
    }

    pub(crate) fn alice(&self, more: &str) -> String {
        format!("[principals.alice]\nemails = [\"alice@example.com\"]\n{}", self.key("alice", "alice", more))
    }

    pub(crate) fn bob(&self, more: &str) -> String {
        self.key("bob", "bob", more)
    }

    pub(crate) fn key(&self, principal: &str, key: &str, more: &str) -> String {
        format!("[[principals.{principal}.keys]]\nssh = \"{}\"\n{more}\n", self.0.home.public(key))
    }

    pub(crate) fn write(&self, text: &str) {
        self.0.home.write("policy.toml", format!("version = 1\n{text}"));
    }

    pub(crate) fn path(&self) -> String {
        self.0.home.join("policy.toml").to_str().unwrap().to_owned()
    }

    pub(crate) fn judged(&self, args: &[&str]) -> Judged {
        self.0.judged_by("r", &self.path(), args)
    }

    pub(crate) fn verify(&self, args: &[&str]) -> Done {
        self.0.verify_by("r", &self.path(), args)
    }

    /// A commit of Bob's.
    pub(crate) fn by_bob(&self, message: &str) -> String {
        self.0.commit_as("r", message, &self.0.person("bob"), &["-S"])
    }
}

#[test]
fn persons_sign_under_their_own_addresses() {
    let toml = Toml::new();
    let world = &toml.0;
    let own = world.repo("r", &[]);
    world.commit(own, "alice's", &["-S"]);
    toml.by_bob("bob's");
    let mut as_alice = world.person("bob");
    as_alice[1] = "user.email=alice@example.com".to_owned();
    world.commit_as("r", "bob as alice", &as_alice, &["-S"]); // he is bound to no address
    let judged = toml.judged(&[]);
    assert_eq!(judged.status, Some(0), "{}", judged.stdout);
    assert_eq!((judged.summary["signers"]["alice"].as_u64(), judged.summary["signers"]["bob"].as_u64()), (Some(1), Some(2)));
    assert_eq!(judged.count("accepted"), 3);
    let mut as_bob = world.person("alice");
    as_bob[1] = "user.email=bob@example.com".to_owned();
    let wrong = world.commit_as("r", "alice as bob", &as_bob, &["-S"]);
    let judged = toml.judged(&[]);
    assert_eq!((judged.status, judged.of_object(&wrong)), (Some(1), "signer-not-committer".to_owned()));
    says(&toml.verify(&["--bind", "committer", "HEAD~2..HEAD~1"]), 1, &[]);
    let shown = toml.verify(&[]).stdout;
    assert!(shown.contains("add bob@example.com to the `emails` of the principal at"), "{shown}");
    assert!(shown.contains("policy.toml:4"), "{shown}");
}

#[test]
fn a_retired_key_stands_where_it_is_settled_and_a_compromised_one_where_it_was_audited() {
    let toml = Toml::new();
    let world = &toml.0;
    world.repo("r", &[]);
    let old = toml.by_bob("old");
    world.home.git("r", &["-c", &world.person("bob")[2], "tag", "-s", "-m", "m", "v1"]);
    let tag = world.id("r", "v1");
    let new = toml.by_bob("new");
    // the thief commits on the old commit, and says that it is as old
    world.home.git("r", &["checkout", "-q", "-b", "thief", &old]);
    let forged = toml.by_bob("forged");
    let states = |root: &str, state: &str| {
        toml.write(&format!("{root}\n{}{}", toml.alice(""), toml.bob(state)));
        let judged = toml.judged(&["refs/heads/main", "refs/heads/thief", "refs/tags/v1"]);
        [&old, &new, &forged, &tag].map(|id| judged.of_object(id))
    };
    let retired = "status = \"retired\"\nbefore = 2099-01-01T00:00:00Z";
    assert_eq!(states("", ""), ["accept"; 4]);
    assert_eq!(states("", retired), ["key-retired"; 4]);
    assert_eq!(states(&format!("settled = [\"{new}\"]"), retired), ["accept", "accept", "key-retired", "key-retired"]);
    assert_eq!(states(&format!("settled = [\"{new}\", \"{tag}\"]"), retired), ["accept", "accept", "key-retired", "accept"]);
    let compromised = format!("status = \"compromised\"\naudited = [\"{old}\"]");
    let settled = format!("settled = [\"{new}\"]");
    assert_eq!(states(&settled, &compromised), ["accept", "key-compromised", "key-compromised", "key-compromised"]);
    assert_eq!(states("", "status = \"compromised\""), ["key-compromised"; 4]);
    // what is not here might lie above: not to be judged
    let absent = &"0123".repeat(digits() / 4);
    assert_eq!(states(&format!("settled = [\"{absent}\", \"{new}\"]"), retired)[2], "settled-missing");
    let compromised = format!("status = \"compromised\"\naudited = [\"{absent}\"]");
    assert_eq!(states("", &compromised), ["settled-missing"; 4]);
    assert_eq!(toml.judged(&["refs/heads/main"]).status, Some(3));
    // so, too, where an address or a touch would be forgiven below it
    let elsewhere = format!("settled = [\"{absent}\"]\n[principals.bob]\nemails = [\"x@example.com\"]\n");
    toml.write(&format!("{elsewhere}{}", toml.bob("")));
    assert_eq!(toml.judged(&["refs/heads/main"]).words(), ["settled-missing", "settled-missing"]);
    toml.write(&format!("settled = [\"{absent}\"]\n{}", toml.bob("")));
    assert_eq!(toml.judged(&["--require-touch", "refs/heads/main"]).words(), ["settled-missing", "settled-missing"]);
    // a baseline is left out, never accepted
    toml.write(&format!("baseline = [\"{old}\"]\n{}{}", toml.alice(""), toml.bob("")));
    let judged = toml.judged(&["refs/heads/main"]);
    assert_eq!((judged.words(), judged.count("outside")), (vec!["accept".to_owned()], 1));
}

#[test]
fn an_exempt_commit_stands_only_where_it_is_mended() {
    let toml = Toml::new();
    let world = &toml.0;
    let first = world.commit(world.repo("r", &[]), "first", &["-S"]);
    let bad = world.commit("r", "bad", &[]);
    let mend = world.commit("r", "mend", &["-S"]);
    let exempt = |commit: &str, until: &str| {
        let table = format!("[[exempt]]\ncommit = \"{commit}\"\nuntil = \"{until}\"\nreason = \"reverted \\u202e\"\n");
        toml.write(&format!("{}{table}", toml.alice("")));
    };
    exempt(&bad, &mend);
    let judged = toml.judged(&[]);
    assert_eq!((judged.status, judged.of_object(&bad)), (Some(0), "unsigned".to_owned()), "{}", judged.stdout);
    let line = judged.lines.iter().find(|line| line["object"] == bad.as_str()).unwrap();
    assert_eq!((&line["verdict"], &line["because"]), (&"exempt".into(), &"reverted \u{202e}".into()));
    assert_eq!((judged.count("accepted"), judged.count("exempt"), judged.count("rejected")), (2, 1, 0));
    let human = toml.verify(&[]).stdout;
    assert!(human.contains("2 accepted, 0 rejected, 0 unjudged, 1 exempt"), "{human}");
    assert!(human.contains("not signed; exempt: reverted \\u{202e}") && human.contains("policy.toml:7)"), "{human}");
    // below what mends it, and beside another ref that lacks it
    for targets in [&["HEAD~1"][..], &["HEAD", "HEAD~1"]] {
        assert_eq!(toml.judged(targets).of_object(&bad), "unsigned");
        assert_eq!(toml.judged(targets).status, Some(1), "{targets:?}");
        says(&toml.verify(targets), 1, &["does not hold", &mend]);
    }
    assert_eq!(toml.judged(&["--no-walk", &bad]).status, Some(1));
    assert_eq!(toml.judged(&[&format!("{first}..HEAD")]).status, Some(0));
    // never its ancestors, nor what lies above, nor by what was there before
    for (commit, until) in [(&mend, &bad), (&first, &mend), (&bad, &first)] {
        exempt(commit, until);
        assert_eq!(toml.judged(&[]).of_object(&bad), "unsigned");
        assert_eq!(toml.judged(&[]).status, Some(1));
    }
    says(&toml.verify(&[]), 1, &["cannot mend it"]);
    // never what an object itself is
    let raw = world.raw("r", &bad);
    let twice = raw.replacen("author ", &format!("parent {first}\nauthor "), 1);
    let double = world.object("r", "commit", twice.as_bytes());
    let child = raw.replace(&first, &double);
    let child = world.object("r", "commit", child.as_bytes());
    exempt(&double, &child);
    assert_eq!(toml.judged(&[&child]).of_object(&double), "duplicate-parent");
    assert_eq!(toml.judged(&[&child]).count("exempt"), 0);
}

#[test]
fn authorities_their_lists_and_their_denied() {
    let toml = Toml::new();
    let world = &toml.0;
    world.home.key("ca", &["ed25519"], "");
    world.repo("r", &[]);
    let keygen = |args: &[&str]| {
        let ran = run(world.home.command("ssh-keygen").args(args), b"");
        assert!(ran.ok(), "{ran:?}");
    };
    keygen(&["-q", "-s", "ca", "-I", "id", "-n", "bob@example.com", "-z", "7", "bob.pub"]);
    let mut settings = world.person("bob");
    settings[2] = format!("user.signingKey={}", world.home.join("bob-cert.pub").display());
    world.commit_as("r", "certified", &settings, &["-S"]);
    let authority = |more: &str| {
        format!("[authorities.corp]\nssh-ca = \"{}\"\nprincipals = [\"*@example.com\"]\n{more}\n", world.home.public("ca"))
    };
    let judged = |text: &str| {
        toml.write(text);
        toml.judged(&[]).words().concat()
    };
    assert_eq!(judged(&authority("")), "accept");
    assert_eq!(judged(&toml.bob("")), "authority-unlisted");
    assert_eq!(judged(&format!("{}{}", authority(""), toml.bob("status = \"retired\""))), "key-retired");
    assert_eq!(judged(&authority("deny = [\"bob@example.com\"]")), "identity-denied");
    assert_eq!(judged(&authority("status = \"retired\"")), "authority-retired");
    assert_eq!(judged(&authority("status = \"compromised\"")), "authority-compromised");
    // the key of a lost authority does not come back as a person's
    let lost =
        format!("[authorities.old]\nssh-ca = \"{}\"\nprincipals = [\"x\"]\nstatus = \"compromised\"\n", world.home.public("bob"));
    assert_eq!(judged(&format!("{}{lost}", authority(""))), "authority-compromised");
    let person = "[principals.robert]\nemails = [\"bob@example.com\"]\n";
    toml.write(&format!("{}{person}", authority("")));
    assert_eq!(toml.judged(&[]).lines[0]["principal"], "robert");
    // a list beside the policy: missing, broken, of others, of this one
    std::fs::create_dir(world.home.join("certs")).unwrap();
    let with_krl = authority("krl = \"certs/corp.krl\"");
    let refused = |words: &[&str]| {
        toml.write(&with_krl);
        says(&toml.verify(&[]), 2, words);
    };
    refused(&["certs/corp.krl", "cannot read"]);
    world.home.write("certs/corp.krl", "SSHKRL\n\0nonsense");
    refused(&["policy.toml:2", "certs/corp.krl"]);
    world.home.write("serials", "serial: 8\n");
    keygen(&["-q", "-k", "-f", "certs/corp.krl", "-s", "ca.pub", "serials"]);
    assert_eq!(judged(&with_krl), "accept");
    let before = toml.judged(&[]).summary["policy_sha256"].clone();
    world.home.write("serials", "serial: 7\n");
    keygen(&["-q", "-k", "-f", "certs/corp.krl", "-s", "ca.pub", "serials"]);
    assert_eq!(judged(&with_krl), "key-revoked");
    assert_ne!(toml.judged(&[]).summary["policy_sha256"], before, "what lies beside is part of the policy");
    for outside in ["../corp.krl", "/etc/corp.krl", "", "certs/../corp.krl"] {
        toml.write(&authority(&format!("krl = \"{outside}\"")));
        says(&toml.verify(&[]), 2, &["it has to lie beside the policy"]);
    }
    // of a revision: the list of the same commit
    world.repo("p", &[]);
    world.home.write("p/policy.toml", format!("version = 1\n{with_krl}"));
    std::fs::create_dir(world.home.join("p/certs")).unwrap();
    std::fs::copy(world.home.join("certs/corp.krl"), world.home.join("p/certs/corp.krl")).unwrap();
    let commit = world.commit("p", "a policy", &[]);
    world.home.git("r", &["fetch", "-q", "../p", "main:refs/policy"]);
    for named in ["refs/policy:policy.toml", &format!("{commit}:policy.toml")] {
        assert_eq!(world.judged_by("r", named, &[]).words(), ["key-revoked"]);
    }
}

#[test]
fn touch_and_pin_are_asked_by_the_policy_or_by_an_option() {
    let toml = Toml::new();
    let world = &toml.0;
    world.signed("r", 1);
    assert_eq!(toml.judged(&["--require-touch"]).words(), ["no-touch"]);
    assert_eq!(world.judged("r", &["--require-touch"]).words(), ["no-touch"]);
    assert_eq!(toml.judged(&["--require-touch", "--settled", "HEAD"]).words(), ["accept"]);
    let shown = toml.verify(&["--require-touch"]).stdout;
    assert!(shown.contains("a touched FIDO token is asked for"), "{shown}");
}

#[test]
fn what_is_not_valid_is_said_with_its_line_and_column() {
    let toml = Toml::new();
    toml.0.signed("r", 1);
    for (text, words) in [
        ("[[rules]]\nrefs = []", &["policy.toml:2:3", "`rules` is not in this version"][..]),
        ("[principals.a]\nemail = [\"a@x\"]", &["policy.toml:3:1", "`emails` is meant?"]),
        ("[principals.a\n", &["policy.toml:2:"]),
        ("", &["nobody could sign"]),
        ("baseline = [\"HEAD\"]", &["policy.toml:2:12", "full object ids"]),
    ] {
        toml.write(text);
        says(&toml.verify(&[]), 2, words);
        says(&done(&mut toml.0.warrant("r", &["policy", "check", &toml.path()])), 2, words);
        says(&done(&mut toml.0.warrant("r", &["show", "--policy", &toml.path(), "HEAD"])), 2, words);
    }
    // ids of the other hash function would settle nothing for ever
    toml.write(&format!("settled = [\"{}\"]\n{}", "0".repeat(104 - digits()), toml.alice("")));
    says(&toml.verify(&[]), 2, &["no id of this repository's hash function"]);
    // what could never mean what it stands for
    let tree = toml.0.home.git("r", &["rev-parse", "HEAD^{tree}"]);
    let head = toml.0.id("r", "HEAD");
    for (root, words) in
        [(format!("baseline = [\"{tree}\"]"), &["is a tree"][..]), (format!("settled = [\"{tree}\"]"), &["is a tree"])]
    {
        toml.write(&format!("{root}\n{}", toml.alice("")));
        says(&toml.verify(&[]), 2, words);
        says(&done(&mut toml.0.warrant("r", &["policy", "check", &toml.path()])), 2, words);
    }
    toml.write(&format!("{}[[exempt]]\ncommit = \"{head}\"\nuntil = \"{tree}\"\nreason = \"x\"\n", toml.alice("")));
    says(&toml.verify(&[]), 2, &["policy.toml:7", "is a tree; name a commit"]);
    // git's own setting stays git's own form
    toml.write(&toml.alice(""));
    toml.0.config("gpg.ssh.allowedSignersFile", &toml.path());
    says(&done(&mut toml.0.warrant("r", &["verify"])), 2, &["git reads allowed_signers here", "warrant.policy"]);
    toml.0.config("warrant.policy", &toml.path());
    assert_eq!(done(&mut toml.0.warrant("r", &["verify"])).status, Some(0));
}

#[test]
fn a_policy_in_the_work_tree_is_read_from_a_ranges_start_only() {
    let toml = Toml::new();
    let world = &toml.0;
    world.repo("r", &[]);
    world.home.write("r/policy.toml", format!("version = 1\n{}", toml.alice("")));
    world.commit("r", "with alice", &["-S"]);
    world.home.write("r/policy.toml", format!("version = 1\n{}{}", toml.alice(""), toml.bob("")));
    toml.by_bob("with bob");
    let inside = world.home.join("r/policy.toml").to_str().unwrap().to_owned();
    says(&world.verify_by("r", &inside, &[]), 2, &["lies inside the work tree"]);
    assert_eq!(world.judged_by("r", &inside, &["HEAD~1..HEAD"]).words(), ["key-unlisted"]);
}
