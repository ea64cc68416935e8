#include "harness/run/live_table.h"

#include "tests/catch.h"
#include "tests/harness/run/made_up_trials.h"

using namespace bakeoff;
using bakeoff::test::sound_trial;

namespace {

Cell cell_of(const std::string& server, std::uint32_t connections) {
  Cell cell;
  cell.server = cell.architecture = server;
  cell.connections = connections;
  cell.id = server + "/connections=" + std::to_string(connections);
  return cell;
}

Trial trial_of(const Cell& cell, std::uint32_t block, double replies_per_s) {
  Trial trial = sound_trial(replies_per_s);
  trial.key = {Phase::sweep, block, cell.id};
  return trial;
}

}  // namespace

TEST_CASE("who watches sees the best valid cell of each server, the best first") {
  LiveTable table(Metric::replies_per_s, {});
  CHECK(table.lines(10).empty());
  const Cell slow = cell_of("mt", 16), fast = cell_of("mt", 64), other = cell_of("sped", 64), wrong = cell_of("mp", 64);
  table.add(slow, trial_of(slow, 0, 4000));
  table.add(fast, trial_of(fast, 0, 5000));
  table.add(fast, trial_of(fast, 1, 5200));
  table.add(other, trial_of(other, 0, 9000));
  Trial spoiled = trial_of(wrong, 0, 99000);
  spoiled.void_causes = {"other processes took the processors"};
  table.add(wrong, spoiled);
  const std::vector<std::string> lines = table.lines(10);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].find("replies_per_s") != std::string::npos);
  CHECK(lines[1].find("sped/connections=64") != std::string::npos);
  CHECK(lines[2].find("mt/connections=64") != std::string::npos);
  CHECK(lines[2].find("  2 trials") != std::string::npos);
  CHECK(table.lines(2).size() == 2);
  CHECK(table.lines(0).empty());
}
