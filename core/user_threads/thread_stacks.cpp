#include "core/user_threads/thread_stacks.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/check.h"
#include "core/base/errors.h"

namespace bakeoff {
namespace {

// MADV_GUARD_INSTALL of Linux 6.13: a guard page that does not cut the mapping in two. Debian 12's headers lack it.
constexpr int madv_guard_install = 102;

}  // namespace

ThreadStacks::ThreadStacks(std::size_t stack_bytes)
    : page_bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
      stack_bytes_((stack_bytes + page_bytes_ - 1) / page_bytes_ * page_bytes_) {
  BAKEOFF_CHECK(stack_bytes > 0);
  constexpr std::size_t mapping_bytes = 16 << 20;
  stacks_a_mapping_ = std::max<std::size_t>(1, mapping_bytes / (page_bytes_ + stack_bytes_));
  used_of_last_ = stacks_a_mapping_;
}

ThreadStacks::~ThreadStacks() {
  for (std::byte* mapping : mappings_) munmap(mapping, stacks_a_mapping_ * (page_bytes_ + stack_bytes_));
}

std::byte* ThreadStacks::take() {
  if (!given_back_.empty()) {
    std::byte* stack = given_back_.back();
    given_back_.pop_back();
    return stack;
  }
  const auto refuse = [&](const char* what) {
    const std::size_t stacks = mappings_.size() * stacks_a_mapping_ - (stacks_a_mapping_ - used_of_last_);
    throw StartError(std::string(what) + " after " + std::to_string(stacks) + " user-level threads: " +
                     std::strerror(errno) + "; ask for fewer connections or raise vm.max_map_count");
  };
  const std::size_t mapping_bytes = stacks_a_mapping_ * (page_bytes_ + stack_bytes_);
  if (used_of_last_ == stacks_a_mapping_) {
    void* mapping = mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED) refuse("no address space for a stack");
    // A huge page would give every stack in it memory. A kernel that knows none refuses, which is as good.
    madvise(mapping, mapping_bytes, MADV_NOHUGEPAGE);
    mappings_.push_back(static_cast<std::byte*>(mapping));
    given_back_.reserve(mappings_.size() * stacks_a_mapping_);
    used_of_last_ = 0;
  }
  std::byte* guard = mappings_.back() + used_of_last_ * (page_bytes_ + stack_bytes_);
  if (madvise(guard, page_bytes_, madv_guard_install) != 0 && mprotect(guard, page_bytes_, PROT_NONE) != 0)
    refuse("no guard page for a stack");
  ++used_of_last_;
  return guard + page_bytes_;
}

void ThreadStacks::give_back(std::byte* stack) { given_back_.push_back(stack); }

}  // namespace bakeoff
