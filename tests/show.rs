//! `git warrant show`: what one object proves, with a policy and without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test says what went wrong by failing there

mod common;
#[path = "support/world.rs"]
mod world;

use common::Done;
use serde_json::Value;
use world::{World, done, says};

fn show(world: &World, args: &[&str]) -> Done {
    done(&mut world.warrant("r", &[&["show"], args].concat()))
}

#[track_caller]
fn json(world: &World, args: &[&str]) -> Value {
    let ran = show(world, &[&["--format", "jsonl"], args].concat());
    assert!(ran.ok() && ran.stderr.is_empty() && ran.stdout.lines().count() == 1, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn works_without_a_policy() {
    let world = World::new();
    world.signed("r", 1);
    let id = world.id("r", "HEAD");
    let human = show(&world, &["HEAD"]);
    assert!(human.ok(), "{human:?}");
    for words in
        [&format!("commit {id}\n"), "signature   good", "key         ssh-ed25519 SHA256:", "not judged: no policy", "namespace git"]
    {
        assert!(human.stdout.contains(words), "{words}: {}", human.stdout);
    }
    let shown = json(&world, &["HEAD"]);
    assert_eq!(shown["object"], id.as_str());
    assert_eq!((&shown["type"], &shown["signature"]["result"]), (&"commit".into(), &"good".into()));
    assert_eq!(shown["verdict"], "not judged: no policy");
    assert_eq!(shown["signature"]["evidence"]["public_key"], world.home.public("alice"));
    assert_eq!(shown["signature"]["payload_id"].as_str().unwrap().len(), 64);
}

#[test]
fn shows_the_policys_answer_and_exits_0_whatever_it_is() {
    let world = World::new();
    world.signed("r", 1);
    world.commit("r", "unsigned", &[]);
    world.commit_as("r", "stranger", &world.person("mallory"), &["-S"]);
    world.home.git("r", &["tag", "-s", "-m", "m", "v1"]);
    world.home.git("r", &["tag", "-a", "-m", "m", "unsigned"]);
    world.home.git("r", &["update-ref", "refs/tags/v9", "refs/tags/v1"]);
    let policy = world.policy();
    for (revision, verdict, code) in [
        ("HEAD~2", "accept", None),
        ("HEAD~1", "reject", Some("unsigned")),
        ("HEAD", "reject", Some("key-unlisted")),
        ("v1", "accept", None),
        ("unsigned", "reject", Some("unsigned")),
        ("v9", "reject", Some("tag-name-mismatch")),
    ] {
        let shown = json(&world, &["--policy", &policy, revision]);
        assert_eq!((shown["verdict"]["verdict"].as_str(), shown["verdict"]["code"].as_str()), (Some(verdict), code), "{revision}");
        let human = show(&world, &["--policy", &policy, revision]);
        assert!(human.ok() && human.stdout.contains(code.unwrap_or("alice@example.com")), "{human:?}");
    }
}

#[test]
fn merged_tags_are_shown_by_themselves() {
    let world = World::new();
    world.signed("r", 1);
    world.home.git("r", &["checkout", "-q", "-b", "side"]);
    world.commit("r", "side", &["-S"]);
    world.home.git("r", &["-c", &format!("user.signingKey={}", world.home.join("bob").display()), "tag", "-s", "-m", "m", "v1"]);
    world.home.git("r", &["tag", "-a", "-m", "m", "unsigned"]);
    world.home.git("r", &["checkout", "-q", "main"]);
    world.commit("r", "main", &["-S"]);
    world.home.git("r", &["merge", "-q", "-S", "--no-ff", "--no-edit", "v1"]);
    let shown = json(&world, &["HEAD"]);
    assert_eq!(shown["mergetags"].as_array().unwrap().len(), 1);
    assert_eq!(shown["mergetags"][0]["result"], "good");
    assert_eq!(shown["mergetags"][0]["evidence"]["public_key"], world.home.public("bob"));
    assert_eq!(shown["signature"]["evidence"]["public_key"], world.home.public("alice"));
    let human = show(&world, &["HEAD"]);
    assert!(human.ok() && human.stdout.contains("mergetag"), "{human:?}");
    // the merge itself is judged by its own signature
    assert_eq!(world.judged("r", &[]).words(), vec!["accept"; 4]);
}

#[test]
fn what_is_no_commit_and_no_tag_is_a_usage_error() {
    let world = World::new();
    world.signed("r", 1);
    says(&show(&world, &["HEAD^{tree}"]), 2, &["HEAD^{tree}", "is a tree", "name a commit or a tag"]);
    says(&show(&world, &["HEAD:signed-1"]), 2, &["is a blob"]);
    says(&show(&world, &["--policy", "absent", "HEAD"]), 2, &["absent", "cannot read"]);
    says(&show(&world, &[]), 2, &[]);
}
