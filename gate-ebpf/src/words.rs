//! Words of memory: zeroed without `memset`, added to atomically.

use core::{arch::asm, mem::MaybeUninit};

use bytemuck::Pod;

/// Zeroes `value` where it lies, word by word.
///
/// The obvious `T::zeroed()` becomes a call to a `memset` that stores byte by byte and costs more than the whole parse.
/// Volatile stores are what LLVM does not turn into one, and only as long as the value is not moved afterwards.
#[inline(always)]
pub(crate) fn zero<T: Pod>(value: &mut MaybeUninit<T>) -> &mut T {
    const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8) };
    let words = value.as_mut_ptr().cast::<u64>();
    for index in 0..size_of::<T>() / 8 {
        // SAFETY: below the number of words that `value` has.
        let word = unsafe { words.add(index) };
        // SAFETY: in `value`, and aligned for words.
        unsafe { word.write_volatile(0) };
    }
    // SAFETY: every word was written, and `T: Pod` has no padding and takes any bits.
    unsafe { value.assume_init_mut() }
}

/// Zeroes `value`, word by word; as [`zero`].
#[inline(always)]
pub(crate) fn clear<T: Pod>(value: &mut T) {
    // SAFETY: memory of the right size and alignment, which `zero` does not read.
    zero(unsafe { &mut *core::ptr::from_mut(value).cast::<MaybeUninit<T>>() });
}

/// Reads a word that other CPUs write.
#[inline(always)]
pub(crate) fn load(word: &mut u64) -> u64 {
    // SAFETY: a word that we may read, whole.
    unsafe { core::ptr::from_mut(word).read_volatile() }
}

/// Stores `new` in a word that other CPUs write, if it still holds `old`; what it held. In assembly, as [`add`].
#[inline(always)]
pub(crate) fn compare_exchange(word: &mut u64, old: u64, new: u64) -> u64 {
    let found;
    // SAFETY: one atomic comparison and store to a word that we may write.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {new})",
            word = in(reg) word,
            new = in(reg) new,
            inout("r0") old => found,
            options(nostack),
        );
    }
    found
}

/// Adds to a word that other CPUs add to.
///
/// In assembly, because the target has no `AtomicU64::fetch_add`, and the intrinsic below it changes its signature from
/// one compiler to the next.
#[inline(always)]
pub(crate) fn add(word: &mut u64, amount: u64) {
    // SAFETY: one atomic addition to a word that we may write.
    unsafe {
        asm!(
            "lock *(u64 *)({word} + 0) += {amount}",
            word = in(reg) word,
            amount = in(reg) amount,
            options(nostack),
        );
    }
}
