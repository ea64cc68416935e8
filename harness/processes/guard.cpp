#include "harness/processes/guard.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

int orders = -1;  // the harness's end of the pipe: a group's number to guard it, the negative one to release it

pid_t own_pid = 0;
std::string mark;

// Daemons have left their groups, and with the harness their ancestry is gone; what they were started with stays
// readable. Returns whether there was one.
bool kill_marked() {
  bool found = false;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry->path() / "environ", std::ios::binary);
    for (std::string variable; std::getline(file, variable, '\0');) {
      if (variable != mark) continue;
      found = kill(static_cast<pid_t>(std::stol(name)), SIGKILL) == 0 || found;
      break;
    }
  }
  return found;
}

void guard(int commands) {
  setsid();  // a terminal's Ctrl-C is for the harness
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) signal(signal_number, SIG_IGN);
  prctl(PR_SET_NAME, "bakeoff-guard");
  std::vector<pid_t> groups;
  pid_t order;
  for (;;) {
    const ssize_t got = read(commands, &order, sizeof order);
    if (got < 0 && errno == EINTR) continue;
    if (got != sizeof order) break;
    if (order > 0) {
      groups.push_back(order);
    } else {
      groups.erase(std::remove(groups.begin(), groups.end(), -order), groups.end());
    }
  }
  // Servers have been told to end by their parent's death (PR_SET_PDEATHSIG); give them a moment to end in order.
  if (!groups.empty()) {
    const timespec moment = {0, 300'000'000};
    nanosleep(&moment, nullptr);
  }
  for (const pid_t group : groups) kill(-group, SIGKILL);
  // A killed process may have started another one meanwhile.
  for (int round = 0; round < 20 && kill_marked(); ++round) {
    const timespec moment = {0, 10'000'000};
    nanosleep(&moment, nullptr);
  }
}

void tell(pid_t order) {
  if (orders >= 0) [[maybe_unused]]
    const ssize_t told = write(orders, &order, sizeof order);
}

}  // namespace

void start_guard() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw StartError(std::string("cannot start the guard: ") + std::strerror(errno));
  mark = "BAKEOFF_HARNESS=" + std::to_string(getpid()) + "-" +
         std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
  const pid_t pid = fork();
  if (pid < 0) throw StartError(std::string("cannot start the guard: ") + std::strerror(errno));
  if (pid == 0) {
    close(ends[1]);
    // Whoever reads the harness's output to its end must not wait for the guard.
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(fd);
    guard(ends[0]);
    _exit(0);
  }
  close(ends[0]);
  orders = ends[1];
  own_pid = pid;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void guard_group(pid_t group) { tell(group); }
void release_group(pid_t group) { tell(-group); }
pid_t guard_pid() { return own_pid; }
const std::string& guard_mark() { return mark; }

}  // namespace bakeoff
