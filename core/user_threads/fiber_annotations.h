// What the sanitizers must know when one kernel thread runs on several stacks: where each stack is (address sanitizer)
// and that each is a thread of its own (thread sanitizer). Without them every function here is empty. Only this file
// knows which sanitizer is there.
#pragma once

#include <cstddef>
#include <limits>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace bakeoff {

// One for each user-level thread, whose scheduler calls creating(), created(), entering(), left() and ended() around
// what these name, and which itself calls entered() and leaving().
class FiberAnnotations {
 public:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr std::size_t most_fibers = std::numeric_limits<std::size_t>::max();

  void creating(void* stack, std::size_t bytes) {
    stack_ = stack;
    bytes_ = bytes;
  }
  void created() {}
  void entering() { __sanitizer_start_switch_fiber(&scheduler_frames_, stack_, bytes_); }
  void entered() { __sanitizer_finish_switch_fiber(frames_, &scheduler_stack_, &scheduler_bytes_); }
  void leaving(bool for_good) {
    __sanitizer_start_switch_fiber(for_good ? nullptr : &frames_, scheduler_stack_, scheduler_bytes_);
  }
  void left() { __sanitizer_finish_switch_fiber(scheduler_frames_, nullptr, nullptr); }
  void ended() {
    __asan_unpoison_memory_region(stack_, bytes_);  // its last frames never returned
  }

 private:
  void* stack_ = nullptr;
  std::size_t bytes_ = 0;
  void* frames_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_bytes_ = 0;
  void* scheduler_frames_ = nullptr;

#elif defined(__SANITIZE_THREAD__)
  static constexpr std::size_t most_fibers = 1000;  // it knows 8,128 threads in all, and is slow with many

  void creating(void*, std::size_t) {
    fiber_ = __tsan_create_fiber(0);
    entering();  // creating jumps onto the new stack and back
  }
  void created() { left(); }
  void entering() {
    scheduler_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber_, 0);
  }
  void entered() {}
  void leaving(bool) {}
  // Told on the scheduler's side of the switch, so that each call of Boost's resume() and its return are booked on one
  // and the same fiber.
  void left() { __tsan_switch_to_fiber(scheduler_, 0); }
  void ended() { __tsan_destroy_fiber(fiber_); }

 private:
  void* fiber_ = nullptr;
  void* scheduler_ = nullptr;

#else
  static constexpr std::size_t most_fibers = std::numeric_limits<std::size_t>::max();

  void creating(void*, std::size_t) {}
  void created() {}
  void entering() {}
  void entered() {}
  void leaving(bool) {}
  void left() {}
  void ended() {}
#endif
};

}  // namespace bakeoff
