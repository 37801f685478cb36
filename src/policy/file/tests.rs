use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKecyjh9aNmD4rb8WblA8v91JjRb0Cd2JtkzqxcggGeG";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC/L8E1DfiZ9cHzygqx0IzRCSAlmh4tXH7mZPwWZEY1L";
const SK: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIElSYahCw60CGct39Eg9EY8OLV9Ppr7tsudvSiMyNHOhAAAABHNzaDo=";
const CA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFR+8EVk/54g3uvundqASKe3IGJ4T32FLymoo+wwhUqe";
const ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn parse(text: &str) -> Result<PolicyFile, FileError> {
    let text = text
        .replace("KEY", KEY)
        .replace("OTHER", OTHER)
        .replace("SK", SK)
        .replace("ID", ID)
        .replace("\"CA\"", &format!("\"{CA}\""));
    PolicyFile::parse(text.as_bytes())
}

#[test]
fn a_whole_file() {
    let file = parse(
        r#"
version = 1 # of the format
baseline = ["ID"]
settled = []

[principals.alice]
emails = ["a@x"]
[[principals.alice.keys]]
ssh = "SK a comment"
touch = true
pin = true
[[principals.alice.keys]]
ssh = "KEY"
status = "retired"
before = 2025-03-01T00:00:00Z
reason = "left"

[principals.bob]
kind = "person"
keys = [{ ssh = "OTHER", status = "compromised", audited = ["ID"] }]

[authorities.corp]
ssh-ca = "CA"
principals = ["*@corp.example", "!root@corp.example"]
krl = "corp.krl"
deny = ["eve@corp.example"]

[[exempt]]
commit = "ID"
until = "0123456789abcdef0123456789abcdef01234568"
reason = "reverted"
"#,
    )
    .unwrap();
    let id: ObjectId = ID.parse().unwrap();
    assert_eq!((file.baseline, file.settled), (vec![id], vec![]));
    let [alice, bob] = &file.principals[..] else { panic!("{:?}", file.principals) };
    assert_eq!((alice.name.as_str(), alice.emails.as_slice()), ("alice", &["a@x".to_owned()][..]));
    assert!(alice.keys[0].touch && alice.keys[0].pin && alice.keys[0].status == Status::Active);
    assert_eq!((alice.keys[1].line, &alice.keys[1].status), (12, &Status::Retired { before: Some(1_740_787_200) }));
    assert_eq!((bob.emails.len(), &bob.keys[0].status), (0, &Status::Compromised { audited: vec![id], before: None }));
    let corp = &file.authorities[0];
    assert!(corp.principals.matches(b"a@corp.example") && !corp.principals.matches(b"root@corp.example"));
    assert_eq!((corp.krl.as_deref(), corp.deny.len()), (Some("corp.krl"), 1));
    assert_eq!(file.exempt[0].line, 28);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let person = "version = 1\n[principals.a]\n";
    for (text, line, column, part) in [
        ("", 1, 1, "`version = 1` is missing"),
        ("version = 2", 1, 11, "version 2 is not known"),
        ("version = \"1\"", 1, 11, "a number is needed"),
        ("version = 1\nversion = 1", 2, 1, "duplicate"),
        ("version = 1\nrules = []", 2, 1, "`rules` is not in this version"),
        ("version = 1\nbaselin = []", 2, 1, "`baseline` is meant?"),
        ("version = 1\nfrobnicate = []", 2, 1, "is not a key here"),
        ("version = 1\nbaseline = [\"abc\"]", 2, 12, "full object ids"),
        ("version = 1", 1, 1, "nobody could sign"),
        (&format!("{person}roles = [\"x\"]"), 3, 1, "`roles` is not in this version"),
        (&format!("{person}may = [\"clean-merge\"]"), 3, 7, "it is not in this version"),
        (&format!("{person}kind = \"forge\"\nemails = [\"a@x\"]"), 4, 10, "no address is its own"),
        (&format!("{person}preset = \"github-web-flow\""), 3, 10, "kind = \"forge\""),
        (&format!("{person}kind = \"forge\"\npreset = \"gitlab\""), 4, 10, "`gitlab` is no preset; there is github-web-flow"),
        (&format!("{person}kind = \"cat\""), 3, 8, "none of person"),
        (&format!("{person}emails = []"), 3, 10, "binds to nobody"),
        (&format!("{person}keys = [1]"), 3, 8, "list of tables"),
        (&format!("{person}[[principals.a.keys]]\nx509 = \"F\""), 4, 8, "an e-mail address of ASCII"),
        (&format!("{person}[[principals.a.keys]]\nx509 = \"*@x\""), 4, 8, "is a pattern"),
        (&format!("{person}[[principals.a.keys]]\nx509 = \"a@b@x\""), 4, 8, "an e-mail address of ASCII"),
        (&format!("{person}[[principals.a.keys]]\nx509 = \"a\\u0000@x\""), 4, 8, "an e-mail address of ASCII"),
        (&format!("{person}[[principals.a.keys]]\nx509 = \"a@x\""), 3, 1, "`ca` is missing"),
        (
            &format!(
                "{person}[[principals.a.keys]]\nkeyless = \"a@x\"\nissuer = \"https://x\"\nca = \"c\"\n[authorities.d]\ntrusted-root = \"public-good\""
            ),
            3,
            1,
            "names no Sigstore instance",
        ),
        (&format!("{person}[[principals.a.keys]]\nx509 = \"a@x\"\nca = \"c\""), 3, 1, "names no authority"),
        (&format!("{person}[[principals.a.keys]]\nx509 = \"a@x\"\nca = \"c\"\ntouch = true"), 3, 1, "FIDO keys"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\nx509 = \"a@x\""), 5, 8, "one form"),
        (
            &format!(
                "{person}[[principals.a.keys]]\nx509 = \"a@x\"\nca = \"c\"\n[authorities.c]\nssh-ca = \"CA\"\nprincipals = [\"*\"]"
            ),
            3,
            1,
            "names no authority with roots",
        ),
        (
            &format!(
                "{person}[[principals.a.keys]]\nx509 = \"a@x\"\nca = \"c\"\n[authorities.c]\nx509 = \"r.pem\"\nprincipals = [\"*@y\"]"
            ),
            3,
            1,
            "leave out a@x",
        ),
        (
            &format!(
                "{person}[[principals.a.keys]]\nx509 = \"a@x\"\nca = \"c\"\n[[principals.b.keys]]\nx509 = \"a@x\"\nca = \"c\"\n[authorities.c]\nx509 = \"r.pem\""
            ),
            6,
            1,
            "listed twice (under a and b)",
        ),
        ("version = 1\n[authorities.c]\nx509 = \"r.pem\"", 1, 1, "nobody could sign"),
        ("version = 1\n[authorities.c]\nx509 = \"r.pem\"\ntrusted-root = \"github\"", 3, 8, "of one kind"),
        ("version = 1\n[authorities.c]\nx509 = \"r.pem\"\nkrl = \"r.crl\"", 4, 1, "`crl` is meant?"),
        ("version = 1\n[authorities.c]\nx509 = \"r.pem\"\ngrace = \"7d\"", 4, 1, "`grace` is not in this version"),
        ("version = 1\n[authorities.c]\nx509 = \"r.pem\"\nprincipals = [\"!a@x\"]", 4, 14, "names nobody"),
        ("version = 1\n[authorities.c]\nx509 = \"r.pem\"\ndeny = [\"*@x\"]", 4, 8, "is no address"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\nkeyless = \"a@x\""), 5, 11, "one form"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\nissuer = \"https://x\""), 5, 1, "`issuer` is not a key here"),
        (&format!("{person}[[principals.a.keys]]\nkeyless = \"a@x\""), 3, 1, "`issuer` is missing"),
        (&format!("{person}[[principals.a.keys]]\nkeyless = \"*@x\"\nissuer = \"https://x\""), 4, 11, "is a pattern"),
        (&format!("{person}[[principals.a.keys]]\nkeyless = \"alice\"\nissuer = \"https://x\""), 4, 11, "neither an e-mail"),
        (&format!("{person}[[principals.a.keys]]\nkeyless = \"a@x \"\nissuer = \"https://x\""), 4, 11, "neither an e-mail"),
        (&format!("{person}[[principals.a.keys]]\nkeyless = \"a@x\"\nissuer = \"google\""), 5, 10, "a URL is needed"),
        (&format!("{person}[[principals.a.keys]]\nkeyless = \"a@x\"\nissuer = \"https://x\"\ntouch = true"), 3, 1, "FIDO keys"),
        (
            &format!("{person}[[principals.a.keys]]\nkeyless = \"a@x\"\nissuer = \"https://x\"\nclaims = {{ runner = 1 }}"),
            6,
            10,
            "a table of strings",
        ),
        (
            &format!("{person}[[principals.a.keys]]\nkeyless = \"a@x\"\nissuer = \"https://x\"\nclaims = {{ rev = \"1\" }}"),
            6,
            10,
            "`rev` is none of",
        ),
        (&format!("{person}[[principals.a.keys]]\nkeyless = \"a@x\"\nissuer = \"https://x\""), 3, 1, "no authority vouches"),
        (
            &format!(
                "{person}[[principals.a.keys]]\nkeyless = \"https://github.com/o/r/.github/workflows/w.yml@refs/heads/main\"\nissuer = \"https://token.actions.githubusercontent.com\"\nclaims = {{ repository-id = \"1\" }}"
            ),
            3,
            1,
            "has to say owner-id",
        ),
        (
            &format!(
                "{person}[[principals.a.keys]]\nkeyless = \"https://github.com/o/r/.github/workflows/w.yml@refs/heads/main\"\nissuer = \"https://token.actions.githubusercontent.com\"\nclaims = {{ owner-id = \"1\" }}"
            ),
            3,
            1,
            "has to say repository-id",
        ),
        ("version = 1\n[authorities.s]\ntrusted-root = \"github\"", 2, 1, "require = \"timestamp\""),
        ("version = 1\n[authorities.s]\ntrusted-root = \"tuf:public-good\"", 3, 16, "git warrant trust update --output"),
        ("version = 1\n[authorities.s]\ntrusted-root = \"public-good\"\nrequire = \"luck\"", 4, 11, "none of log"),
        ("version = 1\n[authorities.s]\ntrusted-root = \"public-good\"\nprincipals = [\"*\"]", 4, 1, "is not a key here"),
        (
            "version = 1\n[authorities.s]\ntrusted-root = \"public-good\"\n[authorities.t]\ntrusted-root = \"public-good\"",
            4,
            1,
            "same trusted root",
        ),
        ("version = 1\n[authorities.s]\ntrusted-root = \"public-good\"\ndeny = [\"*@x\"]", 4, 8, "is no name"),
        ("version = 1\n[authorities.s]\ntrusted-root = \"public-good\"", 1, 1, "nobody could sign"),
        (&format!("{person}[[principals.a.keys]]\nopenpgp = \"74E445BA0E15C957\""), 4, 11, "a whole fingerprint"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\nopenpgp = \"ID\""), 5, 11, "one form"),
        (&format!("{person}[[principals.a.keys]]\nopenpgp = \"ID\"\ntouch = true"), 3, 1, "FIDO keys"),
        (&format!("{person}[[principals.a.keys]]\nsh = \"F\""), 4, 1, "`ssh` is meant?"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"ssh-ed25519 AAAA\""), 4, 7, "not a public key"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\ntouch = true"), 3, 1, "FIDO keys"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\nstatus = \"gone\""), 5, 10, "none of active"),
        (
            &format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\nbefore = 2025-01-01T00:00:00Z"),
            5,
            10,
            "an active key has no end",
        ),
        (
            &format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\nstatus = \"retired\"\nbefore = 2025-01-01"),
            6,
            10,
            "with its zone",
        ),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\naudited = [\"ID\"]"), 5, 11, "only what a compromised key"),
        (&format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\n[[principals.b.keys]]\nssh = \"KEY\""), 5, 1, "listed twice"),
        (
            &format!("{person}[[principals.a.keys]]\nssh = \"KEY\"\n[authorities.c]\nssh-ca = \"KEY\"\nprincipals = [\"*\"]"),
            5,
            1,
            "listed twice (under a and c)",
        ),
        ("version = 1\n[authorities.c]\nssh-ca = \"KEY\"", 2, 1, "for which names"),
        ("version = 1\n[authorities.c]\nssh-ca = \"KEY\"\nprincipals = [\"a,b\"]", 4, 14, "not one pattern"),
        ("version = 1\n[authorities.c]\nssh-ca = \"KEY\"\nprincipals = [\"!a\"]", 4, 14, "names nobody"),
        (&format!("{person}emails = [\"a@x\", \"\"]"), 3, 10, "empty"),
        (&format!("{person}emails = [\"a@x \"]"), 3, 10, "space at its end"),
        (&format!("{person}emails = [\"*@x\"]"), 3, 10, "is a pattern"),
        ("version = 1\n[authorities.c]\nssh-ca = \"KEY\"\nprincipals = [\"*\"]\ndeny = [\"*@x\"]", 5, 8, "is no name"),
        ("version = 1\n[authorities.c]\nssh-ca = \"KEY\"\nprincipals = [\"*\"]\ndeny = [\"\"]", 5, 8, "is no name"),
        ("version = 1\n[[exempt]]\ncommit = \"ID\"\nuntil = \"ID\"\nreason = \"x\"", 4, 9, "cannot mend itself"),
        ("version = 1\n[[exempt]]\ncommit = \"ID\"\nreason = \"x\"", 2, 1, "`until` is missing"),
    ] {
        let error = parse(text).map(|_| ()).unwrap_err();
        assert!(error.what.contains(part), "{text}\n{error}");
        assert_eq!((error.line, error.column), (line, column), "{text}\n{error}");
    }
    assert_eq!(PolicyFile::parse(b"version = 1\n\xff").unwrap_err().line, 2);
}
