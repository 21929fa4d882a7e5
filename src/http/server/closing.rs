//! The end of a connection: what is still to be said, and a close that lets the client hear it.
//!
//! A socket that is closed with unread bytes in it resets the connection, and the client loses an answer that it has not
//! read yet. So the service first says that it sends no more, and then reads on for a while (RFC 9112, 9.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::response::problem::Problem;

/// Bytes that are read and thrown away after the last answer.
const MAX_READ: usize = 16 << 20;

/// The client has so long to send them and to end the connection.
const MAX_TIME: Duration = Duration::from_secs(15);

/// A client that sends nothing for so long is not waited for.
const MAX_SILENCE: Duration = Duration::from_secs(2);

/// Sends a refusal that no request was read for. It is small: a client that does not take it at once gets none.
pub(in crate::http) async fn refuse(stream: &mut TcpStream, problem: &Problem) {
    let answer = problem.message("/");
    let _unless_gone = tokio::time::timeout(MAX_SILENCE, stream.write_all(&answer)).await;
}

/// Closes once the client has read what it was sent. False where it had not ended the connection by then.
pub(in crate::http) async fn linger(mut stream: TcpStream) -> bool {
    let read_on = async {
        stream.shutdown().await?;
        let mut scratch = vec![0; 16 << 10];
        let mut left = MAX_READ;
        while left > 0 {
            match tokio::time::timeout(MAX_SILENCE, stream.read(&mut scratch)).await {
                Ok(Ok(0)) => return Ok(true),
                Ok(Ok(read)) => left = left.saturating_sub(read),
                Ok(Err(error)) => return Err(error),
                Err(_silent) => return Ok(false),
            }
        }
        Ok::<_, std::io::Error>(false)
    };
    match tokio::time::timeout(MAX_TIME, read_on).await {
        // An error is a client that is gone.
        Ok(ended) => ended.unwrap_or(true),
        Err(_) => false,
    }
}
