use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// An anchor that answers when the test lets it.
struct Slow {
    counter: u64,
    go: Mutex<Receiver<bool>>,
    began: Sender<()>,
}

fn away() -> AnchorError {
    AnchorError { reason: "away", detail: String::new() }
}

impl Anchor for Slow {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Tpm2
    }

    fn read(&self) -> Result<u64, AnchorError> {
        Ok(self.counter)
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        self.began.send(()).expect("the test waits");
        if !self.go.lock().expect("one thread").recv().expect("the test lives") {
            return Err(away());
        }
        self.counter += 1;
        Ok(self.counter)
    }

    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError> {
        Ok(Attestation { kind: AnchorKind::Tpm2, counter: self.counter, head: *head, proof: vec![1] })
    }
}

/// Waits until the thread has answered.
fn answer(anchor: &mut Background) -> Result<Attestation, AnchorError> {
    loop {
        if let Some(answer) = anchor.poll() {
            return answer;
        }
        std::thread::yield_now();
    }
}

fn known(anchor: &Background) -> u64 {
    loop {
        if let Ok(counter) = anchor.read() {
            return counter;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_raising_is_begun_and_told_later_and_there_is_one_at_a_time() {
    let ((go, gate), (began, begins)) = (channel(), channel());
    let (mut anchor, thread) = Background::new(Box::new(Slow { counter: 5, go: Mutex::new(gate), began }));
    go.send(true).expect("it lives");
    let Ok(Raise::Done(first)) = anchor.raise(&[1; 32]) else { panic!("without a thread it is waited for") };
    begins.recv().expect("it began");
    assert_eq!((first.counter, anchor.read()), (6, Ok(6)));
    thread.start();
    assert_eq!(anchor.read(), Ok(6));
    assert_eq!(anchor.raise(&[2; 32]), Ok(Raise::Begun));
    begins.recv().expect("the thread works");
    assert_eq!(anchor.poll(), None);
    assert_eq!(anchor.raise(&[3; 32]).map_err(|error| error.reason), Err("away"));
    assert!(anchor.read().is_err(), "nobody knows yet");
    go.send(true).expect("it lives");
    let second = answer(&mut anchor).expect("it went well");
    assert_eq!((second.counter, second.head), (7, [2; 32]));
    assert_eq!((known(&anchor), anchor.poll()), (7, None));
    assert_eq!(anchor.raise(&[4; 32]), Ok(Raise::Begun));
    go.send(false).expect("it lives");
    assert_eq!(answer(&mut anchor), Err(away()));
    assert_eq!(known(&anchor), 7);
}
