#include "harness/processes/server_process.h"

#include <boost/asio/ip/tcp.hpp>
#include <sstream>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

// A line with that event; null when the line is something else.
nlohmann::json event_of(const std::string& line, const char* event) {
  nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object() || object.value("event", "") != event) return nullptr;
  return object;
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n\r ");
  if (end == std::string::npos) return {};
  const std::size_t before = text.rfind('\n', end);
  return text.substr(before == std::string::npos ? 0 : before + 1, end - (before == std::string::npos ? 0 : before + 1) + 1);
}

}  // namespace

ServerProcess::ServerProcess(Reactor& reactor, const std::string& name, const Command& command, double timeout_s) : child_(reactor, command) {
  const SteadyTime deadline = after_s(timeout_s);
  const auto line = child_.read_line(deadline);
  if (!line) {
    if (!child_.wait_for_end(std::min(deadline, after_s(2)))) {
      throw StartError(name + " did not start: not ready after " + std::to_string(static_cast<int>(timeout_s)) + " s");
    }
    throw StartError(name + " did not start: " + cause_of_end());
  }
  ready_ = event_of(*line, "ready");
  if (ready_.is_null() || !ready_.contains("port")) throw StartError(name + " did not start: expected its ready line, got " + *line);
  port_ = ready_.at("port").get<std::uint16_t>();
}

ServerProcess::ServerProcess(Reactor& reactor, const std::string& name, const Command& command, std::uint16_t port, double timeout_s)
    : child_(reactor, command), port_(port) {
  namespace asio = boost::asio;
  const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  const SteadyTime deadline = after_s(timeout_s);
  for (;;) {
    asio::ip::tcp::socket socket(reactor.io());
    boost::system::error_code error;
    socket.connect(endpoint, error);  // to this machine: answered or refused at once
    if (!error) break;
    if (child_.has_ended()) throw StartError(name + " did not start: " + cause_of_end());
    if (std::chrono::steady_clock::now() >= deadline) {
      throw StartError(name + " did not start: no connections after " + std::to_string(static_cast<int>(timeout_s)) + " s");
    }
    reactor.sleep_until(after_s(0.005));
  }
  ready_ = {{"event", "ready"}, {"server", name}, {"port", port}};
}

std::string ServerProcess::cause_of_end() const {
  const std::string said = last_line(child_.errors());
  return said.empty() ? "it ended with " + child_.how_it_ended() + " and said nothing" : said;
}

std::string ServerProcess::obituary() const {
  const std::string said = last_line(child_.errors());
  return "died: " + child_.how_it_ended() + (said.empty() ? "" : "; its last words: " + said);
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
