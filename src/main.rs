//! The `fanin` command: everything it does goes through the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    fanin::cli::main()
}
