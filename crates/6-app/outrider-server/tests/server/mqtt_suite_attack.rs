//! The packets of the public suite with bytes flipped, against the listener: no panic, no connection that does not end, no
//! answer that grows, and the next vehicle is served.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use outrider_types::Seed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::mqtt::publish;
use crate::mqtt_suite::{Tester, folder, server};
use crate::mqtt_suite_cases::{SuiteCase, SuiteStep, read};

const VEHICLES: u8 = 8;
/// Longer than any connection lasts after its client has left.
const HANG: Duration = Duration::from_secs(20);
/// More than a session of a handful of packets is ever told.
const ANSWER_BYTES_MAX: usize = 4096;

/// Bytes of a case that may be changed: behind them is only the payload of a PUBLISH, which has fuzz targets of its own.
const HEAD_BYTES: usize = 64;

/// Everything that a case sends, with one to three bytes changed. The CONNECT before it stays whole, so that what comes
/// after it is read.
fn damaged(tester: &Tester, case: &SuiteCase, seed: &mut Seed) -> Vec<u8> {
    let mut bytes = if case.connects { tester.connect(case.level) } else { Vec::new() };
    let begin = bytes.len();
    for step in &case.steps {
        if let SuiteStep::Send(packet) = step {
            bytes.extend(tester.contract.adapt(case.level, packet));
        }
    }
    let mut below = |end: usize| usize::try_from(seed.next_u64() % end as u64).expect("small");
    for _ in 0..=below(3) {
        let (at, flip) = (begin + below((bytes.len() - begin).clamp(1, HEAD_BYTES)), below(255) + 1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= u8::try_from(flip).expect("a byte");
        }
    }
    bytes
}

/// Sends everything and leaves; returns the bytes that came back.
async fn throw(tester: &Tester, bytes: &[u8]) -> usize {
    let mut client = tester.open().await;
    // The server may have ended the connection before it has read everything.
    let _ = client.stream.write_all(bytes).await;
    let _ = client.stream.shutdown().await;
    let mut answer = Vec::new();
    let mut reader = (&mut client.stream).take(ANSWER_BYTES_MAX as u64 + 1);
    let _ = timeout(HANG, reader.read_to_end(&mut answer)).await.expect("the connection ends");
    answer.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_packets_of_the_public_suite_harm_nobody() {
    let Some(folder) = folder() else { return };
    let cases = read(&folder);
    // A task that panics takes only its connection with it, so the hook has to see it.
    let panics = Arc::new(Mutex::new(Vec::new()));
    let (seen, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if place.contains("outrider-server/src") || place.contains("mqtt-protocol-core") {
            seen.lock().expect("nobody panics here").push(place);
        }
        before(info);
    }));
    let running = server().await;
    let testers = join_all((1..=VEHICLES).map(|number| Tester::new(&running, number))).await;
    let work = testers.iter().enumerate().map(|(first, tester)| {
        let mine = cases.iter().skip(first).step_by(usize::from(VEHICLES));
        let mut seed = Seed::new(0x6d71_7474 + first as u64);
        async move {
            let mut longest = 0;
            for case in mine {
                longest = longest.max(throw(tester, &damaged(tester, case, &mut seed)).await);
            }
            longest
        }
    });
    let longest = join_all(work).await.into_iter().max().unwrap_or(0);
    assert!((5..=ANSWER_BYTES_MAX).contains(&longest), "{longest} bytes came back at most");
    assert_eq!(*panics.lock().expect("nobody panics here"), Vec::<String>::new());
    // Who behaves is served, and nobody else is left.
    let mut client = testers[0].open().await;
    client.send(&testers[0].connect(5)).await;
    assert_eq!(client.packet().await.expect("CONNACK").0, 0x20);
    client.send(&publish(5, "v1/up", 9, &testers[0].contract.frame)).await;
    assert_eq!(client.packet().await, Some((0x40, vec![0, 9])));
    let links = running.server.app().exchange.links();
    for _ in 0..500 {
        if links.status().sessions == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(links.status().sessions, 1);
    running.server.shutdown().await;
}
