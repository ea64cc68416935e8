#include "harness/run/warm_up.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "tests/catch.h"
#include "tests/harness/run/made_up_trials.h"

using namespace bakeoff;

namespace {

constexpr double drift = 0.2;

// What a server sends that approaches its level with this time constant, in spans of a pilot.
std::vector<double> rising(double time_constant, double noise, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> spans;
  for (std::size_t i = 0; i < pilot_spans; ++i) {
    const double level = time_constant > 0 ? 1 - std::exp(-(static_cast<double>(i) + 0.5) / time_constant) : 1;
    spans.push_back(1e6 * level * (1 + noise * (random.unit() - 0.5)));
  }
  return spans;
}

std::vector<std::vector<double>> pilots(double time_constant, double noise = 0.05) {
  return {rising(time_constant, noise, 1), rising(time_constant, noise, 2), rising(time_constant, noise, 3)};
}

Cell cell(const std::string& server, std::uint32_t connections, std::uint32_t workers = 1) {
  Cell one;
  one.server = server;
  one.connections = connections;
  one.workers = workers;
  one.id = server + "/connections=" + std::to_string(connections) + "/workers=" + std::to_string(workers);
  return one;
}

Specification specification(double least_s, double longest_s) {
  Specification spec;
  spec.warmup_s = least_s;
  spec.longest_warmup_s = longest_s;
  spec.drift = drift;
  return spec;
}

}  // namespace

TEST_CASE("a server that is fast at once needs next to no warm-up, a slow one more") {
  CHECK(settling_of(pilots(0, 0), drift).share == 0);
  const Settling slow = settling_of(pilots(2), drift);
  CHECK(slow.settled);
  CHECK(slow.share >= 0.15);
  CHECK(slow.share <= 0.5);
  // Noise alone makes a cut somewhere, mostly an early one.
  double mean_share = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Settling noisy =
        settling_of({rising(0, 0.1, 3 * seed), rising(0, 0.1, 3 * seed + 1), rising(0, 0.1, 3 * seed + 2)}, drift);
    CHECK(noisy.settled);
    mean_share += noisy.share / 100;
  }
  CHECK(mean_share < 0.12);
}

TEST_CASE("a server that still changes at the end has not settled") {
  CHECK_FALSE(settling_of(pilots(60), drift).settled);
  std::vector<double> falling = rising(0, 0, 1);
  for (std::size_t i = 0; i < falling.size(); ++i) falling[i] *= std::pow(0.9, static_cast<double>(i));
  CHECK_FALSE(settling_of({falling, falling, falling}, drift).settled);
  CHECK(settling_of({falling, falling, falling}, 0.5).settled);
}

TEST_CASE("one pilot that a neighbour disturbed is evened out by the others") {
  auto three = pilots(0);
  three[1][16] /= 3;
  CHECK(settling_of(three, drift).settled);
}

TEST_CASE("pilots of different speed weigh alike, and those that sent nothing are left out") {
  auto three = pilots(2);
  for (double& value : three[0]) value *= 100;
  const Settling weighed = settling_of(three, drift), alike = settling_of(pilots(2), drift);
  CHECK(weighed.share == Approx(alike.share).margin(0.051));
  three.push_back({});
  three.push_back(std::vector<double>(pilot_spans, 0.0));
  CHECK(settling_of(three, drift).share == weighed.share);
  CHECK(settling_of({}, drift).settled);
  CHECK(settling_of({{}, std::vector<double>(pilot_spans, 0.0)}, drift).share == 0);
}

TEST_CASE("a pilot runs each server of each contest with most connections and workers") {
  Cell other_files = cell("sped", 8);
  other_files.workload_set = {{"size_bytes", "1MB"}};
  const std::vector<Cell> chosen = pilot_cells(
      {cell("sped", 16), cell("sped", 64), cell("mt", 64, 4), cell("mt", 64, 16), cell("mt", 16, 64), other_files});
  REQUIRE(chosen.size() == 3);
  CHECK(chosen[0].id == cell("sped", 64).id);
  CHECK(chosen[1].id == cell("mt", 64, 16).id);
  CHECK(contest_of(chosen[2]) == "size_bytes=1MB");
  CHECK(pilot_cells({}).empty());
}

TEST_CASE("the slowest server to settle decides the warm-up of all") {
  const Specification spec = specification(0.05, 1);
  CHECK(needs_pilot(spec));
  test::MadeUpTrials source({});
  std::vector<std::uint32_t> numbers;
  source.pilots = [&](const Cell& one, std::uint32_t number) {
    numbers.push_back(number);
    return rising(one.server == "slow" ? 2 : 0, 0.02, number);
  };
  Progress progress(1'000'000, 1);
  const std::vector<WarmUp> found =
      find_warm_ups(spec, {cell("quick", 64), cell("slow", 64), cell("swift", 64)}, {&source}, progress);
  CHECK(numbers == std::vector<std::uint32_t>{0, 1, 2, 0, 1, 2, 0, 1, 2});
  REQUIRE(found.size() == 1);
  CHECK(found[0].contest.empty());
  CHECK(found[0].slowest == "slow");
  CHECK(found[0].seconds > 0.3);
  CHECK(found[0].seconds <= 1);
  CHECK(found[0].unsettled.empty());
  CHECK(warm_up_of(cell("quick", 16), found, spec) == found[0].seconds);
}

TEST_CASE("a server that does not settle is named, and its contest warms up as long as it may") {
  const Specification spec = specification(0.05, 1);
  test::MadeUpTrials source({});
  source.pilots = [](const Cell& one, std::uint32_t number) {
    return rising(one.server == "never" ? 100 : 0, 0.02, number);
  };
  Cell elsewhere = cell("quick", 64);
  elsewhere.rate = 500;
  Progress progress(1'000'000, 1);
  const std::vector<WarmUp> found =
      find_warm_ups(spec, {cell("never", 64), cell("quick", 64), elsewhere}, {&source, &source}, progress);
  REQUIRE(found.size() == 2);
  CHECK(found[0].seconds == 1);
  CHECK(found[0].unsettled == std::vector<std::string>{"never"});  // once, though two builds were piloted
  CHECK(found[1].contest == "rate=500");
  CHECK(found[1].unsettled.empty());
  CHECK(found[1].seconds < 0.3);
  CHECK(warm_up_of(elsewhere, found, spec) == found[1].seconds);
}

TEST_CASE("without a range to choose from there is no pilot") {
  CHECK_FALSE(needs_pilot(specification(0.5, 0.5)));
  CHECK_FALSE(needs_pilot(specification(0, 0)));
  CHECK(warm_up_of(cell("sped", 64), {}, specification(0.5, 0.5)) == 0.5);
  Cell at_a_rate = cell("sped", 64);
  at_a_rate.rate = 500;
  CHECK(warm_up_of(at_a_rate, {{"", 0.7, "sped", {}}, {"rate=600", 0.9, "sped", {}}}, specification(0.5, 2)) == 0.7);
  CHECK(warm_up_of(at_a_rate, {{"", 0.7, "sped", {}}, {"rate=500", 0.9, "sped", {}}}, specification(0.5, 2)) == 0.9);
}
