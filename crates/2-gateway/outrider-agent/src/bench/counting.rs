//! A heap that counts, so that "no allocation" is a figure and not a promise.
//!
//! **In:** a piece of work. **Out:** how many allocations its thread made meanwhile. **Never:** another heap: every call
//! goes to the system's. A program that measures names [`Counting`] as its `#[global_allocator]`; while nothing is
//! counted that costs an allocation the read of a thread-local and a comparison.

#![expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations since counting began on this thread, or `None` while nobody counts. Constant and without `Drop`, so
    /// that reading it never allocates and works until the thread's last moment.
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The system's heap, with a count of its allocations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting;

#[inline]
fn note() {
    COUNT.with(|count| {
        if let Some(so_far) = count.get() {
            count.set(Some(so_far.saturating_add(1)));
        }
    });
}

// SAFETY: every method passes its arguments on to `System` unchanged and returns what `System` returned, so the promises
// of `System` are those of this allocator. `note` neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note();
        // SAFETY: `block` came from this allocator, hence from `System`; the rest is the caller's promise.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from this allocator, hence from `System`; the rest is the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Runs some work and returns how many allocations this thread made meanwhile; growing a block counts as one.
///
/// `None` if this program's allocator is not [`Counting`]: the count is tried on a box first, so that a zero means none.
/// The work runs in either case. Counts do not nest.
pub fn allocations(work: &mut dyn FnMut()) -> Option<u64> {
    let probe = counted(&mut || drop(std::hint::black_box(Box::new(0u8))));
    let count = counted(work);
    (probe > 0).then_some(count)
}

fn counted(work: &mut dyn FnMut()) -> u64 {
    COUNT.set(Some(0));
    work();
    COUNT.take().unwrap_or(0)
}
