//! Names of columns, as recorders and published data sets write them.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Time(Option<Unit>),
    Id,
    Length,
    /// The whole payload.
    Data,
    /// One byte of it, counted from the number in the name.
    Byte(u8),
    /// Ordinary or attack; lower is more telling.
    Label(u8),
    Bus,
    Extended,
    Remote,
    Error,
    Fd,
    Brs,
    Esi,
    Other,
}

impl Column {
    /// Returns the number of a byte's column.
    pub(super) const fn byte(self) -> Option<u8> {
        if let Self::Byte(number) = self { Some(number) } else { None }
    }

    /// Returns the rank of a label's column.
    pub(super) const fn label(self) -> Option<u8> {
        if let Self::Label(rank) = self { Some(rank) } else { None }
    }
}

/// Unit of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

const TIMES: &[&str] = &[
    "timestamp",
    "timeoffset",
    "offsettime",
    "abstime",
    "absolutetime",
    "relativetime",
    "reltime",
    "epochtime",
    "unixtime",
    "rectime",
    "datetime",
    "epoch",
    "stamp",
    "time",
    "ts",
    "t",
];
const IDS: &[&str] = &[
    "arbitrationid",
    "arbitrationidhex",
    "arbid",
    "canid",
    "canidhex",
    "cid",
    "frameid",
    "idhex",
    "identifier",
    "messageid",
    "msgid",
    "aid",
    "id",
    "can",
];
const LENGTHS: &[&str] = &[
    "dlc",
    "len",
    "length",
    "datalength",
    "datalen",
    "datalengthcode",
    "size",
    "nbytes",
    "bytes",
    "numbytes",
];
const DATA: &[&str] = &[
    "data",
    "datafield",
    "databytes",
    "datahex",
    "payload",
    "payloadhex",
    "hexdata",
    "message",
    "databytesraw",
    "msg",
    "rawdata",
    "content",
];
/// From the most telling to the least.
const LABELS: &[&str] = &[
    "specificclass",
    "subclass",
    "attacktype",
    "attackclass",
    "attackname",
    "attackcategory",
    "category",
    "class",
    "attack",
    "label",
    "labels",
    "tag",
    "type",
    "flag",
    "isattack",
    "ismalicious",
    "malicious",
    "anomaly",
    "isanomaly",
    "injected",
    "isinjected",
    "target",
    "y",
];
const BUSES: &[&str] =
    &["bus", "busid", "busnumber", "channel", "chan", "chn", "interface", "iface", "device", "network"];
const EXTENDED: &[&str] =
    &["extended", "ext", "ide", "isextended", "isextendedid", "extendedid", "eff", "isextendedframe"];
const REMOTE: &[&str] = &["remote", "rtr", "isremote", "isremoteframe", "remoteframe"];
const ERRORS: &[&str] = &["error", "iserror", "iserrorframe", "errorframe"];
const FDS: &[&str] = &["fd", "isfd", "fdf", "edl", "canfd"];
const BRS: &[&str] = &["brs", "bitrateswitch"];
const ESI: &[&str] = &["esi", "errorstateindicator"];

/// Reads a column's name.
pub(super) fn column(name: &str) -> Column {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|letter| if matches!(letter, 'µ' | 'μ') { 'u' } else { letter })
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let is = |names: &[&str]| names.contains(&plain.as_str());
    if let Some(unit) = TIMES.iter().find_map(|time| unit(plain.strip_prefix(time)?)) {
        return Column::Time(unit);
    }
    if let Some(rank) = LABELS.iter().position(|label| *label == plain) {
        return Column::Label(u8::try_from(rank).unwrap_or(u8::MAX));
    }
    if let Some(number) = byte(&plain) {
        return Column::Byte(number);
    }
    let groups: [(&[&str], Column); 10] = [
        (IDS, Column::Id),
        (LENGTHS, Column::Length),
        (DATA, Column::Data),
        (BUSES, Column::Bus),
        (EXTENDED, Column::Extended),
        (REMOTE, Column::Remote),
        (ERRORS, Column::Error),
        (FDS, Column::Fd),
        (BRS, Column::Brs),
        (ESI, Column::Esi),
    ];
    groups.iter().find(|(names, _)| is(names)).map_or(Column::Other, |(_, column)| *column)
}

/// What stands behind a name of time: nothing, or a unit.
fn unit(rest: &str) -> Option<Option<Unit>> {
    Some(match rest {
        "" => None,
        "s" | "sec" | "secs" | "second" | "seconds" => Some(Unit::Seconds),
        "ms" | "msec" | "millis" | "milliseconds" => Some(Unit::Millis),
        "us" | "usec" | "micros" | "microseconds" => Some(Unit::Micros),
        "ns" | "nsec" | "nanos" | "nanoseconds" => Some(Unit::Nanos),
        _ => return None,
    })
}

/// Number of a byte column.
fn byte(plain: &str) -> Option<u8> {
    let names = ["databyte", "data", "byte", "payload", "d", "b"];
    let digits = names.iter().find_map(|name| plain.strip_prefix(name))?;
    digits.parse().ok().filter(|number| *number <= 64 && digits.len() <= 2)
}
