//! A token by client credentials, for each algorithm: at most 10 µs more than the bare endpoint, and p99 less than twice its.

use countersign_protocol::jose::algorithm::Algorithm;

use crate::load::{Side, compare};
use crate::process::Server;
use crate::rows::{Bench, fetch_token};
use crate::{Outcome, cores, request};

/// The allowed cost of authentication, the decision, the claims and the log line, in µs.
const MAX_ABOVE_US: f64 = 10.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let algorithms = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
    let directory = bench.seeded("tokens", &algorithms, algorithms.len()).await?;
    for (place, cores) in [("", &[cores::SERVER][..]), (" on both cores", &cores::BOTH)] {
        let mut server = Server::countersign_on(&directory, cores)?;
        server.wait_until_ready().await?;
        for (client, algorithm) in algorithms.into_iter().enumerate() {
            let token = fetch_token(&server, client).await?;
            let bare = bench.bare_for(algorithm, &token, cores).await?;
            let requests = request::tokens(std::iter::once(client));
            let side = |server| Side { server, requests: &requests };
            let (of_bare, of_ours) = compare(bench.plan, side(&bare), side(&server)).await?;
            bench.add_comparison(&format!("client_credentials {algorithm}{place}"), &of_bare, &of_ours, MAX_ABOVE_US);
        }
        server.stop()?;
    }
    Ok(())
}
