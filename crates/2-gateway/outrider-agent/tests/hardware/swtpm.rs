//! A TPM emulator in a temporary folder.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use outrider_agent::io::tpm::{Tpm, TpmPlace};
use zeroize::Zeroizing;

pub(crate) struct Swtpm {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Swtpm {
    pub(crate) fn start() -> Self {
        let mut tpm = Self { folder: tempfile::tempdir().expect("a temporary folder"), child: None };
        tpm.restart();
        tpm
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("tpm")
    }

    pub(crate) fn place(&self) -> TpmPlace {
        TpmPlace::Unix(self.socket())
    }

    pub(crate) fn tpm(&self) -> Tpm {
        Tpm::new(self.place(), Zeroizing::new(Vec::new()))
    }

    /// Ends the emulator as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child");
            child.wait().expect("our own child");
        }
        let _ = std::fs::remove_file(self.socket());
    }

    /// Starts the emulator over what it kept.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let state = format!("dir={}", self.folder.path().display());
        let server = format!("type=unixio,path={}", self.socket().display());
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", &state, "--server", &server])
            .args(["--flags", "not-need-init"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm starts");
        self.child = Some(child);
        for _ in 0..500 {
            if self.socket().exists() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("swtpm has no socket after five seconds");
    }

    /// Forgets all that the TPM kept: another TPM.
    pub(crate) fn exchange(&mut self) {
        self.kill();
        for file in std::fs::read_dir(self.folder.path()).expect("a folder") {
            std::fs::remove_file(file.expect("readable").path()).expect("ours");
        }
        self.restart();
    }

    /// Sends a command of the owner, with an empty password; returns the response code. Nobody else may be connected.
    pub(crate) fn raw(&self, code: u32, index: Option<u32>, parameters: &[u8]) -> u32 {
        let mut stream = UnixStream::connect(self.socket()).expect("swtpm listens");
        let mut body = 0x4000_0001_u32.to_be_bytes().to_vec();
        body.extend(index.into_iter().flat_map(u32::to_be_bytes));
        body.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0]);
        body.extend(parameters);
        let length = u32::try_from(body.len() + 10).expect("short");
        let mut command = vec![0x80, 0x02];
        command.extend(length.to_be_bytes());
        command.extend(code.to_be_bytes());
        command.extend(body);
        stream.write_all(&command).expect("swtpm reads");
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).expect("swtpm answers");
        u32::from_be_bytes([answer[6], answer[7], answer[8], answer[9]])
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.kill();
    }
}
