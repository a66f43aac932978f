//! The chain itself.

use outrider_types::{EventTypeId, VehicleMicros};

use super::limit::{LimitCounts, Limited, Limiter};
use super::rules::{BlockState, ChainConfig, ConfigError, ReportingMode, SevRule, ended, ticks};

/// What a report carries beside its type and count.
pub trait Body {
    /// Returns whether there is a context.
    fn has_context(&self) -> bool;
    /// Takes the context away.
    fn drop_context(&mut self);
    /// Takes over what a later report of the same type changes, such as the last time; the context stays.
    fn fold(&mut self, later: &Self);
}

/// Why a report is not taken; it is counted all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// There is no rule for its type.
    Unlisted,
    /// All buffers are in use.
    NoEventBuffer,
}

/// Security event of the chain about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InternalEvent {
    /// A report was lost because all buffers were in use.
    NoEventBuffer,
    /// A report lost its context because all places for contexts were in use.
    NoContextBuffer,
    /// A qualified event was not reported because of the traffic limit [SWS_IdsM_01094].
    TrafficLimitExceeded,
    /// A qualified event could not be sent.
    CommunicationError,
}

impl InternalEvent {
    /// Every internal event.
    pub const ALL: [Self; 4] =
        [Self::NoEventBuffer, Self::NoContextBuffer, Self::TrafficLimitExceeded, Self::CommunicationError];
}

/// Where reports went. Every one is in exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Reports given to the chain.
    pub received: u64,
    /// Of a type without a rule.
    pub unlisted: u64,
    /// Of a type that is off.
    pub off: u64,
    /// Lost because all buffers were in use.
    pub no_buffer: u64,
    /// In a state that blocks.
    pub blocked: u64,
    /// Between two n-th ones.
    pub thinned: u64,
    /// Added to the count of another report.
    pub aggregated: u64,
    /// Below the threshold.
    pub below_threshold: u64,
    /// Qualified.
    pub passed: u64,
    /// In a buffer, or held by the aggregation.
    pub waiting: u64,
    /// Reports, of any of the counts above, that lost their context for want of a place.
    pub contexts_lost: u64,
}

impl Counts {
    /// Returns true if every report is in one count (BAL-1).
    #[must_use]
    pub fn holds(&self) -> bool {
        let parts = [
            self.unlisted,
            self.off,
            self.no_buffer,
            self.blocked,
            self.thinned,
            self.aggregated,
            self.below_threshold,
            self.passed,
            self.waiting,
        ];
        self.received == parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// A report in a buffer.
#[derive(Debug)]
struct Pending<T> {
    sev: usize,
    count: u32,
    body: T,
}

/// What the aggregation holds of one type.
#[derive(Debug)]
struct Held<T> {
    reports: u64,
    count: u32,
    body: T,
}

/// Rule and state of one type.
#[derive(Debug)]
struct Sev<T> {
    rule: SevRule,
    aggregation_ticks: u64,
    threshold_ticks: u64,
    /// Occurrences since the last n-th one, below `every_nth`.
    phase: u32,
    accumulated: u32,
    held: Option<Held<T>>,
}

/// Filter chain of one IdsM instance with `SEVS` types of events and `BUFFERS` buffers.
///
/// Large: make it once, in a place of its own. Nothing allocates afterwards; a report is O(log `SEVS`), a main function
/// O(`SEVS` + `BUFFERS`).
#[derive(Debug)]
pub struct Chain<T, const SEVS: usize, const BUFFERS: usize> {
    sevs: [Option<Sev<T>>; SEVS],
    sev_count: usize,
    /// Reports in the order they came, from the first place on.
    pending: [Option<Pending<T>>; BUFFERS],
    pending_count: usize,
    contexts: usize,
    contexts_max: usize,
    period_us: u64,
    start: VehicleMicros,
    ticks: u64,
    state: Option<BlockState>,
    limiter: Limiter,
    internal: [u32; 4],
    counts: Counts,
}

impl<T: Body> Sev<T> {
    /// Judges one report and returns it if it is qualified.
    fn judge(
        &mut self,
        pending: Pending<T>,
        state: Option<BlockState>,
        counts: &mut Counts,
    ) -> Option<(u32, T)> {
        let Pending { count, body, .. } = pending;
        counts.waiting = counts.waiting.saturating_sub(1);
        if self.rule.mode.is_bypassing() {
            add(&mut counts.passed, 1);
            return Some((count, body));
        }
        if state.is_some_and(|state| state.bit() & self.rule.blocked_in != 0) {
            add(&mut counts.blocked, 1);
            return None;
        }
        if !self.has_nth(count) {
            add(&mut counts.thinned, 1);
            return None;
        }
        if self.aggregation_ticks == 0 {
            return self.threshold(count, body, counts);
        }
        add(&mut counts.waiting, 1);
        match &mut self.held {
            Some(held) => {
                add(&mut held.reports, 1);
                held.count = held.count.saturating_add(count);
                held.body.fold(&body);
            }
            None => self.held = Some(Held { reports: 1, count, body }),
        }
        None
    }

    /// Advances by `count` occurrences and says whether the 1st, n+1st, … was among them [SWS_IdsM_01031 to 01034].
    fn has_nth(&mut self, count: u32) -> bool {
        let nth = self.rule.every_nth.get();
        let behind = u64::from(self.phase).saturating_add(u64::from(count));
        let has = self.phase == 0 || behind > u64::from(nth);
        self.phase = u32::try_from(behind.checked_rem(u64::from(nth)).unwrap_or(0)).unwrap_or(0);
        has
    }

    fn threshold(&mut self, count: u32, body: T, counts: &mut Counts) -> Option<(u32, T)> {
        self.accumulated = self.accumulated.saturating_add(count);
        if self.rule.threshold.is_some_and(|threshold| self.accumulated < threshold.count.get()) {
            add(&mut counts.below_threshold, 1);
            return None;
        }
        add(&mut counts.passed, 1);
        Some((count, body))
    }
}

fn add(counter: &mut u64, more: u64) {
    *counter = counter.saturating_add(more);
}

impl<T: Body, const SEVS: usize, const BUFFERS: usize> Chain<T, SEVS, BUFFERS> {
    /// Creates a chain whose first window begins at `start`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &ChainConfig, rules: &[SevRule], start: VehicleMicros) -> Result<Self, ConfigError> {
        if config.period_us == 0 {
            return Err(ConfigError::Period);
        }
        let mut chain = Self {
            sevs: [const { None }; SEVS],
            sev_count: 0,
            pending: [const { None }; BUFFERS],
            pending_count: 0,
            contexts: 0,
            contexts_max: config.contexts_max,
            period_us: config.period_us,
            start,
            ticks: 0,
            state: None,
            limiter: Limiter::new(config)?,
            internal: [0; 4],
            counts: Counts::default(),
        };
        for rule in rules {
            chain.insert(rule, rules.len())?;
        }
        Ok(chain)
    }

    /// Puts a rule into the table, which stays in the order of the types.
    fn insert(&mut self, rule: &SevRule, got: usize) -> Result<(), ConfigError> {
        let window = |window_us: u64| ticks(window_us, self.period_us, Some(rule.event_type));
        let aggregation_ticks = rule.aggregation_us.map(window).transpose()?.unwrap_or(0);
        let threshold_ticks = rule.threshold.map(|one| window(one.window_us)).transpose()?.unwrap_or(0);
        let at = match self.position(rule.event_type) {
            Ok(_) => return Err(ConfigError::Duplicate(rule.event_type)),
            Err(at) => at,
        };
        let used = self.sev_count.saturating_add(1);
        let places = self.sevs.get_mut(at..used).ok_or(ConfigError::TooMany { got, max: SEVS })?;
        places.rotate_right(1);
        if let Some(place) = places.first_mut() {
            *place = Some(Sev {
                rule: *rule,
                aggregation_ticks,
                threshold_ticks,
                phase: 0,
                accumulated: 0,
                held: None,
            });
        }
        self.sev_count = used;
        Ok(())
    }

    fn position(&self, event_type: EventTypeId) -> Result<usize, usize> {
        let used = self.sevs.get(..self.sev_count).unwrap_or_default();
        used.binary_search_by_key(&Some(event_type), |sev| sev.as_ref().map(|sev| sev.rule.event_type))
    }

    /// Takes a report of `count` occurrences, at least one; it is judged at the next main function.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn report(&mut self, event_type: EventTypeId, count: u32, mut body: T) -> Result<(), Refused> {
        add(&mut self.counts.received, 1);
        let Ok(sev) = self.position(event_type) else {
            add(&mut self.counts.unlisted, 1);
            return Err(Refused::Unlisted);
        };
        let mode =
            self.sevs.get(sev).and_then(Option::as_ref).map_or(ReportingMode::Off, |sev| sev.rule.mode);
        if mode == ReportingMode::Off {
            add(&mut self.counts.off, 1);
            return Ok(());
        }
        let Some(place) = self.pending.get_mut(self.pending_count) else {
            add(&mut self.counts.no_buffer, 1);
            self.raise(InternalEvent::NoEventBuffer);
            return Err(Refused::NoEventBuffer);
        };
        if mode.is_brief() {
            body.drop_context();
        }
        let mut lost = false;
        if body.has_context() {
            if self.contexts < self.contexts_max {
                self.contexts = self.contexts.saturating_add(1);
            } else {
                body.drop_context();
                lost = true;
            }
        }
        *place = Some(Pending { sev, count: count.max(1), body });
        self.pending_count = self.pending_count.saturating_add(1);
        add(&mut self.counts.waiting, 1);
        if lost {
            add(&mut self.counts.contexts_lost, 1);
            self.raise(InternalEvent::NoContextBuffer);
        }
        Ok(())
    }

    /// Sets the state of the vehicle; `None` is a state that no rule can block.
    pub const fn set_state(&mut self, state: Option<BlockState>) {
        self.state = state;
    }

    /// Counts an internal event, such as a failed transmission.
    pub fn raise(&mut self, event: InternalEvent) {
        let at = InternalEvent::ALL.iter().position(|one| *one == event).unwrap_or(0);
        if let Some(count) = self.internal.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Takes one internal event and how often it happened since it was taken last.
    pub fn take_internal(&mut self) -> Option<(InternalEvent, u32)> {
        let mut both = InternalEvent::ALL.into_iter().zip(self.internal.iter_mut());
        let (event, count) = both.find(|(_, count)| **count > 0)?;
        Some((event, core::mem::take(count)))
    }

    /// Runs the main functions that are due and gives what is qualified to `sink`: type, occurrences, body.
    ///
    /// What was reported since the last one belongs to the windows that end now.
    pub fn tick(&mut self, now: VehicleMicros, sink: &mut dyn FnMut(EventTypeId, u32, T)) {
        let ticks = now.micros_since(self.start).checked_div(self.period_us).unwrap_or(0);
        if ticks > self.ticks {
            let before = core::mem::replace(&mut self.ticks, ticks);
            self.run(before, sink);
        }
    }

    /// Qualifies everything that waits, as before a shutdown: the windows of aggregation end early.
    pub fn flush(&mut self, sink: &mut dyn FnMut(EventTypeId, u32, T)) {
        self.judge(sink);
        self.close(None, sink);
    }

    fn run(&mut self, before: u64, sink: &mut dyn FnMut(EventTypeId, u32, T)) {
        self.judge(sink);
        self.close(Some(before), sink);
        self.limiter.pass_time(before, self.ticks);
    }

    /// Judges every report in a buffer; the contexts that are still kept then are those of the aggregation.
    fn judge(&mut self, sink: &mut dyn FnMut(EventTypeId, u32, T)) {
        let count = core::mem::take(&mut self.pending_count);
        for place in self.pending.iter_mut().take(count) {
            let Some(pending) = place.take() else { continue };
            let Some(Some(sev)) = self.sevs.get_mut(pending.sev) else { continue };
            if let Some((count, body)) = sev.judge(pending, self.state, &mut self.counts) {
                sink(sev.rule.event_type, count, body);
            }
        }
    }

    /// Ends the windows that ended since `before`, or all if that is `None`.
    fn close(&mut self, before: Option<u64>, sink: &mut dyn FnMut(EventTypeId, u32, T)) {
        let now = self.ticks;
        for sev in self.sevs.iter_mut().take(self.sev_count).flatten() {
            let is_over = |window: u64| before.is_none_or(|before| ended(before, now, window));
            if is_over(sev.aggregation_ticks)
                && let Some(held) = sev.held.take()
            {
                add(&mut self.counts.aggregated, held.reports.saturating_sub(1));
                self.counts.waiting = self.counts.waiting.saturating_sub(held.reports);
                if let Some((count, body)) = sev.threshold(held.count, held.body, &mut self.counts) {
                    sink(sev.rule.event_type, count, body);
                }
            }
            if is_over(sev.threshold_ticks) {
                sev.accumulated = 0;
            }
        }
        let held = self.sevs.iter().take(self.sev_count).flatten().filter_map(|sev| sev.held.as_ref());
        self.contexts = crate::count_of(held.filter(|held| held.body.has_context()));
    }

    /// Says whether a qualified event of so many serialised bytes may be given to the reporter.
    ///
    /// # Errors
    /// [`Limited`]; the event is not to be sent, but may be stored.
    pub fn admit(&mut self, bytes: usize) -> Result<(), Limited> {
        let admitted = self.limiter.admit(u64::try_from(bytes).unwrap_or(u64::MAX));
        if admitted == Err(Limited::Traffic) {
            self.raise(InternalEvent::TrafficLimitExceeded);
        }
        admitted
    }

    /// Returns where the reports went.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns what the limits did.
    #[must_use]
    pub const fn limits(&self) -> LimitCounts {
        self.limiter.counts
    }
}
