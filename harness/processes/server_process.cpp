#include "harness/processes/server_process.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <sstream>
#include <vector>

#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

// A line with that event; null when the line is something else.
nlohmann::json event_of(const std::string& line, const char* event) {
  nlohmann::json object = parse_untrusted_or_discard(line);
  if (!object.is_object() || object.value("event", "") != event) return nullptr;
  return object;
}

// A server's end may be known before its last words have been read. Who else has its pipe may keep it open for ever.
constexpr double output_patience_s = 1;

// What somebody else's server prints is read so that it goes on, and of no use.
Command bounded(Command command) {
  command.kept_output_bytes = 64 << 10;
  return command;
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n\r ");
  if (end == std::string::npos) return {};
  const std::size_t before = text.rfind('\n', end);
  return visible(text.substr(before == std::string::npos ? 0 : before + 1,
                             end - (before == std::string::npos ? 0 : before + 1) + 1));
}

// At most so many, on one line.
std::string last_lines(const std::string& text, std::size_t most) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) lines.push_back(line);
  }
  std::string joined;
  for (std::size_t i = lines.size() - std::min(most, lines.size()); i < lines.size(); ++i)
    joined += (joined.empty() ? "" : " | ") + visible(lines[i]);
  return joined;
}

}  // namespace

ServerProcess::ServerProcess(Reactor& reactor, const std::string& name, const Command& command, double timeout_s)
    : child_(reactor, command) {
  const SteadyTime deadline = after_s(timeout_s);
  const auto line = child_.read_line(deadline);
  if (!line) {
    if (!child_.wait_for_end(std::min(deadline, after_s(2)))) {
      throw StartError(name + " did not start: not ready after " + std::to_string(static_cast<int>(timeout_s)) + " s");
    }
    throw StartError(name + " did not start: " + cause_of_end());
  }
  ready_ = event_of(*line, "ready");
  if (ready_.is_null() || !ready_.contains("port"))
    throw StartError(name + " did not start: expected its ready line, got " + visible(line->substr(0, 200)));
  port_ = ready_.at("port").get<std::uint16_t>();
}

ServerProcess::ServerProcess(Reactor& reactor, const std::string& name, const Command& command, std::uint16_t port,
                             double timeout_s, const std::string& address)
    : child_(reactor, bounded(command)), port_(port) {
  namespace asio = boost::asio;
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(address), port);
  const SteadyTime deadline = after_s(timeout_s);
  for (;;) {
    asio::ip::tcp::socket socket(reactor.io());
    boost::system::error_code error;
    socket.connect(endpoint, error);  // to this machine: answered or refused at once
    const bool ended = child_.has_ended();
    if (!error || ended) {
      if (const std::string what = daemons(); !what.empty())
        throw StartError(name + " " + what + ", which cannot be measured; have it stay in the foreground");
    }
    if (ended) {
      child_.wait_for_end(after_s(output_patience_s));
      throw StartError(name + " did not start: " + child_.how_it_ended() + what_it_was(command));
    }
    if (!error) break;
    if (std::chrono::steady_clock::now() >= deadline) {
      throw StartError(name + " did not start: it takes no connections at " + address + " port " +
                       std::to_string(port) + " after " + std::to_string(static_cast<int>(timeout_s)) + " s" +
                       what_it_was(command));
    }
    reactor.sleep_until(after_s(0.005));
  }
  ready_ = {{"event", "ready"}, {"server", name}, {"port", port}};
}

std::string ServerProcess::cause_of_end() const {
  const std::string said = last_line(child_.errors());
  return said.empty() ? "it ended with " + child_.how_it_ended() + " and said nothing" : said;
}

// Others' servers have no form of their own for what went wrong: all that may tell.
std::string ServerProcess::what_it_was(const Command& command) {
  std::string text = "; command line:";
  for (const std::string& argument : command.arguments) {
    const bool plain = !argument.empty() && argument.find_first_of(" \t\n'\"$&;|<>()*?\\`") == std::string::npos;
    text += plain ? " " + argument : " '" + argument + "'";
  }
  const std::string said = last_lines(child_.rest_of_output() + child_.errors(), 5);
  return text + (said.empty() ? "; it said nothing" : "; it said: " + said);
}

std::string ServerProcess::exit_reason() {
  if (child_.has_ended()) child_.wait_for_end(after_s(output_patience_s));
  const std::string said = last_line(child_.errors());
  return "died: " + child_.how_it_ended() + (said.empty() ? "" : "; its last output: " + said);
}

std::string ServerProcess::daemons() const {
  const std::vector<Process> outside = child_.outside_of_group();
  if (outside.empty()) return {};
  return "became a daemon (PID " + std::to_string(outside.front().pid) + ", " + outside.front().name + ")";
}

nlohmann::json ServerProcess::stop() {
  in_order_ = child_.stop();
  nlohmann::json statistics;
  std::istringstream output(child_.rest_of_output());
  for (std::string line; std::getline(output, line);) {
    nlohmann::json event = event_of(line, "statistics");
    if (!event.is_null()) statistics = std::move(event);
  }
  return statistics;
}

}  // namespace bakeoff
