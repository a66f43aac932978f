//! Measures the MQTT edge: memory of silent connections, processor time of handshakes and messages. Prints JSON.
//!
//! `cargo run --release -p outrider-server --no-default-features --example mqtt_edge_idle -- 5000 50000`

use std::sync::Arc;

use outrider_log::{EmbeddedConfig, EmbeddedLog};
use outrider_server::vehicle::bench::{Child, Plan, measure, serve_child};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("serve") {
        serve_child(|folder| match EmbeddedLog::open(EmbeddedConfig::new(folder, 1)) {
            Ok(log) => Ok(Arc::new(log)),
            Err(error) => Err(error.to_string()),
        })
        .await?;
        return Ok(());
    }
    let number = |text: Option<String>, otherwise| text.map_or(Ok(otherwise), |text| text.parse::<u64>());
    let usual = Plan::default();
    let plan = Plan {
        connections: usize::try_from(number(first, usual.connections as u64)?)?,
        messages: number(arguments.next(), usual.messages)?,
    };
    let child = Child { program: std::env::current_exe()?, arguments: vec!["serve".to_owned()] };
    let folder = tempfile::tempdir()?;
    let figures = measure(plan, &child, folder.path()).await?;
    #[expect(clippy::print_stdout, reason = "the figures are what the program is for")]
    {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    }
    Ok(())
}
