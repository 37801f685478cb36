//! `demo`: the main job on an example made on the spot.

use crate::cli::Demo;
use crate::io::keys::generate;
use crate::report::ExitStatus;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

const POLICY: &str = "allowed_signers";

/// Plays the example; everything is removed when it ends.
///
/// # Errors
/// Where git cannot be run, or where anything else is rejected than what was planted, or for another reason.
pub fn run(_: &Demo) -> Result<ExitStatus> {
    let folder = tempfile::Builder::new().prefix("git-warrant-demo-").tempdir().context("cannot make a temporary folder")?;
    let stage = Stage::set(folder.path())?;
    say("Keys of alice, bob, carol and mallory are made; the policy lists the first three, carol's key until 2024:");
    show(&fs::read_to_string(folder.path().join(POLICY))?);
    stage.honest_history()?;
    say("alice and bob commit, merge and tag; git signs through this program (gpg.ssh.program). git log --show-signature says:");
    show(&stage.git("work", &["log", "--format=%h %G? %GS: %s"])?);
    say("git warrant verify v1.0:");
    show(&stage.warrant(&["verify", "v1.0"])?.text);
    say("The push to the server, whose pre-receive hook asks the policy, passes:");
    show(&stage.push("main")?.text);
    let planted = stage.plant()?;
    let rejected = stage.rejected("planted")?;
    say(
        "Planted on top: a commit forged from alice's, an unsigned one, one by mallory, one that carol signed after her key's end:",
    );
    show(&stage.warrant(&["verify", "main..planted"])?.text);
    if rejected != planted {
        bail!("planted {planted:?}, but rejected {rejected:?}");
    }
    say("The push of that branch is refused:");
    let push = stage.push("planted")?;
    show(&push.text);
    if push.passed {
        bail!("the push of the planted commits passed");
    }
    let at_server = stage.git("server", &["for-each-ref", "--format=%(refname)"])?;
    if at_server.trim() != "refs/heads/main" {
        bail!("the server holds {at_server:?} instead of main alone");
    }
    folder.close().context("cannot remove the temporary folder")?;
    say("Exactly the planted commits were rejected, each for its reason. Everything is removed.");
    Ok(ExitStatus::Accepted)
}

/// The example's folder: `home`, the clone `work`, the bare `server`, the keys, the policy.
struct Stage {
    folder: PathBuf,
    program: PathBuf,
}

/// What a command said, and whether it succeeded.
struct Said {
    text: String,
    passed: bool,
}

impl Stage {
    fn set(folder: &Path) -> Result<Self> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        let stage = Self { folder: folder.to_owned(), program };
        let mut policy = String::new();
        for (name, options) in [("alice", ""), ("bob", ""), ("carol", "valid-before=\"20240101Z\" "), ("mallory", "")] {
            let public = generate::ed25519(&stage.path(name))?;
            if name != "mallory" {
                policy.push_str(&format!("{name}@example.org {options}{public}\n"));
            }
        }
        fs::write(stage.path(POLICY), policy)?;
        stage.git("", &["init", "-q", "--bare", "-b", "main", "server"])?;
        stage.git("", &["init", "-q", "-b", "main", "work"])?;
        let policy = stage.path(POLICY);
        stage.git("server", &["config".as_ref(), "warrant.policy".as_ref(), policy.as_os_str()])?;
        stage.install_hook()?;
        stage.git("work", &["config".as_ref(), "gpg.ssh.allowedSignersFile".as_ref(), policy.as_os_str()])?;
        stage.git("work", &["config", "gpg.format", "ssh"])?;
        stage.git("work", &["config", "commit.gpgSign", "true"])?;
        stage.git("work", &["remote", "add", "server", "../server"])?;
        Ok(stage)
    }

    /// The hook calls this very program by a link that is named so that git's PATH does not matter.
    fn install_hook(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        std::os::unix::fs::symlink(&self.program, self.path("git-warrant"))?;
        let hook = self.path("server/hooks/pre-receive");
        fs::create_dir_all(self.path("server/hooks"))?;
        fs::write(&hook, "#!/bin/sh\nexec ../git-warrant hook pre-receive\n")?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn honest_history(&self) -> Result<()> {
        self.commit("alice", "Begin", "2025-01-01T12:00:00Z")?;
        self.git("work", &["checkout", "-q", "-b", "topic"])?;
        self.commit("bob", "Add a topic", "2025-01-02T12:00:00Z")?;
        self.git("work", &["checkout", "-q", "main"])?;
        self.commit("alice", "Go on", "2025-01-03T12:00:00Z")?;
        let merge = ["merge", "-q", "--no-ff", "-m", "Merge the topic", "topic"];
        self.run_as("alice", "2025-01-04T12:00:00Z", &merge)?;
        self.run_as("alice", "2025-01-05T12:00:00Z", &["tag", "-s", "-m", "First release", "v1.0"])?;
        Ok(())
    }

    /// Puts bad commits on the branch `planted`; their ids and the codes that they must be rejected with.
    fn plant(&self) -> Result<BTreeMap<String, String>> {
        let mut planted = BTreeMap::new();
        let mut plant = |code: &str| -> Result<()> {
            planted.insert(self.git("work", &["rev-parse", "HEAD"])?.trim().to_owned(), code.to_owned());
            Ok(())
        };
        self.git("work", &["checkout", "-q", "-b", "planted"])?;
        self.commit("alice", "Pay bob 10", "2025-02-01T12:00:00Z")?;
        let forged = self.git("work", &["cat-file", "commit", "HEAD"])?.replace("Pay bob 10", "Pay bob 1000");
        let forged = self.git_with_input("work", &["hash-object", "-t", "commit", "-w", "--stdin"], &forged)?;
        self.git("work", &["reset", "-q", "--hard", forged.trim()])?;
        plant("bad-signature")?;
        self.run_as("bob", "2025-02-02T12:00:00Z", &["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "Forget to sign"])?;
        plant("unsigned")?;
        self.commit("mallory", "Help out", "2025-02-03T12:00:00Z")?;
        plant("key-unlisted")?;
        self.commit("carol", "Come back", "2025-02-04T12:00:00Z")?;
        plant("key-expired")?;
        Ok(planted)
    }

    /// What `verify` rejects of a branch, by id, with its codes.
    fn rejected(&self, branch: &str) -> Result<BTreeMap<String, String>> {
        let said = self.warrant(&["verify", "--format", "jsonl", branch])?;
        let mut rejected = BTreeMap::new();
        for line in said.text.lines() {
            let line: Value = serde_json::from_str(line).with_context(|| format!("verify said {line}"))?;
            let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            if line.get("verdict").is_some_and(|verdict| verdict != "accept") {
                rejected.insert(field("object"), field("code"));
            }
        }
        Ok(rejected)
    }

    fn commit(&self, name: &str, subject: &str, date: &str) -> Result<()> {
        self.run_as(name, date, &["commit", "-q", "--allow-empty", "-m", subject]).map(|_| ())
    }

    fn run_as(&self, name: &str, date: &str, args: &[&str]) -> Result<String> {
        let mut command = self.command("git", "work");
        command.arg("-c").arg(format!("user.signingKey={}", self.path(name).display())).args(args);
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), name).env(format!("GIT_{role}_EMAIL"), format!("{name}@example.org"));
            command.env(format!("GIT_{role}_DATE"), date);
        }
        passed(&mut command)
    }

    fn push(&self, branch: &str) -> Result<Said> {
        said(self.command("git", "work").args(["push", "-q", "server", branch]))
    }

    fn warrant(&self, args: &[&str]) -> Result<Said> {
        said(self.command(&self.program, "work").args(args))
    }

    fn git<S: AsRef<OsStr>>(&self, folder: &str, args: &[S]) -> Result<String> {
        passed(self.command("git", folder).args(args))
    }

    fn git_with_input(&self, folder: &str, args: &[&str], input: &str) -> Result<String> {
        let mut child = self.command("git", folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
        Ok(String::from_utf8(child.wait_with_output()?.stdout)?)
    }

    /// A command that knows nothing of whoever runs the demo: no configuration, no agent, no repository around.
    fn command(&self, program: impl AsRef<OsStr>, folder: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.path(folder));
        for kept in ["PATH", "TMPDIR", "LD_LIBRARY_PATH"] {
            command.envs(env::var_os(kept).map(|value| (kept, value)));
        }
        command.env("HOME", self.path("")).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for (n, (key, value)) in
            [("gpg.ssh.program", self.program.as_os_str()), ("advice.diverging", "false".as_ref())].iter().enumerate()
        {
            command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
        }
        command.env("GIT_CONFIG_COUNT", "2");
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn output(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}; is it installed?"))
}

fn said(command: &mut Command) -> Result<Said> {
    let output = output(command)?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Said { text: String::from_utf8_lossy(&text).into_owned(), passed: output.status.success() })
}

fn passed(command: &mut Command) -> Result<String> {
    let said = said(command)?;
    if !said.passed {
        bail!("{command:?} failed: {}", said.text);
    }
    Ok(said.text)
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "\n{line}");
}

fn show(text: &str) {
    for line in text.lines() {
        let _ = writeln!(io::stdout(), "    {}", line.trim_end());
    }
}
