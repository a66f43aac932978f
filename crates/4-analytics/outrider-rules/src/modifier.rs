//! What follows a field name: `speed_kmh|gte`.

use crate::encoding::{Base64, Encoding, Utf16};
use crate::field::{FieldRef, ValueKind};
use crate::moment::DatePart;
use crate::pattern::Place;
use crate::predicate::Comparison;
use crate::problem::{Position, Report};
use crate::suggest;
use crate::taxonomy::Scope;

/// How the values of an item are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Equality, or a pattern at a place.
    Equal(Place),
    /// Regular expression with the flags `i`, `m` and `s`.
    Regex {
        /// Case does not count.
        i: bool,
        /// `^` and `$` match at lines.
        m: bool,
        /// `.` matches a line's end.
        s: bool,
    },
    /// Address in a network.
    Network,
    /// Order of numbers.
    Compare(Comparison),
    /// Whether there is a value.
    Exists,
}

impl Operation {
    /// Returns the word in explanations.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Equal(Place::Whole) => "equals",
            Self::Equal(Place::Start) => "startswith",
            Self::Equal(Place::End) => "endswith",
            Self::Equal(Place::Inside) => "contains",
            Self::Regex { .. } => "re",
            Self::Network => "cidr",
            Self::Compare(Comparison::Less) => "lt",
            Self::Compare(Comparison::AtMost) => "lte",
            Self::Compare(Comparison::Greater) => "gt",
            Self::Compare(Comparison::AtLeast) => "gte",
            Self::Exists => "exists",
        }
    }
}

/// A field with its modifiers, checked against each other and against the kind of the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) field: FieldRef,
    /// Name of the field in the rule.
    pub(crate) name: String,
    pub(crate) operation: Operation,
    /// What of a date is compared.
    pub(crate) part: Option<DatePart>,
    /// Values are names of fields.
    pub(crate) reference: bool,
    /// Placeholders in values are written out.
    pub(crate) expand: bool,
    /// All values must hold, not one.
    pub(crate) all: bool,
    /// Case counts.
    pub(crate) cased: bool,
    /// A hyphen or slash that begins a word stands for every dash.
    pub(crate) dashes: bool,
    /// How values are encoded first.
    pub(crate) encoding: Encoding,
    /// The whole is negated.
    pub(crate) negated: bool,
    /// Where the key was written.
    pub(crate) at: Position,
}

impl Subject {
    /// Returns the operator in explanations.
    pub(crate) fn operator(&self) -> String {
        let dashes = if self.dashes { "windash|" } else { "" };
        let part = self.part.map_or_else(String::new, |part| format!("{}|", part.word()));
        let reference = if self.reference { "fieldref|" } else { "" };
        format!("{}{dashes}{part}{reference}{}", self.encoding.word(), self.operation.word())
    }
}

const KNOWN: [&str; 31] = [
    "all",
    "base64",
    "base64offset",
    "cased",
    "cidr",
    "contains",
    "day",
    "endswith",
    "exists",
    "expand",
    "fieldref",
    "gt",
    "gte",
    "hour",
    "i",
    "lt",
    "lte",
    "m",
    "minute",
    "month",
    "neq",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "week",
    "wide",
    "windash",
    "year",
];

/// Reads `field|modifier|modifier`, one subject for each field that the name means; `None` after an error was
/// reported. Without a name the values are keywords.
pub(crate) fn read(
    key: &str,
    at: Position,
    scope: Scope<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<Subject>> {
    let mut parts = key.split('|');
    let name = parts.next().unwrap_or_default();
    let mut column = at.column;
    let mut advance = |part: &str| {
        column = column.saturating_add(u32::try_from(part.chars().count() + 1).unwrap_or(u32::MAX));
        Position { line: at.line, column }
    };
    let mut place = advance(name);
    let is_keywords = name.is_empty();
    let mut chain = Chain::default();
    let mut fine = true;
    for word in parts {
        fine &= chain.add(word, place, report);
        place = advance(word);
    }
    let fields = match chain.operation {
        _ if is_keywords => Some(scope.message()),
        Some(Operation::Exists) => scope.find_present(name, at, report),
        _ => scope.find(name, at, report),
    };
    let fields = fields?;
    if !fine {
        return None;
    }
    if fields.is_empty() {
        let hint = "no event of the log source has text; name a field";
        report.error(at, "rule.keywords", "there is nothing in which keywords can be found", hint);
        return None;
    }
    if is_keywords && !chain.is_for_keywords() {
        let hint = "with all, cased, re, windash, base64 or base64offset, contains, startswith or endswith";
        report.error(at, "rule.keywords", "keywords are compared as text", hint);
        return None;
    }
    let usual = Operation::Equal(if is_keywords { Place::Inside } else { Place::Whole });
    let mut subjects = Vec::new();
    for (field, name) in fields {
        let subject = Subject {
            field,
            name,
            operation: chain.operation.unwrap_or(usual),
            part: chain.part,
            reference: chain.reference,
            expand: chain.expand,
            all: chain.all,
            cased: chain.cased,
            dashes: chain.dashes,
            encoding: chain.encoding,
            negated: chain.negated,
            at,
        };
        if !(check_rewriting(&subject, report)
            && check_special(&subject, report)
            && check_kind(&subject, report))
        {
            return None;
        }
        subjects.push(subject);
    }
    Some(subjects)
}

#[derive(Default)]
struct Chain {
    operation: Option<Operation>,
    part: Option<DatePart>,
    reference: bool,
    expand: bool,
    all: bool,
    cased: bool,
    dashes: bool,
    encoding: Encoding,
    negated: bool,
}

impl Chain {
    /// Returns whether words that are searched in the whole event can be compared so.
    fn is_for_keywords(&self) -> bool {
        let is_text = matches!(self.operation, None | Some(Operation::Equal(_) | Operation::Regex { .. }));
        is_text && self.part.is_none() && !self.reference
    }

    /// Adds one modifier; false after an error was reported.
    fn add(&mut self, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let operation = match word {
            "contains" => Operation::Equal(Place::Inside),
            "startswith" => Operation::Equal(Place::Start),
            "endswith" => Operation::Equal(Place::End),
            "re" => Operation::Regex { i: false, m: false, s: false },
            "cidr" => Operation::Network,
            "gt" => Operation::Compare(Comparison::Greater),
            "gte" => Operation::Compare(Comparison::AtLeast),
            "lt" => Operation::Compare(Comparison::Less),
            "lte" => Operation::Compare(Comparison::AtMost),
            "exists" => Operation::Exists,
            "utf16le" | "wide" => return self.add_utf16(Utf16::Little, word, at, report),
            "utf16be" => return self.add_utf16(Utf16::Big, word, at, report),
            "utf16" => return self.add_utf16(Utf16::Marked, word, at, report),
            "base64" => return self.add_base64(Base64::Alone, word, at, report),
            "base64offset" => return self.add_base64(Base64::Anywhere, word, at, report),
            _ => return self.add_option(word, at, report),
        };
        if let Some(before) = self.operation {
            let message = format!("`{word}` cannot follow `{}`", before.word());
            report.error(at, "rule.modifier", message, "use two items");
            return false;
        }
        self.operation = Some(operation);
        true
    }

    fn add_utf16(&mut self, utf16: Utf16, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let is_first = self.operation.is_none() && self.encoding == Encoding::default();
        if !is_first {
            report.error(
                at,
                "rule.modifier",
                format!("`{word}` comes first"),
                format!("write {word}|base64|…"),
            );
        }
        self.encoding.utf16 = Some(utf16);
        is_first
    }

    fn add_base64(&mut self, base64: Base64, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let is_fine = self.operation.is_none() && self.encoding.base64.is_none();
        if !is_fine {
            let message = format!("`{word}` comes once, before what is compared");
            report.error(at, "rule.modifier", message, format!("write {word}|contains"));
        }
        self.encoding.base64 = Some(base64);
        is_fine
    }

    fn add_option(&mut self, word: &str, at: Position, report: &mut Report<'_>) -> bool {
        let repeated = match word {
            "all" => std::mem::replace(&mut self.all, true),
            "cased" => std::mem::replace(&mut self.cased, true),
            "windash" => std::mem::replace(&mut self.dashes, true),
            "neq" => std::mem::replace(&mut self.negated, true),
            "fieldref" => std::mem::replace(&mut self.reference, true),
            "expand" => std::mem::replace(&mut self.expand, true),
            "i" | "m" | "s" => {
                let Some(Operation::Regex { i, m, s }) = &mut self.operation else {
                    let message = format!("`{word}` is a flag of `re`");
                    report.error(at, "rule.modifier", message, format!("write re|{word}"));
                    return false;
                };
                let flag = match word {
                    "i" => i,
                    "m" => m,
                    _ => s,
                };
                std::mem::replace(flag, true)
            }
            _ if DatePart::from_word(word).is_some() => {
                if let Some(before) = self.part.filter(|part| part.word() != word) {
                    let message = format!("`{word}` cannot follow `{}`", before.word());
                    report.error(at, "rule.modifier", message, "use two items");
                    return false;
                }
                std::mem::replace(&mut self.part, DatePart::from_word(word)).is_some()
            }
            _ => {
                let message = format!("unknown modifier `{word}`");
                report.error(at, "rule.unknown_modifier", message, suggest::nearest(word, KNOWN));
                return false;
            }
        };
        if repeated {
            report.error(at, "rule.modifier", format!("`{word}` appears twice"), "");
        }
        !repeated
    }
}

/// Checks what is done with values before they are compared.
fn check_rewriting(subject: &Subject, report: &mut Report<'_>) -> bool {
    let is_rewritten = subject.dashes || subject.encoding != Encoding::default();
    let refuse = |report: &mut Report<'_>, message: &str, hint: &str| {
        report.error(subject.at, "rule.modifier", message, hint);
        false
    };
    if is_rewritten
        && (subject.field.kind() != ValueKind::Text || !matches!(subject.operation, Operation::Equal(_)))
    {
        let message = "only text that is compared as it stands is encoded or has dashes";
        return refuse(report, message, "with equality, contains, startswith or endswith");
    }
    if subject.encoding.utf16.is_some() && subject.encoding.base64.is_none() {
        return refuse(report, "a text field holds no bytes of UTF-16", "add base64 or base64offset");
    }
    if subject.dashes && subject.encoding.base64.is_some() {
        return refuse(report, "`windash` and base64 exclude each other", "");
    }
    true
}

/// Checks parts of dates and references to fields.
fn check_special(subject: &Subject, report: &mut Report<'_>) -> bool {
    let is_rewritten = subject.dashes || subject.encoding != Encoding::default();
    let mut refuse = |code, message: String, hint: &str| {
        report.error(subject.at, code, message, hint);
        false
    };
    if let Some(part) = subject.part {
        let is_number = matches!(subject.operation, Operation::Equal(Place::Whole) | Operation::Compare(_));
        if !is_number || subject.reference || subject.cased || subject.all || is_rewritten {
            let message = format!("`{}` gives a number", part.word());
            return refuse("rule.modifier", message, "compare it with equality, neq, gt, gte, lt or lte");
        }
        if !matches!(subject.field.kind(), ValueKind::Time | ValueKind::Text) {
            let message = format!("`{}` is {} and no date", subject.name, subject.field.kind().word());
            return refuse("rule.kind", message, "use event_time");
        }
    } else if subject.field.kind() == ValueKind::Time && subject.operation != Operation::Exists {
        let words = DatePart::ALL.map(DatePart::word).join(", ");
        let message = format!("`{}` is compared by its parts", subject.name);
        return refuse("rule.kind", message, &format!("add one of {words}"));
    }
    if subject.reference && (is_rewritten || !matches!(subject.operation, Operation::Equal(_))) {
        let message = "`fieldref` compares two fields as they stand".to_owned();
        return refuse("rule.modifier", message, "with equality, neq, contains, startswith or endswith");
    }
    true
}

/// Checks that the kind of the field can be compared so.
fn check_kind(subject: &Subject, report: &mut Report<'_>) -> bool {
    let kind = subject.field.kind();
    let mut refuse = |message: String, hint: &str| {
        report.error(subject.at, "rule.kind", message, hint);
        false
    };
    let word = subject.operation.word();
    let is_text = matches!(kind, ValueKind::Text | ValueKind::EventType);
    if subject.cased && !(is_text && matches!(subject.operation, Operation::Equal(_))) {
        return refuse(
            "`cased` needs a text field without `re` or `cidr`".to_owned(),
            "`re` minds case anyway",
        );
    }
    if subject.all && !is_text {
        let hint = "`all` goes with contains, startswith, endswith, re or cidr";
        return refuse("a field has one value, which cannot equal all of several".to_owned(), hint);
    }
    match subject.operation {
        Operation::Equal(Place::Whole) => true,
        Operation::Exists => {
            if subject.negated || subject.all || subject.expand {
                return refuse("`exists` takes no other modifier".to_owned(), "write exists: false");
            }
            true
        }
        Operation::Equal(_) | Operation::Regex { .. } | Operation::Network if !is_text => {
            let message = format!("`{word}` needs text, but `{}` is {}", subject.name, kind.word());
            refuse(message, "compare with equality, gt, gte, lt or lte")
        }
        Operation::Network if kind == ValueKind::EventType => {
            refuse("an event type is not an address".to_owned(), "")
        }
        Operation::Compare(_) if subject.negated => {
            refuse(format!("`neq` cannot follow `{word}`"), "use the opposite comparison")
        }
        Operation::Compare(_) if subject.part.is_some() || subject.field.is_foreign() => true,
        Operation::Compare(_) if !matches!(kind, ValueKind::Int | ValueKind::Float | ValueKind::Severity) => {
            refuse(format!("`{word}` needs a number, but `{}` is {}", subject.name, kind.word()), "")
        }
        Operation::Equal(_) | Operation::Regex { .. } | Operation::Network | Operation::Compare(_) => true,
    }
}
