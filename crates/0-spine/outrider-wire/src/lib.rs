#![doc = include_str!("../README.md")]
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core
)]

mod ack;
mod artifact;
pub mod attest;
#[rustfmt::skip]
pub mod catalogue;
mod command;
pub mod dictionary;
mod edge_record;
mod envelope;
mod fault;
mod fixed;
pub mod ids_frame;
mod key;
pub mod limits;
mod lost_boots;
mod p256;
mod pb;
pub mod policy;
mod reader;
mod receipt;
mod reply;
mod rows;
mod short;
pub mod short_row;
mod statement;
mod writer;

pub use ack::{ACK_MAGIC, ACK_VERSION, Ack, FrameDigest, SealedAck, Watermark, WatermarkView};
pub use artifact::{
    ARTIFACT_FORMAT, ARTIFACT_HEAD_BYTES, ARTIFACT_MAGIC, Artifact, ArtifactHead, ArtifactKind,
    SealedArtifact,
};
pub use command::{
    COMMAND_BYTES_MAX, COMMAND_MAGIC, COMMAND_VERSION, Command, CommandHead, EvidenceWindow, IntentHash,
    ParameterError, Parameters, PermitId, SealedCommand, UpdateOrder,
};
pub use dictionary::DictId;
pub use edge_record::{EDGE_MAGIC, EDGE_VERSION, EdgeRecord, SealedEdgeRecord};
pub use envelope::{
    BATCH_MAGIC, ENVELOPE_HEADER_BYTES, ENVELOPE_VERSION, Envelope, EnvelopeHeader, SealedEnvelope,
};
pub use fault::{BatchError, RowError, RowFault};
pub use fixed::{FrameError, Signer, SignerError, Suite, Verifier};
pub use key::{KEY_BYTES, KEY_MAGIC, KEY_VERSION, KeyChange, SealedKeyChange};
pub use lost_boots::{BootCounts, BootRun, LostBoot, LostBootsView, SIGN_LOST_BOOTS};
pub use p256::{is_low_s, low_s};
pub use pb::{Full, StructureError};
pub use reader::{Batch, EventView, Events, Fields, LaneHeadView};
pub use receipt::{
    CommandId, EvidenceHash, Outcome, RECEIPT_BYTES, RECEIPT_MAGIC, RECEIPT_VERSION, Receipt, RefuseReason,
    SealedReceipt,
};
pub use reply::{REPLY_MAGIC, REPLY_VERSION, Reply, UplinkFrame};
pub use rows::{DropCount, DropReason, EventHead, Field, Gap, LaneHead, SeqRange, ShortProof, Value};
pub use short::{
    Opening, SHORT_EXPORTER_LABEL, SHORT_FRAME_BYTES_MAX, SHORT_LABEL, SHORT_TAG_BYTES, SealedShort,
    ShortCoding, ShortFrame, ShortPlace, Tagger, is_short,
};
pub use statement::{
    AnchorStatement, BootEnd, BootHead, BootView, LostRows, SIGN_TOMBSTONE, TOMBSTONE_SIGNED_BYTES_MAX,
    TombstoneHead, TombstoneView,
};
pub use writer::{BatchWriter, Refusal, WriteError};

/// Length of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Suite 1: Ed25519 (RFC 8032) over the frame's bytes before the signature.
pub const SUITE_ED25519: u16 = 1;
/// Suite 2: ECDSA over P-256 with SHA-256 (FIPS 186-5) over the frame's bytes before the signature; r and s, 32 bytes
/// each, big endian, s in the lower half of the group. For keys of TPMs and tokens, which have no Ed25519.
pub const SUITE_ECDSA_P256: u16 = 2;
