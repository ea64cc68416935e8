#include "harness/load/waiting_arrivals.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include "core/base/errors.h"

namespace bakeoff {

WaitingArrivals::WaitingArrivals(std::uint32_t workers)
    : region_(sizeof(Shared) + workers * sizeof(std::atomic<bool>)),
      shared_(new (region_.data()) Shared),
      has_free_(reinterpret_cast<std::atomic<bool>*>(shared_ + 1)) {
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    new (has_free_ + worker) std::atomic<bool>(false);
    bells_.push_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (bells_.back() < 0) throw StartError(std::string("eventfd: ") + std::strerror(errno));
  }
}

WaitingArrivals::~WaitingArrivals() {
  for (const int bell : bells_) ::close(bell);
}

std::optional<std::int64_t> WaitingArrivals::take() {
  std::int64_t scheduled_ns = 0;
  if (!shared_->queue.pop(scheduled_ns)) return std::nullopt;
  return scheduled_ns;
}

bool WaitingArrivals::add(std::int64_t scheduled_ns) { return shared_->queue.bounded_push(scheduled_ns); }

// Why no arrival is left while a worker with a free connection sleeps. The worker stores has_free_, and then looks
// whether the queue is empty; who adds stores into the queue, and then looks at has_free_. Between the two steps each
// has a fence of sequential consistency, and these have one order. The later of the two sees what was stored before the
// earlier: the worker finds the arrival, or who adds finds the worker and rings. A bell that rings for nothing, because
// somebody else was faster, costs its worker one look. The queue itself is Boost's.
void WaitingArrivals::tell_free(std::uint32_t worker, bool has_free) {
  if (has_free_[worker].load(std::memory_order_relaxed) != has_free)
    has_free_[worker].store(has_free, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void WaitingArrivals::ring() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto workers = static_cast<std::uint32_t>(bells_.size());
  const std::uint32_t first = shared_->next_to_wake.fetch_add(1, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < workers; ++i) {
    const std::uint32_t worker = (first + i) % workers;
    if (!has_free_[worker].load(std::memory_order_relaxed)) continue;
    ::eventfd_write(bells_[worker], 1);
    return;
  }
}

}  // namespace bakeoff
