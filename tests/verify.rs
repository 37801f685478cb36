//! `git warrant verify`, beside the real git: what is judged, and how it ends. Configuration, where the policy comes from and
//! which repositories are read is in the modules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "verify/config.rs"]
mod config;
#[path = "verify/place.rs"]
mod place;
#[path = "verify/policy.rs"]
mod policy;
#[path = "verify/tree.rs"]
mod tree;
#[path = "support/world.rs"]
mod world;

use common::{digits, run};
use std::io::Read as _;
use std::process::Stdio;
use world::{World, done, says, unsigned_stream};

// ---- what is judged ----

#[test]
fn head_and_all_its_ancestors_are_judged() {
    let world = World::new();
    world.signed("r", 2);
    let side = world.commit("r", "side", &["-S"]);
    world.home.git("r", &["reset", "-q", "--hard", "HEAD~1"]);
    world.commit("r", "main", &["-S"]);
    world.home.git("r", &["merge", "-q", "-S", "--no-edit", &side]);
    let judged = world.judged("r", &[]);
    assert_eq!((judged.status, judged.words()), (Some(0), vec!["accept".to_owned(); 5]));
    assert_eq!(judged.count("accepted"), 5);
    assert_eq!(judged.summary["signers"]["alice@example.com"], 5);
    let human = world.verify("r", &[]);
    let head = world.id("r", "HEAD");
    assert!(human.stdout.contains(&format!("verify refs/heads/main ({head}) by ")), "{human:?}");
    assert!(human.stdout.contains("5 accepted, 0 rejected, 0 unjudged\n        5  signed by alice@example.com"), "{human:?}");
    assert!(!human.stdout.contains("accept "), "only what is not accepted has a line: {human:?}");
    assert_eq!(world.verify("r", &["--all-verdicts"]).stdout.matches("accept ").count(), 5);
}

#[test]
fn every_line_has_the_fields_of_the_schema() {
    let world = World::new();
    world.signed("r", 1);
    world.commit("r", "unsigned", &[]);
    world.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    let judged = world.judged("r", &["v1"]);
    assert_eq!(judged.words(), ["accept", "unsigned", "accept"]);
    for line in &judged.lines {
        let accepted = line["verdict"] == "accept";
        assert_eq!(line["schema"], 1);
        assert!(line["object"].as_str().is_some_and(|id| id.len() == digits()));
        assert!(line["payload_id"].as_str().is_some_and(|id| id.len() == 64));
        assert!(line["warnings"].is_array());
        assert!(line["times"]["claimed"].as_str().is_some_and(|time| time.ends_with('Z')));
        for (field, there) in
            [("code", !accepted), ("mend", !accepted), ("principal", accepted), ("key", accepted), ("format", accepted)]
        {
            assert_eq!(line.get(field).is_some(), there, "{field}: {line}");
        }
    }
    assert_eq!(judged.lines[0]["type"], "tag");
    assert_eq!(judged.lines[2]["principal"], "alice@example.com");
    assert_eq!(judged.lines[2]["format"], "ssh");
    assert!(judged.lines[2]["key"].as_str().unwrap().starts_with("SHA256:"));
}

#[test]
fn what_is_unsigned_or_unlisted_or_changed_is_rejected_and_its_line_says_why_and_what_mends() {
    let world = World::new();
    let good = {
        world.signed("r", 1);
        world.id("r", "HEAD")
    };
    let unsigned = world.commit("r", "forgot", &[]);
    let stranger = world.commit_as("r", "stranger", &world.person("mallory"), &["-S"]);
    let forged = world.object("r", "commit", world.raw("r", &stranger).replace("stranger", "forged").as_bytes());
    world.home.git("r", &["reset", "-q", "--hard", &forged]);
    world.home.git("r", &["commit", "--allow-empty", "-q", "-S", "-m", "top"]);
    let judged = world.judged("r", &[]);
    assert_eq!(judged.status, Some(1));
    assert_eq!(judged.of_object(&good), "accept");
    assert_eq!(judged.of_object(&unsigned), "unsigned");
    assert_eq!(judged.of_object(&forged), "bad-signature");
    let listed = world.judged("r", &["--no-walk", &stranger]);
    assert_eq!(listed.words(), ["key-unlisted"]);
    let mend = listed.lines[0]["mend"].as_str().unwrap();
    for word in ["mallory@example.com namespaces=\"git\" ssh-ed25519 ", "valid-before=", &world.policy()] {
        assert!(mend.contains(word), "{mend}");
    }
    let human = world.verify("r", &[]).stdout;
    assert!(human.contains(&format!("reject {unsigned} ")), "{human}");
    for words in ["by Alice <alice@example.com> \"forgot\" [unsigned]\n", "why:  not signed; payload sha256:"] {
        assert!(human.contains(words), "{human}");
    }
    let mend = format!("git rebase --rebase-merges --force-rebase --gpg-sign {good}");
    assert!(human.contains(&mend), "{human}");
    assert!(human.contains("2 accepted, 2 rejected, 0 unjudged"), "{human}");
}

#[test]
fn a_range_leaves_out_what_its_start_reaches() {
    let world = World::new();
    world.repo("r", &[]);
    let start = world.commit("r", "unsigned", &[]);
    let end = world.commit("r", "signed", &["-S"]);
    assert_eq!(world.verify("r", &[]).status, Some(1));
    for range in [format!("{start}..{end}"), format!("{start}.."), "HEAD~1..main".to_owned()] {
        let judged = world.judged("r", &[&range]);
        assert_eq!((judged.status, judged.words()), (Some(0), vec!["accept".to_owned()]), "{range}");
        assert_eq!(judged.count("outside"), 0);
    }
    // a tag at its end is one of what is asked about, as it is without a range
    world.home.git("r", &["tag", "-a", "-m", "m", "unsigned-tag"]);
    world.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    world.home.git("r", &["tag", "light"]);
    world.home.git("r", &["update-ref", "refs/tags/v9", "refs/tags/v1"]);
    for (tip, words) in [
        ("v1", &["accept", "accept"][..]),
        ("unsigned-tag", &["unsigned", "accept"]),
        ("v9", &["tag-name-mismatch", "accept"]),
        ("light", &["accept"]),
    ] {
        let range = format!("HEAD~1..{tip}");
        assert_eq!(world.judged("r", &[&range]).words(), words, "{tip}");
        assert_eq!(world.verify("r", &[&range]).stderr.contains("a lightweight tag"), tip == "light", "{tip}");
    }
    says(&world.verify("r", &["HEAD~1...HEAD"]), 2, &["HEAD~1...HEAD", "only A..B is known"]);
    says(&world.verify("r", &["^HEAD~1"]), 2, &["^HEAD~1"]);
}

#[test]
fn nothing_to_judge_is_not_all_is_well() {
    let world = World::new();
    world.signed("r", 2);
    for args in [&["HEAD..HEAD"][..], &["--baseline", "HEAD"], &["HEAD..HEAD~1"]] {
        says(&world.verify("r", args), 2, &["nothing to judge", "--allow-empty"]);
        let allowed = world.verify("r", &[args, &["--allow-empty"]].concat());
        assert_eq!(allowed.status, Some(0), "{allowed:?}");
    }
}

#[test]
fn annotated_tags_must_be_signed_and_lightweight_ones_are_said_to_be() {
    let world = World::new();
    world.signed("r", 1);
    let commit = world.id("r", "HEAD");
    world.home.git("r", &["tag", "-s", "-m", "m", "good"]);
    world.home.git("r", &["tag", "-a", "-m", "m", "unsigned"]);
    world.home.git("r", &["tag", "light"]);
    world.home.git("r", &["update-ref", "refs/tags/v9.9", "refs/tags/good"]);
    let good = world.judged("r", &["good"]);
    assert_eq!((good.status, good.words()), (Some(0), vec!["accept".to_owned(); 2]));
    assert_eq!(good.lines[0]["object"], world.id("r", "refs/tags/good").as_str());
    let unsigned = world.judged("r", &["unsigned"]);
    assert_eq!((unsigned.status, unsigned.words()), (Some(1), vec!["unsigned".to_owned(), "accept".to_owned()]));
    assert!(unsigned.lines[0]["mend"].as_str().unwrap().contains("git tag -s -f unsigned unsigned^{}"));
    let light = world.judged("r", &["light"]);
    assert_eq!((light.status, light.verdicts().len()), (Some(0), 1));
    assert_eq!(light.of_object(&commit), "accept");
    assert!(light.stderr.contains("refs/tags/light is a lightweight tag"), "{}", light.stderr);
    assert!(!good.stderr.contains("lightweight"));
    let moved = world.judged("r", &["v9.9"]);
    assert_eq!((moved.status, moved.words()), (Some(1), vec!["tag-name-mismatch".to_owned(), "accept".to_owned()]));
    // a tag of a tag: both are judged
    world.home.git("r", &["tag", "-s", "-m", "m", "outer", "unsigned"]);
    assert_eq!(world.judged("r", &["outer"]).words(), ["accept", "unsigned", "accept"]);
}

#[test]
fn without_a_walk_exactly_what_is_named_is_judged() {
    let world = World::new();
    world.repo("r", &[]);
    world.commit("r", "unsigned", &[]);
    let top = world.commit("r", "signed", &["-S"]);
    world.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    let judged = world.judged("r", &["--no-walk", "HEAD", "v1"]);
    assert_eq!((judged.status, judged.words()), (Some(0), vec!["accept".to_owned(); 2]));
    assert_eq!(judged.of_object(&top), "accept");
    assert_eq!(world.judged("r", &["--no-walk", "HEAD~1"]).words(), ["unsigned"]);
}

#[test]
fn what_lies_below_the_baseline_is_outside_and_never_accepted() {
    let world = World::new();
    world.repo("r", &[]);
    for number in 0..3 {
        world.commit("r", &format!("old {number}"), &[]);
    }
    let baseline = world.id("r", "HEAD");
    world.commit("r", "new", &["-S"]);
    let human = world.verify("r", &[]);
    assert_eq!(human.status, Some(1));
    assert!(human.stdout.contains(&format!("3 commits at or below {baseline} are unsigned: --baseline {baseline}")), "{human:?}");
    let given = world.judged("r", &["--baseline", &baseline]);
    world.home.git("r", &["config", "warrant.baseline", &baseline]);
    let configured = world.judged("r", &[]);
    for judged in [given, configured] {
        assert_eq!((judged.status, judged.count("accepted"), judged.count("outside")), (Some(0), 1, 3));
        assert_eq!(judged.lines.len(), 1);
    }
    assert!(world.verify("r", &[]).stdout.contains("1 accepted, 0 rejected, 0 unjudged, 3 outside (below the baseline)"));
    says(&world.verify("r", &["--baseline", "nowhere"]), 2, &["--baseline nowhere", "names no object"]);
}

#[test]
fn a_full_id_is_never_taken_for_the_name_of_a_ref() {
    // a fetched tag whose name is the id that somebody has as a baseline, in a clone without that object
    let world = World::new();
    world.repo("r", &[]);
    world.commit("r", "unsigned", &[]);
    let absent = "0123456789012345678901234567890123456789";
    world.home.git("r", &["update-ref", &format!("refs/tags/{absent}"), "HEAD"]);
    world.commit("r", "signed", &["-S"]);
    says(&world.verify("r", &["--baseline", absent]), 2, &[absent]);
    assert_eq!(world.judged("r", &["--settled", absent, "--bind", "committer"]).words(), ["accept", "unsigned"]);
    says(&world.verify_by("r", &format!("{absent}:allowed_signers"), &[]), 2, &[absent]);
    says(&world.verify("r", &[&format!("{absent}..HEAD")]), 2, &[absent]);
}

// ---- by which standard ----

#[test]
fn a_key_that_has_ended_is_claimed_only_unless_something_settles_it() {
    let world = World::new();
    world.repo("r", &[]);
    let before = world.commit_on("r", "before", "2024-01-01T00:00:00Z");
    let line = world.line("alice", "namespaces=\"git\",valid-after=\"20230101Z\",valid-before=\"20240601Z\"");
    world.home.write("signers", line);
    let judged = world.judged("r", &[]);
    assert_eq!(
        (judged.status, judged.verdicts()),
        (Some(0), vec![(before.clone(), "accept".to_owned(), vec!["claimed-only".to_owned()])])
    );
    assert_eq!(judged.summary["warnings"]["claimed-only"], 1);
    assert!(world.verify("r", &[]).stdout.contains("1  accepted with a warning: claimed-only"));
    let strict = world.judged("r", &["--strict"]);
    assert_eq!((strict.status, strict.words()), (Some(1), vec!["claimed-only".to_owned()]));
    assert!(strict.lines[0]["mend"].as_str().unwrap().contains(&format!("git config --add warrant.settled {before}")));
    assert_eq!(world.judged("r", &["--settled", "HEAD"]).verdicts(), [(before.clone(), "accept".to_owned(), vec![])]);

    let after = world.commit_on("r", "after", "2024-07-01T00:00:00Z");
    world.commit_on("r", "too early", "2022-07-01T00:00:00Z");
    assert_eq!(world.judged("r", &[]).words(), ["key-not-yet-valid", "key-expired", "accept"]);
    world.home.git("r", &["config", "warrant.settled", &after]);
    assert_eq!(world.judged("r", &["--strict"]).words(), ["key-not-yet-valid", "accept", "accept"]);
    world.home.git("r", &["config", "--unset", "warrant.settled"]);
    // what is named as settled and is not here may be what would have settled it
    let judged = world.judged("r", &["--settled", &"1".repeat(digits()), "HEAD~1"]);
    assert_eq!((judged.status, judged.words()), (Some(3), vec!["settled-missing".to_owned(), "accept".to_owned()]));
    // a tag is settled by its own id only
    let mut tag = world.home.command("git");
    tag.arg("-C").arg(world.home.join("r")).args(["tag", "-s", "-m", "m", "v1", &before]);
    assert!(run(tag.env("GIT_COMMITTER_DATE", "2024-02-01T00:00:00Z"), b"").ok());
    assert_eq!(world.judged("r", &["--strict", "--no-walk", "--settled", &before, "v1"]).words(), ["claimed-only"]);
    assert_eq!(world.judged("r", &["--strict", "--no-walk", "--settled", "v1", "v1"]).words(), ["accept"]);
}

#[test]
fn a_date_in_the_future_is_refused() {
    let world = World::new();
    world.repo("r", &[]);
    world.commit_on("r", "tomorrow", "2099-01-01T00:00:00Z");
    assert_eq!(world.judged("r", &[]).words(), ["claimed-in-future"]);
}

#[test]
fn the_signer_may_be_asked_to_be_the_committer() {
    let world = World::new();
    world.repo("r", &[]);
    let mut bob = world.person("bob");
    bob.retain(|setting| !setting.starts_with("user.signingKey"));
    let id = world.commit_as("r", "bob's, signed by alice", &bob, &["-S"]);
    let warned = ("accept".to_owned(), vec!["signer-not-committer".to_owned()]);
    let judged = world.judged("r", &[]);
    assert_eq!((judged.status, judged.verdicts()), (Some(0), vec![(id, warned.0, warned.1)]));
    for option in [&["--bind", "committer"][..], &["--strict"]] {
        let judged = world.judged("r", option);
        assert_eq!((judged.status, judged.words()), (Some(1), vec!["signer-not-committer".to_owned()]));
        let mend = judged.lines[0]["mend"].as_str().unwrap();
        assert!(mend.contains("bob@example.com") && mend.contains("alice@example.com"), "{mend}");
    }
}

#[test]
fn a_line_for_anybody_is_warned_of() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("signers", format!("* {}\n", world.home.public("alice")));
    let judged = world.judged("r", &[]);
    assert_eq!((judged.status, judged.verdicts()[0].2.clone()), (Some(0), vec!["wildcard".to_owned()]));
}

#[test]
fn revoked_keys_are_refused_and_no_revocation_file_is_passed_over() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("revoked", format!("# left\n{}\n", world.home.public("alice")));
    let revoked = world.home.join("revoked").to_str().unwrap().to_owned();
    assert_eq!(world.judged("r", &["--revoked", &revoked]).words(), ["key-revoked"]);
    assert_eq!(world.judged("r", &["--revoked", &revoked, "--settled", "HEAD"]).words(), ["key-revoked"]);
    world.config("gpg.ssh.revocationFile", &revoked);
    assert_eq!(world.judged("r", &[]).words(), ["key-revoked"]);
    world.home.write("revoked", format!("{}\n", world.home.public("bob")));
    assert_eq!(world.judged("r", &[]).words(), ["accept"]);
    for (name, word) in [("alice", "key-revoked"), ("bob", "accept")] {
        let public = format!("{name}.pub");
        let krl = run(world.home.command("ssh-keygen").args(["-q", "-k", "-f", "krl", &public]), b"");
        assert!(krl.ok(), "{krl:?}");
        let path = world.home.join("krl").to_str().unwrap().to_owned();
        assert_eq!(world.judged("r", &["--revoked", &path]).words(), [word]);
        world.config("gpg.ssh.revocationFile", &path);
        assert_eq!(world.judged("r", &[]).words(), [word]);
    }
    world.home.write("nothing", "\n");
    let none = run(world.home.command("ssh-keygen").args(["-q", "-k", "-f", "krl-of-nothing", "nothing"]), b"");
    assert!(none.ok(), "{none:?}");
    let krl = world.home.read("krl");
    world.home.write("cut-krl", &krl[..krl.len() - 1]);
    for (name, word) in [
        ("krl-of-nothing", "revokes nothing"),
        ("cut-krl", "cut short"),
        ("empty", "empty"),
        ("absent", "cannot read"),
        ("junk", "junk"),
    ] {
        if name == "empty" || name == "junk" {
            world.home.write(name, if name == "junk" { "no key\n" } else { "" });
        }
        let path = world.home.join(name).to_str().unwrap().to_owned();
        says(&world.verify("r", &["--revoked", &path]), 2, &[word, &path]);
        world.config("gpg.ssh.revocationFile", &path);
        says(&world.verify("r", &[]), 2, &["gpg.ssh.revocationFile", word, &path]);
    }
}

// ---- however it is run ----

#[test]
fn the_number_of_threads_changes_no_byte() {
    let world = World::new();
    world.repo("r", &[]);
    let mut import = world.home.command("git");
    let imported =
        run(import.arg("-C").arg(world.home.join("r")).args(["fast-import", "--quiet"]), unsigned_stream(5000).as_bytes());
    assert!(imported.ok(), "{imported:?}");
    world.home.git("r", &["reset", "-q", "--hard"]);
    world.commit("r", "signed", &["-S"]);
    world.commit_as("r", "stranger", &world.person("mallory"), &["-S"]);
    for format in ["jsonl", "human"] {
        let once = |n: &str| world.verify("r", &["--format", format, "--threads", n]);
        let first = once("1");
        assert_eq!(first.status, Some(1));
        for n in ["2", "8"] {
            let other = once(n);
            assert!(other.stdout == first.stdout && other.status == first.status, "{format} with {n} threads");
        }
    }
    let judged = world.judged("r", &[]);
    assert_eq!((judged.lines.len(), judged.count("rejected"), judged.count("accepted")), (5002, 5001, 1));

    // whoever reads the report goes away: never 0, never a signal
    for format in ["jsonl", "human"] {
        let mut command = world.warrant("r", &["verify", "--policy", &world.policy(), "--format", format, "--all-verdicts"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut few = [0; 64];
        child.stdout.take().unwrap().read_exact(&mut few).unwrap();
        let status = child.wait().unwrap().code();
        assert!(matches!(status, Some(1 | 3)), "{format}: {status:?}");
    }
}

#[test]
fn garbage_for_a_revision_is_a_usage_error_with_the_name_in_it() {
    let world = World::new();
    world.signed("r", 1);
    let long = "a".repeat(70_000);
    let deep = format!("HEAD{}", "^".repeat(5_000));
    for revision in [
        "nosuch",
        "",
        " ",
        "..",
        "@{",
        "HEAD@{",
        "HEAD^{",
        "HEAD^{/",
        "HEAD~99",
        "HEAD^{tree}",
        ":/nothing",
        ":/[",
        "refs/heads/",
        "/",
        "HEAD:",
        "HEAD^9",
        "@{-1}",
        "@{u}",
        "HEAD~999999999999999999999",
        "0000000000000000000000000000000000000000",
        "-",
        "\u{1b}[2J",
        "zoë",
        "HEAD^{blob}",
        "HEAD^0^{commit}~1",
        &long,
        &deep,
    ] {
        for command in ["verify", "show"] {
            let ran = done(&mut world.warrant("r", &[command, "--policy", &world.policy(), "--", revision]));
            let fine = ran.status == Some(2) && ran.stderr.starts_with("git-warrant: ") && !ran.stderr.contains('\u{1b}');
            let empty_range = revision == ".." && ran.status == Some(2);
            assert!(fine || empty_range, "{command} {}: {ran:?}", &revision[..revision.len().min(40)]);
        }
    }
    let bytes = std::os::unix::ffi::OsStringExt::from_vec(vec![b'x', 0xff]);
    let ran = done(world.warrant("r", &["verify"]).arg::<std::ffi::OsString>(bytes));
    assert_eq!(ran.status, Some(2), "{ran:?}");
}

#[test]
fn all_refs_and_those_of_standard_input_are_judged() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["checkout", "-q", "-b", "topic"]);
    world.commit("r", "forgot", &[]);
    world.home.git("r", &["update-ref", "refs/remotes/origin/x", "HEAD"]);
    world.home.git("r", &["update-ref", "refs/notes/commits", "HEAD"]);
    world.home.git("r", &["checkout", "-q", "main"]);
    world.home.git("r", &["tag", "-s", "-m", "one", "v1"]);
    assert!(world.verify("r", &[]).ok());
    let all = world.judged("r", &["--all"]);
    assert_eq!(all.words().len(), 3, "the tag and both commits, once each: {}", all.stdout);
    assert_eq!(all.count("rejected"), 1);
    let heading = world.verify("r", &["--all"]).stdout;
    assert!(heading.contains("refs/remotes/origin/x") && !heading.contains("refs/notes"), "{heading}");
    let stdin = |input: &str| run(&mut world.warrant("r", &["verify", "--policy", &world.policy(), "--stdin"]), input.as_bytes());
    assert_eq!(stdin("main\n").status, Some(0));
    assert_eq!(stdin("main\n\nrefs/heads/topic").status, Some(1));
    says(&stdin(""), 2, &["standard input names nothing"]);
    says(&stdin("nowhere\n"), 2, &["nowhere"]);
}
