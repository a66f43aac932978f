use super::*;

fn row(seq: u64, context: &[u8]) -> EventRow<'_> {
    EventRow {
        tenant: TenantId(1),
        id: EventId { vehicle: VehicleId([1; 16]), epoch: BootEpoch(2), lane: Lane::Batched, seq: Seq(seq) },
        event_type: EventTypeId(100),
        severity: Severity::Medium,
        time: EventTime { best: UnixMicros(10), error_us: 3 },
        ingest: IngestTime(UnixMicros(20)),
        mono: VehicleMicros(5),
        count: 1,
        span: (VehicleMicros(5), VehicleMicros(5)),
        bus: Some(BusId(1)),
        context,
    }
}

fn key(name: &str) -> FieldKey {
    catalogue::field_by_name(name).expect("the field is in the catalogue").key
}

#[test]
fn rows_come_back_as_they_were_pushed() {
    let mut batch = EventBatch::new();
    batch.push(&row(1, b"abc"));
    assert!(batch.set_field(key("can_id"), FieldValue::Int(0x123)));
    batch.push(&row(2, b""));
    batch.push(&row(3, b"z"));
    assert!(batch.set_field(key("detector"), FieldValue::Text("cycle")));
    batch.seal();
    assert_eq!(batch.row(0).field(key("can_id")), Some(FieldValue::Int(0x123)));
    assert_eq!(batch.row(1).fields().count(), 0);
    assert_eq!(batch.row(2).field(key("detector")), Some(FieldValue::Text("cycle")));
    assert_eq!((batch.context(0), batch.context(1), batch.context(2)), (&b"abc"[..], &b""[..], &b"z"[..]));
    assert_eq!(batch.row(2).id(), row(3, b"z").id);
}

#[test]
fn a_field_of_another_type_an_unknown_field_and_a_second_value_are_refused() {
    let mut batch = EventBatch::new();
    assert!(!batch.set_field(key("can_id"), FieldValue::Int(1)), "there is no row yet");
    batch.push(&row(1, b""));
    assert!(!batch.set_field(key("can_id"), FieldValue::Text("1")));
    assert!(!batch.set_field(FieldKey(0), FieldValue::Int(1)));
    assert!(batch.set_field(key("can_id"), FieldValue::Int(1)));
    assert!(!batch.set_field(key("can_id"), FieldValue::Int(2)));
    assert!(batch.set_field(key("voltage_v"), FieldValue::Int(400)), "an integer fits a physical value");
    batch.seal();
    assert_eq!(batch.row(0).field(key("can_id")), Some(FieldValue::Int(1)));
}

#[test]
fn enrichment_and_extensions_survive_an_append() {
    let vehicle = VehicleRecord {
        vehicle: VehicleId([1; 16]),
        tenant: TenantId(1),
        model_line: "Aster".to_owned(),
        platform: "P1".to_owned(),
        model_year: 2026,
        release: "24.1".to_owned(),
        region: "DE".to_owned(),
        h3: Some(7),
        connectivity: crate::Connectivity::Cellular,
        ..VehicleRecord::default()
    };
    let mut first = EventBatch::new();
    first.push(&row(1, b"x"));
    let mut second = EventBatch::new();
    second.push(&row(2, b"yy"));
    second.enrich_last(Some(&vehicle), Some("gateway"));
    second.set_extension("acme.temperature", "21");
    second.set_field(key("can_id"), FieldValue::Int(9));
    second.seal();
    first.append(&second);
    assert_eq!(first.rows(), 2);
    assert_eq!((first.model_line.get(0), first.model_line.get(1)), (None, Some("Aster")));
    assert_eq!(first.h3, [0, 7]);
    assert_eq!(first.model_year, [-1, 2026]);
    assert_eq!((first.monitoring.get(0), first.monitoring.get(1)), (None, Some("full")));
    assert_eq!(first.extensions["acme.temperature"].get(1), Some("21"));
    assert_eq!(first.context(1), b"yy");
    assert_eq!(first.row(1).field(key("can_id")), Some(FieldValue::Int(9)));
    assert_eq!(first.row(0).field(key("can_id")), None);
}

#[test]
fn a_row_is_out_of_scope_only_if_the_registry_says_so() {
    let mut batch = EventBatch::new();
    let stages = MonitoringStage::ALL.map(|stage| Some(VehicleRecord { stage, ..VehicleRecord::default() }));
    for record in stages.iter().chain([&None]) {
        batch.push(&row(1, b""));
        batch.enrich_last(record.as_ref(), None);
    }
    batch.push(&row(1, b""));
    batch.seal();
    let scope: Vec<_> = (0..7).map(|row| batch.is_out_of_scope(row)).collect();
    assert_eq!(scope, [true, true, false, false, false, false, false]);
    let words: Vec<_> = (0..6).map(|row| batch.monitoring.get(row)).collect();
    let expected =
        [Some("out_of_scope"), Some("planned"), Some("pilot"), Some("full"), Some(UNREGISTERED), None];
    assert_eq!(words, expected);
}
