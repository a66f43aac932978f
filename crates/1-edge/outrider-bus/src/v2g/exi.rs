//! The first bits of an EXI message.
//!
//! A message of DIN 70121 or ISO 15118-2 begins with the same few productions whatever follows: EXI header, root
//! element, header with the session's number, an optional notification, and the kind of the body. They are read bit by
//! bit; what follows is not.

use crate::codes::code_enum;

/// Longest session number: eight bytes.
const SESSION_BYTES_MAX: usize = 8;
/// EXI header without options, version 1.
const EXI_HEADER: u32 = 0x80;

/// Which standard a message follows, by its root element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// DIN 70121.
    Din,
    /// ISO 15118-2.
    Iso2,
}

/// Session number: 0 to 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId {
    bytes: [u8; SESSION_BYTES_MAX],
    len: u8,
}

impl SessionId {
    /// Takes up to eight bytes, or returns `None` for more.
    #[must_use]
    pub fn new(number: &[u8]) -> Option<Self> {
        let mut bytes = [0; SESSION_BYTES_MAX];
        bytes.get_mut(..number.len())?.copy_from_slice(number);
        Some(Self { bytes, len: u8::try_from(number.len()).ok()? })
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns whether the number is empty or zero, as in the request that asks for one.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.bytes == [0; SESSION_BYTES_MAX]
    }
}

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

impl Kind {
    /// Returns whether the car sends it.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.code() & 1 == 0
    }

    /// Numbers of the body's elements in the order of the schemas.
    const fn of(schema: Schema, number: u32) -> Option<Self> {
        // DIN has the abstract element first; ISO has two for authorization, then the abstract one.
        let (table, index) = match (schema, number) {
            (Schema::Din, 1..) => (&DIN, number.saturating_sub(1)),
            (Schema::Iso2, 3..) => (&ISO2, number.saturating_sub(3)),
            (Schema::Iso2, 0 | 1) => (&ISO2, number.saturating_add(32)),
            (Schema::Din, 0) | (Schema::Iso2, 2) => return None,
        };
        // `get` is not const: walk.
        let mut rest: &[Kind] = table;
        let mut left = index;
        while let [first, behind @ ..] = rest {
            if left == 0 {
                return Some(*first);
            }
            left = left.saturating_sub(1);
            rest = behind;
        }
        None
    }
}

/// Kinds in the order of DIN 70121's schema, behind the abstract element.
const DIN: [Kind; 34] = [
    Kind::CableCheckReq,
    Kind::CableCheckRes,
    Kind::CertificateInstallationReq,
    Kind::CertificateInstallationRes,
    Kind::CertificateUpdateReq,
    Kind::CertificateUpdateRes,
    Kind::ChargeParameterReq,
    Kind::ChargeParameterRes,
    Kind::ChargingStatusReq,
    Kind::ChargingStatusRes,
    Kind::AuthorizationReq,
    Kind::AuthorizationRes,
    Kind::CurrentDemandReq,
    Kind::CurrentDemandRes,
    Kind::MeteringReceiptReq,
    Kind::MeteringReceiptRes,
    Kind::PaymentDetailsReq,
    Kind::PaymentDetailsRes,
    Kind::PowerDeliveryReq,
    Kind::PowerDeliveryRes,
    Kind::PreChargeReq,
    Kind::PreChargeRes,
    Kind::ServiceDetailReq,
    Kind::ServiceDetailRes,
    Kind::ServiceDiscoveryReq,
    Kind::ServiceDiscoveryRes,
    Kind::PaymentSelectionReq,
    Kind::PaymentSelectionRes,
    Kind::SessionSetupReq,
    Kind::SessionSetupRes,
    Kind::SessionStopReq,
    Kind::SessionStopRes,
    Kind::WeldingDetectionReq,
    Kind::WeldingDetectionRes,
];

/// Kinds in the order of ISO 15118-2's schema, behind the abstract element; the two before it are at the end.
const ISO2: [Kind; 34] = [
    Kind::CableCheckReq,
    Kind::CableCheckRes,
    Kind::CertificateInstallationReq,
    Kind::CertificateInstallationRes,
    Kind::CertificateUpdateReq,
    Kind::CertificateUpdateRes,
    Kind::ChargeParameterReq,
    Kind::ChargeParameterRes,
    Kind::ChargingStatusReq,
    Kind::ChargingStatusRes,
    Kind::CurrentDemandReq,
    Kind::CurrentDemandRes,
    Kind::MeteringReceiptReq,
    Kind::MeteringReceiptRes,
    Kind::PaymentDetailsReq,
    Kind::PaymentDetailsRes,
    Kind::PaymentSelectionReq,
    Kind::PaymentSelectionRes,
    Kind::PowerDeliveryReq,
    Kind::PowerDeliveryRes,
    Kind::PreChargeReq,
    Kind::PreChargeRes,
    Kind::ServiceDetailReq,
    Kind::ServiceDetailRes,
    Kind::ServiceDiscoveryReq,
    Kind::ServiceDiscoveryRes,
    Kind::SessionSetupReq,
    Kind::SessionSetupRes,
    Kind::SessionStopReq,
    Kind::SessionStopRes,
    Kind::WeldingDetectionReq,
    Kind::WeldingDetectionRes,
    Kind::AuthorizationReq,
    Kind::AuthorizationRes,
];

/// What the beginning of a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Facts {
    /// Which standard it follows.
    pub schema: Schema,
    /// The session's number.
    pub session: SessionId,
    /// Whether the header carries a notification, with which a side says that it could not work.
    pub has_notification: bool,
    /// Kind, where no notification or signature stands before it.
    pub kind: Option<Kind>,
    /// The car's identifier in a session setup: its Ethernet address, six bytes as a rule.
    pub evcc_id: Option<SessionId>,
    /// The response code of a response, by its number in the standard; 0 is OK in both.
    pub response_code: Option<u8>,
}

impl Facts {
    /// Reads the beginning of an EXI payload, or returns `None` if it is no message of either standard or is cut in
    /// front of its session number.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: payload, at: 0 };
        if bits.take(8)? != EXI_HEADER {
            return None;
        }
        let schema = match bits.take(7)? {
            77 => Schema::Din,
            76 => Schema::Iso2,
            _ => return None,
        };
        // Start of header, start of session number, characters.
        if bits.take(3)? != 0 {
            return None;
        }
        let session = bits.number()?;
        let mut facts =
            Self { schema, session, has_notification: false, kind: None, evcc_id: None, response_code: None };
        // End of session number, then: notification, signature, or end of header.
        match (bits.take(1), bits.take(2)) {
            (Some(0), Some(0)) => facts.has_notification = true,
            (Some(0), Some(2)) => facts.body(&mut bits),
            _ => {}
        }
        Some(facts)
    }

    fn body(&mut self, bits: &mut Bits<'_>) {
        if bits.take(1) != Some(0) {
            return;
        }
        self.kind = bits.take(6).and_then(|number| Kind::of(self.schema, number));
        let Some(kind) = self.kind else { return };
        if kind == Kind::SessionSetupReq {
            self.evcc_id = bits.take(2).filter(|&events| events == 0).and_then(|_| bits.number());
        } else if !kind.is_request() {
            let code = bits.take(2).filter(|&events| events == 0).and_then(|_| bits.take(5));
            self.response_code = code.and_then(|code| u8::try_from(code).ok());
        }
    }
}

/// Bits, most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Takes up to 32 bits.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = self.bytes.get(self.at >> 3)?;
            let bit = byte >> (7 ^ (self.at & 7)) & 1;
            value = value << 1 | u32::from(bit);
            self.at = self.at.checked_add(1)?;
        }
        Some(value)
    }

    /// Takes a length of one byte and as many bytes, at most eight.
    fn number(&mut self) -> Option<SessionId> {
        let len = self.take(8)?;
        let mut number = SessionId { bytes: [0; SESSION_BYTES_MAX], len: u8::try_from(len).ok()? };
        let slots = number.bytes.get_mut(..usize::try_from(len).ok()?)?;
        for slot in slots {
            *slot = u8::try_from(self.take(8)?).ok()?;
        }
        Some(number)
    }
}
