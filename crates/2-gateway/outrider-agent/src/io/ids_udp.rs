//! IDS frames over UDP, in and out, without a thread: each turn takes what is there, up to a bound.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use outrider_gateway::Storage;
use outrider_types::VehicleMicros;

use crate::runtime::Vehicle;
use crate::runtime::ids::DATAGRAM_BYTES_MAX;

/// Datagrams taken in one turn: 64 in 20 ms are 3,200 a second, far above what an IdsM may send. What comes on top waits
/// in the socket's buffer and is dropped there by the system when that is full.
const DATAGRAMS_PER_TURN: usize = 64;
/// Frames sent in one turn.
const FRAMES_PER_TURN: usize = 64;

/// Sockets of the IDS protocol.
#[derive(Debug)]
pub struct IdsUdp {
    listen: Option<UdpSocket>,
    target: Option<(UdpSocket, SocketAddr)>,
    buffer: Vec<u8>,
}

impl IdsUdp {
    /// Opens the sockets that are asked for.
    ///
    /// # Errors
    /// The system refuses an address.
    pub fn open(listen: Option<SocketAddr>, target: Option<SocketAddr>) -> io::Result<Self> {
        let bind = |address: SocketAddr| {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        let target = match target {
            None => None,
            Some(address) => {
                let any = match address {
                    SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                };
                Some((bind(SocketAddr::new(any, 0))?, address))
            }
        };
        Ok(Self { listen: listen.map(bind).transpose()?, target, buffer: vec![0; DATAGRAM_BYTES_MAX] })
    }

    /// Returns the address that other ECUs report to.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.listen.as_ref().and_then(|socket| socket.local_addr().ok())
    }

    /// Gives waiting datagrams to the vehicle and sends the frames that it has; never waits.
    pub fn turn<S: Storage>(&mut self, vehicle: &mut Vehicle<S>, now: VehicleMicros) {
        if let Some(socket) = &self.listen {
            for _ in 0..DATAGRAMS_PER_TURN {
                match socket.recv_from(&mut self.buffer) {
                    Ok((length, _)) => vehicle.ids_datagram(&self.buffer[..length], now),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // Nothing is there, or an error of an earlier send came back; the next turn looks again.
                    Err(_) => break,
                }
            }
        }
        self.send(vehicle);
    }

    /// Sends the frames that the vehicle has; never waits.
    pub fn send<S: Storage>(&mut self, vehicle: &mut Vehicle<S>) {
        if let Some((socket, target)) = &self.target {
            for _ in 0..FRAMES_PER_TURN {
                let Some(frame) = vehicle.pop_ids_frame() else { break };
                if socket.send_to(&frame, *target).is_err() {
                    vehicle.ids_send_failed();
                }
            }
        }
    }
}
