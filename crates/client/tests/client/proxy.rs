//! What a system proxy can see.

use std::env::current_exe;
use std::process::Command;

use crate::server::Server;

#[test]
fn a_proxy_never_sees_a_request_in_plain_text() {
    let proxy = Server::answering("200 OK", "", "from the proxy");
    let mut again = Command::new(current_exe().expect("this binary"));
    again.args(["--exact", "transport::a_response_is_complete_with_status_and_headers"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, proxy.url("/"));
    }
    let output = again.env_remove("no_proxy").env_remove("NO_PROXY").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.next(), None);
}
