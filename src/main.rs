//! The program: a command line, a runtime, an exit code.

use std::process::ExitCode;

use clap::Parser;
use rtmp_relay::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ran = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(cli.run()));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rtmp-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}
