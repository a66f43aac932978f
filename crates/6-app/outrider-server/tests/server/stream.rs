//! The live stream and its resumption.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Running, running};

/// Opens a stream and reads until a text has come.
async fn read_until(running: &Running, header: &str, wanted: &str) -> String {
    let mut stream = TcpStream::connect(running.server.api_addr).await.expect("the server listens");
    let cookie = &running.admin.cookie;
    let request =
        format!("GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server takes it");
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let read = async {
        while !text.contains(wanted) {
            let length = stream.read(&mut buffer).await.expect("the stream stays open");
            assert!(length > 0, "the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .unwrap_or_else(|_| panic!("no {wanted:?} came"));
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_resumes_where_it_left_off_or_is_told_to_start_anew() {
    let running = running().await;
    let hub = running.server.app().hub.clone();
    let before = hub.latest();
    hub.publish("alert", &"first");
    hub.publish("alert", &"second");
    let text = read_until(&running, &format!("Last-Event-ID: {}\r\n", before + 1), "second").await;
    assert!(!text.contains("first"), "{text}");
    assert!(text.contains(&format!("id: {}", before + 2)) && text.contains("event: alert"), "{text}");
    assert!(text.to_lowercase().contains("content-type: text/event-stream"), "{text}");
    let anew = read_until(&running, "Last-Event-ID: 5\r\n", "event: reset").await;
    assert!(!anew.contains("second"), "{anew}");
    running.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_reaches_an_open_stream() {
    let running = running().await;
    let vehicle = running.vehicle(3).await;
    let frame = vehicle.batch(1..=1);
    let (text, answer) = tokio::join!(read_until(&running, "", "event: alert"), async {
        // The stream greets once it is open; what is published before that is not lost either, by its id.
        tokio::time::sleep(Duration::from_millis(200)).await;
        running.uplink(&vehicle, &frame).await
    });
    assert_eq!(answer.status, 200);
    assert!(text.contains("Security access denied"), "{text}");
    running.server.shutdown().await;
}
