//! The relay's process, as a checklist.

use std::process::ExitCode;

use ff_relay::{cli, config};

/// Keeps what lives long beside what does not: an open stream costs least so.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Ok(arguments) = std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect::<Result<Vec<_>, _>>()
    else {
        eprintln!("ff-relay: an argument is not UTF-8");
        return ExitCode::from(config::EXIT_USAGE);
    };
    let (command, rest) = config::split_command(&arguments);
    match command.as_deref() {
        None | Some("serve") => cli::serve::run(&rest),
        Some(command) => cli::run(command, &rest),
    }
}
