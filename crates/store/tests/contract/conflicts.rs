//! Transactions that the database aborts in favor of another one are retried.

use std::time::Duration;

use countersign_protocol::ids::FamilyId;
use countersign_protocol::revocation::Revoked;
use countersign_store::{RefusalCount, Store, StoredRefusal};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use std::sync::Arc;
use tokio::task::JoinSet;

use crate::refresh_tokens::{family, token};
use crate::{Fresh, fresh};

/// A connection of another program.
async fn stranger(fresh: &Fresh) -> AnyConnection {
    AnyConnection::connect(fresh.text()).await.unwrap()
}

async fn run(connection: &mut AnyConnection, statement: &str) {
    connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
}

async fn count(connection: &mut AnyConnection, from: &str) -> i64 {
    let statement = AssertSqlSafe(format!("SELECT COUNT(*) FROM {from}"));
    sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_deadlock_with_another_program_is_retried() {
    let fresh = fresh().await;
    let (store, mut stranger) = (fresh.store.clone(), stranger(&fresh).await);
    store.insert_family(&family("f", 100), &token("a")).await.unwrap();
    // The opposite order to ours: first the row, then the counter. Our side detects the deadlock first and is aborted.
    run(&mut stranger, "SET deadlock_timeout = '30s'").await;
    run(&mut stranger, "BEGIN").await;
    run(&mut stranger, "UPDATE refresh_families SET scope = scope WHERE id = 'f'").await;
    let ending = tokio::spawn(async move { store.end_family(&FamilyId::new("f"), 1, 2).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!ending.is_finished(), "it waits for the family's row");
    run(&mut stranger, "UPDATE change_counter SET change = change + 1 WHERE id = 1").await;
    run(&mut stranger, "COMMIT").await;
    ending.await.unwrap().unwrap();
    assert_eq!(count(&mut stranger, "revocations WHERE id = 'f'").await, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_serialization_failure_is_retried_and_reported_if_it_persists() {
    let fresh = fresh().await;
    let (store, mut stranger) = (&fresh.store, stranger(&fresh).await);
    run(&mut stranger, "CREATE SEQUENCE tried").await;
    let function = "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('tried') <= 3 THEN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END IF; RETURN NEW; END $$";
    run(&mut stranger, function).await;
    run(&mut stranger, "CREATE TRIGGER conflict BEFORE INSERT ON revocations FOR EACH ROW EXECUTE FUNCTION conflict()")
        .await;
    store.revoke(&Revoked::Token("t".to_owned()), 9).await.unwrap();
    assert_eq!(count(&mut stranger, "revocations").await, 1);
    run(&mut stranger, "SELECT setval('tried', 1)").await;
    run(&mut stranger, "ALTER SEQUENCE tried INCREMENT -1 MINVALUE -1000").await;
    let lasting = store.revoke(&Revoked::Token("u".to_owned()), 9).await;
    assert!(lasting.is_err(), "it is not retried forever");
    assert_eq!(count(&mut stranger, "revocations").await, 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_stricter_default_isolation_level_causes_no_conflicts() {
    let fresh = fresh().await;
    let name: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut stranger(&fresh).await).await.unwrap();
    run(
        &mut stranger(&fresh).await,
        &format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"),
    )
    .await;
    let store = Store::open(&fresh.url).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        writers.spawn(async move { store.revoke(&Revoked::Token(format!("t{number}")), 9).await });
    }
    writers.join_all().await.into_iter().for_each(|revoked| revoked.unwrap());
    assert_eq!(count(&mut stranger(&fresh).await, "revocations").await, 50);
}

#[tokio::test]
async fn nodes_that_add_to_the_same_rows_in_any_order_do_not_deadlock() {
    let fresh = fresh().await;
    let mut writers = JoinSet::new();
    for number in 0..40i64 {
        let store = fresh.store.clone();
        writers.spawn(async move {
            let refusal = |id: i64| {
                let text = || "x".to_owned();
                Arc::new(StoredRefusal {
                    request_id: format!("{number}-{id}"),
                    at: 1,
                    endpoint: text().into(),
                    client_id: None,
                    address: text(),
                    error: text().into(),
                    reason: text(),
                    remedy: text().into(),
                    presented: text().into(),
                })
            };
            let add =
                |id: i64| RefusalCount { minute: id, client_id: "job".to_owned(), name: "x".to_owned(), count: 1 };
            let ids: Vec<i64> = if number % 2 == 0 { (0..30).collect() } else { (0..30).rev().collect() };
            let (refusals, counts): (Vec<_>, Vec<_>) = ids.into_iter().map(|id| (refusal(id), add(id))).unzip();
            store.add_refusals(&refusals, &counts).await
        });
    }
    writers.join_all().await.into_iter().for_each(|added| added.unwrap());
    let counts = fresh.store.list_refusal_counts(0, 100).await.unwrap();
    assert!(counts.len() == 30 && counts.iter().all(|one| one.count == 40), "{counts:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn defaults_for_other_programs_do_not_make_writes_less_durable_or_abort_them() {
    let fresh = fresh().await;
    let mut stranger = stranger(&fresh).await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut stranger).await.unwrap();
    for default in ["synchronous_commit = off", "default_transaction_isolation = 'serializable'"] {
        run(&mut stranger, &format!("ALTER DATABASE {name} SET {default}")).await;
    }
    let check = "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF current_setting('synchronous_commit') = 'off' OR current_setting('transaction_isolation') <> 'read committed' \
         THEN RAISE EXCEPTION '% %', current_setting('synchronous_commit'), current_setting('transaction_isolation'); \
         END IF; RETURN NEW; END $$";
    run(&mut stranger, check).await;
    for table in ["nodes", "revocations"] {
        let trigger = format!("CREATE TRIGGER look BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION look()");
        run(&mut stranger, &trigger).await;
    }
    let store = Store::open(&fresh.url).await.unwrap();
    store.beat("node", 1, &[]).await.unwrap();
    store.revoke(&Revoked::Token("t".to_owned()), 9).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_new_database_that_cannot_store_every_character_is_refused() {
    let fresh = fresh().await;
    let mut stranger = stranger(&fresh).await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut stranger).await.unwrap();
    let latin = format!("{name}_latin");
    let create = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    run(&mut stranger, &format!("CREATE DATABASE {latin} {create}")).await;
    let url = countersign_store::DatabaseUrl::parse(&fresh.text().replace(&name, &latin)).unwrap();
    let refused = Store::open(&url).await.unwrap_err().to_string();
    run(&mut stranger, &format!("DROP DATABASE {latin}")).await;
    assert!(refused.starts_with("the database has the encoding LATIN1; create one with: "), "{refused}");
}
