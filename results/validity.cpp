#include "results/validity.h"

#include <cmath>
#include <cstdio>

namespace bakeoff {
namespace {

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %%", share * 100);
  return text;
}

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::vector<std::string> broken_rules(const ClientReport& client, std::optional<double> server_busy_share, const ValidityLimits& limits) {
  std::vector<std::string> reasons;
  if (client.replies == 0) return {"no replies"};

  const std::uint64_t attempts = client.replies + client.timeouts + client.failures;
  const double timeouts = share_of(client.timeouts, attempts);
  if (timeouts > limits.timeouts) reasons.push_back("time-outs " + percent(timeouts));
  for (const ClientReport::SizeClass& size : client.classes) {
    const double of_size = share_of(size.timeouts, size.attempts);
    if (of_size > timeouts + limits.file_size) {
      reasons.push_back("time-outs of files of " + std::to_string(size.size_bytes) + " B " + percent(of_size) + ", over all " + percent(timeouts));
      break;  // one size is proof enough; thirty-six would hide the table
    }
  }
  if (const double failures = share_of(client.failures, attempts); failures > limits.failures) reasons.push_back("errors " + percent(failures));
  if (client.wrong_replies > 0) reasons.push_back(std::to_string(client.wrong_replies) + " replies with wrong bytes or length");

  if (client.connections_opened < client.connections_asked) {
    reasons.push_back("connections open " + std::to_string(client.connections_opened) + " of " + std::to_string(client.connections_asked));
  }
  if (share_of(client.starved_connections, client.connections_asked) > limits.starved) {
    reasons.push_back("clients starved " + std::to_string(client.starved_connections) + " of " + std::to_string(client.connections_asked));
  }

  if (client.offered_per_s && client.replies_per_s < *client.offered_per_s * limits.offered) {
    reasons.push_back("achieved " + percent(client.replies_per_s / *client.offered_per_s) + " of the offered load");
  }
  std::optional<double> in_flight = client.in_flight_mean;
  if (!in_flight && client.latency_mean_ms) in_flight = client.replies_per_s * *client.latency_mean_ms / 1e3;
  if (!client.offered_per_s && client.keep_alive && in_flight && client.connections_opened > 0) {
    const double off = *in_flight / client.connections_opened - 1;
    if (std::fabs(off) > limits.little) reasons.push_back("Little's law off by " + percent(off));
  }
  const bool server_saturated = server_busy_share && *server_busy_share >= limits.server_busy;
  if (client.client_cpu_share && *client.client_cpu_share >= limits.client_busy && !server_saturated) {
    std::string reason = "client out of CPU";
    if (server_busy_share) reason += " while the server idled";
    reasons.push_back(std::move(reason));
  }
  return reasons;
}

}  // namespace bakeoff
