// A child process in a process group of its own, so that whatever it starts can be found and ended with it.
#pragma once

#include <sys/types.h>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/clock.h"

namespace bakeoff::test {

// Whether SIGSTOP has taken effect: it does so some time after kill() has returned.
bool is_stopped(pid_t pid);

class Child {
 public:
  struct Settings {
    // Gives up root's right to read whatever it likes, so that permissions mean the same to a test run by root.
    bool obey_permissions = false;
    // System calls that fail with this error, as on an older kernel (ENOSYS) or in a sandbox (EPERM).
    std::vector<long> forbidden_calls = {};
    int forbidden_errno = 0;
    // Ignored from the start, as by nohup. The others end it, whatever the test itself ignores.
    std::vector<int> ignored_signals = {};
  };

  // argv[0] is a path, or a name to find in PATH. Throws when it cannot be started.
  Child(const std::vector<std::string>& argv, Settings settings);
  explicit Child(const std::vector<std::string>& argv) : Child(argv, Settings{}) {}
  // Kills the whole group.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }

  // The next line of its standard output without the newline; nothing at the end of output or when time is up.
  std::optional<std::string> read_line(int within_ms = patience_ms);

  void signal(int number) const;

  // Its exit status, or 128 + the signal that ended it; nothing when it still runs after that time.
  std::optional<int> wait(int within_ms = patience_ms);

  bool running() { return !wait(0).has_value(); }

  // What is left of standard output, and all of standard error so far.
  std::string rest_of_output(int within_ms = patience_ms);
  std::string errors() const;

  // The processes of its group that live, itself among them.
  std::vector<pid_t> group() const;

 private:
  bool fill(int within_ms);

  pid_t pid_ = -1;
  int output_ = -1;  // read end of its standard output
  int errors_ = -1;  // a nameless file that receives its standard error
  std::string pending_;
  bool ended_ = false;  // standard output is at its end
  std::optional<int> status_;
};

struct Finished {
  int status;
  std::string output;
  std::string errors;
};

// Runs a command to its end. Throws when it takes longer.
Finished run(const std::vector<std::string>& argv, int within_ms = patience_ms);

// Whether a command of that name can be found in PATH.
bool is_installed(const std::string& command);

}  // namespace bakeoff::test
