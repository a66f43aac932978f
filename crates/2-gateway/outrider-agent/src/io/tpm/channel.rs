//! The way to a TPM: the kernel's device, or an emulator's socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::response::{HEADER_BYTES, RESPONSE_BYTES_MAX, length};

/// Longest wait for an emulator's answer. A real TPM makes a key in a second at most, its self test takes two (guess from
/// data sheets).
const ANSWER: Duration = Duration::from_secs(5);

/// Where a TPM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TpmPlace {
    /// A device of the kernel, best with its resource manager: `/dev/tpmrm0`.
    Device(PathBuf),
    /// A Unix socket that speaks TPM commands: `unix:PATH`.
    Unix(PathBuf),
    /// A TCP port of this machine that does: `tcp:127.0.0.1:PORT`.
    Tcp(SocketAddr),
}

impl FromStr for TpmPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        if let Some(address) = text.strip_prefix("tcp:") {
            let address: SocketAddr =
                address.parse().map_err(|_| format!("{address} is no address with a port"))?;
            // Whoever sits between would see passwords and answer for the TPM.
            let is_here = address.ip().is_loopback();
            return is_here
                .then_some(Self::Tcp(address))
                .ok_or("a TPM over TCP is on this machine".to_owned());
        }
        if text.starts_with('/') {
            return Ok(Self::Device(text.into()));
        }
        Err(format!("{text}: a TPM is at /dev/…, unix:PATH or tcp:127.0.0.1:PORT"))
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Channel {
    Device(File),
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Channel {
    pub(super) fn open(place: &TpmPlace) -> io::Result<Self> {
        match place {
            TpmPlace::Device(path) => OpenOptions::new().read(true).write(true).open(path).map(Self::Device),
            TpmPlace::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(ANSWER))?;
                stream.set_write_timeout(Some(ANSWER))?;
                Ok(Self::Unix(stream))
            }
            TpmPlace::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, ANSWER)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER))?;
                stream.set_write_timeout(Some(ANSWER))?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    /// Sends a command and reads the answer.
    pub(super) fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Device(file) => {
                file.write_all(command)?;
                // The device gives an answer with one read or not at all.
                let mut answer = vec![0; RESPONSE_BYTES_MAX];
                let count = file.read(&mut answer)?;
                answer.truncate(count);
                Ok(answer)
            }
            Self::Unix(stream) => over(stream, command),
            Self::Tcp(stream) => over(stream, command),
        }
    }
}

fn over<S: Read + Write>(stream: &mut S, command: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(command)?;
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let length = length(&header).ok_or_else(|| io::Error::other("the answer's length is not possible"))?;
    let mut answer = vec![0; length];
    let (head, rest) = answer.split_at_mut(HEADER_BYTES);
    head.copy_from_slice(&header);
    stream.read_exact(rest)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tpm_is_on_this_machine() {
        assert_eq!("/dev/tpmrm0".parse(), Ok(TpmPlace::Device("/dev/tpmrm0".into())));
        assert_eq!("unix:/run/tpm".parse(), Ok(TpmPlace::Unix("/run/tpm".into())));
        assert!("tcp:127.0.0.1:2321".parse::<TpmPlace>().is_ok());
        for text in ["tcp:192.0.2.1:2321", "tcp:tpm", "tpm0", ""] {
            assert!(text.parse::<TpmPlace>().is_err(), "{text}");
        }
    }
}
