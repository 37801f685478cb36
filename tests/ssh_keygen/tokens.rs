//! FIDO keys: an agent inside the test that signs with chosen flags and counter, and OpenSSH's agent with a software token.

use crate::agents::{blob, fake, frame, identities, sign_request};
use crate::certificates::certify;
use crate::common::{Done, Home, OURS, SshAgent, has, run, skipped};
use crate::signing::{assert_good, assert_refused, assert_signed, check, sign};
use crate::verifying::same;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use git_warrant::evidence::Token;
use git_warrant::signature::curve::P256;
use git_warrant::signature::ssh::key::Checked;
use git_warrant::signature::ssh::wire::Writer;
use sha2::{Digest, Sha256};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const APPLICATION: &[u8] = b"ssh:git-warrant";

fn home_with(kind: &str, key: &[u8]) -> Home {
    let home = Home::new();
    let line = format!("{kind} {}", STANDARD.encode(key));
    home.write("sk.pub", &line);
    home.write("signers", format!("alice@example.com {line}\n"));
    home.write("message", "what is signed\n");
    home
}

/// What a token signs.
fn token_data(data: &[u8], token: Token) -> Vec<u8> {
    let head = Writer::default().raw(&Sha256::digest(APPLICATION)).byte(token.flags).u32(token.counter);
    head.raw(&Sha256::digest(data)).into_bytes()
}

/// An agent for one key, which signs through `signature`.
fn token_agent(home: &Home, kind: &'static str, token: Token, signature: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> PathBuf {
    let key = blob(&String::from_utf8(home.read("sk.pub")).unwrap());
    fake(
        home,
        Box::new(move |request, _| match request[0] {
            11 => Some(identities(&[&key])),
            _ => {
                let (asked, data, flags) = sign_request(request);
                assert_eq!((asked.as_slice(), flags), (key.as_slice(), 0));
                let raw = signature(&token_data(&data, token));
                let blob = Writer::default().string(kind.as_bytes()).string(&raw).byte(token.flags).u32(token.counter);
                Some(frame(Writer::default().byte(14).string(&blob.into_bytes())))
            }
        }),
    )
}

#[test]
fn ed25519_tokens_with_any_flags_and_counter() {
    const KIND: &str = "sk-ssh-ed25519@openssh.com";
    let key = SigningKey::from_bytes(&[9; 32]);
    let public = key.verifying_key().to_bytes();
    let home = home_with(KIND, &Writer::default().string(KIND.as_bytes()).string(&public).string(APPLICATION).into_bytes());
    for token in [(1, 1), (5, 7), (0, 0), (0xff, u32::MAX)].map(|(flags, counter)| Token { flags, counter }) {
        let key = key.clone();
        let socket = token_agent(&home, KIND, token, move |data| key.sign(data).to_bytes().to_vec());
        assert_signed(&sign(&home, "sk.pub", &["-U"], Some(&socket)));
        assert_good(&home);
        assert_eq!(check(&home), Checked { token: Some(token), ..Checked::default() });
    }
    // without the file that holds the handle only the agent can
    assert_refused(&home, &sign(&home, "sk.pub", &[], None), "No private key found for \"sk\"");
}

#[test]
fn ecdsa_tokens_get_the_low_s() {
    const KIND: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = key.public_key().as_ref().to_vec();
    let writer = Writer::default().string(KIND.as_bytes()).string(b"nistp256").string(&public).string(APPLICATION);
    let home = home_with(KIND, &writer.into_bytes());
    let token = Token { flags: 1, counter: 3 };
    let socket = token_agent(&home, KIND, token, move |data| {
        loop {
            let fixed = key.sign(&SystemRandom::new(), data).unwrap();
            let (r, s) = fixed.as_ref().split_at(32);
            if P256.is_high(s) {
                return Writer::default().mpint(r).mpint(s).into_bytes();
            }
        }
    });
    assert_signed(&sign(&home, "sk.pub", &[], Some(&socket)));
    assert_good(&home);
    assert_eq!(check(&home), Checked { token: Some(token), ..Checked::default() });
}

fn software_token() -> Option<&'static str> {
    let found = ["/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so", "/usr/lib/openssh/sk-dummy.so"];
    let provider = found.into_iter().find(|path| Path::new(path).exists());
    if provider.is_none() {
        skipped("sk-dummy.so (Debian's openssh-tests)");
    }
    provider
}

/// A key on the software token, made with options of ssh-keygen's.
fn token_home(kind: &str, options: &[&str], provider: &str) -> Home {
    let home = Home::new();
    home.write("message", "what is signed\n");
    let mut generate = home.command("ssh-keygen");
    generate.args(["-q", "-t", kind, "-N", "", "-f", "sk"]).args(options).env("SSH_SK_PROVIDER", provider);
    let done = run(&mut generate, b"");
    assert!(done.ok(), "{done:?}");
    home.write("signers", format!("alice@example.com {}\n", home.public("sk")));
    home
}

/// Signs without an agent.
fn by_helper(home: &Home, options: &[&str], environment: &[(&str, &str)]) -> Done {
    let _ = std::fs::remove_file(home.join("message.sig"));
    let mut command = home.ours(&["-Y", "sign", "-n", "git", "-f", "sk"]);
    command.args(options).arg("message").envs(environment.iter().copied()).env("SSH_ASKPASS", home.join("ask"));
    run(&mut command, b"")
}

#[test]
fn without_an_agent_opensshs_helper_signs() {
    let Some(provider) = software_token() else { return };
    for (kind, short) in [("ed25519-sk", "ED25519-SK"), ("ecdsa-sk", "ECDSA-SK")] {
        for (options, flags, asks) in
            [(&[][..], 1, false), (&["-O", "no-touch-required"], 0, false), (&["-O", "verify-required"], 5, true)]
        {
            let home = token_home(kind, options, provider);
            let ask = home.write("ask", "#!/bin/sh\necho \"$1\" >>asked\necho 1234\n");
            std::fs::set_permissions(&ask, Permissions::from_mode(0o700)).unwrap();
            for (given, environment) in [
                (&[][..], &[("SSH_SK_PROVIDER", provider), ("SSH_ASKPASS_REQUIRE", "force")][..]),
                (&["-w", provider], &[("SSH_SK_PROVIDER", "/nonexistent.so"), ("SSH_ASKPASS_REQUIRE", "force")]),
            ] {
                let done = by_helper(&home, given, environment);
                assert!(done.ok() && done.stdout.is_empty(), "{kind} {options:?}: {done:?}");
                let touch = format!("Confirm user presence for key {short} SHA256:");
                assert_eq!(done.stderr.contains(&touch), flags & 1 != 0, "{done:?}");
                assert_eq!(home.join("asked").exists(), asks, "{options:?}");
                assert_good(&home);
                let checked = check(&home);
                assert_eq!(checked.token.map(|token| token.flags), Some(flags), "{options:?}");
                assert!(!checked.high_s && !checked.loose_encoding);
            }
            if asks {
                assert_eq!(home.read("asked"), format!("Enter PIN for {short} key: \n").repeat(2).as_bytes());
            }
        }
    }
}

#[test]
fn helpers_that_do_not_serve_leave_nothing() {
    let Some(provider) = software_token() else { return };
    let home = token_home("ed25519-sk", &[], provider);
    let liar = home
        .write("liar", "#!/bin/sh\nhead -c 40 >/dev/null\nsleep 30 &\nprintf '\\0\\0\\0\\015\\5\\0\\0\\0\\1\\0\\0\\0\\4blob'\n");
    let failing =
        home.write("failing", "#!/bin/sh\nhead -c 40 >/dev/null\nprintf '\\0\\0\\0\\011\\5\\0\\0\\0\\0\\0\\0\\0\\053'\nsleep 1\n");
    for path in [&liar, &failing] {
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
    let helper = |path: &Path| by_helper(&home, &["-w", provider], &[("SSH_SK_HELPER", path.to_str().unwrap())]);
    let start = Instant::now(); // what a helper leaves running keeps nobody waiting
    for (path, part) in [
        (Path::new("/nonexistent"), "the helper /nonexistent cannot be run: No such file or directory"),
        (Path::new("/bin/true"), "/bin/true broke off"),
        (&liar, "does not verify with the key"),
        (&failing, "its PIN was wrong or is missing"),
    ] {
        assert_refused(&home, &helper(path), part);
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    let done = by_helper(&home, &["-w", "/nonexistent.so"], &[]);
    assert_refused(&home, &done, "/nonexistent.so (-w, SSH_SK_PROVIDER) is not a FIDO library");
    assert!(done.stderr.contains("ssh-sk-helper: "), "{done:?}");
    // the agent goes first, and -U needs it
    assert_refused(&home, &by_helper(&home, &["-U", "-w", provider], &[]), "SSH_AUTH_SOCK is not set");
    assert_refused(&home, &by_helper(&home, &[], &[]), "no token that holds SHA256:");
}

#[test]
fn opensshs_agent_with_a_software_token() {
    let Some(provider) = software_token() else { return };
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        let home = Home::new();
        home.write("message", "what is signed\n");
        let mut generate = home.command("ssh-keygen");
        generate.args(["-q", "-t", kind, "-N", "", "-f", "sk"]).env("SSH_SK_PROVIDER", provider);
        let done = run(&mut generate, b"");
        assert!(done.ok(), "{done:?}");
        home.write("signers", format!("alice@example.com {}\n", home.public("sk")));
        let agent = SshAgent::start(&home, &["-P", "/usr/lib/*"]);
        let mut add = home.command("ssh-add");
        add.args(["-q", "-S", provider, "sk"]).env("SSH_AUTH_SOCK", &agent.socket).env("SSH_SK_PROVIDER", provider);
        let done = run(&mut add, b"");
        assert!(done.ok(), "{done:?}");
        for key in ["sk", "sk.pub"] {
            assert_signed(&sign(&home, key, &[], Some(&agent.socket)));
            assert_good(&home);
            let checked = check(&home);
            assert!(checked.token.is_some_and(Token::touched), "{checked:?}");
            assert!(!checked.high_s && !checked.loose_encoding);
        }
        // with a certificate, which ssh-add finds beside the key
        home.key("ca", &["ed25519"], "");
        certify(&home, "ca", "sk", "sk", &["-n", "alice@example.com", "-O", "verify-required"]);
        assert_refused(&home, &sign(&home, "sk-cert.pub", &[], None), "no token that holds");
        let mut add = home.command("ssh-add");
        add.args(["-q", "-S", provider, "sk"]).env("SSH_AUTH_SOCK", &agent.socket).env("SSH_SK_PROVIDER", provider);
        let done = run(&mut add, b"");
        assert!(done.ok(), "{done:?}");
        home.write("signers", format!("*@example.com cert-authority {}\n", home.public("ca")));
        for options in [&[][..], &["-U"]] {
            assert_signed(&sign(&home, "sk-cert.pub", options, Some(&agent.socket)));
            assert_good(&home);
            assert!(check(&home).token.is_some_and(Token::touched));
            let args = ["-Y", "find-principals", "-f", "signers", "-s", "message.sig"];
            assert_eq!(same(&home, &args, b""), Some(0));
        }
    }
}

/// Git shows what a signer says only when all is over, and then only where it failed.
#[test]
fn a_touch_is_asked_for_on_the_terminal_where_git_hides_the_rest() {
    let Some(provider) = software_token() else { return };
    if !has("script") {
        return skipped("script (util-linux)");
    }
    let home = token_home("ed25519-sk", &[], provider);
    for (redirected, count) in [(">out 2>err", 1), (">out", 1)] {
        let _ = std::fs::remove_file(home.join("message.sig"));
        let line = format!("'{OURS}' -Y sign -n git -f sk message {redirected}; echo status $?");
        let mut command = home.command("script");
        command.args(["-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("SSH_SK_PROVIDER", provider);
        let done = run(&mut command, b"");
        assert_eq!(done.stdout.matches("Confirm user presence for key ED25519-SK SHA256:").count(), count, "{done:?}");
        assert!(done.stdout.contains("status 0"), "{done:?}");
        assert_good(&home);
    }
}
