//! The bytes of a connection, watched and with a bound on how long writing may stall.

use std::pin::Pin;

use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

use crate::http::activity::Watched;
use crate::limits::WRITE_PROGRESS_TIMEOUT;

/// A stream that ends when its peer takes nothing for [`WRITE_PROGRESS_TIMEOUT`]: who does not read holds no place.
pub(super) type Stream = Watched<Pin<Box<TimeoutStream<TcpStream>>>>;

/// Bounds how long the peer may take nothing.
pub(super) fn with_write_timeout(stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_PROGRESS_TIMEOUT));
    Box::pin(stream)
}
