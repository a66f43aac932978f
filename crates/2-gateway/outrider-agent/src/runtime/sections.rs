//! The parts of `vehicle.toml` that are about the machine, not about the vehicle.

use std::path::{Path, PathBuf};

use outrider_host::HostConfig;
use serde::Deserialize;

use super::ConfigError;
use super::hardware::HardwareConfig;
use crate::model_file::{ModelTrust, TrustConfig};

/// Names of the sections that [`Sections`] reads.
pub(super) const NAMES: [&str; 8] =
    ["host", "sandbox", "model_trust", "enrolment", "keys", "anchor", "tpm", "token"];

/// `[host]`, `[sandbox]`, `[model_trust]`, `[enrolment]`, and those of [`HardwareConfig`].
#[derive(Debug, Default, Deserialize)]
pub struct Sections {
    /// Sensors of this host; none are on without it.
    pub host: Option<HostConfig>,
    /// What the program gives up after its start.
    #[serde(default)]
    pub sandbox: SandboxConfig,
    /// Whose models are believed, and for what; without it every whole model is.
    #[serde(default)]
    pub model_trust: TrustConfig,
    /// Where keys and counter live; without it in files.
    #[serde(flatten)]
    pub hardware: HardwareConfig,
    /// Where the certificate is renewed; without it that is for somebody else to do.
    pub enrolment: Option<EnrolmentSection>,
}

/// `[enrolment]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentSection {
    /// Address of the listener for enrolment, `https://host:port`.
    pub url: String,
}

/// `[sandbox]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// Off only to look for a mistake; the status says so.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// User to become when started by root; none stays root without root's rights.
    pub user: Option<String>,
}

const fn yes() -> bool {
    true
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self { enabled: true, user: None }
    }
}

impl Sections {
    /// Reads the sections; relative paths of patterns become those below the file's folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_path_buf(), source })?;
        let mut sections: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Shape { path: path.to_path_buf(), reason: error.to_string() })?;
        let folder: PathBuf = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        if let Some(patterns) = sections.host.as_mut().and_then(|host| host.patterns.as_mut()) {
            *patterns = folder.join(&*patterns);
        }
        sections.hardware.beside(&folder);
        Ok(sections)
    }

    /// Checks what a model must be to be believed.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn trust(&self) -> Result<ModelTrust, ConfigError> {
        ModelTrust::new(&self.model_trust)
            .map_err(|reason| ConfigError::Value { name: "model_trust", reason })
    }
}

#[cfg(test)]
mod tests {
    use super::super::VehicleConfig;
    use super::*;

    const VEHICLE: &str = "tenant = 1\nvehicle = '00'\ncloud = ''\nca = ''\ncertificate = ''\nkey = ''\nbatch_key = ''\nack_public_key = ''\ncommand_public_key = ''\nstate = 's'\n";

    fn open(more: &str) -> (Result<VehicleConfig, ConfigError>, Result<Sections, ConfigError>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vehicle.toml");
        std::fs::write(&path, VEHICLE.to_owned() + more).expect("it writes");
        (VehicleConfig::open(&path), Sections::open(&path))
    }

    #[test]
    fn sections_are_off_unless_they_are_there_and_the_sandbox_is_on() {
        let (vehicle, sections) = open("");
        let sections = sections.expect("it is right");
        assert!(vehicle.is_ok() && sections.host.is_none() && sections.sandbox.enabled);
        let (vehicle, sections) = open(
            "[host.files]\npaths = ['/etc']\n[host.processes]\n[[host.log]]\nkind = 'audit'\npath = '/x'\n[sandbox]\nuser = 'nobody'\n",
        );
        let host = sections.expect("it is right").host.expect("it is there");
        assert!(
            vehicle.is_ok() && host.files.is_some() && host.processes.is_some() && host.sockets.is_none()
        );
        assert_eq!((host.log.len(), host.learn_seconds), (1, 600));
    }

    #[test]
    fn a_misspelt_setting_is_refused_wherever_it_stands() {
        assert!(open("[hots]\n").0.is_err());
        assert!(open("[host.flies]\n").1.is_err());
        assert!(open("[host.files]\npath = '/etc'\n").1.is_err());
        assert!(open("[sandbox]\nuesr = 'x'\n").1.is_err());
        assert!(open("[model_trust]\nkey = []\n").1.is_err());
    }

    #[test]
    fn trust_in_models_is_asked_for_and_its_keys_are_checked() {
        let trust = |more| open(more).1.expect("it is right").trust();
        assert!(!trust("").expect("nothing to refuse").is_strict());
        assert!(trust("[model_trust]\nplatform = 'demo'\n").expect("a platform").is_strict());
        let refused = trust("[model_trust]\nkeys = ['00']\n").expect_err("no key");
        let said = "model_trust: keys[0]: no public Ed25519 key of 64 hexadecimal digits";
        assert_eq!(refused.to_string(), said);
    }
}
