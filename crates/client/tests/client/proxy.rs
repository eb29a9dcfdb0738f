//! What the system's proxy gets to see.

use std::env::current_exe;
use std::process::Command;

use crate::server::Server;

#[test]
fn a_proxy_never_sees_a_request_in_the_clear() {
    let proxy = Server::answering("200 OK", "", "from the proxy");
    let mut again = Command::new(current_exe().expect("this binary"));
    again.args(["--exact", "transport::an_answer_comes_whole_with_status_and_headers"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, proxy.url("/"));
    }
    let output = again.env_remove("no_proxy").env_remove("NO_PROXY").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.next(), None);
}
