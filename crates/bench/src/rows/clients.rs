//! 10,000 clients: a token costs within 5 % of what it costs with one.

use countersign_protocol::jose::algorithm::Algorithm;

use crate::load::{Round, Side, compare};
use crate::process::Server;
use crate::rows::Bench;
use crate::spread::Spread;
use crate::table::Row;
use crate::{Outcome, request};

const MANY: usize = 10_000;
/// What many clients may cost more than one, in per cent.
const MAX_ABOVE_PERCENT: f64 = 5.0;

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
    bench.watch(&of_one);
    bench.watch(&of_many);
    let cost = |rounds: &[Round]| Spread::of(rounds.iter().map(|round| round.cost_us));
    let percent = |(many, one): (&Round, &Round)| (many.cost_us / one.cost_us - 1.0) * 100.0;
    let above = Spread::of(of_many.iter().zip(&of_one).map(percent));
    bench.table.add([Row {
        figure: format!("{algorithm} with 10,000 clients, against one: cost, µs"),
        bare: format!("one: {}", cost(&of_one)),
        ours: cost(&of_many).to_string(),
        compared: format!("{above:+.1} %"),
        target: Some((format!("within {MAX_ABOVE_PERCENT:.0} %"), above.median <= MAX_ABOVE_PERCENT)),
    }]);
    one.stop()?;
    many.stop()
}
