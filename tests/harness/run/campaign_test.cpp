#include "harness/run/campaign.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/base/errors.h"
#include "harness/plan/plan.h"
#include "harness/run/experiment.h"
#include "tests/catch.h"
#include "tests/harness/run/made_up_trials.h"

using namespace bakeoff;

namespace {

const std::string two_servers = "[[server]]\narchitecture = \"sped\"\n[[server]]\narchitecture = \"mt\"\n";

Specification specification(const std::string& trials, const std::string& servers = two_servers,
                            const std::string& connections = "[4, 8]") {
  return parse_specification("[workload]\nname = \"single-file\"\n[load]\nconnections = " + connections +
                                 "\nwarmup = \"100ms\"\n[trials]\n" + trials + servers,
                             "exp.toml");
}

Trial void_trial() {
  Trial trial = test::sound_trial(1);
  trial.void_causes = {"other processes took the processors"};
  return trial;
}

// What became of a campaign: everything that was asked for, kept and noted.
struct Run {
  explicit Run(const Specification& spec, test::MadeUpTrials::Serve serve, std::vector<Trial> there = {},
               Search search = Search::full, const std::vector<WarmUp>& warm_ups = {})
      : source(std::move(serve)), campaign(spec, plan_cells(spec, "single-file"), std::move(there), search) {
    Progress progress(1'000'000, 1);  // of so many steps it shows one a second at most
    campaign.run(
        source, warm_ups, progress, [&](Trial trial) { kept.push_back(std::move(trial)); },
        [&](const std::string& text) { path = text; });
  }
  std::vector<TrialKey> keys() const {
    std::vector<TrialKey> all;
    for (const auto& one : source.asked) all.push_back(one.key);
    return all;
  }
  std::size_t count(Phase phase) const {
    return static_cast<std::size_t>(
        std::count_if(kept.begin(), kept.end(), [&](const Trial& trial) { return trial.key.phase == phase; }));
  }

  test::MadeUpTrials source;
  Campaign campaign;
  std::vector<Trial> kept;
  std::string path;
};

// More connections are faster, and sped is faster than mt.
Trial by_connections(const Cell& cell, const TrialKey&, std::uint32_t) {
  return test::sound_trial(1000.0 * cell.connections * (cell.server == "sped" ? 2 : 1));
}

}  // namespace

TEST_CASE("a campaign is the sweep in its blocks, then fresh trials of each server's best cell") {
  const Specification spec = specification("sweep = 3\nfinal = 4\nseed = 7\n");
  const Run run(spec, by_connections, {}, Search::full, {{"", 0.25, "mt", {}}});
  std::vector<TrialKey> expected = run.campaign.sweep();
  CHECK(expected.size() == 12);
  const auto fresh =
      interleave({"mt/connections=8/workers=1", "sped/connections=8/workers=1"}, Phase::final, 4, spec.seed);
  expected.insert(expected.end(), fresh.begin(), fresh.end());
  CHECK(run.keys() == expected);
  CHECK(run.kept.size() == 20);
  CHECK(run.campaign.steps() == 20);
  CHECK(run.campaign.steps_done() == 20);
  for (const auto& asked : run.source.asked) {
    CHECK(asked.attempt == 0);
    CHECK(asked.warmup_s == 0.25);  // the same for every server of the contest
  }
  const ExperimentResult result = make_result(spec, run.campaign.cells(), run.campaign.trials(), {}, nullptr);
  REQUIRE(result.best.size() == 2);
  CHECK(result.ranked_by == Metric::relative_to_ceiling);
  CHECK(result.best[0].cell_id == "sped/connections=8/workers=1");
}

TEST_CASE("a void trial is repeated at once, until it is none") {
  const Specification spec = specification("sweep = 2\nfinal = 0\nrepeats = 5\nrepeat_share = 1\n");
  std::size_t runs = 0;
  const Run run(spec, [&](const Cell& cell, const TrialKey& key, std::uint32_t attempt) {
    // The third trial is void three times.
    if (++runs >= 3 && runs < 6) return void_trial();
    return by_connections(cell, key, attempt);
  });
  REQUIRE(run.source.asked.size() == 8 + 3);
  const TrialKey third = run.source.asked[2].key;
  for (std::uint32_t attempt = 0; attempt <= 3; ++attempt) {
    CHECK(run.source.asked[2 + attempt].key == third);
    CHECK(run.source.asked[2 + attempt].attempt == attempt);
  }
  CHECK(run.kept.size() == 11);  // the void ones, too
  const CellResult cell = make_result(spec, run.campaign.cells(), run.campaign.trials(), {}, nullptr)
                              .cells[third.cell_id.starts_with("mt") ? 2 : 0];
  CHECK(run.campaign.steps_done() == 8);
  CHECK(cell.valid);
}

TEST_CASE("a trial is repeated no more often than it may be, nor all together") {
  const auto always_void = [](const Cell&, const TrialKey&, std::uint32_t) { return void_trial(); };
  const Run each(specification("sweep = 2\nfinal = 0\nrepeats = 2\nrepeat_share = 1\n", two_servers, "[4]"),
                 always_void);
  // Four trials, two repeats for the first and two for the second: then there are as many repeats as trials.
  std::vector<std::uint32_t> attempts;
  for (const auto& asked : each.source.asked) attempts.push_back(asked.attempt);
  CHECK(attempts == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 2, 0, 0});
  const Run share(specification("sweep = 2\nfinal = 0\nrepeats = 2\nrepeat_share = 0.25\n", two_servers, "[4]"),
                  always_void);
  CHECK(share.source.asked.size() == 4 + 1);
  const Run none(specification("sweep = 2\nfinal = 0\nrepeats = 0\n", two_servers, "[4]"), always_void);
  CHECK(none.source.asked.size() == 4);
}

TEST_CASE("nothing that a server or a client did is repeated") {
  const Specification spec = specification("sweep = 2\nfinal = 0\nrepeats = 2\nrepeat_share = 1\n");
  std::size_t runs = 0;
  const Run run(spec, [&](const Cell& cell, const TrialKey& key, std::uint32_t attempt) {
    Trial trial = by_connections(cell, key, attempt);
    switch (runs++ % 4) {
      case 0: trial.failures = {"the server died"}; break;
      case 1: trial.counts->busiest_client_s = 1; break;
      case 2: trial.drift = 0.9; break;
      case 3: trial.counts->timeouts = trial.counts->replies; break;
    }
    return trial;
  });
  CHECK(run.source.asked.size() == 8);
  const ExperimentResult result = make_result(spec, run.campaign.cells(), run.campaign.trials(), {}, nullptr);
  for (const CellResult& cell : result.cells) {
    CHECK(cell.summary[Metric::replies_per_s].n == 2);
    for (const Trial& trial : cell.trials) CHECK(trial.counted);
  }
}

TEST_CASE("a resumed campaign goes on where it was, a repeat that was pending first of all") {
  const Specification spec = specification("sweep = 3\nfinal = 4\nrepeats = 2\nrepeat_share = 1\n");
  const TrialKey disturbed = Campaign(spec, plan_cells(spec, "single-file"), {}, Search::full).sweep().at(3);
  const auto serve = [&](const Cell& cell, const TrialKey& key, std::uint32_t attempt) {
    return key == disturbed && attempt == 0 ? void_trial() : by_connections(cell, key, attempt);
  };
  const Run whole(spec, serve);
  REQUIRE(whole.kept.size() == 21);
  REQUIRE_FALSE(whole.kept[3].void_causes.empty());
  REQUIRE(whole.kept[4].attempt == 1);
  // Ended at every trial: what is left is the same each time.
  for (std::size_t there = 0; there <= whole.kept.size(); ++there) {
    const Run rest(spec, serve, {whole.kept.begin(), whole.kept.begin() + static_cast<std::ptrdiff_t>(there)});
    CAPTURE(there);
    REQUIRE(rest.source.asked.size() == whole.kept.size() - there);
    for (std::size_t i = 0; i < rest.source.asked.size(); ++i) {
      CHECK(rest.source.asked[i].key == whole.source.asked[there + i].key);
      CHECK(rest.source.asked[i].attempt == whole.source.asked[there + i].attempt);
    }
  }
}

TEST_CASE("a resumed campaign keeps to the repeats that are left") {
  const Specification spec = specification("sweep = 2\nfinal = 0\nrepeats = 2\nrepeat_share = 1\n", two_servers, "[4]");
  const auto always_void = [](const Cell&, const TrialKey&, std::uint32_t) { return void_trial(); };
  const Run whole(spec, always_void);
  REQUIRE(whole.kept.size() == 8);
  for (std::size_t there = 0; there <= whole.kept.size(); ++there) {
    const Run rest(spec, always_void, {whole.kept.begin(), whole.kept.begin() + static_cast<std::ptrdiff_t>(there)});
    CAPTURE(there);
    CHECK(rest.source.asked.size() == whole.kept.size() - there);
  }
}

TEST_CASE("trials of a cell that the specification does not have are refused") {
  const Specification spec = specification("sweep = 1\n");
  Trial stranger = test::sound_trial(1);
  stranger.key.cell_id = "mp/connections=4/workers=4";
  CHECK_THROWS_WITH(Run(spec, by_connections, {stranger}),
                    "there is a trial of mp/connections=4/workers=4, which the specification does not have");
}

TEST_CASE("a server without a valid cell is not measured again") {
  const Specification spec = specification("sweep = 2\nfinal = 3\n");
  const Run run(spec, [](const Cell& cell, const TrialKey& key, std::uint32_t attempt) {
    Trial trial = by_connections(cell, key, attempt);
    if (cell.server == "sped") trial.failures = {"the server died"};
    return trial;
  });
  CHECK(run.count(Phase::final) == 3);
  for (const Trial& trial : run.kept) {
    if (trial.key.phase == Phase::final) CHECK(trial.key.cell_id == "mt/connections=8/workers=1");
  }
}

TEST_CASE("what is left out of one contest is missed in the others alone") {
  const std::string rates =
      "[[server]]\narchitecture = \"sped\"\nrates = [100, 200]\n[[server]]\narchitecture = "
      "\"mt\"\nrates = [100, 200]\n[[exclude]]\nserver = \"mt\"\nrates = 200\n";
  const Specification spec = specification("sweep = 2\nfinal = 3\n", rates, "4\nmodel = \"open\"");
  const Run run(spec, [](const Cell&, const TrialKey&, std::uint32_t) {
    Trial trial = test::sound_trial(100);
    trial.figures[Metric::server_cpu_us_per_reply] = 10;
    return trial;
  });
  CHECK(run.campaign.steps() == 3 * 2 + 3 * 3);
  CHECK(run.kept.size() == run.campaign.steps());
  const ExperimentResult result = make_result(spec, run.campaign.cells(), run.campaign.trials(), {}, nullptr);
  CHECK(result.ranked_by == Metric::server_cpu_us_per_reply);  // all that keep up at a rate have the same throughput
  CHECK(result.best.size() == 3);
}

TEST_CASE("a tuned campaign measures a part of the matrix, by the figure that ranks") {
  const std::string connections = "[1, 2, 3, 4, 6, 8, 12, 16, 24]";
  const auto serve = [](const Cell& cell, const TrialKey&, std::uint32_t) {
    Trial trial = test::sound_trial(5000);
    // Least at six connections.
    trial.figures[Metric::latency_p99_ms] = 10 + std::fabs(std::log(cell.connections / 6.0));
    return trial;
  };
  const Specification spec = parse_specification(
      "rank_by = \"latency_ms.p99\"\n[workload]\nname = \"single-file\"\n[load]\nconnections = " + connections +
          "\n[trials]\nsweep = 5\nfinal = 5\n[[server]]\narchitecture = \"sped\"\n",
      "exp.toml");
  const Run run(spec, serve, {}, Search::tuned);
  CHECK(run.count(Phase::sweep) == 3 * 5);
  CHECK(run.count(Phase::final) == 5);
  CHECK(run.path.starts_with("sped: coarse, 2 of 9 cells\n"));
  CHECK(run.path.find("sped: settled on sped/connections=6/workers=1 after 3 of 9 cells\n") != std::string::npos);
  // Resumed at any moment, it takes the same path.
  for (std::size_t there = 0; there <= run.kept.size(); ++there) {
    const Run rest(spec, serve, {run.kept.begin(), run.kept.begin() + static_cast<std::ptrdiff_t>(there)},
                   Search::tuned);
    CAPTURE(there);
    CHECK(rest.source.asked.size() == run.kept.size() - there);
    CHECK(rest.path == run.path);
  }
}

TEST_CASE("a trial's outcome in words") {
  Trial trial = test::sound_trial(1);
  trial.figures[Metric::throughput_mbps] = 812.4;
  CHECK(outcome_words(trial, {}) == "812 Mbit/s");
  trial.counts->busiest_client_s = 1;
  CHECK(outcome_words(trial, {}) == "812 Mbit/s, client out of CPU");
  trial.void_causes = {"the machine changed speed"};
  CHECK(outcome_words(trial, {}) == "812 Mbit/s, void: the machine changed speed, client out of CPU");
  trial.failures = {"the server died"};
  CHECK(outcome_words(trial, {}) == "812 Mbit/s, void: the machine changed speed, the server died");
  Trial dead;
  dead.failures = {"the server died"};
  CHECK(outcome_words(dead, {}) == "the server died");
}

namespace {

// Sustains its rate up to 20,000 (sped) or 5,000 (mt) a second; every ninth answer is wrong.
Trial by_capacity(const Cell& cell, const TrialKey& key, std::uint32_t) {
  const double capacity = cell.server == "sped" ? 20'000 : 5'000;
  const bool sustained = (*cell.rate <= capacity) != (key.phase == Phase::sweep && key.block % 9 == 4);
  Trial trial = test::sound_trial(std::min(*cell.rate, capacity));
  if (!sustained) trial.failures = {"the server died"};
  return trial;
}

const std::string few_finals = "final = 3\nceiling = 0\n[peak]\nanswers = 60\n";

}  // namespace

TEST_CASE("a search for peaks asks of each cell one trial a block, and measures the peak and twice its rate afresh") {
  const Specification spec = specification(few_finals, two_servers, "[4]");
  const Run run(spec, by_capacity, {}, Search::peak);
  std::set<TrialKey> keys;
  for (const TrialKey& key : run.keys()) CHECK(keys.insert(key).second);
  const std::vector<Peak> peaks = run.campaign.peaks();
  REQUIRE(peaks.size() == 2);
  std::map<std::string, std::uint32_t> asked;
  for (const TrialKey& key : run.keys()) {
    if (key.phase == Phase::sweep) ++asked[key.cell_id.substr(0, key.cell_id.find("/rate="))];
  }
  for (const Peak& peak : peaks) {
    CAPTURE(peak.cell_id);
    const double capacity = peak.cell_id.starts_with("sped") ? 20'000 : 5'000;
    CHECK(peak.within_tolerance);
    REQUIRE(peak.rate);
    CHECK(*peak.rate == Approx(capacity).epsilon(0.04));
    CHECK(*peak.lower <= capacity);
    CHECK(*peak.upper >= capacity);
    CHECK(peak.answers == asked.at(peak.cell_id));
    CHECK(peak.measured_cell == peak.cell_id + "/rate=" + rate_text(*peak.rate));
    CHECK(peak.overload_cell == peak.cell_id + "/rate=" + rate_text(round_rate(2 * *peak.rate)));
    for (const std::string& id : {peak.measured_cell, peak.overload_cell}) {
      CHECK(std::count_if(run.kept.begin(), run.kept.end(), [&](const Trial& trial) {
              return trial.key.phase == Phase::final && trial.key.cell_id == id;
            }) == 3);
    }
  }
  // The first question is about the same rate for both, and its trials stand in one block.
  CHECK(run.keys()[0].block == 0);
  CHECK(run.keys()[1].block == 0);
  CHECK(run.keys()[0].cell_id.ends_with("/rate=1000"));
  CHECK(run.path.starts_with("sped/connections=4/workers=1: 1000 yes, "));
}

TEST_CASE("a search for peaks that is resumed takes the same path again") {
  const Specification spec = specification(few_finals, two_servers, "[4]");
  const Run whole(spec, by_capacity, {}, Search::peak);
  for (const std::size_t done : {std::size_t{1}, std::size_t{7}, std::size_t{30}, whole.kept.size() - 2}) {
    CAPTURE(done);
    const std::vector<Trial> there(whole.kept.begin(), whole.kept.begin() + static_cast<std::ptrdiff_t>(done));
    const Run rest(spec, by_capacity, there, Search::peak);
    CHECK(rest.kept.size() == whole.kept.size() - done);
    CHECK(rest.path == whole.path);
    std::vector<TrialKey> keys = whole.keys();
    keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(done));
    CHECK(rest.keys() == keys);
  }
}

TEST_CASE("a trial of a search for peaks that stays void is no answer, and the search goes on") {
  const Specification spec = specification("final = 0\nceiling = 0\nrepeats = 0\n[peak]\nanswers = 12\n",
                                           "[[server]]\narchitecture = \"sped\"\n", "[4]");
  const Run run(
      spec,
      [](const Cell& cell, const TrialKey& key, std::uint32_t attempt) {
        return key.block % 2 == 0 ? void_trial() : by_capacity(cell, key, attempt);
      },
      {}, Search::peak);
  CHECK(run.kept.size() == 12);
  REQUIRE(run.campaign.peaks().size() == 1);
  CHECK(run.campaign.peaks()[0].answers == 6);
  CHECK_FALSE(run.campaign.peaks()[0].within_tolerance);
  CHECK(run.campaign.peaks()[0].measured_cell.empty());  // no fresh trials were asked for
  CHECK(run.path.find("1000 ?, ") != std::string::npos);
}

TEST_CASE("in turns all trials of a block and the ceiling have one turn each in every round") {
  const Specification spec = specification("sweep = 2\nfinal = 0\nturn = \"500ms\"\n");  // of a duration of 2 s
  const Run run(spec, by_connections);
  REQUIRE(run.source.turns.size() == 2 * 5 * 5);  // blocks, rounds with the warm-up's, four cells and the ceiling
  std::set<std::vector<std::string>> orders;
  for (std::size_t round = 0; round < 10; ++round) {
    const auto from = run.source.turns.begin() + static_cast<std::ptrdiff_t>(round * 5);
    CHECK(std::set<std::string>(from, from + 5).size() == 5);
    orders.emplace(from, from + 5);
  }
  CHECK(orders.size() > 5);  // drawn anew
  CHECK(run.keys() == run.campaign.sweep());
  for (const Trial& trial : run.kept) CHECK(trial.ceiling_before == trial.ceiling_after);

  const Run again(spec, by_connections);
  CHECK(again.source.turns == run.source.turns);
}

TEST_CASE("in turns the void trials of a block are repeated together, and a resumed block has what is left of it") {
  const Specification spec = specification("sweep = 1\nfinal = 0\nrepeats = 2\nrepeat_share = 10\nturn = \"1s\"\n");
  const auto serve = [](const Cell& cell, const TrialKey& key, std::uint32_t attempt) {
    return cell.server == "mt" && attempt < 2 ? void_trial() : by_connections(cell, key, attempt);
  };
  const Run run(spec, serve);
  CHECK(run.kept.size() == 4 + 2 + 2);
  CHECK(run.source.turns.size() == 3 * (5 + 3 + 3));  // rounds; the ceiling is in each of them

  const Run resumed(spec, serve, {run.kept.begin(), run.kept.begin() + 3});
  CHECK(resumed.campaign.trials().size() == run.campaign.trials().size());
  for (const auto& asked : resumed.source.asked) CHECK_FALSE((asked.key == run.kept.front().key && asked.attempt == 0));
}

TEST_CASE("more cells than can stand side by side take turns in several groups") {
  std::string servers;
  for (std::size_t i = 0; i < most_in_turns + 2; ++i)
    servers += "[[server]]\narchitecture = \"sped\"\nname = \"s" + std::to_string(i) + "\"\n";
  const Specification spec = specification("sweep = 1\nfinal = 0\nturn = \"2s\"\n", servers, "[4]");
  const Run run(spec, by_connections);
  CHECK(run.kept.size() == most_in_turns + 2);
  CHECK(run.source.turns.size() == 2 * (most_in_turns + 1 + 2 + 1));
}

TEST_CASE("in turns no trial is expected to wait for a reading of the ceiling") {
  const std::string trials = "sweep = 1\nfinal = 0\nceiling = \"500ms\"\n";
  CHECK(expected_trial_s(specification(trials)) - expected_trial_s(specification(trials + "turn = \"1s\"\n")) ==
        Approx(0.5));
}
