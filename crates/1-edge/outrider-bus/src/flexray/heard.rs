//! What a listener hears of a bus, whatever the format of the capture that tells it.

use outrider_types::{BusId, VehicleMicros};

use super::repr::{Channel, FlexRayError, Header};
use super::view::RecordErrors;
use crate::bytes::{NoSpace, Writer};

/// Most payload bytes of a frame.
pub const PAYLOAD_BYTES_MAX: usize = 254;

/// A frame whose checks hold, by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    channel: Channel,
    header: Header,
    payload: [u8; PAYLOAD_BYTES_MAX],
    len: u8,
}

impl Frame {
    /// Creates a frame from its header and as much of its payload as was captured; bytes behind the longest are left out.
    ///
    /// # Errors
    /// [`FlexRayError`] for a header that the wire has no room for.
    pub fn new(channel: Channel, header: Header, captured: &[u8]) -> Result<Self, FlexRayError> {
        header.emit()?;
        let mut payload = [0; PAYLOAD_BYTES_MAX];
        payload.iter_mut().zip(captured).for_each(|(slot, byte)| *slot = *byte);
        let len = u8::try_from(captured.len().min(PAYLOAD_BYTES_MAX)).unwrap_or(0);
        Ok(Self { channel, header, payload, len })
    }

    /// Returns the channel it was heard on.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// Returns the header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the payload as far as it was captured.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.payload.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// One thing heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of what is heard are frames, and nothing here allocates"
)]
pub enum Heard {
    /// A frame.
    Frame(Frame),
    /// A frame that is none.
    Broken {
        /// The channel.
        channel: Channel,
        /// What is wrong with it.
        errors: RecordErrors,
        /// Its slot, where the header could be read.
        slot: Option<u16>,
    },
    /// A symbol, such as the one that wakes a cluster.
    Symbol {
        /// The channel.
        channel: Channel,
    },
}

impl Heard {
    /// Writes a record of pcap link type 210 and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let kind = |channel| match channel {
            Channel::A => 0x01,
            Channel::B => 0x81,
        };
        // A frame's header is legal since it was made; of a broken one only the slot is known.
        let header = |header: Header| header.emit().unwrap_or_default();
        let mut writer = Writer::new(out);
        match self {
            Self::Frame(frame) => {
                writer.put(&[kind(frame.channel), 0]);
                writer.put(&header(frame.header));
                writer.put(frame.payload());
            }
            Self::Broken { channel, errors, slot } => {
                writer.put(&[kind(*channel), errors.bits()]);
                writer.put(&header(Header { slot: slot.unwrap_or(1), ..Header::default() }));
            }
            Self::Symbol { channel } => writer.put(&[kind(*channel).saturating_add(1), 0]),
        }
        writer.finish()
    }
}

/// What was heard, when, and on which bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedFlexRay {
    /// When.
    pub at: VehicleMicros,
    /// Number that the source gives the bus.
    pub bus: BusId,
    /// What.
    pub heard: Heard,
}
