//! `outrider-agent status`: what the running vehicle program says of itself.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::{Failure, Terminal};
use crate::runtime::{Habits, Report, STALE_S, VehicleConfig};

/// Shows the state of a running vehicle program: sensors, budget, spool, drops, sandbox.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Provisioning of the vehicle, as `outrider provision` writes it.
    #[arg(long)]
    config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let config = VehicleConfig::open(&self.config).map_err(|error| Failure::input(error.to_string()))?;
        let report = Report::read(&config.state).map_err(|error| Failure::input(error.to_string()))?;
        let age = report.age_s(wall_us());
        let is_running = age <= STALE_S;
        if self.json {
            let mut value =
                serde_json::to_value(&report).map_err(|error| Failure::output(error.to_string()))?;
            if let Some(object) = value.as_object_mut() {
                object.insert("age_s".to_owned(), age.into());
                object.insert("running".to_owned(), is_running.into());
            }
            writeln!(terminal.out, "{value}")?;
        } else {
            print(&report, terminal)?;
        }
        if is_running {
            return Ok(());
        }
        let text = format!("the vehicle program does not run: its last report is {age} s old");
        Err(Failure { code: 5, text })
    }
}

#[expect(clippy::disallowed_methods, reason = "the age of a report is a matter of wall time")]
fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn print(report: &Report, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let out = &mut *terminal.out;
    let budget = &report.budget;
    let mib = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xF_FFFF) * 10) >> 20);
    writeln!(
        out,
        "vehicle {} boot {} process {} version {} up {} s",
        report.vehicle, report.boot, report.process, report.version, report.uptime_s
    )?;
    writeln!(
        out,
        "budget  memory {} (most {}) of {}; processor {}.{} % of a core; {} frames/s",
        mib(budget.resident_bytes),
        mib(budget.resident_bytes_max),
        mib(budget.resident_bytes_budget),
        budget.processor_permille / 10,
        budget.processor_permille % 10,
        budget.frames_per_second
    )?;
    let sandbox = &report.sandbox;
    if sandbox.enabled {
        writeln!(
            out,
            "sandbox user {}, capabilities {:?}, {} system calls, file system: {}",
            sandbox.user, sandbox.capabilities, sandbox.system_calls, sandbox.file_system
        )?;
    } else {
        writeln!(out, "sandbox OFF, user {}", sandbox.user)?;
    }
    let hardware = &report.hardware;
    let value = hardware.counter.map_or_else(|| "unknown".to_owned(), |counter| counter.to_string());
    let failed = hardware.failed.as_ref().map_or_else(String::new, |reason| format!("; now {reason}"));
    writeln!(
        out,
        "keys    {}; anchor {} at {value}, raised {} times, {} failures{failed}",
        hardware.keys, hardware.anchor, hardware.raised, hardware.failures
    )?;
    let model = &report.model;
    let detail = match (&model.reason, &model.key) {
        (Some(reason), _) => format!(": {reason}; buses are learned on the road"),
        (None, key) if model.state != "none" => {
            let by = key.as_ref().map_or_else(String::new, |key| format!(" by key {key}"));
            format!("{by}, platform {:?}, release {:?}", model.platform, model.release)
        }
        (None, _) => String::new(),
    };
    writeln!(out, "model   {}{detail}", model.state)?;
    let config = &report.config;
    let health =
        config.trial.as_ref().map_or_else(|| "good".to_owned(), |trial| format!("on trial: {trial}"));
    let last = config.last_return.as_ref().map_or_else(String::new, |last| format!("; last return: {last}"));
    writeln!(
        out,
        "config  slot {}, policy {}, rules {}, model {}, {health}{last}",
        config.slot, config.policy, config.rules, config.model
    )?;
    for one in &report.throttled {
        writeln!(
            out,
            "share   {} [{}]: {} rows passed, {} observations above its share",
            one.sensor, one.lane, one.passed, one.waiting
        )?;
    }
    for bus in &report.buses {
        let mode = match bus.mode.as_str() {
            "" => String::new(),
            mode => format!("{mode} for {} s; ", bus.mode_s),
        };
        writeln!(
            out,
            "bus {:<3} {mode}{} frames, {} unknown, {} errors, {} observations dropped, {} gated by mode",
            bus.bus, bus.frames, bus.unknown, bus.errors, bus.dropped, bus.gated
        )?;
        let habits = bus.habits;
        if habits != Habits::default() {
            writeln!(
                out,
                "        payloads by the model: {}, {} on trial, {} do not fit and are learned anew, {} records left out",
                habits.known, habits.on_trial, habits.refused, habits.left_out
            )?;
        }
        // An account that nobody has used says nothing.
        for account in bus.accounts.iter().filter(|account| account.alarms + account.withheld > 0) {
            writeln!(
                out,
                "        {}: {}; {} alarms in {} s, {} withheld, {} left",
                account.detector,
                account.state,
                account.alarms,
                account.alarmed_s,
                account.withheld,
                account.left
            )?;
        }
    }
    for source in &report.sources {
        writeln!(
            out,
            "source  {} {}: {} frames, {} dropped, {} rejected, {} lost",
            source.name, source.state, source.received, source.dropped, source.rejected, source.lost
        )?;
    }
    for sensor in &report.host {
        writeln!(
            out,
            "sensor  {} [{}]: {} received, {} reported, {} quiet, {} rejected, {} lost",
            sensor.name,
            sensor.step,
            sensor.received,
            sensor.reported,
            sensor.quiet,
            sensor.rejected,
            sensor.lost
        )?;
    }
    for lane in &report.spool {
        let dropped: u64 = lane.dropped.values().sum();
        writeln!(
            out,
            "spool   {}: {} of {}, last number {}, {dropped} dropped",
            lane.lane,
            mib(lane.bytes),
            mib(lane.quota_bytes),
            lane.last_seq
        )?;
    }
    let wear = &report.spool_wear;
    writeln!(
        out,
        "spool   {} bytes written for {} rows ({} each), {} flushes",
        wear.bytes, wear.rows, wear.bytes_per_row, wear.flushes
    )?;
    let (events, uplink) = (&report.events, &report.uplink);
    writeln!(
        out,
        "events  {} received, {} folded, {} waiting, {} rows, {} lost",
        events.received, events.folded, events.waiting, events.rows, events.lost
    )?;
    writeln!(
        out,
        "uplink  {} frames ({} short), {} rows, {} bytes, {} freed, {} failures{}",
        uplink.frames,
        uplink.short_frames,
        uplink.rows,
        uplink.bytes,
        uplink.freed,
        uplink.failures,
        if uplink.is_waiting { ", waiting" } else { "" }
    )?;
    for cost in &uplink.costs {
        let bound = cost.bound.map_or_else(|| "no bound".to_owned(), |bound| format!("of {bound}"));
        writeln!(out, "        {}: {} bytes today, {bound}; link {}", cost.lane, cost.spent, uplink.link)?;
    }
    if let Some(session) = &uplink.session {
        writeln!(
            out,
            "session {}, short frames {}; {} tried, {} failures, {} rows still to be proved",
            if session.open { "open" } else { "closed" },
            if session.takes_short { "on" } else { "off" },
            session.sessions,
            session.failures,
            uplink.unproved_rows
        )?;
        if session.refusal != 0 {
            writeln!(out, "        refused by the server with reason code {:#04x}", session.refusal)?;
        }
    }
    Ok(())
}
