#include "tests/support/server.h"

#include <filesystem>
#include <fstream>
#include <set>
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
  if (!ready_line_.is_object() || ready_line_.value("event", "") != "ready") throw NotReady(words() + "said: " + *line, -1, child_.errors());
  port_ = ready_line_.at("port").get<int>();
}

std::size_t Server::connections() const {
  // Lines of /proc/net/tcp: "sl local:port remote:port state ... inode"; inode 0 is a connection no process holds.
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  std::set<std::string> held;  // by inode: a line can be read twice while the table changes
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, queues, timer, retransmits, user, timeout, inode;
    fields >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
    constexpr std::string_view listening = "0A";
    if (std::stoi(local.substr(local.find(':') + 1), nullptr, 16) == port_ && state != listening && inode != "0") held.insert(inode);
  }
  return held.size();
}

std::size_t Server::descriptors() const {
  std::size_t count = 0;
  for (const pid_t member : child_.group()) {
    std::error_code gone;  // a process may end while it is looked at
    for (std::filesystem::directory_iterator it("/proc/" + std::to_string(member) + "/fd", gone), end; !gone && it != end; it.increment(gone)) ++count;
  }
  return count;
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
  if (!stopped.statistics.is_object() || stopped.statistics.value("event", "") != "statistics") stopped.statistics = nullptr;
  stopped.errors = child_.errors();
  return stopped;
}

}  // namespace bakeoff::test
