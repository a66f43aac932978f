//! Programs of others, installed by `scripts/lake-tools.sh`: an S3-compatible server and readers of tables.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;

use super::*;

/// Returns the folder of the tools' programs; says why a test is skipped where they are not.
///
/// # Panics
/// They are demanded and not there.
#[expect(clippy::print_stderr, reason = "the caller of the test says where they are")]
pub(super) fn tools() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let folder = std::env::var_os("OUTRIDER_LAKE_TOOLS")
        .map_or_else(|| workspace.join("target/lake-tools"), PathBuf::from);
    let bin = folder.join("bin");
    if bin.join("python3").exists() {
        return Some(bin);
    }
    let is_needed = std::env::var_os("OUTRIDER_NEED_LAKE_TOOLS").is_some();
    assert!(!is_needed, "{} is not there: run scripts/lake-tools.sh", bin.display());
    eprintln!("SKIPPED: {} is not there: run scripts/lake-tools.sh", bin.display());
    None
}

/// A server of S3's protocol on this machine, stopped when it is dropped.
pub(super) struct S3Server {
    child: Child,
    pub(super) endpoint: String,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl S3Server {
    /// Starts the server with one bucket, `fleet`.
    #[expect(clippy::disallowed_methods, reason = "another process starts: polled, with a bound")]
    pub(super) fn start(bin: &Path) -> Self {
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("it has an address").port()
        };
        let child = Command::new(bin.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        for _ in 0..600 {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                let request = format!(
                    "PUT /fleet HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).expect("it listens");
                let mut line = String::new();
                BufReader::new(stream).read_line(&mut line).expect("it answers");
                assert!(line.contains(" 200 "), "{line}");
                return server;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server does not listen");
    }
}
