//! Numbers of ISO 14229-1:2020 and their names.

use crate::codes::code_enum;

code_enum! {
    /// Service of a request; a positive response has the same number with bit 6 set.
    ServiceId: u8 {
        /// Starts a session.
        DiagnosticSessionControl = 0x10,
        /// Resets the ECU.
        EcuReset = 0x11,
        /// Clears trouble codes.
        ClearDiagnosticInformation = 0x14,
        /// Reads trouble codes.
        ReadDtcInformation = 0x19,
        /// Reads values by identifier.
        ReadDataByIdentifier = 0x22,
        /// Reads memory.
        ReadMemoryByAddress = 0x23,
        /// Reads how values are scaled.
        ReadScalingDataByIdentifier = 0x24,
        /// Unlocks a security level.
        SecurityAccess = 0x27,
        /// Switches normal communication on and off.
        CommunicationControl = 0x28,
        /// Authenticates the tester with certificates.
        Authentication = 0x29,
        /// Asks for values at intervals.
        ReadDataByPeriodicIdentifier = 0x2A,
        /// Defines identifiers at run time.
        DynamicallyDefineDataIdentifier = 0x2C,
        /// Writes a value by identifier.
        WriteDataByIdentifier = 0x2E,
        /// Takes control of an input or output.
        InputOutputControlByIdentifier = 0x2F,
        /// Starts, stops and asks routines.
        RoutineControl = 0x31,
        /// Prepares a download to the ECU.
        RequestDownload = 0x34,
        /// Prepares an upload from the ECU.
        RequestUpload = 0x35,
        /// Transfers a block.
        TransferData = 0x36,
        /// Ends a transfer.
        RequestTransferExit = 0x37,
        /// Transfers files.
        RequestFileTransfer = 0x38,
        /// Writes memory.
        WriteMemoryByAddress = 0x3D,
        /// Keeps the session alive.
        TesterPresent = 0x3E,
        /// Changes timing parameters.
        AccessTimingParameter = 0x83,
        /// Carries a message under a security sublayer.
        SecuredDataTransmission = 0x84,
        /// Switches trouble code updates on and off.
        ControlDtcSetting = 0x85,
        /// Asks for responses on events.
        ResponseOnEvent = 0x86,
        /// Changes the bit rate.
        LinkControl = 0x87,
    }
}

impl ServiceId {
    /// Returns whether the first byte behind the service is a sub-function.
    #[must_use]
    pub const fn has_sub_function(self) -> bool {
        matches!(
            self,
            Self::DiagnosticSessionControl
                | Self::EcuReset
                | Self::ReadDtcInformation
                | Self::SecurityAccess
                | Self::CommunicationControl
                | Self::Authentication
                | Self::DynamicallyDefineDataIdentifier
                | Self::RoutineControl
                | Self::TesterPresent
                | Self::AccessTimingParameter
                | Self::ControlDtcSetting
                | Self::ResponseOnEvent
                | Self::LinkControl
        )
    }

    /// Returns whether the service can change what the ECU does or holds, rather than only ask.
    #[must_use]
    pub const fn changes_ecu(self) -> bool {
        matches!(
            self,
            Self::DiagnosticSessionControl
                | Self::EcuReset
                | Self::ClearDiagnosticInformation
                | Self::CommunicationControl
                | Self::WriteDataByIdentifier
                | Self::InputOutputControlByIdentifier
                | Self::RoutineControl
                | Self::RequestDownload
                | Self::RequestUpload
                | Self::TransferData
                | Self::RequestTransferExit
                | Self::RequestFileTransfer
                | Self::WriteMemoryByAddress
                | Self::ControlDtcSetting
                | Self::LinkControl
        )
    }
}

code_enum! {
    /// Negative response code.
    Nrc: u8 {
        /// Refused for no stated reason.
        GeneralReject = 0x10,
        /// No such service.
        ServiceNotSupported = 0x11,
        /// No such sub-function.
        SubFunctionNotSupported = 0x12,
        /// Wrong length or format.
        IncorrectMessageLength = 0x13,
        /// The answer does not fit.
        ResponseTooLong = 0x14,
        /// Busy; ask again.
        BusyRepeatRequest = 0x21,
        /// Not under these conditions.
        ConditionsNotCorrect = 0x22,
        /// Not in this order.
        RequestSequenceError = 0x24,
        /// A gateway got no answer in time.
        NoResponseFromSubnet = 0x25,
        /// A failure prevents it.
        FailurePreventsExecution = 0x26,
        /// Identifier or parameter out of range.
        RequestOutOfRange = 0x31,
        /// The security level is locked.
        SecurityAccessDenied = 0x33,
        /// Authentication is needed.
        AuthenticationRequired = 0x34,
        /// The key was wrong.
        InvalidKey = 0x35,
        /// Too many wrong keys.
        ExceededNumberOfAttempts = 0x36,
        /// Locked for a while after wrong keys.
        RequiredTimeDelayNotExpired = 0x37,
        /// Secured transmission is needed.
        SecureDataTransmissionRequired = 0x38,
        /// Secured transmission is not allowed.
        SecureDataTransmissionNotAllowed = 0x39,
        /// The secured message did not verify.
        SecureDataVerificationFailed = 0x3A,
        /// Certificate outside its time.
        CertificateTimePeriodInvalid = 0x50,
        /// Certificate signature wrong.
        CertificateSignatureInvalid = 0x51,
        /// Certificate chain wrong.
        CertificateChainOfTrustInvalid = 0x52,
        /// Certificate of a wrong type.
        CertificateTypeInvalid = 0x53,
        /// Certificate format wrong.
        CertificateFormatInvalid = 0x54,
        /// Certificate content wrong.
        CertificateContentInvalid = 0x55,
        /// Certificate scope wrong.
        CertificateScopeInvalid = 0x56,
        /// Certificate revoked.
        CertificateRevoked = 0x57,
        /// The tester does not own the key.
        OwnershipVerificationFailed = 0x58,
        /// The challenge could not be computed.
        ChallengeCalculationFailed = 0x59,
        /// Access rights could not be set.
        SettingAccessRightsFailed = 0x5A,
        /// No session key.
        SessionKeyCreationFailed = 0x5B,
        /// Configuration data not usable.
        ConfigurationDataUsageFailed = 0x5C,
        /// De-authentication failed.
        DeAuthenticationFailed = 0x5D,
        /// Upload or download refused.
        UploadDownloadNotAccepted = 0x70,
        /// The transfer was halted.
        TransferDataSuspended = 0x71,
        /// Writing memory failed.
        GeneralProgrammingFailure = 0x72,
        /// Wrong block counter.
        WrongBlockSequenceCounter = 0x73,
        /// The answer will come later.
        ResponsePending = 0x78,
        /// Sub-function not in this session.
        SubFunctionNotSupportedInActiveSession = 0x7E,
        /// Service not in this session.
        ServiceNotSupportedInActiveSession = 0x7F,
        /// Engine speed too high.
        RpmTooHigh = 0x81,
        /// Engine speed too low.
        RpmTooLow = 0x82,
        /// Engine is running.
        EngineIsRunning = 0x83,
        /// Engine is not running.
        EngineIsNotRunning = 0x84,
        /// Engine has not run long enough.
        EngineRunTimeTooLow = 0x85,
        /// Temperature too high.
        TemperatureTooHigh = 0x86,
        /// Temperature too low.
        TemperatureTooLow = 0x87,
        /// Vehicle speed too high.
        VehicleSpeedTooHigh = 0x88,
        /// Vehicle speed too low.
        VehicleSpeedTooLow = 0x89,
        /// Throttle or pedal too high.
        ThrottleTooHigh = 0x8A,
        /// Throttle or pedal too low.
        ThrottleTooLow = 0x8B,
        /// Transmission is not in neutral.
        TransmissionRangeNotInNeutral = 0x8C,
        /// Transmission is not in gear.
        TransmissionRangeNotInGear = 0x8D,
        /// Brake is not pressed.
        BrakeSwitchNotClosed = 0x8F,
        /// Shifter is not in park.
        ShifterLeverNotInPark = 0x90,
        /// Torque converter is locked.
        TorqueConverterClutchLocked = 0x91,
        /// Voltage too high.
        VoltageTooHigh = 0x92,
        /// Voltage too low.
        VoltageTooLow = 0x93,
        /// A resource is unavailable for the moment.
        ResourceTemporarilyNotAvailable = 0x94,
    }
}

impl Nrc {
    /// Returns whether the code says that a lock held: access denied, wrong key, too many tries or a delay.
    #[must_use]
    pub const fn is_security(self) -> bool {
        matches!(
            self,
            Self::SecurityAccessDenied
                | Self::AuthenticationRequired
                | Self::InvalidKey
                | Self::ExceededNumberOfAttempts
                | Self::RequiredTimeDelayNotExpired
                | Self::OwnershipVerificationFailed
        )
    }

    /// Returns whether the code is what a scan for services or sub-functions collects.
    #[must_use]
    pub const fn is_unsupported(self) -> bool {
        matches!(
            self,
            Self::ServiceNotSupported
                | Self::SubFunctionNotSupported
                | Self::RequestOutOfRange
                | Self::SubFunctionNotSupportedInActiveSession
                | Self::ServiceNotSupportedInActiveSession
        )
    }
}

code_enum! {
    /// Diagnostic session.
    Session: u8 {
        /// What an ECU starts in.
        Default = 0x01,
        /// For flashing.
        Programming = 0x02,
        /// For the workshop.
        Extended = 0x03,
        /// For safety systems.
        SafetySystem = 0x04,
    }
}

/// Who gives a session or a security level its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The standard, or it reserves the number.
    Standard,
    /// The car maker.
    VehicleMaker,
    /// The maker of the ECU.
    Supplier,
}

impl Session {
    /// Returns who gives the session its meaning (ISO 14229-1:2020, table 25).
    #[must_use]
    pub const fn owner(self) -> Owner {
        match self.code() {
            0x40..=0x5F => Owner::VehicleMaker,
            0x60..=0x7E => Owner::Supplier,
            _ => Owner::Standard,
        }
    }
}
