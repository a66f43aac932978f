//! Debian's mosquitto as a measure beside the edge.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;

use super::server::Usage;
use super::{BenchError, WINDOW, failed};
use crate::vehicle::ca::VehicleCa;

/// A broker that runs; it ends with this value.
pub(super) struct Broker {
    pub(super) address: SocketAddr,
    process: tokio::process::Child,
}

/// Where Debian installs it; not on everybody's search path.
const PLACES: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];

impl Broker {
    /// Starts a broker on loopback, or returns `None` if the machine has none.
    pub(super) async fn start(folder: &Path, ca: &VehicleCa) -> Result<Option<Self>, BenchError> {
        let Some(program) = PLACES.iter().find(|place| Path::new(place).exists()) else { return Ok(None) };
        let files = ca.issue_listener(&[]).map_err(failed("certificates"))?;
        let path = |name: &str| folder.join(format!("mosquitto-{name}"));
        for (name, text) in [("ca.pem", &files.ca), ("cert.pem", &files.certificate), ("key.pem", &files.key)]
        {
            std::fs::write(path(name), text).map_err(failed("mosquitto"))?;
        }
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed("mosquitto"))?;
        let address = free.local_addr().map_err(failed("mosquitto"))?;
        drop(free);
        let config = format!(
            "listener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             allow_anonymous true\npersistence false\nmax_inflight_messages {WINDOW}\nlog_type none\n",
            address.port(),
            path("ca.pem").display(),
            path("cert.pem").display(),
            path("key.pem").display(),
        );
        let file = path("conf");
        std::fs::write(&file, config).map_err(failed("mosquitto"))?;
        let process = tokio::process::Command::new(program)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed("mosquitto"))?;
        for _ in 0..200 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Some(Self { address, process }));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(failed("mosquitto")("it does not listen; as root it needs to read its folder as user mosquitto"))
    }

    pub(super) fn usage(&self) -> Result<Usage, BenchError> {
        Usage::of(self.process.id().unwrap_or(0))
    }
}
