//! argv in, exit status out.

use git_warrant::personality::Request;
use git_warrant::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let status = match Request::of_argv(std::env::args_os()) {
        Request::SshKeygen(request) => run::ssh_keygen::run(request),
        Request::Gpg(request) => run::gpg::run(request),
        Request::Gpgsm(request) => run::x509::run(request),
        Request::Native(args) => run::native::run(args),
    };
    ExitCode::from(status)
}
