//! From a captured packet to a frame, by link type.

use outrider_bus::can::{ByteOrder, Frame, SocketCanError, SocketCanView, XlError, XlFrame, XlHeader};
use outrider_bus::flexray::{self, FlexRayView};
use outrider_bus::lin::{self, LinView};
use outrider_bus::linux_sll::{SllPayload, SllView};

use super::ProblemReason;

/// Link types that are read (`pcap-linktype(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkType {
    /// 1.
    Ethernet,
    /// 113.
    LinuxSll,
    /// 227.
    SocketCan,
    /// 210.
    FlexRay,
    /// 212.
    Lin,
    /// Any other.
    Unsupported,
}

impl LinkType {
    pub(super) const fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Ethernet,
            113 => Self::LinuxSll,
            210 => Self::FlexRay,
            212 => Self::Lin,
            227 => Self::SocketCan,
            _ => Self::Unsupported,
        }
    }
}

/// What a packet is.
pub(super) enum Decoded {
    /// A CAN frame.
    Can(Frame),
    /// A CAN XL frame.
    CanXl(XlHeader, Vec<u8>),
    /// An Ethernet frame.
    Ethernet(Vec<u8>),
    /// What was heard on LIN.
    Lin(lin::Heard),
    /// What was heard on FlexRay.
    FlexRay(Box<flexray::Heard>),
}

/// Decodes one packet.
pub(super) fn decode(link: LinkType, bytes: &[u8], order: ByteOrder) -> Result<Decoded, ProblemReason> {
    match link {
        LinkType::Ethernet => Ok(Decoded::Ethernet(bytes.to_vec())),
        LinkType::SocketCan => socketcan(bytes, order),
        LinkType::LinuxSll => {
            let view = SllView::new(bytes).ok_or(ProblemReason::Frame)?;
            match view.protocol() {
                SllPayload::Can | SllPayload::CanFd => socketcan(view.payload(), order),
                SllPayload::CanXl => canxl(view.payload(), order),
                SllPayload::EtherType(kind) => {
                    let mut frame = vec![0u8; 6];
                    frame.extend_from_slice(bytes.get(6..12).unwrap_or(&[0; 6]));
                    frame.extend_from_slice(&kind.to_be_bytes());
                    frame.extend_from_slice(view.payload());
                    Ok(Decoded::Ethernet(frame))
                }
            }
        }
        LinkType::FlexRay => {
            let heard = FlexRayView::hear(bytes).ok_or(ProblemReason::Frame)?;
            Ok(Decoded::FlexRay(Box::new(heard)))
        }
        LinkType::Lin => {
            let view = LinView::new(bytes).ok_or(ProblemReason::Frame)?;
            view.heard().map(Decoded::Lin).ok_or(ProblemReason::Frame)
        }
        LinkType::Unsupported => Err(ProblemReason::LinkType),
    }
}

fn canxl(bytes: &[u8], order: ByteOrder) -> Result<Decoded, ProblemReason> {
    let frame = XlFrame::parse(bytes, order).map_err(|error| match error {
        XlError::Truncated { .. } => ProblemReason::DataMissing,
        XlError::Length { .. } => ProblemReason::Length,
        XlError::Priority { .. } => ProblemReason::Identifier,
        XlError::NotXl => ProblemReason::Frame,
    })?;
    Ok(Decoded::CanXl(*frame.header(), frame.payload().to_vec()))
}

fn socketcan(bytes: &[u8], order: ByteOrder) -> Result<Decoded, ProblemReason> {
    let frame = SocketCanView::new(bytes, order).and_then(|view| view.frame());
    frame.map(Decoded::Can).or_else(|error| match error {
        SocketCanError::Truncated { .. } => Err(ProblemReason::DataMissing),
        SocketCanError::Length(_) => Err(ProblemReason::Length),
        SocketCanError::Id { .. } => Err(ProblemReason::Identifier),
        SocketCanError::CanXl => canxl(bytes, order),
    })
}

/// Returns how much sense a packet makes in each order (big, little); nothing for one without CAN.
///
/// An identifier that fits its kind is worth two, one that also is a plain data frame's three: a standard
/// identifier in the wrong order nearly always has stray bits, and often those of a remote frame.
pub(super) fn sense(link: LinkType, bytes: &[u8]) -> Option<(u32, u32)> {
    let can = match link {
        LinkType::SocketCan => bytes,
        LinkType::LinuxSll => {
            let view = SllView::new(bytes)?;
            match view.protocol() {
                SllPayload::Can | SllPayload::CanFd => view.payload(),
                SllPayload::CanXl | SllPayload::EtherType(_) => return None,
            }
        }
        LinkType::Ethernet | LinkType::FlexRay | LinkType::Lin | LinkType::Unsupported => return None,
    };
    let is_xl = can.get(4).is_some_and(|flags| flags & 0x80 != 0);
    let score = |order| {
        if is_xl {
            return if XlFrame::parse(can, order).is_ok() { 3 } else { 0 };
        }
        let Ok(view) = SocketCanView::new(can, order) else { return 0 };
        if !view.is_id_plausible() {
            return 0;
        }
        if view.id_word() & 0x6000_0000 == 0 { 3 } else { 2 }
    };
    Some((score(ByteOrder::Big), score(ByteOrder::Little)))
}
