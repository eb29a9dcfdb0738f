//! Refresh and revocation on SQLite reach at least 60 % of the commits per second of a bare loop on the same disk.

use std::time::{Duration, Instant};

use countersign_protocol::jose::algorithm::Algorithm;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::load::{CONNECTIONS, count};
use crate::process::Server;
use crate::rows::{Bench, text_member};
use crate::spread::Spread;
use crate::table::Row;
use crate::{Outcome, request, seed, sqlite, watch};

const MIN_PERCENT: f64 = 60.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let directory = bench.seeded("commits", &[Algorithm::EdDsa], 1).await?;
    let mut families = seed::families(&directory, Algorithm::EdDsa, CONNECTIONS).await?;
    let mut server = Server::countersign(&directory, &[])?;
    server.wait_until_ready().await?;
    let (mut bare, mut refreshed, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.plan.rounds {
        let length = bench.plan.commits_round;
        let rate = sqlite::commits_per_s(&bench.path("bare.db"), length)?;
        bare.push(rate);
        refreshed.push(refresh_per_s(&server, &mut families, length).await?);
        revoked.push(revocations_per_s(&server, (rate * length.as_secs_f64()).max(1.0)).await?);
    }
    server.stop()?;
    for (figure, ours) in [("refreshes/s", refreshed), ("revocations/s", revoked)] {
        let share = Spread::of(ours.iter().zip(&bare).map(|(ours, bare)| ours / bare * 100.0));
        bench.table.add([Row {
            figure: format!("{figure} on SQLite, against bare commits/s"),
            bare: format!("{:.0}", Spread::of(bare.iter().copied())),
            ours: format!("{:.0}", Spread::of(ours)),
            compared: format!("{share:.0} %"),
            target: Some((format!("at least {MIN_PERCENT:.0} %"), share.median >= MIN_PERCENT)),
        }]);
    }
    Ok(())
}

/// Every connection refreshes its own family for this long, always with the newest token.
async fn refresh_per_s(server: &Server, families: &mut Vec<String>, length: Duration) -> Outcome<f64> {
    let began = watch::now();
    let mut senders = JoinSet::new();
    for token in families.drain(..) {
        let connection = Connection::open(server.address).await?;
        senders.spawn(refresh(connection, token, began + length));
    }
    let mut refreshed = 0;
    while let Some(sent) = senders.join_next().await {
        let (times, token) = sent?.map_err(|reason| format!("refresh: {reason}"))?;
        refreshed += times;
        families.push(token);
    }
    Ok(count(refreshed) / began.elapsed().as_secs_f64())
}

async fn refresh(mut connection: Connection, mut token: String, until: Instant) -> Result<(u64, String), String> {
    let mut times = 0;
    while watch::now() < until {
        let answer = connection.exchange(&request::refresh(0, &token)).await.map_err(|error| error.to_string())?;
        token = text_member(answer.body, "refresh_token")
            .ok_or_else(|| format!("answered {}", String::from_utf8_lossy(answer.body)))?;
        times += 1;
    }
    Ok((times, token))
}

/// Every connection revokes its share of about `wanted` tokens, which are issued beforehand.
async fn revocations_per_s(server: &Server, wanted: f64) -> Outcome<f64> {
    let requests = request::tokens(0..1);
    let mut shares = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(server.address).await?;
        let mut tokens = Vec::new();
        while count(u64::try_from(tokens.len())?) * count(u64::try_from(CONNECTIONS)?) < wanted {
            let answer = connection.exchange(&requests[0]).await?;
            tokens.push(text_member(answer.body, "access_token").ok_or("no token")?);
        }
        shares.push((connection, tokens));
    }
    let began = watch::now();
    let mut senders = JoinSet::new();
    for (connection, tokens) in shares {
        senders.spawn(revoke(connection, tokens));
    }
    let mut revoked = 0;
    while let Some(sent) = senders.join_next().await {
        revoked += sent?.map_err(|reason| format!("revocation: {reason}"))?;
    }
    Ok(count(revoked) / began.elapsed().as_secs_f64())
}

async fn revoke(mut connection: Connection, tokens: Vec<String>) -> Result<u64, String> {
    let mut times = 0;
    for token in tokens {
        let answer = connection.exchange(&request::revocation(0, &token)).await.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("answered {}", answer.status));
        }
        times += 1;
    }
    Ok(times)
}
