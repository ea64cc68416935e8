#include "harness/run/pair_comparison.h"

#include <cmath>

#include "core/base/random.h"
#include "tests/catch.h"
#include "tests/harness/run/made_up_trials.h"

using namespace bakeoff;

namespace {

std::vector<Cell> cells_of(std::size_t count) {
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < count; ++i) {
    Cell cell;
    cell.server = "sped";
    cell.id = "cell" + std::to_string(i);
    cells.push_back(cell);
  }
  return cells;
}

std::vector<Guard> guards_of(std::initializer_list<const char*> figures) {
  std::vector<Guard> guards;
  for (const char* figure : figures) guards.push_back({*find_metric(figure), 0.05});
  return guards;
}

// Two builds that take turns on one machine of one clock. `order`: who was asked, b or c, as it came.
struct Bench {
  using Speed = std::function<double(const Cell&)>;

  Bench(double noise, std::uint64_t seed)
      : random(seed),
        baseline([this, noise](const Cell&, const TrialKey&, std::uint32_t) {
          order += 'b';
          return test::sound_trial(1000 * std::exp(noise * (random.unit() - 0.5)));
        }),
        candidate([this, noise](const Cell& cell, const TrialKey&, std::uint32_t) {
          order += 'c';
          return test::sound_trial(1000 * speed(cell) * std::exp(noise * (random.unit() - 0.5)));
        }) {
    candidate.clock_s = baseline.clock_s;
  }
  PairOutcome compare(double budget_s, std::size_t cells = 1) {
    PairComparison comparison(spec, cells_of(cells), baseline, candidate, guards_of({"replies_per_s"}));
    Progress progress(1'000'000, 1);
    return comparison.run(budget_s, {}, progress);
  }

  Specification spec;
  Random random;
  std::string order;
  Speed speed = [](const Cell&) { return 1.0; };
  test::MadeUpTrials baseline, candidate;
};

}  // namespace

TEST_CASE("the gate looks after eight pairs, then each time half as many more, and at the end") {
  using Looks = std::vector<std::uint32_t>;
  CHECK(looks(1) == Looks{1});
  CHECK(looks(8) == Looks{8});
  CHECK(looks(9) == Looks{8, 9});
  CHECK(looks(60) == Looks{8, 12, 18, 27, 40, 60});
  CHECK(looks(0) == Looks{1});
}

TEST_CASE("a comparison that is clear ends as soon as enough trials ran, whatever its budget") {
  Bench equal(0.02, 1);
  const PairOutcome fine = equal.compare(600);
  CHECK(fine.verdict == Verdict::fine);
  CHECK(fine.judgements[0].pairs == first_look);
  CHECK(fine.blocks == trials_without_failure);
  CHECK(fine.spent_s == Approx(2.0 * trials_without_failure));
  CHECK_FALSE(fine.needs_s);
  CHECK(fine.trials.size() == 2 * trials_without_failure);

  Bench slower(0.02, 2);
  slower.speed = [](const Cell&) { return 0.8; };
  const PairOutcome regressed = slower.compare(600);
  CHECK(regressed.verdict == Verdict::regressed);
  CHECK(regressed.blocks <= looks(300)[2]);
  CHECK(regressed.why.starts_with("replies_per_s of cell0 is "));
}

TEST_CASE("what is not known when the budget is spent is undecided, with how much longer it would take") {
  Bench noisy(1.5, 3);
  const PairOutcome outcome = noisy.compare(60);
  CHECK(outcome.verdict == Verdict::undecided);
  CHECK(outcome.blocks == 30);
  CHECK(outcome.spent_s == Approx(60));
  REQUIRE(outcome.needs_s);
  CHECK(*outcome.needs_s > 0);
  REQUIRE(outcome.looks.size() == 5);
  CHECK(outcome.looks[0]["blocks"] == 8);
  CHECK(outcome.looks[4]["blocks"] == 30);
  CHECK(outcome.looks[4]["verdict"] == "undecided");
}

TEST_CASE("which of a pair comes first is left to chance, and cells are in an order of their own in each block") {
  Bench bench(1.5, 4);
  const PairOutcome outcome = bench.compare(400, 2);
  std::size_t candidate_first = 0, first_cell_first = 0;
  for (std::size_t i = 0; i + 1 < bench.order.size(); i += 2) {
    const std::string pair = bench.order.substr(i, 2);
    CHECK((pair == "bc" || pair == "cb"));
    candidate_first += pair == "cb" ? 1 : 0;
  }
  for (std::size_t i = 0; i < bench.baseline.asked.size(); i += 2)
    first_cell_first += bench.baseline.asked[i].key.cell_id == "cell0" ? 1 : 0;
  CHECK(bench.order.size() == 4 * outcome.blocks);
  CHECK(candidate_first > outcome.blocks / 2);
  CHECK(candidate_first < 3 * outcome.blocks / 2);
  CHECK(first_cell_first > outcome.blocks / 4);
  CHECK(first_cell_first < 3 * outcome.blocks / 4);
}

TEST_CASE("a candidate that dies in every trial is regressed, in the shortest time") {
  Bench bench(0.02, 5);
  test::MadeUpTrials dying([](const Cell&, const TrialKey&, std::uint32_t) {
    Trial trial;
    trial.failures = {"the server died: killed by signal 11"};
    return trial;
  });
  dying.clock_s = bench.baseline.clock_s;
  Progress progress(1'000'000, 1);
  const PairOutcome outcome =
      PairComparison(bench.spec, cells_of(1), bench.baseline, dying, guards_of({"replies_per_s"}))
          .run(40, {}, progress);
  CHECK(outcome.verdict == Verdict::regressed);
  CHECK(outcome.why.find("the server died: killed by signal 11") != std::string::npos);
  CHECK(outcome.baseline_failure.empty());
  CHECK(outcome.lost_pairs == 0);
  CHECK(outcome.blocks < 20);

  const PairOutcome other_way =
      PairComparison(bench.spec, cells_of(1), dying, bench.baseline, guards_of({"replies_per_s"}))
          .run(600, {}, progress);
  CHECK(other_way.verdict != Verdict::regressed);
  CHECK(other_way.verdict != Verdict::fine);
  CHECK(other_way.baseline_failure.starts_with("the baseline itself fails in 8 of 8 trials of cell0"));
  CHECK(other_way.blocks == first_look);
}

TEST_CASE("one cell of twenty that loses 30 % is found and named, and cells that are known are left alone") {
  Bench bench(0.02, 6);
  bench.speed = [](const Cell& cell) { return cell.id == "cell13" ? 0.7 : 1.0; };
  const PairOutcome outcome = bench.compare(40 * 30, 20);
  CHECK(outcome.verdict == Verdict::regressed);
  CHECK(outcome.why.starts_with("replies_per_s of cell13 is "));
  CHECK(outcome.judgements.size() == 20);
  // After the first look the other nineteen were known.
  for (const auto& asked : bench.baseline.asked) {
    if (asked.key.block >= first_look) CHECK(asked.key.cell_id == "cell13");
  }
}

TEST_CASE("void trials are repeated and told, and a pair of which one stays void is lost") {
  Bench bench(0.02, 7);
  bench.spec.repeats = 2;
  std::size_t runs = 0;
  test::MadeUpTrials disturbed([&](const Cell&, const TrialKey& key, std::uint32_t attempt) {
    Trial trial = test::sound_trial(1000);
    ++runs;
    // Once in the third block, always in the fifth.
    if ((key.block == 2 && attempt == 0) || key.block == 4) trial.void_causes = {"the machine changed speed"};
    return trial;
  });
  disturbed.clock_s = bench.baseline.clock_s;
  Progress progress(1'000'000, 1);
  const PairOutcome outcome =
      PairComparison(bench.spec, cells_of(1), bench.baseline, disturbed, guards_of({"replies_per_s"}))
          .run(600, {}, progress);
  CHECK(outcome.void_trials == 1 + 3);
  CHECK(outcome.lost_pairs == 1);
  CHECK(outcome.verdict == Verdict::fine);
  CHECK(outcome.judgements[0].pairs == first_look - 1);
  CHECK(outcome.blocks == trials_without_failure + 1);
  // All of them are there to be looked at.
  CHECK(outcome.trials.size() == bench.baseline.asked.size() + runs);
  std::size_t told_void = 0;
  for (const auto& trial : outcome.trials) {
    CHECK((trial["role"] == "baseline" || trial["role"] == "candidate"));
    told_void += trial["void_causes"].empty() ? 0 : 1;
  }
  CHECK(told_void == 4);
}

TEST_CASE("equal builds raise few alarms over a whole budget, and are not called fine for their noise") {
  int alarms = 0, fine_though_slower = 0;
  constexpr int runs = 200;
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    Bench equal(0.6, 100 + seed);
    alarms += equal.compare(200).verdict == Verdict::regressed ? 1 : 0;
    Bench slower(0.6, 400 + seed);
    slower.speed = [](const Cell&) { return 0.95; };
    fine_though_slower += slower.compare(200).verdict == Verdict::fine ? 1 : 0;
  }
  CAPTURE(alarms, fine_though_slower);
  CHECK(alarms <= 18);  // 5 % of 200 are 10, give or take 3
  CHECK(fine_though_slower <= 18);
}

TEST_CASE("two builds that take turns are measured side by side") {
  Bench bench(0.02, 9);
  bench.spec.turn_s = 0.5;  // of 2 s
  bench.speed = [](const Cell&) { return 0.8; };
  const PairOutcome outcome = bench.compare(600);
  CHECK(outcome.verdict == Verdict::regressed);
  CHECK(outcome.void_trials == 0);
  CHECK(bench.baseline.turns.size() + bench.candidate.turns.size() == outcome.blocks * 5 * 2);
}
