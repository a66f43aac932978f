//! What must hold for any bytes, for the corpus tests and the fuzz targets alike. Each returns whether the bytes were
//! something, so that a corpus can say what it expects.

use outrider_bus::can::{ByteOrder, XlFrame};
use outrider_bus::e2e::{Profile1, Profile2, Profile4, Profile5, Protection};
use outrider_bus::someip::{self, sd::SdView, tp};
use outrider_bus::{doip, flexray, kwp, lin, obd, secoc, v2g};
use outrider_types::VehicleMicros;

/// Frames of buses; the first byte picks the protocol.
#[must_use]
pub(crate) fn bus_frame(bytes: &[u8]) -> bool {
    let Some((&kind, bytes)) = bytes.split_first() else { return false };
    let mut out = [0; 4096];
    match kind % 8 {
        0 => {
            let Ok(frame) = XlFrame::parse(bytes, ByteOrder::Big) else { return false };
            let length = frame.emit(ByteOrder::Big, &mut out).expect("the largest frame fits");
            assert_eq!(XlFrame::parse(&out[..length], ByteOrder::Big), Ok(frame));
            true
        }
        1 => match lin::LinView::new(bytes).map(|view| view.record()) {
            Some(lin::LinRecord::Frame(frame)) => {
                let length = frame.emit(&mut out).expect("the longest frame fits");
                assert_eq!(lin::Frame::parse(&out[..length]).map(|back| back.pid()), Ok(frame.pid()));
                true
            }
            _ => false,
        },
        2 => {
            let Some(view) = flexray::FlexRayView::new(bytes) else { return false };
            let Ok(header) = view.header() else { return false };
            assert_eq!(header.emit().map(|bytes| flexray::Header::parse(&bytes)), Ok(Ok(header)));
            view.is_whole(&header) == Some(true)
        }
        3 => {
            let Ok((frame, length)) = kwp::Frame::parse(bytes) else { return false };
            assert!(length <= bytes.len());
            let again = frame.emit(&mut out).expect("the longest frame fits");
            assert_eq!(kwp::Frame::parse(&out[..again]), Ok((frame, again)));
            true
        }
        4 => obd::Message::parse(bytes).is_some_and(|message| message.reading().is_some()),
        5 => secoc::Layout::PROFILE_3.view(bytes).is_some(),
        6 => lin::Frame::parse(bytes).is_ok(),
        _ => {
            let all = [
                Protection::P01(Profile1 { data_id: 0x123, ..Profile1::default() }),
                Protection::P02(Profile2::default()),
                Protection::P04(Profile4 { data_id: 0x0A0B_0C0D, offset: 0 }),
                Protection::P05(Profile5 { data_id: 0x1234, offset: 0 }),
            ];
            all.iter().any(|protection| protection.check(bytes).is_ok())
        }
    }
}

/// Messages of diagnosis over IP.
#[must_use]
pub(crate) fn doip_messages(bytes: &[u8]) -> bool {
    let mut walk = doip::Messages::new(bytes);
    let (mut taken, mut whole) = (0, 0);
    for view in walk.by_ref() {
        taken += doip::HEADER_BYTES + view.payload().len();
        let Ok(message) = view.message() else { continue };
        whole += 1;
        let mut out = vec![0; doip::HEADER_BYTES + view.payload().len()];
        let length = message.emit(view.version(), &mut out).expect("as long as it was");
        let again = doip::HeaderView::new(&out[..length]).expect("just written");
        assert_eq!(again.message(), Ok(message));
    }
    assert_eq!(taken + walk.rest().len(), bytes.len());
    whole > 0
}

/// Messages of services, their segments and discovery.
#[must_use]
pub(crate) fn someip_messages(bytes: &[u8]) -> bool {
    let mut segments = Box::new(tp::Reassembler::<4, 256>::new());
    let mut good = false;
    for message in someip::Messages::new(bytes).flatten() {
        good = true;
        let mut out = vec![0; message.bytes()];
        message.emit(&mut out).expect("as long as it was");
        assert_eq!(someip::Message::parse(&out), Ok(message));
        if message.header.is_segment {
            let key = tp::TpKey::new(1, &message);
            if let tp::TpEvent::Whole(payload) = segments.receive(VehicleMicros(0), key, message.payload) {
                assert!(!payload.is_empty() && payload.len() <= 256);
            }
        }
        if let Ok(view) = SdView::new(message.payload) {
            assert!(view.options().count() * 3 <= message.payload.len());
            view.entries().for_each(|entry| assert!(view.options_of(&entry).count() <= 30));
        }
    }
    good
}

/// Messages of charging.
#[must_use]
pub(crate) fn v2g_messages(bytes: &[u8]) -> bool {
    let mut walk = v2g::Messages::new(bytes);
    let (mut taken, mut good) = (0, false);
    for view in walk.by_ref() {
        taken += v2g::HEADER_BYTES + view.payload().len();
        let facts = v2g::Facts::parse(view.payload());
        good |= facts.is_some() || v2g::sdp::Response::parse(view.payload()).is_some();
        assert!(facts.is_none_or(|facts| facts.session.bytes().len() <= 8));
        assert!(facts.is_none_or(|facts| facts.values.charge_percent.is_none_or(|percent| percent <= 100)));
    }
    assert_eq!(taken + walk.rest().len(), bytes.len());
    good
}
