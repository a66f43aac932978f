use std::sync::Mutex;

use outrider_types::Seed;

use super::*;

struct Seeded(Mutex<Seed>);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut seed = self.0.lock().expect("no test panics here");
        bytes.fill_with(|| seed.next_u64().to_le_bytes()[3]);
    }
}

const SCOPE: Scope = Scope { tenant: TenantId(1), now: UnixMicros(7) };
const OTHER: Scope = Scope { tenant: TenantId(2), now: UnixMicros(7) };

fn random() -> Arc<dyn Random> {
    Arc::new(Seeded(Mutex::new(Seed::new(1))))
}

fn master(byte: u8) -> Arc<MasterKey> {
    Arc::new(MasterKey::parse(&format!(" {byte:02x}{}\n", "11".repeat(31))).expect("a key"))
}

async fn open(folder: &tempfile::TempDir) -> Vault {
    Vault::open(&folder.path().join("vault.sqlite"), master(1), random()).await.expect("a vault")
}

fn vin(number: u32) -> Vin {
    Vin::parse(&format!("WVWZZZ1JZXW{number:06}")).expect("a VIN")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

async fn one(vault: &Vault, scope: Scope, vin: &Vin) -> VehicleId {
    vault.assign(scope, &[vin]).await.expect("a pseudonym").pop().expect("one")
}

#[tokio::test]
async fn a_vin_has_one_pseudonym_a_tenant_and_it_resolves() {
    let folder = folder();
    let vault = open(&folder).await;
    let (a, b) = (vin(1), vin(2));
    let stand_in = vault.stand_ins(SCOPE, &[&a]).await.expect("it reads");
    assert!(matches!(vault.reveal(SCOPE, stand_in[0]).await, Err(VaultError::Unknown)), "nothing was stored");
    let first = vault.assign(SCOPE, &[&a, &b, &a]).await.expect("pseudonyms");
    assert_eq!(first[0], first[2]);
    assert_ne!(first[0], first[1]);
    assert_ne!(one(&vault, OTHER, &a).await, first[0], "another tenant, another pseudonym");
    vault.close().await;
    let vault = open(&folder).await;
    assert_eq!(vault.assign(SCOPE, &[&b, &a]).await.expect("pseudonyms"), [first[1], first[0]]);
    assert_eq!(vault.stand_ins(SCOPE, &[&a]).await.expect("it reads"), [first[0]]);
    assert_ne!(first[0], stand_in[0]);
    assert!(vault.reveal(SCOPE, first[0]).await.expect("it resolves") == a);
    assert!(matches!(vault.reveal(OTHER, first[0]).await, Err(VaultError::Unknown)), "not the tenant's");
}

#[tokio::test]
async fn another_master_key_is_refused_and_no_key_has_a_default() {
    let folder = folder();
    open(&folder).await.close().await;
    let path = folder.path().join("vault.sqlite");
    assert!(matches!(Vault::open(&path, master(2), random()).await, Err(VaultError::WrongKey)));
    for text in ["", "0000", &"0".repeat(64), &"g".repeat(64), &"1".repeat(66)] {
        assert!(MasterKey::parse(text).is_none(), "{text}");
    }
    let key = MasterKey::generate(&*random());
    assert!(MasterKey::parse(&key.expose_text()).is_some_and(|read| read.check() == key.check()));
    assert_eq!(format!("{key:?}"), "MasterKey(..)");
}

#[tokio::test]
async fn a_new_epoch_keeps_or_breaks_pseudonyms_and_old_ones_resolve() {
    let folder = folder();
    let vault = open(&folder).await;
    let (a, b) = (vin(1), vin(2));
    let before = one(&vault, SCOPE, &a).await;
    assert_eq!(vault.rotate(SCOPE, Linking::Keep).await.expect("an epoch"), 2);
    assert_eq!(one(&vault, SCOPE, &a).await, before, "what is known keeps its pseudonym");
    let newcomer = one(&vault, SCOPE, &b).await;
    assert_eq!(vault.rotate(SCOPE, Linking::Break).await.expect("an epoch"), 3);
    assert_ne!(vault.stand_ins(SCOPE, &[&a]).await.expect("it reads"), [before]);
    let after = one(&vault, SCOPE, &a).await;
    assert_ne!(after, before);
    assert_ne!(one(&vault, SCOPE, &b).await, newcomer);
    for id in [before, after] {
        assert!(vault.reveal(SCOPE, id).await.expect("it resolves") == a);
        let linked = vault.linked(SCOPE, id).await.expect("it is known");
        assert_eq!(linked, BTreeMap::from([(1, before), (3, after)]));
    }
    assert_eq!(vault.rotate(SCOPE, Linking::Keep).await.expect("an epoch"), 4);
    assert_eq!(one(&vault, SCOPE, &a).await, after, "an epoch that keeps does not go behind one that broke");
}

/// Bytes of every file of the vault.
fn bytes(folder: &tempfile::TempDir) -> Vec<u8> {
    let entries = std::fs::read_dir(folder.path()).expect("a folder");
    entries.flat_map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file")).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn nothing_of_a_shredded_vehicle_is_left_in_any_file() {
    let folder = folder();
    let vault = open(&folder).await;
    let all: Vec<Vin> = (0..500).map(vin).collect();
    let ids = vault.assign(SCOPE, &all.iter().collect::<Vec<_>>()).await.expect("pseudonyms");
    vault.rotate(SCOPE, Linking::Break).await.expect("an epoch");
    let again = one(&vault, SCOPE, &all[77]).await;
    let keys = vault.master.tenant(SCOPE.tenant);
    let tag = keys.tag(&all[77]);
    let mut secrets = vec![tag.to_vec()];
    {
        let mut connection = vault.file.begin().await.expect("a connection");
        for id in [ids[77], again] {
            let row = vault
                .file
                .mapping(&mut connection, SCOPE.tenant, id)
                .await
                .expect("it reads")
                .expect("a row");
            secrets.push(row.wrapped);
            secrets.push(row.sealed.expect("it is there"));
        }
    }
    let before = bytes(&folder);
    assert!(secrets.iter().all(|secret| holds(&before, secret)), "they were there");
    assert!(!holds(&before, all[77].expose().as_bytes()) && !holds(&before, all[3].expose().as_bytes()));
    assert_eq!(vault.shred(SCOPE, ids[77]).await.expect("it is destroyed"), [ids[77], again]);
    let after = bytes(&folder);
    assert!(secrets.iter().all(|secret| !holds(&after, secret)), "page, free list and journal are clean");
    for id in [ids[77], again] {
        assert!(matches!(vault.reveal(SCOPE, id).await, Err(VaultError::Shredded(UnixMicros(7)))));
        assert!(matches!(vault.shred(SCOPE, id).await, Err(VaultError::Shredded(_))));
    }
    assert!(vault.reveal(SCOPE, ids[78]).await.expect("its neighbour is whole") == all[78]);
    let fresh = one(&vault, SCOPE, &all[77]).await;
    assert!(fresh != ids[77] && fresh != again, "the same VIN is another vehicle from then on");
}

#[tokio::test]
async fn a_row_moved_to_another_vehicle_does_not_open() {
    let folder = folder();
    let vault = open(&folder).await;
    let (a, b) = (one(&vault, SCOPE, &vin(1)).await, one(&vault, SCOPE, &vin(2)).await);
    let mut connection = vault.file.begin().await.expect("a connection");
    let swap = "UPDATE vault_pseudonym SET vehicle = (SELECT vehicle FROM vault_pseudonym WHERE vehicle_id = ?1), \
                sealed = (SELECT sealed FROM vault_pseudonym WHERE vehicle_id = ?1) WHERE vehicle_id = ?2";
    sqlx::query(swap)
        .bind(a.0.to_vec())
        .bind(b.0.to_vec())
        .execute(&mut *connection)
        .await
        .expect("it is written");
    connection.commit().await.expect("it is written");
    assert!(matches!(vault.reveal(SCOPE, b).await, Err(VaultError::Damaged(_))));
}

#[tokio::test]
async fn the_file_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let _vault = open(&folder).await;
    let rights = std::fs::metadata(folder.path().join("vault.sqlite")).expect("a file").permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
}
