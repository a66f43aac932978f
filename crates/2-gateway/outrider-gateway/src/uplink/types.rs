//! What goes into the uplink and comes out of it.

use std::io;

use outrider_types::{BootEpoch, TenantId, VehicleId};
use outrider_wire::FrameError;

use super::ShortSession;
use crate::storage::StorageError;

/// How the uplink sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UplinkConfig {
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// This vehicle.
    pub vehicle: VehicleId,
    /// Version of the event catalogue that the vehicle was built with.
    pub catalogue_id: u32,
    /// Longest batch before compression; held between 32 and 512 KiB.
    pub batch_bytes_max: usize,
    /// Most rows in a batch.
    pub batch_rows_max: u32,
    /// Bytes of batched rows that are sent before the window ends.
    pub batched_bytes: u64,
    /// Longest time that a batched row waits while there is a link.
    pub batched_window_us: u64,
    /// Longest time that changed lane heads wait when no rows carry them.
    pub report_window_us: u64,
    /// Time without progress after which rows that were sent are sent again.
    pub resend_after_us: u64,
    /// First and longest wait after a failed exchange.
    pub backoff_us: (u64, u64),
}

impl UplinkConfig {
    /// Returns the usual values: batches of up to 500 rows or 64 KiB, windows of 30 s and 15 min, resending after
    /// 2 min, waiting 1 s to 10 min.
    #[must_use]
    pub const fn new(tenant: TenantId, vehicle: VehicleId, catalogue_id: u32) -> Self {
        Self {
            tenant,
            vehicle,
            catalogue_id,
            batch_bytes_max: 64 << 10,
            batch_rows_max: 500,
            batched_bytes: 32 << 10,
            batched_window_us: 30_000_000,
            report_window_us: 900_000_000,
            resend_after_us: 120_000_000,
            backoff_us: (1_000_000, 600_000_000),
        }
    }
}

/// What the vehicle's link costs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Link {
    /// The mobile network: its bytes are counted.
    #[default]
    Metered,
    /// Wi-Fi.
    Unmetered,
    /// The workshop's network.
    Workshop,
}

impl Link {
    /// All links, from the dearest to the cheapest.
    pub const ALL: [Self; 3] = [Self::Metered, Self::Unmetered, Self::Workshop];

    /// Returns the word in settings and status.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Metered => "metered",
            Self::Unmetered => "wifi",
            Self::Workshop => "workshop",
        }
    }

    /// Returns the link of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|link| link.word() == word)
    }
}

/// Carries one frame to the cloud and brings back its reply.
pub trait Transport {
    /// Sends a frame and returns the reply's bytes.
    ///
    /// # Errors
    /// [`TransportError`].
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError>;

    /// Returns the session that is open now and that takes short frames, if there is one.
    ///
    /// A short frame belongs to its session: once that has ended, `exchange` refuses it instead of opening another, and a
    /// session in which a frame went unanswered has ended.
    fn session(&mut self) -> Option<ShortSession> {
        None
    }
}

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection, or it broke.
    #[error("cloud is unreachable: {0}")]
    Unreachable(String),
    /// No reply in time.
    #[error("no reply in time")]
    TimedOut,
    /// The cloud refused the frame, with this HTTP status or what stands for it in MQTT.
    #[error("cloud refused the frame with status {status}")]
    Refused {
        /// HTTP status.
        status: u16,
    },
}

impl TransportError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "transport.unreachable",
            Self::TimedOut => "transport.timed_out",
            Self::Refused { .. } => "transport.refused",
        }
    }

    /// Returns true if the cloud refused what is in the frame, not who sends it or when.
    pub(super) const fn blames_frame(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 413 | 422 })
    }
}

/// Why no frame could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Compression failed.
    #[error("compression: {0}")]
    Compress(io::Error),
    /// The frame could not be written or signed.
    #[error("frame: {0}")]
    Frame(FrameError),
    /// The medium did not answer, and there is nothing else to send.
    #[error("spool medium: {0}")]
    Storage(StorageError),
}

/// Why a reply is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// It, or its acknowledgement, is malformed or wrongly signed.
    #[error("reply: {0}")]
    Frame(FrameError),
    /// Its acknowledgement is for another vehicle.
    #[error("acknowledgement is for vehicle {0}")]
    WrongVehicle(VehicleId),
    /// Its acknowledgement answers another frame than the one that was sent: an old one, or a late one.
    #[error("acknowledgement answers another frame")]
    OtherFrame,
}

/// One frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Bytes to send as they are.
    pub bytes: Vec<u8>,
    /// Boot of the rows.
    pub epoch: BootEpoch,
    /// Rows in it.
    pub rows: u32,
    /// Bytes of the rows before compression.
    pub raw_bytes: u32,
}

/// What a believed reply brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Rows freed.
    pub freed: u64,
    /// Rows that the cloud wants again.
    pub wanted: usize,
    /// Command frames, unopened; see [`crate::judge`].
    pub commands: Vec<Vec<u8>>,
}

/// Counters of the uplink since its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UplinkCounters {
    /// Frames built.
    pub frames: u64,
    /// Rows in them, resent ones counted each time.
    pub rows: u64,
    /// Bytes of the frames.
    pub frame_bytes: u64,
    /// Bytes of their rows before compression.
    pub raw_bytes: u64,
    /// Exchanges that failed.
    pub failures: u64,
    /// Replies that were not believed.
    pub bad_replies: u64,
    /// Rows freed.
    pub freed: u64,
    /// Rows that were set aside because the cloud refused them alone.
    pub set_aside: u64,
    /// Short frames among the frames.
    pub short_frames: u64,
}

/// What an exchange did.
#[derive(Debug, Default)]
pub struct ExchangeReport {
    /// Frames that were answered.
    pub answered: u32,
    /// Rows freed.
    pub freed: u64,
    /// Command frames, unopened, in order.
    pub commands: Vec<Vec<u8>>,
    /// What ended it early.
    pub error: Option<ExchangeError>,
}

/// Why an exchange ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No frame could be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The frame was not answered.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The reply is not believed.
    #[error(transparent)]
    Reply(#[from] ReplyError),
}
