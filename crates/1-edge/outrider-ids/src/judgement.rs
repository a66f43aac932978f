//! What the detectors think of one frame.

/// Which detector spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// The identifier is not one of the bus, and comes often or with many others.
    UnknownId,
    /// The length or the kind is not one of the identifier.
    Length,
    /// The identifier runs ahead of its cycle.
    Timing,
    /// The identifier or the bus is flooded.
    Flood,
    /// The message counter did not follow its predecessor.
    Counter,
    /// The checksum does not match the payload.
    Checksum,
    /// A field moved in a way that it never did.
    Payload,
    /// A field that always moves stands still, or moves without its noise.
    Stuck,
    /// The payloads are those of an earlier time.
    Playback,
    /// Signals that belong together no longer agree.
    Masquerade,
    /// The identifier belongs to another bus.
    Segment,
}

impl Detector {
    /// Returns the word of the detector.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnknownId => "unknown_id",
            Self::Length => "dlc",
            Self::Timing => "timing",
            Self::Flood => "flood",
            Self::Counter => "counter",
            Self::Checksum => "checksum",
            Self::Payload => "payload",
            Self::Stuck => "stuck",
            Self::Playback => "playback",
            Self::Masquerade => "masquerade",
            Self::Segment => "segment",
        }
    }
}

/// Judgement on one frame; unlike an [`Observation`](crate::Observation), it is given for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judgement {
    /// The detector that holds the frame to be part of an attack; `None` for an ordinary frame.
    pub detector: Option<Detector>,
}

impl Judgement {
    /// An ordinary frame.
    pub const ORDINARY: Self = Self { detector: None };

    pub(crate) const fn by(detector: Detector) -> Self {
        Self { detector: Some(detector) }
    }

    /// Keeps the detector that spoke first.
    pub(crate) const fn or(self, detector: Detector) -> Self {
        if self.detector.is_some() { self } else { Self::by(detector) }
    }

    /// Returns whether a detector holds the frame to be part of an attack.
    #[must_use]
    pub const fn is_flagged(self) -> bool {
        self.detector.is_some()
    }
}
