//! With 10,000 clients, a token costs at most 5 % more than with one.

use std::path::Path;

use countersign_protocol::jose::algorithm::Algorithm;

use crate::connection::Connection;
use crate::load::{Side, compare};
use crate::process::Server;
use crate::rows::{Bench, fetch_administrator_token};
use crate::spread::Spread;
use crate::table::Row;
use crate::{Outcome, request, watch};

const MANY: usize = 10_000;
/// The allowed additional cost of many clients, in percent.
const MAX_ABOVE_PERCENT: f64 = 5.0;
/// The number of list requests.
const LISTS: usize = 50;
/// The time limit of a list request.
const MAX_LIST_MS: f64 = 50.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    // The cheapest signature hides the least.
    let algorithm = Algorithm::EdDsa;
    let with_one = bench.seeded("one-client", &[algorithm], 1).await?;
    let with_many = bench.seeded("many-clients", &[algorithm], MANY).await?;
    let (mut one, mut many) = (Server::countersign(&with_one, &[])?, Server::countersign(&with_many, &[])?);
    one.wait_until_ready().await?;
    many.wait_until_ready().await?;
    let (by_one, by_many) = (request::tokens(0..1), request::tokens(0..MANY));
    let one_side = Side { server: &one, requests: &by_one };
    let many_side = Side { server: &many, requests: &by_many };
    let (of_one, of_many) = compare(bench.plan, one_side, many_side).await?;
    let figure = format!("{algorithm} with 10,000 clients, against one: cost, µs");
    bench.add_percent(figure, "one", (&of_one, &of_many), MAX_ABOVE_PERCENT);
    add_list(bench, &many, &with_many).await?;
    one.stop()?;
    many.stop()
}

/// Measures the first page of the list of all clients.
async fn add_list(bench: &mut Bench<'_>, server: &Server, directory: &Path) -> Outcome<()> {
    let token = fetch_administrator_token(server, directory).await?;
    let mut connection = Connection::open(server.address).await?;
    let list = request::list("clients", &token);
    let mut took_ms = Vec::new();
    for _ in 0..LISTS {
        let began = watch::now();
        if connection.exchange(&list).await?.status != 200 {
            return Err("the list request was refused".into());
        }
        took_ms.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let took = Spread::of(took_ms.iter().copied());
    bench.table.add([Row {
        figure: "a list of 10,000 clients, first page, ms".to_owned(),
        ours: format!("{took:.1}"),
        target: Some((format!("under {MAX_LIST_MS:.0} ms"), took.median < MAX_LIST_MS)),
        ..Row::default()
    }]);
    Ok(())
}
