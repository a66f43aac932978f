//! Fixed tables: sorted facts of the model, and recent things with the oldest giving way.

use outrider_types::VehicleMicros;

use super::model::{Record, SegmentModel};

/// Sorted records of a model's list.
#[derive(Debug, Clone)]
pub(super) struct Table<R, const N: usize> {
    rows: [R; N],
    len: usize,
}

impl<R: Record, const N: usize> Table<R, N> {
    /// Copies a list; the format's bound is the table's size.
    pub(super) fn load(model: &SegmentModel<'_>) -> Self {
        let mut table = Self { rows: [R::default(); N], len: 0 };
        for (slot, record) in table.rows.iter_mut().zip(model.list::<R>()) {
            *slot = record;
            table.len = table.len.saturating_add(1);
        }
        table
    }

    fn rows(&self) -> &[R] {
        self.rows.get(..self.len).unwrap_or(&[])
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the place of the record with the probe's key, O(log n).
    pub(super) fn position(&self, probe: &R) -> Option<usize> {
        self.rows().binary_search_by(|row| row.order(probe)).ok()
    }

    pub(super) fn has(&self, probe: &R) -> bool {
        self.position(probe).is_some()
    }

    pub(super) fn row(&self, index: usize) -> Option<&R> {
        self.rows().get(index)
    }

    /// Returns the first record that `is_before` does not put before the wanted one, O(log n).
    pub(super) fn first(&self, is_before: impl Fn(&R) -> bool) -> Option<&R> {
        let rows = self.rows();
        rows.get(rows.partition_point(is_before))
    }
}

/// Recently seen things by key; the one that was silent longest gives its place away.
#[derive(Debug, Clone)]
pub(super) struct Recent<K, V, const N: usize> {
    rows: [Option<(K, V, VehicleMicros)>; N],
}

impl<K: Copy + PartialEq, V: Copy, const N: usize> Recent<K, V, N> {
    pub(super) const fn new() -> Self {
        Self { rows: [None; N] }
    }

    /// Returns value and time of a key, O(N).
    pub(super) fn find(&self, key: K) -> Option<(V, VehicleMicros)> {
        let row = self.rows.iter().flatten().find(|(have, ..)| *have == key)?;
        Some((row.1, row.2))
    }

    /// Returns the value of a key, created if it is not there; the key counts as seen. O(N).
    pub(super) fn entry(&mut self, at: VehicleMicros, key: K, create: impl FnOnce() -> V) -> Option<&mut V> {
        let known = self.rows.iter().position(|row| row.is_some_and(|(have, ..)| have == key));
        let index = known.or_else(|| {
            let oldest = self.rows.iter().enumerate().min_by_key(|(_, row)| row.map(|(.., at)| at));
            oldest.map(|(index, _)| index)
        })?;
        let row = self.rows.get_mut(index)?;
        if known.is_none() {
            *row = Some((key, create(), at));
        }
        row.as_mut().map(|(_, value, last)| {
            *last = at;
            value
        })
    }

    /// Returns when any of them was seen last, O(N).
    pub(super) fn latest(&self) -> Option<VehicleMicros> {
        self.rows.iter().flatten().map(|(.., at)| *at).max()
    }

    pub(super) fn put(&mut self, at: VehicleMicros, key: K, value: V) {
        if let Some(slot) = self.entry(at, key, || value) {
            *slot = value;
        }
    }

    pub(super) fn remove(&mut self, key: K) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.is_some_and(|(have, ..)| have == key)) {
            *row = None;
        }
    }
}
