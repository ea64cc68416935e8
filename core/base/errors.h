// Errors of set-up. They reach main(), which prints one line and exits with the documented status.
#pragma once

#include <new>
#include <stdexcept>

namespace bakeoff {

// What was asked for cannot be understood or means nothing: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What was asked for is clear, yet this machine would not do it (port in use, no descriptors): exit status 4.
struct StartError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The kernel lacks the memory to watch one more descriptor in an event mechanism. Whoever serves a connection treats it
// like std::bad_alloc: that connection ends, the server goes on.
struct NoEventMemory : std::bad_alloc {
  const char* what() const noexcept override {
    return "epoll cannot watch one descriptor more; raise /proc/sys/fs/epoll/max_user_watches";
  }
};

// std::bad_alloc in words for whoever started the program.
struct OutOfMemory : std::bad_alloc {
  const char* what() const noexcept override { return "out of memory"; }
};
// For the beginning of a main() that prints what it catches.
inline void make_new_throw_out_of_memory() {
  std::set_new_handler([] { throw OutOfMemory(); });
}

}  // namespace bakeoff
