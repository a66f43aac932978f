//! Messages of the process connector (linux/connector.h, linux/cn_proc.h), in the machine's byte order.
//!
//! A datagram holds netlink messages: header of 16 bytes, connector header of 20 (`idx, val, seq, ack: u32, len,
//! flags: u16`), then `what: u32, cpu: u32, timestamp_ns: u64` and 4-byte words that depend on `what`.

/// What happened to a process. Threads are not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessFact {
    /// A process made another.
    Born {
        /// Who.
        parent: u32,
        /// Whom.
        child: u32,
    },
    /// A process runs another program.
    Executed {
        /// Who.
        process: u32,
    },
    /// A process changed its user.
    User {
        /// Who.
        process: u32,
        /// Effective user now.
        effective: u32,
    },
    /// A process is traced by another, as by a debugger.
    Traced {
        /// Who.
        process: u32,
        /// By whom; 0 is the end of it.
        tracer: u32,
    },
    /// A process ended.
    Ended {
        /// Who.
        process: u32,
    },
}

const NETLINK_BYTES: usize = 16;
const CONNECTOR_BYTES: usize = 20;
const FORK: u32 = 0x1;
const EXEC: u32 = 0x2;
const UID: u32 = 0x4;
const PTRACE: u32 = 0x100;
const EXIT: u32 = 0x8000_0000;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Calls `take` with every fact of a datagram; returns messages that are of other kinds, and bytes that are none.
pub fn facts(mut datagram: &[u8], mut take: impl FnMut(ProcessFact)) -> (u64, u64) {
    let (mut quiet, mut rejected) = (0, 0);
    while !datagram.is_empty() {
        let length = word(datagram, 0).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let Some(message) = datagram.get(..length).filter(|message| message.len() >= NETLINK_BYTES) else {
            return (quiet, rejected + 1);
        };
        match fact(message) {
            Some(Some(fact)) => take(fact),
            Some(None) => quiet += 1,
            None => rejected += 1,
        }
        // Messages begin at multiples of four.
        let next = length.next_multiple_of(4).min(datagram.len());
        datagram = &datagram[next..];
    }
    (quiet, rejected)
}

/// Returns `None` for a message that is malformed, `Some(None)` for one that is not of interest.
fn fact(message: &[u8]) -> Option<Option<ProcessFact>> {
    let body = message.get(NETLINK_BYTES + CONNECTOR_BYTES..)?;
    let what = word(body, 0)?;
    let at = |index: usize| word(body, 16 + 4 * index);
    Some(match what {
        FORK => {
            let (parent, child, leader) = (at(1)?, at(2)?, at(3)?);
            (child == leader).then_some(ProcessFact::Born { parent, child: leader })
        }
        EXEC => Some(ProcessFact::Executed { process: at(1)? }),
        UID => Some(ProcessFact::User { process: at(1)?, effective: at(3)? }),
        PTRACE => Some(ProcessFact::Traced { process: at(1)?, tracer: at(3)? }),
        EXIT => {
            let (thread, leader) = (at(0)?, at(1)?);
            (thread == leader).then_some(ProcessFact::Ended { process: leader })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(what: u32, words: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 36];
        bytes.extend(what.to_ne_bytes());
        bytes.extend([0; 12]);
        words.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        let length = u32::try_from(bytes.len()).expect("it is short");
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    fn all(datagram: &[u8]) -> (Vec<ProcessFact>, (u64, u64)) {
        let mut found = Vec::new();
        let counts = facts(datagram, |fact| found.push(fact));
        (found, counts)
    }

    #[test]
    fn processes_are_reported_and_threads_are_not() {
        let mut datagram = message(FORK, &[1, 1, 7, 7]);
        datagram.extend(message(FORK, &[1, 1, 8, 7]));
        datagram.extend(message(EXEC, &[7, 7]));
        datagram.extend(message(UID, &[7, 7, 1000, 0]));
        datagram.extend(message(PTRACE, &[7, 7, 9, 9]));
        datagram.extend(message(EXIT, &[8, 7, 0, 0]));
        datagram.extend(message(EXIT, &[7, 7, 0, 0]));
        let (found, counts) = all(&datagram);
        assert_eq!(counts, (2, 0));
        assert_eq!(
            found,
            [
                ProcessFact::Born { parent: 1, child: 7 },
                ProcessFact::Executed { process: 7 },
                ProcessFact::User { process: 7, effective: 0 },
                ProcessFact::Traced { process: 7, tracer: 9 },
                ProcessFact::Ended { process: 7 },
            ]
        );
    }

    #[test]
    fn a_cut_message_is_rejected_and_the_ones_before_it_count() {
        let mut datagram = message(EXEC, &[7, 7]);
        datagram.extend(&message(EXEC, &[8, 8])[..40]);
        assert_eq!(all(&datagram), (vec![ProcessFact::Executed { process: 7 }], (0, 1)));
        let mut short = message(EXEC, &[7]);
        short[0] = 56;
        assert_eq!(all(&short).1, (0, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_facts_and_counts(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (found, (quiet, rejected)) = all(&bytes);
            prop_assert!(found.len() as u64 + quiet + rejected <= 26);
            prop_assert!(bytes.is_empty() || found.len() as u64 + quiet + rejected > 0);
        }
    }
}
