// Memory that a program's processes share and that others may find and read while it runs: a memfd with a name.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace bakeoff {

class VisibleMemory {
 public:
  // Of this process and those that it forks, zeroed; pages cost memory only once touched. Where memfds are forbidden
  // nobody else can find it, and all else is the same. Throws StartError: "no memory for WHAT: ...".
  VisibleMemory(const char* name, std::size_t bytes, std::string_view what);
  // Of a process that made one of that name, to read; it stays readable when that process ends. Throws UsageError when
  // the process is not there, may not be looked at, or has none; the sentence goes on with `what_is_none`, as in
  // "process 12 is not a bakeoff server; give ...".
  static VisibleMemory of_process(pid_t pid, std::string_view name, std::string_view what_is_none);

  VisibleMemory(VisibleMemory&& other) noexcept;
  ~VisibleMemory();

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  VisibleMemory() = default;

  int fd_ = -1;
  std::size_t bytes_ = 0;
  void* data_ = nullptr;
};

}  // namespace bakeoff
