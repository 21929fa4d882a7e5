//! The `unificus` binary.

use std::process::ExitCode;

/// The C library's allocator took a quarter of the write path's time, mostly waiting for locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    // Runs on this thread, because the private servers of `unificus dev` end with the thread that started them.
    match runtime.block_on(unificus::cli::run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the error of a process that failed")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("unificus: {error:#}");
    ExitCode::FAILURE
}
