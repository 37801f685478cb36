//! Planted tokens, keys and passphrases are nowhere but where they belong: not in messages, traces, arguments, the environment of
//! programs that are started, files, or core dumps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // a test says what went wrong by failing there

mod common;
#[path = "support/services.rs"]
mod services;
#[path = "support/sigstore.rs"]
mod sigstore;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Home, OURS, Running, has, run, skipped, wait_for};
use services::{Bed, Fault, PERSON, PLANTED_REFRESH, PLANTED_TOKEN};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CLIENT_SECRET: &str = "PLANTED-CLIENT-SECRET";
const RUNNER: &str = "PLANTED-RUNNER-TOKEN";
/// What git tells of itself where it is asked to.
const TRACES: [(&str, &str); 7] = [
    ("GIT_TRACE", "1"),
    ("GIT_TRACE_SETUP", "1"),
    ("GIT_TRACE_PACKET", "1"),
    ("GIT_TRACE_CURL", "1"),
    ("GIT_TRACE2_EVENT", "2"),
    ("GIT_CURL_VERBOSE", "1"),
    ("RUST_BACKTRACE", "full"),
];

fn holds(bytes: &[u8], planted: &str) -> bool {
    memchr::memmem::find(bytes, planted.as_bytes()).is_some()
}

/// Every file below a folder, with its name.
fn files(folder: &Path, each: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), each);
        } else if kind.is_file() {
            each(&entry.path(), &std::fs::read(entry.path()).unwrap());
        }
    }
}

/// What /proc tells of a process that is closed to others: nothing, but to root.
fn of_process(process: u32, file: &str) -> Vec<u8> {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    std::fs::read(format!("/proc/{process}/{file}")).unwrap_or_else(|error| {
        assert!(!is_root && error.kind() == std::io::ErrorKind::PermissionDenied, "{error}");
        Vec::new()
    })
}

/// Looks at the arguments of all processes until it is told to stop; how many it saw with something planted in them.
fn watch_arguments(stop: &AtomicBool, planted: &[&str]) -> usize {
    let mut seen = 0;
    while !stop.load(Ordering::SeqCst) {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            seen += usize::from(planted.iter().any(|planted| holds(&arguments, planted)));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}

/// What a command says while somebody watches arguments.
fn watched(command: &mut Command, stdin: &[u8], planted: &[&str]) -> common::Done {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_arguments(&stop, planted));
        let done = run(command, stdin);
        stop.store(true, Ordering::SeqCst);
        assert_eq!(watcher.join().unwrap(), 0, "something planted is an argument");
        done
    })
}

#[test]
fn of_a_token_in_the_environment() {
    let bed = Bed::new();
    std::fs::create_dir(bed.home.join("tmp")).unwrap();
    let token = bed.services.mint(PERSON);
    let mut git = bed.command("git", &["commit", "-v", "-S", "--allow-empty", "-m", "traced"]);
    git.env("SIGSTORE_ID_TOKEN", &token).env("TMPDIR", bed.home.join("tmp")).envs(TRACES);
    let done = watched(&mut git, b"", &[PLANTED_TOKEN]);
    assert!(done.ok() && done.stderr.contains("run_command"), "{done:?}");
    let mut login = bed.command(OURS, &["login"]);
    let logged = watched(login.env("SIGSTORE_ID_TOKEN", &token).envs(TRACES), b"", &[PLANTED_TOKEN]);
    assert!(logged.ok(), "{logged:?}");
    for text in [&done.stdout, &done.stderr, &logged.stdout, &logged.stderr] {
        assert!(!text.contains(PLANTED_TOKEN), "{text}");
    }
    let process = bed.agent_process();
    for file in ["environ", "cmdline"] {
        assert!(!holds(&of_process(process, file), PLANTED_TOKEN), "{file}");
    }
    assert!(bed.services.state().calls.iter().any(|(_, body)| body.contains(PLANTED_TOKEN)), "Fulcio did get it");
    files(bed.home.path(), &mut |path, bytes| assert!(!holds(bytes, PLANTED_TOKEN), "{}", path.display()));
}

#[test]
fn of_a_login_and_its_renewal() {
    let bed = Bed::new();
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("secret"), CLIENT_SECRET).unwrap();
    bed.services.state().secret = Some(CLIENT_SECRET.to_owned());
    bed.services.state().life = 22;
    bed.config("warrant.oidcClientSecretFile", secrets.path().join("secret").to_str().unwrap());
    bed.config("warrant.refresh", "true");
    bed.config("warrant.tokenSource", "interactive");
    let planted = [PLANTED_TOKEN, PLANTED_REFRESH, CLIENT_SECRET, RUNNER];
    let names = [
        "SIGSTORE_ID_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "BUILDKITE_AGENT_ACCESS_TOKEN",
        "CIRCLE_OIDC_TOKEN_V2",
        "CI_JOB_TOKEN",
        "GITHUB_TOKEN",
    ];
    let mut said = String::new();
    for round in 0..2 {
        let mut git = bed.with_browser("git", &["commit", "-v", "-S", "--allow-empty", "-m", "traced"]);
        git.envs(TRACES).envs(names.map(|name| (name, RUNNER)));
        let done = watched(&mut git, b"", &planted);
        assert!(done.ok(), "{done:?}");
        said += &(done.stdout + &done.stderr + &bed.agent("status").stdout);
        if round == 0 {
            std::thread::sleep(Duration::from_millis(3_200)); // the next renews
        }
    }
    assert_eq!((bed.logins(), bed.services.asked("/issuer/token")), (1, 2));
    assert!(bed.services.state().calls.iter().any(|(_, body)| body.contains(CLIENT_SECRET) && body.contains(PLANTED_REFRESH)));
    for planted in planted {
        assert!(!said.contains(planted), "{planted}");
    }
    let given = String::from_utf8(bed.home.read("browser-env")).unwrap();
    assert!(given.contains("DISPLAY=:0") && !names.iter().any(|name| given.contains(name)), "{given}");
    files(bed.home.path(), &mut |path, bytes| {
        for planted in planted {
            assert!(!holds(bytes, planted), "{}", path.display());
        }
    });
    let process = bed.agent_process();
    let bytes = [of_process(process, "environ"), of_process(process, "cmdline")];
    assert!(!planted.iter().any(|planted| holds(&bytes.concat(), planted)));
}

#[test]
fn of_a_server_that_repeats_all_that_it_is_sent() {
    let bed = Bed::new();
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("secret"), CLIENT_SECRET).unwrap();
    bed.config("warrant.oidcClientSecretFile", secrets.path().join("secret").to_str().unwrap());
    bed.config("warrant.agent", "false");
    let token = bed.services.mint(PERSON);
    let actions = format!("{}/actions", bed.services.url);
    let browser = bed.home.join("browser").display().to_string();
    let by_token = [("SIGSTORE_ID_TOKEN", token.as_str())];
    let by_browser = [("DISPLAY", ":0"), ("BROWSER", browser.as_str())];
    let by_runner = [("ACTIONS_ID_TOKEN_REQUEST_URL", actions.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RUNNER)];
    for (path, variables) in
        [("/fulcio", &by_token[..]), ("/rekor", &by_token), ("/issuer/token", &by_browser), ("/actions", &by_runner)]
    {
        let json = format!("{{\"message\":\"bad {token} {RUNNER}\",\"error\":\"{CLIENT_SECRET}\"}}");
        for (status, text) in [
            (400, "you sent {} and {head}"),
            (403, "{head}"),
            (200, "{}"),
            (200, "\"{head}\""),
            (400, json.as_str()),
            (200, &format!("{{\"value\":[\"{token}\"],\"id_token\":[\"{token}\"]}}")),
            (200, &format!("\"{token}\"")),
            (201, &format!("[\"{token}\", {{}}]")),
        ] {
            bed.services.fail(path, Fault::Says(status, text.to_owned()));
            let said = bed.unsigned(variables);
            assert!(said.contains("git-warrant: "), "{said}");
            for planted in [PLANTED_TOKEN, CLIENT_SECRET, RUNNER, "eyJhbGciOiJSUzI1NiJ9", "code_verifier="] {
                assert!(!said.contains(planted), "{path} {status} {text}: {said}");
            }
            bed.services.mend();
        }
    }
    // a password in a setting
    bed.config("warrant.rekor", "https://user:PLANTED@rekor.example");
    assert!(!bed.unsigned(&by_token).contains("PLANTED"));
}

/// Whether this system dumps core into the folder of a process that may: without that the next tests show nothing.
fn dumps_core(home: &Home) -> bool {
    let mut child = unlimited(home, "sleep 60");
    std::thread::sleep(Duration::from_millis(200));
    abort(home, child.0.id());
    child.0.wait().unwrap().core_dumped()
}

/// A shell's line, as its only process, with no limit on dumps.
fn unlimited(home: &Home, line: &str) -> Running {
    let folder = home.join("r/cores"); // in a repository, if there is one
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = home.command("sh");
    command.current_dir(folder).args(["-c", &format!("ulimit -c unlimited; exec {line}")]);
    command.env("XDG_RUNTIME_DIR", home.join("run"));
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn abort(home: &Home, process: u32) {
    assert!(run(home.command("kill").args(["-ABRT", &process.to_string()]), b"").ok());
}

#[test]
fn of_core_dumps() {
    let bed = Bed::new();
    if !dumps_core(&bed.home) {
        println!("skipped: nothing dumps core on this system");
        return;
    }
    let check = |mut child: Running, name: &str| {
        abort(&bed.home, child.0.id());
        let status = child.0.wait().unwrap();
        assert!(status.signal() == Some(6) && !status.core_dumped(), "{name}: {status}");
    };
    // the agent
    let agent = unlimited(&bed.home, &format!("'{OURS}' agent --foreground"));
    wait_for(|| bed.agent("status").ok());
    bed.log_in(PERSON);
    check(agent, "the agent");
    // a signer that waits for a server
    bed.services.fail("/fulcio", Fault::Slow(Duration::from_secs(10)));
    bed.home.write("r/cores/payload", "tree 0\n\nm\n");
    let mut line = format!("env SIGSTORE_ID_TOKEN={} '{OURS}' --status-fd=2 -bsau KEY <payload", bed.services.mint(PERSON));
    let before = bed.services.asked("/fulcio");
    let signer = unlimited(&bed.home, &line);
    wait_for(|| bed.services.asked("/fulcio") > before);
    check(signer, "the keyless signer");
    // one that waits for a passphrase, with the key file read
    bed.home.key("k", &["ed25519"], "PLANTED");
    let ask = bed.script("ask", "touch \"$HOME/asked\"; exec sleep 20");
    line = format!("env SSH_ASKPASS={ask} SSH_ASKPASS_REQUIRE=force '{OURS}' -Y sign -n git -f ../../k payload");
    let signer = unlimited(&bed.home, &line);
    wait_for(|| bed.home.join("asked").exists());
    check(signer, "the signer with SSH keys");
}

#[test]
fn of_other_processes_of_the_same_user() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 || !has("setpriv") {
        return skipped("setpriv, as root");
    }
    let bed = Bed::new();
    let place = bed.home.join("nobody");
    std::fs::create_dir(&place).unwrap();
    std::os::unix::fs::chown(&place, Some(65534), Some(65534)).unwrap();
    std::fs::set_permissions(bed.home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = bed.home.join("git-warrant");
    std::fs::copy(OURS, &program).unwrap();
    let nobody = |args: &[&str]| {
        let mut command = bed.home.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"]).args(args).current_dir("/");
        command.env("XDG_RUNTIME_DIR", &place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let agent = Running(nobody(&[program.to_str().unwrap(), "agent", "--foreground"]).spawn().unwrap());
    wait_for(|| nobody(&[program.to_str().unwrap(), "agent", "status"]).status().unwrap().success());
    let other = Running(nobody(&["sleep", "60"]).spawn().unwrap());
    wait_for(|| std::fs::read(format!("/proc/{}/cmdline", other.0.id())).unwrap().starts_with(b"sleep"));
    let looks = |process: u32| nobody(&["cat", &format!("/proc/{process}/environ")]).status().unwrap().success();
    assert!(looks(other.0.id()), "the test sees nothing anyway");
    assert!(!looks(agent.0.id()));
    if has("gcore") {
        let core = place.join("core");
        let dumped = |process: u32| {
            let done = nobody(&["gcore", "-o", core.to_str().unwrap(), &process.to_string()]).status().unwrap();
            done.success() && core.with_extension(process.to_string()).exists()
        };
        assert!(dumped(other.0.id()), "gcore dumps nothing anyway");
        assert!(!dumped(agent.0.id()));
    }
}

#[test]
fn of_keys_in_files_and_their_passphrases() {
    let home = Home::new();
    home.key("k", &["ed25519"], "");
    let file = String::from_utf8(home.read("k")).unwrap();
    let packed: String = file.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = STANDARD.decode(packed).unwrap();
    let at = memchr::memmem::rfind(&bytes, &[0, 0, 0, 64]).unwrap() + 4;
    let seed = bytes[at..at + 32].to_vec();
    let written = ["-q", "-p", "-a", "4", "-P", "", "-N", "PLANTED-PASSPHRASE", "-f", "k"];
    assert!(run(home.command("ssh-keygen").args(written), b"").ok());
    home.git("", &["init", "-q", "r"]);
    for (name, value) in [("gpg.format", "ssh"), ("gpg.ssh.program", OURS), ("user.signingKey", home.join("k").to_str().unwrap())] {
        home.git("", &["config", "--global", name, value]);
    }
    // what the program that asks is given, and what it answers
    let answer = tempfile::tempdir().unwrap();
    let ask = answer.path().join("ask");
    std::fs::write(&ask, format!("#!/bin/sh\nenv >'{}'\necho PLANTED-PASSPHRASE\n", home.join("asked").display())).unwrap();
    std::fs::set_permissions(&ask, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut git = home.command("git");
    git.current_dir(home.join("r")).args(["commit", "-v", "-S", "--allow-empty", "-m", "traced"]).envs(TRACES);
    git.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("SIGSTORE_ID_TOKEN", RUNNER);
    let done = watched(&mut git, b"", &["PLANTED-PASSPHRASE"]);
    assert!(done.ok(), "{done:?}");
    assert!(home.git("r", &["cat-file", "commit", "HEAD"]).contains("BEGIN SSH SIGNATURE"));
    assert!(!done.stderr.contains("PLANTED") && !done.stdout.contains("PLANTED"), "{done:?}");
    let asked = String::from_utf8(home.read("asked")).unwrap();
    assert!(asked.contains("SSH_ASKPASS") && !asked.contains(RUNNER), "{asked}");
    files(home.path(), &mut |path, bytes| {
        assert!(!holds(bytes, "PLANTED") && memchr::memmem::find(bytes, &seed).is_none(), "{}", path.display());
    });
}
