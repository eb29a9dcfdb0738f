//! Gets a token by client credentials and shows what it says.
//!
//! `cargo run --package countersign-client --example client_credentials TENANT APP CLIENT_ID`, the secret on stdin.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::error::Error;
use std::io;

use countersign_client::{Client, Endpoints, HttpTransport, Secret, claims};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tenant, app, client_id] = arguments.as_slice() else {
        return Err("usage: client_credentials TENANT APP CLIENT_ID, with the secret on stdin".into());
    };
    let secret = Secret::new(io::read_to_string(io::stdin())?.trim());
    let client = Client::new(Endpoints::tenant(tenant, app)?, client_id, secret, HttpTransport::new()?);

    println!("{}", client.prepare_client_credentials(None).to_curl());
    let token = client.request_token_with_client_credentials(None).await?;
    println!("{token:?}");
    for (name, value) in claims(token.access_token.expose())?.as_unverified() {
        println!("{name}: {value}");
    }
    Ok(())
}
