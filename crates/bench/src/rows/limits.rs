//! A token costs at most 5 % more for a client with limits than for one without. Uses are counted for both.

use countersign_protocol::jose::algorithm::Algorithm;

use crate::load::{Side, compare};
use crate::process::Server;
use crate::rows::Bench;
use crate::{Outcome, request, seed};

/// The allowed cost of limits, in percent.
const MAX_ABOVE_PERCENT: f64 = 5.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    // The cheapest signature hides the least.
    let algorithm = Algorithm::EdDsa;
    let directory = bench.seeded("limits", &[algorithm], 2).await?;
    seed::limit(&directory, 1).await?;
    let mut server = Server::countersign(&directory, &[])?;
    server.wait_until_ready().await?;
    let (free, limited) = (request::tokens(0..1), request::tokens(1..2));
    let (of_free, of_limited) =
        compare(bench.plan, Side { server: &server, requests: &free }, Side { server: &server, requests: &limited })
            .await?;
    let figure = format!("{algorithm} of a client with limits, against none: cost, µs");
    bench.add_percent(figure, "none", (&of_free, &of_limited), MAX_ABOVE_PERCENT);
    server.stop()
}
