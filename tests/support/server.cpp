#include "tests/support/server.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <sstream>
#include <stdexcept>

namespace bakeoff::test {

std::vector<std::string> command_line(const std::string& binary, const std::string& root, const Options& options) {
  std::vector<std::string> arguments{binary, "--root", root};
  for (const auto& [name, value] : options) {
    arguments.push_back("--" + name);
    arguments.push_back(value);
  }
  return arguments;
}

namespace {

Options with_any_port(Options options) {
  options.emplace("port", "0");
  return options;
}

std::string in_words(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) text += argument + " ";
  return text;
}

}  // namespace

Server::Server(const std::string& binary, const std::string& root, const Options& options, Child::Settings settings)
    : child_(command_line(binary, root, with_any_port(options)), settings) {
  const auto line = child_.read_line();
  const auto words = [&] { return in_words(command_line(binary, root, options)); };
  if (!line) {
    const int status = child_.wait(1000).value_or(-1);
    throw NotReady(words() + "did not become ready: " + child_.errors(), status, child_.errors());
  }
  ready_line_ = nlohmann::json::parse(*line, nullptr, false);
  if (!ready_line_.is_object() || ready_line_.value("event", "") != "ready")
    throw NotReady(words() + "said: " + *line, -1, child_.errors());
  port_ = ready_line_.at("port").get<int>();
}

Server::Sockets Server::sockets() const {
  // Asked of the kernel by port: /proc/net/tcp lists every socket of the machine, and is slow to read for it.
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.body.sdiag_family = AF_INET;
  question.body.sdiag_protocol = IPPROTO_TCP;
  question.body.idiag_states = ~(1U << TCP_TIME_WAIT);
  question.body.id.idiag_sport = htons(static_cast<std::uint16_t>(port_));
  const int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  Sockets sockets;
  std::map<std::uint32_t, std::string> held;  // by inode: none is counted twice while the table changes
  bool done = fd < 0 || ::send(fd, &question, sizeof question, 0) < 0;
  bool failed = done;
  alignas(nlmsghdr) char answer[32768];
  while (!done) {
    const ssize_t got = recv(fd, answer, sizeof answer, 0);
    failed = got <= 0;
    for (std::size_t at = 0; !failed && !done && at + sizeof(nlmsghdr) <= static_cast<std::size_t>(got);) {
      const auto* message = reinterpret_cast<const nlmsghdr*>(answer + at);
      done = message->nlmsg_type == NLMSG_DONE;
      failed = message->nlmsg_type == NLMSG_ERROR;
      if (done || failed) break;
      const auto* connection = reinterpret_cast<const inet_diag_msg*>(message + 1);
      if (connection->idiag_state == TCP_LISTEN) {
        sockets.to_accept += connection->idiag_rqueue;
      } else if (connection->idiag_inode != 0) {  // 0: no process holds it
        std::ostringstream line;
        line << ntohs(connection->id.idiag_sport) << " to " << ntohs(connection->id.idiag_dport) << " in state "
             << int{connection->idiag_state} << ", " << connection->idiag_rqueue << " to read, "
             << connection->idiag_wqueue << " sent";
        if (held.emplace(connection->idiag_inode, line.str()).second && connection->idiag_rqueue > 0) ++sockets.unread;
      }
      at += NLMSG_ALIGN(message->nlmsg_len);
    }
    if (failed) break;
  }
  if (fd >= 0) ::close(fd);
  if (failed) throw std::runtime_error("the kernel does not tell which connections there are");
  for (const auto& [inode, line] : held) sockets.held.push_back(line);
  return sockets;
}

std::vector<std::string> Server::held() const {
  std::vector<std::string> what;
  for (const pid_t member : child_.group()) {
    std::error_code gone;  // a process may end while it is looked at
    for (std::filesystem::directory_iterator it("/proc/" + std::to_string(member) + "/fd", gone), end;
         !gone && it != end; it.increment(gone)) {
      std::error_code closed;
      what.push_back(std::filesystem::read_symlink(it->path(), closed).string());
    }
  }
  return what;
}

std::size_t Server::descriptors() const { return held().size(); }

std::size_t Server::open_files(const std::string& directory) const {
  const std::vector<std::string> what = held();
  return static_cast<std::size_t>(std::count_if(
      what.begin(), what.end(), [&](const std::string& path) { return path.starts_with(directory + "/"); }));
}

Server::Stopped Server::stop(int signal) {
  Stopped stopped;
  child_.signal(signal);
  // Read first: a server with many workers has more to say than a pipe holds.
  std::istringstream output(child_.rest_of_output());
  stopped.status = child_.wait(1000).value_or(-1);
  if (stopped.status == -1) child_.signal(SIGKILL);
  eventually([this] { return child_.group().empty(); }, 2'000);
  stopped.left_running = child_.group().size();
  std::string last;
  for (std::string line; std::getline(output, line);) last = line;
  stopped.statistics = nlohmann::json::parse(last, nullptr, false);
  if (!stopped.statistics.is_object() || stopped.statistics.value("event", "") != "statistics")
    stopped.statistics = nullptr;
  stopped.errors = child_.errors();
  return stopped;
}

}  // namespace bakeoff::test
