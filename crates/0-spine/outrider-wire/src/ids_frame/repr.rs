//! An IDS message with legal values only, and its bytes.

use core::num::NonZeroU16;

use super::view::{EVENT_BYTES, IdsFrameError, IdsView, TIMESTAMP_BYTES};

const NANOS_PER_SECOND: u32 = 1_000_000_000;
/// Longest context that has a length of one byte.
const SHORT_BYTES_MAX: usize = 127;
/// Longest context at all: 31 bits.
const CONTEXT_BYTES_MAX: usize = 0x7FFF_FFFF;

/// Version of the protocol [PRS_Ids_00008].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdsVersion {
    /// Up to release R23-11: a context has no layout version.
    V1,
    /// Release R24-11: a context has one.
    V2,
}

impl IdsVersion {
    /// Returns the version with this number.
    ///
    /// # Errors
    /// [`IdsFrameError::Version`].
    pub const fn from_code(code: u8) -> Result<Self, IdsFrameError> {
        match code {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            got => Err(IdsFrameError::Version { got }),
        }
    }

    /// Returns the number in the frame.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident($inner:ty), 0..=$max:literal, $error:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Largest value.
            pub const MAX: $inner = $max;

            /// Creates it.
            ///
            /// # Errors
            /// [`IdsFrameError`] if the value is too large.
            pub const fn new(value: $inner) -> Result<Self, IdsFrameError> {
                if value > Self::MAX { Err($error) } else { Ok(Self(value)) }
            }

            /// Returns the number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }
    };
}

bounded!(
    /// Number of an IdsM in the vehicle, 0 to 1023 [PRS_Ids_00013].
    IdsmInstance(u16), 0..=1023, IdsFrameError::Instance
);
bounded!(
    /// Number of a sensor below an IdsM, 0 to 63 [PRS_Ids_00014].
    SensorInstance(u8), 0..=63, IdsFrameError::Instance
);
bounded!(
    /// Event definition id [PRS_Ids_00017]: 0 to 0x7FFF are AUTOSAR's, 0x8000 to 0xFFFE the car maker's.
    SevId(u16), 0..=0xFFFE, IdsFrameError::Event
);

impl SevId {
    /// Returns true for an id that the car maker gives.
    #[must_use]
    pub const fn is_oem(self) -> bool {
        self.0 >= 0x8000
    }
}

/// When the ECU says that it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdsTimestamp {
    /// Time of the synchronised time base, below a second of nanoseconds [PRS_Ids_00406, 00407].
    Autosar {
        /// Seconds of that time base.
        seconds: u32,
        /// Nanoseconds, 0 to 999,999,999.
        nanos: u32,
    },
    /// 63 bits that only the car maker can read.
    Oem(u64),
}

impl IdsTimestamp {
    const OEM: u64 = 1 << 63;

    fn from_bits(bits: u64) -> Result<Self, IdsFrameError> {
        if bits & Self::OEM != 0 {
            return Ok(Self::Oem(bits & !Self::OEM));
        }
        let low = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
        let (seconds, nanos) = (low(bits), low(bits >> 32) & 0x3FFF_FFFF);
        if nanos >= NANOS_PER_SECOND {
            Err(IdsFrameError::Timestamp)
        } else {
            Ok(Self::Autosar { seconds, nanos })
        }
    }

    fn bits(self) -> Result<u64, IdsFrameError> {
        match self {
            Self::Autosar { nanos, .. } if nanos >= NANOS_PER_SECOND => Err(IdsFrameError::Timestamp),
            Self::Autosar { seconds, nanos } => Ok(u64::from(nanos) << 32 | u64::from(seconds)),
            Self::Oem(bits) if bits & Self::OEM != 0 => Err(IdsFrameError::Timestamp),
            Self::Oem(bits) => Ok(Self::OEM | bits),
        }
    }
}

/// What a context is laid out like (protocol version 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextLayout {
    /// Version of the layout, 15 bits.
    pub version: u16,
    /// Whether a callout of the integrator altered what the sensor gave.
    pub is_altered: bool,
}

impl ContextLayout {
    const ALTERED: u16 = 0x8000;

    const fn from_bits(bits: u16) -> Self {
        Self { version: bits & !Self::ALTERED, is_altered: bits & Self::ALTERED != 0 }
    }

    const fn bits(self) -> Result<u16, IdsFrameError> {
        if self.version & Self::ALTERED != 0 {
            return Err(IdsFrameError::Context);
        }
        Ok(self.version | if self.is_altered { Self::ALTERED } else { 0 })
    }
}

/// Context of a message, at least one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdsContext<'a> {
    /// Its layout: there in protocol version 2 and only there.
    pub layout: Option<ContextLayout>,
    /// Its bytes, 1 to 2^31 - 1.
    pub bytes: &'a [u8],
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdsMessage<'a> {
    /// Version of the protocol.
    pub version: IdsVersion,
    /// The IdsM that sends it.
    pub instance: IdsmInstance,
    /// The sensor that saw it.
    pub sensor: SensorInstance,
    /// What happened.
    pub event: SevId,
    /// How often [PRS_Ids_00018].
    pub count: NonZeroU16,
    /// When.
    pub timestamp: Option<IdsTimestamp>,
    /// Details.
    pub context: Option<IdsContext<'a>>,
    /// Signature over everything before it, at least one byte; checked by whoever has the key.
    pub signature: Option<&'a [u8]>,
}

impl<'a> IdsMessage<'a> {
    /// Checks the values of a view. Reserved bits are ignored.
    ///
    /// # Errors
    /// [`IdsFrameError`]: the event id, count, timestamp, context or signature is not legal.
    pub fn parse(view: &IdsView<'a>) -> Result<Self, IdsFrameError> {
        let context = view.context().map(|context| IdsContext {
            layout: context.layout.map(ContextLayout::from_bits),
            bytes: context.bytes,
        });
        if context.is_some_and(|context| context.bytes.is_empty()) {
            return Err(IdsFrameError::Context);
        }
        if view.signature().is_some_and(<[u8]>::is_empty) {
            return Err(IdsFrameError::Signature);
        }
        Ok(Self {
            version: view.version(),
            instance: IdsmInstance::new(view.instance())?,
            sensor: SensorInstance::new(view.sensor())?,
            event: SevId::new(view.event())?,
            count: NonZeroU16::new(view.count()).ok_or(IdsFrameError::Count)?,
            timestamp: view.timestamp().map(IdsTimestamp::from_bits).transpose()?,
            context,
            signature: view.signature(),
        })
    }

    /// Returns the length of the frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        let context = self.context.map_or(0, |context| {
            let layout: usize = if context.layout.is_some() { 2 } else { 0 };
            let length: usize = if context.bytes.len() > SHORT_BYTES_MAX { 4 } else { 1 };
            layout.saturating_add(length).saturating_add(context.bytes.len())
        });
        let timestamp = if self.timestamp.is_some() { TIMESTAMP_BYTES } else { 0 };
        let signature = self.signature.map_or(0, |signature| signature.len().saturating_add(2));
        EVENT_BYTES.saturating_add(timestamp).saturating_add(context).saturating_add(signature)
    }

    /// Writes the frame and returns its length. A signature is written as it is given.
    ///
    /// # Errors
    /// [`IdsFrameError`]: the output is too small, or a part has values that a frame cannot hold.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, IdsFrameError> {
        let needed = self.frame_bytes();
        let mut rest = out.get_mut(..needed).ok_or(IdsFrameError::Full { needed })?;
        let flags = u8::from(self.context.is_some())
            | u8::from(self.timestamp.is_some()) << 1
            | u8::from(self.signature.is_some()) << 2;
        put(&mut rest, &[self.version.code() << 4 | flags]);
        put(&mut rest, &(self.instance.get() << 6 | u16::from(self.sensor.get())).to_be_bytes());
        put(&mut rest, &self.event.get().to_be_bytes());
        put(&mut rest, &self.count.get().to_be_bytes());
        put(&mut rest, &[0]);
        if let Some(timestamp) = self.timestamp {
            put(&mut rest, &timestamp.bits()?.to_be_bytes());
        }
        if let Some(context) = self.context {
            self.emit_context(context, &mut rest)?;
        }
        if let Some(signature) = self.signature {
            let length = u16::try_from(signature.len()).ok().filter(|&length| length > 0);
            put(&mut rest, &length.ok_or(IdsFrameError::Signature)?.to_be_bytes());
            put(&mut rest, signature);
        }
        Ok(needed)
    }

    fn emit_context(&self, context: IdsContext<'_>, rest: &mut &mut [u8]) -> Result<(), IdsFrameError> {
        match (self.version, context.layout) {
            (IdsVersion::V1, None) => {}
            (IdsVersion::V2, Some(layout)) => put(rest, &layout.bits()?.to_be_bytes()),
            (IdsVersion::V1, Some(_)) | (IdsVersion::V2, None) => return Err(IdsFrameError::Context),
        }
        let length = context.bytes.len();
        match u8::try_from(length) {
            Ok(0) => return Err(IdsFrameError::Context),
            Ok(short) if length <= SHORT_BYTES_MAX => put(rest, &[short]),
            Ok(_) | Err(_) => {
                let long = u32::try_from(length).ok().filter(|_| length <= CONTEXT_BYTES_MAX);
                put(rest, &(long.ok_or(IdsFrameError::Context)? | 0x8000_0000).to_be_bytes());
            }
        }
        put(rest, context.bytes);
        Ok(())
    }
}

/// Writes at the front of `rest`, whose length the caller has made sure of, and moves on.
fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    let whole = core::mem::take(rest);
    let (head, tail) = whole.split_at_mut(bytes.len().min(whole.len()));
    head.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
    *rest = tail;
}
