//! `outrider bench uplink`: the vehicle's side, measured by the agent, and the edge's, beside mosquitto.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use outrider_agent::cli::UplinkArguments;
use outrider_log::{EmbeddedConfig, EmbeddedLog};
use outrider_model::EventLog;
use outrider_server::vehicle::bench::{Child, Figures, Plan, measure, serve_child};
use serde_json::{Value, json};

use super::super::{Failure, runtime};
use crate::ports::{SystemClock, SystemRandom};

/// The way from an event to the packets that leave the vehicle, and what the edge takes for its end of it.
#[derive(Debug, Args)]
pub(super) struct Uplink {
    #[command(flatten)]
    vehicle: UplinkArguments,
    /// Silent connections to the edge, each with mutual TLS and a certificate of its own; 0 leaves the edge out.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    /// Messages to the edge, and to mosquitto if it is installed.
    #[arg(long, default_value_t = 50_000)]
    messages: u64,
    /// The process that is measured.
    #[arg(long, hide = true)]
    serve: bool,
}

impl Uplink {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.serve {
            return runtime()?
                .block_on(serve_child(Arc::new(SystemClock), Arc::new(SystemRandom), open))
                .map_err(Failure::failed);
        }
        let mut out = self.vehicle.measure();
        if self.connections > 0 && !self.vehicle.is_untimed() {
            let program = std::env::current_exe().map_err(Failure::failed)?;
            let arguments = ["bench", "uplink", "--serve"].map(str::to_owned).to_vec();
            let plan = Plan { connections: self.connections, messages: self.messages };
            let folder = std::env::temp_dir().join(format!("outrider-bench-{}", std::process::id()));
            std::fs::create_dir_all(&folder).map_err(Failure::failed)?;
            let figures = runtime()?.block_on(measure(
                plan,
                &Child { program, arguments },
                &folder,
                Arc::new(SystemClock),
                Arc::new(SystemRandom),
            ));
            // What is left over in the temporary folder harms nobody.
            let _ = std::fs::remove_dir_all(&folder);
            add(&mut out, &figures.map_err(Failure::failed)?)?;
        }
        self.vehicle.say(&out, &mut std::io::stdout().lock()).map_err(Failure::failed)
    }
}

/// Opens the event log of the process that is measured.
fn open(folder: &Path) -> Result<Arc<dyn EventLog>, String> {
    let log = EmbeddedLog::open(EmbeddedConfig::new(folder, 1)).map_err(|error| error.to_string())?;
    Ok(Arc::new(log))
}

/// Adds the edge's figures: the two with a budget under their own names, and all of them under `edge`.
fn add(out: &mut Value, figures: &Figures) -> Result<(), Failure> {
    let of = |server: &str| {
        let found = figures.messages.iter().find(|messages| messages.server == server);
        found.map(|messages| messages.qos1_messages_per_cpu_second)
    };
    let Some(object) = out.as_object_mut() else { return Ok(()) };
    object.insert("bytes_per_idle_connection".to_owned(), json!(figures.idle.bytes_per_idle_connection));
    object.insert("qos1_messages_per_cpu_second".to_owned(), json!(of("outrider edge")));
    let broker = figures.messages.iter().find(|messages| messages.server.starts_with("mosquitto"));
    let broker = broker.map(|messages| messages.qos1_messages_per_cpu_second);
    object.insert("qos1_messages_per_cpu_second_mosquitto".to_owned(), json!(broker));
    object.insert("edge".to_owned(), serde_json::to_value(figures).map_err(Failure::failed)?);
    Ok(())
}
