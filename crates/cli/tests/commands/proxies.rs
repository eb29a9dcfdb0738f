//! Debian's HAProxy and nginx, with the configurations of docs/proxy.md.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use countersign_testkit::{CertificateFiles, Certified};

use crate::process::read;

/// A proxy in front of nodes or their database, stopped by its own process ID.
pub(crate) struct Proxy {
    child: Child,
    /// The address for clients.
    pub(crate) address: SocketAddr,
}

/// An address where nothing listens. Its port is below 32768, so that the system does not use it for an outgoing connection
/// while a node restarts.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let port = 20_000 + (std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Proxy {
    pub(crate) fn haproxy(directory: &Path, certified: &Certified, nodes: [SocketAddr; 2]) -> Self {
        let address = free_address();
        let files = CertificateFiles::of(certified);
        let pem = directory.join("haproxy.pem");
        std::fs::write(&pem, read(&files.cert()) + &read(&files.key())).unwrap();
        let text = published(
            "haproxy",
            nodes,
            &[
                ("bind :443 ssl", &format!("bind {address} ssl")),
                ("/etc/haproxy/auth.example.com.pem", &pem.display().to_string()),
            ],
        );
        let config = directory.join("haproxy.cfg");
        std::fs::write(&config, text).unwrap();
        Self::start(Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(config), directory, address)
    }

    pub(crate) fn nginx(directory: &Path, certified: &Certified, nodes: [SocketAddr; 2]) -> Self {
        let address = free_address();
        let files = CertificateFiles::of(certified);
        for (from, name) in [(files.cert(), "cert.pem"), (files.key(), "key.pem")] {
            std::fs::copy(from, directory.join(name)).unwrap();
        }
        let file = |name: &str| directory.join(name).display().to_string();
        let text = published(
            "nginx",
            nodes,
            &[
                ("listen 443 ssl http2", &format!("listen {address} ssl http2")),
                ("/etc/ssl/auth.example.com/fullchain.pem", &file("cert.pem")),
                ("/etc/ssl/auth.example.com/key.pem", &file("key.pem")),
            ],
        );
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", file(kind)))
            .concat();
        let around = format!("daemon off;\npid {};\nevents {{}}\nhttp {{\naccess_log off;\n", file("nginx.pid"));
        std::fs::write(directory.join("nginx.conf"), format!("{around}{temporary}{text}\n}}\n")).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        Self::start(command.args(["-e", "stderr", "-c", &file("nginx.conf")]), directory, address)
    }

    /// Runs a proxy that listens on this address, with its log in the directory.
    pub(crate) fn start(command: &mut Command, directory: &Path, address: SocketAddr) -> Self {
        let log = File::options().create(true).append(true).open(directory.join("proxies.log")).unwrap();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child =
            started.unwrap_or_else(|error| panic!("apt-get install haproxy nginx pgbouncer: {command:?}: {error}"));
        let proxy = Self { child, address };
        for _ in 0..500 {
            if TcpStream::connect(address).is_ok() {
                return proxy;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{command:?} does not listen: {}", read(&directory.join("proxies.log")));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Not SIGKILL: nginx would leave its workers running.
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The configuration for two nodes in docs/proxy.md, in this language, with other addresses and files.
fn published(language: &str, nodes: [SocketAddr; 2], replaced: &[(&str, &str)]) -> String {
    let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proxy.md"));
    let begin = format!("```{language}\n");
    let snippets = page.split(&begin).skip(1).filter_map(|rest| rest.split_once("\n```").map(|(snippet, _)| snippet));
    let mut text = snippets.filter(|snippet| snippet.contains("10.0.0.12")).last().unwrap().to_owned();
    let nodes = nodes.map(|node| node.to_string());
    let addresses = [("10.0.0.11:8080", nodes[0].as_str()), ("10.0.0.12:8080", nodes[1].as_str())];
    for (from, to) in addresses.iter().chain(replaced) {
        assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
        text = text.replace(from, to);
    }
    text + "\n"
}
