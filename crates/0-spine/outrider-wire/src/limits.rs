//! Caps that a frame must keep, on both sides; all are in bytes or counts.
//!
//! They bound memory and work on hostile input. Raising one is compatible for readers that were updated first;
//! lowering one is not.

/// Longest uplink frame: header, payload and signature. One mebibyte is a few seconds on a poor mobile link.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Longest batch after decompression; the guard against decompression bombs.
pub const RAW_BYTES_MAX: u32 = 4 << 20;
/// Most rows in a batch.
pub const EVENTS_MAX: u32 = 8192;
/// Most fields in a row.
pub const FIELDS_MAX: u16 = 64;
/// Longest text or bytes field.
pub const VALUE_BYTES_MAX: usize = 1024;
/// Longest context of a row: one full Ethernet frame fits.
pub const CONTEXT_BYTES_MAX: usize = 2048;
/// Most clock fixes in a batch.
pub const FIXES_MAX: u32 = 64;
/// Most lane heads in a batch: one a lane, and room for lanes of a later version.
pub const HEADS_MAX: u32 = 8;
/// Most gaps in a batch.
pub const GAPS_MAX: u32 = 512;
/// Most proofs of short frames in a batch; further ones go with the next.
pub const PROOFS_MAX: u32 = 64;
/// Most tombstones in a batch; further ones go with the next.
pub const TOMBSTONES_MAX: u32 = 64;
/// Most kinds that a tombstone counts: 32 apart, and the rest.
pub const LOST_KINDS_MAX: u16 = 33;
/// Most statements of the anchor in a batch: the latest, and room for a second anchor.
pub const ANCHORS_MAX: u32 = 2;
/// Longest proof of an anchor; a TPM 2.0 gave 117 bytes of certificate and 71 of signature.
pub const ANCHOR_PROOF_BYTES_MAX: usize = 512;
/// Most boot statements in a batch.
pub const BOOTS_MAX: u32 = 1;
/// Most ends of past boots in a boot statement: eight boots of three lanes, and room for lanes of a later version.
pub const BOOT_ENDS_MAX: u16 = 32;
/// Most statements about lost boots in a batch; further ones go with the next.
pub const LOST_BOOTS_MAX: u32 = 8;
/// Longest text of one: 64 boots with counts of thousands are below two kilobytes.
pub const LOST_BOOTS_BYTES_MAX: usize = 8192;
/// Most boots that one lists: those that share a segment of the spool.
pub const LOST_BOOTS_LISTED_MAX: usize = 64;
/// Most kinds that one counts apart, besides the rest: it has to fit the smallest segment of a spool, 1 KiB.
pub const LOST_BOOTS_KINDS_MAX: usize = 8;
/// Most drop reasons in a lane head.
pub const DROPS_MAX: u16 = 16;
/// Longest single row that a writer accepts.
pub const EVENT_BYTES_MAX: usize = 8192;

/// Most watermarks in an acknowledgement: 64 boots that are not yet fully delivered, three lanes each.
pub const WATERMARKS_MAX: usize = 192;
/// Most wanted holes in a watermark; further holes are asked for by the next acknowledgement.
pub const HOLES_MAX: usize = 32;
/// Longest parameters of a command.
pub const PARAMETER_BYTES_MAX: usize = 512;
/// Most commands in a reply.
pub const REPLY_COMMANDS_MAX: usize = 16;
/// Longest reply.
pub const REPLY_BYTES_MAX: usize = 256 << 10;
/// Longest payload of an artifact: what a vehicle's flash gives twice, and a mobile link in minutes (guess).
pub const ARTIFACT_BYTES_MAX: usize = 8 << 20;
