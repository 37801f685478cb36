//! argv in, exit status out.

#![expect(clippy::print_stderr)]

use git_warrant::personality::Request;
use git_warrant::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let status = match Request::of_argv(std::env::args_os()) {
        Request::SshKeygen(request) => run::ssh_keygen::run(request),
        Request::Gpg(format) => run::gpg(format),
        Request::Native(_) => {
            eprintln!("git-warrant: native commands are not built yet");
            2
        }
    };
    ExitCode::from(status)
}
