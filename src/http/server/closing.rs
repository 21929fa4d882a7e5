//! The end of a connection: a last response, and a close after which the client can still read it.
//!
//! Closing a socket that has unread bytes resets the connection, and the client loses a response that it has not read
//! yet. So the service first shuts down its sending side, and then reads on for a while (RFC 9112, 9.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::response::problem::Problem;

/// The bytes that are read and discarded after the last response. A client that sends more is cut off.
const MAX_READ: usize = 16 << 20;

/// The time for the client to send them and to close the connection.
const MAX_TIME: Duration = Duration::from_secs(15);

/// A client that sends nothing for this long is cut off.
const MAX_SILENCE: Duration = Duration::from_secs(2);

/// Sends a refusal on a connection on which no request could be read. A client that does not read it at once gets none.
pub(in crate::http) async fn refuse(stream: &mut TcpStream, problem: &Problem) {
    let answer = problem.message("/");
    let _unless_gone = tokio::time::timeout(MAX_SILENCE, stream.write_all(&answer)).await;
}

/// Closes once the client has read the response. Returns false where the client had not closed the connection by then.
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
        // An error means that the client is gone.
        Ok(ended) => ended.unwrap_or(true),
        Err(_) => false,
    }
}
