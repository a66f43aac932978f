#![doc = include_str!("../README.md")]

mod accept;
mod boots;
mod clock;
mod content;
mod decode;
mod feed;
mod feeds;
mod finding;
mod foreign;
mod interval;
mod ledger;
mod note;
mod open;
mod received;
mod seen;
mod short;
mod totals;
mod vehicle;
mod worker;

pub use accept::{Accepted, Acceptor, frame_digest, lane_watermarks};
pub use boots::{AnchorProof, BootAnchor, BootBook, Boots};
pub use clock::{ClockQuality, ClockState, EARLIEST_PLAUSIBLE, StartBounds, earlier};
pub use content::{Contents, RowHash};
pub use decode::RowsDecoder;
pub use feed::{BodyDigest, FEED_BODY_BYTES_MAX, FEED_MAGIC, FEED_RECORD_OVERHEAD, FeedId, FeedRecord};
pub use feeds::{Feed, Feeds, NameKey, Pseudonyms};
pub use finding::{CLOUD_EPOCH, CLOUD_TYPES, Reason, Statement};
pub use foreign::{EnvelopePart, FEED_EPOCH, FeedCounts, ForeignPart};
pub use interval::IntervalSet;
pub use ledger::{Account, Balancing, GapEnd, LaneTombstone, Ledger};
pub use note::{NOTE_MAGIC, Note, NoteRecord};
pub use open::{IngestError, KeyRing, Opened, Opener};
pub use received::{LaneReceived, LaneWatermark, Received};
pub use short::{ShortLedger, ShortRow, ShortSession, ShortVerdict};
pub use totals::{CONTACT_AGES_S, Contacts, Lag, LaneTotals, Totals};
pub use worker::{GapState, LaneGap, LaneReport, Quarantined, Worker};
