//! Proves that the detectors never allocate after they were made.
#![expect(clippy::print_stdout, reason = "the measurement is worth a line")]

fn count(work: &mut dyn FnMut()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn taking_frames_allocates_nothing_even_under_attack() {
    let mut kept = Vec::new();
    let probe = count(&mut || kept.extend_from_slice(&[1u8; 100]));
    assert!(probe > 0, "the allocator counts, or zero would prove nothing");
    let bench = outrider_agent::bench::edge(30, Some(&count));
    println!("{bench:?}");
    assert_eq!(bench.allocations, Some(0));
    assert!(bench.observations > 0, "the attacks must have been seen");
    assert!(bench.frames > 10_000);
    assert!(bench.state_bytes_per_bus <= 256 * 1024, "{} bytes", bench.state_bytes_per_bus);
}
