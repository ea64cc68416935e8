#include "core/stats.h"

#include <array>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("each worker counts on a page of its own") {
  CHECK(sizeof(WorkerStats) == stats_page_bytes);
  CHECK(alignof(WorkerStats) == stats_page_bytes);
}

TEST_CASE("replies are counted by their status, and their bodies added up") {
  WorkerStats stats;
  for (const int status : reply_statuses) stats.count_reply(status, 10);
  stats.count_reply(200, 5);
  const nlohmann::json told = to_json(stats);
  CHECK(told["replies"] == reply_statuses.size() + 1);
  CHECK(told["body_bytes"] == 10 * reply_statuses.size() + 5);
  CHECK(told["replies_by_status"].size() == reply_statuses.size());
  CHECK(told["replies_by_status"]["200"] == 2);
  CHECK(told["replies_by_status"]["505"] == 1);
}

TEST_CASE("a total adds every counter of every worker, or takes the greatest where a greatest is counted") {
  // Each counter of the struct gets a number of its own, without knowing its name; closed_error is the last.
  std::array<WorkerStats, 3> workers;
  const std::size_t counters = static_cast<std::size_t>(&workers[0].closed_error - &workers[0].accepts) + 1;
  std::uint64_t sum = 0;
  for (WorkerStats& worker : workers) {
    auto* counter = reinterpret_cast<Counter*>(&worker);
    for (std::size_t i = 0; i < counters; ++i) counter[i].set(i + 1);
  }
  const nlohmann::json one = to_json(workers[0]);
  const nlohmann::json all = total_json(workers);
  REQUIRE(one.size() == all.size());
  for (const auto& [name, value] : one.items()) {
    CAPTURE(name);
    if (name == "replies_by_status") {
      for (const auto& [status, count] : value.items()) CHECK(all[name][status] == 3 * count.get<std::uint64_t>());
      continue;
    }
    CHECK(all[name] == (name.find("most") == std::string::npos ? 3 : 1) * value.get<std::uint64_t>());
    if (name != "replies") sum += value.get<std::uint64_t>();
  }
  // No counter is left out and none is told twice: all of them are in the sum.
  for (const auto& [status, count] : one["replies_by_status"].items()) sum += count.get<std::uint64_t>();
  const std::size_t told = one.size() - 2 + reply_statuses.size();
  CHECK(told == counters);
  CHECK(sum == told * (told + 1) / 2);
}

TEST_CASE("what never happened is a zero, and no status is made up") {
  const nlohmann::json told = total_json({});
  CHECK(told["accepts"] == 0);
  CHECK(told["replies"] == 0);
  CHECK(told["replies_by_status"].is_object());
  CHECK(told["replies_by_status"].empty());
}
