//! Kinds of messages and how the two standards number them.

use super::exi::Schema;
use crate::codes::code_enum;

code_enum! {
    /// Kind of a message; a request is even, its response the next number. The numbers are this crate's own, because
    /// the two standards count differently.
    Kind: u8 {
        /// The car opens a session.
        SessionSetupReq = 0,
        /// The station numbers it.
        SessionSetupRes = 1,
        /// Which services are there?
        ServiceDiscoveryReq = 2,
        /// These.
        ServiceDiscoveryRes = 3,
        /// What is this service?
        ServiceDetailReq = 4,
        /// This.
        ServiceDetailRes = 5,
        /// These services and this way to pay.
        PaymentSelectionReq = 6,
        /// Taken.
        PaymentSelectionRes = 7,
        /// Contract's certificate.
        PaymentDetailsReq = 8,
        /// Challenge.
        PaymentDetailsRes = 9,
        /// May the car charge?
        AuthorizationReq = 10,
        /// It may, or must wait.
        AuthorizationRes = 11,
        /// What the car can and wants.
        ChargeParameterReq = 12,
        /// What the station can.
        ChargeParameterRes = 13,
        /// Check of the cable's insulation.
        CableCheckReq = 14,
        /// Its state.
        CableCheckRes = 15,
        /// The station brings its voltage to the battery's.
        PreChargeReq = 16,
        /// Its voltage.
        PreChargeRes = 17,
        /// Begin or end of power.
        PowerDeliveryReq = 18,
        /// Taken.
        PowerDeliveryRes = 19,
        /// What the car wants now (direct current).
        CurrentDemandReq = 20,
        /// What the station gives.
        CurrentDemandRes = 21,
        /// State of charging (alternating current).
        ChargingStatusReq = 22,
        /// Its answer.
        ChargingStatusRes = 23,
        /// Receipt of the meter.
        MeteringReceiptReq = 24,
        /// Taken.
        MeteringReceiptRes = 25,
        /// Check for welded contacts.
        WeldingDetectionReq = 26,
        /// Voltage.
        WeldingDetectionRes = 27,
        /// End of the session.
        SessionStopReq = 28,
        /// Taken.
        SessionStopRes = 29,
        /// A contract certificate is wanted.
        CertificateInstallationReq = 30,
        /// Here it is.
        CertificateInstallationRes = 31,
        /// A newer contract certificate is wanted.
        CertificateUpdateReq = 32,
        /// Here it is.
        CertificateUpdateRes = 33,
    }
}

/// The request of each pair with its number in DIN 70121 and in ISO 15118-2, by the order of the schemas' elements;
/// the response has the next one. Each standard has an abstract element between, which no message is.
const NUMBERS: &[(Kind, u32, u32)] = &[
    (Kind::CableCheckReq, 1, 3),
    (Kind::CertificateInstallationReq, 3, 5),
    (Kind::CertificateUpdateReq, 5, 7),
    (Kind::ChargeParameterReq, 7, 9),
    (Kind::ChargingStatusReq, 9, 11),
    (Kind::AuthorizationReq, 11, 0),
    (Kind::CurrentDemandReq, 13, 13),
    (Kind::MeteringReceiptReq, 15, 15),
    (Kind::PaymentDetailsReq, 17, 17),
    (Kind::PowerDeliveryReq, 19, 21),
    (Kind::PreChargeReq, 21, 23),
    (Kind::ServiceDetailReq, 23, 25),
    (Kind::ServiceDiscoveryReq, 25, 27),
    (Kind::PaymentSelectionReq, 27, 19),
    (Kind::SessionSetupReq, 29, 29),
    (Kind::SessionStopReq, 31, 31),
    (Kind::WeldingDetectionReq, 33, 33),
];

impl Kind {
    /// Returns whether the car sends it.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.code() & 1 == 0
    }

    /// Returns the kind that a standard has under a number.
    pub(super) fn of(schema: Schema, number: u32) -> Option<Self> {
        let (request, is_response) = NUMBERS.iter().find_map(|&(kind, din, iso2)| {
            let first = match schema {
                Schema::Din => din,
                Schema::Iso2 => iso2,
            };
            let step = number.checked_sub(first).filter(|&step| step <= 1)?;
            Some((kind, step == 1))
        })?;
        Some(Self::from_code(request.code() | u8::from(is_response)))
    }
}
