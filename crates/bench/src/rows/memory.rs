//! Memory with 1,000 clients after a million tokens, and what those tokens left on the disk: nothing.

use std::fs;
use std::path::Path;

use countersign_protocol::jose::algorithm::Algorithm;

use crate::load::{Side, run};
use crate::process::Server;
use crate::rows::Bench;
use crate::table::Row;
use crate::{Outcome, request};

const CLIENTS: usize = 1000;
const MAX_MIB: f64 = 40.0;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    let directory = bench.seeded("memory", &[Algorithm::EdDsa], CLIENTS).await?;
    let mut server = Server::countersign(&directory, &[])?;
    server.wait_until_ready().await?;
    server.stop()?;
    let before = size(&directory)?;
    let mut server = Server::countersign(&directory, &[])?;
    server.wait_until_ready().await?;
    let idle_mib = server.memory_mib()?;
    let requests = request::tokens(0..CLIENTS);
    let (mut tokens, mut failed) = (0, 0);
    while tokens < bench.plan.tokens_before_memory && failed == 0 {
        let round = run(Side { server: &server, requests: &requests }, bench.plan.round).await?;
        (tokens, failed) = (tokens + round.answered, failed + round.failed);
    }
    let mib = server.memory_mib()?;
    server.stop()?;
    let stored = size(&directory)?.saturating_sub(before);
    bench.table.add([
        Row {
            figure: format!("memory with 1,000 clients after {tokens} EdDSA tokens, MiB"),
            bare: format!("before them: {idle_mib:.1}"),
            ours: format!("{mib:.1}"),
            target: Some((format!("under {MAX_MIB:.0} MiB"), mib < MAX_MIB && failed == 0)),
            ..Row::default()
        },
        Row {
            figure: format!("bytes stored by {tokens} tokens, after a clean stop"),
            ours: stored.to_string(),
            target: Some(("none".to_owned(), stored == 0)),
            ..Row::default()
        },
    ]);
    Ok(())
}

/// The bytes of every file in a directory.
fn size(directory: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
