//! The byte stream of a connection, with a limit on how long writing may stall.

use std::pin::Pin;

use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

use crate::http::activity::Watched;
use crate::limits::WRITE_PROGRESS_TIMEOUT;

/// A stream that ends if its peer reads nothing for [`WRITE_PROGRESS_TIMEOUT`], so that it does not occupy a
/// connection.
pub(super) type Stream = Watched<Pin<Box<TimeoutStream<TcpStream>>>>;

/// Limits how long the peer may read nothing.
pub(super) fn with_write_timeout(stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PROGRESS_TIMEOUT));
    Box::pin(stream)
}
