//! Many at once, and hooks that are killed: neither changes what is accepted, and nothing is left behind.

use super::Server;
use crate::common::{Done, run};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn fifty_push_at_once_and_a_tenth_of_them_lies() {
    let server = Server::new();
    let world = &server.0;
    let url = world.home.join("server.git");
    for round in 0..2 {
        let mut pushes = Vec::new();
        let mut honest = BTreeSet::new();
        for n in 0..50 {
            let clone = format!("c{n}");
            if round == 0 {
                world.home.git("", &["clone", "-q", url.to_str().unwrap(), &clone]);
                world.home.git(&clone, &["checkout", "-q", "-b", &clone]);
            }
            let hostile = n % 10 == round;
            let message = format!("round {round} of {n}");
            match n % 20 {
                _ if !hostile => world.commit(&clone, &message, &["-S"]),
                low if low < 10 => world.commit(&clone, &message, &[]),
                _ => world.commit_as(&clone, &message, &world.person("mallory"), &["-S"]),
            };
            if !hostile {
                honest.insert(n);
            } else if n % 20 < 10 {
                // a good commit above a bad one
                world.commit(&clone, &format!("above {round} of {n}"), &["-S"]);
            }
            pushes.push((n, clone.clone(), world.installed(&clone, &["push", "-q", "origin", &clone])));
        }
        let children: Vec<_> = pushes
            .into_iter()
            .map(|(n, clone, mut push)| {
                let child = push.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                (n, clone, child)
            })
            .collect();
        for (n, clone, child) in children {
            let done = Done::from(child.wait_with_output().unwrap());
            // who lied in the round before still has the bad commit below
            let passes = honest.contains(&n) && !(round == 1 && n % 10 == 0);
            assert_eq!(done.ok(), passes, "{clone} in round {round}: {done:?}");
            assert!(!done.stderr.contains("warning"), "{done:?}");
            if passes {
                assert_eq!(server.at(&format!("refs/heads/{clone}")), Some(world.id(&clone, "HEAD")));
            } else {
                assert_ne!(server.at(&format!("refs/heads/{clone}")), Some(world.id(&clone, "HEAD")));
                assert!(done.stderr.contains("[unsigned]") || done.stderr.contains("[key-unlisted]"), "{done:?}");
            }
        }
    }
    assert_eq!(left(&server), ["lock", "verified.sqlite"]);
}

/// What stands in the state's folder.
fn left(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.0.home.join("server.git/warrant")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_killed_hook_loses_nothing_but_time() {
    killed(40);
}

/// The figure of the README: `cargo test --test hook -- --ignored killed`.
#[test]
#[ignore = "takes minutes"]
fn a_thousand_killed_hooks_lose_nothing_but_time() {
    killed(1000);
}

fn killed(rounds: u32) {
    let server = Server::new();
    let world = &server.0;
    let zero = "0".repeat(crate::common::digits());
    let main = world.id("c", "HEAD");
    world.home.git("c", &["checkout", "-q", "-b", "bad"]);
    let bad = world.commit("c", "forgot", &[]);
    server.push(&["bad"]);
    world.home.git("server.git", &["fetch", "-q", "../c", "bad:refs/x/bad"]);
    let mut random = super::state::Random(7);
    let mut finished = 0;
    for round in 0..rounds {
        world.home.git("c", &["checkout", "-q", "-B", "next", &main]);
        let good = world.commit("c", &format!("good {round}"), &["-S"]);
        world.home.git("server.git", &["fetch", "-q", "../c", "+next:refs/x/next"]);
        let input = format!("{main} {good} refs/heads/main\n");
        let mut hook = world.warrant("server.git", &["hook", "pre-receive"]);
        hook.env("GIT_DIR", ".").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = hook.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        std::thread::sleep(Duration::from_micros(random.below(12_000)));
        let _ = child.kill();
        finished += u32::from(child.wait().unwrap().success());
        let again = server.called(&input);
        assert!(again.ok() && !again.stderr.contains("warning"), "{again:?}");
        assert!(again.stderr.contains("verified earlier"), "what was remembered before is lost: {again:?}");
        assert_eq!(left(&server), ["lock", "verified.sqlite"]);
        let refused = server.called(&format!("{zero} {bad} refs/heads/bad\n"));
        assert_eq!(refused.status, Some(1), "{refused:?}");
    }
    let check = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('pragma integrity_check').fetchone()[0])";
    if crate::common::has("python3") {
        let file = world.home.join("server.git/warrant/verified.sqlite");
        let checked = run(world.home.command("python3").args(["-c", check]).arg(file), b"");
        assert_eq!(checked.stdout.trim(), "ok", "{checked:?}");
    }
    println!("{rounds} hooks killed, {finished} of them had finished");
}
