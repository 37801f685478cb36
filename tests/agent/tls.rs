//! Services by TLS: whoever signs the certificate must be trusted by this machine (SSL_CERT_FILE, SSL_CERT_DIR).

use crate::common::{Home, has, run, skipped};
use crate::services::{Bed, PERSON, Services};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// A server's configuration with a certificate for a name, by an authority of its own, whose certificate is `NAME.ca.pem`.
fn configuration(home: &Home, name: &str) -> Arc<rustls::ServerConfig> {
    let script = format!(
        "set -e
openssl ecparam -genkey -name prime256v1 -noout -out ca.key
openssl req -x509 -new -key ca.key -subj '/CN=Test of {name}' -days 2 -out {name}.ca.pem
openssl ecparam -genkey -name prime256v1 -noout | openssl pkcs8 -topk8 -nocrypt -out leaf.key
openssl req -new -key leaf.key -subj '/CN={name}' -out leaf.csr
printf 'subjectAltName=DNS:{name}\\nbasicConstraints=CA:FALSE\\nextendedKeyUsage=serverAuth\\n' >leaf.ext
openssl x509 -req -in leaf.csr -CA {name}.ca.pem -CAkey ca.key -set_serial 7 -days 1 -extfile leaf.ext -out leaf.pem"
    );
    let done = run(home.command("sh").args(["-c", &script]), b"");
    assert!(done.ok(), "{done:?}");
    let chain = vec![CertificateDer::from_pem_file(home.join("leaf.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(home.join("leaf.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

#[test]
fn a_certificate_that_is_not_trusted_is_said() {
    if !has("openssl") {
        return skipped("openssl");
    }
    let keys = Home::new();
    let (here, elsewhere) = (configuration(&keys, "localhost"), configuration(&keys, "fulcio.example"));
    let file = |name: &str| keys.join(format!("{name}.ca.pem")).display().to_string();
    let bed = Bed::of(Services::start_with(Some(here)));
    let token = bed.services.mint(PERSON);
    let mut git = bed.command("git", &[]);
    git.env("SIGSTORE_ID_TOKEN", &token).env("SSL_CERT_FILE", file("localhost"));
    bed.commits(git);
    // by an authority that this machine does not know; for another name
    let before = bed.services.state().calls.len();
    for authority in [None, Some(file("fulcio.example"))] {
        let mut variables = vec![("SIGSTORE_ID_TOKEN", token.as_str())];
        variables.extend(authority.as_deref().map(|file| ("SSL_CERT_FILE", file)));
        let said = bed.refusal(&variables);
        assert!(said.contains("Fulcio at https://localhost:") && said.contains("certificate"), "{said}");
        println!("{said}");
    }
    assert_eq!(bed.services.state().calls.len(), before, "nothing was sent");
    let other = Services::start_with(Some(elsewhere));
    bed.config("warrant.fulcio", &format!("{}/fulcio", other.url));
    let said = bed.refusal(&[("SIGSTORE_ID_TOKEN", &token), ("SSL_CERT_FILE", &file("fulcio.example"))]);
    assert!(said.contains("Fulcio at https://localhost:") && said.contains("not valid for name"), "{said}");
    println!("{said}");
    assert!(other.state().calls.is_empty());
}

#[test]
fn the_agent_renews_by_tls_too() {
    if !has("openssl") {
        return skipped("openssl");
    }
    let keys = Home::new();
    let bed = Bed::of(Services::start_with(Some(configuration(&keys, "localhost"))));
    let file = keys.join("localhost.ca.pem");
    bed.services.state().life = 22;
    bed.config("warrant.refresh", "true");
    bed.config("warrant.login", "device");
    let by_device = |git: &mut std::process::Command| {
        git.env("SSL_CERT_FILE", &file).env("DISPLAY", ":0");
    };
    let mut git = bed.command("git", &[]);
    by_device(&mut git);
    bed.commits(git);
    std::thread::sleep(std::time::Duration::from_millis(3_200));
    // nobody is asked, and the signer itself needs the file for the log
    let mut git = bed.command("git", &[]);
    git.env("SSL_CERT_FILE", &file);
    bed.commits(git);
    assert_eq!(bed.services.asked("/issuer/device"), 1);
}
