//! The `unificus` binary.

use std::process::ExitCode;

use unificus::cli::CommandFailure;

/// The C library's allocator took a quarter of the write path's time, mostly waiting for locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into(), 1),
    };
    // Runs on this thread, because the private servers of `unificus dev` end with the thread that started them.
    match runtime.block_on(unificus::cli::run()) {
        Ok(status) => status,
        Err(CommandFailure { error, status }) => fail(&error, status),
    }
}

#[expect(clippy::print_stderr, reason = "the error of a process that failed")]
fn fail(error: &anyhow::Error, status: u8) -> ExitCode {
    eprintln!("unificus: {error:#}");
    ExitCode::from(status)
}
