#include "core/sharing/lock.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "core/base/check.h"
#include "core/base/errors.h"

namespace bakeoff {

// One for each process that takes ProcessLocks; the kernel finds in it what the process held when it dies.
struct ProcessLockHolder {
  robust_list_head held;  // circular: the last link points back to the head
  std::uint32_t thread_id;

  static ProcessLockHolder& here();

  // The kernel looks at the links after a kill at any instruction, so that the compiler must keep the order of the
  // stores around them.
  static void keep_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

  static robust_list* link_of(ProcessLock::Robust& lock) { return reinterpret_cast<robust_list*>(&lock.next); }

  // Between begin() and end() the kernel also looks at this lock, which may or may not be in the chain, held or not.
  void begin(ProcessLock::Robust& lock) {
    held.list_op_pending = link_of(lock);
    keep_order();
  }
  void end() {
    keep_order();
    held.list_op_pending = nullptr;
  }

  void chain(ProcessLock::Robust& lock) {
    keep_order();
    link_of(lock)->next = held.list.next;
    keep_order();
    held.list.next = link_of(lock);
  }
  void unchain(ProcessLock::Robust& lock) {
    robust_list* before = &held.list;
    while (before->next != link_of(lock)) before = before->next;
    before->next = link_of(lock)->next;
    keep_order();
  }

  static constexpr long word_distance() {
    return static_cast<long>(offsetof(ProcessLock::Robust, word)) -
           static_cast<long>(offsetof(ProcessLock::Robust, next));
  }
};

namespace {

// Per kernel thread, so that a thread that did not register cannot pass for one that did.
thread_local ProcessLockHolder* this_holder = nullptr;

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

}  // namespace

ProcessLockHolder& ProcessLockHolder::here() {
  BAKEOFF_CHECK(this_holder != nullptr && this_holder->thread_id != 0);
  return *this_holder;
}

void ProcessLock::register_process() {
  if (this_holder == nullptr) {
    // The kernel empties this page in every child, so that a child cannot pass for its parent by mistake.
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, page, MADV_WIPEONFORK) != 0)
      throw StartError(std::string("no memory for the list of held locks: ") + std::strerror(errno));
    this_holder = static_cast<ProcessLockHolder*>(memory);
  }
  ProcessLockHolder& holder = *this_holder;
  BAKEOFF_CHECK(holder.thread_id == 0 || holder.held.list.next == &holder.held.list);  // not while it holds a lock
  holder.held.list.next = &holder.held.list;
  holder.held.list_op_pending = nullptr;
  holder.held.futex_offset = ProcessLockHolder::word_distance();
  // This replaces the list that the C library keeps for pthread's robust mutexes, which this project does not use.
  if (syscall(SYS_set_robust_list, &holder.held, sizeof holder.held) != 0)
    throw StartError(std::string("the kernel has no robust futexes: ") + std::strerror(errno));
  holder.thread_id = static_cast<std::uint32_t>(syscall(SYS_gettid));
}

Lock::Taken ProcessLock::lock() {
  ProcessLockHolder& holder = ProcessLockHolder::here();
  holder.begin(robust_);
  std::uint32_t seen = 0;
  Taken taken = Taken::clean;
  if (!robust_.word.compare_exchange_strong(seen, holder.thread_id, std::memory_order_acquire,
                                            std::memory_order_relaxed))
    taken = wait_for(holder.thread_id);
  holder.chain(robust_);
  holder.end();
  return taken;
}

Lock::Taken ProcessLock::wait_for(std::uint32_t owner) {
  // A wake-up can get lost: a woken process is killed before it takes the lock, after a third took it without looking
  // at the queue. So waiters look again by themselves, rarely enough to cost nothing.
  constexpr timespec look_again{.tv_sec = 0, .tv_nsec = 100'000'000};
  std::uint32_t waiters = 0;  // once one has slept, others may still sleep: the flag stays
  std::uint32_t seen = robust_.word.load(std::memory_order_relaxed);
  while (true) {
    if ((seen & FUTEX_TID_MASK) == 0) {
      if (robust_.word.compare_exchange_weak(seen, owner | waiters | (seen & FUTEX_WAITERS), std::memory_order_acquire,
                                             std::memory_order_relaxed))
        return (seen & FUTEX_OWNER_DIED) != 0 ? Taken::abandoned : Taken::clean;
      continue;
    }
    BAKEOFF_CHECK((seen & FUTEX_TID_MASK) != owner);  // a lock is not taken twice
    if ((seen & FUTEX_WAITERS) == 0 &&
        !robust_.word.compare_exchange_weak(seen, seen | FUTEX_WAITERS, std::memory_order_relaxed))
      continue;
    futex(robust_.word, FUTEX_WAIT, seen | FUTEX_WAITERS, &look_again);
    waiters = FUTEX_WAITERS;
    seen = robust_.word.load(std::memory_order_relaxed);
  }
}

void ProcessLock::unlock() {
  ProcessLockHolder& holder = ProcessLockHolder::here();
  BAKEOFF_CHECK((robust_.word.load(std::memory_order_relaxed) & FUTEX_TID_MASK) == holder.thread_id);
  holder.begin(robust_);
  holder.unchain(robust_);
  const std::uint32_t before = robust_.word.exchange(0, std::memory_order_release);
  // Killed here, the kernel wakes in our place: it sees the operation pending and the word free.
  if ((before & FUTEX_WAITERS) != 0) futex(robust_.word, FUTEX_WAKE, 1, nullptr);
  holder.end();
}

}  // namespace bakeoff
