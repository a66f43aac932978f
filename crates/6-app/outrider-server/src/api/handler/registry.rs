//! Import of the vehicle registry, and the roll-out of monitoring.

use std::io::{self, Read};
use std::time::Duration;

use axum::Json;
use axum::body::Body as RawBody;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt as _;
use outrider_ingest::registry::{FileFormat, FileOptions};
use tokio::sync::mpsc;

use super::text;
use super::vehicle::vehicle_id;
use crate::api::app::Shared;
use crate::api::dto::{ImportQuery, StageRequest, StageResult, VehicleImport};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By, Params};
use crate::registry::{ImportError, ImportOptions, ImportTarget, import as run};
use crate::store::{Selection, StageChange, VehicleFilter};

/// Largest file: four million vehicles of 500 bytes.
const FILE_BYTES_MAX: u64 = 2 << 30;
/// Longest silence of a peer that sends a file.
const SILENCE: Duration = Duration::from_secs(30);
/// Vehicles that a change of stage may name.
const VEHICLES_MAX: usize = 10_000;

/// Registers the vehicles of a file that comes as the body, while it comes.
pub(crate) async fn import(
    state: Shared,
    By(caller): By,
    Params(query): Params<ImportQuery>,
    body: RawBody,
) -> Result<Json<VehicleImport>, ApiFailure> {
    let format = match query.format.as_deref() {
        None => None,
        Some("csv") => Some(FileFormat::Csv),
        Some("ndjson") => Some(FileFormat::Ndjson),
        Some("json") => Some(FileFormat::Json),
        Some(other) => return Err(ApiFailure::invalid(format!("`format` does not know {other:?}"))),
    };
    let options = ImportOptions {
        file: FileOptions { format, ignore_unknown: query.ignore_unknown.unwrap_or(false) },
        is_dry: query.dry_run.unwrap_or(false),
        h3_resolution: state.h3_resolution,
        by: caller.user.name.clone(),
    };
    let scope = state.scope();
    let target = ImportTarget { store: state.store.as_ref(), vault: state.vin_vault.as_deref(), scope };
    let (sender, parts) = mpsc::channel(4);
    let receiving = forward(body, sender);
    let mut ignore = |_| {};
    let importing = run(Parts { parts, part: Bytes::new() }, target, &options, &mut ignore);
    let (received, imported) = tokio::join!(receiving, importing);
    received?;
    let imported = imported.map_err(|error| match error {
        ImportError::Read(error) => ApiFailure::new(StatusCode::BAD_REQUEST, "body", error.to_string()),
        ImportError::Store(error) => error.into(),
        error @ (ImportError::Vault(_) | ImportError::Resolution) => ApiFailure::internal(&error),
    })?;
    if !options.is_dry {
        state.directory.refresh(state.store.as_ref(), scope).await?;
    }
    Ok(Json(imported))
}

/// Hands the body on part by part, as fast as it is used up. What fails here fails the reader too.
async fn forward(body: RawBody, sender: mpsc::Sender<io::Result<Bytes>>) -> Result<(), ApiFailure> {
    let mut stream = body.into_data_stream();
    let mut taken = 0u64;
    let failure = loop {
        let part = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(part))) => part,
            Ok(Some(Err(_))) => break (StatusCode::BAD_REQUEST, "the body was cut off"),
            Err(_) => break (StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
        };
        taken += part.len() as u64;
        if taken > FILE_BYTES_MAX {
            break (StatusCode::PAYLOAD_TOO_LARGE, "the file has more than 2 GiB");
        }
        if sender.send(Ok(part)).await.is_err() {
            // The import has ended; it says why.
            return Ok(());
        }
    };
    let _ = sender.send(Err(io::Error::other(failure.1))).await;
    Err(ApiFailure::new(failure.0, "body", failure.1.to_owned()))
}

/// Reader over the parts of a body.
struct Parts {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    part: Bytes,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.part = part?,
                None => return Ok(0),
            }
        }
        let taken = self.part.split_to(self.part.len().min(buffer.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

/// Moves vehicles to a stage of monitoring.
pub(crate) async fn change_stage(
    state: Shared,
    By(caller): By,
    Body(request): Body<StageRequest>,
) -> Result<Json<StageResult>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    let filter = VehicleFilter {
        model_line: request.model_line.clone(),
        platform: request.platform.clone(),
        model_year: request.model_year,
        region: request.region.clone(),
        ..VehicleFilter::default()
    };
    // The whole fleet is said by the model lines it has, not by saying nothing.
    let selection = match (request.vehicle_ids.is_empty(), filter == VehicleFilter::default()) {
        (false, true) if request.vehicle_ids.len() <= VEHICLES_MAX => {
            let ids = request.vehicle_ids.iter().map(|id| vehicle_id(id));
            Selection::Vehicles(ids.collect::<Result<_, _>>()?)
        }
        (true, false) => Selection::Filter(filter),
        (false, true) => return Err(ApiFailure::invalid(format!("at most {VEHICLES_MAX} vehicles"))),
        (true, true) | (false, false) => {
            return Err(ApiFailure::invalid("name either vehicles or conditions".to_owned()));
        }
    };
    let stage = outrider_model::MonitoringStage::from_word(request.stage.word())
        .ok_or_else(|| ApiFailure::invalid("the stage is unknown".to_owned()))?;
    let (by, reason) = (caller.user.name.clone(), request.reason.trim().to_owned());
    let scope = state.scope();
    let changed = state.store.change_stage(scope, &StageChange { selection, stage, by, reason }).await?;
    state.directory.refresh(state.store.as_ref(), scope).await?;
    Ok(Json(StageResult { changed }))
}
