//! `outrider serve --role api | worker | correlator`: one part of the cloud in a process of its own.

use std::sync::Arc;

use outrider_server::embedded::open_lake;
use outrider_server::pipeline::PipelineConfig;
use outrider_server::roles::{Logs, RunningRole, start_correlators, start_workers};
use outrider_server::server::{Backends, ServerConfig, start};
use serde_json::json;

use super::{REMOTE_IDLE, Role, Serve, announce, print, runtime, show_monitor, stop_signal, write_ready};
use crate::cli::Failure;
use crate::cli::event_log::Kind;
use crate::content::{decoders, rules};
use crate::ports::{SystemClock, system};

/// What a log in a folder means for roles.
const NEEDS_KAFKA: &str =
    "roles share their work over Kafka: a log in a folder belongs to one process; add --event-log kafka";

impl Serve {
    /// Settings of a process that has one of several roles.
    fn role_config(&self) -> Result<ServerConfig, Failure> {
        if self.log.event_log != Kind::Kafka {
            return Err(Failure::input(NEEDS_KAFKA));
        }
        let config = self.config()?;
        Ok(ServerConfig {
            rules: rules(self.rules.as_deref())?,
            decoders: decoders(self.decoders.as_deref(), &self.decoder_key)?,
            pipeline: PipelineConfig { idle: REMOTE_IDLE, ..config.pipeline },
            ..config
        })
    }

    /// API, dashboard and enrolment; frames are taken and worked off elsewhere.
    pub(super) fn run_api(self) -> Result<(), Failure> {
        let config = ServerConfig { http: self.http(), enrolment: self.est()?, ..self.role_config()? };
        let lake = self.lake.config(&self.folder)?;
        runtime()?.block_on(async {
            let ports = system(Arc::new(SystemClock));
            let log = self.log.open(&config.folder).await?;
            let backends = Backends::of_others(log, lake, ports.clock.clone(), config.tenant).await;
            let server = Box::pin(start(config, ports, backends.map_err(Failure::failed)?)).await;
            let server = server.map_err(Failure::failed)?;
            announce(&server, self.ready_file.as_deref())?;
            stop_signal().await;
            server.shutdown().await;
            Ok(())
        })
    }

    /// Workers of the partitions that the group of workers gives this process.
    pub(super) fn run_worker(self) -> Result<(), Failure> {
        let config = self.role_config()?;
        let lake = self.lake.config(&self.folder)?;
        runtime()?.block_on(async {
            let logs = self.logs().await?;
            let lake = open_lake(lake).await.map_err(Failure::failed)?;
            let sinks = Arc::new(move || Box::new(lake.sink()) as _);
            let ports = system(Arc::new(SystemClock));
            let role = Box::pin(start_workers(config, ports, logs, sinks)).await.map_err(Failure::failed)?;
            self.take_part(role).await
        })
    }

    /// Correlators of the parts that their group gives this process.
    pub(super) fn run_correlator(self) -> Result<(), Failure> {
        let config = self.role_config()?;
        runtime()?.block_on(async {
            let logs = self.logs().await?;
            let ports = system(Arc::new(SystemClock));
            let role = Box::pin(start_correlators(config, ports, logs)).await.map_err(Failure::failed)?;
            self.take_part(role).await
        })
    }

    /// Says that it runs, takes part in its group until it is stopped, and leaves in order.
    async fn take_part(self, role: RunningRole) -> Result<(), Failure> {
        let (name, group) = match self.role {
            Role::Correlator => ("correlator", self.log.correlators()?),
            Role::All | Role::Edge | Role::Worker | Role::Api => ("worker", self.log.workers()?),
        };
        let member = group.join(&role).await?;
        print(&format!("{name} takes part in the group {}\n", group.name))?;
        show_monitor(role.monitor_addr)?;
        let metrics = role.monitor_addr.map(|address| format!("http://{address}/metrics"));
        let ready = json!({ "role": name, "metrics": metrics });
        if let Some(path) = &self.ready_file {
            write_ready(path, &ready.to_string())?;
        }
        stop_signal().await;
        member.leave().await;
        role.shutdown().await;
        Ok(())
    }

    /// Opens the logs that the stages share.
    async fn logs(&self) -> Result<Logs, Failure> {
        let (events, sightings) = tokio::try_join!(self.log.open_to_read(), self.log.open_sightings())?;
        Ok(Logs { events, sightings })
    }
}
