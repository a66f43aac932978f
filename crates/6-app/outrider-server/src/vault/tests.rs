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
async fn pseudonyms_of_before_the_vault_are_taken_over_once_and_end_with_a_shred_or_an_epoch() {
    let folder = folder();
    let vault = open(&folder).await;
    let names = NameKey::new([5; 32]);
    let (a, b, c) = (vin(1), vin(2), vin(3));
    let former = |vin: &Vin| names.of_vin(SCOPE.tenant, vin);
    vault.take_over(SCOPE, &names).await.expect("nothing has begun");
    assert!(matches!(vault.take_over(SCOPE, &names).await, Err(VaultError::Begun)));
    let seen = vault.look_up(SCOPE, &[&a]).await.expect("it reads");
    assert_eq!(seen, [LookedUp::Former(former(&a))]);
    assert!(matches!(vault.reveal(SCOPE, former(&a)).await, Err(VaultError::Unknown)), "nothing was stored");
    assert_eq!(vault.stand_ins(SCOPE, &[&a]).await.expect("it reads"), [former(&a)]);
    let ids = vault.assign(SCOPE, &[&a, &b, &a]).await.expect("pseudonyms");
    assert_eq!(ids, [former(&a), former(&b), former(&a)], "they stay what they are");
    assert!(vault.reveal(SCOPE, ids[0]).await.expect("it resolves") == a);
    assert_eq!(vault.look_up(SCOPE, &[&a]).await.expect("it reads"), [LookedUp::Known(ids[0])]);
    vault.shred(SCOPE, ids[0]).await.expect("it is destroyed");
    assert_eq!(vault.look_up(SCOPE, &[&a]).await.expect("it reads"), [LookedUp::New]);
    let again = one(&vault, SCOPE, &a).await;
    assert_ne!(again, ids[0], "what was destroyed does not come back");
    assert_ne!(one(&vault, OTHER, &a).await, names.of_vin(OTHER.tenant, &a), "of this tenant alone");
    vault.rotate(SCOPE, Linking::Keep).await.expect("an epoch");
    assert_eq!(one(&vault, SCOPE, &b).await, ids[1]);
    assert_eq!(vault.look_up(SCOPE, &[&c]).await.expect("it reads"), [LookedUp::New]);
    assert_ne!(one(&vault, SCOPE, &c).await, former(&c), "a new epoch has a key of the vault");
    vault.rotate(SCOPE, Linking::Break).await.expect("an epoch");
    assert_ne!(one(&vault, SCOPE, &b).await, ids[1]);
}

#[tokio::test]
async fn a_vault_of_version_1_opens_with_what_it_had() {
    let folder = folder();
    let path = folder.path().join("vault.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.expect("a file");
    sqlx::raw_sql(include_str!("schema.sql")).execute(&pool).await.expect("the tables of version 1");
    let keys = master(1).tenant(SCOPE.tenant);
    let key = EpochKey::draw(&*random());
    sqlx::query("INSERT INTO vault_epoch (tenant, epoch, wrapped, keeps, begun_at) VALUES (1, 1, ?, 1, 7)")
        .bind(keys.wrap_epoch(1, &key, [7; 12]))
        .execute(&pool)
        .await
        .expect("an epoch");
    sqlx::raw_sql("PRAGMA user_version = 1").execute(&pool).await.expect("a version");
    pool.close().await;
    for _ in 0..2 {
        let vault = open(&folder).await;
        assert_eq!(vault.changes().await.expect("it reads"), 0);
        let id = one(&vault, SCOPE, &vin(1)).await;
        assert!(vault.reveal(SCOPE, id).await.expect("it resolves") == vin(1));
        let (epoch, found) = {
            let mut connection = vault.file.begin().await.expect("a connection");
            vault.current_epoch(&mut connection, &keys, SCOPE).await.expect("an epoch")
        };
        assert!(epoch == 1 && found.names().is_none(), "the epoch that was there");
        vault.close().await;
    }
}

#[tokio::test]
async fn what_goes_out_of_use_is_counted_whoever_does_it() {
    let folder = folder();
    let (vault, other) = (open(&folder).await, open(&folder).await);
    let id = one(&vault, SCOPE, &vin(1)).await;
    assert_eq!(vault.changes().await.expect("it reads"), 0, "what is new changes nothing that was given");
    other.shred(SCOPE, id).await.expect("it is destroyed");
    assert_eq!(vault.changes().await.expect("it reads"), 1);
    other.rotate(SCOPE, Linking::Break).await.expect("an epoch");
    assert_eq!(vault.changes().await.expect("it reads"), 2);
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
