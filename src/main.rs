//! The `fanin` command: everything it does goes through the library.

#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

fn main() -> ExitCode {
    fanin::cli::main()
}
