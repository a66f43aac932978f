//! One connection: the session's steps carried out on a TLS stream.
//!
//! A silent connection holds no read buffer: it waits until the socket is readable, borrows a buffer, uses what came,
//! and gives the buffer back. Parts that need room are boxed, so that the task of a silent connection stays small.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use outrider_ingest::ShortSession;
use outrider_types::VehicleId;
use outrider_wire::{SHORT_EXPORTER_LABEL, is_short};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::listener::Shared;
use super::packet::Head;
use super::pool::Buffer;
use super::session::{Close, Gate, Session, SessionLimits, Step, Take};
use crate::vehicle::directory::{Admitted, Denied};
use crate::vehicle::exchange::Refusal;
use crate::vehicle::link::{COMMAND_WAITS, Handle, TAKEN_OVER};
use crate::vehicle::short::ends_session;

/// A connection with its session.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    session: Session,
    vehicle: VehicleId,
    /// What the certificate says, asked again before each frame and when somebody changed identities.
    admitted: Box<Admitted>,
    identities: watch::Receiver<u64>,
    address: IpAddr,
    shared: Arc<Shared>,
    entry: Option<Arc<Handle>>,
    /// Made with the first short frame, so that a silent connection pays a pointer for it.
    short: Option<Box<ShortSession>>,
    stopped: watch::Receiver<bool>,
}

/// What a silent connection wakes up for.
enum Wake {
    Bytes,
    Bell,
    Deadline,
    Identities,
    Stop,
}

/// Result of a look at the socket.
enum Look {
    Bytes(usize),
    Nothing,
    End,
}

impl Connection {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        admitted: Admitted,
        address: IpAddr,
        shared: Arc<Shared>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let vehicle = admitted.vehicle;
        let identities = shared.exchange.directory().changes();
        let admitted = Box::new(admitted);
        let limits = SessionLimits { patience: shared.patience };
        let session = Session::new(vehicle, limits, shared.exchange.links().now());
        Self {
            stream,
            session,
            vehicle,
            admitted,
            identities,
            address,
            shared,
            entry: None,
            short: None,
            stopped,
        }
    }

    /// Serves the connection to its end and returns why it ended.
    pub(super) async fn run(mut self) -> Close {
        // The client's first packet may have come together with the end of the handshake.
        let mut wake = Wake::Bytes;
        loop {
            if let Some(close) = Box::pin(self.act(wake)).await {
                return close;
            }
            wake = self.wait().await;
        }
    }

    fn now(&self) -> Duration {
        self.shared.exchange.links().now()
    }

    async fn wait(&mut self) -> Wake {
        let left = self.session.deadline().saturating_sub(self.now());
        let bell = async {
            match &self.entry {
                Some(entry) => entry.bell.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.stopped.wait_for(|stop| *stop) => Wake::Stop,
            Ok(()) = self.identities.changed() => Wake::Identities,
            () = bell => Wake::Bell,
            _ = self.stream.get_ref().0.readable() => Wake::Bytes,
            () = sleep(left) => Wake::Deadline,
        }
    }

    async fn act(&mut self, wake: Wake) -> Option<Close> {
        match wake {
            Wake::Bytes => self.read().await,
            Wake::Bell => self.answer_bell().await,
            Wake::Deadline => {
                let step = self.session.tick(self.now());
                self.apply(step).await
            }
            Wake::Identities => self.look_again().await,
            Wake::Stop => {
                let step = self.session.stop();
                self.apply(step).await
            }
        }
    }

    /// Ends the session if its vehicle or certificate is not let in any more.
    async fn look_again(&mut self) -> Option<Close> {
        let denied = self.shared.denied(&self.admitted)?;
        let step = self.session.deny(denied.code());
        self.apply(step).await
    }

    async fn answer_bell(&mut self) -> Option<Close> {
        let signs = self.entry.as_ref().map_or(0, |entry| entry.signs());
        if signs & TAKEN_OVER != 0 {
            let step = self.session.take_over();
            return self.apply(step).await;
        }
        if signs & COMMAND_WAITS != 0 { self.send_commands().await } else { None }
    }

    /// Sends the commands that wait, without an acknowledgement.
    async fn send_commands(&mut self) -> Option<Close> {
        if !self.session.is_subscribed() {
            return None;
        }
        match self.shared.exchange.waiting(self.vehicle).await {
            Ok(Some(reply)) => {
                let send = self.session.reply(reply);
                self.apply(Step { send, ..Step::default() }).await
            }
            // The next published frame asks again.
            Ok(None) | Err(_) => None,
        }
    }

    /// Uses everything that can be read; returns when the socket is empty between two packets.
    async fn read(&mut self) -> Option<Close> {
        let mut buffer = self.shared.pool.borrow();
        loop {
            let needed = match self.use_packets(&mut buffer).await {
                Ok(needed) => needed,
                Err(close) => return Some(close),
            };
            let shared = Arc::clone(&self.shared);
            shared.pool.make_room(&mut buffer, needed).await;
            match self.look(&mut buffer) {
                Look::Bytes(count) => buffer.filled(count),
                Look::End => return Some(Close::Client),
                Look::Nothing if buffer.unread().is_empty() => {
                    self.shared.pool.give_back(buffer);
                    return None;
                }
                Look::Nothing => {
                    self.session.waits_for_rest(self.now());
                    match self.wait().await {
                        Wake::Bytes => {}
                        Wake::Bell => {
                            if let Some(close) = self.answer_bell().await {
                                return Some(close);
                            }
                        }
                        Wake::Deadline => {
                            let step = self.session.tick(self.now());
                            if let Some(close) = self.apply(step).await {
                                return Some(close);
                            }
                        }
                        Wake::Identities => {
                            if let Some(close) = self.look_again().await {
                                return Some(close);
                            }
                        }
                        Wake::Stop => {
                            let step = self.session.stop();
                            return self.apply(step).await;
                        }
                    }
                }
            }
        }
    }

    /// Uses all whole packets; returns the bytes that the next one needs, as far as that is known.
    async fn use_packets(&mut self, buffer: &mut Buffer) -> Result<usize, Close> {
        loop {
            let head = match Head::parse(buffer.unread()) {
                Ok(Some(head)) if buffer.unread().len() >= head.packet_bytes() => head,
                Ok(Some(head)) => return Ok(head.packet_bytes()),
                Ok(None) => return Ok(5),
                Err(fault) => {
                    let step = self.session.fail(fault);
                    self.apply(step).await;
                    return Err(Close::Fault(fault));
                }
            };
            self.shared.exchange.links().count_packet(head.first);
            let was_subscribed = self.session.is_subscribed();
            let body = &buffer.unread()[head.head_bytes..head.packet_bytes()];
            let (shared, admitted) = (&self.shared, &self.admitted);
            let stops = *self.stopped.borrow();
            let now = self.shared.exchange.links().now();
            let step = self.session.receive(head, body, now, || shared.gate(admitted, stops));
            buffer.used(head.packet_bytes());
            if self.entry.is_none() && self.session.is_open() {
                self.entry = Some(self.shared.exchange.links().enter(self.vehicle, self.address));
            }
            if let Some(close) = self.apply(step).await {
                return Err(close);
            }
            if !was_subscribed
                && self.session.is_subscribed()
                && let Some(close) = self.send_commands().await
            {
                return Err(close);
            }
        }
    }

    /// Reads what is there, without waiting.
    fn look(&mut self, buffer: &mut Buffer) -> Look {
        let mut space = ReadBuf::new(buffer.space());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match Pin::new(&mut self.stream).poll_read(&mut context, &mut space) {
            Poll::Pending => Look::Nothing,
            Poll::Ready(Ok(())) if space.filled().is_empty() => Look::End,
            Poll::Ready(Ok(())) => Look::Bytes(space.filled().len()),
            Poll::Ready(Err(_)) => Look::End,
        }
    }

    /// Does what the session wants.
    async fn apply(&mut self, step: Step) -> Option<Close> {
        let mut step = step;
        loop {
            if !step.send.is_empty() && !self.send(&step.send).await {
                return Some(Close::Slow("write.slow"));
            }
            if let Some(close) = step.close {
                // The peer may be gone; whoever is there sees the end of the stream.
                let _ = timeout(self.shared.patience, self.stream.shutdown()).await;
                return Some(close);
            }
            let Take { id, frame } = step.take?;
            let is_short = is_short(&frame);
            let result = self.take(frame).await;
            let ends = is_short && result.as_ref().is_err_and(ends_session);
            step = self.session.taken(id, result);
            if ends {
                step.close = step.close.or(Some(Close::FrameRefused));
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        matches!(timeout(self.shared.patience, write).await, Ok(Ok(())))
    }

    /// Takes a frame durably. A vehicle above its rate is not read for a while; only then is it refused.
    async fn take(&mut self, frame: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        if let Some(denied) = self.shared.denied(&self.admitted) {
            let refusal = Refusal::denied(denied);
            self.shared.exchange.refuse(&refusal);
            return Err(refusal);
        }
        let exchange = Arc::clone(&self.shared.exchange);
        let mut left = self.shared.patience;
        while let Err(wait) = exchange.links().admit(self.vehicle, frame.len()) {
            if wait > left {
                let message = format!("retry after {} s", wait.as_secs() + 1);
                let refusal = Refusal { status: 429, code: "frame.rate", message };
                exchange.refuse(&refusal);
                return Err(refusal);
            }
            left -= wait;
            exchange.links().count_refusal("frame.waited");
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.stopped.wait_for(|stop| *stop) => break,
            }
        }
        if is_short(&frame) {
            self.take_short(&frame).await
        } else {
            exchange.take(self.vehicle, frame).await
        }
    }

    /// Takes a short frame under the key that the TLS exporter gives both ends.
    async fn take_short(&mut self, frame: &[u8]) -> Result<Vec<u8>, Refusal> {
        if self.short.is_none() {
            let key = self.stream.get_ref().1.export_keying_material([0; 32], SHORT_EXPORTER_LABEL, None);
            let key =
                key.map_err(|error| Refusal { status: 500, code: "internal", message: error.to_string() })?;
            self.short = Some(Box::new(ShortSession::new(self.vehicle, key)));
        }
        let exchange = Arc::clone(&self.shared.exchange);
        let session = self.short.as_mut().expect("just made");
        exchange.take_short(session, frame).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let links = self.shared.exchange.links();
        links.count_unsent(self.session.unsent());
        if let Some(entry) = &self.entry {
            links.leave(self.vehicle, entry);
        }
    }
}

impl Shared {
    /// Returns why a vehicle is not let in, if it is not.
    fn denied(&self, admitted: &Admitted) -> Option<Denied> {
        self.exchange.directory().still_admits(admitted, self.exchange.now()).err()
    }

    fn gate(&self, admitted: &Admitted, stops: bool) -> Gate {
        let vehicle = admitted.vehicle;
        if stops {
            Gate::Stopping
        } else if self.exchange.directory().admit(admitted, self.exchange.now()).is_err()
            || !self.exchange.may_connect(vehicle)
        {
            Gate::NotAuthorized
        } else if !self.exchange.links().has_place(vehicle, self.sessions_max) {
            // Spread over a minute by the vehicle's own bytes, which are as good as random.
            Gate::Full(30 + u64::from(vehicle.0[15] % 60))
        } else {
            Gate::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the 12 KiB that a silent connection may cost, TLS takes nearly all; what is ours stays small.
    #[test]
    fn a_silent_connection_is_small() {
        assert!(size_of::<Session>() <= 128, "{}", size_of::<Session>());
        let ours = size_of::<Connection>() - size_of::<TlsStream<TcpStream>>();
        assert!(ours <= 256, "{ours}");
    }
}
