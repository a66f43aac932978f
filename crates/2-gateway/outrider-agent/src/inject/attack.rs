//! Kinds of attack and their names.

/// What a masquerade puts in the place of a signal's own values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Masquerade {
    /// One value all the time.
    Constant,
    /// Another random value in every frame.
    Random,
    /// The own value and a fixed amount.
    Offset,
    /// A straight line from the value at the beginning to the far end of the range.
    Ramp,
    /// The own value and an amount that grows slowly.
    Drift,
    /// The value at the beginning, held.
    Plateau,
    /// What the signal said in an earlier stretch.
    Playback,
}

impl Masquerade {
    /// All masquerades.
    pub const ALL: [Self; 7] =
        [Self::Constant, Self::Random, Self::Offset, Self::Ramp, Self::Drift, Self::Plateau, Self::Playback];
}

/// Kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Extra frames with another payload on an identifier that is there.
    Fabricate,
    /// No frame of an identifier any more.
    Suspend,
    /// A recorded stretch of one or more identifiers, sent again beside the live traffic.
    Replay,
    /// Random identifiers, lengths and payloads.
    Fuzz,
    /// One identifier of the highest priority takes the bus.
    Flood,
    /// An identifier's own frames at their own times with one signal replaced; counters and checksums that are
    /// understood stay valid.
    Masquerade(Masquerade),
    /// Signals in an identifier's own frames changed on the way, counters and checksums left as they were.
    Modify,
    /// Errors forced on one ECU until it leaves the bus; its identifiers are gone from then on.
    BusOff,
    /// A tester guesses keys.
    UdsBruteForce,
    /// A tester tries services and data identifiers one after the other.
    UdsScan,
}

impl Attack {
    /// All attacks.
    pub const ALL: [Self; 16] = [
        Self::Fabricate,
        Self::Suspend,
        Self::Replay,
        Self::Fuzz,
        Self::Flood,
        Self::Masquerade(Masquerade::Constant),
        Self::Masquerade(Masquerade::Random),
        Self::Masquerade(Masquerade::Offset),
        Self::Masquerade(Masquerade::Ramp),
        Self::Masquerade(Masquerade::Drift),
        Self::Masquerade(Masquerade::Plateau),
        Self::Masquerade(Masquerade::Playback),
        Self::Modify,
        Self::BusOff,
        Self::UdsBruteForce,
        Self::UdsScan,
    ];

    /// Returns the word on the command line and in labels.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fabricate => "fabricate",
            Self::Suspend => "suspend",
            Self::Replay => "replay",
            Self::Fuzz => "fuzz",
            Self::Flood => "flood",
            Self::Masquerade(Masquerade::Constant) => "masquerade-constant",
            Self::Masquerade(Masquerade::Random) => "masquerade-random",
            Self::Masquerade(Masquerade::Offset) => "masquerade-offset",
            Self::Masquerade(Masquerade::Ramp) => "masquerade-ramp",
            Self::Masquerade(Masquerade::Drift) => "masquerade-drift",
            Self::Masquerade(Masquerade::Plateau) => "masquerade-plateau",
            Self::Masquerade(Masquerade::Playback) => "masquerade-playback",
            Self::Modify => "modify",
            Self::BusOff => "bus-off",
            Self::UdsBruteForce => "uds-bruteforce",
            Self::UdsScan => "uds-scan",
        }
    }

    /// Returns the name of the class in an evaluation: the word, as a noun where it is a verb.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Fabricate => "fabrication",
            Self::Suspend => "suspension",
            Self::Fuzz => "fuzzing",
            Self::Modify => "modification",
            Self::Replay
            | Self::Flood
            | Self::Masquerade(_)
            | Self::BusOff
            | Self::UdsBruteForce
            | Self::UdsScan => self.word(),
        }
    }

    /// Returns the attack of a word or a class name, or `None`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attack| attack.word() == word || attack.class() == word)
    }
}
