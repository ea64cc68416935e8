#include "tests/support/child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace bakeoff::test {

namespace {

// These system calls fail from now on, in this process and those that it makes.
void forbid(const std::vector<long>& calls, int error) {
  std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (std::size_t i = 0; i < calls.size(); ++i) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(calls[i]),
                               static_cast<std::uint8_t>(calls.size() - i), 0));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    _exit(126);
}

[[noreturn]] void fail_to(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

bool is_stopped(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const std::size_t end = text.rfind(')');
  return end != std::string::npos && text.size() > end + 2 && (text[end + 2] == 'T' || text[end + 2] == 't');
}

Child::Child(const std::vector<std::string>& argv, Settings settings) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) fail_to("pipe");
  errors_ = memfd_create("errors", MFD_CLOEXEC);
  if (errors_ < 0) fail_to("memfd_create");
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) fail_to("fork");
  if (pid_ == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves nothing running
    if (settings.obey_permissions) {
      prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
      prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
    }
    for (const int number : {SIGINT, SIGTERM, SIGQUIT, SIGHUP}) ::signal(number, SIG_DFL);
    for (const int number : settings.ignored_signals) ::signal(number, SIG_IGN);
    if (!settings.forbidden_calls.empty()) forbid(settings.forbidden_calls, settings.forbidden_errno);
    dup2(nothing, STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    dup2(errors_, STDERR_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  setpgid(pid_, pid_);
  close(nothing);
  close(output[1]);
  output_ = output[0];
}

Child::~Child() {
  kill(-pid_, SIGKILL);
  if (!status_) waitpid(pid_, nullptr, 0);
  close(output_);
  close(errors_);
}

bool Child::fill(int within_ms) {
  pollfd ready{output_, POLLIN, 0};
  if (ended_ || poll(&ready, 1, within_ms) <= 0) return false;
  char bytes[4096];
  const ssize_t got = read(output_, bytes, sizeof bytes);
  if (got <= 0) {
    ended_ = true;
    return false;
  }
  pending_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

std::optional<std::string> Child::read_line(int within_ms) {
  const std::int64_t end = now_ms() + within_ms;
  std::size_t newline;
  while ((newline = pending_.find('\n')) == std::string::npos) {
    const std::int64_t left = end - now_ms();
    if (left < 0 || ended_) return std::nullopt;
    fill(static_cast<int>(left));
  }
  std::string line = pending_.substr(0, newline);
  pending_.erase(0, newline + 1);
  return line;
}

void Child::signal(int number) const { kill(pid_, number); }

std::optional<int> Child::wait(int within_ms) {
  eventually(
      [this] {
        int status = 0;
        if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) {
          status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        return status_.has_value();
      },
      within_ms);
  return status_;
}

std::string Child::rest_of_output(int within_ms) {
  const std::int64_t end = now_ms() + within_ms;
  while (!ended_ && now_ms() < end) fill(static_cast<int>(end - now_ms()));
  return std::exchange(pending_, {});
}

std::string Child::errors() const {
  std::string text;
  char bytes[4096];
  ssize_t got;
  while ((got = pread(errors_, bytes, sizeof bytes, static_cast<off_t>(text.size()))) > 0) {
    text.append(bytes, static_cast<std::size_t>(got));
  }
  return text;
}

std::vector<pid_t> Child::group() const {
  std::vector<pid_t> members;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    if (!std::getline(stat, line)) continue;
    // pid (name) state parent group ...; the name may hold anything, a closing parenthesis too.
    std::istringstream rest(line.substr(line.rfind(')') + 1));
    char state = 0;
    pid_t parent = 0;
    pid_t group = 0;
    rest >> state >> parent >> group;
    if (group == pid_ && state != 'Z') members.push_back(static_cast<pid_t>(std::stoi(name)));
  }
  return members;
}

Finished run(const std::vector<std::string>& argv, int within_ms) {
  Child child(argv);
  Finished finished;
  finished.output = child.rest_of_output(within_ms);
  const std::optional<int> status = child.wait(within_ms);
  finished.errors = child.errors();
  if (!status)
    throw std::runtime_error(argv[0] + " did not end within " + std::to_string(within_ms) + " ms: " + finished.errors);
  finished.status = *status;
  return finished;
}

bool is_installed(const std::string& command) {
  std::istringstream path(std::getenv("PATH") ? std::getenv("PATH") : "");
  for (std::string directory; std::getline(path, directory, ':');) {
    if (access((directory + "/" + command).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace bakeoff::test
