//! The CA, its generations and its lists.

use outrider_types::ManualClock;
use x509_parser::prelude::FromDer as _;

use super::*;
use crate::vehicle::directory::names;

const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

/// Bytes that repeat themselves, as a broken source would.
struct Stuck;

impl Random for Stuck {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn open(folder: &Path) -> VehicleCa {
    let clock = ManualClock::default();
    clock.set(NOW);
    VehicleCa::open(folder, Arc::new(clock), Arc::new(Stuck)).expect("it opens")
}

#[test]
fn a_reopened_ca_is_the_same_and_names_the_vehicle_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, second) = (open(folder.path()), open(folder.path()));
    assert_eq!(first.certificate(), second.certificate());
    let vehicle = VehicleId([0xab; 16]);
    let (files, issued) = second.make_vehicle(vehicle).expect("it is issued");
    let der = certificate(&files.certificate).expect("it is PEM");
    let named = names(&der).expect("it names a vehicle");
    assert_eq!((named.vehicle, &named.serial, named.not_after), (vehicle, &issued.serial, issued.not_after));
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).expect("it parses");
    assert_eq!(parsed.subject().to_string(), format!("CN={vehicle}"), "nothing else");
    let listener = second.issue_listener(&[]).expect("it is issued");
    assert_eq!(names(&certificate(&listener.certificate).expect("it is PEM")), None);
}

#[test]
fn serials_differ_even_if_the_random_source_is_stuck() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = open(folder.path());
    let serials: Vec<_> =
        (0..3).map(|_| ca.make_vehicle(VehicleId([1; 16])).expect("it is issued").1.serial).collect();
    assert!(serials[0] != serials[1] && serials[1] != serials[2]);
    assert_eq!(Serial::parse(serials[0].text()).as_ref(), Some(&serials[0]));
    assert_eq!(Serial::of_der(&[0, 0x80, 1]).text(), "8001", "the sign octet is no part of it");
    for bad in ["0", "00ff", "AB", "xy", &"11".repeat(21)] {
        assert_eq!(Serial::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_new_generation_signs_and_is_linked_to_the_old_one_both_ways() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ca, other) = (open(folder.path()), open(folder.path()));
    let old_root = ca.roots();
    assert_eq!(ca.rotate().expect("it rotates"), 2);
    assert!(other.reload().expect("it reads"), "another program takes it up");
    assert!(!other.reload().expect("it reads"), "once");
    assert_eq!(ca.roots(), other.roots());
    assert_eq!(ca.roots()[1..], old_root[..], "the old root stays trusted");
    assert_eq!(other.make_vehicle(VehicleId([1; 16])).expect("it is issued").1.generation, 2);
    let bundle = ca.trust_bundle().expect("it is read");
    fn parse(der: &[u8]) -> x509_parser::certificate::X509Certificate<'_> {
        x509_parser::certificate::X509Certificate::from_der(der).expect("it parses").1
    }
    let [new, old, new_with_old, old_with_new] = &bundle[..] else { panic!("{} certificates", bundle.len()) };
    let (new, old) = (parse(new), parse(old));
    let links = [(parse(new_with_old), &new, &old), (parse(old_with_new), &old, &new)];
    for (link, subject, issuer) in links {
        assert_eq!(link.public_key().raw, subject.public_key().raw);
        assert_eq!(link.issuer(), issuer.subject());
        link.verify_signature(Some(issuer.public_key())).expect("signed by the other");
        assert!(link.verify_signature(Some(subject.public_key())).is_err());
    }
}

#[test]
fn a_revocation_list_names_the_serials_of_its_generation_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = open(folder.path());
    ca.rotate().expect("it rotates");
    let entry = |serial: &[u8], generation, reason: &str| RevokedCertificate {
        serial: Serial::of_der(serial),
        generation,
        at: NOW,
        reason: reason.to_owned(),
    };
    let revoked = [entry(&[0x41; 16], 1, "revoked"), entry(&[0x42; 16], 2, "retired")];
    let der = ca.revocation_list(2, &revoked).expect("it signs").expect("there is a second");
    let (_, list) =
        x509_parser::revocation_list::CertificateRevocationList::from_der(&der).expect("it parses");
    let serials: Vec<_> =
        list.iter_revoked_certificates().map(|one| Serial::of_der(one.raw_serial())).collect();
    assert_eq!(serials, [Serial::of_der(&[0x42; 16])]);
    assert_eq!(ca.revocation_list(3, &revoked).expect("it signs"), None);
}

#[test]
fn the_keys_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    open(folder.path()).rotate().expect("it rotates");
    for name in ["vehicle-ca.key.pem", "vehicle-ca-2.key.pem"] {
        let mode = fs::metadata(folder.path().join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
