//! A real nats-server for tests: those over HTTP, and those of the NATS depot in the crate itself.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// It starts within this on a machine that works.
const PATIENCE: Duration = Duration::from_secs(120);

/// A NATS server on a free port, with a directory of its own; killed when dropped.
pub struct NatsServer {
    child: Child,
    url: String,
    dir: TempDir,
}

impl NatsServer {
    pub fn start() -> Self {
        let dir = tempdir().expect("a directory");
        let child = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"])
            .arg(dir.path().join("jetstream"))
            .arg("--ports_file_dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "these tests start a NATS server: install it with `apt-get install nats-server`",
            );
        let ports = dir.path().join(format!("nats-server_{}.ports", child.id()));
        let begun = Instant::now();
        let url = loop {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            if let Ok(ports) = serde_json::from_str::<Value>(&text) {
                break ports["nats"][0].as_str().expect("an address").to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "nats-server does not start");
            std::thread::sleep(Duration::from_millis(5));
        };
        let server = Self { child, url, dir };
        server.until_it_answers();
        server
    }

    /// The address is known before the port answers.
    fn until_it_answers(&self) {
        let address = self.url.trim_start_matches("nats://");
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "nats-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where it keeps everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
