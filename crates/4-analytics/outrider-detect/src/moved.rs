//! State that moves from one correlator to another.

use core::ops::RangeInclusive;

use crate::compact;
use crate::names::Names;
use crate::route::Route;
use crate::snapshot;
use crate::table::{Group, Table};

/// Writes the groups of a part of the ring as a snapshot with a dictionary of their own.
pub(crate) fn export(names: &Names, tables: &[Table], part: &RangeInclusive<Route>, out: &mut Vec<u8>) {
    let mut taken = Vec::with_capacity(tables.len());
    for table in tables {
        let mut some = emptied(table);
        for (key, group) in table.keys.iter().zip(&table.groups) {
            if part.contains(&Route::of(&table.spec.rule.0, key)) {
                push(&mut some, key, group.clone());
            }
        }
        taken.push(some);
    }
    let mut names = names.clone();
    compact::compact(&mut names, &mut taken);
    snapshot::save(&names, &taken, out);
}

/// Leaves out the groups of a part of the ring.
pub(crate) fn forget(table: &mut Table, part: &RangeInclusive<Route>) {
    keep(table, |place| !part.contains(&place));
}

/// Puts groups in the place of those of a part of the ring; false if the dictionary has no room, and then nothing
/// changed but names that nobody uses.
pub(crate) fn import(
    names: &mut Names,
    tables: &mut [Table],
    part: &RangeInclusive<Route>,
    (from, others): (&Names, Vec<Table>),
) -> bool {
    let Some(renumbered) = compact::merge(names, from) else { return false };
    for (table, mut other) in tables.iter_mut().zip(others) {
        keep(&mut other, |place| part.contains(&place));
        renumbered.table(&mut other);
        forget(table, part);
        for (key, group) in other.keys.iter().zip(other.groups) {
            push(table, key, group);
        }
        // What one of the two has forgotten must not be counted again.
        table.floor = table.floor.max(other.floor);
    }
    true
}

/// Keeps some of the groups.
fn keep(table: &mut Table, is_kept: impl Fn(Route) -> bool) {
    let mut kept = emptied(table);
    for (key, group) in table.keys.iter().zip(std::mem::take(&mut table.groups)) {
        if is_kept(Route::of(&table.spec.rule.0, key)) {
            push(&mut kept, key, group);
        }
    }
    *table = kept;
}

fn emptied(table: &Table) -> Table {
    let mut emptied = Table::new(table.spec.clone(), table.keys.key());
    emptied.floor = table.floor;
    emptied
}

/// Adds a group. The table may then hold more than its limit: these events were counted elsewhere.
fn push(table: &mut Table, key: &[u8], group: Group) {
    table.keys.intern(key).expect("two correlators together hold less text than 4 GiB");
    table.entries += group.panes.values().map(|cell| cell.events() as u64).sum::<u64>();
    table.groups.push(group);
}
