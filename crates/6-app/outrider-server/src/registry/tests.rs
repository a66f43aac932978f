use std::sync::{Arc, Mutex};

use outrider_model::{MonitoringStage, Registration};
use outrider_types::{Seed, TenantId, UnixMicros};

use super::*;
use crate::port::Random;
use crate::store::{
    FleetStore as _, RegistryMark, RegistryStore as _, Selection, SqlStore, StageChange, VehicleFilter,
    VehicleOrder,
};
use crate::vault::MasterKey;

struct Seeded(Mutex<Seed>);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut seed = self.0.lock().expect("no test panics here");
        bytes.fill_with(|| seed.next_u64().to_le_bytes()[3]);
    }
}

const SCOPE: Scope = Scope { tenant: TenantId(1), now: UnixMicros(7) };
const HEAD: &str = "vin,model_line,platform,model_year,hardware,release,region,h3,registration,stage,features,\
                    ecu.1.name,ecu.1.supplier,ecu.1.software\n";

struct Bench {
    folder: tempfile::TempDir,
    store: SqlStore,
    vault: Vault,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = SqlStore::of_folder(folder.path()).await.expect("a database");
        let random: Arc<dyn Random> = Arc::new(Seeded(Mutex::new(Seed::new(1))));
        let master = Arc::new(MasterKey::generate(&*random));
        let path = folder.path().join("vault/vins.sqlite");
        let vault = Vault::open(&path, master, random).await.expect("a vault");
        Self { folder, store, vault }
    }

    async fn import(&self, text: &str, is_dry: bool) -> VehicleImport {
        let options =
            ImportOptions { file: FileOptions::default(), is_dry, h3_resolution: 4, by: "ada".to_owned() };
        let target = ImportTarget { store: &self.store, vault: Some(&self.vault), scope: SCOPE };
        let reader = std::io::Cursor::new(text.as_bytes().to_vec());
        let report = import(reader, target, &options, &mut |_| {}).await.expect("an import");
        let refused: u64 = report.refused.values().sum();
        assert_eq!(report.rows, report.new + report.changed + report.unchanged + refused, "rows balance");
        report
    }

    async fn list(&self, filter: &VehicleFilter) -> Vec<crate::api::dto::VehicleSummary> {
        let page = self.store.vehicles(SCOPE, filter, (VehicleOrder::Id, false), None, 500).await;
        page.expect("a page").items
    }
}

fn row(number: u32, release: &str) -> String {
    format!(
        "WVWZZZ1JZXW{number:06},Aster,P1,2026,H2,{release},DE,851fa5a7fffffff,produced,pilot,v2x|ota,gateway,ACME,{release}\n"
    )
}

fn counts(report: &VehicleImport) -> (u64, u64, u64, u64) {
    (report.new, report.changed, report.unchanged, report.refused.values().sum())
}

#[tokio::test]
async fn a_file_registers_changes_and_leaves_vehicles_and_a_dry_run_only_says_so() {
    let bench = Bench::new().await;
    let first: String =
        std::iter::once(HEAD.to_owned()).chain((0..5000).map(|number| row(number, "1"))).collect();
    assert_eq!(counts(&bench.import(&first, true).await), (5000, 0, 0, 0));
    assert!(bench.list(&VehicleFilter::default()).await.is_empty(), "nothing was written");
    assert_eq!(counts(&bench.import(&first, false).await), (5000, 0, 0, 0));
    assert_eq!(counts(&bench.import(&first, false).await), (0, 0, 5000, 0));
    let second = format!("{HEAD}{}{}{}", row(1, "2"), row(2, "1"), row(9999, "1"));
    assert_eq!(counts(&bench.import(&second, true).await), (1, 1, 1, 0));
    assert_eq!(counts(&bench.import(&second, false).await), (1, 1, 1, 0));
    let released = VehicleFilter { release: Some("2".to_owned()), ..VehicleFilter::default() };
    let [summary] = &bench.list(&released).await[..] else { panic!("one vehicle") };
    let id = summary.vehicle_id.parse().expect("a pseudonym");
    let record = bench.store.vehicle_entry(SCOPE, id).await.expect("it is registered").record;
    assert_eq!((record.hardware.as_str(), record.features.join(" ")), ("H2", "ota v2x".to_owned()));
    assert_eq!((record.registration, record.stage), (Registration::Produced, MonitoringStage::Pilot));
    assert_eq!((record.ecus[0].supplier.as_str(), record.ecus[0].software.as_str()), ("ACME", "2"));
    assert_eq!(record.h3, Some(0x0841_fa5b_ffff_ffff), "as coarse as the policy wants it");
    assert!(bench.vault.reveal(SCOPE, id).await.expect("it resolves").expose() == "WVWZZZ1JZXW000001");
}

#[tokio::test]
async fn refused_rows_do_not_stop_the_others_and_are_counted_by_reason() {
    let bench = Bench::new().await;
    let file = format!(
        "{HEAD}{}{}LVWZZZ1JZXW000001,,,,,,,,,,,,,\n{}{}",
        row(1, "1"),
        row(1, "1"),
        row(2, "1").replace("851fa5a7fffffff", "1"),
        row(3, "1")
    );
    let report = bench.import(&file, false).await;
    assert_eq!(counts(&report), (2, 0, 0, 3));
    let said: Vec<_> =
        report.problems.iter().map(|problem| (problem.line, problem.reason.as_str())).collect();
    assert_eq!(said, [(3, "row.twice"), (4, "vin.check_digit"), (5, "field.h3")]);
    assert_eq!(report.problems[0].text, "the vehicle stands in line 2 already");
    assert_eq!(report.unread, None);
    let cut = format!("[{{\"vehicle_id\":\"{:032x}\"}}, 7]", 9);
    let report = bench.import(&cut, false).await;
    assert_eq!(counts(&report), (1, 0, 0, 0));
    assert_eq!(report.unread.expect("the rest was not read").reason, "json.structure");
}

#[tokio::test]
async fn without_a_vault_no_vin_is_taken() {
    let bench = Bench::new().await;
    let options =
        ImportOptions { file: FileOptions::default(), is_dry: false, h3_resolution: 5, by: "ada".to_owned() };
    let target = ImportTarget { store: &bench.store, vault: None, scope: SCOPE };
    let text = format!("vin,vehicle_id\nWVWZZZ1JZXW000001,\n,{:032x}\n", 7);
    let report = import(std::io::Cursor::new(text), target, &options, &mut |_| {}).await.expect("an import");
    assert_eq!(counts(&report), (1, 0, 0, 1));
    assert_eq!(report.refused.keys().collect::<Vec<_>>(), ["vin.no_vault"]);
}

#[tokio::test]
async fn no_file_of_the_installation_holds_a_vin() {
    let bench = Bench::new().await;
    let text: String =
        std::iter::once(HEAD.to_owned()).chain((0..50).map(|number| row(number, "1"))).collect();
    bench.import(&text, false).await;
    let mut folders = vec![bench.folder.path().to_path_buf()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file");
            files += usize::from(!bytes.is_empty());
            let found = bytes.windows(11).any(|window| window == b"WVWZZZ1JZXW");
            assert!(!found, "{} holds a VIN", path.display());
        }
    }
    assert!(files >= 2, "case database and vault were looked at");
}

#[tokio::test]
async fn stages_change_for_named_vehicles_or_for_a_model_line() {
    let bench = Bench::new().await;
    bench.import(&format!("{HEAD}{}{}{}", row(1, "1"), row(2, "1"), row(3, "2")), false).await;
    let ids: Vec<VehicleId> = bench
        .list(&VehicleFilter::default())
        .await
        .iter()
        .map(|it| it.vehicle_id.parse().expect("an id"))
        .collect();
    let change = |selection, stage| StageChange {
        selection,
        stage,
        by: "ada".to_owned(),
        reason: "roll-out".to_owned(),
    };
    let one = change(Selection::Vehicles(vec![ids[0]]), MonitoringStage::Full);
    assert_eq!(bench.store.change_stage(SCOPE, &one).await.expect("a change"), 1);
    assert_eq!(bench.store.change_stage(SCOPE, &one).await.expect("none"), 0, "it is there already");
    let line = VehicleFilter { model_line: Some("Aster".to_owned()), ..VehicleFilter::default() };
    let all = change(Selection::Filter(line), MonitoringStage::Full);
    assert_eq!(bench.store.change_stage(SCOPE, &all).await.expect("a change"), 2);
    let stranger = change(Selection::Vehicles(vec![ids[0], VehicleId([9; 16])]), MonitoringStage::OutOfScope);
    assert!(matches!(bench.store.change_stage(SCOPE, &stranger).await, Err(StoreError::NotFound { .. })));
    let full =
        VehicleFilter { stage: Some(crate::api::dto::MonitoringStage::Full), ..VehicleFilter::default() };
    assert_eq!(bench.list(&full).await.len(), 3, "a change is whole or none");
}

#[tokio::test]
async fn what_the_file_does_not_say_stays_with_keys_and_buses() {
    let bench = Bench::new().await;
    bench.import(&format!("{HEAD}{}", row(1, "1")), false).await;
    let before = bench
        .store
        .registered_vehicles(SCOPE, RegistryMark::default(), 10)
        .await
        .expect("they read")
        .0
        .remove(0);
    let keyed = crate::store::VehicleEntry {
        batch_key: Some([7; 32].into()),
        capabilities: vec!["configure".to_owned()],
        ..before.clone()
    };
    bench.store.put_vehicles(SCOPE, std::slice::from_ref(&keyed)).await.expect("it is registered");
    let text = format!("vehicle_id,release\n{},9\n", before.record.vehicle);
    assert_eq!(counts(&bench.import(&text, false).await), (0, 1, 0, 0));
    let after = bench.store.vehicle_entry(SCOPE, before.record.vehicle).await.expect("it is registered");
    let mut expected = keyed;
    expected.record.release = "9".to_owned();
    assert_eq!(after, expected);
}
