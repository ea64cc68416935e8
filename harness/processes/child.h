// A child process in a process group of its own; its standard output is read line by line, its standard error kept. It
// never outlives the harness: the destructor ends it, or a guard process when the harness itself is killed. The same
// holds for its descendants, even daemons, which leave the group.
#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "harness/processes/descendants.h"
#include "harness/processes/reactor.h"

namespace bakeoff {

struct Command {
  std::vector<std::string> arguments;  // the program's path first
  std::vector<int> processors;         // to pin it to; empty: all that the harness itself may use, though it be pinned
  std::vector<std::string> cgroups = {};  // their cgroup.procs, which it enters first (cgroup.h)
  // Of standard output that nobody has read, the first and the last of that many bytes are kept.
  std::size_t kept_output_bytes = std::size_t{64} << 20;
};

class Child {
 public:
  // StartError when the program cannot be run.
  Child(Reactor& reactor, const Command& command);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }  // also its process group
  bool has_ended();

  // The next line of standard output; empty when it ends or the deadline passes first. BLOCKS: what the child says.
  std::optional<std::string> read_line(SteadyTime deadline);
  // Whether it ended before the deadline. BLOCKS: the child's life.
  bool wait_for_end(SteadyTime deadline);
  // All of standard output that was not read by lines; of more than twice kept_output_bytes, the beginning and the end.
  std::string rest_of_output();
  std::size_t unread_output_bytes() const { return output_buffer_[0].size(); }
  // Standard error so far, at most its last 64 KiB.
  const std::string& errors() const { return errors_; }
  // "exit status 4" or "killed by signal 11 (Segmentation fault)"; only after the end.
  std::string how_it_ended() const;
  int exit_status() const;  // -1 when a signal ended it

  // Processes that it started and that have left its group. They include orphans of the harness's other children,
  // because an orphan's origin is unknown.
  std::vector<Process> outside_of_group() const;

  // Sends SIGTERM to the child and to processes that left its group, then after grace_s SIGKILL to the group and to
  // these; returns when all are gone. Output that comes meanwhile can be read afterwards. False when it had to be
  // killed. BLOCKS: at most about grace_s.
  bool stop(double grace_s = 5);

 private:
  void read_output();
  void read_errors();
  void reap(bool wait);
  void end_outside(std::vector<Process> known);

  Reactor& reactor_;
  pid_t pid_ = -1;
  std::uint64_t started_ = 0;  // clock ticks since boot
  std::size_t kept_output_bytes_;
  boost::asio::posix::stream_descriptor output_;
  boost::asio::posix::stream_descriptor error_output_;
  boost::asio::posix::stream_descriptor end_;  // a pidfd: readable once the child has ended
  bool output_open_ = true;
  bool errors_open_ = true;
  bool ended_ = false;
  bool stopped_ = false;
  int status_ = 0;
  std::string output_buffer_[2];  // what was read, and the piece being read
  std::string error_buffer_;
  std::string errors_;
};

// Runs a program to its end and returns its standard output; StartError when it does not end with status 0 in time.
std::string output_of(Reactor& reactor, const Command& command, double timeout_s);

}  // namespace bakeoff
