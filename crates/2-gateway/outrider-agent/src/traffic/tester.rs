//! A workshop's tester on the diagnostic connector: what it asks, what the ECU answers, and a flash.

use outrider_bus::can::{CanId, Frame};
use outrider_types::Seed;

/// Byte that fills a frame.
const PADDING: u8 = 0x00;
/// Bytes of one block of a flash.
const BLOCK_BYTES: u16 = 258;
/// Blocks of a flash: a small calibration.
const BLOCKS: u32 = 400;

/// What the tester does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// Reads trouble codes and data, and adapts something.
    Service,
    /// Writes new software.
    Flash,
}

/// A tester at work: an endless queue of frames with their times.
#[derive(Debug)]
pub(super) struct Tester {
    job: Job,
    request: CanId,
    response: CanId,
    seed: Seed,
    at_us: u64,
    step: u32,
    queue: std::collections::VecDeque<(u64, Frame)>,
}

impl Tester {
    pub(super) fn new(job: Job, (request, response): (CanId, CanId), start_us: u64, seed: Seed) -> Self {
        let at_us = start_us.saturating_add(2_000_000);
        Self { job, request, response, seed, at_us, step: 0, queue: std::collections::VecDeque::new() }
    }

    /// Time of the next frame.
    pub(super) fn due(&mut self) -> Option<u64> {
        if self.queue.is_empty() {
            match self.job {
                Job::Service => self.service(),
                Job::Flash => self.flash(),
            }
            self.step = self.step.saturating_add(1);
        }
        self.queue.front().map(|(at, _)| *at)
    }

    /// Takes the next frame.
    pub(super) fn take(&mut self) -> Option<Frame> {
        self.queue.pop_front().map(|(_, frame)| frame)
    }

    /// Puts the next frame off; those behind it keep their order.
    pub(super) fn wait_until(&mut self, at_us: u64) {
        self.queue.iter_mut().for_each(|(due, _)| *due = at_us.max(*due));
        self.at_us = self.at_us.max(at_us);
    }

    /// Whether ordinary messages are switched off (communication control).
    pub(super) fn silences_others(&self) -> bool {
        self.job == Job::Flash && (2..BLOCKS + 8).contains(&self.step)
    }

    fn service(&mut self) {
        let did = u16::try_from(self.seed.below(0x200)).unwrap_or(0);
        let [high, low] = (0xF100 + did).to_be_bytes();
        match self.step % 60 {
            0 => self.ask(&[0x10, 0x03], &[0x50, 0x03, 0x00, 0x32, 0x01, 0xF4]),
            1 => self.ask(&[0x19, 0x02, 0xFF], &[0x59, 0x02, 0xFF, 0x12, 0x34, 0x00, 0x08]),
            30 => self.ask(&[0x27, 0x01], &[0x67, 0x01, 0x11, 0x22, 0x33, 0x44]),
            31 => self.ask(&[0x27, 0x02, 0xAA, 0xBB, 0xCC, 0xDD], &[0x67, 0x02]),
            32 => self.ask(&[0x2E, high, low, 0x01], &[0x6E, high, low]),
            59 => self.ask(&[0x14, 0xFF, 0xFF, 0xFF], &[0x54]),
            step if step % 10 == 9 => self.ask(&[0x3E, 0x00], &[0x7E, 0x00]),
            _ if self.seed.chance(1, 12) => self.ask(&[0x22, high, low], &[0x7F, 0x22, 0x31]),
            _ => {
                let value = self.seed.next_u64().to_be_bytes();
                let [first, second, ..] = value;
                self.ask(&[0x22, high, low], &[0x62, high, low, first, second]);
            }
        }
        // A person reads the screen now and then.
        self.at_us += if self.seed.chance(1, 30) { 4_000_000 } else { 60_000 + self.seed.below(200_000) };
    }

    fn flash(&mut self) {
        match self.step {
            0 => self.ask(&[0x10, 0x02], &[0x50, 0x02, 0x00, 0x32, 0x01, 0xF4]),
            1 => self.ask(&[0x28, 0x03, 0x01], &[0x68, 0x03]),
            2 => self.ask(&[0x27, 0x01], &[0x67, 0x01, 0x11, 0x22, 0x33, 0x44]),
            3 => self.ask(&[0x27, 0x02, 0xAA, 0xBB, 0xCC, 0xDD], &[0x67, 0x02]),
            4 => self.ask(&[0x34, 0x00, 0x44, 0x00, 0x01, 0x00, 0x00], &[0x74, 0x20, 0x01, 0x02]),
            step @ 5.. if step < BLOCKS + 5 => self.block(step),
            step if step == BLOCKS + 5 => self.ask(&[0x37], &[0x77]),
            step if step == BLOCKS + 6 => self.ask(&[0x11, 0x01], &[0x51, 0x01]),
            _ => {
                self.at_us += 1_900_000;
                self.ask(&[0x3E, 0x00], &[0x7E, 0x00]);
            }
        }
        self.at_us += 20_000 + self.seed.below(10_000);
    }

    /// One request of up to seven bytes and its answer.
    fn ask(&mut self, request: &[u8], response: &[u8]) {
        self.single(self.request, request);
        self.at_us += 2_000 + self.seed.below(15_000);
        self.single(self.response, response);
    }

    fn single(&mut self, id: CanId, message: &[u8]) {
        let length = u8::try_from(message.len()).unwrap_or(7);
        let bytes = std::iter::once(length).chain(message.iter().copied());
        self.push(id, bytes);
    }

    /// One block by ISO-TP: first frame, flow control, consecutive frames, answer.
    fn block(&mut self, number: u32) {
        let [_, _, _, sequence] = number.wrapping_sub(4).to_be_bytes();
        let [high, low] = BLOCK_BYTES.to_be_bytes();
        let mut random = self.seed.next_u64().to_be_bytes();
        let [first, second, third, fourth, ..] = random;
        self.push(self.request, [0x10 | high, low, 0x36, sequence, first, second, third, fourth].into_iter());
        self.at_us += 1_000 + self.seed.below(1_000);
        self.push(self.response, [0x30, 0x00, 0x01].into_iter());
        let frames = (u64::from(BLOCK_BYTES) - 6).div_ceil(7);
        for index in 1..=frames {
            self.at_us += 1_000 + self.seed.below(300);
            random = self.seed.next_u64().to_be_bytes();
            let counter = 0x20 | u8::try_from(index % 16).unwrap_or(0);
            self.push(self.request, std::iter::once(counter).chain(random.into_iter().take(7)));
        }
        self.at_us += 3_000 + self.seed.below(20_000);
        if self.seed.chance(1, 10) {
            self.single(self.response, &[0x7F, 0x36, 0x78]);
            self.at_us += 40_000;
        }
        self.single(self.response, &[0x76, sequence]);
    }

    fn push(&mut self, id: CanId, bytes: impl Iterator<Item = u8>) {
        let mut data = [PADDING; 8];
        data.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
        if let Ok(frame) = Frame::classic(id, &data) {
            self.queue.push_back((self.at_us, frame));
        }
    }
}
