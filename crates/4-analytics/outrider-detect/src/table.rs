//! The state of one rule: its groups, their panes and the findings that stand.

use std::collections::BTreeMap;

use outrider_model::{Finding, FindingId, GroupKey, Matched, RuleId, Window};
use outrider_types::{EventId, TenantId, UnixMicros, VehicleId};
use sha2::{Digest, Sha256};

use crate::cell::{Agreed, Cell, Counted, Entry, Inserted};
use crate::intern::Interner;
use crate::names::{EventKey, Names};
use crate::spec::{Spec, Windows};
use crate::summary;
use crate::sweep::{self, Span};

/// One match of a rule, ready to be counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered {
    pub(crate) time: UnixMicros,
    pub(crate) event: EventKey,
    pub(crate) vehicle: u32,
    pub(crate) model: u32,
    pub(crate) value: u32,
    pub(crate) late: bool,
    pub(crate) uncertain: bool,
}

/// Why a match was not counted, or that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    New { group: u32, pane: i64 },
    Duplicate,
    BeyondHorizon,
    GroupsFull,
    EntriesFull,
    PaneFull,
}

/// Overlapping qualifying windows, and the finding that stands for them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Episode {
    pub(crate) span: Span,
    pub(crate) revision: u32,
    pub(crate) late: bool,
    pub(crate) stated: Stated,
}

/// What a finding's newest revision says; it is only restated when this changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) events: u64,
    /// Model line and uncertain time are kept by pane, so an event beside the episode can change them.
    pub(crate) model: Agreed,
    pub(crate) uncertain: bool,
}

/// Conditions met by the lowest event of a fixed window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Explained {
    pub(crate) event: EventId,
    pub(crate) matched: Vec<Matched>,
}

/// State of one group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    pub(crate) panes: BTreeMap<i64, Cell>,
    /// Sum of the cells' distinct counts: below the threshold no window can qualify.
    pub(crate) distinct_sum: u64,
    /// Ascending, apart.
    pub(crate) episodes: Vec<Episode>,
    pub(crate) explained: BTreeMap<i64, Explained>,
}

/// State of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) spec: Spec,
    pub(crate) keys: Interner,
    pub(crate) groups: Vec<Group>,
    pub(crate) entries: u64,
    /// Start of the earliest pane that may still exist.
    pub(crate) floor: i64,
    /// Panes changed since the last evaluation, and whether by a late event.
    dirty: Vec<(u32, i64, bool)>,
}

impl Table {
    pub(crate) fn new(spec: Spec, hash_key: u64) -> Self {
        assert!(spec.pane_us > 0 && spec.pane_us <= i64::from(u32::MAX), "an offset in a pane takes 32 bits");
        assert!(spec.length_us >= spec.pane_us, "a window is at least a pane long");
        Self {
            spec,
            keys: Interner::new(hash_key),
            groups: Vec::new(),
            entries: 0,
            floor: i64::MIN,
            dirty: Vec::new(),
        }
    }

    /// Counts a match, idempotently.
    pub(crate) fn insert(&mut self, key: &[u8], it: Numbered, names: &Names) -> Outcome {
        if it.time.0 < self.floor {
            return Outcome::BeyondHorizon;
        }
        let group = match self.keys.find(key) {
            Some(group) => group,
            None if self.groups.len() >= self.spec.groups_max => return Outcome::GroupsFull,
            None => match self.keys.intern(key) {
                Some(group) => group,
                None => return Outcome::GroupsFull,
            },
        };
        if self.groups.len() <= group as usize {
            self.groups.push(Group::default());
        }
        let pane = it.time.0.div_euclid(self.spec.pane_us);
        let time = u32::try_from(it.time.0.rem_euclid(self.spec.pane_us)).expect("a pane is below 2^32 µs");
        let state = &mut self.groups[group as usize];
        let full = self.entries >= self.spec.entries_max;
        let cell = state.panes.entry(pane).or_insert_with(Cell::new);
        let before = cell.distinct;
        let entry = Entry { value: it.value, time, event: it.event };
        let inserted = if full && !cell.holds(&entry) {
            Inserted::Full
        } else {
            cell.insert(entry, it.vehicle, &self.spec.shape, names)
        };
        let (distinct, empty) = (cell.distinct, cell.events() == 0);
        if inserted == Inserted::New {
            cell.uncertain |= it.uncertain;
            cell.model = cell.model.and(Agreed::on(it.model));
        }
        if empty {
            state.panes.remove(&pane);
        }
        match inserted {
            Inserted::Duplicate => Outcome::Duplicate,
            Inserted::Full if full => Outcome::EntriesFull,
            Inserted::Full => Outcome::PaneFull,
            Inserted::New => {
                state.distinct_sum += u64::from(distinct.saturating_sub(before));
                self.entries += 1;
                if self.dirty.last() != Some(&(group, pane, it.late)) {
                    self.dirty.push((group, pane, it.late));
                }
                Outcome::New { group, pane }
            }
        }
    }

    /// Keeps the conditions that the lowest event of a fixed window met; `explain` is only called if needed.
    pub(crate) fn explain(
        &mut self,
        group: u32,
        pane: i64,
        event: EventId,
        explain: impl FnOnce() -> Option<Vec<Matched>>,
    ) {
        let Some(state) = self.groups.get_mut(group as usize) else { return };
        if state.explained.get(&pane).is_none_or(|known| event < known.event)
            && let Some(matched) = explain()
        {
            state.explained.insert(pane, Explained { event, matched });
        }
    }

    /// Evaluates every changed pane and appends new findings and revisions.
    pub(crate) fn evaluate(&mut self, names: &Names, now: UnixMicros, findings: &mut Vec<Finding>) {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for chunk in dirty.chunk_by(|left, right| left.0 == right.0) {
            let group = chunk[0].0;
            let found = match self.spec.windows {
                Windows::Sliding => self.slide(group, chunk),
                Windows::Fixed => self.fixed(group, chunk),
            };
            self.settle(group, found, chunk, Statement { names, now, findings });
        }
        dirty.clear();
        self.dirty = dirty;
    }

    /// Marks everything as changed.
    fn mark_all(&mut self, group: u32) {
        let Some(state) = self.groups.get(group as usize) else { return };
        self.dirty.extend(state.panes.keys().map(|pane| (group, *pane, false)));
    }

    /// Finds qualifying spans whose windows hold a changed pane.
    fn slide(&self, group: u32, dirty: &[(u32, i64, bool)]) -> Vec<Span> {
        let state = &self.groups[group as usize];
        if state.distinct_sum < self.spec.need {
            return Vec::new();
        }
        let (reach, pane_us, length) = (self.spec.reach(), self.spec.pane_us, self.spec.length_us);
        let mut spans = Vec::new();
        let mut points = Vec::new();
        for run in dirty.chunk_by(|left, right| right.1 - left.1 <= reach) {
            let (low, high) = (run[0].1, run[run.len() - 1].1);
            if self.covered(state, low, high) || !self.may_qualify(state, low - reach, high + reach) {
                continue;
            }
            points.clear();
            for (pane, cell) in state.panes.range(low - reach..=high + reach) {
                cell.points(pane * pane_us, self.spec.shape.counted, &mut points);
            }
            let starts = Span { from: (low - reach) * pane_us, to: (high + 1) * pane_us - 1 };
            spans.append(&mut match self.spec.shape.counted {
                Counted::OrderedSteps => sweep::in_order(&mut points, starts, length, self.spec.need),
                Counted::Events | Counted::Vehicles | Counted::Values | Counted::Steps => {
                    sweep::qualifying(&mut points, starts, length, self.spec.need)
                }
            });
        }
        spans
    }

    /// Returns whether every window that touches these panes lies in an episode already.
    fn covered(&self, state: &Group, low: i64, high: i64) -> bool {
        let from = low * self.spec.pane_us - self.spec.length_us;
        let to = (high + 1) * self.spec.pane_us + self.spec.length_us;
        state.episodes.iter().any(|episode| episode.span.from <= from && episode.span.to >= to)
    }

    /// Bounds the distinct count of any window within these panes from above.
    fn may_qualify(&self, state: &Group, low: i64, high: i64) -> bool {
        let reach = self.spec.reach();
        let cells: Vec<(i64, u64)> =
            state.panes.range(low..=high).map(|(pane, cell)| (*pane, u64::from(cell.distinct))).collect();
        let (mut start, mut sum) = (0, 0);
        for (pane, distinct) in &cells {
            sum += distinct;
            while cells[start].0 < pane - reach {
                sum -= cells[start].1;
                start += 1;
            }
            if sum >= self.spec.need {
                return true;
            }
        }
        false
    }

    /// Finds the span of each changed fixed window.
    fn fixed(&self, group: u32, dirty: &[(u32, i64, bool)]) -> Vec<Span> {
        let state = &self.groups[group as usize];
        let mut panes: Vec<i64> = dirty.iter().map(|it| it.1).collect();
        panes.dedup();
        let span = |pane: i64| {
            let (first, last) = state.panes.get(&pane)?.extent()?;
            let start = pane * self.spec.pane_us;
            Some(Span { from: start + i64::from(first), to: start + i64::from(last) })
        };
        panes.into_iter().filter_map(span).collect()
    }

    /// Joins the spans found with the episodes that stand, and states what changed.
    fn settle(&mut self, group: u32, found: Vec<Span>, dirty: &[(u32, i64, bool)], mut out: Statement<'_>) {
        let old = std::mem::take(&mut self.groups[group as usize].episodes);
        let mut parts: Vec<(Span, Option<Episode>)> = found.into_iter().map(|span| (span, None)).collect();
        parts.extend(old.into_iter().map(|episode| (episode.span, Some(episode))));
        parts.sort_by_key(|part| part.0);
        let mut index = 0;
        let mut episodes = Vec::with_capacity(parts.len());
        while index < parts.len() {
            let mut spans = vec![parts[index].0];
            let mut members = Vec::new();
            while index < parts.len() && self.same_episode(spans[0], parts[index].0) {
                sweep::join(&mut spans, parts[index].0);
                members.extend(parts[index].1.take());
                index += 1;
            }
            episodes.push(self.restate(group, spans[0], members, dirty, &mut out));
        }
        self.groups[group as usize].episodes = episodes;
    }

    fn same_episode(&self, left: Span, right: Span) -> bool {
        match self.spec.windows {
            Windows::Sliding => right.from <= left.to,
            Windows::Fixed => self.anchor(left) == self.anchor(right),
        }
    }

    /// Returns the number of the window-long stretch of time in which a span starts.
    ///
    /// DET-2: the starts of two episodes of one group are more than a window apart, so this tells them apart;
    /// and it depends on the events alone, never on their order.
    fn anchor(&self, span: Span) -> i64 {
        span.from.div_euclid(self.spec.length_us)
    }

    fn restate(
        &self,
        group: u32,
        span: Span,
        members: Vec<Episode>,
        dirty: &[(u32, i64, bool)],
        out: &mut Statement<'_>,
    ) -> Episode {
        let pane = |time: i64| time.div_euclid(self.spec.pane_us);
        let touched = |it: &&(u32, i64, bool)| it.1 >= pane(span.from) && it.1 <= pane(span.to);
        let anchor = self.anchor(span);
        let late_before = members.iter().any(|member| member.late);
        let mut known = None;
        for member in members {
            if self.anchor(member.span) == anchor {
                known = Some(member);
            } else {
                out.findings.push(self.withdraw(group, &member, out));
            }
        }
        if let Some(known) = &known
            && known.span == span
            && dirty.iter().find(touched).is_none()
        {
            return known.clone();
        }
        let summary = summary::summarise(&self.groups[group as usize], &self.spec, span, out.names);
        let unchanged = known.as_ref().is_some_and(|it| it.span == span && it.stated == summary.stated);
        let late = late_before || dirty.iter().filter(touched).any(|it| it.2);
        let revision = known.as_ref().map_or(0, |it| it.revision);
        if unchanged {
            return known.expect("unchanged only if known");
        }
        let episode = Episode { span, revision: revision.saturating_add(1), late, stated: summary.stated };
        let finding = self.finding(group, &episode, out);
        out.findings.push(Finding {
            value: Some(summary.distinct),
            event_count: summary.stated.events,
            vehicle_count: summary.vehicles,
            model_line: summary.model_line,
            evidence: summary.evidence,
            ..finding
        });
        episode
    }

    fn withdraw(&self, group: u32, episode: &Episode, out: &Statement<'_>) -> Finding {
        let revision = episode.revision.saturating_add(1);
        let last = Episode { revision, ..episode.clone() };
        Finding { withdrawn: true, event_count: episode.stated.events, ..self.finding(group, &last, out) }
    }

    /// Builds the frame of a finding, without counts and evidence.
    fn finding(&self, group: u32, episode: &Episode, out: &Statement<'_>) -> Finding {
        let key = self.keys.get(group);
        let (tenant, group) = self.decode_key(key);
        let window = Window { from: UnixMicros(episode.span.from), to: UnixMicros(episode.span.to) };
        Finding {
            id: finding_id(&self.spec.rule, key, self.anchor(episode.span)),
            tenant,
            rule: self.spec.rule.clone(),
            group,
            window,
            revision: episode.revision,
            late: episode.late,
            severity: self.spec.severity,
            threshold: Some(self.spec.need),
            value: None,
            event_count: 0,
            vehicle_count: 0,
            model_line: None,
            evidence: outrider_model::Evidence::default(),
            detected_at: out.now,
            withdrawn: false,
        }
    }

    /// Turns the bytes of a group key back into names and texts.
    pub(crate) fn decode_key(&self, key: &[u8]) -> (TenantId, GroupKey) {
        let mut rest = key;
        let tenant = take_u32(&mut rest);
        let mut fields = Vec::with_capacity(self.spec.group_by.len());
        for field in &self.spec.group_by {
            let length = (take_u32(&mut rest) as usize).min(rest.len());
            let (value, after) = rest.split_at(length);
            rest = after;
            let vehicle = <[u8; 16]>::try_from(value).ok().filter(|_| field.is_vehicle);
            let text = vehicle.map_or_else(
                || String::from_utf8_lossy(value).into_owned(),
                |bytes| VehicleId(bytes).to_string(),
            );
            fields.push((field.name.to_owned(), text));
        }
        (TenantId(tenant), GroupKey(fields))
    }

    /// Forgets panes that no event within the horizon can reach any more.
    ///
    /// A finding that began earlier keeps its panes until it ends, unless it is longer than two horizons:
    /// then it is closed as it stands, and what goes on becomes a new finding.
    pub(crate) fn forget(&mut self, watermark: UnixMicros) {
        let spec = &self.spec;
        let oldest = watermark.0.saturating_sub(spec.horizon_us).saturating_sub(spec.length_us);
        let floor = oldest.div_euclid(spec.pane_us).saturating_mul(spec.pane_us);
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        for group in 0..u32::try_from(self.groups.len()).expect("groups are numbered in 32 bits") {
            let (dropped, cut) = self.groups[group as usize].forget(floor, &self.spec);
            self.entries -= dropped;
            if cut {
                self.mark_all(group);
            }
        }
        self.drop_empty_groups();
    }

    /// Renumbers the groups once most are empty.
    fn drop_empty_groups(&mut self) {
        let live = self.groups.iter().filter(|group| !group.panes.is_empty()).count();
        if !self.dirty.is_empty() || self.groups.len() < 1024 || live * 2 > self.groups.len() {
            return;
        }
        let mut keys = self.keys.emptied();
        let mut groups = Vec::with_capacity(live);
        for (key, group) in self.keys.iter().zip(std::mem::take(&mut self.groups)) {
            if !group.panes.is_empty() {
                keys.intern(key);
                groups.push(group);
            }
        }
        self.keys = keys;
        self.groups = groups;
    }
}

/// Where findings go while a group is settled.
struct Statement<'a> {
    names: &'a Names,
    now: UnixMicros,
    findings: &'a mut Vec<Finding>,
}

impl Group {
    /// Returns how many events were forgotten, and whether a finding was cut.
    fn forget(&mut self, floor: i64, spec: &Spec) -> (u64, bool) {
        let mut cut = false;
        let mut keep = floor;
        self.episodes.retain(|episode| {
            if episode.span.from >= floor {
                return true;
            }
            let too_long = (episode.span.to - episode.span.from) / 2 > spec.horizon_us;
            if episode.span.to >= floor && !too_long {
                keep = keep.min(episode.span.from);
                return true;
            }
            cut |= too_long && episode.span.to >= floor;
            false
        });
        let kept = self.panes.split_off(&keep.div_euclid(spec.pane_us));
        let gone = std::mem::replace(&mut self.panes, kept);
        self.explained = self.explained.split_off(&keep.div_euclid(spec.pane_us));
        self.distinct_sum -= gone.values().map(|cell| u64::from(cell.distinct)).sum::<u64>();
        (gone.values().map(|cell| cell.events() as u64).sum(), cut)
    }
}

fn take_u32(bytes: &mut &[u8]) -> u32 {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return 0 };
    *bytes = rest;
    u32::from_le_bytes(*head)
}

/// DET-2: the identity depends on rule, tenant, group and start alone.
fn finding_id(rule: &RuleId, key: &[u8], anchor: i64) -> FindingId {
    let mut hash = Sha256::new();
    for part in [rule.0.as_bytes(), key] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(anchor.to_le_bytes());
    let mut id = [0u8; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    FindingId(id)
}
