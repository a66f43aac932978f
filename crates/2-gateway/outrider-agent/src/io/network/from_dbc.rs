//! A DBC file in the common words.

use crate::io::dbc::{DbcModel, DbcReason};

use super::model::{
    Cluster, Description, Format, Frame, FrameKey, Medium, NotUnderstood, Place, Problem, Reason,
};

/// Converts what the DBC reader gave; nothing is lost, for the model is kept beside.
pub(super) fn convert(dbc: DbcModel) -> Description {
    let mut description = Description::new(Format::Dbc);
    description.nodes.clone_from(&dbc.nodes);
    description.clusters.push(Cluster::new("CAN".to_owned(), Medium::Can));
    for message in &dbc.messages {
        description.frames.push(Frame {
            name: message.name.clone(),
            cluster: "CAN".to_owned(),
            key: FrameKey::Can(message.id),
            is_fd: message.bytes > 8,
            bytes: message.bytes,
            cycle_us: message.cycle_ms.map(|ms| u64::from(ms) * 1000),
            senders: message.transmitters.clone(),
            signals: message.signals.clone(),
            place: line(message.line),
        });
    }
    for problem in &dbc.problems {
        description.problems.push(Problem {
            place: line(problem.line),
            element: "statement".to_owned(),
            reason: match problem.reason {
                DbcReason::Syntax | DbcReason::Unterminated | DbcReason::Keyword => Reason::Syntax,
                DbcReason::Identifier | DbcReason::Length => Reason::Value,
                DbcReason::Duplicate => Reason::Duplicate,
                DbcReason::Orphan => Reason::Dangling,
                DbcReason::Outside => Reason::Outside,
            },
            detail: match problem.reason {
                DbcReason::Syntax | DbcReason::Duplicate | DbcReason::Orphan | DbcReason::Outside => {
                    problem.detail.clone()
                }
                DbcReason::Unterminated | DbcReason::Keyword | DbcReason::Identifier | DbcReason::Length => {
                    format!("{}: {}", problem.reason.word(), problem.detail)
                }
            },
        });
    }
    description.problems_total = description.problems.len() as u64;
    for (keyword, count) in &dbc.ignored {
        let passed = NotUnderstood { count: *count, first: Place::default() };
        description.not_understood.insert(keyword.clone(), passed);
    }
    description.with_dbc(dbc)
}

const fn line(line: u64) -> Place {
    Place { line, column: 0 }
}
