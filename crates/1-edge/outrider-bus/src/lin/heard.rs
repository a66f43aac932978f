//! What a listener hears of a bus, whatever the format of the capture that tells it.

use outrider_types::{BusId, VehicleMicros};

use super::repr::{Frame, Pid};

/// Why the response to a header is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Nobody answered.
    Silence,
    /// The checksum fits neither kind.
    Checksum,
    /// Bytes that are none, or too few of them, as when two nodes answer at once.
    Framing,
}

/// One thing heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Heard {
    /// A header and its whole response.
    Frame {
        /// Both.
        frame: Frame,
        /// Whether the capture has the checksum; without it, its kind is only assumed.
        has_checksum: bool,
    },
    /// A header, and why its response is no frame.
    Fault {
        /// Whose turn it was.
        pid: Pid,
        /// What was wrong.
        fault: Fault,
    },
    /// A header that nobody can trust: its synchronisation or parity was wrong.
    Header,
    /// A wake-up signal.
    WakeUp,
    /// The bus fell asleep.
    Asleep,
}

impl Heard {
    /// Returns the identifier of the header, if there is one to trust.
    #[must_use]
    pub const fn pid(&self) -> Option<Pid> {
        match self {
            Self::Frame { frame, .. } => Some(frame.pid()),
            Self::Fault { pid, .. } => Some(*pid),
            Self::Header | Self::WakeUp | Self::Asleep => None,
        }
    }
}

/// What was heard, when, and on which bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimedLin {
    /// When.
    pub at: VehicleMicros,
    /// Number that the source gives the bus.
    pub bus: BusId,
    /// What.
    pub heard: Heard,
}
