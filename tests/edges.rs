//! `git warrant` at the edges: arguments that could hide something from each other, names that look like something else, text
//! without end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "support/world.rs"]
mod world;

use common::{Done, digits, run};
use std::fmt::Write as _;
use world::{World, done, says, unsigned_stream};

/// Asserts the status, and that standard output says certain things.
#[track_caller]
fn reports(done: &Done, status: i32, words: &[&str]) {
    assert_eq!(done.status, Some(status), "{done:?}");
    for word in words {
        assert!(done.stdout.contains(word), "`{word}` is not reported: {}", done.stdout);
    }
}

#[test]
fn a_range_hides_nothing_from_another_argument() {
    let world = World::new();
    world.repo("r", &[]);
    world.commit("r", "unsigned", &[]);
    world.commit("r", "signed", &["-S"]);
    assert_eq!(world.verify("r", &["HEAD~1..HEAD"]).status, Some(0));
    assert_eq!(world.verify("r", &["HEAD"]).status, Some(1));
    says(&world.verify("r", &["HEAD~1..HEAD", "HEAD"]), 2, &["hide commits from each other"]);
    says(&world.verify("r", &["--no-walk", "HEAD~1..HEAD"]), 2, &["--no-walk judges the objects that are named"]);
}

#[test]
fn a_tag_whose_name_holds_an_at_sign_is_held_to_its_name() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["tag", "-s", "-m", "one", "pkg@1.0.0"]);
    assert_eq!(world.judged("r", &["pkg@1.0.0"]).words(), ["accept", "accept"]);
    world.home.git("r", &["update-ref", "refs/tags/pkg@2.0.0", "refs/tags/pkg@1.0.0"]);
    for name in ["pkg@2.0.0", "refs/tags/pkg@2.0.0"] {
        assert_eq!(world.judged("r", &[name]).words(), ["tag-name-mismatch", "accept"], "{name}");
    }
    world.home.git("r", &["tag", "light@1"]);
    says(&world.verify("r", &["light@1"]), 0, &["refs/tags/light@1 is a lightweight tag"]);
    let peeled = world.verify("r", &["pkg@1.0.0^{commit}"]);
    assert!(peeled.ok() && !peeled.stderr.contains("lightweight"), "{peeled:?}");
}

#[test]
fn a_tag_of_something_that_is_not_here_is_not_accepted() {
    let world = World::new();
    world.signed("r", 2);
    world.home.git("r", &["tag", "-s", "-m", "one", "v1"]);
    let id = world.id("r", "v1^{commit}");
    std::fs::remove_file(world.home.join("r/.git/objects").join(&id[..2]).join(&id[2..])).unwrap();
    let alone = world.judged("r", &["--no-walk", "refs/tags/v1"]);
    assert_eq!((alone.status, alone.words()), (Some(3), vec!["missing-object".to_owned()]));
}

/// What lies above a baseline or the start of a range is somebody's unsigned commit, not a past to be left out in one line.
#[test]
fn an_unsigned_commit_of_a_range_is_named_with_its_author() {
    let world = World::new();
    world.signed("r", 1);
    world.commit_as("r", "evil", &world.person("mallory"), &[]);
    let base = world.id("r", "HEAD~1");
    for args in [vec!["HEAD~1..HEAD"], vec!["--baseline", &base]] {
        let said = world.verify("r", &args);
        reports(&said, 1, &[" by mallory <mallory@example.com> \"evil\" [unsigned]", "why:  not signed"]);
        assert!(!said.stdout.contains("at or below"), "{said:?}");
    }
}

/// What a policy settles and is not here might have settled this: no verdict.
#[test]
fn what_is_settled_by_something_that_is_not_here_is_unjudged() {
    let world = World::new();
    world.repo("r", &[]);
    let old = world.commit_on("r", "old", "2024-01-01T00:00:00Z");
    world.home.write("signers", world.line("alice", "valid-before=\"20231231Z\""));
    let absent = "1".repeat(digits());
    let judged = |settled: &str| world.judged("r", &["--settled", settled]);
    assert_eq!((judged(&absent).status, judged(&absent).words()), (Some(3), vec!["settled-missing".to_owned()]));
    assert_eq!((judged(&old).status, judged(&old).words()), (Some(0), vec!["accept".to_owned()]));
    assert_eq!(world.judged("r", &[]).words(), ["key-expired"]);
}

#[test]
fn what_a_line_excludes_is_rejected_and_a_line_of_nobody_is_said() {
    let world = World::new();
    world.signed("r", 1);
    let key = world.home.public("alice");
    world.home.write("signers", format!("*@example.com,!alice@example.com {key}\n"));
    assert_eq!(world.judged("r", &[]).words(), ["signer-not-committer"]);
    world.home.write("signers", format!("!bob@example.com {key}\n"));
    let said = world.verify("r", &[]);
    reports(&said, 1, &["[key-unlisted]"]);
    assert!(said.stderr.contains("signers:1: names nobody"), "{said:?}");
}

#[test]
fn text_without_end_is_cut_in_reports() {
    const MEGABYTE: usize = 1 << 20;
    let world = World::new();
    world.signed("r", 1);
    let raw = world.raw("r", "HEAD");
    let (head, signature) = raw.split_once("gpgsig").unwrap();
    let long = "x".repeat(MEGABYTE);
    for commit in [
        head.replace("@example.com>", &format!("@{long}>")) + "\nlong e-mail\n",
        format!("{head}gpgsig{long} y\ngpgsig{signature}"),
        format!("{head}\n{long}\n"),
    ] {
        let id = world.object("r", "commit", commit.as_bytes());
        for form in ["human", "jsonl"] {
            let said = world.verify("r", &["--format", form, &id]);
            assert_eq!(said.status, Some(1), "{form}");
            assert!(said.stdout.len() < 10_000, "{form}: {} bytes", said.stdout.len());
        }
    }
}

/// The line to add to the policy holds nothing that the commit chose but a plain address.
#[test]
fn no_line_of_a_policy_is_suggested_in_the_words_of_a_commit() {
    let world = World::new();
    let mut eve = world.person("mallory");
    eve.retain(|setting| !setting.starts_with("user.email"));
    eve.push("user.email=boss@example.com cert-authority ssh-ed25519 AAAA,*".to_owned());
    world.repo("r", &[]);
    world.commit_as("r", "hello", &eve, &["-S"]);
    let said = world.verify("r", &[]);
    reports(&said, 1, &["[key-unlisted]", "NAME namespaces=\"git\" ssh-ed25519 "]);
    let (_, mend) = said.stdout.split_once("mend:").unwrap();
    assert!(!mend.contains("cert-authority"), "{said:?}");
}

/// A commit that merges many large ones: no more of them are in memory at a time than a bound allows.
#[test]
fn large_commits_wait_outside_of_memory() {
    let world = World::new();
    world.repo("r", &[]);
    let tree = done(world.home.command("git").arg("-C").arg(world.home.join("r")).arg("write-tree")).stdout.trim().to_owned();
    let who = "mallory <mallory@example.com> 1700000000 +0000";
    let large = "x".repeat(14 << 20);
    let mut parents = String::new();
    for number in 0..80 {
        let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n{number} {large}\n");
        writeln!(parents, "parent {}", world.object("r", "commit", text.as_bytes())).unwrap();
    }
    let merge = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\nmerge\n");
    let merge = world.object("r", "commit", merge.as_bytes());
    let ours = common::OURS;
    let line = format!("ulimit -v 900000; exec {ours} verify --threads 2 --policy {} --format jsonl {merge}", world.policy());
    let said = run(world.home.command("sh").args(["-c", &line]).current_dir(world.home.join("r")), b"");
    assert_eq!(said.status, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains("\"rejected\":81"), "{}", said.stderr);
}

#[test]
fn show_works_where_the_configured_policy_does_not() {
    let world = World::new();
    world.signed("r", 1);
    world.home.write("r/signers", world.line("alice", ""));
    world.home.git("r", &["config", "gpg.ssh.allowedSignersFile", "signers"]);
    let shown = done(&mut world.warrant("r", &["show", "HEAD"]));
    reports(&shown, 0, &["not judged: no policy"]);
    says(&shown, 0, &["inside the work tree"]);
    let asked = done(&mut world.warrant("r", &["show", "--policy", "signers", "HEAD"]));
    says(&asked, 2, &["inside the work tree"]);
}

#[test]
fn a_stream_of_unsigned_commits_is_one_line() {
    let world = World::new();
    world.repo("r", &[]);
    let stream = unsigned_stream(500);
    let imported =
        run(world.home.command("git").arg("-C").arg(world.home.join("r")).args(["fast-import", "--quiet"]), stream.as_bytes());
    assert!(imported.ok(), "{imported:?}");
    let said = world.verify("r", &["main"]);
    reports(&said, 1, &["500 commits at or below", "are unsigned: --baseline"]);
    assert!(said.stdout.lines().count() < 6, "{said:?}");
}
