#include "results/tables.h"

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
  trials[3].valid = false;
  trials[3].reasons = {"time-outs 12 %"};
  CHECK(matrices(sample_result(cells, trials)) ==
        "Throughput in Mbit/s. *: the server's best cell. (...): does not count, the reason is below.\n"
        "\n"
        "symped\n"
        "  connections  1 worker  4 workers\n"
        "           64        65         68\n"
        "         1024    1025 *   (1028) a\n"
        "    a: time-outs 12 %\n");
}

TEST_CASE("one worker a connection is one column") {
  const Cell few = sample_cell("mt", 16, 16), many = sample_cell("mt", 64, 64);
  const ExperimentResult result = sample_result({few, many}, {sample_trial(few, Phase::sweep, 0, 10), sample_trial(many, Phase::sweep, 0, 20)});
  CHECK(matrices(result).find("  connections  as many workers\n"
                              "           16               10\n"
                              "           64             20 *\n") != std::string::npos);
}

TEST_CASE("the ranking has one line a server with its interval, and says who is missing") {
  const Cell sped = sample_cell("sped", 64, 1), mt = sample_cell("mt", 64, 64), mp = sample_cell("mp", 64, 64);
  std::vector<Trial> trials;
  for (std::uint32_t block = 0; block < 5; ++block) {
    trials.push_back(sample_trial(sped, Phase::final, block, 950 + block));
    trials.push_back(sample_trial(mt, Phase::final, block, 900 + block));
  }
  Trial failed = sample_trial(mp, Phase::sweep, 0, 1);
  failed.valid = false;
  failed.reasons = {"server died"};
  trials.push_back(failed);
  const std::string text = ranking(sample_result({mt, sped, mp}, trials));
  CHECK(text.find("measured again with fresh trials") != std::string::npos);
  CHECK(text.find("     1  sped             64        1     952  950 .. 954") != std::string::npos);
  CHECK(text.find("     2  mt               64       64     902  900 .. 904") != std::string::npos);
  CHECK(text.find("  not ranked: mp, no valid cell (server died)\n") != std::string::npos);
  CHECK(text.find("variant") == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("colour is for terminals") {
  const Cell sped = sample_cell("sped", 64, 1);
  const ExperimentResult result = sample_result({sped}, {sample_trial(sped, Phase::sweep, 0, 10)});
  CHECK(matrices(result, {true}).find("\x1b[1m10 *\x1b[0m") != std::string::npos);
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
  CHECK(text.find("  sped/connections=64/workers=1     100        800      0.05    0.85              0.91        0.90       -      12\n") != std::string::npos);
  CHECK(text.find("amped") == std::string::npos);
  CHECK(tables(result).ends_with("\n" + text));
}
