//! The bed, as a test sees it: where its servers are, who signs, and gitsign.

use crate::common::{Done, Home, OURS, run};
use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;

/// Whom the bed's issuer lets in.
pub(crate) const PERSON: &str = "person@example.com";

pub(crate) struct Bed {
    pub(crate) home: Home,
    pub(crate) folder: PathBuf,
    pub(crate) fulcio: String,
    pub(crate) rekor: String,
    pub(crate) tiles: String,
    pub(crate) tsa: String,
    pub(crate) issuer: String,
    token: RefCell<String>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.agent("stop");
        }
    }
}

impl Bed {
    /// The bed, with an empty repository `r` in a new home. Without one the caller is to return: what it leaves out was said.
    pub(crate) fn find(cases: usize) -> Option<Self> {
        let Some(folder) = std::env::var_os("WARRANT_BED") else {
            println!("skipped: keyless signing by the real servers, {cases} cases (they are laid out by tests/sigstore/bed)");
            return None;
        };
        let url = |name: &str| std::env::var(format!("WARRANT_BED_{name}")).unwrap();
        let bed = Self {
            home: Home::new(),
            folder: folder.into(),
            fulcio: url("FULCIO"),
            rekor: url("REKOR"),
            tiles: url("TILES"),
            tsa: url("TSA"),
            issuer: url("ISSUER"),
            token: RefCell::default(),
        };
        bed.home.git("", &["init", "-q", "r"]);
        std::fs::create_dir(bed.home.join("run")).unwrap();
        let root = bed.folder.join("tuf/1.root.json");
        let mut initialize =
            bed.gitsign(&["initialize", "--mirror", &format!("{}/tuf", bed.issuer), "--root", root.to_str().unwrap()]);
        let done = run(&mut initialize, b"");
        assert!(done.ok(), "{done:?}");
        Some(bed)
    }

    /// A configuration that signs by the bed, named by the settings of a section.
    pub(crate) fn settings(&self, section: &str) -> String {
        let mut text = "[user]\nname = Alice\nemail = alice@example.com\n[init]\ndefaultBranch = main\n".to_owned();
        text += &format!("[gpg]\nformat = x509\n[gpg \"x509\"]\nprogram = {OURS}\n[core]\neditor = true\n");
        if !section.is_empty() {
            text += &format!("[{section}]\nfulcio = {}\nrekor = {}\n", self.fulcio, self.rekor);
        }
        text
    }

    /// Has somebody sign from now on, by a token in the environment.
    pub(crate) fn sign_as(&self, email: &str) {
        self.home.write("gitconfig", self.settings("warrant"));
        *self.token.borrow_mut() = self.token(email);
    }

    /// Has the person log in at the bed's issuer; the name of a connector tells this test's logins from those of others.
    pub(crate) fn log_in_as(&self, connector: &str) {
        self.home.write("gitconfig", self.settings("warrant"));
        self.config("warrant.oidcIssuer", &self.issuer);
        self.config("warrant.oidcConnector", connector);
    }

    /// How often somebody was asked to log in through a connector.
    pub(crate) fn logins(&self, connector: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.join("issuer.log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("authorize ") && line.contains(&format!("connector_id={connector}"))).count()
    }

    /// A program that follows the issuer's redirect as a browser would.
    pub(crate) fn browser(&self) -> String {
        let path = self.home.write("browser", "#!/bin/sh\nexec helper fetch \"$1\"\n");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `git warrant agent ACTION`
    pub(crate) fn agent(&self, action: &str) -> Done {
        run(self.home.command(OURS).args(["agent", action]).env("XDG_RUNTIME_DIR", self.home.join("run")), b"")
    }

    pub(crate) fn config(&self, name: &str, value: &str) {
        self.home.git("", &["config", "--global", name, value]);
    }

    /// A new token of somebody.
    pub(crate) fn token(&self, email: &str) -> String {
        let mut helper = self.home.command("helper");
        let done = run(helper.args(["fetch", &format!("{}/mint?email={email}", self.issuer)]), b"");
        assert!(done.ok(), "{done:?}");
        done.stdout
    }

    pub(crate) fn token_in_use(&self) -> String {
        self.token.borrow().clone()
    }

    /// Git in the repository, with the token in its environment.
    pub(crate) fn git(&self, repo: &str, args: &[&str]) -> Command {
        let mut command = self.home.command("git");
        command.current_dir(self.home.join(repo)).args(args).env("XDG_RUNTIME_DIR", self.home.join("run"));
        let token = self.token_in_use();
        if !token.is_empty() {
            command.env("SIGSTORE_ID_TOKEN", token);
        }
        command
    }

    pub(crate) fn try_commit(&self, repo: &str, message: &str, variables: &[(&str, &str)]) -> Done {
        self.home.write(format!("{repo}/{}", message.replace(' ', "-")), message);
        self.home.git(repo, &["add", "-A"]);
        let mut command = self.git(repo, &["commit", "-q", "-S", "--allow-empty", "-m", message]);
        command.envs(variables.iter().copied());
        run(&mut command, b"")
    }

    /// A signed commit of a file named after the message.
    pub(crate) fn commit(&self, repo: &str, message: &str, variables: &[(&str, &str)]) {
        let done = self.try_commit(repo, message, variables);
        assert!(done.ok(), "{done:?}");
    }

    /// Why nothing is signed: git says so, and older ones do not say why, so the program says it once more.
    #[track_caller]
    pub(crate) fn refusal(&self, repo: &str, variables: &[(&str, &str)]) -> String {
        let head = self.home.git(repo, &["rev-parse", "HEAD"]);
        let done = self.try_commit(repo, "refused", variables);
        assert!(!done.ok(), "{done:?}");
        assert_eq!(self.home.git(repo, &["rev-parse", "HEAD"]), head);
        let mut command = self.home.command(OURS);
        command.current_dir(self.home.join(repo)).args(["--status-fd=2", "-bsau", "KEY"]);
        command.env("XDG_RUNTIME_DIR", self.home.join("run"));
        if !self.token_in_use().is_empty() {
            command.env("SIGSTORE_ID_TOKEN", self.token_in_use());
        }
        let payload = "tree 0\nauthor Alice <alice@example.com> 1 +0000\ncommitter Alice <alice@example.com> 1 +0000\n\nm\n";
        let done = run(command.envs(variables.iter().copied()), payload.as_bytes());
        assert!(!done.ok() && done.stdout.is_empty() && !done.stderr.contains("[GNUPG:]"), "{done:?}");
        done.stderr
    }

    /// The armoured signature of the newest commit.
    pub(crate) fn signature(&self, repo: &str) -> Vec<u8> {
        self.signature_of(repo, "HEAD")
    }

    pub(crate) fn signature_of(&self, repo: &str, revision: &str) -> Vec<u8> {
        let raw = self.home.git(repo, &["cat-file", "commit", revision]);
        let (_, rest) = raw.split_once("\ngpgsig ").unwrap();
        let lines = rest.lines().enumerate().take_while(|(at, line)| *at == 0 || line.starts_with(' '));
        lines.map(|(_, line)| format!("{}\n", line.trim_start())).collect::<String>().into_bytes()
    }

    /// gitsign, told of the bed.
    pub(crate) fn gitsign(&self, args: &[&str]) -> Command {
        let mut command = self.home.command("gitsign");
        command.args(args).env("GITSIGN_REKOR_MODE", "offline");
        command.env("GITSIGN_FULCIO_URL", &self.fulcio).env("GITSIGN_FULCIO_ROOT", self.folder.join("ca.pem"));
        command.env("GITSIGN_REKOR_URL", &self.rekor).env("SIGSTORE_REKOR_PUBLIC_KEY", self.folder.join("rekor.pub"));
        command.env("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", self.folder.join("ct.pub"));
        command
    }

    pub(crate) fn gitsign_verifies_by(&self, repo: &str, revision: &str, identity: &str, issuer: &str) -> Done {
        let args = ["verify", "--certificate-identity", identity, "--certificate-oidc-issuer", issuer, revision];
        run(self.gitsign(&args).current_dir(self.home.join(repo)), b"")
    }

    pub(crate) fn gitsign_verifies(&self, repo: &str, revision: &str, identity: &str) -> Done {
        self.gitsign_verifies_by(repo, revision, identity, &self.issuer)
    }

    #[track_caller]
    pub(crate) fn accepted_by_gitsign(&self, repo: &str, revision: &str, identity: &str) {
        let done = self.gitsign_verifies(repo, revision, identity);
        assert!(done.ok(), "{done:?}");
    }
}
