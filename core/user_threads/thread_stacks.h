// The stacks of user-level threads: address space in abundance, memory only where a thread has been, a guard page below
// each. Cut from large mappings and used again.
#pragma once

#include <cstddef>
#include <vector>

namespace bakeoff {

class ThreadStacks {
 public:
  // stack_bytes is rounded up to whole pages.
  explicit ThreadStacks(std::size_t stack_bytes);
  ~ThreadStacks();
  ThreadStacks(const ThreadStacks&) = delete;
  ThreadStacks& operator=(const ThreadStacks&) = delete;

  // The lowest byte of a stack of bytes(), not necessarily zeroed. Throws StartError. From Linux 6.13 on, memory is the
  // only bound; before, each guard page costs two of the process's mappings, and the usual vm.max_map_count of 65,530
  // bounds the stacks to about 32,000.
  std::byte* take();
  void give_back(std::byte* stack);

  std::size_t bytes() const { return stack_bytes_; }

 private:
  std::size_t page_bytes_;
  std::size_t stack_bytes_;
  std::size_t stacks_a_mapping_;
  std::vector<std::byte*> mappings_;
  std::size_t used_of_last_;            // stacks cut from the last mapping so far
  std::vector<std::byte*> given_back_;  // the last one first: it is the likeliest to be in the processor's cache
};

}  // namespace bakeoff
