//! What was understood of a description, and what was not, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use outrider_bus::e2e::Protection;
use outrider_ids::model::protection::Guard;
use serde_json::{Value, json};

use super::model::{Description, Frame, FrameKey, Medium};

/// Lines of a list that people are shown; programs get all.
const SHOWN: usize = 20;

/// Returns the key of a frame as the JSON report has it.
fn key(frame: &Frame) -> Value {
    match frame.key {
        FrameKey::Can(id) => json!({"can_id": id.value(), "extended": id.is_extended(), "fd": frame.is_fd}),
        FrameKey::Lin(id) => json!({"lin_id": id}),
        FrameKey::FlexRay { slot, base_cycle, repetition } => {
            json!({"slot": slot, "base_cycle": base_cycle, "repetition": repetition})
        }
    }
}

/// Returns what protects a frame in words.
pub(crate) const fn guard(guard: &Guard) -> &'static str {
    match guard {
        Guard::E2e(Protection::P01(_)) => "e2e 1",
        Guard::E2e(Protection::P02(_)) => "e2e 2",
        Guard::E2e(Protection::P04(_)) => "e2e 4",
        Guard::E2e(Protection::P05(_)) => "e2e 5",
        Guard::Secured(_) => "secoc",
    }
}

fn medium(key: FrameKey) -> Medium {
    match key {
        FrameKey::Can(_) => Medium::Can,
        FrameKey::Lin(_) => Medium::Lin,
        FrameKey::FlexRay { .. } => Medium::FlexRay,
    }
}

/// Returns the whole report as one object.
#[must_use]
pub fn json(description: &Description) -> Value {
    let frame = |frame: &Frame| {
        json!({
            "name": frame.name,
            "cluster": frame.cluster,
            "medium": medium(frame.key).word(),
            "key": key(frame),
            "bytes": frame.bytes,
            "cycle_us": frame.cycle_us,
            "senders": frame.senders,
            "line": frame.place.line,
            "signals": frame.signals.iter().map(|signal| json!({
                "name": signal.name,
                "start_bit": signal.start_bit,
                "bits": signal.bits,
                "big_endian": signal.order == outrider_bus::can::ByteOrder::Big,
                "kind": format!("{:?}", signal.kind).to_lowercase(),
                "factor": signal.factor,
                "offset": signal.offset,
                "min": signal.min,
                "max": signal.max,
                "unit": signal.unit,
                "values": signal.values.len(),
            })).collect::<Vec<_>>(),
        })
    };
    let (protected, offered) = (description.protected(), description.offered());
    json!({
        "format": description.format.word(),
        "nodes": description.nodes,
        "clusters": description.clusters.iter().map(|cluster| json!({
            "name": cluster.name, "medium": cluster.medium.word(), "bit_rate": cluster.bit_rate,
            "static_slots": cluster.static_slots, "static_words": cluster.static_words,
        })).collect::<Vec<_>>(),
        "frames": description.frames.iter().map(frame).collect::<Vec<_>>(),
        "schedules": description.schedules.iter().map(|schedule| json!({
            "name": schedule.name,
            "cluster": schedule.cluster,
            "entries": schedule.entries.iter()
                .map(|entry| json!({"frame": entry.frame, "delay_us": entry.delay_us})).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "shared_slots": description.shared_slots.iter()
            .map(|slot| json!({"name": slot.name, "lin_id": slot.id, "frames": slot.frames})).collect::<Vec<_>>(),
        "enhanced_checksums": description.has_enhanced_checksums,
        "services": description.services.iter().map(|service| json!({
            "name": service.name,
            "service_id": service.service_id,
            "provided": service.provided,
            "required": service.required,
            "methods": service.methods,
            "events": service.events,
            "event_groups": service.event_groups,
            "offers": service.offers.iter().map(|offer| json!({
                "instance": offer.instance, "address": offer.address.map(|address| address.to_string()),
                "protocol": if offer.is_udp { "udp" } else { "tcp" }, "port": offer.port,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "e2e": description.protections.iter().map(|one| json!({
            "name": one.name, "profile": one.profile, "pdu": one.pdu, "data_ids": one.data_ids,
            "offset_bit": one.offset_bit, "data_bits": one.data_bits, "counter_bit": one.counter_bit, "crc_bit": one.crc_bit,
            "max_delta": one.max_delta, "header_bit": one.header_bit, "data_id_mode": one.data_id_mode,
        })).collect::<Vec<_>>(),
        "secured_pdus": description.secured.iter().map(|one| json!({
            "name": one.name, "payload": one.payload, "data_id": one.data_id, "bytes": one.bytes,
            "freshness_bits": one.freshness_bits, "freshness_tx_bits": one.freshness_tx_bits,
            "auth_tx_bits": one.auth_tx_bits,
        })).collect::<Vec<_>>(),
        "model": {
            "can_frames": description.frames.iter().filter(|frame| medium(frame.key) == Medium::Can).count(),
            "protected": protected.frames.iter().map(|one| json!({
                "can_id": one.id.value(), "extended": one.id.is_extended(), "guard": guard(&one.guard),
                "start": one.start, "bytes": one.bytes, "step_max": one.step_max,
            })).collect::<Vec<_>>(),
            "offers": offered.offers.len(),
            "left_out": protected.left_out.iter().chain(&offered.left_out).collect::<Vec<_>>(),
        },
        "security_events": description.security_events.iter().map(|one| json!({
            "name": one.name, "id": one.id, "symbol": one.symbol,
            "contexts": one.contexts.iter().map(|context| json!({
                "name": context.name, "sensor": context.sensor, "severity": context.severity,
                "reporting_mode": context.reporting_mode, "persistent": context.is_persistent,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "not_understood": description.not_understood.iter().map(|(element, one)| json!({
            "element": element, "count": one.count, "line": one.first.line, "column": one.first.column,
            "reason": "not used",
        })).collect::<Vec<_>>(),
        "problems_total": description.problems_total,
        "problems": description.problems.iter().map(|problem| json!({
            "element": problem.element, "line": problem.place.line, "column": problem.place.column,
            "reason": problem.reason.word(), "detail": problem.detail,
        })).collect::<Vec<_>>(),
    })
}

/// Returns the report for people: counts, then what was not understood, then what was refused.
#[must_use]
pub fn text(description: &Description) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}: understood", description.format.word());
    let signals: usize = description.frames.iter().map(|frame| frame.signals.len()).sum();
    let mut by_medium: BTreeMap<Medium, (usize, usize)> = BTreeMap::new();
    for frame in &description.frames {
        let counts = by_medium.entry(medium(frame.key)).or_default();
        counts.0 += 1;
        counts.1 += usize::from(frame.cycle_us.is_some());
    }
    let _ = writeln!(out, "  {} ECUs, {} clusters", description.nodes.len(), description.clusters.len());
    for (medium, (frames, cyclic)) in by_medium {
        let _ = writeln!(out, "  {frames} {} frames, {cyclic} with a cycle", medium.word());
    }
    let rest = [
        (signals, "signals"),
        (description.schedules.len(), "schedules"),
        (description.shared_slots.len(), "sporadic and event-triggered frames"),
        (description.services.len(), "SOME/IP services"),
        (description.protections.len(), "E2E protections"),
        (description.secured.len(), "secured PDUs"),
        (description.security_events.len(), "security events"),
    ];
    for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(out, "  {count} {what}");
    }
    let (protected, offered) = (description.protected(), description.offered());
    let can = description.frames.iter().filter(|frame| medium(frame.key) == Medium::Can).count();
    let (frames, offers) = (protected.frames.len(), offered.offers.len());
    let _ = writeln!(
        out,
        "a model takes: {can} CAN frames, protection of {frames} of them, {offers} service offers"
    );
    let left_out: Vec<&String> = protected.left_out.iter().chain(&offered.left_out).collect();
    let _ = writeln!(out, "a model leaves out: {}", left_out.len());
    for one in left_out.iter().take(SHOWN) {
        let _ = writeln!(out, "  {one}");
    }
    more(&mut out, left_out.len() as u64);
    let mut kinds: Vec<_> = description.not_understood.iter().collect();
    kinds.sort_by(|one, other| other.1.count.cmp(&one.1.count).then(one.0.cmp(other.0)));
    let total: u64 = kinds.iter().map(|(_, one)| one.count).sum();
    let _ = writeln!(out, "not understood: {total} elements of {} kinds", kinds.len());
    for (element, one) in kinds.iter().take(SHOWN) {
        let place = if one.first.line == 0 { String::new() } else { format!(", first at {}", one.first) };
        let _ = writeln!(out, "  {element}: {} not used{place}", one.count);
    }
    more(&mut out, kinds.len() as u64);
    let _ = writeln!(out, "refused or incomplete: {}", description.problems_total);
    for problem in description.problems.iter().take(SHOWN) {
        let _ = writeln!(out, "  {problem}");
    }
    more(&mut out, description.problems_total);
    out
}

fn more(out: &mut String, count: u64) {
    let hidden = count.saturating_sub(SHOWN as u64);
    if hidden > 0 {
        let _ = writeln!(out, "  … and {hidden} more (--json lists all)");
    }
}
