#include "results/validity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

using nlohmann::json;

std::string percent(double share) { return fmt::format("{:.3g} %", share * 100); }

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// A sum is known where both parts are.
template <class Value>
std::optional<Value> sum(const std::optional<Value>& a, const std::optional<Value>& b) {
  return a && b ? std::optional<Value>(*a + *b) : std::nullopt;
}

template <class Value>
json or_null(const std::optional<Value>& value) {
  return value ? json(*value) : json(nullptr);
}

template <class Value>
std::optional<Value> optional_of(const json& value) {
  return value.is_null() ? std::nullopt : std::optional<Value>(value.get<Value>());
}

// ": reset 123, bad_status 4", the most frequent first.
std::string kinds_of(const LoadCounts& counts) {
  std::vector<std::pair<std::string, std::uint64_t>> kinds(counts.kinds.begin(), counts.kinds.end());
  std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [kind, count] : kinds) text += fmt::format("{}{} {}", text.empty() ? ": " : ", ", kind, count);
  return text;
}

}  // namespace

LoadCounts operator+(const LoadCounts& a, const LoadCounts& b) {
  LoadCounts both;
  both.trials = a.trials + b.trials;
  both.measured_s = a.measured_s + b.measured_s;
  both.replies = a.replies + b.replies;
  both.timeouts = a.timeouts + b.timeouts;
  both.failures = a.failures + b.failures;
  both.kinds = a.kinds;
  for (const auto& [kind, count] : b.kinds) both.kinds[kind] += count;
  both.wrong_replies = a.wrong_replies + b.wrong_replies;
  both.without_port = a.without_port + b.without_port;
  both.offered = sum(a.offered, b.offered);
  both.connections_asked = a.connections_asked + b.connections_asked;
  both.connections_opened = a.connections_opened + b.connections_opened;
  both.starved_connections = a.starved_connections + b.starved_connections;
  both.in_flight_s = sum(a.in_flight_s, b.in_flight_s);
  both.classes = a.classes;
  for (const LoadCounts::SizeClass& one : b.classes) {
    const auto found = std::find_if(both.classes.begin(), both.classes.end(),
                                    [&](const auto& other) { return other.size_bytes == one.size_bytes; });
    if (found == both.classes.end()) {
      both.classes.push_back(one);
    } else {
      found->attempts += one.attempts;
      found->timeouts += one.timeouts;
    }
  }
  both.busiest_client_s = sum(a.busiest_client_s, b.busiest_client_s);
  // Taken over the trials that know it: server_sampled_s is of these alone.
  if (a.server_busy_s || b.server_busy_s)
    both.server_busy_s = a.server_busy_s.value_or(0) + b.server_busy_s.value_or(0);
  both.server_sampled_s = a.server_sampled_s + b.server_sampled_s;
  return both;
}

json to_json(const LoadCounts& counts) {
  json classes = json::array();
  for (const LoadCounts::SizeClass& one : counts.classes) {
    classes.push_back({{"size_bytes", one.size_bytes}, {"attempts", one.attempts}, {"timeouts", one.timeouts}});
  }
  return {{"trials", counts.trials},
          {"measured_s", counts.measured_s},
          {"replies", counts.replies},
          {"timeouts", counts.timeouts},
          {"failures", counts.failures},
          {"kinds", counts.kinds},
          {"wrong_replies", counts.wrong_replies},
          {"without_port", counts.without_port},
          {"offered", or_null(counts.offered)},
          {"connections_asked", counts.connections_asked},
          {"connections_opened", counts.connections_opened},
          {"starved_connections", counts.starved_connections},
          {"in_flight_s", or_null(counts.in_flight_s)},
          {"classes", std::move(classes)},
          {"busiest_client_s", or_null(counts.busiest_client_s)},
          {"server_busy_s", or_null(counts.server_busy_s)},
          {"server_sampled_s", counts.server_sampled_s}};
}

LoadCounts counts_from_json(const json& object) {
  LoadCounts counts;
  counts.trials = whole_number<std::uint32_t>(object.at("trials"));
  counts.measured_s = object.at("measured_s").get<double>();
  counts.replies = whole_number<std::uint64_t>(object.at("replies"));
  counts.timeouts = whole_number<std::uint64_t>(object.at("timeouts"));
  counts.failures = whole_number<std::uint64_t>(object.at("failures"));
  if (object.contains("kinds")) counts.kinds = object.at("kinds").get<std::map<std::string, std::uint64_t>>();
  counts.wrong_replies = whole_number<std::uint64_t>(object.at("wrong_replies"));
  counts.without_port = whole_number<std::uint64_t>(object.at("without_port"));
  counts.offered = optional_of<std::uint64_t>(object.at("offered"));
  counts.connections_asked = whole_number<std::uint64_t>(object.at("connections_asked"));
  counts.connections_opened = whole_number<std::uint64_t>(object.at("connections_opened"));
  counts.starved_connections = whole_number<std::uint64_t>(object.at("starved_connections"));
  counts.in_flight_s = optional_of<double>(object.at("in_flight_s"));
  for (const json& one : object.at("classes")) {
    counts.classes.push_back({whole_number<std::uint64_t>(one.at("size_bytes")),
                              whole_number<std::uint64_t>(one.at("attempts")),
                              whole_number<std::uint64_t>(one.at("timeouts"))});
  }
  counts.busiest_client_s = optional_of<double>(object.at("busiest_client_s"));
  counts.server_busy_s = optional_of<double>(object.at("server_busy_s"));
  counts.server_sampled_s = object.at("server_sampled_s").get<double>();
  return counts;
}

std::vector<BrokenRule> broken_rules(const LoadCounts& counts, const ValidityLimits& limits) {
  std::vector<BrokenRule> broken;
  const auto by = [&](Side side, std::string text) { broken.push_back({side, std::move(text)}); };

  const std::uint64_t attempts = counts.replies + counts.timeouts + counts.failures;
  if (counts.replies == 0) by(Side::server, "no replies");
  const double timeouts = share_of(counts.timeouts, attempts);
  if (timeouts > limits.timeouts) by(Side::server, "time-outs " + percent(timeouts));
  for (const LoadCounts::SizeClass& size : counts.classes) {
    const double of_size = share_of(size.timeouts, size.attempts);
    if (of_size > timeouts + limits.file_size) {
      by(Side::server, fmt::format("time-outs of files of {} B {}, over all {}", size.size_bytes, percent(of_size),
                                   percent(timeouts)));
      break;  // one size is proof enough; thirty-six would hide the table
    }
  }
  if (const double failures = share_of(counts.failures, attempts); failures > limits.failures)
    by(Side::server, "errors " + percent(failures) + kinds_of(counts));
  if (counts.wrong_replies > 0)
    by(Side::server, fmt::format("{} replies with wrong bytes or length", counts.wrong_replies));
  if (share_of(counts.starved_connections, counts.connections_asked) > limits.starved) {
    by(Side::server, fmt::format("clients starved {} of {}", counts.starved_connections, counts.connections_asked));
  }

  if (counts.without_port > 0) by(Side::client, "the client ran out of ports");
  if (counts.connections_opened < counts.connections_asked) {
    by(Side::client, fmt::format("connections open {} of {}", counts.connections_opened, counts.connections_asked));
  }
  if (counts.replies == 0) return broken;  // what follows is about the speed of replies
  if (counts.offered && static_cast<double>(counts.replies) < static_cast<double>(*counts.offered) * limits.offered) {
    by(Side::server, "achieved " + percent(share_of(counts.replies, *counts.offered)) + " of the offered load");
  }
  if (counts.in_flight_s && counts.measured_s > 0 && counts.connections_opened > 0) {
    const double connections = static_cast<double>(counts.connections_opened) / counts.trials;
    const double off = *counts.in_flight_s / counts.measured_s / connections - 1;
    if (std::fabs(off) > limits.little) by(Side::client, "Little's law off by " + percent(off));
  }
  const bool knows_server = counts.server_busy_s && counts.server_sampled_s > 0;
  const bool server_saturated = knows_server && *counts.server_busy_s >= limits.server_busy * counts.server_sampled_s;
  if (counts.busiest_client_s && counts.measured_s > 0 && !server_saturated &&
      *counts.busiest_client_s > limits.client_busy * counts.measured_s) {
    by(Side::client, std::string("client out of CPU") + (knows_server ? " while the server idled" : ""));
  }
  return broken;
}

}  // namespace bakeoff
