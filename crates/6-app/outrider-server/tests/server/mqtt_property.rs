//! What holds for an MQTT session whatever its client sends; used by ordinary tests and by the fuzz target.

use std::time::Duration;

use outrider_server::vehicle::Refusal;
use outrider_server::vehicle::mqtt::{
    Close, Fault, Gate, Head, PACKET_BYTES_MAX, Session, SessionLimits, Step,
};
use outrider_types::VehicleId;

const LIMITS: SessionLimits = SessionLimits { patience: Duration::from_secs(10) };

/// Packets and successful acknowledgements among bytes for the client.
fn packets(mut bytes: &[u8]) -> (usize, usize) {
    let (mut packets, mut acknowledged) = (0, 0);
    while !bytes.is_empty() {
        let head = Head::parse(bytes).expect("a head of ours").expect("whole");
        assert!(head.packet_bytes() <= bytes.len(), "a packet of ours is whole");
        let body = &bytes[head.head_bytes..head.packet_bytes()];
        packets += 1;
        acknowledged += usize::from(head.first == 0x40 && body.len() == 2);
        bytes = &bytes[head.packet_bytes()..];
    }
    (packets, acknowledged)
}

fn refusal(frame: &[u8]) -> Refusal {
    let status = [400, 403, 413, 429, 503][frame.len() % 5];
    Refusal { status, code: "some.code", message: "wide \u{1f698} text, \0 and more".to_owned() }
}

/// The first byte says how the gate stands and whether frames are taken; the rest is what the client sends.
pub(crate) fn mqtt_session(input: &[u8]) {
    let Some((&options, mut stream)) = input.split_first() else { return };
    let gate = || match options & 7 {
        0 => Gate::NotAuthorized,
        1 => Gate::Full(30),
        2 => Gate::Stopping,
        _ => Gate::Open,
    };
    let mut now = Duration::from_secs(100);
    let mut session = Session::new(VehicleId([0xab; 16]), LIMITS, now);
    let mut is_closed = false;
    while !is_closed {
        let deadline = session.deadline();
        assert!(deadline > now, "there is always time left, and always an end");
        assert!(deadline <= now + Duration::from_secs(1800), "no session is silent for ever");
        let (step, used) = match Head::parse(stream) {
            Err(fault) => (session.fail(fault), 0),
            Ok(Some(head)) if head.packet_bytes() <= stream.len() => {
                assert!(head.packet_bytes() <= PACKET_BYTES_MAX + 5);
                let body = &stream[head.head_bytes..head.packet_bytes()];
                (session.receive(head, body, now, gate), head.packet_bytes())
            }
            Ok(_) => break,
        };
        stream = &stream[used..];
        is_closed = apply(&mut session, step, options);
        now += Duration::from_millis(10);
    }
    if is_closed {
        assert_eq!(session.fail(Fault::Malformed).send, Vec::<u8>::new(), "nothing is said after the end");
        assert!(!session.is_open() && !session.is_subscribed());
        return;
    }
    // What is half there has an end, too.
    session.waits_for_rest(now);
    assert!(session.deadline() <= now + LIMITS.patience);
    let step = session.tick(session.deadline());
    packets(&step.send);
    assert!(matches!(step.close, Some(Close::Slow(_))), "{step:?}");
}

/// Does what the session wants, as the connection does; returns whether that ended it.
fn apply(session: &mut Session, mut step: Step, options: u8) -> bool {
    loop {
        let (_, acknowledged) = packets(&step.send);
        if step.close.is_some() {
            assert!(step.take.is_none() && !session.is_open());
            return true;
        }
        let Some(take) = step.take else { return false };
        assert!(session.is_open() && acknowledged == 0, "no acknowledgement before the frame is taken");
        let is_taken = options & 8 == 0;
        let reply = vec![0x5a; usize::from(options >> 4)];
        let result = if is_taken { Ok(reply) } else { Err(refusal(&take.frame)) };
        step = session.taken(take.id, result);
        let (_, acknowledged) = packets(&step.send);
        assert_eq!(
            acknowledged,
            usize::from(is_taken && take.id.is_some()),
            "one acknowledgement a kept frame"
        );
    }
}
