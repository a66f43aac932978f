//! Opens an uplink batch: structure, vehicle, signature, decompression; each with a cap of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrider_types::{BootEpoch, TenantId, VehicleId};
use outrider_wire::{
    Batch, BatchError, DictId, EDGE_MAGIC, EnvelopeHeader, FrameError, SealedEdgeRecord, SealedEnvelope,
    Verifier, dictionary,
};

use crate::foreign::FEED_EPOCH;
use crate::note::NoteRecord;

/// Why an uplink batch is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The frame's structure is broken, or its signature is wrong.
    #[error("frame: {0}")]
    Frame(FrameError),
    /// The batch names another vehicle than the session belongs to.
    #[error("batch of vehicle {got} in a session of vehicle {expected}")]
    WrongVehicle {
        /// Vehicle of the session.
        expected: VehicleId,
        /// Vehicle in the batch.
        got: VehicleId,
    },
    /// No batch key is registered for the vehicle.
    #[error("no batch key is registered for vehicle {vehicle}")]
    UnknownVehicle {
        /// Vehicle in the batch.
        vehicle: VehicleId,
    },
    /// The batch names another tenant than the vehicle belongs to.
    #[error("batch of tenant {got}, vehicle belongs to tenant {expected}")]
    WrongTenant {
        /// Tenant of the vehicle.
        expected: TenantId,
        /// Tenant in the batch.
        got: TenantId,
    },
    /// The batch names a boot that no vehicle may use.
    #[error("boot {0} is reserved")]
    ReservedEpoch(outrider_types::BootEpoch),
    /// The dictionary is not known here.
    #[error("unknown dictionary {0}")]
    UnknownDictionary(DictId),
    /// Decompression failed or yielded another length than stated.
    #[error("payload does not decompress to {expected} bytes: {reason}")]
    Decompress {
        /// Length that the header states.
        expected: u32,
        /// What went wrong.
        reason: String,
    },
    /// The vehicle's numbers are scattered over more stretches than any honest gateway leaves.
    #[error("numbers of lane {lane} lie in more than {limit} separate stretches")]
    Scattered {
        /// Lane.
        lane: outrider_types::Lane,
        /// Most stretches.
        limit: usize,
    },
    /// The rows' outermost structure is broken.
    #[error("rows: {0}")]
    Rows(BatchError),
}

impl IngestError {
    /// Returns the stable code, also used as the reason in counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Frame(FrameError::Signature) => "batch.signature",
            Self::Frame(_) => "batch.frame",
            Self::WrongVehicle { .. } => "batch.wrong_vehicle",
            Self::UnknownVehicle { .. } => "batch.unknown_vehicle",
            Self::WrongTenant { .. } => "batch.wrong_tenant",
            Self::ReservedEpoch(_) => "batch.reserved_epoch",
            Self::UnknownDictionary(_) => "batch.unknown_dictionary",
            Self::Decompress { .. } => "batch.decompress",
            Self::Scattered { .. } => "batch.scattered",
            Self::Rows(_) => "batch.rows",
        }
    }
}

/// Batch keys and tenants of the vehicles.
pub trait KeyRing {
    /// Returns the tenant and the verifier of a vehicle's batch key, or `None` if it is not registered.
    fn batch_key(&self, vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)>;

    /// Returns what verifies the proofs of a vehicle's anchor; `None` if no key of it is registered.
    fn anchor_key(&self, vehicle: VehicleId) -> Option<Arc<dyn Verifier + Send + Sync>> {
        let _ = vehicle;
        None
    }

    /// Returns the verifier of the edge's records of short frames; without it none is believed.
    fn edge_key(&self) -> Option<Arc<dyn Verifier + Send + Sync>> {
        None
    }

    /// Returns what verifies batches with rows of one boot, where keys are good from a boot on: a key that was replaced
    /// before that boot does not.
    fn batch_key_at(
        &self,
        vehicle: VehicleId,
        epoch: BootEpoch,
    ) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        let _ = epoch;
        self.batch_key(vehicle)
    }
}

/// A batch that passed every check up to its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What stands outside the compression.
    pub header: EnvelopeHeader,
    /// Uncompressed rows; [`Batch::parse`] accepts them.
    pub rows: Vec<u8>,
    /// Whether it is a row of a short frame: the edge vouches for it, the vehicle's signature is still to come.
    pub is_short: bool,
}

/// Opens batches; keeps one decompressor a dictionary.
#[derive(Default)]
pub struct Opener {
    decompressors: BTreeMap<DictId, zstd::bulk::Decompressor<'static>>,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("dictionaries", &self.decompressors.len()).finish()
    }
}

/// Returns the vehicle that a record of the event log claims to be of, unverified; `None` if it names none. It decides in which
/// partition the record is taken again.
#[must_use]
pub fn claimed_vehicle(bytes: &[u8]) -> Option<VehicleId> {
    if NoteRecord::is_note(bytes) {
        return Some(NoteRecord::parse(bytes)?.vehicle);
    }
    if bytes.starts_with(&EDGE_MAGIC) {
        return Some(SealedEdgeRecord::parse(bytes).ok()?.claimed());
    }
    Some(SealedEnvelope::parse(bytes).ok()?.claimed().vehicle)
}

impl Opener {
    /// Checks a batch. `session` is the vehicle of the TLS session, or `None` where the session was checked before.
    ///
    /// Memory is bounded by the frame cap plus the stated and capped length of the rows.
    ///
    /// # Errors
    /// [`IngestError`].
    pub fn open(
        &mut self,
        bytes: &[u8],
        session: Option<VehicleId>,
        keys: &dyn KeyRing,
    ) -> Result<Opened, IngestError> {
        if session.is_none() && bytes.starts_with(&EDGE_MAGIC) {
            return crate::short::open_record(bytes, keys);
        }
        let sealed = SealedEnvelope::parse(bytes).map_err(IngestError::Frame)?;
        let claimed = *sealed.claimed();
        if let Some(expected) = session.filter(|session| *session != claimed.vehicle) {
            return Err(IngestError::WrongVehicle { expected, got: claimed.vehicle });
        }
        let Some((tenant, verifier)) = keys.batch_key_at(claimed.vehicle, claimed.epoch) else {
            return Err(IngestError::UnknownVehicle { vehicle: claimed.vehicle });
        };
        let envelope = sealed.open(verifier.as_ref()).map_err(IngestError::Frame)?;
        if envelope.header.tenant != tenant {
            return Err(IngestError::WrongTenant { expected: tenant, got: envelope.header.tenant });
        }
        if envelope.header.epoch >= FEED_EPOCH {
            return Err(IngestError::ReservedEpoch(envelope.header.epoch));
        }
        let rows = self.decompress(&envelope.header, envelope.payload)?;
        Batch::parse(&rows).map_err(IngestError::Rows)?;
        Ok(Opened { header: envelope.header, rows, is_short: false })
    }

    fn decompress(&mut self, header: &EnvelopeHeader, payload: &[u8]) -> Result<Vec<u8>, IngestError> {
        if header.dict == DictId::STORED {
            return Ok(payload.to_vec());
        }
        let dictionary = match dictionary::find(header.dict) {
            Some(dictionary) => dictionary.bytes,
            None if header.dict == DictId::PLAIN => &[],
            None => return Err(IngestError::UnknownDictionary(header.dict)),
        };
        let failed = |reason: String| IngestError::Decompress { expected: header.raw_bytes, reason };
        let decompressor = match self.decompressors.entry(header.dict) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(
                zstd::bulk::Decompressor::with_dictionary(dictionary)
                    .map_err(|error| failed(error.to_string()))?,
            ),
        };
        // The capacity is the stated length, which the frame check has capped: a bomb ends here.
        let rows = decompressor
            .decompress(payload, header.raw_bytes as usize)
            .map_err(|error| failed(error.to_string()))?;
        if rows.len() != header.raw_bytes as usize {
            return Err(failed(format!("got {} bytes", rows.len())));
        }
        Ok(rows)
    }
}
