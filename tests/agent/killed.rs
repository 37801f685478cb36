//! `kill -9` of the agent and of the signer, and services that break off anywhere: a commit is there whole, or not at all.

use crate::common::{OURS, Running, run, wait_for};
use crate::services::{Bed, Fault, PERSON};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn kill(bed: &Bed, whom: &str) {
    run(&mut bed.command("kill", &["-9", "--", whom]), b"");
}

/// Kills the agent at a moment of each commit: the commit is made all the same, at worst after another login.
fn kill_the_agent(kills: u64) {
    let bed = Bed::new();
    let mut random = Random(kills);
    let mut asked = 0;
    let start = Instant::now();
    bed.commits(bed.with_browser("git", &[]));
    let mut whole = u64::try_from(start.elapsed().as_micros()).unwrap();
    for _ in 0..kills {
        let logins = bed.logins();
        wait_for(|| !bed.agent("status").stdout.is_empty()); // one that is being killed neither answers nor is gone
        if bed.agent("status").stdout.contains("no agent runs") {
            bed.log_in(PERSON);
        }
        let process = bed.agent_process().to_string();
        let after = Duration::from_micros(random.below(whole));
        let start = Instant::now();
        let done = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(after);
                kill(&bed, &process);
            });
            bed.try_commit(bed.with_browser("git", &[]))
        });
        assert!(done.ok(), "a dead agent is a fresh login, never a failed commit: {done:?}");
        if bed.logins() == logins {
            whole = u64::try_from(start.elapsed().max(after).as_micros()).unwrap(); // one that was not disturbed
        }
        bed.verifies("HEAD");
        asked += bed.logins() - logins;
    }
    println!("{kills} agents killed, {asked} times somebody was asked again");
    assert!(asked > 0 && asked < usize::try_from(kills).unwrap(), "the moments do not span the commit: {asked}");
}

/// Kills the signer, and git with it, at a moment of each commit.
fn kill_the_signer(kills: u64) {
    let bed = Bed::new();
    bed.services.state().life = 100_000;
    bed.config("warrant.tsa", &format!("{}/tsa", bed.services.url));
    bed.log_in(PERSON);
    let start = Instant::now();
    bed.commits(bed.command("git", &[]));
    let mut whole = u64::try_from(start.elapsed().as_micros()).unwrap();
    let mut random = Random(kills);
    let mut made = 0;
    for round in 0..kills {
        let before = bed.head();
        let mut git = bed.command("git", &["commit", "-q", "-S", "--allow-empty", "-m", &format!("round {round}")]);
        // a group of its own: git and the signer die together
        std::os::unix::process::CommandExt::process_group(&mut git, 0);
        let start = Instant::now();
        let mut child = Running(git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let after = Duration::from_micros(random.below(whole));
        while start.elapsed() < after && child.0.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_micros(100));
        }
        kill(&bed, &format!("-{}", child.0.id()));
        if child.0.wait().unwrap().success() {
            whole = (whole + u64::try_from(start.elapsed().as_micros()).unwrap()) / 2;
        } else if after.as_micros() > u128::from(whole) * 8 / 10 {
            whole += whole / 10; // it takes longer than was thought
        }
        for lock in ["index", "HEAD", "refs/heads/main"] {
            let _ = std::fs::remove_file(bed.home.join(format!("r/.git/{lock}.lock"))); // git's own
        }
        if bed.head() != before {
            made += 1;
            bed.verifies("HEAD");
        }
    }
    // every commit there is has a whole signature, also those that no branch has
    let objects = bed.home.git("r", &["cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)"]);
    let commits: Vec<&str> = objects.lines().filter_map(|line| line.strip_prefix("commit ")).collect();
    let unsigned = commits.iter().filter(|id| !bed.home.git("r", &["cat-file", "commit", id]).contains("\ngpgsig ")).count();
    assert_eq!(unsigned, 1, "only the base is not signed");
    for id in &commits {
        if bed.home.git("r", &["cat-file", "commit", id]).contains("\ngpgsig ") {
            bed.verifies(id);
        }
    }
    println!("{kills} signers killed, {made} commits were made before, {} are in the repository", commits.len());
    assert!(made > 0 && made < kills, "the moments do not span the commit: {made}");
    let left: Vec<_> =
        std::fs::read_dir(bed.home.join("run/git-warrant")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "agent" || name == "lock"), "{left:?}");
    bed.commits(bed.command("git", &[])); // and the next is as ever
}

#[test]
fn a_killed_agent_is_a_fresh_login() {
    kill_the_agent(25);
}

#[test]
fn a_killed_signer_leaves_a_commit_or_none() {
    kill_the_signer(40);
}

/// `cargo test --test agent killed -- --ignored --nocapture`
#[test]
#[ignore = "a thousand runs: minutes"]
fn a_killed_agent_is_a_fresh_login_a_thousand_times() {
    kill_the_agent(1_000);
}

#[test]
#[ignore = "a thousand runs: minutes"]
fn a_killed_signer_leaves_a_commit_or_none_a_thousand_times() {
    kill_the_signer(1_000);
}

#[test]
fn services_that_break_off_anywhere_sign_nothing() {
    thread::scope(|scope| {
        for (path, name) in [
            ("/fulcio", "Fulcio at http://localhost:"),
            ("/rekor", "Rekor at http://localhost:"),
            ("/tsa", "the timestamp authority at http://localhost:"),
            ("/issuer/.well-known", "the issuer at http://localhost:"),
            ("/issuer/token", "the issuer at http://localhost:"),
        ] {
            scope.spawn(move || {
                let bed = Bed::new();
                bed.config("warrant.agent", "false");
                bed.config("warrant.tsa", &format!("{}/tsa", bed.services.url));
                for end in [0, 1, 30, 90, 120, 400, 900] {
                    bed.services.fail(path, Fault::Breaks(end));
                    let before = bed.head();
                    let ours = run(&mut bed.with_browser(OURS, &["--status-fd=2", "-bsau", "KEY"]), b"tree 0\n\nm\n");
                    if bed.services.state().faults.is_empty() || ours.ok() {
                        assert!(end >= 400, "{path}: {end} bytes are no whole answer: {ours:?}");
                        continue; // the answer is shorter than that
                    }
                    assert!(ours.stdout.is_empty() && !ours.stderr.contains("[GNUPG:]"), "{ours:?}");
                    assert!(ours.stderr.contains(name) && ours.stderr.contains("; "), "{path} {end}: {}", ours.stderr);
                    if end == 90 {
                        let done = bed.try_commit(bed.with_browser("git", &[]));
                        assert!(!done.ok() && bed.head() == before, "{done:?}");
                        assert_eq!(bed.home.git("r", &["status", "--porcelain"]), "");
                    }
                }
                bed.services.mend();
                bed.commits(bed.with_browser("git", &[]));
            });
        }
    });
}

#[test]
fn a_rebase_stops_where_a_service_stops() {
    let bed = Bed::new();
    bed.log_in(PERSON);
    bed.home.git("r", &["checkout", "-q", "-b", "side"]);
    for number in 0..12 {
        bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", &format!("number {number}")]);
    }
    bed.home.git("r", &["checkout", "-q", "main"]);
    bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", "other base"]);
    bed.home.git("r", &["checkout", "-q", "side"]);
    let services = &bed.services;
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            wait_for(|| services.asked("/rekor") >= 5);
            services.fail("/rekor", Fault::Breaks(0));
        });
        run(&mut bed.command("git", &["rebase", "-q", "-S", "main"]), b"")
    });
    assert!(!done.ok(), "{done:?}");
    let signed = bed.home.git("r", &["rev-list", "main..HEAD"]);
    assert!((4..12).contains(&signed.lines().count()), "{signed}");
    signed.lines().for_each(|id| drop(bed.verifies(id)));
    // it goes on where it stopped
    services.mend();
    let mut on = bed.command("git", &["rebase", "--continue"]);
    let done = run(&mut on, b"");
    assert!(done.ok(), "{done:?}");
    let signed = bed.home.git("r", &["rev-list", "main..side"]);
    assert_eq!(signed.lines().count(), 12);
    signed.lines().for_each(|id| drop(bed.verifies(id)));
}
