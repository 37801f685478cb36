//! gpg's command line, as far as git and those who sign with it go.

use super::lossy;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A command line that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpg {
    /// What is to be done.
    pub action: Action,
    /// `--status-fd`: 1 or 2; status lines for others go nowhere.
    pub status_fd: Option<u32>,
    /// `--homedir`
    pub home: Option<PathBuf>,
    /// `-u`: whose key signs.
    pub users: Vec<String>,
    /// `--default-key`: the last one that is there signs where `-u` names none.
    pub default_keys: Vec<String>,
    /// `-a`
    pub armor: bool,
    /// `--digest-algo`
    pub digest: Option<String>,
    /// `--faked-system-time`, as written.
    pub time: Option<String>,
    /// `--keyring`, in addition to the usual ones.
    pub keyrings: Vec<PathBuf>,
    /// `--no-default-keyring`
    pub no_default_keyring: bool,
    /// `--trust-model`, as written.
    pub trust_model: Option<String>,
    /// `-q`
    pub quiet: bool,
}

/// What gpg is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// A detached signature over standard input.
    Sign,
    /// Is this signature good? The data is standard input (`-`) or a file.
    Verify {
        /// The signature's file.
        signature: PathBuf,
        /// The data's file; `None`: standard input.
        data: Option<PathBuf>,
    },
    /// Nothing that git asks for.
    #[default]
    Unknown,
}

/// Why a command line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpgUsage {
    /// An option that is not known here.
    #[error("invalid option \"{0}\"")]
    Option(String),
    /// An option without its value.
    #[error("missing argument for option \"{0}\"")]
    Missing(String),
    /// A value that makes no sense.
    #[error("invalid value \"{1}\" for option \"{0}\"")]
    Value(String, String),
    /// Neither signing nor verifying.
    #[error(
        "only detached signatures are made and verified here: -bsau KEY, or --verify SIGNATURE -; for all else call gpg itself"
    )]
    Action,
}

/// Options that change nothing here.
const IGNORED: &[&str] = &[
    "batch",
    "no-batch",
    "yes",
    "no-tty",
    "verbose",
    "no-verbose",
    "use-agent",
    "no-use-agent",
    "no-greeting",
    "no-secmem-warning",
    "no-permission-warning",
    "auto-key-retrieve",
    "no-auto-key-retrieve",
    "no-autostart",
    "no-symkey-cache",
    "no-auto-key-locate",
    "no-auto-check-trustdb",
    "expert",
    "no-options",
    "no-random-seed-file",
    "no-emit-version",
    "emit-version",
    "no-comments",
    "enable-progress-filter",
    "exit-on-status-write-error",
    "fixed-list-mode",
    "with-colons",
    "disable-dirmngr",
    "no-sig-cache",
    "no-utf8-strings",
    "utf8-strings",
];
/// Options with a value that changes nothing here.
const IGNORED_VALUES: &[&str] = &[
    "keyid-format",
    "display-charset",
    "charset",
    "pinentry-mode",
    "logger-fd",
    "logger-file",
    "auto-key-locate",
    "keyserver",
    "keyserver-options",
    "verify-options",
    "list-options",
    "compress-algo",
    "cipher-algo",
    "cert-digest-algo",
    "ttyname",
    "ttytype",
    "lc-ctype",
    "lc-messages",
    "display",
    "xauthority",
    "command-fd",
    "attribute-fd",
    "personal-digest-preferences",
    "agent-program",
];

impl Gpg {
    /// Reads the arguments after argv\[0\] (gpg(1)): long options with `=` or a following word, short ones in bundles.
    ///
    /// # Errors
    /// At the first thing that is not known.
    pub fn parse(args: &[OsString]) -> Result<Self, GpgUsage> {
        let mut gpg = Self::default();
        let (mut sign, mut detach, mut verify) = (false, false, false);
        let mut operands: Vec<&OsStr> = Vec::new();
        let mut rest = args.iter().map(OsString::as_os_str);
        while let Some(arg) = rest.next() {
            let bytes = arg.as_bytes();
            if bytes == b"--" {
                operands.extend(rest.by_ref());
            } else if let Some(long) = bytes.strip_prefix(b"--") {
                let (name, value) = match long.iter().position(|&b| b == b'=') {
                    Some(at) => (long.get(..at).unwrap_or(long), long.get(at + 1..).map(OsStr::from_bytes)),
                    None => (long, None),
                };
                let name = String::from_utf8_lossy(name).into_owned();
                let mut value = || value.or_else(|| rest.next()).ok_or_else(|| GpgUsage::Missing(format!("--{name}")));
                match name.as_str() {
                    "sign" => sign = true,
                    "detach-sign" => (sign, detach) = (true, true),
                    "verify" => verify = true,
                    "armor" | "armour" => gpg.armor = true,
                    "no-armor" | "no-armour" => gpg.armor = false,
                    "quiet" => gpg.quiet = true,
                    "status-fd" => gpg.status_fd = Some(number(&name, value()?)?),
                    "local-user" => gpg.users.push(lossy(value()?)),
                    "default-key" => gpg.default_keys.push(lossy(value()?)),
                    "homedir" => gpg.home = Some(value()?.into()),
                    "digest-algo" => gpg.digest = Some(lossy(value()?)),
                    "faked-system-time" => gpg.time = Some(lossy(value()?)),
                    "keyring" | "primary-keyring" => gpg.keyrings.push(value()?.into()),
                    "no-default-keyring" => gpg.no_default_keyring = true,
                    "trust-model" => gpg.trust_model = Some(lossy(value()?)),
                    "always-trust" => gpg.trust_model = Some("always".to_owned()),
                    name if IGNORED.contains(&name) => {}
                    name if IGNORED_VALUES.contains(&name) => {
                        value()?;
                    }
                    _ => return Err(GpgUsage::Option(format!("--{name}"))),
                }
            } else if let Some(bundle) = bytes.strip_prefix(b"-").filter(|bundle| !bundle.is_empty()) {
                for (at, letter) in bundle.iter().enumerate() {
                    match letter {
                        b's' => sign = true,
                        b'b' => (sign, detach) = (true, true),
                        b'a' => gpg.armor = true,
                        b'q' => gpg.quiet = true,
                        b'v' => {}
                        b'u' => {
                            let attached = bundle.get(at + 1..).filter(|value| !value.is_empty()).map(OsStr::from_bytes);
                            let value = attached.or_else(|| rest.next()).ok_or_else(|| GpgUsage::Missing("-u".to_owned()))?;
                            gpg.users.push(lossy(value));
                            break;
                        }
                        other => return Err(GpgUsage::Option(format!("-{}", char::from(*other).escape_default()))),
                    }
                }
            } else {
                operands.push(arg);
            }
        }
        gpg.action = match (verify, sign && detach, &operands[..]) {
            (true, _, [signature]) => Action::Verify { signature: signature.into(), data: None },
            (true, _, [signature, data]) => {
                let data = Some(PathBuf::from(data)).filter(|data| data.as_os_str() != "-");
                Action::Verify { signature: signature.into(), data }
            }
            (false, true, []) => Action::Sign,
            (false, true, [data]) if *data == OsStr::new("-") => Action::Sign,
            _ => return Err(GpgUsage::Action),
        };
        Ok(gpg)
    }
}

fn number(name: &str, value: &OsStr) -> Result<u32, GpgUsage> {
    let text = lossy(value);
    text.parse().map_err(|_| GpgUsage::Value(format!("--{name}"), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Gpg, GpgUsage> {
        Gpg::parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn as_git_and_people_write_it() {
        let sign = Gpg { action: Action::Sign, status_fd: Some(2), users: vec!["KEY".into()], armor: true, ..Gpg::default() };
        for args in [
            &["--status-fd=2", "-bsau", "KEY"][..],
            &["--status-fd", "2", "-b", "-s", "-a", "-u", "KEY"],
            &["--status-fd=2", "-bsauKEY", "-"],
            &["--status-fd=2", "--detach-sign", "--armor", "--local-user=KEY", "--batch", "--no-tty", "--yes"],
            &["--keyid-format", "long", "--status-fd=2", "-bsa", "--local-user", "KEY", "--pinentry-mode=loopback"],
        ] {
            assert_eq!(parse(args), Ok(sign.clone()), "{args:?}");
        }
        let verify = Action::Verify { signature: "SIG".into(), data: None };
        for args in [
            &["--keyid-format=long", "--status-fd=1", "--verify", "SIG", "-"][..],
            &["--verify", "--status-fd=1", "--", "SIG", "-"],
        ] {
            let want = Gpg { action: verify.clone(), status_fd: Some(1), ..Gpg::default() };
            assert_eq!(parse(args), Ok(want), "{args:?}");
        }
    }

    #[test]
    fn what_is_not_for_us_is_said() {
        for (args, want) in [
            (&["--frobnicate"][..], GpgUsage::Option("--frobnicate".into())),
            (&["-bsx"], GpgUsage::Option("-x".into())),
            (&["--status-fd=2", "-bsau"], GpgUsage::Missing("-u".into())),
            (&["--status-fd"], GpgUsage::Missing("--status-fd".into())),
            (&["--status-fd=x", "-bs"], GpgUsage::Value("--status-fd".into(), "x".into())),
            (&["-s"], GpgUsage::Action),
            (&["--armor"], GpgUsage::Action),
            (&["--verify"], GpgUsage::Action),
            (&["-bs", "FILE"], GpgUsage::Action),
        ] {
            assert_eq!(parse(args), Err(want), "{args:?}");
        }
    }
}
