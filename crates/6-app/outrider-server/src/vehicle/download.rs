//! Artifacts on their way to vehicles, piece by piece.

use outrider_types::VehicleId;

use super::artifact::{PIECE_BYTES_MAX, Wanted};
use super::evidence::EvidenceError;
use super::exchange::{Exchange, Refusal, refuse_store};

/// Piece of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// First byte of it in the whole.
    pub from: u64,
    /// Length of the whole.
    pub whole: u64,
    /// Bytes, at least one.
    pub bytes: Vec<u8>,
}

impl Exchange {
    /// Gives a piece of an artifact to a vehicle with an order for it under way, and counts it. Whoever has no such order
    /// learns nothing, not even whether the artifact exists.
    ///
    /// # Errors
    /// [`Refusal`]: 400 without a range that agents send, 403 if the vehicle is not let in, 404 without an order, 416
    /// behind the end, 429 too fast, 503 while the emergency stop is set or if the vault fails.
    pub async fn artifact(
        &self,
        session: VehicleId,
        sha256: &str,
        range: Option<&str>,
    ) -> Result<Piece, Refusal> {
        let result = self.piece(session, sha256, range).await;
        self.count_download(result.as_ref().map(|_| ()));
        result
    }

    async fn piece(&self, session: VehicleId, sha256: &str, range: Option<&str>) -> Result<Piece, Refusal> {
        let refuse = |status, code, message: &str| Refusal { status, code, message: message.to_owned() };
        self.parts.directory.is_in(session).map_err(Refusal::denied)?;
        let Some(wanted) = range.and_then(Wanted::parse) else {
            return Err(refuse(400, "artifact.range", "one range of bytes with both ends is needed"));
        };
        let bytes_max = wanted.bytes.min(PIECE_BYTES_MAX);
        let size = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        if self.links().admit(session, size).is_err() {
            return Err(refuse(429, "artifact.rate", "too many pieces"));
        }
        let (scope, store) = (self.scope(), &self.parts.store);
        if !store.is_ordered(scope, session, sha256).await.map_err(refuse_store)? {
            return Err(refuse(404, "artifact.unknown", "no order for this artifact is under way"));
        }
        if store.emergency_stop(scope).await.map_err(refuse_store)?.is_set {
            return Err(refuse(503, "stopped", "the emergency stop is set"));
        }
        let _place = self.download_place().await;
        let (vault, name) = (self.parts.artifacts.clone(), sha256.to_owned());
        let read = tokio::task::spawn_blocking(move || vault.piece(&name, wanted.from, bytes_max)).await;
        let (bytes, whole) = match read {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => return Err(refuse_vault(&error)),
            Err(error) => return Err(refuse(500, "internal", &error.to_string())),
        };
        if bytes.is_empty() {
            return Err(refuse(416, "artifact.range", &format!("it has {whole} bytes")));
        }
        Ok(Piece { from: wanted.from, whole, bytes })
    }
}

fn refuse_vault(error: &EvidenceError) -> Refusal {
    tracing::error!(%error, "artifact not read");
    Refusal { status: 503, code: "artifact.storage", message: "storage is not available".to_owned() }
}
