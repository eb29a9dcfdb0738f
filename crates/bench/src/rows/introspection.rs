//! Introspecting an active JWT costs at most 20 µs more than a bare endpoint that verifies the same signature.

use countersign_protocol::jose::algorithm::Algorithm;

use crate::load::{Side, compare};
use crate::process::Server;
use crate::rows::{Bench, fetch_token, only};
use crate::{Outcome, cores, request};

/// The allowed cost of authentication, the checks of the claims and the response, in µs.
const MAX_ABOVE_US: f64 = 20.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let algorithm = Algorithm::Es256;
    let directory = bench.seeded("introspection", &[algorithm], 1).await?;
    let mut server = Server::countersign(&directory, &[])?;
    server.wait_until_ready().await?;
    let token = fetch_token(&server, 0).await?;
    let bare = bench.bare_for(algorithm, &token, &[cores::SERVER]).await?;
    // The bare side has its own key, and therefore its own token of the same length.
    let to_bare = only(request::introspection(0, &fetch_token(&bare, 0).await?));
    let to_ours = only(request::introspection(0, &token));
    let bare_side = Side { server: &bare, requests: &to_bare };
    let side = Side { server: &server, requests: &to_ours };
    let (of_bare, of_ours) = compare(bench.plan, bare_side, side).await?;
    bench.add_comparison(&format!("introspection {algorithm}"), &of_bare, &of_ours, MAX_ABOVE_US);
    server.stop()
}
