//! Killed signers, servers that break off, secrets that must stay secret.

use crate::common::{OURS, Running, run};
use crate::support::{Bed, PERSON};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Stands before a server and breaks the answer of a connection off after so many bytes, as long as there are such numbers.
fn breaking(server: &str, after: Vec<usize>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let server = server.trim_start_matches("http://").to_owned();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let limit = after.get(counted.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(usize::MAX);
            let upstream = TcpStream::connect(&server).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            thread::spawn(move || {
                let (mut upstream, mut client) = (upstream, client);
                let mut left = limit;
                let mut chunk = [0; 1024];
                while left > 0 {
                    let Ok(count @ 1..) = upstream.read(&mut chunk) else { break };
                    let count = count.min(left);
                    let _ = client.write_all(&chunk[..count]);
                    left -= count;
                }
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    (url, count)
}

#[test]
fn half_answers_are_no_answers() {
    let Some(bed) = Bed::find(9) else { return };
    bed.sign_as(PERSON);
    for (name, server) in [("warrant.fulcio", &bed.fulcio), ("warrant.rekor", &bed.rekor)] {
        for after in [vec![0], vec![100], vec![1500], vec![40, 700]] {
            let (url, count) = breaking(server, after.clone());
            bed.config(name, &url);
            bed.commit("r", "one", &[]);
            bed.accepted_by_gitsign("r", "HEAD", PERSON);
            // a signature that was logged, though nobody heard of it, is asked for and not logged again
            assert!(count.load(Ordering::SeqCst) > after.len(), "{name} {after:?}");
        }
        bed.config(name, server);
    }
    let (url, count) = breaking(&bed.rekor, vec![900; 20]);
    bed.config("warrant.rekor", &url);
    let said = bed.refusal("r", &[]);
    assert!(said.contains("Rekor at http://localhost:") && said.contains("breaks off"), "{said}");
    assert!(count.load(Ordering::SeqCst) <= 12, "tries are bounded");
}

#[test]
fn a_killed_signer_leaves_a_commit_or_none() {
    const KILLS: u64 = 60;
    let Some(bed) = Bed::find(60) else { return };
    bed.sign_as(PERSON);
    bed.commit("r", "base", &[]);
    let mut random = Random(7);
    let mut commits = 0;
    for round in 0..KILLS {
        let before = bed.home.git("r", &["rev-parse", "HEAD"]);
        let mut git = bed.git("r", &["commit", "-q", "-S", "--allow-empty", "-m", &format!("round {round}")]);
        // a group of its own: git and the signer die together
        std::os::unix::process::CommandExt::process_group(&mut git, 0);
        let mut child = Running(git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        thread::sleep(Duration::from_millis(random.below(500)));
        let group = format!("-{}", child.0.id());
        run(bed.home.command("kill").args(["-9", "--", &group]), b"");
        child.0.wait().unwrap();
        let _ = std::fs::remove_file(bed.home.join("r/.git/index.lock")); // git's own
        let _ = std::fs::remove_file(bed.home.join("r/.git/HEAD.lock"));
        let _ = std::fs::remove_file(bed.home.join("r/.git/refs/heads/main.lock"));
        let after = bed.home.git("r", &["rev-parse", "HEAD"]);
        if after != before {
            commits += 1;
            bed.accepted_by_gitsign("r", "HEAD", PERSON);
        }
    }
    println!("{commits} of {KILLS} commits were made before the kill");
    assert!(commits > 0 && commits < KILLS, "{commits}");
    let left: Vec<_> = std::fs::read_dir(bed.home.join("run")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Every file below a folder.
fn files(folder: &std::path::Path, each: &mut dyn FnMut(&std::path::Path)) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), each);
        } else if kind.is_file() {
            each(&entry.path());
        }
    }
}

#[test]
fn secrets_are_nowhere_else() {
    let Some(bed) = Bed::find(5) else { return };
    // a token in the environment, a secret in a file, and an agent and a browser that are started beside them
    let secret = "PLANTED-CLIENT-SECRET";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), secret).unwrap();
    bed.log_in_as("secrets");
    bed.config("warrant.oidcClientSecretFile", folder.path().join("secret").to_str().unwrap());
    let token = bed.token("planted@example.com");
    let mut login = bed.home.command(OURS);
    login.arg("login").current_dir(bed.home.join("r")).env("XDG_RUNTIME_DIR", bed.home.join("run"));
    assert!(run(login.env("SIGSTORE_ID_TOKEN", &token), b"").ok());
    let status = bed.agent("status").stdout;
    let process = status.strip_prefix("process ").unwrap().split(';').next().unwrap();
    for file in ["environ", "cmdline"] {
        let bytes = std::fs::read(format!("/proc/{process}/{file}")).unwrap();
        assert!(!bytes.is_empty() && memchr::memmem::find(&bytes, token.as_bytes()).is_none(), "{file}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max core file size        0                    0 ")), "{limits}");
    let memory = std::fs::read(format!("/proc/{process}/maps")).unwrap_or_default();
    println!("the agent maps {} bytes of text", memory.len());
    // the browser tells what it was given
    let browser = bed.home.write("browser", "#!/bin/sh\n{ env; echo \"$@\"; } >\"$HOME/told\"\nexec helper fetch \"$1\"\n");
    std::fs::set_permissions(&browser, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    bed.agent("stop");
    bed.commit("r", "asked", &[("DISPLAY", ":0"), ("BROWSER", browser.to_str().unwrap())]);
    let told = String::from_utf8(bed.home.read("told")).unwrap();
    assert!(told.contains("code_challenge=") && !told.contains(secret) && !told.contains("verifier"), "{told}");
    assert!(std::fs::read_to_string(bed.folder.join("issuer.log")).unwrap().contains(secret), "the issuer did get it");
    // a signer in the middle of its work: neither its arguments nor a dump of it hold the token
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    bed.config("warrant.rekor", &format!("http://localhost:{}", silent.local_addr().unwrap().port()));
    let mut signer = bed.home.command(OURS);
    signer.args(["--status-fd=2", "-bsau", "KEY"]).env("SIGSTORE_ID_TOKEN", &token).current_dir(bed.home.join("r"));
    let mut signer = Running(signer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let _connection = silent.accept().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", signer.0.id())).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max core file size        0                    0 ")), "{limits}");
    let arguments = std::fs::read(format!("/proc/{}/cmdline", signer.0.id())).unwrap();
    assert!(memchr::memmem::find(&arguments, token.as_bytes()).is_none());
    signer.0.kill().unwrap();
    let mut said = Vec::new();
    signer.0.stdout.take().unwrap().read_to_end(&mut said).unwrap();
    assert!(said.is_empty(), "something was signed that is not logged");
    // nothing on disk
    files(bed.home.path(), &mut |path| {
        let bytes = std::fs::read(path).unwrap();
        for planted in [token.as_str(), secret] {
            assert!(memchr::memmem::find(&bytes, planted.as_bytes()).is_none(), "{} holds a secret", path.display());
        }
    });
}
