//! Identity tokens that lie ready, where CI services put them; and identities that are no person's.

use crate::common::{OURS, run};
use crate::services::{Bed, PERSON};
use crate::sigstore::message;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

fn signed_by(bed: &Bed, variables: &[(&str, &str)], who: &str) {
    let mut git = bed.command("git", &[]);
    git.envs(variables.iter().copied());
    bed.commits(git);
    assert!(bed.verifies("HEAD").contains(who), "{who}");
}

#[test]
fn of_ci_services() {
    let bed = Bed::new();
    bed.config("warrant.agent", "false");
    let (url, runner, token) = (&bed.services.url, format!("{}/buildkite", bed.services.url), bed.services.mint("ci@example.com"));
    let actions = format!("{url}/actions?api-version=2.0");
    signed_by(
        &bed,
        &[("GITHUB_ACTIONS", "true"), ("ACTIONS_ID_TOKEN_REQUEST_URL", &actions), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner")],
        "actions@example.com",
    );
    assert!(bed.services.state().calls.iter().any(|(target, _)| target == "/actions?api-version=2.0&audience=sigstore"));
    let buildkite =
        [("BUILDKITE_AGENT_ACCESS_TOKEN", "secret"), ("BUILDKITE_JOB_ID", "7"), ("BUILDKITE_AGENT_ENDPOINT", runner.as_str())];
    signed_by(&bed, &buildkite, "buildkite@example.com");
    assert!(bed.services.state().calls.iter().any(|(_, body)| body == "{\"audience\":\"sigstore\"}"));
    signed_by(&bed, &[("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", &token)], "ci@example.com");
    signed_by(&bed, &[("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", &token)], "ci@example.com");
    bed.home.write("token", format!("{token}\n"));
    bed.config("warrant.tokenFile", "~/token");
    signed_by(&bed, &[], "ci@example.com");
    // one is named, and no other is looked at
    let sources = [
        ("gitlab", &[("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", token.as_str())][..], "ci@example.com"),
        ("buildkite", &buildkite, "buildkite@example.com"),
        ("circleci", &[("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", token.as_str())], "ci@example.com"),
        ("file", &buildkite, "ci@example.com"),
    ];
    for (source, variables, who) in sources {
        bed.config("warrant.tokenSource", source);
        signed_by(&bed, variables, who);
    }
}

#[test]
fn that_are_not_there_or_no_tokens() {
    let bed = Bed::new();
    let expired = bed.services.token(json!({ "sub": PERSON, "email": PERSON, "exp": 1_700_000_000 }));
    for (variables, says) in [
        (&[("GITLAB_CI", "true")][..], "this is a job of GitLab, and it has no identity token in SIGSTORE_ID_TOKEN"),
        (&[("CIRCLECI", "true")], "this is a job of CircleCI, and it has no identity token in CIRCLE_OIDC_TOKEN_V2"),
        (&[("GITHUB_ACTIONS", "true")], "permissions: id-token: write"),
        (&[("SIGSTORE_ID_TOKEN", "nonsense")], "SIGSTORE_ID_TOKEN holds no identity token"),
        (&[("SIGSTORE_ID_TOKEN", &expired)], "the identity token of SIGSTORE_ID_TOKEN has ended"),
        (
            &[("BUILDKITE_AGENT_ACCESS_TOKEN", "x"), ("BUILDKITE_JOB_ID", "8"), ("BUILDKITE_AGENT_ENDPOINT", &bed.services.url)],
            "Buildkite at",
        ),
        (&[], "no terminal to ask at"),
    ] {
        let said = bed.refusal(variables);
        assert!(said.contains(says) && !said.contains(&expired), "{said}");
    }
}

#[test]
fn of_a_workload() {
    let bed = Bed::new();
    let id = "spiffe://example.org/ns/build/sa/signer";
    bed.home.write("svid", bed.services.token(json!({ "sub": id })));
    bed.config("warrant.tokenFile", "~/svid");
    bed.commits(bed.command("git", &[]));
    assert!(bed.verifies("HEAD").contains(id));
    for (name, status) in [(id, 0), ("spiffe://example.org/ns/build/sa/other", 1)] {
        let text = format!(
            "version = 1\n[[principals.build.keys]]\nkeyless = \"{name}\"\nissuer = \"{}\"\n[authorities.own]\ntrusted-root = \"root.json\"\n",
            bed.services.issuer()
        );
        bed.home.write("policy.toml", text);
        let policy = bed.home.join("policy.toml");
        let done = run(&mut bed.command(OURS, &["verify", "--policy", policy.to_str().unwrap(), "--no-walk", "HEAD"]), b"");
        assert_eq!(done.status, Some(status), "{done:?}");
    }
}

/// A Workload API that answers one call with these bytes behind its settings; what it was asked.
fn workload_api(bed: &Bed, answer: Vec<u8>) -> std::thread::JoinHandle<Vec<u8>> {
    let path = bed.home.join("workload.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut chunk = [0; 4096];
        while !asked.ends_with(b"sigstore") {
            let count = stream.read(&mut chunk).unwrap();
            asked.extend_from_slice(&chunk[..count]);
        }
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            asked.extend_from_slice(&chunk[..count]);
        }
        asked
    })
}

fn frame(kind: u8, flags: u8, stream: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], content].concat()
}

/// The message of gRPC that holds a token.
fn svid(token: &str) -> Vec<u8> {
    let inner = [message(1, b"spiffe://example.org/build"), message(2, token.as_bytes())].concat();
    let outer = message(1, &inner);
    [&[0], &u32::try_from(outer.len()).unwrap().to_be_bytes()[..], &outer].concat()
}

#[test]
fn of_the_workload_api() {
    let bed = Bed::new();
    let id = "spiffe://example.org/build";
    let message = svid(&bed.services.token(json!({ "sub": id })));
    let (first, second) = message.split_at(100);
    let padded = [&[3], second, &[0; 3]].concat();
    let settings = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let [ping, head] = [frame(6, 0, 0, b"12345678"), frame(1, 4, 1, &[0x88])];
    let [half, rest, end] = [frame(0, 0, 1, first), frame(0, 8, 1, &padded), frame(1, 5, 1, b"\x40\x0bgrpc-status\x010")];
    let socket = format!("unix://{}", bed.home.join("workload.sock").display());
    let variables = [("SPIFFE_ENDPOINT_SOCKET", socket.as_str())];
    let good = [settings.clone(), ping, frame(8, 0, 0, &[0, 0, 1, 0]), head.clone(), half, rest, end.clone()].concat();
    let serving = workload_api(&bed, good.clone());
    signed_by(&bed, &variables, id);
    let asked = serving.join().unwrap();
    for part in ["PRI * HTTP/2.0", "/SpiffeWorkloadAPI/FetchJWTSVID", "workload.spiffe.io", "\x06\x01\0\0\0\x0012345678"] {
        assert!(memchr::memmem::find(&asked, part.as_bytes()).is_some(), "{part}");
    }
    // what is no answer is said, and nobody else's token is taken instead
    for (answer, says) in [
        (good[..good.len() - end.len()].to_vec(), "it says nothing"),
        (good[..200].to_vec(), "its answer breaks off"),
        ([settings.clone(), head.clone(), end.clone()].concat(), "it gives no token"),
        ([settings.clone(), frame(3, 0, 1, &[0; 4])].concat(), "it breaks the call off"),
        ([settings.clone(), frame(7, 0, 0, &[0; 8])].concat(), "it takes no calls"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "does not speak HTTP/2"),
        ([settings.clone(), head.clone(), frame(0, 1, 1, &svid("no token"))].concat(), "holds no identity token"),
        ([frame(0, 0, 1, &[0; 16_000]).repeat(5)].concat(), "its answer is too long"),
    ] {
        let serving = workload_api(&bed, answer);
        let said = bed.unsigned(&variables);
        assert!(said.contains("SPIFFE") && said.contains(says), "{says}: {said}");
        serving.join().unwrap();
    }
    let said = bed.unsigned(&[("SPIFFE_ENDPOINT_SOCKET", "tcp://127.0.0.1:1")]);
    assert!(said.contains("warrant.tokenFile"), "{said}");
    bed.config("warrant.tokenSource", "spiffe");
    assert!(bed.unsigned(&[("SIGSTORE_ID_TOKEN", &bed.services.mint(PERSON))]).contains("there is no token"));
}

#[test]
fn files_that_are_none_are_not_read() {
    let bed = Bed::new();
    let pipe = bed.home.join("pipe");
    assert!(run(&mut bed.command("mkfifo", &[pipe.to_str().unwrap()]), b"").ok());
    bed.home.write("long", "x".repeat(70_000));
    let start = std::time::Instant::now();
    for (file, says) in
        [("/dev/zero", "no regular file"), (pipe.to_str().unwrap(), "no regular file"), ("~/long", "longer than 65536 bytes")]
    {
        bed.config("warrant.tokenFile", file);
        let said = bed.unsigned(&[]);
        assert!(said.contains("cannot read the identity token") && said.contains(says), "{said}");
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn the_jobs_own_token_goes_before_the_machines() {
    let bed = Bed::new();
    let actions = format!("{}/actions", bed.services.url);
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", actions.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner"),
        ("SPIFFE_ENDPOINT_SOCKET", "unix:///nowhere"),
    ];
    signed_by(&bed, &variables, "actions@example.com");
    // nothing of this machine goes through a proxy
    let proxy = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
        .map(|name| (name, "http://127.0.0.1:9"));
    signed_by(&bed, &[&variables[..], &proxy].concat(), "actions@example.com");
}

#[test]
fn a_workload_api_that_takes_nobody_is_not_waited_for() {
    let bed = Bed::new();
    let path = bed.home.join("full.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let mut waiting = Vec::new();
    while waiting.len() < 10_000 {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        if connect(&socket, &SocketAddrUnix::new(&path).unwrap()).is_err() {
            break;
        }
        waiting.push(socket);
    }
    let start = std::time::Instant::now();
    let said = bed.unsigned(&[("SPIFFE_ENDPOINT_SOCKET", &format!("unix://{}", path.display()))]);
    assert!(said.contains("register this workload") && said.contains("warrant.tokenSource"), "{said}");
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}
