//! git, signing and verifying through us.

use crate::common::{Home, OURS, SshAgent, run};
use std::path::Path;

/// A repository `r` that signs with a key through us and knows its signer.
fn repository(key: &str) -> Home {
    let home = Home::new();
    home.key("k", &["ed25519"], "");
    home.write("signers", format!("alice@example.com {}\n", home.public("k")));
    home.git(".", &["init", "-q", "r"]);
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("gpg.ssh.program", OURS),
        ("gpg.ssh.allowedSignersFile", home.join("signers").to_str().unwrap()),
        ("user.signingKey", &key.replace("HOME", home.path().to_str().unwrap())),
        ("commit.gpgSign", "true"),
        ("tag.gpgSign", "true"),
    ] {
        home.git("r", &["config", name, value]);
    }
    home
}

fn commit(home: &Home, name: &str) {
    home.write(Path::new("r").join(name), name);
    home.git("r", &["add", name]);
    home.git("r", &["commit", "-q", "-m", name]);
}

const FORMAT: &str = "--format=%G?|%GS|%GK|%GF|%GT";

/// What git says of commits, verified by a program.
fn judged(home: &Home, program: &str, config: &[&str], range: &str) -> String {
    let program = format!("gpg.ssh.program={program}");
    let mut args = vec!["-c", &program];
    args.extend(config.iter().flat_map(|setting| ["-c", setting]));
    args.extend(["log", FORMAT, range]);
    // ssh-keygen does not read a payload whose signature it cannot parse, and then git may die of a broken pipe
    for _ in 0..50 {
        let mut command = home.command("git");
        let done = run(command.current_dir(home.join("r")).args(&args), b"");
        if done.status.is_some() || program.ends_with(OURS) {
            assert!(done.ok(), "git {args:?}: {done:?}");
            return done.stdout.trim_end_matches('\n').to_owned();
        }
    }
    panic!("git {args:?} was killed again and again");
}

#[test]
fn commits_tags_merges_and_a_rebase() {
    for key in ["HOME/k", "HOME/k.pub"] {
        let home = repository(key);
        commit(&home, "base");
        home.git("r", &["switch", "-q", "-c", "topic"]);
        (0..50).for_each(|n| commit(&home, &format!("topic{n}")));
        home.git("r", &["switch", "-q", "main"]);
        commit(&home, "main");
        home.git("r", &["switch", "-q", "topic"]);
        home.git("r", &["rebase", "-q", "main"]);
        home.git("r", &["switch", "-q", "main"]);
        home.git("r", &["merge", "-q", "--no-ff", "-m", "merge", "topic"]);
        home.git("r", &["tag", "-m", "v1", "v1"]);
        let tree = home.git("r", &["rev-parse", "HEAD^{tree}"]);
        let id = home.git("r", &["commit-tree", "-S", "-m", "plumbing", &tree]);
        assert_eq!(id.len(), 40, "standard output is git's: {id}");
        for program in [OURS, "ssh-keygen"] {
            let all = judged(&home, program, &[], "HEAD");
            assert_eq!(all.lines().count(), 53, "{all}");
            assert!(all.lines().all(|line| line.starts_with("G|alice@example.com|SHA256:")), "{all}");
            home.git("r", &["-c", &format!("gpg.ssh.program={program}"), "verify-commit", &id]);
            home.git("r", &["-c", &format!("gpg.ssh.program={program}"), "verify-tag", "v1"]);
        }
        let left = home.git("r", &["status", "--porcelain"]);
        assert_eq!(left, "");
    }
}

#[test]
fn commits_of_the_last_days_that_can_be_written() {
    let home = repository("HOME/k");
    let line = format!("alice@example.com valid-before=\"99991231235959Z\" {}\n", home.public("k"));
    home.write("signers", line);
    for date in ["253370764799", "253402214400", "253402300799", "253402300800"] {
        let mut command = home.command("git");
        command.env("GIT_COMMITTER_DATE", format!("@{date} +0000")).env("GIT_AUTHOR_DATE", format!("@{date} +0000"));
        let done = run(command.current_dir(home.join("r")).args(["commit", "-q", "--allow-empty", "-m", date]), b"");
        assert!(done.ok(), "{done:?}");
    }
    let [ours, theirs] = [OURS, "ssh-keygen"].map(|program| judged(&home, program, &[], "HEAD"));
    assert_eq!(ours, theirs);
    let found: Vec<&str> = ours.lines().map(|line| &line[..1]).collect();
    assert_eq!(found, ["B", "G", "G", "G"], "the year 10000 has a digit too many for -Overify-time");
}

#[test]
fn literal_keys_and_agents() {
    let home = repository("HOME/k");
    let agent = SshAgent::start(&home, &[]);
    agent.add(&home, &["-q", "k"]);
    std::fs::remove_file(home.join("k")).unwrap();
    let literal = home.public("k");
    for (n, key) in [format!("key::{literal}"), literal.clone(), home.join("k.pub").to_str().unwrap().to_owned()].iter().enumerate()
    {
        let mut command = home.command("git");
        command.current_dir(home.join("r")).env("SSH_AUTH_SOCK", &agent.socket);
        let done = run(
            command.args(["-c", &format!("user.signingKey={key}"), "commit", "-q", "--allow-empty", "-m", &n.to_string()]),
            b"",
        );
        assert!(done.ok(), "{key}: {done:?}");
    }
    for program in [OURS, "ssh-keygen"] {
        assert!(judged(&home, program, &[], "HEAD").lines().all(|line| line.starts_with("G|alice@example.com|")));
    }
    // without the agent there is no commit, and the user reads why
    let mut command = home.command("git");
    let done = run(command.current_dir(home.join("r")).args(["commit", "-q", "--allow-empty", "-m", "no"]), b"");
    assert_eq!(done.status, Some(128), "{done:?}");
    assert!(done.stderr.contains("SSH_AUTH_SOCK is not set") && !done.stderr.contains("8.2p1"), "{}", done.stderr);
}

#[test]
fn what_git_shows_is_what_it_shows_with_ssh_keygen() {
    let home = repository("HOME/k");
    home.key("bob", &["ecdsa"], "");
    home.key("stranger", &["rsa", "-b", "2048"], "");
    commit(&home, "by-alice");
    for name in ["bob", "stranger"] {
        let key = format!("user.signingKey={}", home.join(name).display());
        home.git("r", &["-c", &key, "commit", "-q", "--allow-empty", "-m", name]);
    }
    home.git("r", &["-c", "commit.gpgSign=false", "commit", "-q", "--allow-empty", "-m", "unsigned"]);
    let good = home.git("r", &["cat-file", "commit", "HEAD~3"]);
    for (name, text) in [
        ("tampered", good.replace("by-alice", "by-malice")),
        ("no-signature", good.replace("-----END SSH SIGNATURE-----", "-----FIN SSH SIGNATURE-----")),
        ("undated", good.lines().map(undated).collect::<Vec<_>>().join("\n")),
        ("garbled", good.replace("U1NI", "U1NJ")),
    ] {
        home.write("object", format!("{text}\n"));
        let id = home.git("r", &["hash-object", "-t", "commit", "-w", "--literally", home.join("object").to_str().unwrap()]);
        home.git("r", &["branch", name, &id]);
    }
    let file = |name: &str| {
        let key = format!("user.signingKey={}", home.join(name).display());
        key.replace("user.signingKey=", "")
    };
    // a signature made for something else
    let other = run(home.command("ssh-keygen").args(["-q", "-Y", "sign", "-n", "file", "-f", &file("k")]), good.as_bytes());
    let header = other.stdout.trim_end().replace('\n', "\n ");
    home.write(
        "object",
        format!("{}\n", good.replacen("\ngpgsig -----BEGIN", &format!("\ngpgsig {header}\ngpgsig-x -----BEGIN"), 1)),
    );
    let id = home.git("r", &["hash-object", "-t", "commit", "-w", "--literally", home.join("object").to_str().unwrap()]);
    home.git("r", &["branch", "other-namespace", &id]);

    let (k, bob) = (home.public("k"), home.public("bob"));
    let signers = [
        ("listed", format!("alice@example.com {k}\nbob@example.com {bob}\n")),
        ("crlf", format!("# all\r\nalice@example.com {k}\r\nbob@example.com {bob}\r\n")),
        ("wildcard", format!("*@example.com,!eve@example.com {k}\n* {bob}\n")),
        ("several", format!("alice@example.com,alice@other.example {k}\n\"bob@example.com\" {bob} Bob\n")),
        ("expired", format!("alice@example.com valid-before=\"20200101\" {k}\nbob@example.com {bob}\n")),
        ("early", format!("alice@example.com valid-after=\"20990101\" {k}\n")),
        ("namespace", format!("alice@example.com namespaces=\"file\" {k}\nalice2@example.com {k}\n")),
        ("namespaces", format!("alice@example.com namespaces=\"file,g*\" {k}\nbob@example.com namespaces=\"!git,*\" {bob}\n")),
        ("broken", format!("alice@example.com nonsense {k}\n\nbob@example.com {bob}\n")),
        ("empty", String::new()),
    ];
    for (name, text) in &signers {
        home.write(name, text);
    }
    home.write("revoked", format!("{k}\n"));
    home.write("not-revoked", format!("{}\n", home.public("stranger")));
    let mut seen = std::collections::BTreeSet::new();
    for name in signers.iter().map(|(name, _)| *name).chain(["missing"]) {
        for revoked in ["", "revoked", "not-revoked", "absent"] {
            let allowed = format!("gpg.ssh.allowedSignersFile={}", home.join(name).display());
            let list = format!("gpg.ssh.revocationFile={}", home.join(revoked).display());
            let config: Vec<&str> =
                [&allowed, &list].into_iter().take(1 + usize::from(!revoked.is_empty())).map(String::as_str).collect();
            for range in ["HEAD", "tampered", "no-signature", "garbled", "other-namespace", "undated"] {
                let ours = judged(&home, OURS, &config, range);
                assert_eq!(ours, judged(&home, "ssh-keygen", &config, range), "{name} {revoked} {range}");
                seen.extend(ours.lines().map(|line| line.split('|').next().unwrap_or_default().to_owned()));
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["B", "G", "N", "U"]);
}

/// A commit dated 1970 counts as one without a date: git then passes an empty operand.
fn undated(line: &str) -> String {
    match line.starts_with("committer ") {
        true => "committer Alice <alice@example.com> 0 +0000".to_owned(),
        false => line.to_owned(),
    }
}

#[test]
fn revocations_hold_for_what_has_no_date() {
    let home = repository("HOME/k");
    home.key("spare", &["ed25519"], "");
    let mut command = home.command("git");
    command.current_dir(home.join("r")).env("GIT_COMMITTER_DATE", "@0 +0000");
    let done = run(command.args(["commit", "-q", "--allow-empty", "-m", "dated 1970"]), b"");
    assert!(done.ok(), "{done:?}");
    home.write("revoked", home.public("k"));
    home.write("nothing", "");
    home.write("other", home.public("spare"));
    let list = |name: &str| format!("gpg.ssh.revocationFile={}", home.join(name).display());
    assert!(judged(&home, OURS, &[], "HEAD").starts_with("G|alice@example.com|"));
    assert!(judged(&home, OURS, &[&list("other")], "HEAD").starts_with("G|alice@example.com|"));
    assert!(judged(&home, OURS, &[&list("revoked")], "HEAD").starts_with("B|"));
    assert!(judged(&home, OURS, &[&list("nothing")], "HEAD").starts_with("B|"));
    assert!(judged(&home, "ssh-keygen", &[&list("revoked")], "HEAD").starts_with("G|"), "the gap that -r after an operand closes");
}
