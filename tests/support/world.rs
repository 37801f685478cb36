//! People with keys, repositories in which they commit, and what `git warrant` says of them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common::{Done, Home, OURS, run};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// A home with the keys of Alice, Bob and Mallory; git signs as Alice, through us. The file `signers` lists Alice and Bob.
pub struct World {
    pub home: Home,
}

/// What one judged object got: its id, `accept` or the code, and the codes of the warnings.
pub type Verdict = (String, String, Vec<String>);

impl World {
    pub fn new() -> Self {
        let home = Home::new();
        for name in ["alice", "bob", "mallory"] {
            home.key(name, &["ed25519"], "");
        }
        let world = Self { home };
        world.config("gpg.format", "ssh");
        world.config("gpg.ssh.program", OURS);
        world.config("user.signingKey", world.home.join("alice").to_str().unwrap());
        world.config("core.editor", "true");
        world.signers("signers", &["alice", "bob"]);
        std::fs::create_dir(world.home.join("bin")).unwrap();
        std::os::unix::fs::symlink(OURS, world.home.join("bin/git-warrant")).unwrap();
        world
    }

    /// Sets a global setting.
    pub fn config(&self, name: &str, value: &str) {
        self.home.git("", &["config", "--global", name, value]);
    }

    /// Writes an allowed_signers file that lists some keys as `NAME@example.com`.
    pub fn signers(&self, file: &str, names: &[&str]) -> PathBuf {
        self.home.write(file, names.iter().map(|name| self.line(name, "")).collect::<String>())
    }

    /// One line of an allowed_signers file.
    pub fn line(&self, name: &str, options: &str) -> String {
        format!("{name}@example.com {options} {}\n", self.home.public(name))
    }

    pub fn policy(&self) -> String {
        self.home.join("signers").to_str().unwrap().to_owned()
    }

    /// A new repository.
    pub fn repo<'a>(&self, name: &'a str, args: &[&str]) -> &'a str {
        let all: Vec<&str> = ["init", "-q", "--template="].iter().chain(args).copied().chain([name]).collect();
        self.home.git("", &all);
        name
    }

    /// A repository with `n` signed commits.
    pub fn signed<'a>(&self, name: &'a str, n: usize) -> &'a str {
        self.repo(name, &[]);
        for number in 1..=n {
            self.commit(name, &format!("signed {number}"), &["-S"]);
        }
        name
    }

    /// A commit of a file named after the message; its id.
    pub fn commit(&self, repo: &str, message: &str, args: &[&str]) -> String {
        self.commit_as(repo, message, &[], args)
    }

    /// A commit with `git -c` settings.
    pub fn commit_as(&self, repo: &str, message: &str, settings: &[String], args: &[&str]) -> String {
        self.home.write(format!("{repo}/{}", message.replace([' ', '/'], "-")), message);
        self.home.git(repo, &["add", "-A"]);
        let mut all: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting.as_str()]).collect();
        all.extend(["commit", "-q", "-m", message]);
        all.extend(args);
        self.home.git(repo, &all);
        self.id(repo, "HEAD")
    }

    /// The settings of another person, for `commit_as`.
    pub fn person(&self, name: &str) -> Vec<String> {
        let key = self.home.join(name);
        vec![format!("user.name={name}"), format!("user.email={name}@example.com"), format!("user.signingKey={}", key.display())]
    }

    pub fn id(&self, repo: &str, revision: &str) -> String {
        self.home.git(repo, &["rev-parse", revision])
    }

    /// Signs what is committed from now on as of a date.
    pub fn commit_on(&self, repo: &str, message: &str, date: &str) -> String {
        self.home.write(format!("{repo}/{}", message.replace(' ', "-")), message);
        self.home.git(repo, &["add", "-A"]);
        let mut command = self.home.command("git");
        command.arg("-C").arg(self.home.join(repo)).args(["commit", "-q", "-S", "-m", message]);
        command.env("GIT_COMMITTER_DATE", date).env("GIT_AUTHOR_DATE", date);
        let done = run(&mut command, b"");
        assert!(done.ok(), "{done:?}");
        self.id(repo, "HEAD")
    }

    /// An object with exactly these bytes, whatever git thinks of them; its id.
    pub fn object(&self, repo: &str, kind: &str, bytes: &[u8]) -> String {
        let mut command = self.home.command("git");
        command.arg("-C").arg(self.home.join(repo)).args(["hash-object", "--literally", "-w", "--stdin", "-t", kind]);
        let done = run(&mut command, bytes);
        assert!(done.ok(), "{done:?}");
        done.stdout.trim().to_owned()
    }

    pub fn raw(&self, repo: &str, id: &str) -> String {
        self.home.git(repo, &["cat-file", "-p", id]) + "\n"
    }

    /// `git-warrant ARGS` in a repository, not yet run.
    pub fn warrant(&self, repo: &str, args: &[&str]) -> Command {
        let mut command = self.home.ours(args);
        command.current_dir(self.home.join(repo));
        command
    }

    /// `git-warrant verify ARGS` by the file `signers`.
    pub fn verify(&self, repo: &str, args: &[&str]) -> Done {
        self.verify_by(repo, &self.policy(), args)
    }

    pub fn verify_by(&self, repo: &str, policy: &str, args: &[&str]) -> Done {
        let all: Vec<&str> = ["verify", "--policy", policy].iter().chain(args).copied().collect();
        done(&mut self.warrant(repo, &all))
    }

    /// The verdicts of `git-warrant verify ARGS` by the file `signers`, with the summary.
    pub fn judged(&self, repo: &str, args: &[&str]) -> Judged {
        self.judged_by(repo, &self.policy(), args)
    }

    pub fn judged_by(&self, repo: &str, policy: &str, args: &[&str]) -> Judged {
        let all: Vec<&str> = ["--format", "jsonl"].iter().chain(args).copied().collect();
        Judged::of(self.verify_by(repo, policy, &all))
    }

    /// Runs git as a user would, where `git warrant` is installed.
    pub fn installed(&self, folder: &str, args: &[&str]) -> Command {
        let mut command = self.home.command("git");
        let path = format!("{}:{}", self.home.join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).current_dir(self.home.join(folder)).args(args);
        command
    }
}

/// The lines of `--format jsonl`, taken apart.
#[derive(Debug)]
pub struct Judged {
    pub status: Option<i32>,
    pub stderr: String,
    pub stdout: String,
    pub lines: Vec<Value>,
    pub summary: Value,
}

impl Judged {
    pub fn of(done: Done) -> Self {
        let mut lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().unwrap_or_else(|| panic!("{done:?}"))["summary"].take();
        assert!(summary.is_object(), "{}", done.stdout);
        assert_eq!(summary["exit"].as_i64(), done.status.map(i64::from), "{}", done.stdout);
        Self { status: done.status, stderr: done.stderr, stdout: done.stdout, lines, summary }
    }

    /// The objects with what they got, in order.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |line: &Value| {
            let word = if line["verdict"] == "accept" { text(&line["verdict"]) } else { text(&line["code"]) };
            (text(&line["object"]), word, line["warnings"].as_array().unwrap().iter().map(text).collect())
        };
        self.lines.iter().map(one).collect()
    }

    /// `accept` or the code of one object.
    pub fn of_object(&self, id: &str) -> String {
        let found = self.verdicts().into_iter().find(|(object, _, _)| object == id);
        found.unwrap_or_else(|| panic!("{id} was not judged: {}", self.stdout)).1
    }

    /// The words of all objects, in order, without the ids.
    pub fn words(&self) -> Vec<String> {
        self.verdicts().into_iter().map(|(_, word, _)| word).collect()
    }

    pub fn count(&self, name: &str) -> u64 {
        self.summary[name].as_u64().unwrap()
    }
}

/// Runs a program that does not read its standard input.
pub fn done(command: &mut Command) -> Done {
    command.stdin(std::process::Stdio::null()).output().unwrap().into()
}

/// Asserts the status, and that standard error says certain things.
#[track_caller]
pub fn says(done: &Done, status: i32, words: &[&str]) {
    assert_eq!(done.status, Some(status), "{done:?}");
    for word in words {
        assert!(done.stderr.contains(word), "`{word}` is not said: {}", done.stderr);
    }
}

/// A stream for `git fast-import`: a line of unsigned commits on `main`, some of them merges.
pub fn unsigned_stream(n: usize) -> String {
    let mut stream = String::new();
    for number in 1..=n {
        let _ = write!(
            stream,
            "commit refs/heads/main\nmark :{number}\nauthor A {number} <a{number}@x> {} +0000\ncommitter C <c@x> {} +0000\ndata 2\nm\n",
            1_700_000_000 + number,
            1_700_000_000 + (number * 7919) % 5000
        );
        if number > 1 {
            let _ = writeln!(stream, "from :{}", number - 1);
        }
        if number > 9 && number % 5 == 0 {
            let _ = writeln!(stream, "merge :{}", number - 7);
        }
        stream.push('\n');
    }
    stream
}
