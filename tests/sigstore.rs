//! Keyless signing through the real git, by the real servers of Sigstore; the real gitsign accepts what is signed.
//! `tests/sigstore/bed cargo test --test sigstore` lays the servers out; without them nothing here runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "sigstore/servers.rs"]
mod servers;
#[path = "sigstore/support.rs"]
mod support;
#[path = "sigstore/trouble.rs"]
mod trouble;
#[path = "sigstore/trust.rs"]
mod trust;

use common::{OURS, run};
use git_warrant::armor::decode_cms;
use support::{Bed, PERSON};

/// DER of the object identifier of the embedded log entry, and of a timestamp token.
const LOG_ENTRY: &[u8] = &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x03, 0x01];
const TIMESTAMP: &[u8] = &[0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0e];

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

#[test]
fn gitsign_accepts_commits_tags_and_a_rebase() {
    let Some(bed) = Bed::find(3) else { return };
    bed.sign_as(PERSON);
    for message in ["one", "two", "three"] {
        bed.commit("r", message, &[]);
    }
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.home.git("r", &["checkout", "-q", "-b", "side", "HEAD~2"]);
    bed.commit("r", "other", &[]);
    let done = run(&mut bed.git("r", &["rebase", "-q", "-S", "main"]), b"");
    assert!(done.ok(), "{done:?}");
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    let done = run(&mut bed.git("r", &["tag", "-s", "-m", "first", "v1"]), b"");
    assert!(done.ok(), "{done:?}");
    let mut gitsign =
        bed.gitsign(&["verify-tag", "--certificate-identity", PERSON, "--certificate-oidc-issuer", &bed.issuer, "v1"]);
    let done = run(gitsign.current_dir(bed.home.join("r")), b"");
    assert!(done.ok(), "{done:?}");
    // what was changed is not accepted
    let raw = bed.home.git("r", &["cat-file", "commit", "HEAD"]).replace("\n\nother", "\n\nOTHER") + "\n";
    let mut command = bed.home.command("git");
    command.arg("-C").arg(bed.home.join("r")).args(["hash-object", "-w", "-t", "commit", "--stdin"]);
    let changed = run(&mut command, raw.as_bytes()).stdout.trim().to_owned();
    assert!(!bed.gitsign_verifies("r", &changed, PERSON).ok());
    assert!(!bed.gitsign_verifies("r", "HEAD", "mallory@example.com").ok());
}

#[test]
fn gitsigns_own_settings_and_variables_are_understood() {
    let Some(bed) = Bed::find(2) else { return };
    bed.home.write("gitconfig", bed.settings("gitsign"));
    bed.commit("r", "by gitsign's settings", &[("SIGSTORE_ID_TOKEN", &bed.token(PERSON))]);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.home.write("gitconfig", bed.settings(""));
    let token = bed.token("second@example.com");
    let variables =
        [("GITSIGN_FULCIO_URL", bed.fulcio.as_str()), ("SIGSTORE_REKOR_URL", &bed.rekor), ("SIGSTORE_ID_TOKEN", &token)];
    bed.commit("r", "by its variables", &variables);
    bed.accepted_by_gitsign("r", "HEAD", "second@example.com");
}

#[test]
fn timestamps_and_the_second_rekor() {
    let Some(bed) = Bed::find(2) else { return };
    bed.sign_as(PERSON);
    bed.config("warrant.tsa", &format!("{}/api/v1/timestamp", bed.tsa));
    bed.commit("r", "stamped", &[]);
    let (der, _) = decode_cms(&bed.signature("r")).unwrap();
    assert!(holds(&der, LOG_ENTRY) && holds(&der, TIMESTAMP) && holds(&der, b"\x050.0.1"));
    bed.config("warrant.rekor", &bed.tiles);
    bed.config("warrant.rekorVersion", "2");
    bed.commit("r", "in tiles", &[]);
    let (der, _) = decode_cms(&bed.signature("r")).unwrap();
    assert!(holds(&der, LOG_ENTRY) && holds(&der, TIMESTAMP) && holds(&der, b"\x050.0.2") && !holds(&der, b"\x050.0.1"));
    // without an authority Rekor v2 proves no time
    bed.home.git("r", &["config", "--global", "--unset", "warrant.tsa"]);
    let said = bed.refusal("r", &[]);
    assert!(said.contains("git config warrant.tsa URL"), "{said}");
}

#[test]
fn what_is_signed_here_or_by_gitsign_is_judged_good_offline() {
    let Some(bed) = Bed::find(7) else { return };
    bed.sign_as(PERSON);
    bed.config("user.email", PERSON);
    let root = bed.folder.join("trusted_root.json");
    bed.config("warrant.trustedRoot", root.to_str().unwrap());
    bed.commit("r", "in a tree", &[]);
    bed.config("warrant.tsa", &format!("{}/api/v1/timestamp", bed.tsa));
    bed.commit("r", "stamped", &[]);
    bed.config("warrant.rekor", &bed.tiles);
    bed.config("warrant.rekorVersion", "2");
    bed.commit("r", "in tiles", &[]);
    let mut theirs = bed.git("r", &["-c", "gpg.x509.program=gitsign", "commit", "-q", "-S", "--allow-empty", "-m", "by gitsign"]);
    let known = bed.gitsign(&[]);
    theirs.envs(known.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = run(&mut theirs, b"");
    assert!(done.ok(), "{done:?}");
    bed.home.write("root.json", std::fs::read(&root).unwrap());
    let policy = |who: &str| {
        let text = format!(
            "version = 1\n[[principals.person.keys]]\nkeyless = \"{who}\"\nissuer = \"{}\"\n[authorities.bed]\ntrusted-root = \"root.json\"\n",
            bed.issuer
        );
        bed.home.write("policy.toml", text);
        let mut verify = bed.home.ours(&["verify", "--policy", bed.home.join("policy.toml").to_str().unwrap(), "HEAD"]);
        run(verify.current_dir(bed.home.join("r")), b"")
    };
    let done = policy(PERSON);
    assert!(done.ok() && done.stdout.contains('4'), "{done:?}");
    assert_eq!(policy("mallory@example.com").status, Some(1));
    // as bundles, cosign accepts them
    for (revision, more) in [("HEAD~3", &[][..]), ("HEAD~1", &["--use-signed-timestamps"])] {
        let shown = run(bed.home.ours(&["show", "--bundle", revision]).current_dir(bed.home.join("r")), b"");
        assert!(shown.ok(), "{shown:?}");
        bed.home.write("bundle.json", shown.stdout);
        let (der, _) = decode_cms(&bed.signature_of("r", revision)).unwrap();
        // the signed attributes, as the SET that is signed
        let start = memchr::memmem::find(&der, &[0xa0, 0x69, 0x30, 0x18, 0x06, 0x09]).unwrap();
        bed.home.write("artifact", [&[0x31], &der[start + 1..start + 2 + 0x69]].concat());
        let mut cosign = bed.home.command("cosign");
        cosign.args(["verify-blob", "--bundle", "bundle.json", "--trusted-root"]).arg(&root).args(more);
        cosign.args(["--certificate-identity", PERSON, "--certificate-oidc-issuer", &bed.issuer, "artifact"]);
        let done = run(&mut cosign, b"");
        assert!(done.ok(), "{revision}: {done:?}");
        bed.home.write("artifact", "another");
        assert!(!run(&mut cosign, b"").ok());
    }
    // by another root nothing leaves the program
    bed.config("warrant.trustedRoot", "public-good");
    let said = bed.refusal("r", &[]);
    assert!(said.contains("does not verify by the trusted root"), "{said}");
}

#[test]
fn nothing_is_signed_that_is_not_logged() {
    let Some(bed) = Bed::find(7) else { return };
    bed.sign_as(PERSON);
    bed.commit("r", "good", &[]);
    let dead = "http://localhost:1";
    for (name, value, says) in [
        ("warrant.rekor", dead, "Rekor at http://localhost:1"),
        ("warrant.fulcio", dead, "Fulcio at http://localhost:1"),
        ("warrant.tsa", dead, "the timestamp authority at http://localhost:1"),
        ("warrant.rekor", bed.fulcio.as_str(), "status 404"),
        ("warrant.fulcio", "http://fulcio.example.com", "neither https nor on this machine"),
        ("warrant.rekorVersion", "3", "warrant.rekorVersion is `3`"),
    ] {
        let said = bed.refusal("r", &[("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", name), ("GIT_CONFIG_VALUE_0", value)]);
        assert!(said.contains(says) && !said.contains(&bed.token_in_use()), "{name}={value}: {said}");
    }
    // Fulcio refuses what its issuer did not sign
    let forged = bed.token_in_use() + "A";
    let said = bed.refusal("r", &[("SIGSTORE_ID_TOKEN", &forged)]);
    assert!(said.contains("Fulcio at") && !said.contains(&forged), "{said}");
}

#[test]
fn tokens_from_where_they_lie() {
    let Some(bed) = Bed::find(4) else { return };
    bed.home.write("gitconfig", bed.settings("warrant"));
    // GitHub Actions
    let url = format!("{}/ci/actions?x=y", bed.issuer);
    let runner =
        [("GITHUB_ACTIONS", "true"), ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner")];
    bed.commit("r", "by a workflow", &runner);
    let workflow = "https://github.com/o/r/.github/workflows/release.yml@refs/heads/main";
    let done = bed.gitsign_verifies_by("r", "HEAD", workflow, &format!("{}/ci", bed.issuer));
    assert!(done.ok(), "{done:?}");
    let said = bed.refusal("r", &[("GITHUB_ACTIONS", "true")]);
    assert!(said.contains("permissions: id-token: write"), "{said}");
    // a file
    bed.home.write("token", bed.token("file@example.com"));
    bed.config("warrant.tokenFile", "~/token");
    bed.commit("r", "by a file", &[]);
    bed.accepted_by_gitsign("r", "HEAD", "file@example.com");
    bed.home.write("token", "not a token");
    let said = bed.refusal("r", &[]);
    assert!(said.contains("holds no identity token"), "{said}");
}

#[test]
fn people_log_in() {
    let Some(bed) = Bed::find(4) else { return };
    bed.home.write("gitconfig", bed.settings("warrant"));
    bed.config("warrant.oidcIssuer", &bed.issuer);
    bed.config("warrant.oidcConnector", "https://github.com/login/oauth");
    bed.config("warrant.agent", "false");
    let browser = bed.browser();
    let here = [("DISPLAY", ":0"), ("BROWSER", browser.as_str())];
    bed.commit("r", "by a browser", &here);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    bed.config("warrant.login", "device");
    bed.commit("r", "by a device code", &here);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    let log = std::fs::read_to_string(bed.folder.join("issuer.log")).unwrap();
    assert!(log.contains("connector_id=https%3A%2F%2Fgithub.com"), "{log}");
    // an issuer that is not what it says, and nobody to ask
    bed.config("warrant.oidcIssuer", &format!("{}/tuf", bed.issuer));
    let said = bed.refusal("r", &here);
    assert!(said.contains("the issuer at"), "{said}");
    bed.config("warrant.oidcIssuer", &bed.issuer);
    let said = bed.refusal("r", &[]);
    assert!(said.contains("no terminal to ask at"), "{said}");
}

#[test]
fn one_login_is_enough_for_a_rebase_of_fifty() {
    let Some(bed) = Bed::find(5) else { return };
    bed.log_in_as("rebase");
    let browser = bed.browser();
    let here = [("DISPLAY", ":0"), ("BROWSER", browser.as_str())];
    assert!(bed.agent("status").stdout.contains("no agent runs"));
    bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", "base"]);
    bed.home.git("r", &["checkout", "-q", "-b", "side"]);
    for number in 0..50 {
        bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", &format!("number {number}")]);
    }
    bed.home.git("r", &["checkout", "-q", "main"]);
    bed.home.git("r", &["commit", "-q", "--allow-empty", "-m", "other base"]);
    bed.home.git("r", &["checkout", "-q", "side"]);
    let mut rebase = bed.git("r", &["rebase", "-q", "-S", "main"]);
    let done = run(rebase.envs(here), b"");
    assert!(done.ok(), "{done:?}");
    assert_eq!(bed.logins("rebase"), 1);
    assert_eq!(bed.home.git("r", &["rev-list", "--count", "main..side"]), "50");
    for revision in ["HEAD", "HEAD~25", "HEAD~49"] {
        bed.accepted_by_gitsign("r", revision, PERSON);
    }
    assert!(bed.agent("status").stdout.contains(&format!("a certificate of {PERSON} until ")));
    // what other services certify is asked for anew
    bed.config("warrant.fulcio", "http://localhost:1");
    assert!(bed.refusal("r", &here).contains("Fulcio at http://localhost:1"));
    assert_eq!(bed.logins("rebase"), 3);
    bed.config("warrant.fulcio", &bed.fulcio);
    // an agent that was told to stop, or was killed, is a fresh login
    assert!(bed.agent("stop").ok());
    bed.commit("r", "after the end", &here);
    assert_eq!(bed.logins("rebase"), 4);
    let status = bed.agent("status").stdout;
    let process = status.strip_prefix("process ").unwrap().split(';').next().unwrap();
    assert!(run(bed.home.command("kill").args(["-9", process]), b"").ok());
    bed.commit("r", "after a kill", &here);
    bed.commit("r", "and again", &here);
    assert_eq!(bed.logins("rebase"), 5);
}

#[test]
fn who_is_in_the_way_of_the_agent_is_in_nobodys_way() {
    let Some(bed) = Bed::find(2) else { return };
    bed.log_in_as("obstacles");
    let browser = bed.browser();
    let here = [("DISPLAY", ":0"), ("BROWSER", browser.as_str())];
    // a folder into which others can look is not used
    let folder = bed.home.join("run/git-warrant");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    bed.commit("r", "without an agent", &here);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
    // nor is an agent believed that answers nonsense
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(folder.join("agent")).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"\x00\x00\x00\x09\"nothing\"");
        }
    });
    bed.commit("r", "beside an impostor", &here);
    bed.accepted_by_gitsign("r", "HEAD", PERSON);
}

#[test]
fn a_login_in_advance() {
    let Some(bed) = Bed::find(2) else { return };
    bed.log_in_as("advance");
    let mut login = bed.home.command(OURS);
    login.arg("login").current_dir(bed.home.join("r")).env("XDG_RUNTIME_DIR", bed.home.join("run"));
    login.env("SIGSTORE_ID_TOKEN", bed.token("ready@example.com"));
    let done = run(&mut login, b"");
    assert!(done.ok() && done.stdout.starts_with("logged in as ready@example.com, vouched for by "), "{done:?}");
    // nobody can be asked, and nobody is
    bed.commit("r", "asks nobody", &[]);
    bed.accepted_by_gitsign("r", "HEAD", "ready@example.com");
    assert_eq!(bed.logins("advance"), 0);
}

#[test]
fn the_certificate_may_have_to_name_the_committer() {
    let Some(bed) = Bed::find(2) else { return };
    bed.sign_as("alice@example.com"); // the committer
    bed.config("warrant.matchCommitter", "true");
    bed.commit("r", "as myself", &[]);
    bed.sign_as("bob@example.com");
    bed.config("warrant.matchCommitter", "true");
    let said = bed.refusal("r", &[]);
    assert!(said.contains("is of bob@example.com, and the committer is Alice <alice@example.com>"), "{said}");
}

#[test]
fn what_git_gets() {
    let Some(bed) = Bed::find(2) else { return };
    bed.sign_as(PERSON);
    bed.config("warrant.trustedRoot", "none"); // without a word of it there is a warning
    let mut command = bed.home.command(OURS);
    command.args(["--status-fd=2", "-bsau", "KEY"]).env("SIGSTORE_ID_TOKEN", bed.token_in_use());
    let done = run(command.current_dir(bed.home.join("r")), b"tree\n\npayload\n");
    assert!(done.ok() && done.stdout.starts_with("-----BEGIN SIGNED MESSAGE-----\n"), "{done:?}");
    assert!(done.stdout.ends_with("-----END SIGNED MESSAGE-----\n"), "{done:?}");
    assert!(done.stderr.starts_with("[GNUPG:] BEGIN_SIGNING H8\n[GNUPG:] SIG_CREATED D 19 8 00 "), "{done:?}");
    assert!(done.stderr.contains(&format!("signed as {PERSON}, vouched for by {}; entry ", bed.issuer)), "{done:?}");
    assert!(!done.stdout.contains(&bed.token_in_use()) && !done.stderr.contains(&bed.token_in_use()), "{done:?}");
}
