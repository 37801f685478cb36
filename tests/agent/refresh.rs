//! Certificates that end are renewed where somebody asked for that, and only there.

use crate::common::{OURS, run, wait_for};
use crate::services::{Bed, Fault, PERSON, PLANTED_REFRESH, Services};
use std::time::Duration;

/// Certificates are not used in their last twenty seconds, so these are good for two.
const SHORT: i64 = 22;

fn ended() {
    std::thread::sleep(Duration::from_millis(3_200));
}

fn bed() -> Bed {
    let bed = Bed::new();
    bed.services.state().life = SHORT;
    bed
}

fn refreshed(bed: &Bed) -> usize {
    bed.services.state().calls.iter().filter(|(_, body)| body.contains("grant_type=refresh_token")).count()
}

#[test]
fn without_asking_for_it_nothing_is_renewed() {
    let bed = bed();
    bed.commits(bed.with_browser("git", &[]));
    assert_eq!((bed.logins(), bed.services.state().refresh.clone()), (1, None));
    assert!(!bed.services.state().calls.iter().any(|(target, _)| target.contains("offline_access")));
    ended();
    bed.commits(bed.with_browser("git", &[]));
    assert_eq!((bed.logins(), refreshed(&bed)), (2, 0));
}

#[test]
fn an_ended_certificate_is_renewed_by_whoever_asked_for_it() {
    for by_setting in [true, false] {
        let bed = bed();
        if by_setting {
            bed.config("warrant.refresh", "true");
            bed.commits(bed.with_browser("git", &[]));
        } else {
            let done = run(&mut bed.with_browser(OURS, &["login", "--refresh"]), b"");
            assert!(done.ok() && done.stdout.contains("renewed when it has ended, until "), "{done:?}");
        }
        assert_eq!(bed.logins(), 1);
        let status = bed.agent("status").stdout;
        assert!(status.contains(&format!("a certificate of {PERSON} until ")) && status.contains(", renewed until "), "{status}");
        for round in 1..=2 {
            ended();
            // no browser, no terminal: nobody is asked
            bed.commits(bed.command("git", &[]));
            assert_eq!((bed.logins(), refreshed(&bed)), (1, round));
        }
        // each of them took the place of the one before
        let sent: Vec<String> = {
            let state = bed.services.state();
            let bodies = state.calls.iter().filter(|(_, body)| body.contains("grant_type=refresh_token"));
            bodies.map(|(_, body)| crate::services::form(body)["refresh_token"].clone()).collect()
        };
        assert_eq!(sent, [format!("{PLANTED_REFRESH}-1"), format!("{PLANTED_REFRESH}-2")]);
        assert!(!bed.agent("status").stdout.contains(PLANTED_REFRESH));
    }
}

#[test]
fn a_refused_renewal_is_a_fresh_login() {
    let bed = bed();
    bed.config("warrant.refresh", "true");
    bed.commits(bed.with_browser("git", &[]));
    // the issuer takes it back
    bed.services.state().refresh = None;
    ended();
    bed.commits(bed.with_browser("git", &[]));
    assert_eq!((bed.logins(), refreshed(&bed)), (2, 1));
    // the issuer, or Fulcio, cannot be reached: the token is kept for another time
    for path in ["/issuer/token", "/fulcio"] {
        ended();
        bed.services.fail(path, Fault::Says(502, "down".to_owned()));
        let said = bed.refusal(&[]);
        assert!(said.contains("the certificate was not renewed") && said.contains("no terminal to ask at"), "{said}");
        assert!(!said.contains(PLANTED_REFRESH), "{said}");
        bed.services.mend();
        bed.commits(bed.command("git", &[]));
        assert_eq!(bed.logins(), 2);
    }
    // an agent that is gone is a fresh login
    run(bed.command("kill", &["-9", &bed.agent_process().to_string()]).stdin(std::process::Stdio::null()), b"");
    wait_for(|| bed.agent("status").stdout.contains("no agent runs"));
    bed.commits(bed.with_browser("git", &[]));
    assert_eq!(bed.logins(), 3);
}

#[test]
fn a_certificate_of_somebody_else_is_no_renewal() {
    let bed = bed();
    bed.config("warrant.refresh", "true");
    bed.commits(bed.with_browser("git", &[]));
    bed.services.state().person = "mallory@example.com".to_owned();
    ended();
    let said = bed.unsigned(&[]);
    assert!(said.contains("the new certificate is of mallory@example.com"), "{said}");
    assert!(bed.agent("status").stdout.contains("no certificate"));
    // of another issuer, or for another program
    for (name, value) in [("iss", "https://other.example"), ("aud", "other")] {
        bed.services.state().person = PERSON.to_owned();
        bed.services.state().claims.clear();
        bed.commits(bed.with_browser("git", &[]));
        bed.services.state().claims = vec![(name, value.into())];
        ended();
        let said = bed.unsigned(&[]);
        assert!(said.contains("is of another issuer, or for another program"), "{said}");
    }
}

#[test]
fn a_refresh_token_goes_to_no_other_issuer() {
    let bed = bed();
    bed.config("warrant.refresh", "true");
    bed.commits(bed.with_browser("git", &[]));
    let other = Services::start();
    ended();
    for (name, value) in [("warrant.oidcIssuer", other.issuer()), ("warrant.fulcio", format!("{}/fulcio", other.url))] {
        let mut git = bed.with_browser("git", &["-c", &format!("{name}={value}")]);
        git.args(["commit", "-q", "-S", "--allow-empty", "-m", "elsewhere"]);
        run(&mut git, b"");
        assert_eq!(refreshed(&bed), 0);
    }
    assert!(other.asked("/issuer/auth") > 0, "the other issuer was asked to let somebody in");
    let calls = other.state().calls.clone();
    assert!(
        !calls.iter().any(|(_, body)| body.contains(PLANTED_REFRESH) || body.contains("grant_type=refresh_token")),
        "{calls:?}"
    );
}

#[test]
fn commits_at_once_use_a_token_once() {
    let bed = bed();
    bed.config("warrant.refresh", "true");
    bed.commits(bed.with_browser("git", &[]));
    bed.services.state().life = 600;
    ended();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut ours = bed.command(OURS, &["--status-fd=2", "-bsau", "KEY"]);
                let done = run(&mut ours, b"tree 0\n\nm\n");
                assert!(done.ok() && done.stdout.starts_with("-----BEGIN SIGNED MESSAGE-----"), "{done:?}");
            });
        }
    });
    assert_eq!((bed.logins(), refreshed(&bed)), (1, 1));
}

#[test]
fn an_issuer_that_gives_none_is_no_failure() {
    let bed = bed();
    // asked for by a token at hand, which has none beside it
    let token = bed.services.mint(PERSON);
    let done = run(bed.command(OURS, &["login", "--refresh"]).env("SIGSTORE_ID_TOKEN", token), b"");
    assert!(done.ok() && done.stdout.contains("gave no refresh token"), "{done:?}");
    bed.commits(bed.command("git", &[]));
}

#[test]
fn an_issuer_that_hangs_makes_nobody_deaf() {
    let bed = bed();
    bed.config("warrant.refresh", "true");
    bed.commits(bed.with_browser("git", &[]));
    bed.services.fail("/issuer/token", Fault::Slow(Duration::from_secs(12)));
    ended();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| run(&mut bed.command(OURS, &["--status-fd=2", "-bsau", "KEY"]), b"tree 0\n\nm\n"));
        }
        wait_for(|| refreshed(&bed) > 0);
        std::thread::sleep(Duration::from_secs(1));
        let status = bed.agent("status");
        assert!(status.ok() && status.stdout.contains("renewed until"), "{status:?}");
    });
    assert_eq!(refreshed(&bed), 1, "each waiter renews on its own");
}

#[test]
fn only_the_issuers_own_word_ends_a_renewal() {
    let bed = bed();
    bed.config("warrant.refresh", "true");
    bed.commits(bed.with_browser("git", &[]));
    ended();
    bed.services.fail("/issuer/token", Fault::Says(404, "a gateway".to_owned()));
    assert!(bed.unsigned(&[]).contains("the certificate was not renewed"));
    bed.services.mend();
    bed.commits(bed.command("git", &[]));
    assert_eq!(bed.logins(), 1);
}
