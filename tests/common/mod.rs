//! What journeys share: a home of their own, and the programs run in it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const OURS: &str = env!("CARGO_BIN_EXE_git-warrant");

/// The hash function of repositories that do not name one: that of WARRANT_TEST_HASH, else git's default.
pub fn hash() -> String {
    std::env::var("WARRANT_TEST_HASH").unwrap_or_else(|_| "sha1".to_owned())
}

/// How many digits its ids have.
pub fn digits() -> usize {
    if hash() == "sha256" { 64 } else { 40 }
}

/// An empty home; nothing of the machine's configuration is seen from it.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.write("gitconfig", "[user]\nname = Alice\nemail = alice@example.com\n[init]\ndefaultBranch = main\n");
        home
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        std::fs::read(self.join(name)).unwrap()
    }

    /// A program that starts in the home and sees it only.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path()).env("LC_ALL", "C").env("TZ", "UTC");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", self.join("gitconfig"));
        command.env("GIT_DEFAULT_HASH", hash());
        command.current_dir(self.path());
        command
    }

    pub fn ours(&self, args: &[&str]) -> Command {
        let mut command = self.command(OURS);
        command.args(args);
        command
    }

    /// A git command in a folder of the home; it must succeed. Its standard output, without the last newline.
    pub fn git(&self, folder: &str, args: &[&str]) -> String {
        let mut command = self.command("git");
        command.arg("-C").arg(self.join(folder)).args(args);
        let done = run(&mut command, b"");
        assert!(done.ok(), "git {args:?}: {done:?}");
        done.stdout.trim_end_matches('\n').to_owned()
    }

    /// Makes a key pair `NAME`, `NAME.pub` with ssh-keygen.
    pub fn key(&self, name: &str, kind: &[&str], passphrase: &str) -> PathBuf {
        let mut command = self.command("ssh-keygen");
        command.arg("-q").arg("-t").args(kind).args(["-N", passphrase, "-C", "comment", "-f", name]);
        let done = run(&mut command, b"");
        assert!(done.ok(), "{done:?}");
        self.join(name)
    }

    /// `type base64` of a public key file.
    pub fn public(&self, name: &str) -> String {
        let text = String::from_utf8(self.read(format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Done {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a program to its end. All of its standard input must be taken.
pub fn run(command: &mut Command, stdin: &[u8]) -> Done {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().expect("standard input was not read to its end");
    output.into()
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real ssh-agent.
pub struct SshAgent {
    pub socket: PathBuf,
    _process: Running,
}

impl SshAgent {
    pub fn start(home: &Home, args: &[&str]) -> Self {
        let socket = home.join("agent.sock");
        let mut command = home.command("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running(command.spawn().unwrap());
        wait_for(|| UnixStream::connect(&socket).is_ok());
        Self { socket, _process: process }
    }

    pub fn add(&self, home: &Home, args: &[&str]) {
        let done = run(home.command("ssh-add").env("SSH_AUTH_SOCK", &self.socket).args(args), b"");
        assert!(done.ok(), "{done:?}");
    }
}

/// Waits until something holds.
pub fn wait_for(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a program can be run here.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Says that a test lacks a tool; where CI is set, that is a failure.
pub fn skipped(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
    println!("skipped: {what}");
}
