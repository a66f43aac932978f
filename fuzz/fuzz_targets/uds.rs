//! Any bytes are a diagnostic message or an error, and every accessor can be asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_bus::uds::Message;

fuzz_target!(|bytes: &[u8]| {
    match Message::parse(bytes) {
        Ok(Message::Request(request)) => {
            assert!(request.data_identifiers().count() <= bytes.len() / 2);
            let _ = (request.session(), request.security_access(), request.routine(), request.reset());
        }
        Ok(Message::Positive(response)) => {
            let _ = (response.session(), response.unlocked_level());
        }
        Ok(Message::Negative { service, nrc }) => assert_eq!(bytes, [0x7F, service.code(), nrc.code()]),
        Err(_) => {}
    }
});
