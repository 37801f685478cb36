//! FIDO keys: an agent inside the test that signs with chosen flags and counter, and OpenSSH's agent with a software token.

use crate::agents::{blob, fake, frame, identities, sign_request};
use crate::certificates::certify;
use crate::common::{Home, SshAgent, run, skipped};
use crate::signing::{assert_good, assert_refused, assert_signed, check, sign};
use crate::verifying::same;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use git_warrant::evidence::Token;
use git_warrant::signature::ssh::curve::P256;
use git_warrant::signature::ssh::key::Checked;
use git_warrant::signature::ssh::wire::Writer;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

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
    // without an agent the token is out of reach
    assert_refused(&home, &sign(&home, "sk.pub", &[], None), "through an agent only: `ssh-add sk.pub`");
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

#[test]
fn opensshs_agent_with_a_software_token() {
    let found = ["/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so", "/usr/lib/openssh/sk-dummy.so"];
    let Some(provider) = found.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        return skipped("sk-dummy.so (Debian's openssh-tests)");
    };
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        let home = Home::new();
        home.write("message", "what is signed\n");
        let mut generate = home.command("ssh-keygen");
        generate.args(["-q", "-t", kind, "-N", "", "-f", "sk"]).env("SSH_SK_PROVIDER", provider);
        let done = run(&mut generate, b"");
        assert!(done.ok(), "{done:?}");
        home.write("signers", format!("alice@example.com {}\n", home.public("sk")));
        assert_refused(&home, &sign(&home, "sk", &[], None), "through an agent only: `ssh-add sk`");
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
        assert_refused(&home, &sign(&home, "sk-cert.pub", &[], None), "through an agent only: `ssh-add sk`");
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
