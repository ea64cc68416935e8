#include "harness/processes/child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "core/base/errors.h"
#include "harness/processes/affinity.h"
#include "harness/processes/guard.h"

namespace bakeoff {
namespace {

constexpr std::size_t piece_bytes = 64 << 10;
constexpr std::size_t kept_error_bytes = 64 << 10;
constexpr pid_t nobody = -1;
constexpr int rounds_to_kill = 200;  // of 5 ms: a daemon that forks for ever must not hold up the harness

// All running children. Any other child of the harness is an orphan that it adopted.
std::set<pid_t>& own_children() {
  static std::set<pid_t> pids;
  return pids;
}

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw StartError(std::string("cannot make a pipe: ") + std::strerror(errno));
    read_end = ends[0];
    write_end = ends[1];
  }
};

// Between fork and exec; only calls that are safe there.
[[noreturn]] void become(char* const* arguments, char* const* environment, const cpu_set_t& processors,
                         const std::vector<std::string>& cgroups, int output, int errors, int failure, pid_t harness) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != harness) _exit(127);  // the harness died before the line above
  for (const std::string& file : cgroups) {
    const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) {
      const int why = errno;
      [[maybe_unused]] const ssize_t told = write(failure, &why, sizeof why);
      _exit(127);
    }
    close(fd);
  }
  sched_setaffinity(0, sizeof processors, &processors);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // Whatever the harness ignores: a child has to end when the harness tells it to.
  for (const int number : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP}) signal(number, SIG_DFL);
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  execve(arguments[0], arguments, environment);
  const int why = errno;
  [[maybe_unused]] const ssize_t told = write(failure, &why, sizeof why);
  _exit(127);
}

}  // namespace

Child::Child(Reactor& reactor, const Command& command)
    : reactor_(reactor),
      kept_output_bytes_(command.kept_output_bytes),
      output_(reactor.io()),
      error_output_(reactor.io()),
      end_(reactor.io()) {
  std::vector<char*> arguments;
  for (const std::string& argument : command.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::string mark = guard_mark();
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  if (!mark.empty()) environment.push_back(mark.data());
  environment.push_back(nullptr);
  cpu_set_t processors;
  CPU_ZERO(&processors);
  for (const int processor : command.processors.empty() ? usable_processors() : command.processors)
    CPU_SET(static_cast<std::size_t>(processor), &processors);

  const Pipe output, errors, failure;
  const pid_t harness = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    become(arguments.data(), environment.data(), processors, command.cgroups, output.write_end, errors.write_end,
           failure.write_end, harness);
  }
  const int fork_error = errno;
  close(output.write_end);
  close(errors.write_end);
  close(failure.write_end);
  output_.assign(output.read_end);
  error_output_.assign(errors.read_end);
  if (pid_ < 0) {
    close(failure.read_end);
    throw StartError("cannot start " + command.arguments[0] + ": " + std::strerror(fork_error));
  }
  setpgid(pid_, pid_);  // the child does the same: whoever comes first
  guard_group(pid_);
  own_children().insert(pid_);
  started_ = start_of(pid_);
  int why = 0;
  const bool failed = read(failure.read_end, &why, sizeof why) == sizeof why;
  close(failure.read_end);
  if (failed) {
    reap(true);
    release_group(pid_);
    own_children().erase(pid_);
    throw StartError("cannot run " + command.arguments[0] + ": " + std::strerror(why));
  }
  end_.assign(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  end_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) reap(false);
  });
  read_output();
  read_errors();
}

Child::~Child() {
  stop(1);
  // The handlers refer to this object: let them run off before it is gone.
  boost::system::error_code ignored;
  output_.close(ignored);
  error_output_.close(ignored);
  end_.close(ignored);
  reactor_.io().restart();
  reactor_.io().poll();
}

void Child::read_output() {
  output_buffer_[1].resize(piece_bytes);
  output_.async_read_some(boost::asio::buffer(output_buffer_[1]),
                          [this](const boost::system::error_code& error, std::size_t bytes) {
                            if (error == boost::asio::error::operation_aborted) return;
                            std::string& kept = output_buffer_[0];
                            kept.append(output_buffer_[1], 0, bytes);
                            // Twice as much may stand there, so that not every piece moves the rest.
                            if (kept.size() > 4 * kept_output_bytes_)
                              kept.erase(kept_output_bytes_, kept.size() - 2 * kept_output_bytes_);
                            if (error) {
                              output_open_ = false;
                            } else {
                              read_output();
                            }
                          });
}

void Child::read_errors() {
  error_buffer_.resize(piece_bytes);
  error_output_.async_read_some(boost::asio::buffer(error_buffer_),
                                [this](const boost::system::error_code& error, std::size_t bytes) {
                                  if (error == boost::asio::error::operation_aborted) return;
                                  errors_.append(error_buffer_, 0, bytes);
                                  if (errors_.size() > kept_error_bytes)
                                    errors_.erase(0, errors_.size() - kept_error_bytes);
                                  if (error) {
                                    errors_open_ = false;
                                  } else {
                                    read_errors();
                                  }
                                });
}

void Child::reap(bool wait) {
  if (ended_) return;
  pid_t got;
  do {
    got = waitpid(pid_, &status_, wait ? 0 : WNOHANG);
  } while (got < 0 && errno == EINTR);
  ended_ = got == pid_;
}

bool Child::has_ended() {
  reap(false);
  return ended_;
}

std::optional<std::string> Child::read_line(SteadyTime deadline) {
  const auto newline = [&] { return output_buffer_[0].find('\n'); };
  reactor_.wait_until([&] { return newline() != std::string::npos || !output_open_; }, deadline);
  const std::size_t end = newline();
  if (end == std::string::npos) return std::nullopt;
  std::string line = output_buffer_[0].substr(0, end);
  output_buffer_[0].erase(0, end + 1);
  return line;
}

bool Child::wait_for_end(SteadyTime deadline) {
  return reactor_.wait_until([&] { return ended_ && !output_open_ && !errors_open_; }, deadline);
}

std::string Child::rest_of_output() {
  std::string rest = std::exchange(output_buffer_[0], {});
  if (rest.size() > 2 * kept_output_bytes_) rest.erase(kept_output_bytes_, rest.size() - 2 * kept_output_bytes_);
  return rest;
}

std::string Child::how_it_ended() const {
  if (WIFEXITED(status_)) return "exit status " + std::to_string(WEXITSTATUS(status_));
  return "killed by signal " + std::to_string(WTERMSIG(status_)) + " (" + strsignal(WTERMSIG(status_)) + ")";
}

int Child::exit_status() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }

std::vector<Process> Child::outside_of_group() const {
  std::set<pid_t> own = own_children();
  own.insert(guard_pid());
  int adopts = 0;  // start_guard() makes the harness adopt orphans
  prctl(PR_GET_CHILD_SUBREAPER, &adopts);
  return bakeoff::outside_of_group(all_processes(), pid_, started_, adopts != 0 ? getpid() : nobody, own);
}

// Whoever is killed may leave children that were not seen before: looks until nobody is left.
void Child::end_outside(std::vector<Process> known) {
  for (int round = 0; round < rounds_to_kill; ++round) {
    for (const Process& one : outside_of_group()) {
      if (std::find(known.begin(), known.end(), one) == known.end()) known.push_back(one);
    }
    const std::vector<Process> all = all_processes();
    bool left = false;
    for (const Process& one : known) {
      const bool lives = std::find(all.begin(), all.end(), one) != all.end();
      if (lives) kill(one.pid, SIGKILL);
      waitpid(one.pid, nullptr, WNOHANG);  // an orphan that was adopted
      left = left || lives;
    }
    if (!left) return;
    const timespec moment = {0, 5'000'000};
    nanosleep(&moment, nullptr);
  }
}

bool Child::stop(double grace_s) {
  if (stopped_) return true;
  stopped_ = true;
  bool orderly = true;
  // Before the leader ends: its descendants are then known by their parents.
  const std::vector<Process> outside = outside_of_group();
  for (const Process& one : outside) kill(one.pid, SIGTERM);
  if (!has_ended()) {
    kill(pid_, SIGTERM);
    orderly = reactor_.wait_until_uninterrupted([&] { return ended_; }, after_s(grace_s));
  }
  // Whatever is left of the group: a worker that ignores its master's end, or a master that ignores SIGTERM.
  kill(-pid_, SIGKILL);
  reap(true);
  release_group(pid_);
  // Orphans of the group are ours (guard.h): take their ends, too.
  while (waitpid(-pid_, nullptr, 0) > 0) {
  }
  end_outside(outside);
  own_children().erase(pid_);
  reactor_.wait_until_uninterrupted([&] { return !output_open_ && !errors_open_; }, after_s(0.5));
  return orderly;
}

std::string output_of(Reactor& reactor, const Command& command, double timeout_s) {
  Child child(reactor, command);
  const std::string& program = command.arguments[0];
  if (!child.wait_for_end(after_s(timeout_s)))
    throw StartError(program + " did not answer within " + std::to_string(static_cast<int>(timeout_s)) + " s");
  if (child.exit_status() != 0) {
    const std::string said = child.errors().substr(0, child.errors().find('\n'));
    throw StartError(program + " ended with " + child.how_it_ended() + (said.empty() ? "" : ": " + said));
  }
  return child.rest_of_output();
}

}  // namespace bakeoff
