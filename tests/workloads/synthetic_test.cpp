#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/workloads/temp_dir.h"
#include "workloads/workload.h"

using namespace bakeoff;

namespace {

Workload load_text(const TempDir& dir, const std::string& text, const std::vector<std::string>& overrides = {}) {
  const std::string file = dir.path() / "w.toml";
  std::ofstream(file) << "kind = \"synthetic\"\n" << text;
  return load_workload(file, overrides);
}

}  // namespace

TEST_CASE("cs-like has the published statistics of the trace it stands for") {
  const Workload workload = load_workload("cs-like");
  CHECK(workload.files.size() == 26'948);
  CHECK(static_cast<double>(workload.files.total_bytes()) == Approx(933e6).epsilon(0.001));
  CHECK(workload.mean_transfer_bytes() == Approx(17'000).epsilon(0.01));
}

TEST_CASE("every step of the data-set sweep has its size and the same mean transfer") {
  for (const std::string& step : load_workload("data-set").sweep) {
    INFO(step);
    const Workload workload = load_workload("data-set", {step});
    const double asked = std::stod(step.substr(step.find('=') + 1)) * 1e6;
    CHECK(static_cast<double>(workload.files.total_bytes()) == Approx(asked).epsilon(0.001));
    CHECK(workload.mean_transfer_bytes() == Approx(17'000).epsilon(0.02));
  }
}

TEST_CASE("surge has a lognormal body, a Pareto tail, and Zipf popularity") {
  // Many more files than shipped, so that shares can be told from chance.
  const Workload workload = load_workload("surge", {"files=100000", "most_bytes=1GB"});
  double body_log_sum = 0, body = 0, over_266k = 0, over_133k = 0;
  std::vector<double> shares;
  for (std::uint32_t i = 0; i < workload.files.size(); ++i) {
    const auto size = static_cast<double>(workload.files[i].size_bytes);
    if (size < 11'580) ++body;  // exp(9.357): the median of the body
    over_133k += size > 133'000;
    over_266k += size > 266'000;
    body_log_sum += std::log(size);
    shares.push_back(workload.popularity->share(i));
  }
  const double count = workload.files.size();
  CHECK(body / count == Approx(0.93 / 2).margin(0.005));
  // Of the tail, 2^-1.1 are twice as large as its least; of the body, 3.2 % are over 133,000 and 0.8 % over 266,000.
  CHECK(over_133k / count == Approx(0.07 + 0.93 * 0.0323).margin(0.002));
  CHECK(over_266k / count == Approx(0.07 * std::pow(2, -1.1) + 0.93 * 0.0088).margin(0.002));
  std::sort(shares.rbegin(), shares.rend());
  CHECK(shares[0] / shares[9] == Approx(10));
  CHECK(shares[9] / shares[999] == Approx(100));
}

TEST_CASE("surge's users click, load and think as in the model") {
  const ClientModel clients = load_workload("surge").clients;
  CHECK(clients.requests_per_burst->mean() == Approx(1.699).epsilon(0.001));
  CHECK(clients.inactive_off_s->mean() == Approx(3));
  CHECK(clients.active_off_s->mean() == Approx(0.346).epsilon(0.002));
}

TEST_CASE("in heavy-tail few files hold most of the bytes") {
  const Workload workload = load_workload("heavy-tail");
  std::vector<std::uint64_t> sizes;
  for (const WorkloadFile& file : workload.files.files()) sizes.push_back(file.size_bytes);
  std::sort(sizes.rbegin(), sizes.rend());
  std::uint64_t largest = 0;
  for (std::size_t i = 0; i < sizes.size() / 100; ++i) largest += sizes[i];
  CHECK(static_cast<double>(largest) > 0.5 * static_cast<double>(workload.files.total_bytes()));
  CHECK(sizes.back() >= 1000);
}

TEST_CASE("the clients of wan and connection-per-request are what their names say") {
  CHECK(load_workload("wan").clients.reader_bytes_per_s == 7000u);
  CHECK(load_workload("wan").clients.receive_buffer_bytes == 8192u);
  CHECK(load_workload("connection-per-request").clients.requests_per_connection == 1u);
}

TEST_CASE("a synthetic set is the same each time, and another with another seed") {
  const TempDir dir;
  const std::string text = "files = 500\nsizes = { distribution = \"lognormal\", mu = 8, sigma = 1 }\n";
  const Workload workload = load_text(dir, text);
  CHECK(workload.files.hash() == load_text(dir, text).files.hash());
  CHECK(workload.files.hash() != load_text(dir, text, {"seed=2"}).files.hash());
  CHECK(workload.files[499].path == "/d00004/f0000499");
}

TEST_CASE("classes hold what their names say, and none is empty") {
  const TempDir dir;
  const Workload workload =
      load_text(dir, "files = 300\nsizes = { distribution = \"uniform\", least = 1, most = 4096 }\n");
  REQUIRE(workload.classes.size() == 2);
  CHECK(workload.classes[0].name == "up to 1 KiB");
  CHECK(workload.classes[1].name == "up to 4 KiB");
  for (const WorkloadFile& file : workload.files.files()) CHECK((file.size_bytes <= 1024) == (file.class_index == 0));
}

TEST_CASE("synthetic sets that cannot be are refused in a line") {
  const TempDir dir;
  const std::string sizes = "sizes = 100\n";
  CHECK_THROWS_WITH(load_text(dir, sizes),
                    Catch::Matchers::EndsWith("w.toml:1:1: files: expected it, or `total_bytes`, or both"));
  CHECK_THROWS_WITH(
      load_text(dir, sizes + "files = 10\nmean_transfer_bytes = 200\n"),
      Catch::Matchers::EndsWith("w.toml:4:23: mean_transfer_bytes: expected from 100 to 100 with these sizes"));
  CHECK_THROWS_WITH(load_text(dir, sizes + "files = 10\nmost_bytes = 5\nleast_bytes = 6\n"),
                    Catch::Matchers::EndsWith("w.toml:4:14: most_bytes: expected no less than `least_bytes`"));
  CHECK_THROWS_WITH(
      load_text(dir, sizes + "total_bytes = \"2GB\"\n"),
      Catch::Matchers::EndsWith("total_bytes: expected what 10000000 files of these sizes hold, or less"));
  CHECK_THROWS_WITH(load_text(dir, sizes + "files = 10\ntail = 5\n"),
                    Catch::Matchers::EndsWith("w.toml:1:1: missing key `tail_share`: expected a number from 0 to 1"));
}
