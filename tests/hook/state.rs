//! The state is a cache: with it, without it, with an older one and with a damaged one, every push gets the same verdict.

use super::Server;
use crate::common::{Done, has, run, skipped};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(u64::try_from(bound).unwrap())).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }
}

/// Sets the clock of programs that it is loaded into ahead by $AHEAD seconds.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(which, time);
    const char *ahead = getenv("AHEAD");
    if (done == 0 && which == CLOCK_REALTIME && ahead) time->tv_sec += atol(ahead);
    return done;
}
"#;

const HOUR: i64 = 3600;

struct Case {
    server: Server,
    clock: PathBuf,
    random: Random,
    commits: Vec<String>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let server = Server::bare();
        let home = &server.0.home;
        let source = home.write("clock.c", CLOCK);
        let clock = home.join("clock.so");
        let made = run(home.command("cc").args(["-shared", "-fPIC", "-o"]).arg(&clock).arg(source).arg("-ldl"), b"");
        assert!(made.ok(), "{made:?}");
        home.git("server.git", &["config", "user.signingKey", home.join("alice").to_str().unwrap()]);
        Self { server, clock, random: Random(seed), commits: Vec::new() }
    }

    /// A commit above random ones, by somebody, signed by somebody.
    fn commit(&mut self) {
        let home = &self.server.0.home;
        let nothing = self.server.0.home.git("server.git", &["hash-object", "-w", "-t", "tree", "/dev/null"]);
        let mut args = vec!["commit-tree".to_owned(), nothing, "-m".to_owned()];
        args.push(format!("commit {}", self.commits.len()));
        let newest = self.commits.iter().rev().take(4).cloned().collect::<Vec<_>>();
        let mut parents = Vec::new();
        for _ in 0..=self.random.below(2) {
            let from = if self.random.below(5) == 0 { &self.commits } else { &newest };
            if !from.is_empty() {
                parents.push(self.random.pick(from).clone());
            }
        }
        parents.dedup();
        parents.iter().for_each(|parent| args.extend(["-p".to_owned(), parent.clone()]));
        let who = *self.random.pick(&["alice", "alice", "alice", "bob", "bob", "bob", "bob", "mallory", "unsigned"]);
        if who != "unsigned" {
            args.push("-S".to_owned());
        }
        let person = if who == "unsigned" { "alice" } else { who };
        // dates are whatever the committer says, or nothing can be told from them
        let odd = ["2021-01-01T00:00:00Z", "1990-01-01T00:00:00Z"];
        let mut git = home.command("git");
        git.arg("-C").arg(home.join("server.git"));
        for setting in self.server.0.person(person) {
            git.args(["-c", &setting]);
        }
        if self.random.below(4) == 0 {
            let date = *self.random.pick(&odd);
            git.env("GIT_COMMITTER_DATE", date).env("GIT_AUTHOR_DATE", date);
        }
        let made = run(git.args(&args), b"");
        assert!(made.ok(), "{made:?}");
        self.commits.push(made.stdout.trim().to_owned());
    }

    fn state(&self) -> PathBuf {
        self.server.0.home.join("server.git/warrant")
    }

    /// The verdict by the hook, the clock set ahead.
    fn called(&self, input: &str, ahead: i64) -> (Option<i32>, Vec<String>) {
        let mut hook = self.server.0.warrant("server.git", &["hook", "pre-receive"]);
        hook.env("GIT_DIR", ".").env("LD_PRELOAD", &self.clock).env("AHEAD", ahead.to_string());
        let done = run(&mut hook, input.as_bytes());
        let rejected = |line: &&str| line.starts_with("reject ") || line.starts_with("unjudged ") || line.starts_with("warning");
        (done.status, done.stderr.lines().filter(rejected).map(str::to_owned).collect())
    }

    /// Another policy, or other settings.
    fn change(&mut self, soon: &str) {
        let world = &self.server.0;
        let policies = [
            world.line("alice", "") + &world.line("bob", ""),
            world.line("alice", "") + &world.line("bob", &format!("valid-before=\"{soon}\"")),
            world.line("alice", "") + &world.line("bob", &format!("valid-before=\"{soon}\"")) + &world.line("mallory", ""),
            world.line("alice", ""),
        ];
        world.home.write("signers", self.random.pick(&policies));
        for name in ["warrant.baseline", "warrant.settled"] {
            let _ = run(
                world.home.command("git").arg("-C").arg(world.home.join("server.git")).args(["config", "--unset-all", name]),
                b"",
            );
            if self.random.below(3) == 0 {
                let id = self.random.pick(&self.commits).clone();
                world.home.git("server.git", &["config", "--add", name, &id]);
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    if !from.exists() {
        return;
    }
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn corrupt(folder: &Path, random: &mut Random) {
    let path = folder.join("verified.sqlite");
    let Ok(mut bytes) = fs::read(&path) else { return };
    match random.below(4) {
        0 => bytes.truncate(random.index(bytes.len() + 1)),
        1 => bytes = b"no database".repeat(1000),
        _ => {
            for _ in 0..=random.below(40) {
                let at = random.index(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    fs::write(path, bytes).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn verdicts_do_not_depend_on_the_state() {
    if !has("cc") {
        return skipped("cc, to set a hook's clock");
    }
    let (mut accepted, mut refused, mut near) = (0, 0, 0);
    for seed in 0..12 {
        let mut case = Case::new(seed);
        let home = case.server.0.home.path().to_owned();
        let date = run(case.server.0.home.command("date").args(["-u", "-d", "+1 hour", "+%Y%m%d%H%M%SZ"]), b"");
        let soon = date.stdout.trim().to_owned();
        (0..4).for_each(|_| case.commit());
        let mut older: Vec<PathBuf> = Vec::new();
        let mut old = "0".repeat(crate::common::digits());
        for step in 0..14 {
            case.commit();
            if case.random.below(5) == 0 {
                case.change(&soon);
            }
            let ahead = *case.random.pick(&[0, 0, 0, 2 * HOUR, -2 * HOUR, 24 * HOUR]);
            let tip = if case.random.below(3) == 0 {
                case.random.pick(&case.commits).clone()
            } else {
                case.commits.last().unwrap().clone()
            };
            let other = case.random.pick(&case.commits).clone();
            let zero = "0".repeat(crate::common::digits());
            let mut input = format!("{old} {tip} refs/heads/main\n");
            if case.random.below(3) == 0 {
                input += &format!("{zero} {other} refs/heads/other\n");
            }
            let before = home.join(format!("before-{step}"));
            copy(&case.state(), &before);
            let verdict = case.called(&input, ahead);
            let after = home.join(format!("after-{step}"));
            copy(&case.state(), &after);
            older.push(before.clone());

            let what = format!("seed {seed}, step {step}: {input}");
            let _ = fs::remove_dir_all(case.state());
            assert_eq!(case.called(&input, ahead), verdict, "without a state; {what}");
            copy(&case.random.pick(&older).clone(), &case.state());
            assert_eq!(case.called(&input, ahead), verdict, "with an older state; {what}");
            copy(&before, &case.state());
            let state = case.state();
            corrupt(&state, &mut case.random);
            assert_eq!(case.called(&input, ahead), verdict, "with a damaged state; {what}");
            assert_eq!(case.called(&input, ahead), verdict, "with one that was mended; {what}");
            copy(&after, &case.state());
            match verdict.0 {
                Some(0) => {
                    accepted += 1;
                    near += u32::from(before.join("verified.sqlite").exists());
                    old = tip;
                }
                Some(1) => refused += 1,
                other => panic!("status {other:?}; {what}"),
            }
        }
    }
    println!("{accepted} accepted, {refused} refused, {near} with a state");
    assert!(
        accepted > 20 && refused > 20 && near > 10,
        "the cases are too one-sided: {accepted} accepted, {refused} refused, {near}"
    );
}

#[test]
fn a_push_is_judged_down_to_what_was_verified() {
    let server = Server::new();
    let world = &server.0;
    for n in 0..6 {
        world.commit("c", &format!("more {n}"), &["-S"]);
    }
    assert!(server.passes(&["main"]).stderr.contains("6 accepted, 0 rejected, 0 unjudged, above 1 commit verified earlier"));
    // from below a verified tip
    world.home.git("c", &["checkout", "-q", "-b", "topic", "HEAD~3"]);
    world.commit("c", "aside", &["-S"]);
    let pushed = server.passes(&["topic"]);
    assert!(pushed.stderr.contains("1 accepted, 0 rejected, 0 unjudged, above 1 commit verified earlier"), "{pushed:?}");
    // and a merge of both
    world.home.git("c", &["merge", "-q", "-S", "-m", "both", "main"]);
    let pushed = server.passes(&["topic:main"]);
    assert!(pushed.stderr.contains("1 accepted, 0 rejected, 0 unjudged, above 2 commits verified earlier"), "{pushed:?}");
    // verify walks all of it
    let all = world.verify("server.git", &["main"]);
    assert!(all.stdout.contains("9 accepted"), "{all:?}");
    // what is refused is not remembered
    let unsigned = world.commit("c", "forgot", &[]);
    server.refused(&["topic"], &["[unsigned]", &unsigned]);
    server.refused(&["topic"], &["[unsigned]", &unsigned, "0 accepted, 1 rejected"]);
    // another policy: all is judged again
    world.signers("signers", &["bob"]);
    server.mode("signers", 0o644);
    server.refused(&["main:refs/heads/again"], &["[key-unlisted]", "0 accepted, 7 rejected"]);
}

#[test]
fn what_was_verified_by_another_standard_counts_for_nothing() {
    let server = Server::new();
    let world = &server.0;
    let first = world.id("c", "HEAD");
    // a policy of the same length and with another digest
    let ours = fs::read_to_string(world.home.join("signers")).unwrap();
    let other = ours.replace(&world.home.public("alice"), &world.home.public("mallory"));
    assert_eq!(ours.len(), other.len());
    world.home.write("signers", other);
    server.refused(&["main:x"], &["[key-unlisted]", &first]);
    world.home.write("signers", ours);
    server.passes(&["main:x"]);

    let unsigned = world.commit("c", "forgot", &[]);
    world.commit("c", "signed above", &["-S"]);
    server.set("warrant.baseline", &unsigned);
    server.passes(&["main:y"]);
    server.passes(&["main:z"]);
    world.home.git("server.git", &["config", "--unset-all", "warrant.baseline"]);
    server.refused(&["main:x2"], &["[unsigned]", &unsigned]);
    // named, but not there: it hides nothing any more
    server.set("warrant.baseline", &"1".repeat(crate::common::digits()));
    server.refused(&["main:x2"], &["[unsigned]", &unsigned]);

    world.home.git("server.git", &["config", "--unset-all", "warrant.baseline"]);
    world.home.git("c", &["checkout", "-q", "-b", "old", &first]);
    let old = world.commit_on("c", "old", "2024-01-01T00:00:00Z");
    server.set("warrant.baseline", &first);
    let end = "namespaces=\"git\",valid-before=\"20240601Z\"";
    world.home.write("signers", world.line("alice", end) + &world.line("bob", ""));
    server.set("warrant.settled", &old);
    server.passes(&["old"]);
    server.passes(&["old:old2"]);
    world.home.git("server.git", &["config", "--unset-all", "warrant.settled"]);
    server.refused(&["old:old3"], &["[claimed-only]", &old]);
    server.set("warrant.settled", &old);
    // what is asked beyond the policy
    server.passes(&["old:old3"]);
    server.hook("#!/bin/sh\nexec git-warrant hook pre-receive --strict --revoked \"$HOME/none\"\n");
    world.home.write("none", world.home.public("alice") + "\n");
    server.mode("none", 0o644);
    server.refused(&["old:old4"], &["[key-revoked]", &old]);
}

#[test]
fn a_damaged_state_is_made_anew() {
    let server = Server::new();
    let world = &server.0;
    let file = world.home.join("server.git/warrant/verified.sqlite");
    for (n, damage) in ["", "no database at all", &"no database at all".repeat(1000)].iter().enumerate() {
        fs::write(&file, damage).unwrap();
        world.commit("c", &format!("push {n}"), &["-S"]);
        let pushed = server.passes(&["main"]);
        assert!(!pushed.stderr.contains("verified earlier") && !pushed.stderr.contains("warning"), "{pushed:?}");
        world.commit("c", &format!("push again {n}"), &["-S"]);
        let pushed = server.passes(&["main"]);
        assert!(pushed.stderr.contains("1 accepted, 0 rejected, 0 unjudged, above 1 commit verified earlier"), "{pushed:?}");
    }
}

#[test]
fn nobody_else_writes_the_state() {
    let server = Server::new();
    let world = &server.0;
    let state = world.home.join("server.git/warrant");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let push = |n: u32| {
        world.commit("c", &format!("push {n}"), &["-S"]);
        let pushed: Done = server.passes(&["main"]);
        pushed.stderr
    };
    assert!(push(1).contains("verified earlier"));
    for (n, path) in [state.clone(), state.join("verified.sqlite"), state.join("lock")].iter().enumerate() {
        let before = mode(path);
        fs::set_permissions(path, fs::Permissions::from_mode(before | 0o020)).unwrap();
        let said = push(2 + u32::try_from(n).unwrap());
        assert!(said.contains("warning: nothing is remembered") && !said.contains("verified earlier"), "{said}");
        fs::set_permissions(path, fs::Permissions::from_mode(before)).unwrap();
    }
    fs::rename(&state, world.home.join("aside")).unwrap();
    std::os::unix::fs::symlink(world.home.join("aside"), &state).unwrap();
    assert!(push(6).contains("warning: nothing is remembered"));
    fs::remove_file(&state).unwrap();
    fs::write(&state, "a file").unwrap();
    assert!(push(7).contains("warning: nothing is remembered"));
    fs::remove_file(&state).unwrap();
    assert!(!push(8).contains("warning"));
    assert!(push(9).contains("verified earlier"));
}

#[test]
fn a_shallow_repository_remembers_nothing() {
    let server = Server::new();
    let world = &server.0;
    fs::remove_dir_all(world.home.join("server.git/warrant")).unwrap();
    let tip = world.id("c", "HEAD");
    world.home.write("server.git/shallow", format!("{tip}\n"));
    let zero = "0".repeat(crate::common::digits());
    assert!(server.called(&format!("{zero} {tip} refs/heads/x\n")).ok());
    assert!(!world.home.join("server.git/warrant").exists());
}
