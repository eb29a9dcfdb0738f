//! Passwords are hashed two at a time, and networks take turns.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::guessing::{ELSEWHERE, PASSWORD, server};

#[tokio::test]
async fn a_full_password_queue_of_strangers_locks_nobody_out() {
    let server = server().await;
    for number in 0..10 {
        server.add_user(&format!("user{number}"), PASSWORD).await;
    }
    let ask = |from: String, user: String, password: &'static str| {
        let (service, demo) = (server.stranger(), server.demo().clone());
        async move {
            let form = [("grant_type", "password"), ("username", &user), ("password", password)];
            let request = service.request("POST", "/oauth2/token");
            let request = request.basic_auth(&demo.client_id, Some(demo.client_secret.expose()));
            service.send(request.header("x-forwarded-for", from).form(&form)).await.status
        }
    };
    let mut strangers = JoinSet::new();
    for number in 0..200 {
        strangers.spawn(ask(ELSEWHERE.to_owned(), format!("nobody-{number}"), "wrong"));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut people = JoinSet::new();
    for number in 0..10 {
        people.spawn(ask(format!("198.51.100.{number}"), format!("user{number}"), PASSWORD));
    }
    assert_eq!(people.join_all().await, [200; 10]);
    let statuses = strangers.join_all().await;
    assert!(statuses.contains(&503), "their own queue was full: {statuses:?}");
}
