//! The `unificus` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    // On this very thread: the private services of `unificus dev` end with the thread that started them.
    match runtime.block_on(unificus::cli::run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a process that failed")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("unificus: {error:#}");
    ExitCode::FAILURE
}
