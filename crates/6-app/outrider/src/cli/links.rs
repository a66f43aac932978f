//! Links of simulated vehicles: HTTPS with a client certificate each.

use std::collections::BTreeMap;

use outrider_agent::io::https::{HttpsLink, LinkFiles};
use outrider_agent::runtime::CloudLink;
use outrider_server::vehicle::TlsFiles;
use outrider_sim::{Links, SimVehicle};
use outrider_types::VehicleId;

use super::Failure;

/// Open links at most; each holds a connection.
const LINKS_MAX: usize = 64;

/// A real HTTPS link for every simulated vehicle, opened when it is first needed.
pub(crate) struct FleetLinks {
    cloud: String,
    files: BTreeMap<VehicleId, TlsFiles>,
    open: BTreeMap<VehicleId, HttpsLink>,
}

impl FleetLinks {
    /// Creates the links of a fleet from its client certificates.
    pub(crate) fn new(cloud: String, files: BTreeMap<VehicleId, TlsFiles>) -> Self {
        Self { cloud, files, open: BTreeMap::new() }
    }

    fn connect(&self, vehicle: VehicleId) -> Result<HttpsLink, Failure> {
        let files = self
            .files
            .get(&vehicle)
            .ok_or_else(|| Failure::failed(format!("vehicle {vehicle} has no certificate")))?;
        let files = LinkFiles {
            ca: files.ca.as_bytes(),
            certificate: files.certificate.as_bytes(),
            key: files.key.as_bytes(),
        };
        HttpsLink::new(&self.cloud, &files).map_err(Failure::failed)
    }
}

impl Links for FleetLinks {
    fn link(&mut self, vehicle: &SimVehicle) -> &mut dyn CloudLink {
        let id = vehicle.record.vehicle;
        if !self.open.contains_key(&id) {
            if self.open.len() >= LINKS_MAX {
                self.open.clear();
            }
            let link =
                self.connect(id).expect("every vehicle of the fleet was given a certificate of this CA");
            self.open.insert(id, link);
        }
        self.open.get_mut(&id).expect("it was put in above")
    }
}
