//! The program: a command line, a runtime, an exit code.

use std::process::ExitCode;

use clap::Parser;
use rtmp_relay::cli::Cli;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rtmp-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ran = runtime.block_on(cli.run());
    // All that can be waited for has been: a disk that hangs keeps nobody from leaving.
    runtime.shutdown_background();
    ran
}
