#include "results/tables.h"

#include <functional>
#include <sstream>

#include "results/placement.h"
#include "tests/catch.h"
#include "tests/results/samples.h"

using namespace bakeoff;

TEST_CASE("a server's matrix marks the best cell and shows invalid ones hollow with the reason") {
  std::vector<Cell> cells;
  std::vector<Trial> trials;
  for (const std::uint32_t connections : {64u, 1024u}) {
    for (const std::uint32_t workers : {1u, 4u}) {
      cells.push_back(sample_cell("symped", connections, workers));
      trials.push_back(sample_trial(cells.back(), Phase::sweep, 0, connections + workers));
    }
  }
  trials[3].counts->timeouts = 873;
  CHECK(matrices(sample_result(cells, trials)) ==
        "Throughput in Mbit/s. *: the server's best cell. (...): not valid, the reason is below.\n"
        "\n"
        "symped\n"
        "  connections  1 worker  4 workers+\n"
        "           64      65.0        68.0\n"
        "         1024    1025 *    (1028) a\n"
        "    a: time-outs 12 %\n");
}

TEST_CASE("one worker a connection is one column") {
  const Cell few = sample_cell("mt", 16, 16), many = sample_cell("mt", 64, 64);
  const ExperimentResult result =
      sample_result({few, many}, {sample_trial(few, Phase::sweep, 0, 10), sample_trial(many, Phase::sweep, 0, 20)});
  CHECK(matrices(result).find("  connections  as many workers+\n"
                              "           16              10.0\n"
                              "           64            20.0 *\n") != std::string::npos);
}

TEST_CASE("the ranking has one line a server with its interval, and says who is missing") {
  const Cell sped = sample_cell("sped", 64, 1), mt = sample_cell("mt", 64, 64), mp = sample_cell("mp", 64, 64);
  std::vector<Trial> trials;
  for (std::uint32_t block = 0; block < 8; ++block) {
    trials.push_back(sample_trial(sped, Phase::final, block, 950 + block));
    trials.push_back(sample_trial(mt, Phase::final, block, 900 + block));
  }
  Trial failed = sample_trial(mp, Phase::sweep, 0, 1);
  failed.failures = {"server died"};
  trials.push_back(failed);
  const ExperimentResult result = sample_result({mt, sped, mp}, trials);
  const std::string text = ranking(result, {false, 0});
  CAPTURE(text);
  CHECK(text.find("Each server's best cell, measured again with fresh trials, ranked by throughput in Mbit/s.\n") == 0);
  CHECK(text.find(estimator_sentence) != std::string::npos);
  CHECK(text.find("     1  sped             64        1     953  951 .. 955") != std::string::npos);
  CHECK(text.find("     2  mt               64      64+     903  901 .. 905     0.948  0.947 .. 0.948") !=
        std::string::npos);
  CHECK(text.find("  not ranked: mp, no valid cell (server died)\n") != std::string::npos);
  CHECK(text.find("  warm-up 100 ms for all servers\n") != std::string::npos);
  CHECK(text.find("variant") == std::string::npos);
  CHECK(text.find("Mbit/s  95 %") == text.rfind("Mbit/s  95 %"));  // the figure that ranks has no second column
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("a server whose best cell was not valid when measured again is said to be so") {
  const Cell sped = sample_cell("sped", 64, 1), mt = sample_cell("mt", 64, 64);
  Trial died = sample_trial(mt, Phase::final, 0, 1);
  died.failures = {"server died"};
  const std::string text =
      ranking(sample_result({mt, sped}, {sample_trial(mt, Phase::sweep, 0, 5), sample_trial(sped, Phase::sweep, 0, 1),
                                         sample_trial(sped, Phase::final, 0, 1), died}));
  CHECK(text.find("  not ranked: mt, its best cell was not valid when measured again (server died)\n") !=
        std::string::npos);
}

TEST_CASE("too few fresh trials to tell so many servers apart are told, with how many it takes") {
  const Cell sped = sample_cell("sped", 64, 1), mt = sample_cell("mt", 64, 64);
  const auto ranking_of = [&](std::uint32_t blocks) {
    std::vector<Trial> trials;
    for (std::uint32_t block = 0; block < blocks; ++block) {
      trials.push_back(sample_trial(sped, Phase::final, block, 950 + block));
      trials.push_back(sample_trial(mt, Phase::final, block, 900 + block));
    }
    return ranking(sample_result({mt, sped}, trials));
  };
  CHECK(ranking_of(5).find("  5 fresh trials of each cannot tell 2 servers apart; 6 can: [trials] final = 6\n") !=
        std::string::npos);
  CHECK(ranking_of(6).find("cannot tell") == std::string::npos);
}

TEST_CASE("what decided the warm-up, and who did not settle, stands below the ranking") {
  ExperimentResult result = sample_result({}, {});
  result.warm_ups = {{"rate=500", 0.15, "mt", {"mp"}}};
  const std::string text = ranking(result);
  CHECK(text.find("  rate=500: warm-up 150 ms for all servers, set by the slowest to settle, mt\n"
                  "  rate=500: mp did not settle within the longest warm-up; its figures stand\n") !=
        std::string::npos);
}

TEST_CASE("a table says that servers took turns") {
  ExperimentResult result = sample_result({}, {});
  CHECK(ranking(result).find("turns") == std::string::npos);
  result.turn_s = 0.025;
  CHECK(ranking(result).find("\nThe servers of a block stood side by side and took turns of 25 ms.\n") !=
        std::string::npos);
}

TEST_CASE("what spoils a whole run is said once, above the tables") {
  const Cell sped = sample_cell("sped", 64, 1), mt = sample_cell("mt", 64, 64);
  const auto table_of = [&](const std::function<void(Trial&)>& change) {
    std::vector<Trial> trials;
    for (std::uint32_t block = 0; block < 6; ++block) {
      for (const Cell& cell : {sped, mt}) {
        trials.push_back(sample_trial(cell, Phase::sweep, block, 900 + block));
        trials.back().figures[Metric::replies_per_s] = 1000;
        trials.back().figures[Metric::server_cpu_us_per_reply] = 10;
        change(trials.back());
      }
    }
    return tables(sample_result({sped, mt}, trials));
  };
  CHECK(table_of([](Trial&) {}).find("WARNING") == std::string::npos);
  const std::string without_cpu = table_of([](Trial& trial) {
    if (trial.key.block == 1) trial.figures[Metric::server_cpu_us_per_reply].reset();
  });
  CHECK(without_cpu.starts_with("WARNING: 2 of 12 trials have no CPU figures: others took the harness's processor. "));
  CHECK(without_cpu.find("WARNING", 1) == std::string::npos);
  const std::string busy = table_of([](Trial& trial) {
    if (trial.key.block > 0) trial.void_causes = {"other processes took the processors"};
  });
  CHECK(busy.starts_with(
      "WARNING: 10 of 12 attempts at trials were void, mostly: other processes took the processors. "));
  const std::string unsettled = table_of([](Trial& trial) { trial.drift = 0.5; });
  CHECK(unsettled.starts_with("WARNING: 2 of 2 cells had not settled within the measured time: "));
}

TEST_CASE("a narrow terminal gets the columns that matter most") {
  const Cell sped = sample_cell("sped", 64, 1), mt = sample_cell("mt", 64, 64);
  std::vector<Trial> trials;
  for (std::uint32_t block = 0; block < 8; ++block) {
    trials.push_back(sample_trial(sped, Phase::final, block, 950 + block));
    trials.push_back(sample_trial(mt, Phase::final, block, 900 + block));
  }
  const ExperimentResult result = sample_result({mt, sped}, trials);
  const std::string all = ranking(result, {false, 0}), some = ranking(result, {false, 60});
  CHECK(all.find("replies/s") != std::string::npos);
  CHECK(some.find("replies/s") == std::string::npos);
  CHECK(some.find("of first") != std::string::npos);
  std::istringstream lines(some.substr(some.find("\n\n")));
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 60);
}

TEST_CASE("colour is for terminals") {
  const Cell sped = sample_cell("sped", 64, 1);
  const ExperimentResult result = sample_result({sped}, {sample_trial(sped, Phase::sweep, 0, 10)});
  CHECK(matrices(result, {true}).find("\x1b[1m10.0 *\x1b[0m") != std::string::npos);
}

TEST_CASE("waits are shown where a disk was waited for, cell by cell") {
  const Cell sped = sample_cell("sped", 64, 1), amped = sample_cell("amped", 64, 16);
  Trial blocked = sample_trial(sped, Phase::sweep, 0, 100), busy = sample_trial(amped, Phase::sweep, 0, 900);
  CHECK(waits(sample_result({sped, amped}, {blocked, busy})).empty());
  blocked.figures[Metric::disk_waiting_tasks] = 0.91;
  blocked.figures[Metric::cpu_idle_share] = 0.05;
  blocked.figures[Metric::cpu_iowait_share] = 0.85;
  blocked.figures[Metric::cache_hit_share] = 0.9;
  const ExperimentResult result = sample_result({sped, amped}, {blocked, busy});
  const std::string text = waits(result);
  CHECK(text.find("  sped/connections=64/workers=1     100        800     0.050   0.850             0.910       0.900  "
                  "     -    12.5\n") != std::string::npos);
  CHECK(text.find("amped") == std::string::npos);
  CHECK(tables(result).find("\n\n" + text) != std::string::npos);
}

TEST_CASE("workers beyond the server's processors are marked, and below the tables stands what was shared") {
  const Cell one = sample_cell("symped", 64, 1), four = sample_cell("symped", 64, 4);
  ExperimentResult result =
      sample_result({one, four}, {sample_trial(one, Phase::sweep, 0, 10), sample_trial(four, Phase::sweep, 0, 20)});
  std::string text = tables(result);
  CHECK(text.find("  connections  1 worker  4 workers+\n") != std::string::npos);
  CHECK(text.ends_with("\n+: more workers than the server has processors (1), so they take turns.\n"));
  result.environment["placement"]["note"] = "The server has processor 0, the client 1.";
  text = tables(result);
  CHECK(text.ends_with("they take turns.\nThe server has processor 0, the client 1.\n"));
  result.environment["placement"]["server_processors"] = {0, 1, 2, 3};
  text = tables(result);
  CHECK(text.find('+') == std::string::npos);
  CHECK(text.ends_with("\n\nThe server has processor 0, the client 1.\n"));
  // Where nothing is pinned all of the machine's processors are the server's.
  result.environment["placement"] = {{"server_processors", nlohmann::json::array()}};
  CHECK(tables(result).find("4 workers+") != std::string::npos);
  for (const nlohmann::json& nothing : {nlohmann::json(), nlohmann::json::object(), nlohmann::json{{"placement", 7}}}) {
    result.environment = nothing;
    CHECK(tables(result).find('+') == std::string::npos);
    CHECK(placement_note(nothing).empty());
  }
}
