//! The native commands: types for clap, no logic.

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Judges who signed what in a git repository.
///
/// Walks history, verifies the signatures of commits and tags, and judges each against a policy of who may sign. Git calls the
/// same program to sign and to verify (gpg.ssh.program).
#[derive(Debug, Parser)]
#[command(name = "git-warrant", version, disable_help_subcommand = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)] // each is said in its arguments
pub enum Command {
    Verify(Verify),
    Show(Show),
    Hook(Hook),
    Policy(Policy),
    Trust(Trust),
    Login(Login),
    Agent(AgentArgs),
    Demo(Demo),
    Man(Man),
    Completions(Completions),
}

/// Judge commits and tags against a policy.
///
/// A revision stands for its commit and all its ancestors, A..B for a range, an annotated tag for itself and then its
/// target's history. Without one: HEAD. Exit status: 0 all accepted, 1 something rejected, 2 usage or invalid policy, 3 could
/// not judge (shallow clone, missing object).
#[derive(Debug, Args)]
pub struct Verify {
    /// What to judge: REV, A..B or TAG; HEAD if none is given.
    #[arg(value_name = "REV|RANGE|TAG")]
    pub revisions: Vec<String>,
    /// Judge every branch, tag and remote-tracking branch, and HEAD, as well.
    #[arg(long)]
    pub all: bool,
    /// Read more of what to judge from standard input, one a line.
    #[arg(long)]
    pub stdin: bool,
    /// Where the policy comes from.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Leave out this commit and its ancestors: counted as outside, not judged (repeatable; also warrant.baseline).
    #[arg(long, value_name = "REV")]
    pub baseline: Vec<String>,
    /// Take this commit and its ancestors, or this tag, as having been there in time: expired keys stand (repeatable; also
    /// warrant.settled).
    #[arg(long, value_name = "REV")]
    pub settled: Vec<String>,
    /// Judge only the named objects.
    #[arg(long)]
    pub no_walk: bool,
    /// Accept a range without commits.
    #[arg(long)]
    pub allow_empty: bool,
    /// Also list what is accepted.
    #[arg(long)]
    pub all_verdicts: bool,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Ask Rekor (v1) for the log entries that keyless signatures do not carry, as gitsign makes them by default.
    #[arg(long, conflicts_with = "bundle")]
    pub online: bool,
    /// How many threads judge; by default as many as there are cores.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=512))]
    pub threads: Option<usize>,
    /// Verify a Sigstore bundle instead, of the one file that is named in place of a revision (or of sha256:DIGEST).
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// With --bundle: whose certificates and logs are believed: public-good (the default), github, staging, tuf:MIRROR
    /// (what was fetched from there), or a file.
    #[arg(long, value_name = "NAME|FILE", requires = "bundle")]
    pub trusted_root: Option<String>,
    /// With --bundle: who must have signed, letter by letter.
    #[arg(long, value_name = "NAME", requires_all = ["bundle", "issuer"])]
    pub identity: Option<String>,
    /// With --bundle: who must have identified the signer, letter by letter.
    #[arg(long, value_name = "URL", requires_all = ["bundle", "identity"])]
    pub issuer: Option<String>,
    /// With --bundle: the public key, in PEM, that must have signed.
    #[arg(long, value_name = "FILE", requires = "bundle", conflicts_with = "identity")]
    pub key: Option<PathBuf>,
}

/// Where the policy comes from, and how much is asked.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// An allowed_signers file, or a policy in TOML (*.toml), outside the work tree; or REV:PATH with REV a full id or refs/…
    #[arg(long, value_name = "FILE")]
    pub policy: Option<String>,
    /// A file of revoked public keys, one a line (by default gpg.ssh.revocationFile).
    #[arg(long, value_name = "FILE")]
    pub revoked: Option<String>,
    /// Accept nothing that needs a warning of time, of form, or of who signed.
    #[arg(long)]
    pub strict: bool,
    /// Require that the signer is the committer.
    #[arg(long, value_enum, value_name = "WHOM")]
    pub bind: Option<Bind>,
    /// Require that every signature comes from a FIDO token that was touched (what is settled excepted).
    #[arg(long)]
    pub require_touch: bool,
}

/// Whom the signer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bind {
    /// The committer (of a tag: the tagger).
    Committer,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people.
    Human,
    /// JSON, one object a line.
    Jsonl,
}

/// Show all that the signature of one object proves.
///
/// Works without a policy; where there is one, its verdict is shown too. Exit status 0 whatever the verdict.
#[derive(Debug, Args)]
pub struct Show {
    /// The commit or tag.
    #[arg(value_name = "REV")]
    pub revision: String,
    /// Write its keyless signature as a Sigstore bundle, of what was signed (DER of the signed attributes), and nothing else.
    #[arg(long)]
    pub bundle: bool,
    /// Ask Rekor (v1) for the log entry, where a keyless signature carries none.
    #[arg(long, conflicts_with = "bundle")]
    pub online: bool,
    /// Where the policy comes from.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// Check, make or change a policy file.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct Policy {
    /// What to do.
    #[command(subcommand)]
    pub action: PolicyAction,
}

/// What to do with a policy file.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)] // each is said in its arguments
pub enum PolicyAction {
    Check(PolicyCheck),
    Import(PolicyImport),
    Settle(PolicySettle),
    Retire(PolicyRetire),
}

/// Say whether a policy file is valid, and what is in it.
///
/// Exit status: 0 valid, 2 not (with the line and what is wrong there).
#[derive(Debug, Args)]
pub struct PolicyCheck {
    /// The file; by default the policy that `verify` would use here.
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
}

/// Make a policy of what other programs keep.
///
/// Reads OpenPGP certificates (a keyring, armoured or not, a KEYS file, GnuPG's pubring.kbx), sequoia-git's openpgp-policy.toml,
/// or OpenSSH's allowed_signers, and writes a policy in TOML to standard output. What a policy cannot say stands in it as a
/// comment and is said on standard error; secret keys are left out. Exit status: 0 written, 2 not.
#[derive(Debug, Args)]
pub struct PolicyImport {
    /// The file, - for standard input, or REV:PATH with REV a full id or refs/….
    #[arg(value_name = "FILE")]
    pub file: String,
}

/// Write down that what stands today stands from now on.
///
/// Judges the refs (by default the branch that is checked out and all tags) and, if all of it is accepted, makes their tips
/// the policy's `settled`: what lies below is still asked for its signature and its key, but a key that is retired later
/// stands there. Only for policies in TOML; comments are kept. Exit status 1, and nothing written, where something is rejected.
#[derive(Debug, Args)]
pub struct PolicySettle {
    /// The branches and tags to settle.
    #[arg(value_name = "REF")]
    pub refs: Vec<String>,
    /// Which file, and whether to write it.
    #[command(flatten)]
    pub edit: EditArgs,
}

/// Retire a principal, an authority or a single key.
///
/// What it signed stands where it is settled: first the branch that is checked out and all tags are settled as by `policy
/// settle`, then the keys become retired. Refs that hold more of what was signed with them must be settled too (--settle) or
/// left out (--leave).
#[derive(Debug, Args)]
pub struct PolicyRetire {
    /// The name of a principal or an authority, or the fingerprint of a key (SHA256:…).
    #[arg(value_name = "WHO")]
    pub who: String,
    /// Why, for those who read the file later.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Settle this ref as well (repeatable).
    #[arg(long, value_name = "REF")]
    pub settle: Vec<String>,
    /// Do not settle this ref, as one that does not verify, or is not to stand (repeatable).
    #[arg(long, value_name = "REF")]
    pub except: Vec<String>,
    /// Let what other refs hold be rejected from now on.
    #[arg(long)]
    pub leave: bool,
    /// Which file, and whether to write it.
    #[command(flatten)]
    pub edit: EditArgs,
}

/// Which policy file is changed.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// The policy in TOML; by default that of warrant.policy.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<String>,
    /// Write the changed file to standard output instead.
    #[arg(long)]
    pub dry_run: bool,
}

/// Fetch trusted roots and the addresses of services, by The Update Framework.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct Trust {
    /// What to do.
    #[command(subcommand)]
    pub action: TrustAction,
}

/// What to do with what is trusted.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)] // each is said in its arguments
pub enum TrustAction {
    Update(TrustUpdate),
    Status(TrustStatus),
}

/// Fetch the newest trusted root and signing configuration of a Sigstore instance.
///
/// What the mirror says is believed only by signatures that go back to a root that is built in, or was given once; never what is
/// older than what was seen, nor past its end. No verdict changes by this alone: a policy judges by the trusted root that it
/// names, which --output writes. Exit status: 0 fetched, 2 not, and then nothing is changed.
#[derive(Debug, Args)]
pub struct TrustUpdate {
    /// Where from: public-good, staging, github, or the URL of a TUF repository.
    #[arg(long, value_name = "NAME|URL", default_value = "public-good")]
    pub mirror: String,
    /// A root that you trust (such as 1.root.json), to begin with where none is known.
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// Write the trusted root to this file as well, so that a policy can name it.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Say what was fetched, when, and how long it holds. Asks no network.
#[derive(Debug, Args)]
pub struct TrustStatus {
    /// Where from: public-good, staging, github, or the URL of a TUF repository.
    #[arg(long, value_name = "NAME|URL", default_value = "public-good")]
    pub mirror: String,
}

/// Run as a hook of a server.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct Hook {
    /// The hook.
    #[command(subcommand)]
    pub hook: HookKind,
}

/// A hook.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)] // each is said in its arguments
pub enum HookKind {
    PreReceive(PreReceive),
    Install(HookInstall),
    Uninstall(HookUninstall),
}

/// Refuse a push that the policy does not allow.
///
/// Reads `OLD NEW REF` lines from standard input as git's pre-receive hook does. What is judged is everything that a new tip
/// reaches, less the baseline (warrant.baseline, full ids): that another ref already has a commit proves nothing.
#[derive(Debug, Args)]
pub struct PreReceive {
    /// Where the policy comes from.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Accept signers whose line in the policy matches anybody.
    #[arg(long)]
    pub allow_wildcard: bool,
}

/// Make `hook pre-receive` this repository's pre-receive hook.
///
/// Writes a script to where git will look for it (core.hooksPath, else the folder hooks of the git directory), after a look
/// whether the policy can be used. A hook that is there already is kept as pre-receive.before-git-warrant, and runs after, on
/// the same input: both must accept. Asked again, the script becomes what this call would write.
#[derive(Debug, Args)]
pub struct HookInstall {
    /// What the hook is to ask.
    #[command(flatten)]
    pub rules: PreReceive,
    /// Install also into a folder outside of the repository, over a script of ours that somebody edited, or where the former
    /// hook may not work as before.
    #[arg(long)]
    pub force: bool,
    /// Only say what would be done, with the script.
    #[arg(long)]
    pub dry_run: bool,
}

/// Take the script of `hook install` out again, and put back what was there.
#[derive(Debug, Args)]
pub struct HookUninstall {
    /// Also where the script was edited, where the former hook is gone, or in a folder outside of the repository.
    #[arg(long)]
    pub force: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

/// See the main job done on an example made on the spot.
///
/// In a temporary folder: keys, a repository, commits and a tag signed by git through this program, the history judged, forged
/// and unsigned commits rejected, a push refused. Everything is removed after.
#[derive(Debug, Args)]
pub struct Demo {}

/// Write the manual pages.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder to write them to (share/man/man1 of a prefix).
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// Write a shell completion script to standard output.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Log in for keyless signing, so that the commits of the next minutes ask nobody.
///
/// The certificate is held by the agent for as long as it lives, ten minutes with Sigstore's public Fulcio; `git warrant
/// agent status` tells how long. Where warrant.login is `device`, or no browser can be started, a code is shown to be typed
/// in a browser elsewhere.
#[derive(Debug, Args)]
pub struct Login {
    /// Also have the agent keep a refresh token, and renew the certificate by it whenever one is needed, for twelve hours (also
    /// warrant.refresh).
    #[arg(long)]
    pub refresh: bool,
}

/// Run the agent that holds keyless certificates.
///
/// It is started by itself when somebody logs in; its key is made in it and never leaves it. Without a word it is started
/// in the background.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct AgentArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: Option<AgentAction>,
    /// Serve in this process, as a service manager wants it.
    #[arg(long)]
    pub foreground: bool,
}

/// What is done with the agent.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentAction {
    /// Say whose certificates it holds, and for how long.
    Status,
    /// End it: it forgets its keys.
    Stop,
    /// Write the files by which systemd starts it when somebody asks for it.
    Units {
        /// The folder to write them to (~/.config/systemd/user).
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}
