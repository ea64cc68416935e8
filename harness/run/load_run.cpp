#include "harness/run/load_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "core/base/untrusted.h"
#include "harness/ground/file_sets.h"
#include "harness/ground/interfaces.h"

namespace bakeoff {
namespace {

// Opening tens of thousands of connections, and every time-out on the way.
constexpr double longest_opening_s = 120;

SteadyTime from_ns(std::int64_t ns) { return SteadyTime(std::chrono::nanoseconds(ns)); }

std::string seconds(double value) { return fmt::format("{:.3f}s", value); }

}  // namespace

Command load_command(const Programs& programs, const Specification& spec, const Cell& cell, std::uint16_t port,
                     std::uint64_t seed, LoadTimes times) {
  Command command{
      {programs.find("bakeoff-load").string(), fmt::format("http://{}/", authority(server_address(spec.hosts), port)),
       "--connections", std::to_string(cell.connections), "--threads",
       std::to_string(std::min(spec.client_threads, cell.connections)), "--warmup", seconds(times.warmup_s),
       "--duration", seconds(times.duration_s), "--timeout", seconds(spec.timeout_s), "--workload", spec.workload,
       "--seed", std::to_string(seed), "--announce", "--json", "-"},
      {}};
  for (const std::string& assignment : workload_overrides(spec, cell)) {
    command.arguments.push_back("--set");
    command.arguments.push_back(assignment);
  }
  if (times.turns != 0) command.arguments.insert(command.arguments.end(), {"--turns", std::to_string(times.turns)});
  if (spec.discard_bodies) command.arguments.push_back("--discard");
  if (cell.load_model == "partly-open") command.arguments.push_back("--sessions");
  if (cell.rate) {
    command.arguments.push_back("--rate");
    command.arguments.push_back(rate_text(*cell.rate));
  }
  return command;
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const std::size_t before = text.rfind('\n');
  return before == std::string::npos ? text : text.substr(before + 1);
}

std::optional<SteadyTime> LoadRun::measured_from() {
  const auto line = child_.read_line(after_s(longest_opening_s));
  if (!line) return std::nullopt;
  const nlohmann::json announced = parse_untrusted_or_discard(*line);
  if (!announced.is_object() || announced.value("event", "") != "measured_time") return std::nullopt;
  // Both clocks are CLOCK_MONOTONIC; another host's is as far ahead as its line was on its way, at most.
  from_ = from_ns(announced.at("from_ns").get<std::int64_t>());
  to_ = from_ns(announced.at("to_ns").get<std::int64_t>());
  if (elsewhere_) {
    const auto behind = std::chrono::steady_clock::now() - from_ns(announced.at("now_ns").get<std::int64_t>());
    from_ += behind;
    to_ += behind;
  }
  return from_;
}

bool LoadRun::rests(std::uint32_t turns, SteadyTime deadline) {
  const auto line = child_.read_line(deadline);
  const nlohmann::json said = line ? parse_untrusted_or_discard(*line) : nlohmann::json();
  return said.is_object() && said.value("event", "") == "rests" && said.value("turns", 0u) == turns;
}

bool LoadRun::open() { return rests(0, after_s(longest_opening_s)); }

bool LoadRun::turn(double most_s) {
  if (has_ended()) return false;
  kill(child_.pid(), SIGUSR2);
  return rests(++turns_, after_s(most_s));
}

SteadyTime LoadRun::at(double share) const {
  return from_ + std::chrono::duration_cast<std::chrono::nanoseconds>(share * (to_ - from_));
}

void LoadRun::end_early() {
  // mpirun passes this one on, and ends its ranks on any that ends itself.
  if (elsewhere_) {
    kill(child_.pid(), SIGUSR2);
    child_.wait_for_end(after_s(20));
  }
  child_.stop();
}

void LoadRun::release() { kill(child_.pid(), SIGUSR1); }

double LoadRun::measured_between_s(SteadyTime from, SteadyTime to) const {
  return std::max(1e-6, std::chrono::duration<double>(std::min(to, to_) - from).count());
}

}  // namespace bakeoff
