//! Who else comes to the agent's socket, and who else listens there.

use crate::common::{OURS, Running, has, run, skipped, wait_for};
use crate::services::{Bed, PERSON, now};
use crate::sigstore::{Key, Leaf, Signature, Sigstore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn socket(bed: &Bed) -> PathBuf {
    bed.home.join("run/git-warrant/agent")
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn frame(message: &Value) -> Vec<u8> {
    let text = message.to_string().into_bytes();
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], &text].concat()
}

/// Listens in the agent's place, and answers each question as told.
fn impostor(bed: &Bed, answer: impl Fn(&Value) -> Value + Send + 'static) {
    let folder = bed.home.join("run/git-warrant");
    std::fs::create_dir_all(&folder).unwrap();
    allow(&folder, 0o700);
    let listener = UnixListener::bind(socket(bed)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut text = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            stream.read_exact(&mut text).unwrap();
            let _ = stream.write_all(&frame(&answer(&serde_json::from_slice(&text).unwrap())));
        }
    });
}

/// What an agent says that holds one certificate.
fn status() -> Value {
    json!({ "status": { "process": 1, "locked": true, "certificates": [] } })
}

#[test]
fn frames_that_are_none_harm_nobody() {
    let bed = Bed::new();
    bed.log_in(PERSON);
    let closes = |bytes: &[u8], within: Duration| {
        let mut stream = UnixStream::connect(socket(&bed)).unwrap();
        let start = Instant::now();
        let _ = stream.write_all(bytes);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(start.elapsed() < within, "{bytes:?}: {:?}", start.elapsed());
        answer
    };
    let soon = Duration::from_secs(2);
    assert!(closes(&[0xff; 4], soon).is_empty() && closes(&[0, 1, 0, 1], soon).is_empty());
    assert!(closes(&[&[0, 0, 0, 2][..], b"{}"].concat(), soon).is_empty());
    assert!(closes(&[&[0, 0, 0, 4][..], b"\xff\xfe\0\0"].concat(), soon).is_empty());
    for foreign in
        [json!({ "sign": { "of": "x" } }), json!({ "sign": { "of": "x", "attributes": "", "more": 1 } }), json!("export")]
    {
        assert!(closes(&frame(&foreign), soon).is_empty(), "{foreign}");
    }
    for question in [
        json!({ "sign": { "of": "x", "attributes": "" } }),
        json!({ "certificate": { "of": "x", "certificate": "MAA=" } }),
        json!({ "renew": { "of": "x" } }),
    ] {
        let answer = String::from_utf8(closes(&frame(&question), soon)).unwrap();
        assert!(answer.contains("refused") || answer.contains("nothing"), "{question}: {answer}");
    }
    // half a frame, then nothing: it waits for so long, and no longer
    assert!(closes(&[0, 0], Duration::from_secs(8)).is_empty());
    let mut dripping = UnixStream::connect(socket(&bed)).unwrap();
    dripping.write_all(&[0, 0, 4, 0]).unwrap();
    let start = Instant::now();
    while dripping.write_all(b" ").is_ok() {
        std::thread::sleep(Duration::from_millis(400));
        assert!(start.elapsed() < Duration::from_secs(9), "it waits for every byte anew");
    }
    bed.commits(bed.command("git", &[]));
}

#[test]
fn silent_peers_are_in_nobodys_way_for_long() {
    let bed = Bed::new();
    bed.log_in(PERSON);
    let silent: Vec<UnixStream> = (0..60).map(|_| UnixStream::connect(socket(&bed)).unwrap()).collect();
    bed.commits(bed.with_browser("git", &[])); // by the agent or without it
    std::thread::sleep(Duration::from_millis(5_500));
    bed.commits(bed.command("git", &[]));
    drop(silent);
}

/// Whether this is root, and can be somebody else.
fn can_be_another() -> bool {
    let can = std::fs::metadata("/proc/self").unwrap().uid() == 0 && has("setpriv") && has("python3");
    if !can {
        skipped("setpriv and python3, as root");
    }
    can
}

const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

#[test]
fn another_user_is_not_served() {
    if !can_be_another() {
        return;
    }
    let bed = Bed::new();
    bed.log_in(PERSON);
    let ask = |who: &[&str]| {
        let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(9)\ns.connect(sys.argv[1])\ntry:\n s.sendall(b'\\0\\0\\0\\x08\"status\"')\n print(len(s.recv(999)))\nexcept OSError:\n print(0)";
        let mut command = bed.command("setpriv", who);
        command.args(["/usr/bin/env", "python3", "-c", script]).arg(socket(&bed)).current_dir("/");
        run(&mut command, b"")
    };
    assert!(!ask(&NOBODY).ok(), "the folder lets in nobody else");
    // though all doors be open
    for path in [bed.home.path().to_owned(), bed.home.join("run"), bed.home.join("run/git-warrant")] {
        allow(&path, 0o755);
    }
    allow(&socket(&bed), 0o777);
    let done = ask(&NOBODY);
    assert!(done.ok() && done.stdout == "0\n", "{done:?}");
    let done = ask(&["--reuid=0"]);
    assert!(done.ok() && done.stdout != "0\n", "{done:?}");
}

#[test]
fn another_users_socket_is_not_believed() {
    if !can_be_another() {
        return;
    }
    let bed = Bed::new();
    let theirs = bed.home.join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    allow(&theirs, 0o777);
    allow(bed.home.path(), 0o755);
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(9)\nm=b'{\"status\":{\"process\":1,\"locked\":true,\"certificates\":[]}}'\nwhile True:\n c=s.accept()[0]\n c.recv(999)\n c.sendall(len(m).to_bytes(4,'big')+m)";
    let listening = theirs.join("agent");
    let start = |who: &[&str]| {
        let _ = std::fs::remove_file(&listening);
        let mut command = bed.command("setpriv", who);
        command.args(["/usr/bin/env", "python3", "-c", script]).arg(&listening).current_dir("/");
        let running = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait_for(|| listening.exists());
        std::thread::sleep(Duration::from_millis(200)); // it listens a moment after
        running
    };
    let folder = bed.home.join("run/git-warrant");
    std::fs::create_dir(&folder).unwrap();
    allow(&folder, 0o700);
    symlink(&listening, folder.join("agent")).unwrap();
    let own = start(&["--reuid=0"]);
    assert!(bed.agent("status").stdout.contains("process 1;"), "the test's own agent is not understood");
    drop(own);
    let _other = start(&NOBODY);
    assert!(bed.agent("status").stdout.contains("no agent runs"));
    bed.commits(bed.with_browser("git", &[]));
}

#[test]
fn a_folder_that_is_not_ones_own_is_not_used() {
    let bed = Bed::new();
    let place = bed.home.join("tmp");
    std::fs::create_dir(&place).unwrap();
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    let folder = place.join(format!("git-warrant-{user}"));
    let elsewhere = bed.home.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    allow(&elsewhere, 0o700);
    let git = || {
        let mut git = bed.with_browser("git", &[]);
        git.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &place);
        git
    };
    let mut logins = 0;
    for plant in 0..4 {
        match plant {
            0 => symlink(&elsewhere, &folder).unwrap(),
            1 => std::fs::write(&folder, "").unwrap(),
            _ => std::fs::create_dir(&folder).unwrap(),
        }
        if plant == 2 {
            allow(&folder, 0o755);
        }
        if plant == 3 {
            allow(&folder, 0o700);
            if user != 0 {
                continue;
            }
            std::os::unix::fs::chown(&folder, Some(65534), None).unwrap();
        }
        // each asks: no agent holds anything
        for _ in 0..2 {
            bed.commits(git());
            logins += 1;
            assert_eq!(bed.logins(), logins, "{plant}");
        }
        let _ = std::fs::remove_file(&folder).or_else(|_| std::fs::remove_dir(&folder));
    }
    assert!(std::fs::read_dir(&elsewhere).unwrap().next().is_none());
    // and where it is, one login is enough
    bed.commits(git());
    bed.commits(git());
    assert_eq!(bed.logins(), logins + 1);
    let mut stop = bed.command(OURS, &["agent", "stop"]);
    assert!(run(stop.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &place), b"").ok());
}

#[test]
fn an_agent_that_answers_for_another_key_or_time_is_none() {
    for (begin, of_key) in [(now() - 5, false), (now() - 2_000, true)] {
        let bed = Bed::new();
        let (key, other) = (Key::p256(), Key::p256());
        let leaf = Leaf { end: begin + 600, ..Leaf::email("mallory@example.com", begin) };
        let certificate = bed.services.sigstore.issue(&leaf, if of_key { &key } else { &other });
        impostor(&bed, move |question| match question["sign"]["attributes"].as_str() {
            Some(attributes) => json!({ "signature": {
                "certificate": STANDARD.encode(&certificate),
                "signature": STANDARD.encode(key.sign(&STANDARD.decode(attributes).unwrap())),
            } }),
            None => status(),
        });
        // its user logs in anew, and signs as who they are
        bed.commits(bed.with_browser("git", &[]));
        assert!(bed.verifies("HEAD").contains(PERSON));
        assert_eq!(bed.logins(), 1);
    }
}

#[test]
fn an_agent_of_another_instance_signs_nothing() {
    let bed = Bed::new();
    let key = Key::p256();
    let certificate = Sigstore::new("mallory").issue(&Leaf::email(PERSON, now() - 5), &key);
    let seen = Signature::new(&key, &certificate, b"x", now());
    assert!(!seen.signature.is_empty());
    impostor(&bed, move |question| match question["sign"]["attributes"].as_str() {
        Some(attributes) => json!({ "signature": {
            "certificate": STANDARD.encode(&certificate),
            "signature": STANDARD.encode(key.sign(&STANDARD.decode(attributes).unwrap())),
        } }),
        None => status(),
    });
    let said = bed.refusal(&[]);
    assert!(said.contains("does not verify by the trusted root"), "{said}");
}

#[test]
fn what_lies_where_the_socket_should_be_is_swept_away() {
    let bed = Bed::new();
    let folder = bed.home.join("run/git-warrant");
    std::fs::create_dir(&folder).unwrap();
    allow(&folder, 0o700);
    bed.home.write("precious", "precious");
    for plant in 0..3 {
        match plant {
            0 => drop(UnixListener::bind(socket(&bed)).unwrap()), // of one that was killed
            1 => std::fs::write(socket(&bed), "").unwrap(),
            _ => symlink(bed.home.join("precious"), socket(&bed)).unwrap(),
        }
        bed.log_in(PERSON);
        bed.commits(bed.command("git", &[]));
        bed.agent("stop");
        wait_for(|| !socket(&bed).exists());
    }
    assert_eq!(bed.home.read("precious"), b"precious");
}

#[test]
fn one_that_never_answers_is_not_waited_for_for_ever() {
    let bed = Bed::new();
    let folder = bed.home.join("run/git-warrant");
    std::fs::create_dir(&folder).unwrap();
    allow(&folder, 0o700);
    // it listens, and accepts nobody
    let _listener = UnixListener::bind(socket(&bed)).unwrap();
    let start = Instant::now();
    let done = bed.agent("status");
    assert!(!done.ok() && done.stderr.contains("an agent is there and does not answer"), "{done:?}");
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    bed.commits(bed.with_browser("git", &[]));
}

#[test]
fn two_logins_at_once_are_both_kept() {
    let bed = Bed::new();
    bed.log_in(PERSON);
    bed.services.fail("/fulcio", crate::services::Fault::Slow(Duration::from_millis(700)));
    // both have their key made before either has its certificate
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| bed.log_in(PERSON));
        }
    });
    bed.services.mend();
    bed.commits(bed.command("git", &[]));
}

#[test]
fn whoever_takes_the_sockets_place_keeps_it() {
    let bed = Bed::new();
    bed.log_in(PERSON);
    let process = bed.agent_process();
    std::fs::remove_file(socket(&bed)).unwrap();
    let other = UnixListener::bind(socket(&bed)).unwrap();
    // it is asked nothing any more, and ends; what is there now is not its own
    wait_for(|| {
        std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.is_empty())
            || !Path::new(&format!("/proc/{process}")).exists()
    });
    assert!(socket(&bed).exists());
    // nor does the next one take the place of somebody who listens
    let start = Instant::now();
    let mut agent = bed.command(OURS, &["agent", "--foreground"]);
    let done = run(&mut agent, b"");
    assert!(!done.ok() && done.stderr.contains("somebody listens at"), "{done:?}");
    assert!(socket(&bed).exists() && start.elapsed() < Duration::from_secs(9));
    drop(other);
}

#[test]
fn the_process_that_is_in_the_way_is_named() {
    let bed = Bed::new();
    bed.log_in(PERSON);
    let process = bed.agent_process();
    run(bed.command("kill", &["-STOP", &process.to_string()]).stdin(Stdio::null()), b"");
    let done = bed.agent("status");
    run(bed.command("kill", &["-CONT", &process.to_string()]).stdin(Stdio::null()), b"");
    assert!(!done.ok() && done.stderr.contains(&format!("does not answer (process {process})")), "{done:?}");
    bed.commits(bed.command("git", &[]));
}
