//! People log in at a terminal of their own: by a browser, by a device code, by a code that they type; and somebody else tries to.

use crate::common::{OURS, Running, has, run, skipped, wait_for};
use crate::services::{Bed, PERSON, get};
use crate::terminal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

/// Runs a line of shell at a terminal, and types what `answer` makes of the screen, once it makes something; the screen.
fn at_a_terminal(bed: &Bed, line: &str, answer: &dyn Fn(&str) -> Option<String>) -> String {
    terminal::at_a_terminal(bed.command("script", &[]), line, |screen, typed| answer(screen).filter(|_| typed == 0))
}

/// The address on a screen.
fn page(screen: &str) -> Option<String> {
    let rest = screen.split_once("http://")?.1;
    let (address, _) = rest.split_once(['\r', '\n'])?;
    Some(format!("http://{address}"))
}

const COMMIT: &str = "git commit -q -S --allow-empty -m 'at a terminal'";

/// What git itself writes is empty, and the commit is signed by the person.
fn went_well(bed: &Bed, screen: &str) {
    let streams = (bed.home.read("r/out"), bed.home.read("r/err"));
    assert!(screen.contains("status 0"), "{screen} {streams:?}");
    let error = String::from_utf8(streams.1).unwrap();
    assert!(streams.0.is_empty() && !error.contains("http://localhost") && !error.contains("code"), "{error}");
    assert!(bed.verifies("HEAD").contains(PERSON));
}

#[test]
fn outside_of_a_repository() {
    let bed = Bed::new();
    // what is for one repository only is not looked for where there is none
    bed.config("includeIf.gitdir:~/r/.path", "~/absent");
    bed.config("includeIf.onbranch:main.path", "~/absent");
    let mut login = bed.command(OURS, &["login"]);
    login.current_dir(bed.home.join("run")).env("SIGSTORE_ID_TOKEN", bed.services.mint(PERSON));
    let done = run(&mut login, b"");
    assert!(done.ok() && done.stdout.contains(&format!("logged in as {PERSON}")), "{done:?}");
    bed.commits(bed.command("git", &[]));
    assert_eq!(bed.logins(), 0);
}

#[test]
fn by_a_code_that_is_typed() {
    if !has("script") {
        return skipped("script (util-linux)");
    }
    let bed = Bed::new();
    bed.config("warrant.login", "code");
    // whoever opens the page is shown the code, and types it
    let typed = |screen: &str| {
        let answer = screen.contains("the code that is shown there: ").then(|| get(&page(screen).unwrap()))?;
        Some(answer.rsplit("\r\n").next().unwrap().to_owned())
    };
    let screen = at_a_terminal(&bed, COMMIT, &typed);
    went_well(&bed, &screen);
    assert!(screen.contains(&format!("logged in as {PERSON}")) && !screen.contains("code-0"), "{screen}");
    bed.agent("stop");
    // a wrong one, and none
    for (code, says) in [("wrong", "status 400"), ("\x04", "no code was typed")] {
        let before = bed.head();
        let screen =
            at_a_terminal(&bed, COMMIT, &|screen| screen.contains("the code that is shown there: ").then(|| code.to_owned()));
        assert!(!screen.contains("status 0") && bed.head() == before, "{screen}");
        let ours = format!("'{OURS}' --status-fd=2 -bsau KEY");
        at_a_terminal(&bed, &ours, &|screen| screen.contains("the code that is shown there: ").then(|| code.to_owned()));
        let error = String::from_utf8(bed.home.read("r/err")).unwrap();
        assert!(error.contains(says) && bed.home.read("r/out").is_empty(), "{error}");
    }
}

#[test]
fn by_a_device_code() {
    if !has("script") {
        return skipped("script (util-linux)");
    }
    let bed = Bed::new();
    let screen = at_a_terminal(&bed, COMMIT, &|_| None); // no display: a device code by itself
    went_well(&bed, &screen);
    assert!(screen.contains("/activate") && screen.contains("with the code ABCD-EFGH"), "{screen}");
    assert_eq!(bed.logins(), 0);
    // where the issuer knows none, a code is typed
    bed.agent("stop");
    bed.services.state().device = false;
    let screen = at_a_terminal(&bed, COMMIT, &|screen| {
        let answer = screen.contains("the code that is shown there: ").then(|| get(&page(screen).unwrap()))?;
        Some(answer.rsplit("\r\n").next().unwrap().to_owned())
    });
    went_well(&bed, &screen);
}

#[test]
fn by_a_browser() {
    if !has("script") {
        return skipped("script (util-linux)");
    }
    let bed = Bed::new();
    let browser = bed.home.join("browser");
    let screen = at_a_terminal(&bed, &format!("DISPLAY=:0 BROWSER='{}' {COMMIT}", browser.display()), &|_| None);
    went_well(&bed, &screen);
    assert!(screen.contains("log in in the browser") && bed.logins() == 1, "{screen}");
}

#[test]
fn only_the_browser_that_was_sent_comes_back() {
    let bed = Bed::new();
    bed.services.state().follows = false;
    let mut git = bed.with_browser("git", &["commit", "-q", "-S", "--allow-empty", "-m", "beside others"]);
    let mut child = Running(git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_for(|| bed.logins() == 1);
    let asked = bed.services.state().calls.iter().find(|(target, _)| target.starts_with("/issuer/auth")).unwrap().0.clone();
    let asked = crate::services::form(asked.split_once('?').unwrap().1);
    let (back, state) = (&asked["redirect_uri"], &asked["state"]);
    let port: u16 = back.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    // it listens on this machine alone
    assert!(back.starts_with("http://localhost:"));
    // and those who say nothing are in nobody's way
    let _silent: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let start = std::time::Instant::now();
    let mut post = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = format!("code=code-0&state={state}");
    let head = "POST /auth/callback HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example";
    write!(post, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    let _ = post.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    // the POST has a body, behind which it waits for more
    assert!(start.elapsed() < std::time::Duration::from_secs(9), "{:?}", start.elapsed());
    for query in ["", "?code=code-0", "?code=code-0&state=", "?code=code-0&state=guessed", "?error=access_denied&state=guessed"] {
        let answer = get(&format!("{back}{query}"));
        assert!(answer.starts_with("HTTP/1.1 404"), "{query}: {answer}");
    }
    assert!(child.0.try_wait().unwrap().is_none(), "it still waits");
    let answer = get(&format!("{back}?code=code-0&state={state}"));
    assert!(answer.contains("has come back to git"), "{answer}");
    // who comes later finds nobody
    wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(child.0.wait().unwrap().success());
    assert!(bed.verifies("HEAD").contains(PERSON));
}

#[test]
fn a_token_of_another_login_is_none() {
    let bed = Bed::new();
    let browser = bed.home.join("browser").display().to_string();
    let here = [("DISPLAY", ":0"), ("BROWSER", browser.as_str())];
    for (name, value, says) in [
        ("nonce", "guessed", "its token answers another login than this one"),
        ("aud", "other", "its token is of another issuer, or for another program"),
        ("iss", "https://other.example", "its token is of another issuer, or for another program"),
    ] {
        bed.services.state().claims = vec![(name, value.into())];
        let said = bed.refusal(&here);
        assert!(said.contains(says), "{said}");
        assert_eq!(bed.services.asked("/fulcio"), 0, "it went no further");
    }
    // an issuer that is another than it should be
    bed.config("warrant.oidcIssuer", &bed.services.url);
    assert!(bed.refusal(&here).contains("the issuer at"));
}

#[test]
fn a_client_secret_comes_from_a_file() {
    let bed = Bed::new();
    bed.services.state().secret = Some("client-secret".to_owned());
    let browser = bed.home.join("browser").display().to_string();
    let here = [("DISPLAY", ":0"), ("BROWSER", browser.as_str())];
    assert!(bed.refusal(&here).contains("invalid_client"));
    bed.home.write("secret", "client-secret\n");
    bed.config("warrant.oidcClientSecretFile", "~/secret");
    bed.config("warrant.refresh", "true");
    bed.services.state().life = 22;
    bed.commits(bed.with_browser("git", &[]));
    // the agent, too, says it when it renews
    std::thread::sleep(std::time::Duration::from_millis(3_200));
    bed.commits(bed.command("git", &[]));
    let done = run(&mut bed.command("grep", &["-r", "client-secret", "."]), b"");
    assert!(!done.ok(), "{done:?}");
}
