//! Numbers of ISO 13400-2:2019 and their names.

use crate::codes::code_enum;

code_enum! {
    /// What a message is.
    PayloadType: u16 {
        /// The header of a message was refused.
        HeaderNack = 0x0000,
        /// Who is there?
        IdentificationRequest = 0x0001,
        /// Is the entity with this identifier there?
        IdentificationRequestEid = 0x0002,
        /// Is the vehicle with this VIN there?
        IdentificationRequestVin = 0x0003,
        /// A vehicle says who it is.
        Announcement = 0x0004,
        /// A tester wants messages to be routed.
        ActivationRequest = 0x0005,
        /// The entity's answer.
        ActivationResponse = 0x0006,
        /// Are you still there?
        AliveCheckRequest = 0x0007,
        /// The tester's answer.
        AliveCheckResponse = 0x0008,
        /// How many connections are there?
        EntityStatusRequest = 0x4001,
        /// The entity's answer.
        EntityStatusResponse = 0x4002,
        /// Is the vehicle ready for diagnosis?
        PowerModeRequest = 0x4003,
        /// The entity's answer.
        PowerModeResponse = 0x4004,
        /// A diagnostic message.
        Diagnostic = 0x8001,
        /// It was taken.
        DiagnosticAck = 0x8002,
        /// It was refused.
        DiagnosticNack = 0x8003,
    }
}

code_enum! {
    /// Why a header was refused.
    HeaderNackCode: u8 {
        /// Versions do not fit.
        IncorrectPattern = 0x00,
        /// Type not known.
        UnknownPayloadType = 0x01,
        /// Longer than the entity takes.
        MessageTooLarge = 0x02,
        /// No memory left.
        OutOfMemory = 0x03,
        /// Length does not fit the type.
        InvalidPayloadLength = 0x04,
    }
}

code_enum! {
    /// Outcome of a routing activation.
    ActivationCode: u8 {
        /// The tester's address is not known.
        UnknownSource = 0x00,
        /// All connections are taken.
        AllSocketsActive = 0x01,
        /// The connection is another tester's.
        DifferentSource = 0x02,
        /// The address is active on another connection.
        SourceAlreadyActive = 0x03,
        /// Authentication is missing.
        MissingAuthentication = 0x04,
        /// Confirmation was refused.
        RejectedConfirmation = 0x05,
        /// The activation type is not known.
        UnsupportedType = 0x06,
        /// TLS is needed.
        TlsRequired = 0x07,
        /// Activated.
        Success = 0x10,
        /// Activated once somebody confirms.
        ConfirmationPending = 0x11,
    }
}

impl ActivationCode {
    /// Returns whether routing was refused.
    #[must_use]
    pub const fn is_refused(self) -> bool {
        !matches!(self, Self::Success | Self::ConfirmationPending)
    }
}

code_enum! {
    /// Why a diagnostic message was refused.
    DiagnosticNackCode: u8 {
        /// The tester's address is not the activated one.
        InvalidSource = 0x02,
        /// Nobody has the target address.
        UnknownTarget = 0x03,
        /// Longer than the target takes.
        MessageTooLarge = 0x04,
        /// No memory left.
        OutOfMemory = 0x05,
        /// The target cannot be reached.
        TargetUnreachable = 0x06,
        /// The network is not known.
        UnknownNetwork = 0x07,
        /// The transport protocol failed.
        TransportProtocolError = 0x08,
    }
}
